//! The `[[allow]]` rules.

use std::path::PathBuf;

use super::Caller;
use crate::config::{Allow, Config, OneOrMany};
use crate::names::{Account, AgentName, AgentRef, DEFAULT_ACCOUNT, SecretName};
use crate::request::Form;
use crate::site::Site;

/// What is to be delivered.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Agents with their accounts.
    pub agents: &'a [AgentRef],
    /// Secret files that the container names itself.
    pub secrets: &'a [SecretName],
    /// How it was asked for.
    pub form: Form,
}

/// A request that no rule allows.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// No rule speaks of it.
    #[error("{who} asks for {what}, which no [[allow]] rule permits; to permit it, write into {}: {rule}", .file.display())]
    Unnamed {
        /// Who asks.
        who: String,
        /// For what.
        what: String,
        /// The rule that would help.
        rule: String,
        /// The file to write it into.
        file: PathBuf,
    },
    /// A rule gives this agent with one account alone.
    #[error(
        "{who} asks for {what}, but an [[allow]] rule gives it {agent} with the account {account} alone; ask for {agent}, without an account"
    )]
    Pinned {
        /// Who asks.
        who: String,
        /// For what.
        what: String,
        /// The agent.
        agent: AgentName,
        /// The account of the rule.
        account: Account,
    },
    /// A rule for pods would give more than everybody has, and nothing shows that this is a pod.
    #[error(
        "{who} asks for {what}, and the rules for pods give it {given}, but by a CDI file that every engine reads anybody can say \
         that it is a pod; have the CRI read a directory of its own, see `keyslip cdi generate --engine cri`"
    )]
    Unproven {
        /// Who asks.
        who: String,
        /// For what.
        what: String,
        /// What the rules would give.
        given: String,
    },
}

/// Checks a caller that says that it is a pod: it may have what a pod with this name may have and what
/// everybody may have who names the same device, and nothing else.
pub(super) fn check_claimed(
    wanted: &Wanted<'_>,
    (caller, claimed): (&Caller, &Caller),
    config: &Config,
    site: &Site,
) -> Result<Vec<AgentRef>, Denied> {
    let as_pod = check(wanted, claimed, config, site)?;
    let given = check(wanted, caller, config, site)?;
    match given.iter().zip(&as_pod).zip(wanted.agents).find(|((given, as_pod), _)| given != as_pod) {
        None => Ok(given),
        Some(((_, as_pod), asked)) => {
            Err(Denied::Unproven { who: who(claimed), what: asked.to_string(), given: as_pod.to_string() })
        }
    }
}

/// Checks every part of `wanted`. Rules add to the default, which the configuration can take away:
/// engines on this host may ask for the default accounts and for named secrets, a CRI for nothing. The
/// first rule with an `account` decides about the account.
pub(super) fn check(
    wanted: &Wanted<'_>,
    caller: &Caller,
    config: &Config,
    site: &Site,
) -> Result<Vec<AgentRef>, Denied> {
    let rules = &config.allow;
    let by_default = !config.no_default_allow && caller.engine != "cri";
    let matching: Vec<&Allow> = rules.iter().filter(|rule| selects(rule, caller, wanted.form)).collect();
    let mut given = Vec::with_capacity(wanted.agents.len());
    for agent in wanted.agents {
        let pinned = matching.iter().filter(|rule| names_agent(rule, agent)).find_map(|rule| rule.account.as_ref());
        if let Some(account) = pinned {
            if !agent.account.is_default() && agent.account != *account {
                let (who, what) = (who(caller), agent.to_string());
                return Err(Denied::Pinned { who, what, agent: agent.agent.clone(), account: account.clone() });
            }
            given.push(AgentRef { agent: agent.agent.clone(), account: account.clone() });
            continue;
        }
        let by_rule = matching.iter().any(|rule| allows_agent(rule, agent));
        let default = by_default && agent.account.is_default();
        if !by_rule && !default {
            return Err(denied(
                caller,
                site,
                agent.to_string(),
                format!("agents = [\"{}\"], accounts = [\"{}\"]", agent.agent, agent.account),
            ));
        }
        given.push(agent.clone());
    }
    for secret in wanted.secrets {
        let by_rule = matching.iter().any(|rule| rule.secrets.iter().any(|pattern| glob(pattern, secret.as_str())));
        if !by_rule && !by_default {
            return Err(denied(caller, site, format!("secret {secret}"), format!("secrets = [\"{secret}\"]")));
        }
    }
    Ok(given)
}

fn names_agent(rule: &Allow, agent: &AgentRef) -> bool {
    rule.agents.iter().any(|pattern| glob(pattern, agent.agent.as_str()))
}

fn allows_agent(rule: &Allow, agent: &AgentRef) -> bool {
    let account = match &rule.accounts {
        None => agent.account.as_str() == DEFAULT_ACCOUNT,
        Some(patterns) => patterns.iter().any(|pattern| glob(pattern, agent.account.as_str())),
    };
    account && names_agent(rule, agent)
}

/// Whether the rule speaks of this container.
fn selects(rule: &Allow, caller: &Caller, form: Form) -> bool {
    fits(rule.engine.as_ref(), &caller.engine)
        && (rule.namespace.is_none()
            || caller.namespace.as_deref().is_some_and(|namespace| fits(rule.namespace.as_ref(), namespace)))
        && fits(rule.name.as_ref(), caller.name())
        && rule.uid.as_ref().is_none_or(|uids| caller.uid.is_some_and(|uid| uids.as_slice().contains(&uid)))
        && rule.form.as_ref().is_none_or(|forms| forms.as_slice().contains(&form))
}

fn fits(patterns: Option<&OneOrMany<String>>, text: &str) -> bool {
    patterns.is_none_or(|patterns| patterns.as_slice().iter().any(|pattern| glob(pattern, text)))
}

/// Equal, or equal up to a final `*`.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(stem) => text.starts_with(stem),
        None => pattern == text,
    }
}

fn who(caller: &Caller) -> String {
    match &caller.namespace {
        Some(namespace) => format!("pod {} of namespace {namespace} ({})", caller.name(), caller.engine),
        None => caller.engine.clone(),
    }
}

fn denied(caller: &Caller, site: &Site, what: String, grants: String) -> Denied {
    let place =
        caller.namespace.as_deref().map(|namespace| format!(", namespace = \"{namespace}\"")).unwrap_or_default();
    Denied::Unnamed {
        who: who(caller),
        what,
        // In one line, as a file of its own: rules of several files add up.
        rule: format!("allow = [{{ engine = \"{}\"{place}, {grants} }}]", caller.engine),
        file: site.config.join("conf.d").join(format!("allow-{}.toml", caller.engine)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn caller(engine: &str, namespace: Option<&str>) -> Caller {
        Caller {
            engine: engine.to_owned(),
            container: "c1".to_owned(),
            converted: false,
            restored: false,
            uid: None,
            namespace: namespace.map(str::to_owned),
            pod: namespace.map(|_| "review-7".to_owned()),
            claimed: None,
        }
    }

    fn asks(caller: &Caller, agent: &str, rules: &str) -> Result<String, String> {
        #[derive(serde::Deserialize)]
        struct Rules {
            #[serde(default)]
            allow: Vec<Allow>,
            #[serde(default)]
            no_default_allow: bool,
        }
        let rules: Rules = toml::from_str(rules).unwrap();
        let config = Config { allow: rules.allow, no_default_allow: rules.no_default_allow, ..Config::default() };
        let agents = [agent.parse().unwrap()];
        let wanted = Wanted { agents: &agents, secrets: &[], form: Form::Annotation };
        let site = Site::system(Path::new("/"));
        let checked = match &caller.claimed {
            None => check(&wanted, caller, &config, &site),
            Some(claimed) => check_claimed(&wanted, (caller, claimed), &config, &site),
        };
        checked.map(|given| given[0].to_string()).map_err(|denied| denied.to_string())
    }

    #[test]
    fn local_engines_have_the_default_accounts_and_cri_has_nothing() {
        assert_eq!(asks(&caller("podman", None), "claude", ""), Ok("claude".to_owned()));
        assert!(asks(&caller("podman", None), "claude@work", "").is_err());
        assert!(asks(&caller("cri", Some("team-a")), "claude", "").is_err());
    }

    #[test]
    fn a_denial_names_the_rule_that_would_help_and_the_rule_helps() {
        let pod = caller("cri", Some("team-a"));
        let denied = asks(&pod, "claude@work", "").unwrap_err();
        let rule = &denied[denied.find("allow = [").unwrap()..];
        assert_eq!(asks(&pod, "claude@work", rule), Ok("claude@work".to_owned()), "{rule}");
        assert!(denied.contains("/etc/keyslip/conf.d/allow-cri.toml"));
    }

    #[test]
    fn rules_select_by_engine_namespace_name_and_form() {
        let pod = caller("cri", Some("team-a"));
        for (rule, allowed) in [
            ("engine = \"cri\"\nnamespace = \"team-a\"", true),
            ("namespace = [\"team-b\", \"team-*\"]", true),
            ("namespace = \"team-b\"", false),
            ("name = \"review-*\"", true),
            ("name = \"build-*\"", false),
            ("engine = \"podman\"", false),
            ("form = \"mount\"", false),
            ("form = [\"mount\", \"annotation\"]", true),
            ("uid = 1000", false),
        ] {
            let rules = format!("[[allow]]\n{rule}\nagents = [\"claude\"]\n");
            assert_eq!(asks(&pod, "claude", &rules).is_ok(), allowed, "{rule}");
        }
    }

    #[test]
    fn rules_add_to_the_default_unless_it_is_taken_away() {
        let rules = "[[allow]]\nengine = \"podman\"\nagents = [\"codex\"]\naccounts = [\"work\"]\n";
        assert!(asks(&caller("podman", None), "claude", rules).is_ok());
        assert!(asks(&caller("podman", None), "codex@work", rules).is_ok());
        assert!(asks(&caller("bare", None), "codex@work", rules).is_err());
        let alone = format!("no_default_allow = true\n{rules}");
        assert!(asks(&caller("podman", None), "claude", &alone).is_err());
        assert!(asks(&caller("podman", None), "codex@work", &alone).is_ok());
        assert!(asks(&caller("podman", None), "codex", &alone).is_err());
    }

    #[test]
    fn a_rule_with_an_account_gives_that_one_and_no_other() {
        let rules = "[[allow]]\nname = \"c*\"\nagents = [\"claude\"]\naccount = \"work\"\n\
                     [[allow]]\nagents = [\"*\"]\naccounts = [\"*\"]\n";
        let podman = caller("podman", None);
        assert_eq!(asks(&podman, "claude", rules), Ok("claude@work".to_owned()));
        assert_eq!(asks(&podman, "claude@work", rules), Ok("claude@work".to_owned()));
        let denied = asks(&podman, "claude@private", rules).unwrap_err();
        assert!(denied.contains("with the account work alone"), "{denied}");
        assert_eq!(asks(&podman, "codex@private", rules), Ok("codex@private".to_owned()));
    }

    #[test]
    fn a_pod_by_its_own_account_has_what_both_may_have() {
        let device = Caller { claimed: Some(Box::new(caller("cri", Some("team-a")))), ..caller("cdi", None) };
        let pods = "[[allow]]\nengine = \"cri\"\nnamespace = \"team-a\"\nagents = [\"claude\"]\n";
        let denied = asks(&device, "claude", "").unwrap_err();
        assert!(denied.starts_with("pod review-7 of namespace team-a (cri) asks for claude"), "{denied}");
        assert_eq!(asks(&device, "claude", pods), Ok("claude".to_owned()));
        assert!(asks(&device, "claude", &pods.replace("team-a", "team-b")).is_err());
        // More than the default accounts is nothing that a claim can give.
        let work = format!("{pods}accounts = [\"work\"]\n");
        let denied = asks(&device, "claude@work", &work).unwrap_err();
        assert!(denied.starts_with("cdi asks for claude@work"), "{denied}");
        let pinned = format!("{pods}account = \"work\"\n");
        let denied = asks(&device, "claude", &pinned).unwrap_err();
        assert!(denied.contains("give it claude@work") && denied.contains("--engine cri"), "{denied}");
        // What everybody may have by this device is not given to a pod without a rule of its own.
        let everybody = "[[allow]]\nengine = \"cdi\"\nagents = [\"claude\"]\naccounts = [\"work\"]\n";
        assert!(asks(&device, "claude@work", everybody).is_err());
        assert_eq!(asks(&device, "claude@work", &format!("{everybody}{work}")), Ok("claude@work".to_owned()));
        assert_eq!(asks(&caller("cdi", None), "claude@work", everybody), Ok("claude@work".to_owned()));
    }

    #[test]
    fn a_namespace_in_a_rule_is_not_met_by_a_caller_without_one() {
        let rules = "[[allow]]\nnamespace = \"*\"\nagents = [\"*\"]\naccounts = [\"*\"]\n";
        assert!(asks(&caller("podman", None), "claude@work", rules).is_err());
    }
}
