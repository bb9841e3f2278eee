//! Logging in and out with a real gnome-keyring.

use crate::lab::Lab;
use crate::session::{BUS, Session, items, log_in, logged_in, user};

const ENTRY: &str = "/home/labuser/.local/state/keyslip/tokens/claude-oauth.json";
const CLAUDE: &str = "claude/default";

#[test]
fn a_login_rests_in_the_keyring_alone_and_is_found_by_other_programs() {
    let Some(lab) = Lab::new("accounts-keyring") else { return };
    let _session = Session::begin(&lab, "unlocked");
    let (first, second) = (lab.token("FIRST"), lab.token("SECOND"));
    let lookup = format!("{BUS} secret-tool lookup service dev.keyslip account claude/default");
    let mut items_seen = Vec::new();
    for (mark, token) in [("<FIRST>", &first), ("<SECOND>", &second)] {
        let said = logged_in(&lab, "claude --store keyring", token);
        assert!(said.contains("in the keyring") && said.contains("keyslip sync"), "{said}");
        assert_eq!(user(&lab, &lookup), mark);
        assert_eq!(items(&lab, CLAUDE), [mark], "the new login takes the place of the old one");
        items_seen.push(lab.ok(&format!("jq -r .keyring {ENTRY}")));
        assert_eq!(lab.leaks(&["/home /run /var/lib /var/tmp"], token), [""; 0]);
        let status =
            user(&lab, "keyslip auth status claude --json | jq -r '.[] | [.state, .store, .kind] | join(\" \")'");
        assert_eq!(status, "valid keyring long-lived OAuth token");
    }
    assert!(items_seen[0].len() == 16 && items_seen[0] != items_seen[1], "{items_seen:?}");
    assert_eq!(lab.ok(&format!("stat -c '%a %U' {ENTRY}")), "600 labuser");
    let said = user(&lab, "keyslip auth logout claude");
    assert!(said.contains("removed the login for claude from the store and from the keyring"), "{said}");
    assert_eq!(items(&lab, CLAUDE), [""; 0]);
    assert_eq!(lab.ok(&format!("ls {ENTRY} 2>/dev/null || echo none")), "none");
}

#[test]
fn a_login_moves_from_one_place_to_another_and_leaves_nothing_behind() {
    let Some(lab) = Lab::new("accounts-moves") else { return };
    let _session = Session::begin(&lab, "unlocked");
    let (keyring, file) = (lab.token("KEYRING"), lab.token("FILE"));
    for _ in 0..2 {
        logged_in(&lab, "claude --store keyring", &keyring);
        logged_in(&lab, "claude --store file", &file);
        assert_eq!((items(&lab, CLAUDE), lab.ok(&format!("jq -r .token {ENTRY}"))), (vec![], "<FILE>".to_owned()));
    }
    // Somebody else's item, which is none of ours to remove.
    lab.write("/home/labuser/own", b"own");
    user(&lab, &format!("{BUS} secret-tool store --label=own service dev.keyslip account claude/default <$HOME/own"));
    logged_in(&lab, "claude --store keyring", &keyring);
    logged_in(&lab, "claude --store keyring --account work", &file);
    assert_eq!(items(&lab, CLAUDE), ["<KEYRING>", "own"]);
    user(&lab, "keyslip auth logout claude");
    assert_eq!((items(&lab, CLAUDE), items(&lab, "claude/work")), (vec!["own".to_owned()], vec!["<FILE>".to_owned()]));
}

#[test]
fn auto_takes_the_keyring_where_it_can_be_used_and_says_why() {
    let Some(lab) = Lab::new("accounts-auto") else { return };
    let token = lab.token("CLAUDE");
    let auto = |state: Option<&str>, arguments: &str| {
        let _session = state.map(|state| Session::begin(&lab, state));
        logged_in(&lab, &format!("claude {arguments}"), &token)
    };
    let kept = || lab.ok(&format!("jq -r 'keys[]' {ENTRY} | grep -E 'token|keyring'"));
    for arguments in ["--store auto", ""] {
        let said = auto(Some("unlocked"), arguments);
        assert!(said.contains("--store auto chose keyring: it is reachable and unlocked"), "{said}");
        assert_eq!(kept(), "keyring");
    }
    for (state, why) in [
        (Some("locked"), "the keyring is locked"),
        (Some("fresh"), "never set up"),
        (Some("bus"), "no keyring service on the session bus"),
        (None, "/run/user/4100/bus"),
    ] {
        let said = auto(state, "--store auto");
        assert!(said.contains("--store auto chose file: no keyring can be used") && said.contains(why), "{said}");
        assert_eq!(kept(), "token", "{state:?}");
    }
    let refused = log_in(&lab, "claude --store keyring --account work", &token);
    assert!(!refused.succeeded() && refused.stderr.contains("no keyring can be reached"), "{refused}");
    assert_eq!(lab.ok("find /home/labuser/.local/state/keyslip/tokens -name '*work*.json'"), "");
}

#[test]
fn roots_logins_are_not_kept_in_a_keyring() {
    let Some(lab) = Lab::new("accounts-root") else { return };
    let _session = Session::begin(&lab, "unlocked");
    lab.write("login", lab.token("CLAUDE").as_bytes());
    let call = |store: &str| lab.sh(&format!("export {BUS}; keyslip auth login claude {store} <$W/login"));
    let refused = call("--store keyring");
    assert!(!refused.succeeded() && refused.stderr.contains("--store file or encrypted"), "{refused}");
    assert_eq!(lab.ok("ls /var/lib/keyslip/tokens 2>/dev/null || true"), "");
    for store in ["--store auto", ""] {
        let said = call(store);
        assert!(said.succeeded() && said.stdout.contains("/var/lib/keyslip/tokens/claude-oauth.json"), "{said}");
    }
    assert_eq!(items(&lab, CLAUDE), [""; 0]);
    // With an owner, root's commands write into that user's store, but not into their keyring.
    lab.configure("owner = \"labuser\"\n");
    let refused = call("--store keyring");
    assert!(refused.stderr.contains("the keyring belongs to uid 4100; run this as that user"), "{refused}");
    let refused = call("--store encrypted");
    assert!(refused.stderr.contains("run this as that user"), "{refused}");
    let said = call("--store auto");
    assert!(said.stdout.contains(ENTRY), "{said}");
    assert_eq!(lab.ok(&format!("stat -c '%a %U' {ENTRY}")), "600 labuser");
}

#[test]
fn what_root_removes_of_a_users_login_is_named() {
    let Some(lab) = Lab::new("accounts-root-logout") else { return };
    let _session = Session::begin(&lab, "unlocked");
    logged_in(&lab, "claude --store keyring", &lab.token("CLAUDE"));
    lab.configure("owner = \"labuser\"\n");
    let status = lab.ok("keyslip auth status claude --json | jq -r '.[] | [.state, .store] | join(\" \")'");
    assert_eq!(status, "valid keyring", "root asks as that user");
    let logout = lab.sh("keyslip auth logout claude");
    assert_eq!(logout.code(), Some(1), "{logout}");
    assert!(logout.stdout.contains("the keyring still has it: the keyring belongs to uid 4100"), "{logout}");
    assert_eq!(items(&lab, CLAUDE), ["<CLAUDE>"]);
    let said = user(&lab, "keyslip auth logout claude");
    assert!(said.contains("removed from the keyring what was left there"), "{said}");
    assert_eq!(items(&lab, CLAUDE), [""; 0], "the user's own logout removes it");
}

#[test]
fn what_was_logged_out_or_has_expired_does_not_come_back_from_the_keyring() {
    let Some(lab) = Lab::new("accounts-gone") else { return };
    let session = Session::begin(&lab, "unlocked");
    // Here a keyring is also asked for logins that somebody else has put there.
    lab.write("/home/labuser/.config/keyslip/keyslip.toml", b"[store]\nbackend = \"keyring\"\n");
    let bundle = lab.bundle("b", r#".annotations={"dev.keyslip.agents":"claude"}"#);
    lab.ok(&format!("chmod -R a+rX {bundle}; chmod 755 $W"));
    let plan = || lab.as_user(&format!("keyslip plan --bundle {bundle}"));
    logged_in(&lab, "claude", &lab.token("CLAUDE"));
    assert!(plan().succeeded(), "{}", plan());
    let entry = lab.ok(&format!("cat {ENTRY}"));
    lab.ok(&format!("jq '.expiresAt=\"2026-01-02T00:00:00Z\"' {ENTRY} >$W/e; cat $W/e >{ENTRY}"));
    let expired = plan();
    assert!(expired.code() == Some(4) && expired.stdout.contains("expired"), "{expired}");
    lab.write(ENTRY, entry.as_bytes());
    assert!(plan().succeeded(), "{}", plan());
    // Logged out while the keyring was locked: the item could not be removed.
    drop(session);
    let locked = Session::begin(&lab, "locked");
    let logout = lab.as_user("keyslip auth logout claude");
    assert_eq!(logout.code(), Some(1), "{logout}");
    assert!(logout.stdout.contains("the keyring still has it: the keyring is locked"), "{logout}");
    drop(locked);
    let _session = Session::begin(&lab, "unlocked");
    let gone = plan();
    assert!(gone.code() == Some(4) && !gone.stdout.contains("from the store"), "{gone}");
    // The next login cleans up, wherever it rests.
    logged_in(&lab, "claude --store file", &lab.token("NEW"));
    assert_eq!(items(&lab, CLAUDE), [""; 0]);
}

#[test]
fn a_start_beside_a_login_gets_the_new_one() {
    let Some(lab) = Lab::new("accounts-beside") else { return };
    let _session = Session::begin(&lab, "unlocked");
    let bundle = lab.bundle("b", r#".annotations={"dev.keyslip.agents":"claude"}"#);
    logged_in(&lab, "claude --store keyring", &lab.token("OLD"));
    lab.write("/home/labuser/new", lab.token("NEW").as_bytes());
    // It rests between the entry and the item that the entry names.
    let looking = format!(
        "strace -f -b execve -qq -o trace -e trace=socketpair -e inject=socketpair:delay_enter=1500000:when=1 keyslip plan -v --bundle {bundle}"
    );
    let said = lab.as_user(&format!(
        "{looking} & plan=$!; sleep 0.5; keyslip auth login claude --store keyring <new; wait $plan"
    ));
    assert!(said.succeeded() && said.stdout.contains("\nallowed\n"), "{said}");
    assert_eq!(items(&lab, CLAUDE), ["<NEW>"]);
    assert_eq!(user(&lab, "grep -c socketpair trace"), "2", "it looked again");
}
