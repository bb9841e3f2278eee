//! Logins that do not rest in their entry: nothing of them is put beside it in clear, and that they can
//! be kept is tried before the token is spent. Run as a process of its own, which trusts the server.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::process::Command;

use keyslip::agent::Definition;
use keyslip::clock::Instant;
use keyslip::names::AgentRef;
use keyslip::renew::{Error, Http, Job, Outcome, Vault, one};
use keyslip::secret::Secret;
use keyslip::source::{Entry, Keeper, Kept, Store};

use crate::home::Home;

/// Seals by turning a login round; fails at the call that is named.
#[derive(Default)]
struct Turned {
    fails_at: usize,
    calls: Cell<usize>,
    left_over: RefCell<Vec<String>>,
    beside: Option<std::path::PathBuf>,
}

impl Vault for Turned {
    fn open(&self, entry: &Entry) -> Result<Secret, String> {
        let Kept::Encrypted(sealed) = &entry.kept else { return Err("another place".to_owned()) };
        Ok(Secret::from_text(&sealed.chars().rev().collect::<String>()))
    }

    fn seal(&self, _: &Entry, login: &Secret) -> Result<Kept, String> {
        self.calls.set(self.calls.get() + 1);
        if let Some(path) = &self.beside {
            self.left_over.borrow_mut().push(std::fs::read_to_string(path).unwrap_or_default());
        }
        if self.calls.get() == self.fails_at {
            return Err("there is no key".to_owned());
        }
        Ok(Kept::Encrypted(login.expose_text().unwrap().chars().rev().collect()))
    }
}

#[test]
#[ignore = "run by a_sealed_login_is_renewed_without_being_put_down_in_clear"]
fn inside() {
    let Ok(dir) = std::env::var("KEYSLIP_TEST_DIR") else { return };
    let dir = Path::new(&dir);
    let store = Store::of(Keeper::own(dir, &dir.join("state")));
    let login: AgentRef = "claude".parse().unwrap();
    // A definition of another user is not read.
    let config = dir.join("own-config");
    std::fs::create_dir_all(config.join("agents.d")).unwrap();
    let text = std::fs::read(dir.join(".config/keyslip/agents.d/claude.toml")).unwrap();
    std::fs::write(config.join("agents.d/claude.toml"), text).unwrap();
    let definition = Definition::find(&login.agent, &config).unwrap().unwrap();
    let text = r#"{"claudeAiOauth":{"accessToken":"FAKE-access-0","refreshToken":"FAKE-refresh-0","expiresAt":1}}"#;
    let sealed = Kept::Encrypted(text.chars().rev().collect());
    let entry = Entry { kept: sealed, created: Instant(0), expires: Some(Instant(1)), renewable: true };
    store.write(&login.agent, &login.account, &entry).unwrap();
    let http = Http::default();
    let run = |vault: &Turned| {
        let job = Job { store: &store, login: &login, definition: &definition, http: &http, vault, forced: false };
        assert!(!format!("{job:?}").contains("FAKE"));
        one(&job)
    };

    // What cannot be sealed is not spent.
    let error = run(&Turned { fails_at: 1, ..Turned::default() }).unwrap_err();
    assert!(matches!(error, Error::Vault(_)) && error.to_string().contains("there is no key"), "{error}");
    let beside = Some(dir.join("state/tokens/.renewed-claude@default"));
    let vault = Turned { beside, ..Turned::default() };
    assert!(matches!(run(&vault), Ok(Outcome::Renewed(Some(_)))));
    let seen = vault.left_over.borrow();
    assert_eq!(seen.len(), 2);
    assert!(seen[1].contains("spent") && !seen.iter().any(|seen| seen.contains("FAKE")), "only what was sent is noted");
    let now = store.read(&login.agent, &login.account).unwrap().unwrap();
    assert!(vault.open(&now).unwrap().expose_text().unwrap().contains("FAKE-refresh-1"));
    assert!(matches!(run(&Turned::default()), Ok(Outcome::NotDue(_))));

    // What then cannot be sealed after all is lost, and it is said.
    store.write(&login.agent, &login.account, &Entry { expires: Some(Instant(1)), ..now }).unwrap();
    let error = run(&Turned { fails_at: 2, ..Turned::default() }).unwrap_err();
    assert!(error.is_final() && error.to_string().contains("log in again"), "{error}");
    let error = run(&Turned::default()).unwrap_err();
    assert!(matches!(error, Error::Refused { interrupted: Some(_), .. }), "{error}");
}

#[test]
fn a_sealed_login_is_renewed_without_being_put_down_in_clear() {
    let home = Home::new();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sealed::inside", "--ignored", "--nocapture"])
        .env("KEYSLIP_TEST_DIR", home.path(""))
        .env("SSL_CERT_FILE", &home.server.authority)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).replace("FAKE", "<token>");
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    let state = home.server.state();
    assert_eq!((state.given, state.refused), (2, 1));
}
