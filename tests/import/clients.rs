//! The logins of the agents' own clients on this host.

use crate::lab::Lab;
use crate::{import, ours, stored, stored_json};
use keyslip::agent::{Definition, render};
use keyslip::clock::Instant;
use keyslip::import::{Error, Found, RefreshToken, accept};
use keyslip::names::{Account, AgentName};
use keyslip::secret::Secret;

/// A login of Claude Code beside one for an MCP server, as the client keeps them in one file.
fn claude_login(access: &str, refresh: &str, mcp: &str, expires_ms: u64) -> String {
    format!(
        r#"{{"claudeAiOauth":{{"accessToken":"{access}","refreshToken":"{refresh}","expiresAt":{expires_ms},"scopes":["user:inference","user:profile"],"subscriptionType":"max"}},"mcpOAuth":{{"server|1":{{"accessToken":"{mcp}","refreshToken":"{mcp}-refresh"}}}},"organizationUuid":"FAKE"}}"#
    )
}

/// The JSON web token `{"alg":"none"}` that ends in 2100.
fn jwt(mark: &str) -> String {
    format!("eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.FAKE-{mark}")
}

fn codex_login(access: &str, refresh: &str) -> String {
    format!(
        r#"{{"auth_mode":"chatgpt","OPENAI_API_KEY":null,"tokens":{{"id_token":"FAKE","access_token":"{access}","refresh_token":"{refresh}","account_id":"FAKE"}},"last_refresh":"2026-11-01T00:00:00Z"}}"#
    )
}

#[test]
fn a_login_of_claude_code_comes_without_its_refresh_token_and_without_the_logins_beside_it() {
    let Some(lab) = Lab::new("import-claude") else { return };
    let (access, refresh, mcp) =
        ("sk-ant-oat01-FAKE-import-access", "sk-ant-ort01-FAKE-import-refresh", "FAKE-import-mcp");
    for (mark, value) in [("ACCESS", access), ("REFRESH", refresh), ("MCP", mcp)] {
        lab.mark(mark, value);
    }
    lab.ok("mkdir -p /root/.claude");
    lab.ok("mkdir -p $W/claude");
    lab.write("claude/.credentials.json", claude_login(access, refresh, mcp, 4_102_444_800_000).as_bytes());
    let with = "CLAUDE_CONFIG_DIR=$W/claude";
    let dry = import(&lab, "$W/claude", &format!("{with} keyslip auth import claude --account work --dry-run"));
    assert!(dry.succeeded() && dry.text().starts_with("would import the OAuth login for claude@work from"), "{dry}");
    assert_eq!(ours(&lab), "etc/keyslip/keyslip.toml");
    let output = import(&lab, "$W/claude", &format!("{with} keyslip auth import claude --account work"));
    assert!(output.succeeded(), "{output}");
    for said in ["imported the OAuth login for claude@work", "2100-01-01", "without its refresh token", "mcpOAuth"] {
        assert!(output.stdout.contains(said), "{said}: {output}");
    }
    let login = stored_json(&lab, "claude-oauth@work");
    assert_eq!(login["claudeAiOauth"]["accessToken"], "<ACCESS>");
    assert_eq!(login["claudeAiOauth"]["refreshToken"], "");
    assert_eq!(login["organizationUuid"], "FAKE");
    assert_eq!(login["mcpOAuth"], serde_json::Value::Null);
    for value in [refresh, mcp] {
        assert_eq!(lab.leaks(&["/var/lib/keyslip", "/etc/keyslip"], value), [""; 0]);
    }
    let status = lab.ok("keyslip auth status claude --json | jq -r '.[] | .account, .state, .kind, .expiresAt'");
    assert_eq!(status, "work\nvalid\nOAuth login\n2100-01-01T00:00:00Z");
}

#[test]
fn logins_of_codex_by_browser_and_by_key() {
    let Some(lab) = Lab::new("import-codex") else { return };
    let (access, refresh, key) = (jwt("import-access"), "rt_FAKE-import-refresh", "sk-FAKE-import-key");
    for (mark, value) in [("ACCESS", &*access), ("REFRESH", refresh), ("KEY", key)] {
        lab.mark(mark, value);
    }
    lab.ok("mkdir -p $W/codex $W/key");
    lab.write("codex/auth.json", codex_login(&access, refresh).as_bytes());
    lab.write("key/auth.json", format!(r#"{{"auth_mode":"apikey","OPENAI_API_KEY":"{key}"}}"#).as_bytes());
    let output = import(&lab, "$W/codex", "CODEX_HOME=$W/codex keyslip auth import codex");
    assert!(output.succeeded() && output.stdout.contains("without its refresh token"), "{output}");
    let login = stored_json(&lab, "codex-oauth");
    assert_eq!((&login["tokens"]["access_token"], &login["tokens"]["refresh_token"]), (&"<ACCESS>".into(), &"".into()));
    assert_eq!((&login["auth_mode"], &login["OPENAI_API_KEY"]), (&"chatgpt".into(), &serde_json::Value::Null));
    assert_eq!(lab.leaks(&["/var/lib/keyslip"], refresh), [""; 0]);
    let output = import(&lab, "$W/key", "CODEX_HOME=$W/key keyslip auth import codex --account key");
    assert!(output.succeeded() && output.stdout.contains("the API key for codex@key"), "{output}");
    assert_eq!(stored(&lab, "codex-oauth@key"), "<KEY>");
}

#[test]
fn a_google_login_keeps_its_refresh_token_and_may_have_an_expired_access_token() {
    let Some(lab) = Lab::new("import-gemini") else { return };
    lab.ok("mkdir -p $W/home/.gemini");
    let login = |refresh: &str| {
        format!(r#"{{"access_token":"ya29.FAKE-import","refresh_token":"{refresh}","scope":"x","expiry_date":1000}}"#)
    };
    lab.mark("ACCESS", "ya29.FAKE-import");
    lab.mark("REFRESH", "1//FAKE-import");
    lab.write("home/.gemini/oauth_creds.json", login("1//FAKE-import").as_bytes());
    lab.write("home/.gemini/google_accounts.json", br#"{"active":"dev@example.org","old":[]}"#);
    let output = import(&lab, "$W/home", "GEMINI_CLI_HOME=$W/home keyslip auth import gemini --json");
    assert!(output.succeeded(), "{output}");
    let report: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(report["logins"][0]["result"], "imported");
    assert_eq!(report["logins"][0]["refreshToken"], "kept");
    let stored = stored_json(&lab, "gemini-oauth");
    assert_eq!(stored["oauth_creds"]["refresh_token"], "<REFRESH>");
    assert_eq!(stored["google_accounts"]["active"], "dev@example.org");
    // Without one nobody could renew it.
    lab.write("home/.gemini/oauth_creds.json", login("").as_bytes());
    let output = import(&lab, "$W/home", "GEMINI_CLI_HOME=$W/home keyslip auth import gemini --account other");
    assert!(!output.succeeded() && output.stderr.contains("expired"), "{output}");
}

#[test]
fn another_login_is_replaced_only_by_force() {
    let Some(lab) = Lab::new("import-force") else { return };
    lab.login("codex", "sk-FAKE-stored");
    lab.mark("STORED", "sk-FAKE-stored");
    lab.mark("KEY", "sk-FAKE-new");
    lab.ok("mkdir -p $W/key");
    lab.write("key/auth.json", br#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-FAKE-new"}"#);
    let run = |options: &str| import(&lab, "$W/key", &format!("CODEX_HOME=$W/key keyslip auth import codex {options}"));
    for options in ["", "--dry-run"] {
        let output = run(options);
        assert!(output.code() == Some(1) && output.stdout.contains("--force replaces it"), "{output}");
    }
    assert_eq!(stored(&lab, "codex-oauth"), "<STORED>");
    assert!(run("--force --dry-run").succeeded());
    assert_eq!(stored(&lab, "codex-oauth"), "<STORED>");
    assert!(run("--force").succeeded());
    assert_eq!(stored(&lab, "codex-oauth"), "<KEY>");
    let output = run("");
    assert!(output.succeeded() && output.stdout.contains("is stored already"), "{output}");
}

#[test]
fn what_is_no_login_or_over_is_named_and_not_quoted() {
    let Some(lab) = Lab::new("import-odd") else { return };
    lab.mark("CANARY", "FAKE-import-canary");
    lab.ok("mkdir -p $W/claude");
    let run = || import(&lab, "$W/claude", "CLAUDE_CONFIG_DIR=$W/claude keyslip auth import claude");
    let nothing = run();
    assert!(
        nothing.code() == Some(1) && nothing.stderr.contains("claude/.credentials.json; log in there first"),
        "{nothing}"
    );
    for (text, reason) in [
        ("FAKE-import-canary".to_owned(), "holds nothing that claude takes"),
        (r#"{"other":"FAKE-import-canary"}"#.to_owned(), "holds nothing that claude takes"),
        (claude_login("FAKE-import-canary", "x", "y", 1000), "expired"),
        (r#"{"claudeAiOauth":{"accessToken":"FAKE-import-canary"}}"#.to_owned(), "does not say until when"),
    ] {
        lab.write("claude/.credentials.json", text.as_bytes());
        let output = run();
        assert!(output.code() == Some(1) && output.stderr.contains(reason), "{reason}: {output}");
        assert!(output.stderr.contains("claude/.credentials.json"), "{output}");
    }
    assert_eq!(ours(&lab), "etc/keyslip/keyslip.toml");
}

#[test]
fn what_was_imported_authenticates_its_agent() {
    let now = Instant::now();
    for (name, text, refresh, file) in [
        (
            "claude",
            claude_login("FAKE-access", "FAKE-secret", "FAKE-secret", 4_102_444_800_000),
            RefreshToken::LeftOut,
            0,
        ),
        ("codex", codex_login(&jwt("access"), "FAKE-secret"), RefreshToken::LeftOut, 0),
    ] {
        let agent: AgentName = name.parse().unwrap();
        let definition = Definition::find(&agent, std::path::Path::new("/nonexistent")).unwrap().unwrap();
        let found = Found {
            agent: agent.clone(),
            value: Secret::from_text(&text),
            created: None,
            expires: None,
            from: "here".to_owned(),
        };
        let login = accept(found, &Account::default(), &definition, now).unwrap();
        assert_eq!(login.refresh_token, refresh);
        let kind = definition.recognise(&login.credential).expect("it is recognised");
        let rendering = render(&agent, &definition, kind, &login.credential, login.expires, true).unwrap();
        let content = rendering.files[file].content.expose_text().unwrap();
        assert!(content.contains("FAKE-access") && !content.contains("FAKE-secret"), "{name}");
    }
}

#[test]
fn a_token_of_unknown_age_ends_at_the_latest_a_year_from_now() {
    let agent: AgentName = "claude".parse().unwrap();
    let definition = Definition::find(&agent, std::path::Path::new("/nonexistent")).unwrap().unwrap();
    let now = Instant(1_790_000_000);
    let found = |created| Found {
        agent: agent.clone(),
        value: Secret::from_text("sk-ant-oat01-FAKE\n"),
        created,
        expires: None,
        from: "here".to_owned(),
    };
    let year = 365 * keyslip::clock::DAY;
    let end = |created| accept(found(created), &Account::default(), &definition, now).map(|login| login.expires);
    assert_eq!(end(None).unwrap(), Some(Instant(now.0 + year)));
    assert_eq!(end(Some(Instant(now.0 - 100))).unwrap(), Some(Instant(now.0 + year - 100)));
    assert!(matches!(end(Some(Instant(now.0 - year))), Err(Error::Expired { .. })));
}
