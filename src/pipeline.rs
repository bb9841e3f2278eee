//! The stages in their order, as every driver runs them: the shim, `keyslip plan`, and what is
//! still to come.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::agent::{self, Definition, Kind, Rendering, TokenEnd, render, render_pending, render_secret};
use crate::audit::Event;
use crate::clock::Instant;
use crate::config::{self, AgentSettings, Config, OnMissing, Passthrough};
use crate::deliver::{self, AgentOrder, Context, EnvWay, HostDir, Order, Plan, SecretOrder};
use crate::journal::Journal;
use crate::ledger::{self, Fingerprinter, Ledger, Phase, Record, SandboxId};
use crate::names::{AgentName, AgentRef, SecretName, TemplateName};
use crate::oci::{self, Annotation, Spec};
use crate::policy::{self, Caller, Granted, Wanted};
use crate::request::{self, Request};
use crate::site::{Site, Whose};
use crate::source::{self, Credential, Keeper, Look, Origin, Outcome};

/// Everything that can go wrong on the way.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What we were handed is unusable.
    #[error(transparent)]
    Oci(#[from] oci::Error),
    /// The request is none.
    #[error(transparent)]
    Request(#[from] request::Error),
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The request is not allowed.
    #[error(transparent)]
    Policy(#[from] policy::Error),
    /// A source is unsafe or broken.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// An agent cannot be served.
    #[error(transparent)]
    Agent(#[from] agent::Error),
    /// It cannot be put where it belongs.
    #[error(transparent)]
    Deliver(#[from] deliver::Error),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// There is no credential, and that is not to be overlooked.
    #[error("{0}; on-missing is set to fail")]
    Missing(String),
    /// There is no such template.
    #[error("template {name} is not configured; {known}")]
    UnknownTemplate {
        /// The name.
        name: TemplateName,
        /// What there is.
        known: String,
    },
    /// No random number.
    #[error("no random number for a name: {0}")]
    Random(#[source] std::io::Error),
}

impl From<policy::Denied> for Error {
    fn from(denied: policy::Denied) -> Self {
        Self::Policy(denied.into())
    }
}

impl Error {
    /// What an audit log calls it: a refusal by policy, or anything else that failed.
    #[must_use]
    pub fn event(&self) -> Event {
        match self {
            Self::Policy(policy::Error::Denied(_)) => Event::Denied,
            _ => Event::Failed,
        }
    }
}

/// What a driver knows of the container that is being made.
#[derive(Debug)]
pub struct Input<'a> {
    /// Where things are.
    pub site: &'a Site,
    /// The configuration of that site.
    pub config: &'a Config,
    /// The engine, from the installation.
    pub engine: &'a str,
    /// The real runtime.
    pub runtime: &'a Path,
    /// Its `--root`.
    pub root: Option<&'a OsStr>,
    /// The container's id.
    pub container: &'a OsStr,
    /// The bundle, absolute.
    pub bundle: &'a Path,
    /// Its `config.json`.
    pub spec: &'a Spec<'a>,
    /// How variables get to the main process.
    pub env: EnvWay<'a>,
    /// The container is brought back from a checkpoint.
    pub restored: bool,
    /// Devices of the kind `keyslip.dev/agent` that the engine was asked for.
    pub devices: &'a [AgentRef],
    /// Nothing may be written, not even a key for fingerprints.
    pub dry_run: bool,
}

/// A delivery that is decided but not done.
#[derive(Debug)]
pub struct Prepared {
    /// What will be done.
    pub plan: Plan,
    /// What will be written down.
    pub record: Record,
}

/// Runs the stages up to the plan. Nothing when the container asks for nothing it may have.
///
/// # Errors
/// See [`Error`].
pub fn prepare(input: &Input<'_>, journal: &mut Journal) -> Result<Option<Prepared>, Error> {
    let Input { site, config, spec, .. } = *input;
    if matches!(input.engine, "cri" | "cdi") && spec.is_pod_sandbox() {
        return Ok(None);
    }
    let uid = match site.whose {
        Whose::System => None,
        Whose::User(uid) => Some(uid),
    };
    let caller = Caller { restored: input.restored, ..Caller::new(input.engine, input.container, uid, spec) };
    let mut found = request::read(spec, &site.requests(), input.bundle)?;
    found.by_device = Request::for_agents(input.devices)?;
    let Some(granted) = policy::decide(found, &caller, config, site, journal)? else { return Ok(None) };
    let chosen = choose(&granted.request, config)?;
    let agents: Vec<AgentRef> = chosen.iter().map(|(agent, _)| agent.clone()).collect();
    let allowed = policy::allow(
        &Wanted { agents: &agents, secrets: &granted.request.secrets, form: granted.form },
        &caller,
        config,
        site,
    )?;

    let fingerprints = if input.dry_run { Fingerprinter::none() } else { Fingerprinter::open(&site.state) };
    let with_env = !matches!(input.env, EnvWay::TooLate);
    let mut finder =
        Finder { config, site, strict: Some(granted.request.must_not_miss), with_env, fingerprints, journal };
    let mut order = Order { user: granted.request.user.clone(), ..Order::default() };
    for (agent, (_, settings)) in allowed.into_iter().zip(chosen) {
        order.agents.push(finder.agent(agent, settings)?);
    }
    for name in &granted.request.secrets {
        order.secrets.push(finder.secret(name)?);
    }
    let id = SandboxId::random().map_err(Error::Random)?;
    let context = Context {
        bundle: input.bundle,
        dir: Ledger::at(&site.runtime).sandbox(&id),
        request_mounts: granted.mounts.clone(),
        on_shadow: config.on_shadow,
        env: input.env,
        shares: (site.whose == Whose::System).then(|| Ledger::at(&site.runtime).shares(&id)),
    };
    let mut plan = deliver::plan(&order, spec, context)?;
    plan.change.annotations.push(Annotation { key: request::SANDBOX, value: id.as_str().to_owned() });
    journal.warnings.append(&mut plan.warnings);
    let record = record(input, &caller, &granted, &plan, id, journal);
    Ok(Some(Prepared { plan, record }))
}

/// The agents to serve and their settings: those of the template, of the request, or both.
fn choose(request: &Request, config: &Config) -> Result<Vec<(AgentRef, AgentSettings)>, Error> {
    let template = match &request.template {
        None => None,
        Some(name) => Some(config.templates.get(name).ok_or_else(|| Error::UnknownTemplate {
            name: name.clone(),
            known: match config.templates.len() {
                0 => "there are none".to_owned(),
                _ => format!(
                    "there are {}",
                    config.templates.keys().map(TemplateName::as_str).collect::<Vec<_>>().join(", ")
                ),
            },
        })?),
    };
    let settings = |agent: &AgentName| {
        let found = template.and_then(|template| template.agents.get(agent)).or_else(|| config.agents.get(agent));
        found.cloned().unwrap_or_default()
    };
    let mut agents = request.agents.clone();
    if let (Some(template), true) = (template, agents.is_empty()) {
        agents.extend(
            template
                .agents
                .keys()
                .map(|agent| AgentRef { agent: agent.clone(), account: crate::names::Account::default() }),
        );
    }
    Ok(agents
        .into_iter()
        .map(|agent| {
            let settings = settings(&agent.agent);
            (agent, settings)
        })
        .collect())
}

/// Finds credentials and renders them.
pub struct Finder<'a> {
    config: &'a Config,
    site: &'a Site,
    /// Whether the container insists on its credential; nothing for one that runs already.
    strict: Option<bool>,
    /// Variables can be delivered.
    with_env: bool,
    fingerprints: Fingerprinter,
    journal: &'a mut Journal,
}

impl<'a> Finder<'a> {
    /// A finder for containers that run: nothing that is missing is an error for them.
    #[must_use]
    pub fn new(config: &'a Config, site: &'a Site, with_env: bool, journal: &'a mut Journal) -> Self {
        let fingerprints = Fingerprinter::open(&site.state);
        Self { config, site, strict: None, with_env, fingerprints, journal }
    }

    /// What an agent gets.
    ///
    /// # Errors
    /// When the agent is unknown, a source is broken, or a missing credential is not acceptable.
    pub fn agent(&mut self, agent: AgentRef, settings: AgentSettings) -> Result<AgentOrder, Error> {
        let definition = Definition::find(&agent.agent, &self.site.config)?;
        if definition.is_none() && settings.secret_name.is_none() {
            return Err(agent::Error::Unknown(agent.agent, self.site.config.join("agents.d")).into());
        }
        let look = Look { agent: &agent, definition: definition.as_ref(), config: self.config, site: self.site };
        let outcome = look.find(&settings, self.journal)?;
        let mut order = AgentOrder {
            agent,
            definition,
            settings: settings.clone(),
            rendering: Rendering::default(),
            secret_file: None,
            host_dir: self.host_dir(&settings)?,
            login: None,
            origin: None,
            expires: None,
            fingerprint: None,
        };
        match outcome {
            Outcome::Found(credential) => self.fill(&mut order, &settings, credential)?,
            Outcome::Missing(why) => {
                self.missing(why)?;
                order.rendering = order.definition.as_ref().map(render_pending).unwrap_or_default();
            }
        }
        if settings.trust_workspace {
            self.trust(&mut order);
        }
        Ok(order)
    }

    /// Adds the settings by which the agent trusts every directory.
    fn trust(&mut self, order: &mut AgentOrder) {
        let trust = order.definition.as_ref().map(|definition| definition.trust.as_slice()).unwrap_or_default();
        if trust.is_empty() {
            let agent = &order.agent.agent;
            self.journal.warn(format!("trust_workspace has no effect for {agent}: its definition has no trust"));
        }
        order.rendering.settings.extend_from_slice(trust);
    }

    fn fill(&mut self, order: &mut AgentOrder, settings: &AgentSettings, credential: Credential) -> Result<(), Error> {
        let agent = order.agent.agent.clone();
        let kind = order.definition.as_ref().and_then(|definition| definition.recognise(&credential.value));
        let mut as_file = true;
        if let Some(name) = &settings.auth_env_var {
            let definition = order.definition.clone().unwrap_or_default();
            let shadowing = definition.kinds.iter().find(|kind| kind.env.contains_key(name.as_str()));
            order.rendering = Rendering {
                env: vec![render_secret(name, &credential.value)?],
                shadow_env: shadowing.map(|kind| kind.shadow_env.clone()).unwrap_or_default(),
                redirect_env: definition.redirect_env,
                shadow_settings: definition.shadow_settings,
                settings: definition.settings,
                ..Rendering::default()
            };
            if let Some(kind) = shadowing {
                let end = TokenEnd::of(&order.rendering.env[0].value);
                order.rendering.add_settings(kind, end);
            }
        } else if let (Some(definition), Some(kind)) = (&order.definition, kind) {
            let kind = &self.as_passed_through(kind, &credential);
            order.rendering = render(&agent, definition, kind, &credential.value, credential.expires, self.with_env)?;
            // A login is JSON with parts that stay on the host: it is delivered in the agent's own
            // file alone.
            as_file = kind.env.values().any(String::is_empty);
            if !self.with_env && order.rendering.files.is_empty() {
                for name in kind.env.keys() {
                    self.journal.warn(format!("{name} was not delivered: {}", deliver::TOO_LATE));
                }
            }
        } else if let (Some(definition), None) = (&order.definition, &settings.secret_name) {
            return Err(agent::Error::Unrecognised { agent, kinds: definition.kinds_text() }.into());
        }
        if as_file {
            let name = match &settings.secret_name {
                Some(name) => Some(name.clone()),
                None => agent.as_str().parse::<SecretName>().ok(),
            };
            order.secret_file = name.map(|name| (name, credential.value.clone()));
        }
        order.login = credential.account;
        order.origin = Some(credential.origin);
        order.expires = credential.expires;
        order.fingerprint = self.fingerprints.of(&credential.value);
        Ok(())
    }

    /// The configuration directory of the host that is shared.
    fn host_dir(&self, settings: &AgentSettings) -> Result<Option<HostDir>, Error> {
        let Some(path) = &settings.host_config_dir else { return Ok(None) };
        let keeper = Keeper::of(self.config, self.site)?;
        let path = path.strip_prefix("~/").map_or_else(|| PathBuf::from(path), |below| keeper.home.join(below));
        Ok(Some(HostDir { path, keeper, read_only: settings.host_config_dir_read_only }))
    }

    /// The kind, as a login of the host is delivered: with `passthrough = "env"` as the variable alone.
    fn as_passed_through(&self, kind: &Kind, credential: &Credential) -> Kind {
        let mut kind = kind.clone();
        let as_env = credential.origin == Origin::HostLogin && self.config.passthrough == Passthrough::Env;
        if as_env && self.with_env && !kind.passthrough_env.is_empty() {
            kind.shadow_env.retain(|name| !kind.passthrough_env.contains_key(name));
            kind.env = std::mem::take(&mut kind.passthrough_env);
            kind.files.clear();
        }
        kind
    }

    /// A secret file.
    ///
    /// # Errors
    /// When it is not configured or cannot be read, or a missing one is not acceptable.
    pub fn secret(&mut self, name: &SecretName) -> Result<SecretOrder, Error> {
        match source::find_secret(name, self.config, self.site, self.journal)? {
            Outcome::Found(credential) => Ok(SecretOrder {
                name: name.clone(),
                fingerprint: self.fingerprints.of(&credential.value),
                content: Some(credential.value),
            }),
            Outcome::Missing(why) => {
                self.missing(why)?;
                Ok(SecretOrder { name: name.clone(), content: None, fingerprint: None })
            }
        }
    }

    fn missing(&mut self, why: String) -> Result<(), Error> {
        let fails = |strict| strict || self.config.on_missing == OnMissing::Fail;
        if self.strict.is_some_and(fails) {
            return Err(Error::Missing(why));
        }
        self.journal.warn(why);
        Ok(())
    }
}

fn record(
    input: &Input<'_>,
    caller: &Caller,
    granted: &Granted,
    plan: &Plan,
    id: SandboxId,
    journal: &Journal,
) -> Record {
    Record {
        id,
        container: caller.container.clone(),
        engine: caller.engine.clone(),
        runtime: input.runtime.to_owned(),
        root: input.root.map(|root| root.to_string_lossy().into_owned()),
        namespace: caller.namespace.clone(),
        form: granted.form,
        created: Instant::now(),
        phase: Phase::Creating,
        process: None,
        agents: plan.agents.clone(),
        secrets: plan.secrets.clone(),
        mountpoints: Vec::new(),
        claims: Vec::new(),
        warnings: journal.warnings.clone(),
        audit: input.config.audit.clone(),
    }
}
