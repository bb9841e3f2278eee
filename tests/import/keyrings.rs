//! Headjack's items in a real gnome-keyring of the lab's user, and in a macOS keychain.

use crate::go_keyring;
use crate::lab::{Lab, Output};

const TOKENS: &str = "~/.local/state/keyslip/tokens";

/// What Headjack stored, in its earlier and its later form.
fn items(lab: &Lab) -> String {
    let (access, refresh) = ("eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.FAKE-ring", "rt_FAKE-ring-refresh");
    let claude = lab.token("CLAUDE");
    lab.mark("ACCESS", access);
    lab.mark("REFRESH", refresh);
    lab.mark("KEY", "AIzaFAKE-ring");
    format!(
        "claude-credential {{\"type\":\"subscription\",\"value\":\"{claude}\"}}\nclaude-oidc-token sk-ant-oat01-FAKE-ring-old\n\
         codex-oauth-creds {{\"tokens\":{{\"access_token\":\"{access}\",\"refresh_token\":\"{refresh}\"}}}}\n\
         gemini-credential {{\"type\":\"apikey\",\"value\":\"AIzaFAKE-ring\"}}\n"
    )
}

/// Runs a script as the user while a session of theirs is on.
fn in_session(lab: &Lab, state: &str, script: &str) -> Output {
    lab.write("script", format!("{}\n{script}", go_keyring::install(lab)).as_bytes());
    lab.as_user(&format!("$REPO/tests/lab/session {state} bash -eu -o pipefail $W/script"))
}

#[test]
fn items_that_headjack_wrote_are_found_in_a_collection_of_their_own() {
    let Some(lab) = Lab::new("import-keyring") else { return };
    lab.write("items", items(&lab).as_bytes());
    let output = in_session(
        &lab,
        "unlocked",
        &format!(
            "headjack open <$W/items
            mkdir -p ~/.config/headjack; cp $REPO/tests/import/headjack/gemini-credential ~/.config/headjack
            export HEADJACK_KEYRING_PASSWORD='FAKE password'
            keyslip auth import headjack --store file
            cd {TOKENS}; for login in *.json; do echo \"$login $(jq -r .token $login)\"; done
            keyslip auth import headjack --json | jq -r '.logins[] | .agent, .result'"
        ),
    );
    assert!(output.succeeded(), "{output}");
    for line in [
        "imported the long-lived OAuth token for claude from claude-credential in the keyring; it ends at 20",
        "imported the ChatGPT login for codex from codex-oauth-creds in the keyring; valid until 2100-01-01",
        "imported the API key for gemini from gemini-credential in the keyring; it does not expire",
        "claude-oauth.json <CLAUDE>",
        r#"codex-oauth.json {"tokens":{"access_token":"<ACCESS>","refresh_token":""}}"#,
        "gemini-oauth.json <KEY>",
        "claude\nsame\ncodex\nsame\ngemini\nsame",
    ] {
        assert!(output.stdout.contains(line), "{line}\n{output}");
    }
    assert!(output.stderr.contains("/.config/headjack has another login of gemini, which was passed over"), "{output}");
    assert!(output.stdout.contains("at the latest\n"), "{output}");
    assert_eq!(lab.leaks(&["/home/labuser/.local/state"], "rt_FAKE-ring-refresh"), [""; 0]);
}

#[test]
fn items_as_other_libraries_name_them_are_found_too() {
    let Some(lab) = Lab::new("import-attributes") else { return };
    let claude = lab.token("CLAUDE");
    lab.write("claude", claude.as_bytes());
    lab.mark("KEY", "sk-FAKE-attributes");
    lab.write("codex", b"{\"type\":\"apikey\",\"value\":\"sk-FAKE-attributes\"}");
    let output = in_session(
        &lab,
        "unlocked",
        &format!(
            "tool() {{ DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/4100/bus secret-tool store --label=x \"$@\"; }}
            tool service com.headjack account claude-oidc-token <$W/claude
            tool service com.headjack.cli username codex-credential <$W/codex
            keyslip auth import headjack --store file >/dev/null; jq -r .token {TOKENS}/*.json"
        ),
    );
    assert_eq!(output.text(), "<CLAUDE>\n<KEY>", "{output}");
}

#[test]
fn where_logins_rest_in_the_keyring_imported_ones_do_too() {
    let Some(lab) = Lab::new("import-into-keyring") else { return };
    lab.write("items", items(&lab).as_bytes());
    let output = in_session(
        &lab,
        "unlocked",
        &format!(
            "headjack open <$W/items
            keyslip auth import headjack
            jq -r '.keyring | length' {TOKENS}/*.json
            keyslip auth import headjack --json | jq -r '.logins[].result'"
        ),
    );
    assert!(output.succeeded(), "{output}");
    assert_eq!(output.stdout.matches(" in the keyring into the keyring; ").count(), 3, "{output}");
    assert!(output.text().ends_with("16\n16\n16\nsame\nsame\nsame"), "{output}");
}

#[test]
fn a_locked_collection_is_not_an_empty_one() {
    let Some(lab) = Lab::new("import-locked") else { return };
    lab.write("items", items(&lab).as_bytes());
    let output = in_session(&lab, "unlocked", "headjack locked <$W/items; keyslip auth import headjack");
    assert_eq!(output.code(), Some(1), "{output}");
    assert!(output.stderr.contains("the keyring is locked; unlock it"), "{output}");
    assert_eq!(output.stderr.matches("is locked").count(), 1, "{output}");
    assert_eq!(lab.ok("find /home/labuser/.local -path '*keyslip*' -name '*.json'"), "");
}

#[test]
fn without_a_keyring_the_files_are_looked_for() {
    let Some(lab) = Lab::new("import-no-keyring") else { return };
    let output = lab.as_user("keyslip auth import headjack");
    assert!(
        output.code() == Some(1) && output.stderr.contains("nothing to import in /home/labuser/.config/headjack"),
        "{output}"
    );
    // A bus on which there is none.
    let output = in_session(&lab, "bus", "keyslip auth import headjack");
    assert!(output.code() == Some(1) && output.stderr.contains("the keyring cannot be opened"), "{output}");
}

#[test]
fn a_macos_keychain_is_read_through_its_program() {
    let Some(lab) = Lab::new("import-keychain") else { return };
    let claude = lab.token("CLAUDE");
    // There is no Mac here. This answers as security(1) does: the value, or exit code 44.
    lab.write(
        "security",
        format!(
            "#!/bin/bash\necho \"$*\" >>$(dirname $0)/asked\ncase \" $* \" in *' -s com.headjack '*) ;; *) exit 44 ;; esac\ncase \" $* \" in *' -a claude-oidc-token '*) ;; *) exit 44 ;; esac\necho {claude}\n"
        )
        .as_bytes(),
    );
    lab.ok("chmod +x $W/security");
    lab.configure(&format!("keychain = [\"{}/security\"]\n", lab.path().display()));
    let output = lab.sh("keyslip auth import headjack");
    lab.ok("rm $W/security");
    assert!(output.succeeded(), "{output}");
    assert!(output.stdout.contains("for claude from claude-oidc-token in the macOS keychain"), "{output}");
    assert_eq!(crate::stored(&lab, "claude-oauth"), "<CLAUDE>");
    assert_eq!(lab.ok("grep -vc find-generic-password $W/asked || true"), "0");
}
