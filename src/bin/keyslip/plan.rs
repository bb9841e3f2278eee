//! `keyslip plan`: a dry run of the pipeline.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use keyslip::deliver::EnvWay;
use keyslip::journal::Journal;
use keyslip::ledger::Status;
use keyslip::oci::{self, Spec};
use keyslip::pipeline::{self, Input, Prepared};
use keyslip::site::Site;
use keyslip::source::Origin;
use keyslip::{config, policy};
use serde::Serialize;

use crate::output::{self, Format};

/// The request is not allowed.
const DENIED: u8 = 3;
/// It is, but there is no credential.
const MISSING: u8 = 4;

#[derive(clap::Args)]
pub struct Args {
    /// The bundle: a directory with config.json.
    #[arg(long, default_value = ".")]
    bundle: PathBuf,
    /// As if this engine had called.
    #[arg(long, default_value = "bare")]
    engine: String,
    /// The container's id, for rules that name it.
    #[arg(long, default_value = "plan")]
    container: OsString,
    /// Say which sources were tried.
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    format: Format,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    agents: &'a [keyslip::ledger::AgentRecord],
    secrets: &'a [keyslip::ledger::SecretRecord],
    env: Vec<&'a str>,
    mounts: Vec<MountLine<'a>>,
    mountpoints: Vec<String>,
    warnings: &'a [String],
}

#[derive(Serialize)]
struct MountLine<'a> {
    destination: &'a str,
    kind: &'a str,
    options: String,
}

pub fn run(args: &Args, site: &Site) -> anyhow::Result<ExitCode> {
    let bundle = std::path::absolute(&args.bundle)?;
    let path = bundle.join("config.json");
    let text = oci::read(&path)?;
    let spec = Spec::parse(&text, &path)?;
    let config = config::load(&site.config)?;
    let runtime = PathBuf::new();
    let input = Input {
        site,
        config: &config,
        engine: &args.engine,
        runtime: &runtime,
        root: None,
        container: &args.container,
        bundle: &bundle,
        spec: &spec,
        env: EnvWay::Spec,
        restored: false,
        devices: &[],
        dry_run: true,
    };
    let mut journal = Journal::default();
    let result = pipeline::prepare(&input, &mut journal);
    if args.verbose {
        for line in &journal.details {
            eprintln!("level=DEBUG msg={line:?}");
        }
    }
    let (verdict, code, reason, prepared) = match result {
        Ok(Some(prepared)) => {
            let pending = prepared.record.is_pending();
            let verdict = if pending { ("missing", MISSING) } else { ("allowed", 0) };
            (verdict.0, verdict.1, None, Some(prepared))
        }
        Ok(None) => ("nothing", 0, Some("the container asks for nothing it may have".to_owned()), None),
        Err(pipeline::Error::Policy(error @ policy::Error::Denied(_))) => {
            ("denied", DENIED, Some(error.to_string()), None)
        }
        Err(pipeline::Error::Missing(why)) => ("missing", MISSING, Some(why), None),
        Err(error) => return Err(error.into()),
    };
    let report = report(verdict, reason, prepared.as_ref(), &journal);
    if args.format.json {
        output::json(&report)?
    } else {
        print(&report)
    }
    Ok(ExitCode::from(code))
}

fn report<'a>(
    verdict: &'static str,
    reason: Option<String>,
    prepared: Option<&'a Prepared>,
    journal: &'a Journal,
) -> Report<'a> {
    let plan = prepared.map(|prepared| &prepared.plan);
    Report {
        verdict,
        reason,
        agents: plan.map_or(&[], |plan| &plan.agents),
        secrets: plan.map_or(&[], |plan| &plan.secrets),
        env: plan.iter().flat_map(|plan| &plan.change.env).map(|var| var.name.as_str()).collect(),
        mounts: plan
            .iter()
            .flat_map(|plan| &plan.change.mounts)
            .map(|mount| MountLine {
                destination: &mount.destination,
                kind: mount.kind,
                options: mount.options.join(","),
            })
            .collect(),
        mountpoints: plan
            .iter()
            .flat_map(|plan| &plan.mountpoints)
            .filter(|it| !it.is_there())
            .map(|it| it.path().display().to_string())
            .collect(),
        warnings: &journal.warnings,
    }
}

fn print(report: &Report<'_>) {
    println!("{}{}", report.verdict, report.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default());
    let state =
        |origin: Option<Origin>| origin.map_or("pending".to_owned(), |origin| format!("from {}", origin.text()));
    for agent in report.agents {
        let until = agent.expires.map(|end| format!(", valid until {end}")).unwrap_or_default();
        let held = agent.held();
        println!("agent      {}@{}: {}{until}", held.agent, held.account, state(agent.origin));
    }
    for secret in report.secrets {
        let origin = (secret.status != Status::Pending).then_some(Origin::SecretFile);
        println!("secret     {}: {}", secret.name, state(origin));
    }
    for name in &report.env {
        println!("env        {name}=<redacted>");
    }
    for mount in &report.mounts {
        println!("mount      {} ({}, {})", mount.destination, mount.kind, mount.options);
    }
    for path in &report.mountpoints {
        println!("make       {path} (an empty mountpoint, removed at the end)");
    }
    for warning in report.warnings {
        println!("warning    {}", output::plain(warning));
    }
}
