use super::*;
use crate::clock::Instant;

fn rendered(agent: &str, credential: &str, with_env: bool) -> Rendering {
    let agent: AgentName = agent.parse().unwrap();
    let definition = Definition::find(&agent, Path::new("/nonexistent")).unwrap().unwrap();
    let secret = Secret::from_text(credential);
    let kind = definition.recognise(&secret).unwrap();
    render(&agent, &definition, kind, &secret, Some(Instant(1_790_000_000)), with_env).unwrap()
}

fn text(file: &RenderedFile) -> &str {
    file.content.expose_text().unwrap()
}

#[test]
fn every_definition_that_ships_is_sound() {
    assert_eq!(built_in_names(), "amp, claude, cline, codex, continue, copilot, gemini, opencode, qwen");
    for agent in built_in() {
        let definition = Definition::find(&agent, Path::new("/nonexistent")).unwrap().unwrap();
        definition.check().unwrap();
        assert!(!definition.login.is_empty() && !definition.kinds.is_empty(), "{agent}");
    }
}

/// A definition says whom it was run with: a client that the tests install, and that they have put into the table.
#[test]
fn what_is_called_proven_was_run_by_the_tests() {
    let read = |path| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let (clients, page) = (read("tests/lab/clients"), read("docs/agents.md"));
    let lines = clients.lines().map(|line| line.trim().trim_matches(['\'', '"']).split(' ').collect::<Vec<_>>());
    let installed: Vec<String> =
        lines.filter(|words| words.len() > 2).map(|words| format!("{} {}", words[0], words[2])).collect();
    let tables =
        page.split_once("<!-- table: agents -->").unwrap().1.split_once("<!-- end of the table -->").unwrap().0;
    for agent in built_in() {
        let definition = Definition::find(&agent, Path::new("/nonexistent")).unwrap().unwrap();
        let Some(proven) = definition.proven else { continue };
        assert!(installed.contains(&proven), "{agent}: {proven} is not what tests/lab/clients installs");
        assert!(tables.contains(&format!("| {proven} |")), "{agent}: {proven} is in no row of docs/agents.md");
    }
    let seen = built_in().filter_map(|agent| Definition::find(&agent, Path::new("/nonexistent")).unwrap()?.proven);
    assert!(seen.count() >= 3);
}

#[test]
fn a_long_lived_claude_token_is_a_variable() {
    let rendering = rendered("claude", "sk-ant-oat01-FAKE", true);
    assert_eq!(rendering.env[0].name.as_str(), "CLAUDE_CODE_OAUTH_TOKEN");
    assert_eq!(rendering.env[0].value.expose(), b"sk-ant-oat01-FAKE");
    assert!(rendering.files.is_empty());
    assert_eq!(rendering.settings[0].path, ".claude.json");
    assert!(rendering.shadow_env.contains(&"ANTHROPIC_API_KEY".to_owned()));
}

#[test]
fn without_variables_it_is_the_clients_own_file() {
    let rendering = rendered("claude", "sk-ant-oat01-FAKE", false);
    assert!(rendering.env.is_empty());
    assert_eq!(
        text(&rendering.files[0]),
        r#"{"claudeAiOauth":{"accessToken":"sk-ant-oat01-FAKE","refreshToken":"","expiresAt":1790000000000,"scopes":["user:inference"]}}"#
    );
}

#[test]
fn refresh_tokens_of_single_use_stay_on_the_host() {
    let claude = rendered(
        "claude",
        r#"{"claudeAiOauth":{"accessToken":"sk-ant-oat01-FAKE","refreshToken":"sk-ant-ort01-FAKE","expiresAt":1790000000000,"new":1e400}}"#,
        true,
    );
    assert!(claude.env.is_empty(), "an hours-long token is a file only");
    assert_eq!(
        text(&claude.files[0]),
        r#"{"claudeAiOauth":{"accessToken":"sk-ant-oat01-FAKE","refreshToken":"","expiresAt":1790000000000,"new":1e400}}"#
    );
    let codex = rendered(
        "codex",
        r#"{"auth_mode":"chatgpt","OPENAI_API_KEY":null,"tokens":{"id_token":"a","access_token":"b","refresh_token":"rt_FAKE","account_id":"c"}}"#,
        true,
    );
    assert_eq!(
        text(&codex.files[0]),
        r#"{"auth_mode":"chatgptAuthTokens","OPENAI_API_KEY":null,"tokens":{"id_token":"a","access_token":"b","refresh_token":"","account_id":"c"}}"#
    );
}

#[test]
fn a_codex_key_is_a_variable_and_a_file() {
    let rendering = rendered("codex", "sk-proj-FAKE", true);
    assert_eq!(rendering.env[0].name.as_str(), "CODEX_API_KEY");
    assert_eq!(text(&rendering.files[0]), r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-proj-FAKE"}"#);
}

#[test]
fn a_credential_of_another_vendor_is_no_key_of_openai() {
    for agent in ["codex", "opencode"] {
        let definition = Definition::find(&agent.parse().unwrap(), Path::new("/nonexistent")).unwrap().unwrap();
        let kind = |text| definition.recognise(&Secret::from_text(text)).map(|kind| kind.name.as_str());
        assert_eq!(kind("sk-ant-oat01-FAKE"), None, "{agent}");
        assert!(kind("sk-proj-FAKE").is_some(), "{agent}");
    }
}

#[test]
fn the_logins_of_opencode_are_known_by_the_form_of_each() {
    let definition = Definition::find(&"opencode".parse().unwrap(), Path::new("/nonexistent")).unwrap().unwrap();
    let is_login = |text| definition.recognise(&Secret::from_text(text)).is_some();
    assert!(is_login(r#"{"x":{"type":"api","key":"FAKE"},"openai":{"type":"oauth"}}"#));
    for text in ["{}", r#"{"x":{"type":"api"},"y":{}}"#, r#"{"type":"api"}"#, "[]", ""] {
        assert!(!is_login(text), "{text}");
    }
    let rendering = rendered("opencode", r#"{"openai":{"type":"oauth","refresh":"FAKE"},"x":{"type":"api"}}"#, true);
    assert_eq!(text(&rendering.files[0]), r#"{"openai":{"type":"oauth","refresh":""},"x":{"type":"api"}}"#);
}

#[test]
fn the_end_of_a_key_is_named_only_where_the_key_is_delivered_and_long() {
    let long = format!("sk-ant-api03-{}", "x".repeat(40));
    for (key, with_env, named) in
        [(long.as_str(), true, true), (long.as_str(), false, false), ("sk-ant-api03-x", true, false)]
    {
        let rendering = rendered("claude", key, with_env);
        assert_eq!(rendering.token_end.is_some(), named);
        let values = rendering.settings.iter().flat_map(|file| file.set.values());
        assert_eq!(values.filter(|value| value.contains(TokenEnd::PLACE)).count(), usize::from(named));
        assert!(!format!("{rendering:?}").contains("xxxx"), "a part of the key is shown");
    }
}

#[test]
fn a_google_login_becomes_its_two_files_and_the_setting_that_makes_them_count() {
    let rendering = rendered(
        "gemini",
        r#"{"oauth_creds":{"access_token":"ya29.FAKE","refresh_token":"1//FAKE"},"google_accounts":{"active":"a@example.com","old":[]}}"#,
        true,
    );
    assert_eq!(text(&rendering.files[0]), r#"{"access_token":"ya29.FAKE","refresh_token":"1//FAKE"}"#);
    assert!(rendering.files[0].writable);
    assert_eq!(text(&rendering.files[1]), r#"{"active":"a@example.com","old":[]}"#);
    assert_eq!(rendering.settings[0].set["security.auth.selectedType"], "\"oauth-personal\"");
}

#[test]
fn values_that_no_variable_can_carry_are_refused() {
    let name: EnvName = "ANTHROPIC_API_KEY".parse().unwrap();
    for (value, part) in [("a\nb", "line break"), ("a\0b", "NUL"), ("", "empty"), ("\n", "empty")] {
        let error = render_secret(&name, &Secret::from_text(value)).unwrap_err().to_string();
        assert!(error.contains(part), "{value:?}: {error}");
    }
    let long = "x".repeat(200_000);
    assert!(render_secret(&name, &Secret::from_text(&long)).unwrap_err().to_string().contains("128 KiB"));
    assert_eq!(render_secret(&name, &Secret::from_text("key\n")).unwrap().value.expose(), b"key");
}

#[test]
fn a_definition_of_the_host_adds_an_agent_and_errors_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let agents = dir.path().join("agents.d");
    fs::create_dir(&agents).unwrap();
    let mine: AgentName = "mine".parse().unwrap();
    let file = |text: &str| fs::write(agents.join("mine.toml"), text).unwrap();
    file(
        "title = \"Mine\"\nlogin = \"ask me\"\n[[kinds]]\nname = \"key\"\ntitle = \"key\"\nrecognise = { prefix = \"mk-\" }\nenv = { MINE_KEY = \"\" }\n",
    );
    let definition = Definition::find(&mine, dir.path()).unwrap().unwrap();
    assert!(definition.recognise(&Secret::from_text("mk-1")).is_some());
    file("title = \"Mine\"\nlogin = \"x\"\nkinds = []\nfoo = 1\n");
    assert!(Definition::find(&mine, dir.path()).unwrap_err().to_string().contains("mine.toml"));
    file(
        "title = \"Mine\"\nlogin = \"x\"\n[[kinds]]\nname = \"k\"\ntitle = \"k\"\nrecognise = { prefix = \"m\" }\n[[kinds.files]]\npath = \"../../etc/x\"\n",
    );
    assert!(Definition::find(&mine, dir.path()).unwrap_err().to_string().contains("below the home"));
}
