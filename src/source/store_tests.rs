use std::os::unix::fs::PermissionsExt;

use super::super::entry::Kept;
use super::*;
use crate::clock::{DAY, Instant};
use crate::secret::Secret;

fn store_at(state: &Path) -> Store {
    Store::of(Keeper::own(state, state))
}

fn names() -> (AgentName, Account, Account) {
    ("claude".parse().unwrap(), Account::default(), "work".parse().unwrap())
}

fn token(text: &str) -> Entry {
    let created = Instant(1_790_000_000);
    let kept = Kept::Here(Secret::from_text(text));
    Entry { kept, created, expires: Some(Instant(created.0 + 365 * DAY)), renewable: false }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_token_is_stored_in_the_seeds_format() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_at(dir.path());
    let (claude, default, work) = names();
    assert!(store.read(&claude, &default).unwrap().is_none());
    store.write(&claude, &default, &token("sk-ant-oat01-FAKE\"1")).unwrap();
    store.write(&claude, &work, &token("sk-ant-oat01-FAKE2")).unwrap();
    let path = dir.path().join("tokens/claude-oauth.json");
    let value: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(value["token"], "sk-ant-oat01-FAKE\"1");
    assert_eq!(value["createdAt"], "2026-09-21T14:13:20Z");
    assert_eq!(value["expiresAt"], "2027-09-21T14:13:20Z");
    assert_eq!((mode(&path), mode(&dir.path().join("tokens"))), (0o600, 0o700));
    assert_eq!(store.read(&claude, &work).unwrap().unwrap().kept, Kept::Here(Secret::from_text("sk-ant-oat01-FAKE2")));
    let all: Vec<String> = store.list().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(all, ["claude", "claude@work"]);
    assert!(store.remove(&claude, &default).unwrap());
    assert!(!store.remove(&claude, &default).unwrap());
    assert!(store.read(&claude, &default).unwrap().is_none());
}

#[test]
fn a_store_that_others_can_reach_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_at(dir.path());
    let (claude, default, _) = names();
    store.write(&claude, &default, &token("sk-ant-oat01-FAKE")).unwrap();
    let path = store.path(&claude, &default);
    for (place, bits, fix) in [(&path, 0o640, "chmod 600"), (&store.dir, 0o701, "chmod 700")] {
        let good = mode(place);
        fs::set_permissions(place, fs::Permissions::from_mode(bits)).unwrap();
        let error = store.read(&claude, &default).unwrap_err().to_string();
        assert!(error.contains("open to others") && error.contains(fix), "{error}");
        fs::set_permissions(place, fs::Permissions::from_mode(good)).unwrap();
    }
    assert!(store.read(&claude, &default).unwrap().is_some());
}

#[test]
fn somebody_elses_store_is_refused() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root to give a directory away");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = store_at(dir.path());
    let (claude, default, _) = names();
    store.write(&claude, &default, &token("sk-ant-oat01-FAKE")).unwrap();
    std::os::unix::fs::chown(store.path(&claude, &default), Some(4100), None).unwrap();
    let error = store.read(&claude, &default).unwrap_err().to_string();
    assert!(error.contains("belongs to uid 4100"), "{error}");
}

#[test]
fn a_link_in_place_of_a_token_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_at(dir.path());
    let (claude, default, work) = names();
    store.write(&claude, &default, &token("sk-ant-oat01-FAKE")).unwrap();
    std::os::unix::fs::symlink(store.path(&claude, &default), store.path(&claude, &work)).unwrap();
    assert!(store.read(&claude, &work).unwrap_err().to_string().contains("symbolic link"));
}

#[test]
fn a_broken_file_is_named_and_its_content_is_not_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_at(dir.path());
    let (claude, default, _) = names();
    store.write(&claude, &default, &token("x")).unwrap();
    fs::write(store.path(&claude, &default), r#"{"token":"sk-ant-oat01-FAKE","createdAt":12}"#).unwrap();
    let error = store.read(&claude, &default).unwrap_err().to_string();
    assert!(error.contains("claude-oauth.json") && error.contains("keyslip auth login"), "{error}");
    assert!(!error.contains("FAKE"), "{error}");
}

#[test]
fn writers_at_once_leave_a_whole_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_at(dir.path());
    let (claude, default, _) = names();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (store, claude, default) = (&store, &claude, &default);
            scope.spawn(move || {
                for _ in 0..10 {
                    store.write(claude, default, &token(&format!("sk-ant-oat01-FAKE-{number}"))).unwrap();
                    assert!(store.read(claude, default).unwrap().is_some());
                }
            });
        }
    });
    let left: Vec<_> = fs::read_dir(&store.dir).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}: the token and the lock");
}
