//! What stands in the way of a credential: logins, keys and settings that the image brings, variables that
//! move files or send requests elsewhere, homes that are not where one would think. Either the right thing happens, or the
//! start warns by name. Each case is a row of the second table of docs/agents.md.

use std::fs;
use std::path::Path;

use crate::client::Client;
use crate::lab::Lab;
use crate::sandbox::{Sandbox, Wanted, Way};
use crate::{claude, codex, gemini};

/// Something in the way.
#[derive(Clone, Copy)]
struct Case {
    /// As the table has it.
    what: &'static str,
    kind: &'static str,
    env: &'static [&'static str],
    edit: &'static str,
    image: &'static str,
    /// A script that fills a directory of the host, which is the agent's `host_config_dir` then.
    host: &'static str,
    runtime: &'static str,
    /// Where requests went with what; marked values are masked.
    wire: &'static str,
    /// What Keyslip warns of; empty if there is nothing to warn of.
    warns: &'static str,
}

const PLAIN: Case =
    Case { what: "", kind: "login", env: &[], edit: ".", image: "", host: "", runtime: "crun", wire: "", warns: "" };

const STALE: &str = r#"mkdir -p home/dev/.claude; chown 1000:1000 home/dev/.claude; cat >home/dev/.claude/.credentials.json <<JSON
{"claudeAiOauth":{"accessToken":"sk-ant-oat01-FAKE-stale","refreshToken":"sk-ant-ort01-FAKE-stale","expiresAt":1700000000000,"scopes":["user:inference"]}}
JSON
chown 1000:1000 home/dev/.claude/.credentials.json"#;

const HELPER: &str = r#"mkdir -p home/dev/.claude; echo '{"apiKeyHelper":"echo sk-ant-api03-FAKE-helper"}' >home/dev/.claude/settings.json
chown -R 1000:1000 home/dev/.claude"#;

const REDIRECT: &str = r#"mkdir -p home/dev/.claude; echo '{"env":{"ANTHROPIC_BASE_URL":"http://127.0.0.1:8080"}}' >home/dev/.claude/settings.json
chown -R 1000:1000 home/dev/.claude"#;

const HOST_STALE: &str = r#"cat >.credentials.json <<JSON
{"claudeAiOauth":{"accessToken":"sk-ant-oat01-FAKE-stale","refreshToken":"sk-ant-ort01-FAKE-stale","expiresAt":1700000000000,"scopes":["user:inference"]}}
JSON
echo '{"theme":"light"}' >settings.json"#;
const HOST_HELPER: &str = r#"echo '{"apiKeyHelper":"echo sk-ant-api03-FAKE-helper"}' >settings.json"#;
const PROJECT: &str =
    r#"mkdir -p work/.claude; echo '{"apiKeyHelper":"echo sk-ant-api03-FAKE-helper"}' >work/.claude/settings.json"#;
const LOCAL: &str = r#"mkdir -p work/.claude; echo '{"apiKeyHelper":"echo sk-ant-api03-FAKE-helper"}' >work/.claude/settings.local.json"#;
const AT_WORK: &str = r#".process.cwd="/work""#;
const MANAGED: &str = r#"mkdir -p etc/claude-code; echo '{"apiKeyHelper":"echo sk-ant-api03-FAKE-helper"}' >etc/claude-code/managed-settings.json"#;
const MANAGED_REDIRECT: &str = r#"mkdir -p etc/claude-code
echo '{"env":{"ANTHROPIC_BASE_URL":"http://127.0.0.1:8080"}}' >etc/claude-code/managed-settings.json"#;
const BY_KEY: &str = r#"mkdir -p home/dev/.gemini; echo '{"security":{"auth":{"selectedType":"gemini-api-key"}}}' >home/dev/.gemini/settings.json
chown -R 1000:1000 home/dev/.gemini"#;

const NO_HOME: &str = r#".process.env |= map(select(startswith("HOME=") | not))"#;
const EMPTY_HOME: &str = r#".process.env |= map(if startswith("HOME=") then "HOME=" else . end)"#;
const NOBODY: &str = r#".process.user={uid:2000,gid:2000} | .process.cwd="/tmp" | .process.env |= map(select(startswith("HOME=") | not))"#;

fn claude_cases() -> Vec<Case> {
    const AT: &str = "api.anthropic.com/v1/messages authorization: Bearer <GIVEN>";
    let case = Case { wire: AT, ..PLAIN };
    let helper = Case {
        what: "`apiKeyHelper` in the image's settings",
        image: HELPER,
        wire: "api.anthropic.com/v1/messages authorization: Bearer sk-ant-api03-FAKE-helper, x-api-key: sk-ant-api03-FAKE-helper",
        warns: "apiKeyHelper is set in /home/dev/.claude/settings.json of the container; claude uses it instead",
        ..PLAIN
    };
    vec![
        Case { what: "an old `.credentials.json` in the image", kind: "token", image: STALE, ..case },
        Case { what: "an old `.credentials.json` in the image", image: STALE, ..case },
        Case {
            what: "`ANTHROPIC_API_KEY` in the image",
            kind: "token",
            env: &["ANTHROPIC_API_KEY=sk-ant-api03-FAKE-image"],
            wire: "api.anthropic.com/v1/messages x-api-key: sk-ant-api03-FAKE-image",
            warns: "ANTHROPIC_API_KEY is set by the container; claude uses it instead",
            ..PLAIN
        },
        Case {
            what: "`ANTHROPIC_BASE_URL` in the image",
            kind: "token",
            env: &["ANTHROPIC_BASE_URL=http://127.0.0.1:8080"],
            wire: "127.0.0.1:8080/v1/messages authorization: Bearer <GIVEN>",
            warns: "ANTHROPIC_BASE_URL is set by the container; claude sends its requests",
            ..PLAIN
        },
        Case { kind: "token", ..helper },
        helper,
        Case {
            what: "`ANTHROPIC_BASE_URL` in the image's settings",
            kind: "token",
            image: REDIRECT,
            wire: "127.0.0.1:8080/v1/messages authorization: Bearer <GIVEN>",
            warns: "env.ANTHROPIC_BASE_URL is set in /home/dev/.claude/settings.json of the container; claude sends its requests",
            ..PLAIN
        },
        Case {
            what: "`apiKeyHelper` in the settings of the working directory",
            edit: AT_WORK,
            image: PROJECT,
            warns: "apiKeyHelper is set in /work/.claude/settings.json of the container; claude uses it instead",
            ..helper
        },
        Case {
            what: "`apiKeyHelper` in the local settings of the working directory",
            edit: AT_WORK,
            image: LOCAL,
            warns: "apiKeyHelper is set in /work/.claude/settings.local.json of the container; claude uses it instead",
            ..helper
        },
        Case {
            what: "`apiKeyHelper` in managed settings",
            image: MANAGED,
            warns: "apiKeyHelper is set in /etc/claude-code/managed-settings.json of the container; claude uses it instead",
            ..helper
        },
        Case {
            what: "`ANTHROPIC_BASE_URL` in managed settings",
            image: MANAGED_REDIRECT,
            wire: "127.0.0.1:8080/v1/messages authorization: Bearer <GIVEN>",
            warns: "env.ANTHROPIC_BASE_URL is set in /etc/claude-code/managed-settings.json of the container; claude sends",
            ..PLAIN
        },
        Case { what: "an old `.credentials.json` in `host_config_dir`", host: HOST_STALE, ..case },
        Case {
            what: "`apiKeyHelper` in `host_config_dir`",
            image: "",
            host: HOST_HELPER,
            warns: "apiKeyHelper is set in /home/host/.claude/settings.json of the host, which is shared; claude uses it instead",
            ..helper
        },
        Case { what: "`CLAUDE_CONFIG_DIR`", env: &["CLAUDE_CONFIG_DIR=/home/dev/elsewhere"], ..case },
        Case { what: "`HOME` unset", edit: NO_HOME, ..case },
        Case { what: "`HOME` empty", edit: EMPTY_HOME, ..case },
        // crun 1.8 leaves HOME unset, and the client ends at once whatever it was given; runc sets it to `/`.
        Case { what: "a user without a line in `/etc/passwd`", runtime: "runc", edit: NOBODY, ..case },
    ]
}

fn codex_cases() -> Vec<Case> {
    const AT: &str = "chatgpt.com/backend-api/codex/responses authorization: Bearer <GIVEN>";
    let case = Case { wire: AT, ..PLAIN };
    vec![
        Case { what: "`OPENAI_API_KEY` in the image", env: &["OPENAI_API_KEY=sk-FAKE-image"], ..case },
        Case {
            what: "`CODEX_API_KEY` in the image",
            env: &["CODEX_API_KEY=sk-FAKE-image"],
            wire: "api.openai.com/v1/responses authorization: Bearer sk-FAKE-image",
            warns: "CODEX_API_KEY is set by the container; codex uses it instead",
            ..PLAIN
        },
        Case { what: "`CODEX_HOME`", env: &["CODEX_HOME=/home/dev/elsewhere"], ..case },
        Case { what: "`HOME` unset", edit: NO_HOME, ..case },
        Case { what: "`HOME` empty", edit: EMPTY_HOME, ..case },
        Case { what: "a user without a line in `/etc/passwd`", runtime: "runc", edit: NOBODY, ..case },
    ]
}

fn gemini_cases() -> Vec<Case> {
    const AT: &str = "cloudcode-pa.googleapis.com/v1internal:streamGenerateContent authorization: Bearer <GIVEN>";
    let case = Case { wire: AT, ..PLAIN };
    vec![
        Case { what: "`GEMINI_API_KEY` in the image", env: &["GEMINI_API_KEY=AIzaFAKE-image"], ..case },
        Case {
            what: "another `selectedType` in the image's settings",
            image: BY_KEY,
            wire: "",
            warns: "security.auth.selectedType is set in /home/dev/.gemini/settings.json of the container; gemini uses it",
            ..PLAIN
        },
        // It counts with GOOGLE_GENAI_USE_GCA alone; the warning comes in any case.
        Case {
            what: "`GOOGLE_CLOUD_ACCESS_TOKEN` in the image",
            env: &["GOOGLE_CLOUD_ACCESS_TOKEN=ya29.FAKE-image"],
            warns: "GOOGLE_CLOUD_ACCESS_TOKEN is set by the container",
            ..case
        },
        Case {
            what: "`GOOGLE_CLOUD_ACCESS_TOKEN` and `GOOGLE_GENAI_USE_GCA` in the image",
            env: &["GOOGLE_GENAI_USE_GCA=true", "GOOGLE_CLOUD_ACCESS_TOKEN=ya29.FAKE-image"],
            wire: "cloudcode-pa.googleapis.com/v1internal:streamGenerateContent authorization: Bearer ya29.FAKE-image",
            warns: "GOOGLE_CLOUD_ACCESS_TOKEN is set by the container; gemini uses it instead",
            ..PLAIN
        },
        Case { what: "`GOOGLE_GENAI_USE_VERTEXAI` in the image", env: &["GOOGLE_GENAI_USE_VERTEXAI=true"], ..case },
        Case { what: "`GEMINI_CLI_HOME`", env: &["GEMINI_CLI_HOME=/home/dev/elsewhere"], ..case },
        Case { what: "`HOME` unset", edit: NO_HOME, ..case },
        Case {
            what: "`HOME` empty",
            edit: EMPTY_HOME,
            wire: "",
            warns: "HOME is empty in the container; gemini does not find what was delivered",
            ..PLAIN
        },
        Case { what: "a user without a line in `/etc/passwd`", runtime: "runc", edit: NOBODY, ..case },
    ]
}

fn credential(client: Client, lab: &Lab, kind: &str) -> String {
    match client {
        Client::Claude if kind == "token" => lab.token("GIVEN"),
        Client::Claude => claude::login(lab, "GIVEN", claude::LATER),
        Client::Codex => codex::login(lab, "GIVEN", codex::LATER),
        _ => gemini::login(lab, "GIVEN", gemini::LATER),
    }
}

fn try_all(client: Client, cases: &[Case]) {
    let Some(installed) = client.installed() else { return };
    let Some(lab) = Lab::new(&format!("agents-{}-shadows", client.agent())) else { return };
    let mut wrong = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        lab.login(client.agent(), &credential(client, &lab, case.kind));
        let ask = if client.hello().is_empty() { client.status() } else { client.hello() };
        let Case { env, edit, image, runtime, .. } = *case;
        share(&lab, client, case.host);
        let wanted = Wanted { env, edit, image, runtime, main: ask, ..Wanted::new(client.agent(), Way::Shim) };
        let sandbox = Sandbox::start(&lab, &installed, &wanted);
        let said = sandbox.main();
        let warnings = sandbox.warnings();
        let requests = sandbox.api.take();
        let asked =
            requests.iter().filter(|it| !it.credentials().is_empty() && it.method == "POST" && is_model(&it.target));
        let mut wire: Vec<String> =
            asked.map(|it| lab.masked(&format!("{} {}", it.target, it.credentials().join(", ")))).collect();
        wire.dedup();
        let warned = if case.warns.is_empty() { warnings.is_empty() } else { warnings.contains(case.warns) };
        if wire.join("; ") != case.wire || !warned {
            wrong.push(format!("{}, {}: {wire:?}; warnings: {warnings:?}; it said {said}", case.what, case.kind));
        } else {
            write(client, index, case);
        }
        sandbox.end();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Gives the agent a `host_config_dir`, if a script fills one.
fn share(lab: &Lab, client: Client, script: &str) {
    let agent = client.agent();
    let config = match script {
        "" => String::new(),
        _ => format!("[agents.{agent}]\nhost_config_dir = \"/home/host/.{agent}\"\n"),
    };
    lab.configure(&config);
    let dir = format!("/home/host/.{agent}");
    lab.ok(&format!("rm -rf {dir}; [ -z '{config}' ] || {{ mkdir -p {dir}; cd {dir}; {script}\n}}"));
}

/// Whether a model was asked, wherever.
fn is_model(target: &str) -> bool {
    ["/v1/messages", "/responses", ":streamGenerateContent"].iter().any(|end| target.ends_with(end))
}

/// Writes the row where the script `table` finds it.
fn write(client: Client, index: usize, case: &Case) {
    let used = match case.wire.ends_with("<GIVEN>") {
        true if case.wire.starts_with("127.0.0.1") => "what was delivered, sent where it says",
        true => "what was delivered",
        false if case.wire.is_empty() => "nothing: the client ends",
        false if !case.host.is_empty() => "what the host brings",
        false => "what the image brings",
    };
    let warned = if case.warns.is_empty() { "no" } else { "yes, by name" };
    let line = format!("| {} | {} | {} | {used} | {warned} |\n", client.agent(), case.kind, case.what);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("agents-shadows");
    fs::create_dir_all(&dir).expect("a directory for rows");
    fs::write(dir.join(format!("{}-{index}", client.order())), line).expect("a row");
}

#[test]
fn in_the_way_of_claude() {
    try_all(Client::Claude, &claude_cases());
}

#[test]
fn in_the_way_of_codex() {
    try_all(Client::Codex, &codex_cases());
}

#[test]
fn in_the_way_of_gemini() {
    try_all(Client::Gemini, &gemini_cases());
}
