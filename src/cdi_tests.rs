use super::*;
use crate::clock::Instant;
use crate::secret::Secret;
use crate::source::{Entry, Kept};

fn agents(names: &[&str]) -> Vec<AgentRef> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn hook(home: Option<&Path>) -> Hook<'_> {
    Hook { program: Path::new("/usr/libexec/keyslip/keyslip-hook"), engine: ENGINE, home }
}

/// What CDI 0.5.0 says of a device's name.
fn is_valid(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"_-.:".contains(&b);
    let ends = [name.bytes().next(), name.bytes().last()];
    name.bytes().all(inner) && ends.iter().all(|end| end.is_some_and(|b| b.is_ascii_alphanumeric()))
}

#[test]
fn a_device_is_named_by_agent_and_account_and_means_them_again() {
    for (agent, name) in [
        ("claude", "claude"),
        ("claude@default", "claude"),
        ("codex@work", "codex.work"),
        ("my_tool-2@a_b-c", "my_tool-2.a_b-c"),
        ("9", "9"),
    ] {
        let agent: AgentRef = agent.parse().unwrap();
        assert_eq!(device(&agent).unwrap(), name);
        assert!(is_valid(name), "{name}");
        assert_eq!(request::device(name).unwrap(), agent);
    }
}

#[test]
fn a_name_that_would_spoil_the_whole_file_is_refused() {
    for name in ["tool-", "tool_", "claude@work-", "claude@work_"] {
        let agent = agents(&[name]);
        assert!(device(&agent[0]).is_err(), "{name}");
        let error = document(&agent, &hook(None)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name} cannot be a CDI device")), "{error}");
    }
}

#[test]
fn the_same_agents_in_any_order_give_the_same_text_with_each_device_once() {
    let text = document(&agents(&["codex", "claude@work", "claude", "claude@default", "codex"]), &hook(None)).unwrap();
    assert_eq!(text, document(&agents(&["claude", "claude@work", "codex"]), &hook(None)).unwrap());
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&str> = value["devices"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["claude", "claude.work", "codex"]);
    assert_eq!((value["cdiVersion"].as_str(), value["kind"].as_str()), (Some("0.5.0"), Some("keyslip.dev/agent")));
    assert_eq!(offered(&text).unwrap(), agents(&["claude", "claude@work", "codex"]));
}

#[test]
fn a_device_delivers_and_the_file_cleans_up_once() {
    let text = document(&agents(&["claude@work"]), &hook(Some(Path::new("/home/dev")))).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let call = |place: &serde_json::Value| {
        let hooks = place["containerEdits"]["hooks"].as_array().unwrap();
        assert_eq!(hooks.len(), 1);
        assert_eq!(hooks[0]["path"], "/usr/libexec/keyslip/keyslip-hook");
        assert!(!hooks[0]["env"].as_array().unwrap().is_empty());
        let args: Vec<&str> = hooks[0]["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        (hooks[0]["hookName"].as_str().unwrap().to_owned(), args.join(" "))
    };
    let home = "--engine cdi --home /home/dev";
    assert_eq!(
        call(&value["devices"][0]),
        ("createRuntime".to_owned(), format!("keyslip-hook createRuntime {home} --device claude.work"))
    );
    assert_eq!(call(&value), ("poststop".to_owned(), format!("keyslip-hook poststop {home}")));
}

#[test]
fn a_path_that_a_runtime_would_not_find_is_refused() {
    let relative = Hook { program: Path::new("keyslip-hook"), ..hook(None) };
    assert!(document(&agents(&["claude"]), &relative).is_err());
    assert!(document(&agents(&["claude"]), &hook(Some(Path::new("home")))).is_err());
}

#[test]
fn a_foreign_file_is_told() {
    for text in
        ["", "{}", r#"{"cdiVersion":"0.5.0","kind":"nvidia.com/gpu","containerEdits":{"hooks":[]},"devices":[]}"#]
    {
        assert!(offered(text).is_err(), "{text}");
    }
}

#[test]
fn there_is_a_device_for_every_login_and_for_what_rules_name() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::user(rustix::process::geteuid().as_raw(), dir.path());
    let config = Config::default();
    let shipped: Vec<String> = agent::built_in().map(|agent| agent.to_string()).collect();
    let shipped: Vec<&str> = shipped.iter().map(String::as_str).collect();
    assert!(["claude", "codex", "gemini"].iter().all(|agent| shipped.contains(agent)), "{shipped:?}");
    assert_eq!(devices(&site, &config, &[]).unwrap().agents, agents(&shipped));

    let store = Store::of(Keeper::of(&config, &site).unwrap());
    for account in ["work", "odd-"] {
        let kept = Kept::Here(Secret::from_text("sk-ant-oat01-FAKE"));
        let entry = Entry { kept, created: Instant::now(), expires: None, renewable: false };
        store.write(&"claude".parse().unwrap(), &account.parse().unwrap(), &entry).unwrap();
    }
    fs::create_dir_all(site.config.join("agents.d")).unwrap();
    fs::write(site.config.join("agents.d/mine.toml"), "").unwrap();
    let config = Config {
        allow: vec![
            toml::from_str("agents = [\"codex\"]\naccounts = [\"team\", \"team-*\"]").unwrap(),
            toml::from_str("agents = [\"gem*\"]\naccount = \"shared\"").unwrap(),
        ],
        ..Config::default()
    };
    let found = devices(&site, &config, &["extra".parse().unwrap()]).unwrap();
    let extra: Vec<String> = shipped.iter().map(|agent| format!("{agent}@extra")).collect();
    let named = ["claude@work", "codex@team", "gemini@shared", "mine", "mine@extra"];
    let all: Vec<&str> = shipped.into_iter().chain(extra.iter().map(String::as_str)).chain(named).collect();
    let mut expected = agents(&all);
    expected.sort();
    assert_eq!(found.agents, expected);
    assert_eq!(found.notes.len(), 1, "{:?}", found.notes);
    assert!(found.notes[0].starts_with("claude@odd- cannot be a CDI device"), "{:?}", found.notes);
    assert!(!document(&found.agents, &hook(None)).unwrap().contains("FAKE"));
}
