//! `keyslip doctor`: what is wrong with this installation, and what to do.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use keyslip::config::{self, Config};
use keyslip::doctor::{self, Area, Finding, Remedy, Severity, advisories, engines, kernel, leftovers, logins, memory};
use keyslip::doctor::{probe, programs, settings};
use keyslip::names::AgentRef;
use keyslip::site::Site;
use keyslip::source::store_of;
use serde::Serialize;

use crate::auth;
use crate::output::{self, Format};
use crate::place;

#[derive(clap::Args)]
pub struct Args {
    /// Start a throw-away container under each engine that is set up, or under those named, and prove that a value
    /// reaches it and nothing else: podman, docker, containerd, cdi, bare.
    #[arg(long, num_args = 0.., value_name = "ENGINE", value_parser = ["podman", "docker", "containerd", "cdi", "bare"])]
    probe: Option<Vec<String>>,
    /// Show what is in order too.
    #[arg(short, long)]
    verbose: bool,
    /// Where the programs are.
    #[arg(long, value_name = "DIR")]
    libexec: Option<PathBuf>,
    #[command(flatten)]
    format: Format,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    exit_code: u8,
    findings: &'a [Finding],
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut findings = examine(args);
    findings.sort_by_key(|finding| finding.area);
    let code = doctor::exit_code(&findings);
    if args.format.json {
        output::json(&Report { exit_code: code, findings: &findings })?;
    } else {
        print(&findings, args);
    }
    Ok(ExitCode::from(code))
}

fn examine(args: &Args) -> Vec<Finding> {
    let site = match Site::here(std::env::var_os("HOME").as_ref().map(Path::new)) {
        Ok(site) => site,
        Err(error) => {
            let remedy = Remedy::advice("set HOME, or give the user a home directory");
            return vec![Finding::broken(Area::Configuration, "this user", error.to_string(), remedy)];
        }
    };
    let libexec = args.libexec.clone().unwrap_or_else(place::libexec);
    let programs = programs::observe(&libexec);
    let mut findings = programs::judge(&programs);
    findings.extend(advisories::judge(&runtimes(&programs)));
    findings.extend(memory::judge(&memory::observe(&site)));
    findings.extend(kernel::judge(&kernel::release()));
    let config = match config::load(&site.config) {
        Ok(config) => config,
        // What the engines do is looked at all the same, as if nothing were configured.
        Err(error) => {
            findings.push(settings::unreadable(&error));
            findings.extend(engines::judge(&engines::observe(&Config::default(), &site)));
            findings.extend(leftovers::judge(&leftovers::observe(&Config::default(), &site, None)));
            return findings;
        }
    };
    findings.extend(settings::judge(&settings::observe(&config, &site)));
    findings.extend(logins::judge(&logins::observe(&config, &site, stored_logins(&config, &site))));
    let engines = engines::observe(&config, &site);
    findings.extend(engines::judge(&engines));
    let store = store_of(&config, &site).ok();
    findings.extend(leftovers::judge(&leftovers::observe(&config, &site, store.as_ref())));
    if let Some(only) = &args.probe {
        let around = probe::Surroundings {
            site: &site,
            config: &config,
            libexec: &libexec,
            engines: &engines,
            programs: &programs,
        };
        findings.extend(probe::run(&around, only));
    }
    findings
}

fn runtimes(programs: &programs::Seen) -> Vec<advisories::Runtime> {
    let each = programs.versions().into_iter().map(|(path, name, version, says)| advisories::Runtime {
        mentioned: advisories::mentioned(&name, &path),
        path,
        name,
        version,
        says,
    });
    each.collect()
}

/// The logins, as `keyslip auth status` has them.
fn stored_logins(config: &Config, site: &Site) -> Result<Vec<logins::Login>, String> {
    let store = store_of(config, site).map_err(|error| error.to_string())?;
    let all = auth::logins(config, &store, site).map_err(|error| format!("{error:#}"))?;
    let each = all.into_iter().filter(|login| login.agent.as_str() != probe::AGENT).map(|login| logins::Login {
        name: AgentRef { agent: login.agent, account: login.account },
        state: login.state,
        store: login.store,
        renewable: login.renewable,
        advice: login.advice,
    });
    Ok(each.collect())
}

/// Prints findings by area, the worst of each area first.
fn print(findings: &[Finding], args: &Args) {
    let shown = |finding: &Finding| {
        finding.severity > Severity::Ok || args.verbose || (finding.area == Area::Probe && args.probe.is_some())
    };
    let mut by_area: BTreeMap<Area, Vec<&Finding>> = BTreeMap::new();
    for finding in findings.iter().filter(|finding| shown(finding)) {
        by_area.entry(finding.area).or_default().push(finding);
    }
    let paint = Paint { on: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() };
    for (area, mut list) in by_area {
        // The lines of a probe stay in their order.
        if area != Area::Probe {
            list.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        }
        println!("{}", paint.bold(area.title()));
        let mut last = "";
        for finding in list {
            let Finding { severity, subject, what, remedy, .. } = finding;
            let text = match area {
                Area::Probe => what.clone(),
                _ => format!("{subject}: {what}"),
            };
            if area == Area::Probe && last != subject {
                println!("  {}", paint.bold(subject));
            }
            println!("  {}  {}", paint.severity(*severity), output::plain(&text));
            if !remedy.is_empty() {
                println!("           {} {}", paint.bold("->"), output::plain(remedy));
            }
            last = finding.subject.as_str();
        }
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (broken, warnings, ok) = (count(Severity::Broken), count(Severity::Warning), count(Severity::Ok));
    let more = if args.verbose || ok == 0 { "" } else { " (-v shows it)" };
    println!("{broken} broken, {}, {ok} in order{more}", plural(warnings, "warning"));
}

fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// Colours, for a terminal.
struct Paint {
    on: bool,
}

impl Paint {
    fn code(&self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(&self, text: &str) -> String {
        self.code("1", text)
    }

    fn severity(&self, severity: Severity) -> String {
        match severity {
            Severity::Ok => self.code("32", "ok     "),
            Severity::Note => self.code("36", "note   "),
            Severity::Warning => self.code("33", "warning"),
            Severity::Broken => self.code("31", "broken "),
        }
    }
}
