//! Keyslip's own configuration: does it say anything that cannot come true?

use std::collections::BTreeSet;

use super::{Area, Finding, Remedy, listed, programs};
use crate::agent::Definition;
use crate::config::{Allow, Config, OneOrMany};
use crate::names::AgentName;
use crate::site::{Site, Whose};

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Where the configuration is.
    pub file: String,
    /// It is root's.
    pub system: bool,
    /// This user.
    pub uid: u32,
    /// Rules that can never match or that grant nothing: their number, from 1, and why.
    pub idle_rules: Vec<(usize, String)>,
    /// Agents with settings that are unknown.
    pub unknown: Vec<String>,
    /// Definitions that cannot be used, and why.
    pub bad_definitions: Vec<(String, String)>,
    /// Engines with settings that are none.
    pub no_engines: Vec<String>,
    /// Annotations of every engine count.
    pub all_annotations: bool,
    /// Hooks write variables into the specification.
    pub env_in_spec: bool,
}

/// The finding for a configuration that cannot be read: then nothing starts that asks.
#[must_use]
pub fn unreadable(error: &crate::config::Error) -> Finding {
    let remedy = match error {
        crate::config::Error::Unsafe { reason, .. } => match reason.split_once("run: ") {
            Some((_, command)) => Remedy::run(command),
            None => Remedy::advice(reason.clone()),
        },
        crate::config::Error::Invalid { path, line, .. } => {
            Remedy::advice(format!("mend line {line} of {}", path.display()))
        }
        crate::config::Error::Read { path, .. } => {
            Remedy::advice(format!("make {} readable for this user", path.display()))
        }
    };
    let what = format!("{error}; no container that asks for anything starts");
    Finding::broken(Area::Configuration, "configuration", what, remedy)
}

/// Looks at a configuration that could be read.
#[must_use]
pub fn observe(config: &Config, site: &Site) -> Seen {
    let system = site.whose == Whose::System;
    let uid = match site.whose {
        Whose::System => 0,
        Whose::User(uid) => uid,
    };
    let mut seen = Seen {
        file: site.config_file().display().to_string(),
        system,
        uid,
        no_engines: config.engines.keys().filter(|name| !is_engine(name)).cloned().collect(),
        all_annotations: config.trust_annotations,
        env_in_spec: config.env_in_spec,
        ..Seen::default()
    };
    let templates = config.templates.values().flat_map(|template| template.agents.iter());
    let mut names: BTreeSet<AgentName> = BTreeSet::new();
    for (name, settings) in config.agents.iter().chain(templates) {
        // With a secret file of its own an agent needs no definition.
        if settings.secret_name.is_none() {
            names.insert(name.clone());
        }
    }
    let own = std::fs::read_dir(site.config.join("agents.d")).into_iter().flatten().flatten();
    let own = own.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".toml")?.to_owned()));
    let own: Vec<AgentName> = own.filter_map(|name| name.parse().ok()).collect();
    for name in names.into_iter().chain(own).collect::<BTreeSet<_>>() {
        match Definition::find(&name, &site.config) {
            Ok(Some(_)) => {}
            Ok(None) => seen.unknown.push(name.to_string()),
            Err(error) => seen.bad_definitions.push((name.to_string(), error.to_string())),
        }
    }
    let known = |name: &str| {
        let name: Result<AgentName, _> = name.parse();
        let with_secret = |name: &AgentName| config.agents.get(name).is_some_and(|it| it.secret_name.is_some());
        name.is_ok_and(|name| with_secret(&name) || !matches!(Definition::find(&name, &site.config), Ok(None)))
    };
    for (index, rule) in config.allow.iter().enumerate() {
        if let Some(why) = idle(rule, config, site.whose, known) {
            seen.idle_rules.push((index + 1, why));
        }
    }
    seen
}

/// The engines that callers can be: those with links, and CDI devices.
fn is_engine(name: &str) -> bool {
    programs::ENGINES.contains(&name) || name == "cdi"
}

/// Why a rule never allows anything.
fn idle(rule: &Allow, config: &Config, whose: Whose, known: impl Fn(&str) -> bool) -> Option<String> {
    let texts =
        |values: &Option<OneOrMany<String>>| values.as_ref().map(|it| it.as_slice().to_vec()).unwrap_or_default();
    let engines = texts(&rule.engine);
    let strange: Vec<&String> = engines.iter().filter(|name| !name.ends_with('*') && !is_engine(name)).collect();
    if !engines.is_empty() && strange.len() == engines.len() {
        let known = listed(programs::ENGINES);
        return Some(format!("there is no engine {}; there are {known}", listed(strange)));
    }
    let may_be_cri = engines.is_empty() || engines.iter().any(|name| covers(name, "cri"));
    if rule.namespace.is_some() && !may_be_cri {
        return Some("only containers of the engine cri have a namespace".to_owned());
    }
    let uids = rule.uid.as_ref().map(|it| it.as_slice().to_vec()).unwrap_or_default();
    match whose {
        Whose::System if !uids.is_empty() => {
            return Some(
                "uid is the user of a rootless engine, and this configuration is that of root's engines".to_owned(),
            );
        }
        Whose::User(us) if !uids.is_empty() && !uids.contains(&us) => {
            return Some(format!("the engines that read this configuration are those of uid {us}"));
        }
        Whose::System | Whose::User(_) => {}
    }
    if rule.agents.is_empty() && rule.secrets.is_empty() {
        return Some("it names neither agents nor secrets, so it grants nothing".to_owned());
    }
    let unknown: Vec<&String> = rule.agents.iter().filter(|name| !name.ends_with('*') && !known(name)).collect();
    let missing: Vec<&String> =
        rule.secrets.iter().filter(|name| !name.ends_with('*') && !has_secret(config, name)).collect();
    if unknown.len() + missing.len() == rule.agents.len() + rule.secrets.len() {
        return Some(match (unknown.is_empty(), missing.is_empty()) {
            (false, _) => format!("{} is no agent that is known", listed(unknown)),
            (true, _) => format!("{} is not in [secrets]", listed(missing)),
        });
    }
    None
}

fn covers(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |stem| name.starts_with(stem))
}

fn has_secret(config: &Config, name: &str) -> bool {
    config.secrets.keys().any(|secret| secret.as_str() == name)
}

/// What that means.
#[must_use]
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let area = Area::Configuration;
    let mut findings = Vec::new();
    for (number, why) in &seen.idle_rules {
        findings.push(Finding::warning(
            area,
            format!("[[allow]] number {number}"),
            format!("never allows anything: {why}"),
            Remedy::advice(format!("correct the rule in {} or conf.d, or take it out", seen.file)),
        ));
    }
    for name in &seen.unknown {
        findings.push(Finding::warning(
            area,
            format!("agent {name}"),
            "has settings and is unknown, so no container that asks for it starts",
            Remedy::advice("check the spelling; or describe it in agents.d, or give it a secret_name"),
        ));
    }
    for (name, why) in &seen.bad_definitions {
        findings.push(Finding::broken(
            area,
            format!("agent {name}"),
            why.clone(),
            match why.split_once("run: ") {
                Some((_, command)) => Remedy::run(command.split(';').next().unwrap_or(command)),
                None => Remedy::advice("mend its file in agents.d, or take it away"),
            },
        ));
    }
    for name in &seen.no_engines {
        findings.push(Finding::warning(
            area,
            format!("[engines.{name}]"),
            format!("is no engine; there are {}", listed(programs::ENGINES)),
            Remedy::advice("correct its name, or take it out"),
        ));
    }
    if seen.all_annotations {
        findings.push(Finding::warning(
            area,
            "trust_annotations",
            "is set for every engine: with podman 4 and converted bundles an image can ask for credentials by itself",
            Remedy::advice("set it under [engines.NAME], for engines that run only images you trust"),
        ));
    }
    if seen.env_in_spec {
        findings.push(Finding::warning(
            area,
            "env = \"spec\"",
            "podman writes the variables that hooks deliver to its disk and shows them in inspect",
            Remedy::advice("take env out of [delivery]: the launcher gives variables without that"),
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(area, seen.file.clone(), "is valid"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::exit_code;

    fn why(rule: &str, whose: Whose) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Rules {
            allow: Vec<Allow>,
        }
        let rules: Rules = toml::from_str(&format!("[[allow]]\n{rule}\n")).unwrap();
        let mut config = Config::default();
        config.secrets.insert("openai".parse().unwrap(), "/x".into());
        idle(&rules.allow[0], &config, whose, |name| name == "claude" || name == "codex")
    }

    #[test]
    fn rules_that_never_allow_anything() {
        for (rule, part) in [
            ("engine = \"podmann\"\nagents = [\"claude\"]", "no engine podmann"),
            ("engine = \"podman\"\nnamespace = \"a\"\nagents = [\"claude\"]", "namespace"),
            ("uid = 1000\nagents = [\"claude\"]", "rootless"),
            ("engine = \"podman\"", "grants nothing"),
            ("agents = [\"cluade\"]", "cluade is no agent"),
            ("secrets = [\"opanai\"]", "opanai is not in [secrets]"),
        ] {
            let why = why(rule, Whose::System).unwrap_or_default();
            assert!(why.contains(part), "{rule}: {why:?}");
        }
        assert!(why("uid = 1000\nagents = [\"claude\"]", Whose::User(4100)).unwrap().contains("uid 4100"));
    }

    #[test]
    fn rules_that_can_match_are_left_alone() {
        for rule in [
            "agents = [\"*\"]",
            "engine = [\"podman\", \"strange\"]\nagents = [\"claude\", \"unknown\"]",
            "engine = \"c*\"\nnamespace = \"a\"\nagents = [\"cla*\"]",
            "namespace = \"a\"\nagents = [\"codex\"]",
            "secrets = [\"openai\"]",
        ] {
            assert_eq!(why(rule, Whose::System), None, "{rule}");
        }
        assert_eq!(why("uid = [4100]\nagents = [\"claude\"]", Whose::User(4100)), None);
    }

    #[test]
    fn every_other_oddity_is_told() {
        assert_eq!(exit_code(&judge(&Seen::default())), 0);
        for seen in [
            Seen { unknown: vec!["x".to_owned()], ..Seen::default() },
            Seen { no_engines: vec!["x".to_owned()], ..Seen::default() },
            Seen { all_annotations: true, ..Seen::default() },
            Seen { env_in_spec: true, ..Seen::default() },
        ] {
            assert_eq!(exit_code(&judge(&seen)), 1, "{seen:?}");
        }
        let bad = ("x".to_owned(), "the configuration /a can be written by others; run: chmod go-w /a; x".to_owned());
        let findings = judge(&Seen { bad_definitions: vec![bad], ..Seen::default() });
        assert_eq!((exit_code(&findings), findings[0].command.as_deref()), (2, Some("chmod go-w /a")));
    }

    #[test]
    fn a_configuration_that_cannot_be_read_says_what_to_do() {
        let reason = "can be written by others; run: chmod go-w /etc/keyslip/keyslip.toml".to_owned();
        let finding = unreadable(&crate::config::Error::Unsafe { path: "/e".into(), reason });
        assert_eq!(finding.command.as_deref(), Some("chmod go-w /etc/keyslip/keyslip.toml"));
        let invalid = crate::config::Error::Invalid { path: "/e".into(), line: 3, column: 7, reason: "x".to_owned() };
        assert!(unreadable(&invalid).what.contains("/e:3:7"));
    }
}
