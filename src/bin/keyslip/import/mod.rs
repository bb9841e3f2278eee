//! `keyslip auth import`: logins that another tool has stored.

mod report;

use std::cell::OnceCell;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use keyslip::agent::{self, Definition};
use keyslip::clock::Instant;
use keyslip::config::{Backend, Config};
use keyslip::import::{self, Error, Found, Imported, RefreshToken, Stored, client, drop_in, forage, headjack};
use keyslip::journal::sentence;
use keyslip::names::{Account, AgentName};
use keyslip::secret::Secret;
use keyslip::site::Site;
use keyslip::source::question::{Answer, Question};
use keyslip::source::{Custody, Keeper, Store, ask, host_login};
use zeroize::Zeroizing;

use self::report::{Configuration, Login, Report};
use crate::auth::Rests;
use crate::output::Format;

#[derive(clap::Args)]
pub struct Args {
    /// From where: forage, headjack, or an agent whose own client is logged in on this host.
    #[arg(value_name = "forage|headjack|AGENT")]
    source: Source,
    /// The account that the logins shall have here.
    #[arg(long, default_value_t)]
    account: Account,
    /// Forage's state directory, or the directory of Headjack's encrypted files.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Forage's configuration directory.
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// Show what would be imported, and store nothing.
    #[arg(long)]
    dry_run: bool,
    /// Replace a login that is stored already.
    #[arg(long)]
    force: bool,
    /// Where to keep the logins; else what the configuration says.
    #[arg(long, value_enum)]
    store: Option<Rests>,
    #[command(flatten)]
    format: Format,
}

#[derive(Clone, Debug)]
enum Source {
    Forage,
    Headjack,
    Client(AgentName),
}

impl std::str::FromStr for Source {
    type Err = keyslip::names::InvalidName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "forage" => Self::Forage,
            "headjack" => Self::Headjack,
            agent => Self::Client(agent.parse()?),
        })
    }
}

struct Import<'a> {
    args: &'a Args,
    site: &'a Site,
    config: Config,
    store: &'a Store,
    rests: Backend,
    report: Report,
}

pub fn run(args: &Args, config: Config, store: &Store, site: &Site) -> anyhow::Result<ExitCode> {
    if args.from.is_some() && matches!(args.source, Source::Client(_)) {
        bail!("--from is for forage and headjack; an agent's client is read where the client keeps its login");
    }
    if args.config.is_some() && !matches!(args.source, Source::Forage) {
        bail!("--config is for forage");
    }
    let wanted = args.store.map_or(config.backend, Backend::from);
    let (rests, _) = Custody::new(store, &config, site).choose(wanted)?;
    let mut import = Import { args, site, config, store, rests, report: Report::default() };
    match &args.source {
        Source::Forage => import.forage()?,
        Source::Headjack => import.headjack()?,
        Source::Client(agent) => import.client(agent)?,
    }
    import.report.print(args.format.json)
}

impl Import<'_> {
    fn keeper(&self) -> &Keeper {
        self.store.keeper()
    }

    fn forage(&mut self) -> anyhow::Result<()> {
        let dir = self.args.config.as_deref().unwrap_or(Path::new(forage::CONFIG_DIR));
        let setup = forage::setup(dir).unwrap_or_else(|error| {
            self.failed(&error);
            None
        });
        let of_setup = setup.as_ref().and_then(|setup| setup.state_dir.clone());
        let state = self.args.from.clone().or(of_setup).unwrap_or_else(|| PathBuf::from(forage::STATE_DIR));
        match forage::token(&state) {
            Ok(Some(token)) => self.take(Ok(token))?,
            Ok(None) => {}
            Err(error) => self.failed(&error),
        }
        if let Some(setup) = setup {
            self.configure(setup);
        }
        self.found_something(&format!("{}, {}", state.join("tokens").display(), dir.display()))
    }

    fn configure(&mut self, setup: forage::Setup) {
        let dir = &self.site.config;
        let known = |agent: &AgentName| Definition::find(agent, dir).is_ok_and(|found| found.is_some());
        let planned = drop_in::plan(setup, &self.config, &known);
        self.report.notes.extend(planned.notes);
        let Some(text) = planned.text else { return };
        let path = drop_in::path(dir);
        let result = if self.args.dry_run {
            Ok("would-write")
        } else {
            drop_in::write(dir, &text).map(|new| if new { "written" } else { "same" })
        };
        match result {
            Ok(result) => {
                let text = self.args.dry_run.then_some(text);
                self.report.configuration = Some(Configuration { path, result, text });
            }
            Err(error) => self.failed(&error),
        }
    }

    fn headjack(&mut self) -> anyhow::Result<()> {
        let dir = self.args.from.clone().unwrap_or_else(|| self.keeper().home.join(headjack::FILES));
        let (keeper, site) = (self.keeper().clone(), self.site);
        let ask = |question: &Question| answer(question, &keeper, site);
        let given = OnceCell::new();
        let ask_once = || given.get_or_init(|| password(&dir)).clone();
        let mut found = Vec::new();
        let mut places = Vec::new();
        if !self.config.keychain.is_empty() {
            places.push("the macOS keychain".to_owned());
            found.extend(headjack::find(&headjack::Keychain { program: &self.config.keychain, ask: &ask }));
        }
        if host_login::has_bus(&keeper) {
            places.push("the keyring".to_owned());
            found.extend(headjack::find(&headjack::Keyring { ask: &ask }));
        }
        places.push(dir.display().to_string());
        let files = headjack::Files { dir: dir.clone(), password: &ask_once };
        found.extend(keeper.act(|| headjack::find(&files)).context("cannot become whoever keeps the logins")?);
        for found in found {
            self.take(found)?;
        }
        self.found_something(&places.join(", "))
    }

    fn client(&mut self, agent: &AgentName) -> anyhow::Result<()> {
        let definition = self.definition(agent)?;
        let (keeper, site) = (self.keeper().clone(), self.site);
        let ask = |question: &Question| answer(question, &keeper, site);
        let mut errors = Vec::new();
        for found in client::find(agent, &definition, &keeper, &self.config, &ask) {
            match found.and_then(|found| import::accept(found, &self.args.account, &definition, Instant::now())) {
                Ok(login) => return self.store(&login),
                Err(error) => errors.push(error),
            }
        }
        errors.iter().for_each(|error| self.failed(error));
        let places: Vec<String> =
            host_login::places(&definition.host, &keeper, &self.config).iter().map(host_login::Place::name).collect();
        self.found_something(&places.join(", "))
    }

    fn definition(&self, agent: &AgentName) -> anyhow::Result<Definition> {
        let unknown = || agent::Error::Unknown(agent.clone(), self.site.config.join("agents.d"));
        Ok(Definition::find(agent, &self.site.config)?.ok_or_else(unknown)?)
    }

    fn take(&mut self, found: Result<Found, Error>) -> anyhow::Result<()> {
        let accepted = match found {
            Ok(found) => {
                let definition = self.definition(&found.agent)?;
                import::accept(found, &self.args.account, &definition, Instant::now())
            }
            Err(error) => Err(error),
        };
        match accepted {
            Ok(login) => self.store(&login),
            Err(error) => {
                self.failed(&error);
                Ok(())
            }
        }
    }

    /// Stores a login unless there is another one, or the same.
    fn store(&mut self, login: &Imported) -> anyhow::Result<()> {
        // The newest place was looked at first; what an older one has is not wanted then.
        if self.report.logins.iter().any(|other| other.agent == login.agent) {
            let (agent, from) = (&login.agent, &login.from);
            self.report.notes.push(format!("{from} has another login of {agent}, which was passed over"));
            return Ok(());
        }
        let mut rests = None;
        let result = match import::stored(self.store, login, &self.config, self.site)? {
            Stored::Same => "same",
            Stored::Other if !self.args.force => "not-replaced",
            _ if self.args.dry_run => "would-import",
            _ => {
                rests = Some(
                    import::store(&Custody::new(self.store, &self.config, self.site), login, self.rests)?
                        .kept
                        .backend(),
                );
                "imported"
            }
        };
        self.report.logins.push(Login {
            agent: login.agent.clone(),
            account: login.account.clone(),
            kind: login.kind.clone(),
            from: login.from.clone(),
            result,
            rests,
            created_at: login.created,
            expires_at: login.expires,
            refresh_token: match login.refresh_token {
                RefreshToken::None => None,
                RefreshToken::LeftOut => Some("left-out"),
                RefreshToken::Kept => Some("kept"),
            },
            left_out: login.left_out.clone(),
        });
        Ok(())
    }

    fn failed(&mut self, error: &Error) {
        self.report.errors.push(sentence(anyhow::Chain::new(error)));
    }

    fn found_something(&mut self, places: &str) -> anyhow::Result<()> {
        let Report { logins, configuration, notes, errors } = &self.report;
        if logins.is_empty() && configuration.is_none() && notes.is_empty() && errors.is_empty() {
            let hint = match self.args.source {
                Source::Client(_) => "log in there first",
                _ => "if it is elsewhere, say where with --from",
            };
            bail!("there is nothing to import in {places}; {hint}");
        }
        Ok(())
    }
}

/// What is kept in a keyring is read by a process of whoever it belongs to.
fn answer(question: &Question, keeper: &Keeper, site: &Site) -> Result<Option<Secret>, String> {
    match ask(question, keeper, site) {
        Answer::Found { credential, .. } => Ok(Some(Secret::from_text(&credential))),
        Answer::None => Ok(None),
        Answer::Unavailable(why) => Err(why),
    }
}

/// The password of Headjack's files, from where Headjack takes it too.
fn password(dir: &Path) -> Result<Zeroizing<String>, String> {
    const VARIABLE: &str = "HEADJACK_KEYRING_PASSWORD";
    if let Ok(password) = std::env::var(VARIABLE).map(Zeroizing::new)
        && !password.is_empty()
    {
        return Ok(password);
    }
    if !std::io::stdin().is_terminal() {
        return Err(format!("it needs a password; run this in a terminal, or set {VARIABLE}"));
    }
    let prompt = format!("password of the files in {} (not shown): ", dir.display());
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|error| format!("no password: {error}"))
}
