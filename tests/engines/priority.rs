//! Which source a credential comes from: the order of the documents that Keyslip follows, line by line,
//! through the real shim, read back inside the container.

use crate::lab::{Bare, Lab, RUNTIMES};

/// One line of the table.
struct Row {
    name: &'static str,
    /// The stored login: days that it still lasts.
    stored: Option<i64>,
    /// The host client's own login: hours that it still lasts.
    host: Option<i64>,
    /// The same in the keychain.
    keychain: Option<i64>,
    config: &'static str,
    /// What the container asks for.
    ask: &'static str,
    /// Whose credential it gets: the main process' variables, then the client's file.
    env: &'static str,
    file: &'static str,
    /// What the warnings say, each of these.
    warnings: &'static [&'static str],
}

const NOTHING: Row = Row {
    name: "",
    stored: None,
    host: None,
    keychain: None,
    config: "",
    ask: "claude",
    env: "",
    file: "",
    warnings: &[],
};

const SECRET: &str = "[secrets]\nanthropic = \"/etc/keyslip/anthropic\"\n[agents.claude]\nsecret_name = \"anthropic\"\n\
                      auth_env_var = \"ANTHROPIC_API_KEY\"\n";
const NO_SECRET: &str = "[secrets]\nanthropic = \"/etc/keyslip/nowhere\"\n[agents.claude]\nsecret_name = \"anthropic\"\n\
                         auth_env_var = \"ANTHROPIC_API_KEY\"\n";
const KEYCHAIN: &str = "keychain = [\"/etc/keyslip/security\"]\n";
const HELPER: &str = "[store]\nbackend = \"command\"\n[store.command]\nargv = [\"/etc/keyslip/helper\", \"{agent}/{account}\"]\noutput = \"text\"\n";
const LEFT_BY_HELPER: &str = "[store.command]\nargv = [\"/bin/false\"]\n";
const WORK: &str = "[[allow]]\nagents = [\"claude\"]\naccounts = [\"work\"]\n";
const STORED: &str = "CLAUDE_CODE_OAUTH_TOKEN=<STORED>";
const HOST: &str = "<HOST> refresh=''";

/// The table. A credential file that only keeps a place shows as `{}`.
const TABLE: &[Row] = &[
    Row { name: "a stored token", stored: Some(364), env: STORED, ..NOTHING },
    Row {
        name: "a stored token beats the host's login",
        stored: Some(364),
        host: Some(8),
        keychain: Some(8),
        config: KEYCHAIN,
        env: STORED,
        ..NOTHING
    },
    Row {
        name: "an expiring one too, with a warning",
        stored: Some(10),
        host: Some(8),
        env: STORED,
        warnings: &["expires in", "keyslip auth login claude"],
        ..NOTHING
    },
    Row {
        name: "an expired one is passed over",
        stored: Some(-1),
        host: Some(8),
        file: HOST,
        warnings: &["expired", "short-lived", "it ends in"],
        ..NOTHING
    },
    Row { name: "the host's login alone", host: Some(8), file: HOST, warnings: &["short-lived"], ..NOTHING },
    Row {
        name: "the keychain comes before the file",
        host: Some(8),
        keychain: Some(8),
        config: KEYCHAIN,
        file: "<KEYCHAIN> refresh=''",
        warnings: &["short-lived"],
        ..NOTHING
    },
    Row {
        name: "an expired keychain entry is passed over",
        host: Some(8),
        keychain: Some(-1),
        config: KEYCHAIN,
        file: HOST,
        ..NOTHING
    },
    Row {
        name: "all of them expired",
        stored: Some(-1),
        host: Some(-1),
        file: "{}",
        warnings: &["the stored token", "host's own login", "claude setup-token"],
        ..NOTHING
    },
    Row { name: "nothing at all", file: "{}", warnings: &["no credential", "claude setup-token"], ..NOTHING },
    Row {
        name: "a secret file, and nothing else",
        stored: Some(364),
        host: Some(8),
        config: SECRET,
        env: "ANTHROPIC_API_KEY=<SECRET>",
        ..NOTHING
    },
    Row {
        name: "a missing secret file is not replaced by others",
        stored: Some(364),
        host: Some(8),
        config: NO_SECRET,
        file: "{}",
        warnings: &["secret anthropic"],
        ..NOTHING
    },
    Row {
        name: "passthrough as a variable",
        host: Some(8),
        config: "passthrough = \"env\"\n",
        env: "CLAUDE_CODE_OAUTH_TOKEN=<HOST>",
        ..NOTHING
    },
    Row {
        name: "passthrough off",
        host: Some(8),
        config: "passthrough = \"off\"\n",
        file: "{}",
        warnings: &["no credential"],
        ..NOTHING
    },
    Row {
        name: "a credential helper before the host's login",
        host: Some(8),
        config: HELPER,
        env: "CLAUDE_CODE_OAUTH_TOKEN=<HELPER>",
        ..NOTHING
    },
    Row { name: "a stored token before the helper", stored: Some(364), config: HELPER, env: STORED, ..NOTHING },
    Row {
        name: "a helper that fails is no reason to take another login",
        host: Some(8),
        config: LEFT_BY_HELPER,
        file: "{}",
        warnings: &["the credential helper"],
        ..NOTHING
    },
    Row {
        name: "the host's login is the default account's",
        host: Some(8),
        config: WORK,
        ask: "claude@work",
        file: "{}",
        warnings: &["account work"],
        ..NOTHING
    },
];

#[test]
fn credentials_come_from_the_sources_in_their_order() {
    let Some(lab) = Lab::new("priority") else { return };
    let tokens = ["STORED", "HOST", "KEYCHAIN", "SECRET", "HELPER"].map(|mark| lab.token(mark));
    let [_, host, keychain, secret, helper] = &tokens;
    lab.mark("REFRESH", "sk-ant-ort01-FAKE-priority");
    lab.write("/etc/keyslip/anthropic", secret.as_bytes());
    lab.write("$W/helper.token", helper.as_bytes());
    lab.write(
        "/etc/keyslip/helper",
        format!("#!/bin/sh\n[ \"$1\" = claude/default ] || exit 1\necho {helper}\n").as_bytes(),
    );
    // As `security find-generic-password -a root -w -s "Claude Code-credentials"` has it.
    lab.write("/etc/keyslip/security", b"#!/bin/sh\n[ \"$*\" = 'find-generic-password -a root -w -s Claude Code-credentials' ] || exit 2\ncat /etc/keyslip/keychain 2>/dev/null || exit 44\n");
    lab.ok(
        "chmod 700 /etc/keyslip/helper /etc/keyslip/security; chmod 600 /etc/keyslip/anthropic; rm -f $W/helper.token",
    );
    for row in TABLE {
        set_up(&lab, row, &tokens[0], host, keychain);
        for runtime in RUNTIMES {
            check(&lab, row, runtime);
        }
    }
}

fn set_up(lab: &Lab, row: &Row, stored: &str, host: &str, keychain: &str) {
    lab.ok("rm -rf /var/lib/keyslip/tokens /root/.claude /etc/keyslip/keychain");
    lab.configure("");
    if let Some(days) = row.stored {
        lab.login("claude", stored);
        lab.ok(&format!(
            "f=/var/lib/keyslip/tokens/claude-oauth.json; end=$(date -u -d '{days} days' +%FT%TZ); \
             jq --arg t $end '.expiresAt=$t' $f >$W/t; cat $W/t >$f; rm $W/t"
        ));
    }
    let login = |hours: i64, token: &str| {
        let end = lab.ok(&format!("date -d '{hours} hours' +%s000"));
        format!(
            r#"{{"claudeAiOauth":{{"accessToken":"{token}","refreshToken":"sk-ant-ort01-FAKE-priority","expiresAt":{end},"scopes":["user:inference"]}}}}"#
        )
    };
    if let Some(hours) = row.host {
        lab.ok("mkdir -m 700 /root/.claude");
        lab.write("/root/.claude/.credentials.json", login(hours, host).as_bytes());
    }
    if let Some(hours) = row.keychain {
        lab.write("/etc/keyslip/keychain", login(hours, keychain).as_bytes());
    }
    lab.ok("chmod -R go-rwx /root/.claude /etc/keyslip/keychain 2>/dev/null || true");
    lab.configure(row.config);
}

#[track_caller]
fn check(lab: &Lab, row: &Row, runtime: &str) {
    let what = format!("{} ({runtime})", row.name);
    let id = format!("{runtime}-{}", lab.ok("ls -d $W/*/config.json 2>/dev/null | wc -l"));
    let bundle = lab.bundle(&id, &format!(".annotations={{\"dev.keyslip.agents\":\"{}\"}}", row.ask));
    let container = Bare::new(lab, runtime, &id, &bundle);
    let output = container.create();
    assert_eq!((output.code(), output.said().as_str()), (Some(0), ""), "{what}: a start is silent: {output}");
    lab.ok(&format!("{} start {id}", container.shim));
    let env = container.exec("tr '\\0' '\\n' </proc/1/environ | grep -E '^(CLAUDE|ANTHROPIC)' || true");
    assert_eq!(env, row.env, "{what}: variables");
    lab.ok(&format!("{} exec --process {bundle}/process.json {id} true", container.shim));
    let file = container.exec("cat /root/.claude/.credentials.json 2>/dev/null || true");
    let file = match serde_json::from_str::<serde_json::Value>(&file) {
        Ok(login) if login["claudeAiOauth"].is_object() => {
            let login = &login["claudeAiOauth"];
            format!("{} refresh='{}'", login["accessToken"].as_str().unwrap(), login["refreshToken"].as_str().unwrap())
        }
        _ => file.trim().to_owned(),
    };
    assert_eq!(file, row.file, "{what}: the client's file");
    let warnings = lab.ok("keyslip list --json | jq -r '.[].warnings[]'");
    for part in row.warnings {
        assert!(warnings.contains(part), "{what}: {part:?} is not in {warnings:?}");
    }
    if row.warnings.is_empty() && row.host.is_none() {
        assert_eq!(warnings, "", "{what}: silent");
    }
    container.end();
    lab.assert_nothing_left(&what);
}

#[test]
fn a_stored_secret_of_the_host_stays_as_it_was() {
    let Some(lab) = Lab::new("passthrough") else { return };
    let token = lab.token("HOST");
    let end = lab.ok("date -d '8 hours' +%s000");
    lab.ok("mkdir -m 700 /root/.claude");
    let login = format!(
        r#"{{"claudeAiOauth":{{"accessToken":"{token}","refreshToken":"sk-ant-ort01-FAKE","expiresAt":{end}}}}}"#
    );
    lab.write("/root/.claude/.credentials.json", login.as_bytes());
    lab.ok("chmod 600 /root/.claude/.credentials.json");
    let before = lab.ok("sha256sum /root/.claude/.credentials.json; stat -c '%i %Y' /root/.claude/.credentials.json");
    let container = Bare::started(&lab, "crun", "");
    // The host's client renews its login, and `sync` brings it in.
    let renewed = lab.token("RENEWED");
    assert_eq!(
        before,
        lab.ok("sha256sum /root/.claude/.credentials.json; stat -c '%i %Y' /root/.claude/.credentials.json")
    );
    lab.write("/root/.claude/new", login.replace(&token, &renewed).as_bytes());
    lab.ok("chmod 600 /root/.claude/new; mv /root/.claude/new /root/.claude/.credentials.json; keyslip sync");
    let inside = container.exec("cat /root/.claude/.credentials.json");
    assert!(inside.contains("<RENEWED>") && !inside.contains("ort01"), "{inside}");
    assert_eq!(lab.ok("ls -A /var/lib/keyslip/tokens 2>/dev/null || true"), "", "it is not stored");
    assert_eq!(lab.leaks(&["/run", "/var/lib", "/proc/self/environ"], "sk-ant-ort01-FAKE"), Vec::<String>::new());
    container.end();
}
