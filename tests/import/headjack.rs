//! What Headjack has stored. The files below `headjack/` were written by jose2go 1.5, the library below
//! 99designs/keyring, in the form of that library's items, with the password `FAKE password`.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use crate::lab::Lab;
use crate::{import, ours, stored, stored_json};
use keyslip::agent::Definition;
use keyslip::clock::{DAY, Instant};
use keyslip::import::{Error, Found, RefreshToken, accept, headjack};
use keyslip::names::Account;
use keyslip::secret::Secret;
use zeroize::Zeroizing;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/headjack")
}

#[test]
fn encrypted_files_are_opened_with_headjacks_password() {
    let Some(lab) = Lab::new("import-headjack") else { return };
    for (mark, value) in [
        ("KEY", "AIzaFAKE-headjack-0123456789"),
        ("REFRESH", "rt_FAKE-headjack-refresh"),
        ("ACCESS", "eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.FAKE-headjack-access"),
        ("PASSWORD", "FAKE password"),
    ] {
        lab.mark(mark, value);
    }
    // Headjack's own configuration is in the same directory.
    lab.ok(&format!(
        "mkdir -p $W/headjack; cp {0}/gemini-credential {0}/codex-oauth-creds $W/headjack; chmod 600 $W/headjack/*
        echo 'default: {{}}' >$W/headjack/config.yaml",
        fixtures().display()
    ));
    let command = "keyslip auth import headjack --from $W/headjack";
    let locked = import(&lab, "$W/headjack", &format!("{command} </dev/null"));
    assert!(locked.code() == Some(1) && locked.stderr.contains("HEADJACK_KEYRING_PASSWORD"), "{locked}");
    let wrong = import(&lab, "$W/headjack", &format!("HEADJACK_KEYRING_PASSWORD='FAKE other' {command}"));
    assert!(wrong.code() == Some(1) && wrong.stderr.contains("the password is not the one"), "{wrong}");
    assert_eq!(wrong.stderr.matches("the password is not the one").count(), 1, "{wrong}");
    assert_eq!(ours(&lab), "etc/keyslip/keyslip.toml");
    let output = import(&lab, "$W/headjack", &format!("HEADJACK_KEYRING_PASSWORD='FAKE password' {command}"));
    assert!(output.succeeded(), "{output}");
    assert_eq!(output.stdout.lines().count(), 2, "{output}");
    assert_eq!(stored(&lab, "gemini-oauth"), "<KEY>");
    let login = stored_json(&lab, "codex-oauth");
    assert_eq!((&login["tokens"]["access_token"], &login["tokens"]["refresh_token"]), (&"<ACCESS>".into(), &"".into()));
    assert_eq!(lab.leaks(&["/var/lib/keyslip"], "rt_FAKE-headjack-refresh"), [""; 0]);
    let created = lab.ok("jq -r .createdAt /var/lib/keyslip/tokens/gemini-oauth.json");
    assert!(created.starts_with("2026-11-23T"), "{created}: when Headjack stored it");
}

#[test]
fn the_password_is_asked_for_without_showing_it() {
    let Some(lab) = Lab::new("import-headjack-tty") else { return };
    lab.mark("KEY", "AIzaFAKE-headjack-0123456789");
    lab.ok(&format!("mkdir -p $W/headjack; cp {}/gemini-credential $W/headjack", fixtures().display()));
    // script(1) gives it a terminal and records everything that is seen there.
    let output = lab.sh(
        "(sleep 1; echo 'FAKE password'; sleep 2) | script -qec 'keyslip auth import headjack --from $W/headjack' $W/typed >/dev/null; cat $W/typed",
    );
    assert!(output.succeeded() && output.stdout.contains("(not shown)"), "{output}");
    assert!(output.stdout.contains("imported the API key for gemini"), "{output}");
    assert!(!output.stdout.contains("FAKE password"), "{output}");
    assert_eq!(stored(&lab, "gemini-oauth"), "<KEY>");
}

#[test]
fn the_age_of_a_token_in_a_file_is_known() {
    let password = || Ok(Zeroizing::new("FAKE password".to_owned()));
    let files = headjack::Files { dir: fixtures(), password: &password };
    let found: Vec<Found> = headjack::find(&files).into_iter().map(Result::unwrap).collect();
    let names: Vec<&str> = found.iter().map(|found| found.agent.as_str()).collect();
    assert_eq!(names, ["claude", "codex", "gemini"]);
    let created = Instant::parse("2026-11-23T02:43:51Z").unwrap();
    let definition = Definition::find(&found[0].agent, Path::new("/nonexistent")).unwrap().unwrap();
    let login = accept(found[0].clone(), &Account::default(), &definition, Instant(created.0 + 7)).unwrap();
    assert_eq!(login.credential, Secret::from_text("sk-ant-oat01-FAKE-headjack-file-0123456789"));
    assert_eq!((login.created, login.expires), (Some(created), Some(Instant(created.0 + 365 * DAY))));
}

/// A place that has what a test says, and writes down what it was asked.
struct Shelf {
    items: Vec<(&'static str, &'static str, &'static str)>,
    asked: RefCell<Vec<String>>,
    closed: bool,
}

impl headjack::Place for Shelf {
    fn name(&self) -> String {
        "a shelf".to_owned()
    }

    fn look(&self, service: &str, key: &str) -> Result<Option<(Secret, Option<Instant>)>, Error> {
        self.asked.borrow_mut().push(format!("{service} {key}"));
        if self.closed {
            return Err(Error::Closed { from: self.name(), reason: "it is locked".to_owned() });
        }
        let item = self.items.iter().find(|item| (item.0, item.1) == (service, key));
        Ok(item.map(|item| (Secret::from_text(item.2), None)))
    }
}

fn on_shelf(items: &[(&'static str, &'static str, &'static str)]) -> Vec<Result<Found, Error>> {
    headjack::find(&Shelf { items: items.to_vec(), asked: RefCell::default(), closed: false })
}

#[test]
fn both_services_and_every_form_of_the_value() {
    // As the documentation shows them, as the program of that time wrote them, and as the later one does.
    for (service, key, value, kind, refresh) in [
        ("com.headjack", "claude-oidc-token", "sk-ant-oat01-FAKE", "long-lived OAuth token", RefreshToken::None),
        ("com.headjack", "codex-oauth-creds", r#"{"api_key":"sk-FAKE"}"#, "API key", RefreshToken::None),
        (
            "com.headjack",
            "gemini-oauth-creds",
            r#"{"oauth_creds":{"access_token":"ya29.FAKE","refresh_token":"1//FAKE","expiry_date":1000},"google_accounts":{"active":"a"}}"#,
            "Google login",
            RefreshToken::Kept,
        ),
        (
            "com.headjack.cli",
            "codex-oauth-creds",
            r#"{"tokens":{"access_token":"eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.FAKE","refresh_token":"rt_FAKE"}}"#,
            "ChatGPT login",
            RefreshToken::LeftOut,
        ),
        (
            "com.headjack.cli",
            "claude-credential",
            r#"{"type":"subscription","value":"sk-ant-oat01-FAKE"}"#,
            "long-lived OAuth token",
            RefreshToken::None,
        ),
        (
            "com.headjack.cli",
            "claude-credential",
            r#"{"type":"apikey","value":"sk-ant-api03-FAKE"}"#,
            "API key",
            RefreshToken::None,
        ),
        (
            "com.headjack.cli",
            "gemini-credential",
            r#"{"type":"apikey","value":"AIzaFAKE"}"#,
            "API key",
            RefreshToken::None,
        ),
        (
            "com.headjack.cli",
            "codex-credential",
            r#"{"type":"subscription","value":"{\"OPENAI_API_KEY\":\"sk-FAKE\",\"tokens\":null}"}"#,
            "API key",
            RefreshToken::None,
        ),
    ] {
        let found = on_shelf(&[(service, key, value)]).remove(0).unwrap();
        assert_eq!(found.from, format!("{key} in a shelf"));
        let definition = Definition::find(&found.agent, Path::new("/nonexistent")).unwrap().unwrap();
        let login = accept(found, &Account::default(), &definition, Instant::now()).unwrap();
        assert_eq!((&*login.kind, login.refresh_token), (kind, refresh), "{service} {key}");
        assert!(!login.credential.expose_text().unwrap().contains("rt_FAKE"), "{key}");
    }
}

#[test]
fn the_newest_form_wins_and_a_locked_place_is_asked_once() {
    let both = on_shelf(&[
        ("com.headjack.cli", "claude-oidc-token", "sk-ant-oat01-FAKE-old"),
        ("com.headjack.cli", "claude-credential", r#"{"type":"subscription","value":"sk-ant-oat01-FAKE-new"}"#),
    ]);
    assert_eq!(both.len(), 1);
    assert_eq!(both[0].as_ref().unwrap().value, Secret::from_text("sk-ant-oat01-FAKE-new"));
    let locked = Shelf { items: Vec::new(), asked: RefCell::default(), closed: true };
    let found = headjack::find(&locked);
    assert!(matches!(&found[..], [Err(Error::Closed { .. })]));
    assert_eq!(locked.asked.borrow().len(), 1);
}
