//! Looking for the credential of an agent, one source after the other.

use super::helper;
use super::host_login::{self, Place};
use super::question::{Answer, Question, sealed_name};
use super::{Credential, Entry, Error, Kept, Life, Origin, Outcome, Store, find_secret};
use crate::agent::{Definition, Kind, expires_at};
use crate::clock::{Instant, exact, span};
use crate::config::{AgentSettings, Backend, Config, Passthrough};
use crate::journal::Journal;
use crate::names::{Account, AgentName, AgentRef};
use crate::secret::Secret;
use crate::site::Site;

/// A search for one agent's credential.
pub struct Look<'a> {
    /// Whose, and with which account.
    pub agent: &'a AgentRef,
    /// What is known of it.
    pub definition: Option<&'a Definition>,
    /// The configuration.
    pub config: &'a Config,
    /// Where things are.
    pub site: &'a Site,
}

/// Where to look, in this order.
#[derive(Clone, Copy)]
enum Source {
    Stored,
    Elsewhere,
    Host,
}

/// What one source came to.
enum Step {
    Found(Credential),
    /// There is nothing here, or nothing of use; why, if there is more to say than that.
    Next(Option<String>),
    /// It should be here and nobody can get at it: nothing else may take its place.
    Stop(String),
}

impl Look<'_> {
    /// Finds it.
    ///
    /// # Errors
    /// When a source is unsafe or broken: then no other one is tried.
    pub fn find(&self, settings: &AgentSettings, journal: &mut Journal) -> Result<Outcome, Error> {
        if let Some(secret) = &settings.secret_name {
            return find_secret(secret, self.config, self.site, journal);
        }
        let store = super::store_of(self.config, self.site)?;
        let account = store.resolve(self.agent)?;
        let mut passed = Vec::new();
        for source in [Source::Stored, Source::Elsewhere, Source::Host] {
            let step = match source {
                Source::Stored => self.stored(&store, &account, journal)?,
                Source::Elsewhere => self.elsewhere(&store, &account, journal),
                Source::Host => self.of_host(&store, &account, journal),
            };
            match step {
                Step::Found(found) => {
                    let account = (account != self.agent.account).then(|| account.clone());
                    // What was passed over on the way is worth a word even when something else was found.
                    passed.into_iter().for_each(|why| journal.warn(why));
                    return Ok(Outcome::Found(Credential { account, ..found }));
                }
                Step::Next(why) => passed.extend(why),
                Step::Stop(why) => return Ok(Outcome::Missing(why)),
            }
        }
        if passed.is_empty() {
            passed.push(format!("{} has no credential for account {account}", self.title()));
        }
        Ok(Outcome::Missing(format!("{}{}", passed.join("; "), self.how_to_log_in(&account))))
    }

    fn title(&self) -> &str {
        self.definition.map_or(self.agent.agent.as_str(), |it| it.title.as_str())
    }

    fn how_to_log_in(&self, account: &Account) -> String {
        let login = self.definition.map_or("", |it| it.login.as_str());
        if login.is_empty() {
            return String::new();
        }
        let account = if account.is_default() { String::new() } else { format!(" (with --account {account})") };
        format!("; to log in, {login}{account}")
    }

    /// The token store.
    fn stored(&self, store: &Store, account: &Account, journal: &mut Journal) -> Result<Step, Error> {
        let agent = &self.agent.agent;
        let Some(entry) = store.read(agent, account)? else {
            journal.debug(format!("no stored token agent={agent} account={account}"));
            return Ok(Step::Next(None));
        };
        let life = Life::of(entry.expires, Instant::now());
        if let Life::Expired { since } = life {
            let title = self.title();
            let renew = if entry.renewable { "; `keyslip auth refresh` renews it" } else { "" };
            let why = format!("the stored token for {title}, account {account}, expired {} ago{renew}", span(since));
            return Ok(Step::Next(Some(why)));
        }
        let value = match open(&entry, (agent, account), store, self.config, self.site) {
            Ok(value) => value,
            // Another login has taken its place, and what it named went with it.
            Err(_) if store.has_changed(agent, account, &entry) => return self.stored(store, account, journal),
            Err(why) => return Ok(Step::Stop(format!("{why}; then run `keyslip sync`"))),
        };
        let kind = self.definition.and_then(|it| it.recognise(&value));
        if let Life::Expiring { left } = life
            // A login of hours that is renewed here is always near its end.
            && !entry.renewable
        {
            let login = self.how_to_log_in(account).replace("to log in", "to renew it");
            journal.warn(format!("the stored token for {} expires in {}{login}", self.agent, span(left)));
        }
        journal.debug(format!(
            "using stored {} agent={agent} account={account} store={} expiresIn={}",
            kind.map_or("credential", |kind| kind.title.as_str()),
            entry.kept.backend(),
            life.left().map_or("never".to_owned(), exact)
        ));
        Ok(Step::Found(Credential { value, origin: Origin::StoredToken, expires: entry.expires, account: None }))
    }

    /// What is kept by others: a credential helper, or a keyring item without an entry of ours.
    fn elsewhere(&self, store: &Store, account: &Account, journal: &mut Journal) -> Step {
        let agent = &self.agent.agent;
        let (question, name) = match (self.config.backend, &self.config.helper) {
            (_, Some(helper)) => (
                Question::Command { helper: helper.clone(), agent: agent.clone(), account: account.clone() },
                "the credential helper",
            ),
            (Backend::Keyring, None) => (Question::stored_item(agent, account, None), "the keyring"),
            _ => return Step::Next(None),
        };
        match helper::ask(&question, store.keeper(), self.site) {
            Answer::Found { credential, expires_at: said } => {
                let value = Secret::from_text(&credential);
                let kind = self.definition.and_then(|it| it.recognise(&value));
                let expires = said.or_else(|| expires_at(kind?, &value));
                if let Life::Expired { since } = Life::of(expires, Instant::now()) {
                    return Step::Next(Some(format!(
                        "what {name} gave for {} expired {} ago",
                        self.agent,
                        span(since)
                    )));
                }
                journal.debug(format!("using {name} agent={agent} account={account}"));
                Step::Found(Credential { value, origin: Origin::CredentialHelper, expires, account: None })
            }
            Answer::None => {
                journal.debug(format!("{name} has nothing agent={agent} account={account}"));
                Step::Next(None)
            }
            Answer::Unavailable(why) => {
                Step::Stop(format!("{name} cannot be asked for {}: {why}; then run `keyslip sync`", self.agent))
            }
        }
    }

    /// The login of the host's own client, whatever else there is.
    #[must_use]
    pub fn of_host_alone(&self, store: &Store, journal: &mut Journal) -> Option<Credential> {
        match self.of_host(store, &Account::default(), journal) {
            Step::Found(found) => Some(found),
            Step::Next(_) | Step::Stop(_) => None,
        }
    }

    /// The login of the host's own client. It has one account, which is the default one.
    fn of_host(&self, store: &Store, account: &Account, journal: &mut Journal) -> Step {
        let Some(definition) = self.definition else { return Step::Next(None) };
        if self.config.passthrough == Passthrough::Off || !account.is_default() {
            return Step::Next(None);
        }
        let mut passed = None;
        for place in host_login::places(&definition.host, store.keeper(), self.config) {
            let name = place.name();
            let login = match self.read_place(&place, store) {
                Ok(Some(login)) => login,
                Ok(None) => {
                    journal.debug(format!("no host login agent={} place={name:?}", self.agent.agent));
                    continue;
                }
                Err(why) => {
                    journal.debug(format!(
                        "host login cannot be read agent={} place={name:?} why={why:?}",
                        self.agent.agent
                    ));
                    passed = Some(format!("the host's own login could not be read: {why}"));
                    continue;
                }
            };
            let Some((kind, value)) = host_login::without_refresh_token(definition, &login) else {
                journal.debug(format!("no usable host login agent={} place={name:?}", self.agent.agent));
                continue;
            };
            let expires = expires_at(kind, &value);
            let life = Life::of(expires, Instant::now());
            if let Life::Expired { since } = life {
                passed = Some(format!(
                    "the host's own login for {} ({name}) expired {} ago; use {} on the host to renew it",
                    definition.title,
                    span(since),
                    self.agent.agent
                ));
                continue;
            }
            self.announce(kind, life, &name, journal);
            return Step::Found(Credential { value, origin: Origin::HostLogin, expires, account: None });
        }
        Step::Next(passed)
    }

    fn read_place(&self, place: &Place, store: &Store) -> Result<Option<Secret>, String> {
        match place {
            Place::Files(files) => host_login::read_files(files, store.keeper()),
            Place::Ask(_, question) => match helper::ask(question, store.keeper(), self.site) {
                Answer::Found { credential, .. } => Ok(Some(Secret::from_text(&credential))),
                Answer::None => Ok(None),
                Answer::Unavailable(why) => Err(why),
            },
        }
    }

    fn announce(&self, kind: &Kind, life: Life, name: &str, journal: &mut Journal) {
        let agent = self.agent;
        let left = life.left();
        journal.debug(format!(
            "read {} of the host agent={agent} place={name:?} expiresIn={}",
            kind.title,
            left.map_or("unknown".to_owned(), exact)
        ));
        if let Some(left) = left {
            journal.warn(format!(
                "{agent} uses the host's own login, which is short-lived: it ends in {}; `keyslip sync` brings a renewed \
                 one, and for a login of its own {}",
                span(left),
                self.definition.map_or("", |it| it.login.as_str())
            ));
        }
    }
}

/// The value of an entry, from wherever it rests.
///
/// # Errors
/// Why it cannot be read, as a sentence: the keyring is locked, the item is gone.
pub fn open(
    entry: &Entry,
    (agent, account): (&AgentName, &Account),
    store: &Store,
    config: &Config,
    site: &Site,
) -> Result<Secret, String> {
    let (question, place) = match &entry.kept {
        Kept::Here(value) => return Ok(value.clone()),
        Kept::Keyring(item) => (Question::stored_item(agent, account, Some(item)), "in the keyring"),
        Kept::Keychain(item) => {
            (Question::keychain_item(&config.keychain, agent, account, item), "in the macOS keychain")
        }
        Kept::Encrypted(sealed) => {
            let name = sealed_name(agent, account);
            (Question::Encrypted { name, sealed: sealed.clone() }, "sealed by systemd-creds")
        }
    };
    let login = AgentRef { agent: agent.clone(), account: account.clone() };
    match helper::ask(&question, store.keeper(), site) {
        Answer::Found { credential, .. } => Ok(Secret::from_text(&credential)),
        Answer::None => {
            let account = if account.is_default() { String::new() } else { format!(" --account {account}") };
            Err(format!(
                "the login of {login} is kept {place}, where it is no more; log in again with `keyslip auth login {agent}{account}`"
            ))
        }
        Answer::Unavailable(why) => Err(format!("the login of {login} is kept {place}, which cannot be read: {why}")),
    }
}
