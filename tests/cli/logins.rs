//! What can be logged in with, where it rests, and what is left out.

use crate::lab::Lab;

#[test]
fn the_methods_of_an_agent_are_listed_and_kept_to() {
    let Some(lab) = Lab::new("cli-methods") else { return };
    let list = lab.ok("keyslip auth login claude --method");
    for part in ["token ", "(the default)", "browser ", "api-key ", "paste ", "sk-ant-oat01-"] {
        assert!(list.contains(part), "{part:?}: {list}");
    }
    for (agent, credential) in [("claude", "sk-ant-api03-FAKE"), ("codex", "sk-proj-FAKE"), ("gemini", "AIzaFAKE")] {
        let stored = lab.ok(&format!("echo {credential} | keyslip auth login {agent} --method api-key --account key"));
        assert!(stored.contains(&format!("stored the API key for {agent}@key")), "{stored}");
        let output = lab.sh(&format!("echo hunter2-FAKE | keyslip auth login {agent} --method api-key"));
        assert!(output.stderr.contains("is no API key (") && output.stderr.contains("Nothing was stored"), "{output}");
        assert!(!output.said().contains("hunter2"), "{output}");
    }
    // A token is no API key, although the agent takes both.
    let output = lab.sh("echo sk-ant-oat01-FAKE | keyslip auth login claude --method api-key");
    assert!(output.stderr.contains("this is no API key (sk-ant-api…)"), "{output}");
    let output = lab.sh("keyslip auth login claude --method telepathy </dev/null");
    assert!(output.stderr.contains("it has token, browser, api-key, paste"), "{output}");
    let output = lab.sh("PATH=$(dirname $(command -v keyslip)) keyslip auth login claude --method token </dev/null");
    assert!(!output.succeeded() && output.stderr.contains("claude"), "{output}");
}

#[test]
fn a_login_that_somebody_else_can_renew_is_stored_without_its_refresh_token() {
    let Some(lab) = Lab::new("cli-refresh-token") else { return };
    let end = lab.ok("date -d '8 hours' +%s000");
    lab.write("$W/login", format!(r#"{{"claudeAiOauth":{{"accessToken":"sk-ant-oat01-FAKE","refreshToken":"sk-ant-ort01-FAKE","expiresAt":{end}}}}}"#).as_bytes());
    let said = lab.ok("keyslip auth login claude <$W/login; rm $W/login");
    assert!(said.contains("its refresh token was left out"), "{said}");
    assert_eq!(lab.leaks(&["/var/lib/keyslip"], "sk-ant-ort01-FAKE"), Vec::<String>::new());
    // Google's can be used many times, and is delivered.
    lab.write("$W/login", br#"{"oauth_creds":{"access_token":"ya29.FAKE","refresh_token":"1//FAKE-google"}}"#);
    let said = lab.ok("keyslip auth login gemini <$W/login; rm $W/login");
    assert!(said.contains("it does not expire") && !said.contains("left out"), "{said}");
    assert_eq!(lab.leaks(&["/var/lib/keyslip"], "1//FAKE-google").len(), 1);
}

#[test]
fn gemini_is_logged_in_with_the_login_that_its_client_has_made() {
    let Some(lab) = Lab::new("cli-gemini") else { return };
    let output = lab.sh("keyslip auth login gemini --method host");
    assert!(output.stderr.contains("/root/.gemini/google_accounts.json"), "{output}");
    lab.ok("mkdir -m 700 /root/.gemini");
    lab.write(
        "/root/.gemini/oauth_creds.json",
        br#"{"access_token":"ya29.FAKE","refresh_token":"1//FAKE","expiry_date":1}"#,
    );
    lab.write("/root/.gemini/google_accounts.json", br#"{"active":"dev@example.com","old":[]}"#);
    let before = lab.ok("cat /root/.gemini/* | sha256sum");
    let said = lab.ok("keyslip auth login gemini --method host");
    assert!(said.contains("stored the Google login for gemini"), "{said}");
    let token = lab.ok("jq -r .token /var/lib/keyslip/tokens/gemini-oauth.json | jq -c .");
    assert_eq!(
        token,
        r#"{"google_accounts":{"active":"dev@example.com","old":[]},"oauth_creds":{"access_token":"ya29.FAKE","refresh_token":"1//FAKE","expiry_date":1}}"#
    );
    assert_eq!(before, lab.ok("cat /root/.gemini/* | sha256sum"));
}

/// A program with the interface of `security` on a Mac, as its source documents it; nothing here was
/// run on one.
const SECURITY: &str = r#"#!/bin/bash
set -eu
dir=$HOME/keychain; mkdir -p $dir
file() { printf '%s' "$1|$2" | sha256sum | cut -c1-64; }
if [ "$1" = find-generic-password ] && [ "$2" = -a ] && [ "$4" = -w ] && [ "$5" = -s ]; then
    f=$dir/$(file "$6" "$3"); [ -e $f ] || exit 44; cat $f; echo
elif [ "$1" = delete-generic-password ]; then
    f=$dir/$(file "$5" "$3"); [ -e $f ] || exit 44; rm $f
elif [ "$1" = -i ]; then
    read -r verb update a account s service x hex
    [ "$verb $update $a $s $x" = 'add-generic-password -U -a -s -X' ]
    account=${account%\"}; account=${account#\"}; service=${service%\"}; service=${service#\"}
    printf '%b' "$(sed 's/../\\x&/g' <<<"$hex")" >$dir/$(file "$service" "$account")
else
    exit 2
fi
"#;

#[test]
fn a_keychain_keeps_a_login_where_one_is_configured() {
    let Some(lab) = Lab::new("cli-keychain") else { return };
    lab.write("/usr/libexec/keyslip/security", SECURITY.as_bytes());
    lab.ok("chmod 755 /usr/libexec/keyslip/security
        echo 'keychain = [\"/usr/libexec/keyslip/security\"]' >/home/labuser/.config/keyslip/keyslip.toml");
    let (one, two) = (lab.token("ONE"), lab.token("TWO"));
    for token in [&one, &two] {
        lab.user_login("claude --store keyring", token);
        assert_eq!(lab.as_user("ls ~/keychain | wc -l").text(), "1", "one item for one login");
    }
    let status = lab.as_user("keyslip auth status").stdout;
    assert!(status.contains("valid  keychain  long-lived OAuth token"), "{status}");
    assert_eq!(lab.leaks(&["/home/labuser/.local"], &two), Vec::<String>::new());
    let bundle = lab.bundle("keychain", r#".annotations={"dev.keyslip.agents":"claude"}"#);
    lab.ok(&format!("chmod -R a+rX $W/keychain; chmod a+x {bundle}"));
    let plan = lab.as_user(&format!("keyslip plan -v --bundle {bundle}"));
    assert!(plan.said().contains("store=keychain"), "{plan}");
    let said = lab.as_user("keyslip auth logout claude").stdout;
    assert!(said.contains("and from the macOS keychain"), "{said}");
    assert_eq!(lab.as_user("ls ~/keychain | wc -l").text(), "0");
    // Root's engines start without a session.
    lab.configure("keychain = [\"/usr/libexec/keyslip/security\"]\n");
    let output = lab.sh("echo sk-ant-oat01-FAKE | keyslip auth login claude --store keyring");
    assert!(output.stderr.contains("--store file or encrypted"), "{output}");
}
