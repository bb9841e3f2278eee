//! What containers could be given: stored logins, keyrings, credential helpers, secret files.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::files::Exposure;
use super::{Area, Finding, Remedy, Severity, asking, quoted};
use crate::backend::keyring::{Keyring, State};
use crate::config::{Backend, Config};
use crate::names::{AgentRef, SecretName};
use crate::site::{Site, Whose, passwd};
use crate::source::{Keeper, LONGEST_SECRET};

/// A login, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Whose.
    pub name: AgentRef,
    /// `valid`, `expiring`, `expired`, `unavailable` or `broken`.
    pub state: &'static str,
    /// Where it rests: `file`, `keyring`, `keychain`, `encrypted`, or `host`.
    pub store: &'static str,
    /// It is renewed here.
    pub renewable: bool,
    /// What to do, if anything.
    pub advice: Option<String>,
}

/// A file of `[secrets]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFile {
    /// Its name.
    pub name: SecretName,
    /// Its path.
    pub path: PathBuf,
    /// Why it cannot be used.
    pub wrong: Option<String>,
    /// Everybody can read it.
    pub open: bool,
}

/// A credential helper.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Helper {
    /// Its program.
    pub path: PathBuf,
    /// It is there and can be executed.
    pub there: bool,
    /// Somebody else could have written it.
    pub exposed: Option<Exposure>,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// These are the logins of root's engines.
    pub system: bool,
    /// The stored logins and those of the host's clients; or why the store cannot be used.
    pub logins: Option<Result<Vec<Login>, String>>,
    /// Some agent is given a secret file in place of a login.
    pub secret_in_place: bool,
    /// Files of the state directory that others can read or write: path and mode.
    pub open: Vec<(PathBuf, u32)>,
    /// Who is no user although `owner` says so.
    pub no_owner: Option<String>,
    /// The files of `[secrets]`.
    pub secrets: Vec<SecretFile>,
    /// The helper of `[store.command]`.
    pub helper: Option<Helper>,
    /// Where new logins rest.
    pub backend: Backend,
    /// How the keyring is, or why it cannot be told; nothing when nobody needs it.
    pub keyring: Option<Result<State, String>>,
    /// The user's services start at boot, before anybody logs in.
    pub lingers: bool,
}

/// Looks. The logins are looked at by whoever lists them for `keyslip auth status` as well.
#[must_use]
pub fn observe(config: &Config, site: &Site, logins: Result<Vec<Login>, String>) -> Seen {
    let keeper = Keeper::of(config, site);
    let own = keeper.as_ref().is_ok_and(|keeper| keeper.user.is_none());
    let system = site.whose == Whose::System;
    let rests_in_keyring = logins.as_ref().is_ok_and(|all| all.iter().any(|login| login.store == "keyring"));
    let wants_keyring = config.backend == Backend::Keyring || rests_in_keyring;
    let us = rustix::process::geteuid().as_raw();
    let settings = config.agents.values().chain(config.templates.values().flat_map(|it| it.agents.values()));
    Seen {
        system,
        logins: Some(logins),
        secret_in_place: settings.into_iter().any(|agent| agent.secret_name.is_some()),
        open: open_files(&site.state),
        no_owner: keeper.err().and(config.owner.clone()),
        secrets: config.secrets.iter().map(|(name, path)| secret_file(name, path)).collect(),
        helper: config.helper.as_ref().and_then(|helper| helper.argv.first()).map(|program| {
            let path = PathBuf::from(program);
            Helper { there: asking::is_program(&path), exposed: Exposure::of_all(&path, us), path }
        }),
        backend: config.backend,
        keyring: (wants_keyring && own && config.keychain.is_empty() && !system).then(keyring_state),
        lingers: matches!(site.whose, Whose::User(uid) if lingers(uid)),
    }
}

fn keyring_state() -> Result<State, String> {
    Keyring::open().and_then(|keyring| keyring.state()).map_err(|error| error.to_string())
}

fn lingers(uid: u32) -> bool {
    let names = fs::read_dir("/var/lib/systemd/linger").into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| passwd(name.to_str()?)).any(|user| user.uid == uid)
}

/// What of the state directory is not its owner's alone. The store looks at its own files itself.
fn open_files(state: &Path) -> Vec<(PathBuf, u32)> {
    let mut open = Vec::new();
    for (path, forbidden) in
        [(state.to_owned(), 0o022), (state.join("fingerprint.key"), 0o077), (state.join("audit.log"), 0o077)]
    {
        if let Ok(about) = fs::symlink_metadata(&path)
            && about.mode() & forbidden != 0
        {
            open.push((path, about.mode() & 0o7777));
        }
    }
    open
}

/// Looks at a secret file, not into it.
fn secret_file(name: &SecretName, path: &Path) -> SecretFile {
    let nonblocking = OFlags::NONBLOCK.bits() as i32;
    let file = File::options().read(true).custom_flags(nonblocking).open(path);
    let (wrong, open) = match file.and_then(|file| file.metadata()) {
        Err(error) => (Some(format!("cannot be read: {error}")), false),
        Ok(about) if !about.is_file() => (Some("is no regular file".to_owned()), false),
        Ok(about) if about.len() > LONGEST_SECRET => {
            (Some(format!("has {} bytes; a secret may have 1 MiB", about.len())), false)
        }
        Ok(about) => (None, about.mode() & 0o004 != 0),
    };
    SecretFile { name: name.clone(), path: path.to_owned(), wrong, open }
}

/// What that means.
#[must_use]
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let area = Area::Logins;
    let mut findings = Vec::new();
    for (path, mode) in &seen.open {
        let right = if path.is_dir() { "go-w" } else { "go-rwx" };
        findings.push(Finding::warning(
            area,
            path.display().to_string(),
            format!("is open to others (mode {mode:o})"),
            Remedy::run(format!("chmod {right} {}", quoted(path))),
        ));
    }
    if let Some(owner) = &seen.no_owner {
        findings.push(Finding::broken(
            area,
            format!("owner = {owner:?}"),
            "is no user of /etc/passwd, so no login is found",
            Remedy::advice("correct owner in the configuration, or take it out"),
        ));
    }
    match &seen.logins {
        Some(Err(why)) if seen.no_owner.is_none() => {
            findings.push(Finding::broken(area, "the store", why.clone(), from_text(why)));
        }
        Some(Ok(logins)) => judge_logins(logins, seen, &mut findings),
        _ => {}
    }
    judge_keyring(seen, &mut findings);
    for file in &seen.secrets {
        findings.push(judge_secret(file));
    }
    if let Some(helper) = &seen.helper {
        findings.push(judge_helper(helper));
    }
    findings
}

fn judge_logins(logins: &[Login], seen: &Seen, findings: &mut Vec<Finding>) {
    let area = Area::Logins;
    for login in logins {
        let subject = login.name.to_string();
        let advice = login.advice.clone().unwrap_or_default();
        let what = match login.state {
            "valid" => {
                findings.push(Finding::ok(area, subject, format!("is valid (in {})", login.store)));
                continue;
            }
            "expiring" if login.renewable || login.store == "host" => {
                findings.push(Finding::ok(area, subject, format!("is valid for a while (in {})", login.store)));
                continue;
            }
            "expiring" => "has fewer than 30 days left",
            "expired" => "has expired and is passed over",
            "unavailable" => "cannot be read where it rests, so containers start without it",
            _ => "cannot be used",
        };
        let severity = if login.state == "broken" { Severity::Broken } else { Severity::Warning };
        findings.push(Finding::new(area, severity, subject, what, from_text(&advice)));
    }
    if logins.is_empty() && seen.helper.is_none() && !seen.secret_in_place {
        findings.push(Finding::warning(
            area,
            "logins",
            "there is none, so containers start without a credential",
            Remedy::advice("log in: keyslip auth login AGENT, for example keyslip auth login claude"),
        ));
    }
    let mut stored = logins.iter().filter(|login| login.store != "host").peekable();
    if stored.peek().is_some() && stored.all(|login| login.store == "keyring") {
        let what = "rest in the keyring alone, which is locked until you log in: containers that start at boot start without them";
        let remedy = Remedy::advice("for those, keep one in a file: keyslip auth login AGENT --store file");
        let severity = if seen.lingers { Severity::Warning } else { Severity::Note };
        findings.push(Finding::new(area, severity, "logins", what, remedy));
    }
}

fn judge_keyring(seen: &Seen, findings: &mut Vec<Finding>) {
    let area = Area::Logins;
    if seen.system && seen.backend == Backend::Keyring && seen.no_owner.is_none() {
        findings.push(Finding::warning(
            area,
            "backend = \"keyring\"",
            "is for users: a keyring is locked until its user logs in, so root's logins cannot be stored in one",
            Remedy::advice("use backend = \"file\" or \"encrypted\" in [store]"),
        ));
    }
    let problem = match &seen.keyring {
        None => return,
        Some(Ok(State::Unlocked)) => {
            findings.push(Finding::ok(area, "the keyring", "is reachable and unlocked"));
            return;
        }
        Some(Ok(State::Locked)) => "is locked: its logins cannot be read".to_owned(),
        Some(Ok(State::Uninitialised)) => "was never set up: it has no default collection".to_owned(),
        Some(Err(why)) => format!("cannot be reached: {why}"),
    };
    let remedy = "unlock it by logging in on the desktop, or open its password program; then run keyslip sync";
    findings.push(Finding::warning(area, "the keyring", problem, Remedy::advice(remedy)));
}

fn judge_secret(file: &SecretFile) -> Finding {
    let area = Area::Logins;
    let subject = format!("secret {}", file.name);
    let path = file.path.display();
    match &file.wrong {
        Some(why) => Finding::broken(
            area,
            subject,
            format!("{path} {why}"),
            Remedy::advice("check the secret manager that should put it there, or correct its path in [secrets]"),
        ),
        None if file.open => Finding::warning(
            area,
            subject,
            format!("{path} can be read by every user of this host"),
            Remedy::run(format!("chmod o-r {}", quoted(&file.path))),
        ),
        None => Finding::ok(area, subject, format!("{path} can be read")),
    }
}

fn judge_helper(helper: &Helper) -> Finding {
    let subject = helper.path.display().to_string();
    if !helper.there {
        let what = "the credential helper of [store.command] is missing or cannot be executed";
        let remedy = Remedy::advice("install it, or correct argv in [store.command]");
        return Finding::broken(Area::Logins, subject, what, remedy);
    }
    match &helper.exposed {
        Some(exposed) => exposed.finding(Area::Logins, &format!("the credential helper {subject}")),
        None => Finding::ok(Area::Logins, subject, "the credential helper is there"),
    }
}

/// What an error or an advice says to do, with the command that it names.
fn from_text(text: &str) -> Remedy {
    let command = text.split_once("run: ").map(|(_, rest)| rest.split(';').next().unwrap_or(rest).trim().to_owned());
    match command {
        Some(command) => Remedy::run(command),
        None if text.is_empty() => Remedy::advice("log in again: keyslip auth login AGENT"),
        None => Remedy::advice(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::exit_code;

    fn login(name: &str, state: &'static str, store: &'static str) -> Login {
        Login { name: name.parse().unwrap(), state, store, renewable: false, advice: None }
    }

    fn with(logins: Vec<Login>) -> Seen {
        Seen { logins: Some(Ok(logins)), ..Seen::default() }
    }

    fn worst(seen: &Seen) -> Finding {
        judge(seen).into_iter().max_by_key(|finding| finding.severity).unwrap()
    }

    #[test]
    fn logins_by_their_state() {
        for (state, store, code) in [
            ("valid", "file", 0),
            ("expiring", "file", 1),
            ("expiring", "host", 0),
            ("expired", "encrypted", 1),
            ("unavailable", "file", 1),
            ("broken", "file", 2),
        ] {
            assert_eq!(exit_code(&judge(&with(vec![login("claude", state, store)]))), code, "{state} {store}");
        }
        let renewed = Login { renewable: true, ..login("codex", "expiring", "file") };
        assert_eq!(exit_code(&judge(&with(vec![renewed]))), 0);
        assert_eq!(exit_code(&judge(&with(vec![]))), 1);
        assert_eq!(exit_code(&judge(&Seen { secret_in_place: true, ..with(vec![]) })), 0);
    }

    #[test]
    fn what_an_error_says_to_run_is_the_remedy() {
        let advice = "/s/claude-oauth.json is open to others (mode 644); run: chmod 600 /s/claude-oauth.json; Keyslip does not use it";
        let broken = Login { advice: Some(advice.to_owned()), ..login("claude", "broken", "file") };
        assert_eq!(worst(&with(vec![broken])).command.as_deref(), Some("chmod 600 /s/claude-oauth.json"));
        let seen = Seen {
            logins: Some(Err("/s belongs to uid 5, not to 0; run: chown 0 /s; x".to_owned())),
            ..Seen::default()
        };
        assert_eq!(worst(&seen).command.as_deref(), Some("chown 0 /s"));
    }

    #[test]
    fn a_keyring_alone_serves_nobody_at_boot() {
        let seen = with(vec![login("claude", "valid", "keyring"), login("codex", "valid", "host")]);
        assert_eq!(worst(&seen).severity, Severity::Note);
        assert_eq!(worst(&Seen { lingers: true, ..seen.clone() }).severity, Severity::Warning);
        let both = with(vec![login("claude", "valid", "keyring"), login("codex", "valid", "file")]);
        assert_eq!(worst(&Seen { lingers: true, ..both }).severity, Severity::Ok);
        for state in [Ok(State::Locked), Ok(State::Uninitialised), Err("no bus".to_owned())] {
            assert_eq!(exit_code(&judge(&Seen { keyring: Some(state), ..seen.clone() })), 1);
        }
        assert_eq!(exit_code(&judge(&Seen { keyring: Some(Ok(State::Unlocked)), ..seen })), 0);
        let root = Seen { system: true, backend: Backend::Keyring, ..with(vec![login("claude", "valid", "file")]) };
        assert_eq!(exit_code(&judge(&root)), 1);
    }

    #[test]
    fn secret_files_are_looked_at_and_not_into() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let name: SecretName = "openai".parse().unwrap();
        let severity = |path: &Path| judge_secret(&secret_file(&name, path)).severity;
        assert_eq!(severity(&path), Severity::Broken);
        fs::write(&path, "sk-FAKE").unwrap();
        let mode = |mode| fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        mode(0o400);
        assert_eq!(severity(&path), Severity::Ok);
        mode(0o444);
        assert_eq!(severity(&path), Severity::Warning);
        assert_eq!(severity(dir.path()), Severity::Broken);
    }

    #[test]
    fn owner_helper_and_state_files() {
        let nobody = Seen { no_owner: Some("gone".to_owned()), logins: Some(Err("x".to_owned())), ..Seen::default() };
        assert_eq!(judge(&nobody).len(), 1);
        assert_eq!(exit_code(&judge(&nobody)), 2);
        let helper = Helper { path: PathBuf::from("/opt/h"), there: false, exposed: None };
        assert_eq!(judge_helper(&helper).severity, Severity::Broken);
        assert_eq!(judge_helper(&Helper { there: true, ..helper }).severity, Severity::Ok);
        let open = Seen { open: vec![(PathBuf::from("/s/audit.log"), 0o644)], ..Seen::default() };
        assert_eq!(worst(&open).command.as_deref(), Some("chmod go-rwx /s/audit.log"));
    }
}
