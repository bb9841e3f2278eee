//! The plan: everything that will be done, decided before anything is.

use std::path::{Path, PathBuf};

use super::Error;
use super::home;
use super::launcher;
use super::mountpoint::Mountpoint;
use super::order::{AgentOrder, Order};
use super::owner::Owner;
use super::place::Surroundings;
use super::secrets::{self, SecretFile};
use super::shared::{self, PlannedShare};
use super::tree::Tree;
use crate::config::OnShadow;
use crate::ledger::{AgentRecord, FileRecord, Key, SecretRecord, Status};
use crate::oci::{Change, EnvVar, NewMount, Spec};
use crate::secret::Secret;

/// How variables get to the main process.
#[derive(Clone, Copy, Debug)]
pub enum EnvWay<'a> {
    /// In the specification.
    Spec,
    /// By the launcher, which is at this path on the host.
    Launcher(&'a Path),
    /// Not any more: the runtime has read the specification.
    TooLate,
}

/// Why a hook at createRuntime delivers no variables.
pub const TOO_LATE: &str = "a hook at createRuntime comes too late for variables; use the shim or precreate";

/// Where and how to deliver.
#[derive(Debug)]
pub struct Context<'a> {
    /// The bundle.
    pub bundle: &'a Path,
    /// The container's directory on the tmpfs.
    pub dir: PathBuf,
    /// Positions of mounts that are requests, to be taken out.
    pub request_mounts: Vec<usize>,
    /// What to do about variables that shadow or redirect a credential.
    pub on_shadow: OnShadow,
    /// How variables get to the main process.
    pub env: EnvWay<'a>,
    /// Where mounts on the host's side can be made; without it, the runtime is given paths.
    pub shares: Option<PathBuf>,
}

/// A file on the tmpfs.
#[derive(Debug)]
pub struct PlannedFile {
    /// Its path on the host.
    pub path: PathBuf,
    /// What is in it.
    pub content: Secret,
    /// Its mode.
    pub mode: u32,
    /// Host uid and gid.
    pub owner: (u32, u32),
}

/// A file in a volume that only one container may have.
#[derive(Debug)]
pub struct Claim {
    /// Which file.
    pub key: Key,
    /// Its path in the container.
    pub path: PathBuf,
    /// What goes there.
    pub what: String,
    /// Without it, nothing is delivered.
    pub required: bool,
}

/// Everything that will be done.
#[derive(Debug, Default)]
pub struct Plan {
    /// The container's directory on the tmpfs.
    pub dir: PathBuf,
    /// Directories in it.
    pub directories: Vec<PathBuf>,
    /// Files in it.
    pub files: Vec<PlannedFile>,
    /// Mountpoints in the root file system and in volumes.
    pub mountpoints: Vec<Mountpoint>,
    /// Mounts on the host's side.
    pub shared: Vec<PlannedShare>,
    /// Files in volumes that must be ours alone.
    pub claims: Vec<Claim>,
    /// What changes in the specification.
    pub change: Change,
    /// The SELinux label for the files.
    pub label: Option<String>,
    /// What is written down about agents.
    pub agents: Vec<AgentRecord>,
    /// What is written down about secret files.
    pub secrets: Vec<SecretRecord>,
    /// What needs attention.
    pub warnings: Vec<String>,
    pub(super) taken: Vec<(PathBuf, String)>,
    pub(super) settings: Vec<(PathBuf, usize)>,
    pub(super) settings_of_host: Vec<(PathBuf, Secret)>,
}

impl Plan {
    /// Adds mounts: two files in one missing directory of a tmpfs need it once, a second one would hide the first.
    pub(super) fn add_mounts(&mut self, mounts: Vec<NewMount>) {
        for mount in mounts {
            if !self.change.mounts.contains(&mount) {
                self.change.mounts.push(mount);
            }
        }
    }
}

/// Makes the plan. The root file system and the volumes are looked at, nothing is touched.
///
/// # Errors
/// See [`Error`].
pub fn plan(order: &Order, spec: &Spec<'_>, context: Context<'_>) -> Result<Plan, Error> {
    let tree = Tree::open(spec, context.bundle, &context.request_mounts)?;
    let owner = Owner::find(spec, &tree, order.user.as_deref())?;
    let around = Surroundings::new(spec, context.bundle, &tree, &owner)?;
    let mut plan = Plan {
        dir: context.dir,
        label: spec.mount_label.as_deref().map(str::to_owned),
        change: Change { without_mounts: context.request_mounts, ..Change::default() },
        ..Plan::default()
    };
    let mut files: Vec<SecretFile<'_>> = Vec::new();
    for agent in &order.agents {
        if let Some((name, content)) = &agent.secret_file {
            files.push(SecretFile { name, content: Some(content), what: format!("agent {}", agent.agent) });
        }
    }
    for secret in &order.secrets {
        files.push(SecretFile {
            name: &secret.name,
            content: secret.content.as_ref(),
            what: format!("secret {}", secret.name),
        });
    }
    secrets::plan(&mut plan, &around, &files)?;
    let mut holders: Vec<(&str, String)> = Vec::new();
    for agent in &order.agents {
        shadows(&mut plan, &around, spec, agent, context.on_shadow)?;
        let env = variables(&mut plan, spec, agent, &mut holders)?;
        let mut paths = home::credentials(&mut plan, &around, spec, agent)?;
        shared::plan(&mut plan, &around, spec, agent, context.shares.as_deref());
        home::settings(&mut plan, &around, spec, agent);
        paths.extend(agent.secret_file.iter().map(|(name, _)| secrets::record(name, &owner)));
        plan.agents.push(record(agent, env, paths));
    }
    match context.env {
        EnvWay::Spec => {}
        EnvWay::Launcher(program) => launcher::plan(&mut plan, &around, spec, program)?,
        EnvWay::TooLate => {
            for var in std::mem::take(&mut plan.change.env) {
                plan.warnings.push(format!("{} was not delivered: {TOO_LATE}", var.name));
            }
            plan.agents.iter_mut().for_each(|agent| agent.env.clear());
        }
    }
    plan.secrets = order
        .secrets
        .iter()
        .map(|secret| SecretRecord {
            name: secret.name.clone(),
            status: status(secret.content.is_some()),
            fingerprint: secret.fingerprint.clone(),
            file: secrets::record(&secret.name, &owner),
        })
        .collect();
    Ok(plan)
}

/// Adds the agent's variables, except those the container sets itself.
fn variables<'a>(
    plan: &mut Plan,
    spec: &Spec<'_>,
    agent: &'a AgentOrder,
    holders: &mut Vec<(&'a str, String)>,
) -> Result<Vec<String>, Error> {
    let mut added = Vec::new();
    for var in &agent.rendering.env {
        let name = var.name.as_str();
        if let Some((_, other)) = holders.iter().find(|(held, _)| *held == name) {
            return Err(Error::TwoForVariable {
                name: name.to_owned(),
                one: other.clone(),
                two: agent.agent.to_string(),
            });
        }
        holders.push((name, agent.agent.to_string()));
        if spec.process.variable(name).is_some() {
            plan.warnings.push(format!(
                "{name} is set by the container itself and was left as it is; {} uses that",
                agent.agent
            ));
            continue;
        }
        added.push(name.to_owned());
        plan.change.env.push(EnvVar { name: var.name.clone(), value: var.value.clone() });
    }
    Ok(added)
}

/// Looks for variables and settings of the container that beat the credential or send it away.
fn shadows(
    plan: &mut Plan,
    around: &Surroundings<'_>,
    spec: &Spec<'_>,
    agent: &AgentOrder,
    on_shadow: OnShadow,
) -> Result<(), Error> {
    let set = |name: &&String| spec.process.variable(name).is_some_and(|value| !value.is_empty());
    let shadowing =
        agent.rendering.shadow_env.iter().filter(set).map(|name| {
            format!("{name} is set by the container; {} uses it instead of what was delivered", agent.agent)
        });
    let redirecting = agent.rendering.redirect_env.iter().filter(set).map(|name| {
        format!(
            "{name} is set by the container; {} sends its requests, with the credential, where it says",
            agent.agent
        )
    });
    let in_settings = home::shadowing_settings(around, spec, agent);
    for message in shadowing.chain(redirecting).chain(in_settings) {
        if on_shadow == OnShadow::Fail {
            return Err(Error::Shadowed(message));
        }
        plan.warnings.push(message);
    }
    Ok(())
}

fn record(agent: &AgentOrder, env: Vec<String>, files: Vec<FileRecord>) -> AgentRecord {
    AgentRecord {
        agent: agent.agent.agent.clone(),
        account: agent.agent.account.clone(),
        login: agent.login.clone(),
        status: status(agent.origin.is_some()),
        origin: agent.origin,
        expires: agent.expires,
        fingerprint: agent.fingerprint.clone(),
        env,
        files,
        settings: agent.settings.clone(),
    }
}

fn status(found: bool) -> Status {
    if found { Status::Delivered } else { Status::Pending }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
