//! `keyslip agents`: what there is, with what the host describes itself.

use serde_json::Value;

use crate::lab::{Lab, shipped};

const MINE: &str = r#"title = "Mine"
login = "ask whoever runs it"
[[kinds]]
name = "key"
title = "key of Mine"
recognise = { prefix = "mk-" }
env = { MINE_KEY = "" }
"#;

#[test]
fn every_agent_is_listed_with_what_it_takes() {
    let Some(lab) = Lab::new("cli-agents") else { return };
    let all: Value = serde_json::from_str(&lab.ok("keyslip agents --json")).unwrap();
    let names: Vec<&str> = all.as_array().unwrap().iter().map(|agent| agent["name"].as_str().unwrap()).collect();
    assert_eq!(names, shipped());
    let said = lab.ok("keyslip agents");
    for agent in all.as_array().unwrap() {
        assert!(agent["file"].is_null(), "{agent}");
        for kind in agent["kinds"].as_array().unwrap() {
            let name = agent["name"].as_str().unwrap();
            let line = said.lines().find(|line| {
                line.split_whitespace().next() == Some(name) && line.contains(kind["title"].as_str().unwrap())
            });
            let line = line.unwrap_or_else(|| panic!("{name}: {said}"));
            for variable in kind["env"].as_object().unwrap().keys() {
                assert!(line.contains(variable), "{line}");
            }
            for file in kind["files"].as_array().unwrap() {
                assert!(line.contains(file["path"].as_str().unwrap()), "{line}");
            }
        }
    }
    assert!(said.contains("claude-code 2.") && said.contains("not run with its client"), "{said}");
    assert!(!said.contains("keyslip-probe"), "the probe is no agent: {said}");
}

#[test]
fn one_agent_is_shown_whole() {
    let Some(lab) = Lab::new("cli-agents-one") else { return };
    let said = lab.ok("keyslip agents claude");
    for part in [
        "claude: Claude Code",
        "run with: claude-code 2.",
        "to log in, run `keyslip auth login claude`",
        "begins with sk-ant-oat01-",
        "CLAUDE_CODE_OAUTH_TOKEN",
        ".claude/.credentials.json, claudeAiOauth.refreshToken emptied",
        "taken as 365 days from login",
        "token (default)",
        "paste",
        "CLAUDE_CONFIG_DIR, if the container sets it, moves",
        "/etc/claude-code/managed-settings.json",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(lab.ok("keyslip agents amp").contains("run with: not run with its client"));
    let gemini = lab.ok("keyslip agents --json gemini");
    let json: Value = serde_json::from_str(&gemini).unwrap();
    assert_eq!(json["kinds"][0]["env"], serde_json::json!({}));
    assert_eq!(json["kinds"][0]["refresh"]["reusable"], true);
    assert!(!gemini.contains("GOCSPX"), "what looks like a secret is not shown");
    let unknown = lab.sh("keyslip agents unheard-of");
    assert_eq!(unknown.code(), Some(1), "{unknown}");
    assert!(unknown.stderr.contains("agent unheard-of is unknown") && unknown.stderr.contains("agents.d"), "{unknown}");
}

#[test]
fn definitions_of_the_host_are_listed_and_a_broken_one_is_named() {
    let Some(lab) = Lab::new("cli-agents-own") else { return };
    lab.ok("mkdir /etc/keyslip/agents.d");
    lab.write("/etc/keyslip/agents.d/mine.toml", MINE.as_bytes());
    lab.write("/etc/keyslip/agents.d/codex.toml", MINE.replace("Mine", "Ours").as_bytes());
    let said = lab.ok("keyslip agents");
    assert!(said.contains("key of Mine") && said.contains("key of Ours") && !said.contains("ChatGPT"), "{said}");
    assert_eq!(lab.ok("keyslip agents mine --json | jq -r .file"), "/etc/keyslip/agents.d/mine.toml");
    assert!(lab.ok("keyslip agents codex").contains("definition: /etc/keyslip/agents.d/codex.toml"));
    lab.write("/etc/keyslip/agents.d/broken.toml", b"title = 1\n");
    let said = lab.sh("keyslip agents");
    assert_eq!(said.code(), Some(1), "{said}");
    assert!(said.stderr.contains("/etc/keyslip/agents.d/broken.toml") && said.stdout.contains("key of Mine"), "{said}");
}
