//! Forage's token and its configuration.

use std::fs;
use std::path::Path;

use crate::lab::Lab;
use crate::{import, ours, picture, stored};
use keyslip::config::{self, Config};
use keyslip::import::{Error, drop_in, forage};

const STATE: &str = "/var/lib/firefly-forage";

/// Stores a token as Forage does, in Go's form of times.
fn store(lab: &Lab, token: &str, expires: &str) {
    lab.ok(&format!("mkdir -p {STATE}/sandboxes; mkdir -m 700 -p {STATE}/tokens; touch {STATE}/tokens/claude-oauth.json; chmod 600 {STATE}/tokens/*"));
    let text = format!(
        "{{\n  \"token\": \"{token}\",\n  \"createdAt\": \"2026-03-19T22:00:00.123456789+01:00\",\n  \"expiresAt\": \"{expires}\"\n}}"
    );
    lab.write(&format!("{STATE}/tokens/claude-oauth.json"), text.as_bytes());
}

#[test]
fn the_token_is_taken_over_with_its_times() {
    let Some(lab) = Lab::new("import-forage") else { return };
    store(&lab, &lab.token("FORAGE"), "2097-03-19T22:00:00.123456789+01:00");
    let dry = import(&lab, STATE, "keyslip auth import forage --dry-run");
    assert!(dry.succeeded() && dry.stdout.contains("would import the long-lived OAuth token for claude"), "{dry}");
    assert_eq!(ours(&lab), "etc/keyslip/keyslip.toml");
    let output = import(&lab, STATE, "keyslip auth import forage");
    assert!(output.succeeded() && output.stdout.contains("valid until 2097-03-19T21:00:00Z"), "{output}");
    assert_eq!(stored(&lab, "claude-oauth"), "<FORAGE>");
    let times = lab.ok("jq -r '.createdAt, .expiresAt' /var/lib/keyslip/tokens/claude-oauth.json");
    assert_eq!(times, "2026-03-19T21:00:00Z\n2097-03-19T21:00:00Z");
    let again = import(&lab, STATE, "keyslip auth import forage");
    assert!(again.succeeded() && again.stdout.contains("is stored already"), "{again}");
}

#[test]
fn an_expired_token_is_not_taken_over_nor_one_that_others_can_read() {
    let Some(lab) = Lab::new("import-forage-bad") else { return };
    let token = lab.token("FORAGE");
    store(&lab, &token, "2026-03-20T21:00:00Z");
    let output = import(&lab, STATE, "keyslip auth import forage");
    assert!(output.code() == Some(1) && output.stderr.contains("expired"), "{output}");
    store(&lab, &token, "2097-03-20T21:00:00Z");
    lab.ok(&format!("chmod 644 {STATE}/tokens/claude-oauth.json"));
    let output = import(&lab, STATE, "keyslip auth import forage");
    assert!(output.code() == Some(1) && output.stderr.contains("is open to others"), "{output}");
    lab.ok(&format!("chmod 600 {STATE}/tokens/claude-oauth.json; cp -a {STATE} $W/moved; rm -r {STATE}"));
    let nothing = lab.sh("keyslip auth import forage");
    assert!(nothing.code() == Some(1) && nothing.stderr.contains("nothing to import"), "{nothing}");
    assert_eq!(ours(&lab), "etc/keyslip/keyslip.toml");
    assert!(import(&lab, "$W/moved", "keyslip auth import forage --from $W/moved").succeeded());
}

#[test]
fn a_users_state_directory_is_read_with_their_rights() {
    let Some(lab) = Lab::new("import-forage-user") else { return };
    store(&lab, &lab.token("FORAGE"), "2097-03-20T21:00:00Z");
    // Root's own file, and a user's link to it, in a directory of theirs.
    lab.ok(&format!("cp -a {STATE} $W/roots; chmod 755 $W/roots; chown -R labuser: {STATE}"));
    lab.ok("mkdir -p $W/linked; chown labuser: $W/linked; chmod 711 $W");
    for link in [
        "ln -s $W/roots/tokens $W/linked/tokens",
        "mkdir -m 700 $W/linked/tokens; ln -s $W/roots/tokens/claude-oauth.json $W/linked/tokens",
    ] {
        let output = lab.as_user(link);
        assert!(output.succeeded(), "{output}");
        let output = import(&lab, "$W/roots $W/linked", "keyslip auth import forage --from $W/linked");
        assert!(output.code() == Some(1) && output.stderr.contains("linked/tokens"), "{output}");
        lab.ok("rm -r $W/linked/tokens");
    }
    assert_eq!(ours(&lab), "etc/keyslip/keyslip.toml");
    assert!(import(&lab, STATE, "keyslip auth import forage").succeeded());
    assert_eq!(stored(&lab, "claude-oauth"), "<FORAGE>");
}

/// What Forage's NixOS module writes, with things in it that are not known here.
fn write_forage(dir: &Path) {
    fs::create_dir_all(dir.join("templates")).unwrap();
    fs::write(
        dir.join("config.json"),
        r#"{"user":"dev","uid":1000,"gid":100,"authorizedKeys":[],"secrets":{"anthropic":"/run/secrets/anthropic-api-key","openai.key":"/run/secrets/op\"enai","relative":"FAKE-canary","1bad":"/x","number":7},"stateDir":"/srv/forage","extraContainerPath":"/nix/store/x","nixpkgsPath":"/nix/store/y","nixpkgsRev":"z","proxyUrl":"http://FAKE-canary","novelty":"FAKE-canary"}"#,
    )
    .unwrap();
    let agent = |secret: &str, variable: &str, dir: &str| {
        format!(
            r#"{{"packagePath":"p","secretName":{secret},"authEnvVar":{variable},"hostConfigDir":{dir},"containerConfigDir":null,"hostConfigDirReadOnly":false,"permissions":null}}"#
        )
    };
    let claude = agent(r#""anthropic""#, r#""ANTHROPIC_API_KEY""#, "null");
    let other = agent(r#""openai.key""#, r#""OPENAI_API_KEY""#, "null");
    let lost = agent(r#""lost""#, r#""X""#, "null");
    let shared = agent("null", "null", r#""/home/dev/.claude""#);
    let unheard = agent("null", "null", r#""/home/dev/.unheard""#);
    let template = |name: &str, agents: &str| {
        let text = format!(
            r#"{{"name":"{name}","description":"d","network":"full","allowedHosts":[],"agents":{{{agents}}},"extraPackages":[],"readOnlyWorkspace":false}}"#
        );
        fs::write(dir.join(format!("templates/{name}.json")), text).unwrap();
    };
    template("keys", &format!(r#""claude":{claude},"my-tool":{other}"#));
    template("login", &format!(r#""claude":{shared},"unheard-of":{unheard},"codex":{lost}"#));
}

fn planned(forage_dir: &Path, ours: &Config) -> drop_in::DropIn {
    let setup = forage::setup(forage_dir).unwrap().unwrap();
    drop_in::plan(setup, ours, &|agent| ["claude", "codex", "gemini"].contains(&agent.as_str()))
}

#[test]
fn the_configuration_becomes_a_drop_in_of_ours() {
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours) = (dir.path().join("theirs"), dir.path().join("ours"));
    write_forage(&theirs);
    assert_eq!(forage::setup(&theirs).unwrap().unwrap().state_dir.as_deref(), Some(Path::new("/srv/forage")));
    let plan = planned(&theirs, &Config::default());
    assert!(drop_in::write(&ours, plan.text.as_deref().unwrap()).unwrap());
    let config = config::load(&ours).unwrap();
    let secrets: Vec<String> = config.secrets.iter().map(|(name, path)| format!("{name} {}", path.display())).collect();
    assert_eq!(secrets, ["anthropic /run/secrets/anthropic-api-key", "openai.key /run/secrets/op\"enai"]);
    let of = |template: &str, agent: &str| {
        let found = &config.templates[&template.parse().unwrap()].agents[&agent.parse().unwrap()];
        (found.secret_name.as_ref().map(ToString::to_string), found.auth_env_var.as_ref().map(ToString::to_string))
    };
    assert_eq!(of("keys", "claude"), (Some("anthropic".to_owned()), Some("ANTHROPIC_API_KEY".to_owned())));
    assert_eq!(of("keys", "my-tool"), (Some("openai.key".to_owned()), Some("OPENAI_API_KEY".to_owned())));
    assert_eq!(of("login", "codex"), (None, None));
    let notes = plan.notes.join("\n");
    for said in [
        "secret relative",
        "\"1bad\"",
        "secret number",
        "proxyUrl",
        "novelty",
        "no secret lost",
        "authEnvVar",
        "agent unheard-of",
    ] {
        assert!(notes.contains(said), "{said} is not named in\n{notes}");
    }
    assert_eq!(plan.notes.len(), 8, "{notes}");
    assert!(!notes.contains("FAKE"), "{notes}");
}

#[test]
fn a_shared_configuration_directory_stays_shared() {
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours) = (dir.path().join("theirs"), dir.path().join("ours"));
    write_forage(&theirs);
    let text = fs::read_to_string(theirs.join("templates/login.json")).unwrap();
    let text = text.replacen(
        r#""containerConfigDir":null,"hostConfigDirReadOnly":false"#,
        r#""containerConfigDir":"/home/agent/.claude","hostConfigDirReadOnly":true"#,
        1,
    );
    fs::write(theirs.join("templates/login.json"), text).unwrap();
    let plan = planned(&theirs, &Config::default());
    drop_in::write(&ours, &plan.text.unwrap()).unwrap();
    let config = config::load(&ours).unwrap();
    let claude = &config.templates[&"login".parse().unwrap()].agents[&"claude".parse().unwrap()];
    assert_eq!(claude.host_config_dir.as_deref(), Some("/home/dev/.claude"));
    assert_eq!(claude.host_config_dir_read_only, Some(true));
    assert_eq!(planned(&theirs, &config).text.as_deref(), Some(&*fs::read_to_string(drop_in::path(&ours)).unwrap()));
}

#[test]
fn what_is_configured_already_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours) = (dir.path().join("theirs"), dir.path().join("ours"));
    write_forage(&theirs);
    fs::create_dir_all(&ours).unwrap();
    let own = "[secrets]\nanthropic = \"/own\"\n[templates.keys.agents.codex]\n";
    fs::write(ours.join("keyslip.toml"), own).unwrap();
    let plan = planned(&theirs, &config::load(&ours).unwrap());
    drop_in::write(&ours, plan.text.as_deref().unwrap()).unwrap();
    let config = config::load(&ours).unwrap();
    assert_eq!(config.secrets[&"anthropic".parse().unwrap()], Path::new("/own"));
    assert_eq!(config.templates[&"keys".parse().unwrap()].agents.len(), 1);
    let notes = plan.notes.join("\n");
    assert!(
        notes.contains("secret anthropic is configured already") && notes.contains("template keys is configured"),
        "{notes}"
    );
}

#[test]
fn a_drop_in_is_never_overwritten_and_one_that_breaks_the_configuration_is_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[secrets]\na = \"/a\"\n";
    assert!(drop_in::write(dir.path(), text).unwrap());
    assert!(!drop_in::write(dir.path(), text).unwrap(), "the second time there is nothing to do");
    let error = drop_in::write(dir.path(), "[secrets]\nb = \"/b\"\n").unwrap_err();
    assert!(matches!(&error, Error::DropIn(_)) && error.to_string().contains("--dry-run"), "{error}");
    assert_eq!(fs::read_to_string(drop_in::path(dir.path())).unwrap(), text);
    fs::remove_file(drop_in::path(dir.path())).unwrap();
    let broken = drop_in::write(dir.path(), "[agents.claude]\nsecret_name = \"lost\"\n").unwrap_err();
    assert!(broken.to_string().contains("there is no secret lost"), "{broken}");
    assert_eq!(fs::read_dir(dir.path().join("conf.d")).unwrap().count(), 0);
}

#[test]
fn files_that_are_no_configuration_are_named_and_not_quoted() {
    let dir = tempfile::tempdir().unwrap();
    assert!(forage::setup(dir.path()).unwrap().is_none());
    for text in ["FAKE-canary", "[\"FAKE-canary\"]", "{\"secrets\": \"FAKE-canary\" x"] {
        fs::write(dir.path().join("config.json"), text).unwrap();
        let error = forage::setup(dir.path()).unwrap_err().to_string();
        assert!(error.contains("config.json is no JSON object") && !error.contains("FAKE"), "{error}");
    }
    fs::write(dir.path().join("config.json"), r#"{"secrets": ["FAKE-canary"]}"#).unwrap();
    let notes = forage::setup(dir.path()).unwrap().unwrap().notes;
    assert_eq!(notes, ["secrets in config.json was not recognised and was left out"]);
}

#[test]
fn the_command_writes_token_and_drop_in_at_once() {
    let Some(lab) = Lab::new("import-forage-all") else { return };
    store(&lab, &lab.token("FORAGE"), "2097-03-20T21:00:00Z");
    let dir = tempfile::tempdir().unwrap();
    write_forage(dir.path());
    lab.ok(&format!("cp -r {} /etc/firefly-forage; rm -rf /srv/forage; sed -i s,/srv/forage,{STATE}, /etc/firefly-forage/config.json", dir.path().display()));
    let sources = format!("{STATE} /etc/firefly-forage");
    let before = picture(&lab, "/etc/keyslip");
    let dry = import(&lab, &sources, "keyslip auth import forage --dry-run");
    assert!(dry.succeeded() && dry.stdout.contains("[templates.keys.agents.claude]"), "{dry}");
    assert_eq!(picture(&lab, "/etc/keyslip"), before);
    let output = import(&lab, &sources, "keyslip auth import forage");
    assert!(output.succeeded() && output.stdout.contains("wrote /etc/keyslip/conf.d/forage.toml"), "{output}");
    assert!(output.stderr.contains("novelty") && !output.said().contains("FAKE-canary"), "{output}");
    assert_eq!(
        ours(&lab),
        "etc/keyslip/conf.d/forage.toml\netc/keyslip/keyslip.toml\nvar/lib/keyslip/tokens/claude-oauth.json"
    );
    let again = import(&lab, &sources, "keyslip auth import forage");
    assert!(again.succeeded() && again.stdout.contains("is there already"), "{again}");
}
