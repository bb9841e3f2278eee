//! What is sent, and what becomes of the login.

use keyslip::clock::Instant;
use serde_json::{Value, json};

use crate::home::Home;
use crate::server::Reply;

/// {"alg":"none"} . {"exp":4102444800} . no signature
const JWT: &str = "eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.FAKE-access-";

#[test]
fn a_claude_login_is_renewed() {
    let home = Home::new();
    home.claude();
    let output = home.refresh(&[]);
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.stdout.starts_with("claude was renewed; it is valid for "), "{output}");
    let (head, body) = home.server.state().requests[0].clone();
    assert!(head.starts_with("POST /v1/oauth/token HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("\r\ncontent-type: application/json\r\n"), "{head}");
    let client = "9d1c250a-e61b-44d9-88ed-5944d1962f5e";
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        json!({"grant_type": "refresh_token", "refresh_token": "FAKE-refresh-0", "client_id": client})
    );
    let (entry, login) = home.entry("claude-oauth");
    let end = Instant::parse(entry["expiresAt"].as_str().unwrap()).unwrap();
    assert!((28_700..=28_800).contains(&end.since(Instant::now())), "{end}");
    assert_eq!(entry["renewable"], true);
    let expected = format!(
        r#"{{"claudeAiOauth": {{"accessToken":"FAKE-access-1","refreshToken":"FAKE-refresh-1","expiresAt":{},"scopes":["user:inference"],"later":1e400}}}}"#,
        end.0 * 1000
    );
    assert_eq!(login, expected);
    assert_eq!(home.remains(), [""; 0]);

    let output = home.refresh(&["--due"]);
    assert!(output.stdout.starts_with("claude is not due; it is valid for "), "{output}");
    let output = home.refresh(&["--json", "claude"]);
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(report["logins"][0]["outcome"], "renewed", "{output}");
    assert_eq!((home.refresh_token().as_str(), home.server.state().refused), ("FAKE-refresh-2", 0));
}

#[test]
fn a_codex_login_is_renewed() {
    let home = Home::new();
    home.server.state().access = JWT;
    let login = format!(
        r#"{{"auth_mode":"chatgpt","OPENAI_API_KEY":null,"tokens":{{"id_token":"FAKE","access_token":"{JWT}0","refresh_token":"FAKE-refresh-0","account_id":"a"}},"last_refresh":"2025-01-01T00:00:00Z","new":[1.0]}}"#
    );
    home.store("codex-oauth@work", &login, 60, true);
    let output = home.refresh(&["--due"]);
    assert!(output.code == Some(0) && output.stdout.starts_with("codex@work was renewed; it is valid for"), "{output}");
    let (head, body) = home.server.state().requests[0].clone();
    assert!(head.to_lowercase().contains("\r\ncontent-type: application/json\r\n"), "{head}");
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        json!({"grant_type": "refresh_token", "refresh_token": "FAKE-refresh-0", "client_id": "app_EMoamEEZ73f0CkXaXp7hrann"})
    );
    let (entry, login) = home.entry("codex-oauth@work");
    assert_eq!(entry["expiresAt"], "2100-01-01T00:00:00Z", "as the token says");
    let renewed = login.split_once(r#""last_refresh":""#).unwrap().1.split('"').next().unwrap();
    assert!(Instant::now().since(Instant::parse(renewed).unwrap()) < 60, "{renewed}");
    let expected = format!(
        r#"{{"auth_mode":"chatgpt","OPENAI_API_KEY":null,"tokens":{{"id_token":"FAKE-id-token","access_token":"{JWT}1","refresh_token":"FAKE-refresh-1","account_id":"a"}},"last_refresh":"{renewed}","new":[1.0]}}"#
    );
    assert_eq!(login, expected);
}

#[test]
fn a_google_login_is_renewed_and_keeps_its_refresh_token() {
    let home = Home::new();
    home.server.state().rotates = false;
    home.server.state().valid = "1%2F%2FFAKE-%2B".to_owned();
    let login = r#"{"oauth_creds":{"access_token":"ya29.FAKE","refresh_token":"1//FAKE-+","expiry_date":1,"token_type":"Bearer"},"google_accounts":{"active":"a@example.com"}}"#;
    home.store("gemini-oauth", login, 60, true);
    for round in 1..=2 {
        let output = home.refresh(&[]);
        assert_eq!(output.code, Some(0), "{output}");
        let (head, body) = home.server.state().requests.pop().unwrap();
        assert!(head.to_lowercase().contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"), "{head}");
        let pairs: Vec<&str> = body.split('&').collect();
        let client = "client_id=681255809395-oo8ft2oprdrnp9e3aqf6av3hmdib135j.apps.googleusercontent.com";
        assert_eq!(pairs[..3], ["grant_type=refresh_token", "refresh_token=1%2F%2FFAKE-%2B", client]);
        assert!(pairs.len() == 4 && pairs[3].starts_with("client_secret=GOCSPX-"), "{body}");
        let (_, login) = home.entry("gemini-oauth");
        let login: Value = serde_json::from_str(&login).unwrap();
        let credentials = &login["oauth_creds"];
        assert_eq!(credentials["access_token"], format!("FAKE-access-{round}"));
        assert_eq!(
            (credentials["refresh_token"].as_str(), credentials["token_type"].as_str()),
            (Some("1//FAKE-+"), Some("Bearer"))
        );
        let end = Instant(credentials["expiry_date"].as_i64().unwrap() / 1000);
        assert!((28_700..=28_800).contains(&end.since(Instant::now())), "{end}");
        assert_eq!(login["google_accounts"]["active"], "a@example.com");
    }
}

#[test]
fn an_answer_is_used_however_its_connection_ends() {
    for reply in [Reply::Short, Reply::Open] {
        let home = Home::new();
        home.claude();
        home.server.reply(reply);
        let begun = std::time::Instant::now();
        let output = home.refresh(&[]);
        assert!(output.code == Some(0) && output.stdout.contains("was renewed"), "{output}");
        assert_eq!(home.refresh_token(), "FAKE-refresh-1");
        assert!(begun.elapsed().as_secs() < 5, "it was waited for nothing");
    }
}

#[test]
fn only_what_is_ours_is_renewed() {
    let home = Home::new();
    let output = home.refresh(&[]);
    assert!(output.code == Some(0) && output.stdout == "no stored login is Keyslip's to renew\n", "{output}");
    let hosts = r#"{"claudeAiOauth":{"accessToken":"FAKE","refreshToken":"FAKE-refresh-0","expiresAt":1}}"#;
    home.store("claude-oauth", hosts, 60, false);
    home.store("claude-oauth@token", "sk-ant-oat01-FAKE", 60, false);
    home.store("unheard-of-oauth", "FAKE", 60, false);
    assert_eq!(home.refresh(&[]).stdout, "no stored login is Keyslip's to renew\n");
    let output = home.refresh(&["claude"]);
    assert_eq!(output.stdout, "claude is not Keyslip's to renew\nclaude@token is not Keyslip's to renew\n", "{output}");
    assert_eq!(output.code, Some(0));
    let output = home.refresh(&["claude", "--account", "work"]);
    assert!(output.code == Some(1) && output.stderr.contains("no stored login for claude, account work"), "{output}");
    assert_eq!(home.server.state().requests.len(), 0);
}
