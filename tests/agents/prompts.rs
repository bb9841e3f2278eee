//! A client that is started in a terminal comes to its prompt without a question, whatever the image's home
//! directory is like.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::client::{Client, Installed};
use crate::lab::Lab;
use crate::sandbox::{Sandbox, Wanted, Way};
use crate::{claude, codex, copilot, gemini, opencode};

/// What Claude asks before its prompt: for a theme, a login, the use of a key.
const QUESTIONS: [&str; 3] = ["Choose the text style", "Select login method", "Do you want to use this API key"];
const TRUST: &str = "trust this folder";
const PROMPT: &str = "? for shortcuts";

/// A terminal in which a command runs in the container.
struct Terminal<'a> {
    lab: &'a Lab,
}

impl<'a> Terminal<'a> {
    fn start(lab: &'a Lab, sandbox: &Sandbox<'_>, command: &str) -> Self {
        let (shim, id, bundle) = (&sandbox.bare.shim, &sandbox.bare.id, &sandbox.bare.bundle);
        lab.ok(&format!(
            "jq -c '.process | .terminal=true | .args=(\"{command}\" | split(\" \")) | .env+=[\"TERM=xterm-256color\"]' {bundle}/config.json >{bundle}/tty.json
            tmux -S $W/tmux -f /dev/null new-session -d -x 120 -y 40 \"{shim} exec --process {bundle}/tty.json {id}; sleep 100\""
        ));
        Self { lab }
    }

    fn press(&self, key: &str) {
        self.lab.ok(&format!("tmux -S $W/tmux send-keys {key}"));
    }

    /// What is shown when one of `words` is; after a while, what is shown then.
    fn shows(&self, words: &[&str]) -> String {
        let end = Instant::now() + Duration::from_secs(40);
        loop {
            let shown = self.lab.ok("tmux -S $W/tmux capture-pane -p");
            if words.iter().any(|word| shown.contains(word)) || Instant::now() > end {
                return shown;
            }
            sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        self.lab.sh("tmux -S $W/tmux kill-server");
    }
}

fn claude_starts(kind: &str, credential: impl Fn(&Lab) -> String) {
    let Some(client) = Client::Claude.installed() else { return };
    let Some(lab) = Lab::new(&format!("agents-prompt-{kind}")) else { return };
    lab.login("claude", &credential(&lab));
    let with_one =
        r#"echo '{"numStartups":3,"theme":"light"}' >home/dev/.claude.json; chown 1000:1000 home/dev/.claude.json"#;
    let read_only = r#".root.readonly=true | .mounts += [{destination:"/tmp",type:"tmpfs",source:"tmpfs",options:["mode=1777"]},
        {destination:"/out",type:"tmpfs",source:"tmpfs",options:["mode=1777"]}]"#;
    for (home, image, edit) in
        [("no ~/.claude.json", "", "."), ("with ~/.claude.json", with_one, "."), ("read-only home", "", read_only)]
    {
        let wanted = Wanted { image, edit, env: &["CLAUDE_CODE_SANDBOXED=1"], ..Wanted::new("claude", Way::Shim) };
        let sandbox = Sandbox::start(&lab, &client, &wanted);
        let words: Vec<&str> = QUESTIONS.into_iter().chain([PROMPT, TRUST]).collect();
        let terminal = Terminal::start(&lab, &sandbox, "claude");
        let shown = terminal.shows(&words);
        assert!(shown.contains(PROMPT), "{kind}, {home}: {shown}");
        assert!(!words.iter().any(|word| *word != PROMPT && shown.contains(word)), "{kind}, {home}: {shown}");
        drop(terminal);
        sandbox.end();
    }
}

#[test]
fn claude_with_a_token() {
    claude_starts("token", |lab| lab.token("CLAUDE"));
}

#[test]
fn claude_with_a_login() {
    claude_starts("login", |lab| claude::login(lab, "CLAUDE", claude::LATER));
}

/// Whether the directory is to be trusted is the user's to say: neither answered nor in the way of the rest.
#[test]
fn claude_asks_for_trust_alone() {
    let Some(client) = Client::Claude.installed() else { return };
    let Some(lab) = Lab::with_claude("agents-prompt-trust") else { return };
    let sandbox = Sandbox::start(&lab, &client, &Wanted::new("claude", Way::Shim));
    let terminal = Terminal::start(&lab, &sandbox, "claude");
    let shown = terminal.shows(&[TRUST, PROMPT, QUESTIONS[0], QUESTIONS[1]]);
    assert!(shown.contains(TRUST), "{shown}");
    drop(terminal);
    sandbox.end();
}

/// Without what Keyslip delivers it asks, so the tests above look for the right words.
#[test]
fn claude_alone_asks_for_a_theme_and_for_the_use_of_a_key() {
    let Some(client) = Client::Claude.installed() else { return };
    let Some(lab) = Lab::new("agents-prompt-alone") else { return };
    let done =
        r#"echo '{"hasCompletedOnboarding":true}' >home/dev/.claude.json; chown 1000:1000 home/dev/.claude.json"#;
    for (image, question) in [("", QUESTIONS[0]), (done, QUESTIONS[2])] {
        let env = ["CLAUDE_CODE_SANDBOXED=1", "ANTHROPIC_API_KEY=sk-ant-api03-FAKE-0123456789abcdefghij"];
        let sandbox = Sandbox::start(&lab, &client, &Wanted { image, env: &env, ..Wanted::new("claude", Way::None) });
        let terminal = Terminal::start(&lab, &sandbox, "claude");
        let shown = terminal.shows(&[question, PROMPT]);
        assert!(shown.contains(question), "{shown}");
        drop(terminal);
        sandbox.end();
    }
}

/// How another client starts: its prompt, what it would ask before, and settings that an image may have.
struct Start {
    client: Client,
    command: &'static str,
    prompt: &'static str,
    questions: &'static [&'static str],
    existing: &'static str,
    /// Directories of its own that it writes, below a home that cannot be written.
    room: &'static [&'static str],
}

const CODEX: Start = Start {
    client: Client::Codex,
    // The daemon that it starts wants another `ps` than busybox has.
    command: "codex --no-daemon",
    // "Ask Codex to do anything" comes while it still looks whether it has a login.
    prompt: "To get started, describe a task",
    questions: &["Sign in with ChatGPT", "Trust this folder"],
    existing: "mkdir home/dev/.codex; echo 'model_reasoning_effort = \"low\"' >home/dev/.codex/config.toml; chown -R 1000:1000 home/dev",
    room: &[".codex"],
};
const GEMINI: Start = Start {
    client: Client::Gemini,
    command: "gemini",
    prompt: "Type your message",
    questions: &["How would you like to authenticate", "Do you trust the files in this folder"],
    existing: "mkdir home/dev/.gemini; echo '{\"ui\":{\"hideTips\":true}}' >home/dev/.gemini/settings.json; chown -R 1000:1000 home/dev",
    room: &[".gemini"],
};
const OPENCODE: Start = Start {
    client: Client::OpenCode,
    command: "opencode",
    // Below its prompt it has the provider whose models it may use.
    prompt: "Anthropic",
    questions: &["Connect a provider"],
    existing: "mkdir -p home/dev/.config/opencode; echo '{\"autoupdate\":false}' >home/dev/.config/opencode/opencode.json; chown -R 1000:1000 home/dev",
    room: &[".config", ".local", ".cache"],
};
const COPILOT: Start = Start {
    client: Client::Copilot,
    command: "copilot",
    // The model that its account may use.
    prompt: "gpt-5.4",
    questions: &["Confirm folder trust", "/login"],
    existing: "mkdir home/dev/.copilot; echo '{\"trustedFolders\":[\"/elsewhere\"]}' >home/dev/.copilot/config.json; chown -R 1000:1000 home/dev",
    room: &[".copilot", ".cache"],
};

/// A root file system that cannot be written, with room for what every client needs, see `claude_starts`, and in
/// these directories of the home.
fn read_only(room: &[&str]) -> String {
    let room: String = room
        .iter()
        .map(|dir| {
            format!(
                r#" | .mounts += [{{destination:"/home/dev/{dir}",type:"tmpfs",source:"tmpfs",options:["mode=1777"]}}]"#
            )
        })
        .collect();
    format!(
        r#".root.readonly=true | .mounts += [["/tmp","/out"][] | {{destination:.,type:"tmpfs",source:"tmpfs",options:["mode=1777"]}}]{room}"#
    )
}

/// Starts the client on a plain image, on one with settings of its own, and where its home is read-only.
fn starts(start: &Start, kind: &str, credential: impl Fn(&Lab) -> String) {
    let Some(client) = start.client.installed() else { return };
    let agent = start.client.agent();
    let Some(lab) = Lab::new(&format!("agents-prompt-{agent}-{kind}")) else { return };
    lab.login(agent, &credential(&lab));
    let room = read_only(start.room);
    for (image, edit) in [("", "."), (start.existing, "."), ("", &room)] {
        let wanted = Wanted { image, edit, ..Wanted::new(agent, Way::Shim) };
        let shown = comes_to(&lab, &client, start, &wanted, start.prompt);
        assert!(!start.questions.iter().any(|word| shown.contains(word)), "{agent}, {kind}, {image}, {edit}: {shown}");
    }
}

/// Starts the client in a terminal and waits until it shows `word`; what it shows then.
#[track_caller]
fn comes_to(lab: &Lab, client: &Installed, start: &Start, wanted: &Wanted<'_>, word: &str) -> String {
    let sandbox = Sandbox::start(lab, client, wanted);
    let terminal = Terminal::start(lab, &sandbox, start.command);
    let words: Vec<&str> = start.questions.iter().copied().chain([start.prompt, word]).collect();
    let shown = terminal.shows(&words);
    assert!(shown.contains(word), "{}: {shown}", start.client.agent());
    drop(terminal);
    sandbox.end();
    shown
}

#[test]
fn codex_with_a_login() {
    starts(&CODEX, "login", |lab| codex::login(lab, "CODEX", codex::LATER));
}

/// It keeps its answers by directory and in TOML, so the operator's word cannot be brought; that is said.
#[test]
fn codex_asks_for_trust_in_a_repository_whatever_the_operator_says() {
    let Some(client) = Client::Codex.installed() else { return };
    let Some(lab) = Lab::new("agents-prompt-codex-trust") else { return };
    lab.login("codex", &codex::login(&lab, "CODEX", codex::LATER));
    lab.configure("[agents.codex]\ntrust_workspace = true\n");
    let image =
        "cd home/dev; mkdir -p .git/objects .git/refs; echo 'ref: refs/heads/main' >.git/HEAD; chown -R 1000:1000 .";
    let wanted = Wanted { image, ..Wanted::new("codex", Way::Shim) };
    comes_to(&lab, &client, &CODEX, &wanted, CODEX.questions[1]);
    says_that_trust_has_no_effect(&lab, "codex");
}

#[track_caller]
fn says_that_trust_has_no_effect(lab: &Lab, agent: &str) {
    let bundle = lab.bundle("plan", &format!(r#".annotations={{"dev.keyslip.agents":"{agent}"}}"#));
    let said = lab.sh(&format!("keyslip plan --engine bare --bundle {bundle}")).said();
    assert!(said.contains(&format!("trust_workspace has no effect for {agent}")), "{said}");
}

#[test]
fn gemini_with_a_login() {
    starts(&GEMINI, "login", |lab| gemini::login(lab, "GEMINI", gemini::LATER));
}

#[test]
fn opencode_with_a_key() {
    starts(&OPENCODE, "key", |lab| opencode::key(lab, "OPENCODE"));
}

/// On a home that is read-only as a whole they end by themselves: they write beside their logins.
#[test]
fn codex_gemini_and_opencode_cannot_live_on_a_read_only_home() {
    let login = |lab: &Lab, client| match client {
        Client::Codex => codex::login(lab, "CODEX", codex::LATER),
        Client::Gemini => gemini::login(lab, "GEMINI", gemini::LATER),
        _ => opencode::key(lab, "OPENCODE"),
    };
    for (start, word) in [
        (CODEX, "/home/dev/.codex/state_5.sqlite"),
        (GEMINI, "An unexpected critical error occurred:Error: EROFS"),
        (OPENCODE, "EROFS: read-only file system, mkdir '/home/dev/."),
    ] {
        let Some(client) = start.client.installed() else { continue };
        let Some(lab) = Lab::new("agents-prompt-read-only") else { return };
        let agent = start.client.agent();
        lab.login(agent, &login(&lab, start.client));
        comes_to(&lab, &client, &start, &Wanted { edit: &read_only(&[]), ..Wanted::new(agent, Way::Shim) }, word);
    }
}

/// Without what Keyslip delivers they ask, so the tests above look for the right words.
#[test]
fn codex_and_gemini_alone_ask_for_a_login() {
    for start in [CODEX, GEMINI] {
        let Some(client) = start.client.installed() else { continue };
        let Some(lab) = Lab::new("agents-prompt-others-alone") else { return };
        let wanted = Wanted::new(start.client.agent(), Way::None);
        comes_to(&lab, &client, &start, &wanted, start.questions[0]);
    }
}

/// Without the operator's word the client asks; with it, it does not, whatever the image's own settings are.
fn trusts(start: &Start, question: &str, credential: impl Fn(&Lab) -> String) {
    let Some(client) = start.client.installed() else { return };
    let agent = start.client.agent();
    let Some(lab) = Lab::new(&format!("agents-prompt-{agent}-trust")) else { return };
    lab.login(agent, &credential(&lab));
    // The rest of the tests let gemini trust by a variable.
    let env: &[&str] = if start.client == Client::Gemini { &[] } else { client.env };
    let client = Installed { env, ..client };
    comes_to(&lab, &client, start, &Wanted::new(agent, Way::Shim), question);
    lab.configure(&format!("[agents.{agent}]\ntrust_workspace = true\n"));
    for image in ["", start.existing] {
        let shown = comes_to(&lab, &client, start, &Wanted { image, ..Wanted::new(agent, Way::Shim) }, start.prompt);
        assert!(!shown.contains(question), "{agent}: {shown}");
    }
}

#[test]
fn claude_trusts_where_the_operator_says_so_and_nowhere_else() {
    let questions = &[TRUST, QUESTIONS[0], QUESTIONS[1]];
    let claude =
        Start { client: Client::Claude, command: "claude", prompt: PROMPT, questions, existing: "", room: &[] };
    trusts(&claude, TRUST, |lab| lab.token("CLAUDE"));
}

#[test]
fn gemini_trusts_where_the_operator_says_so_and_nowhere_else() {
    trusts(&GEMINI, GEMINI.questions[1], |lab| gemini::login(lab, "GEMINI", gemini::LATER));
}

/// It asks for trust, with the operator's word too, as its settings cannot be mounted; that is said. When it is
/// answered, nothing else is asked: it has its account's model. Without a login it has none.
#[test]
fn copilot_asks_for_trust_alone_whatever_the_operator_says() {
    let Some(client) = Client::Copilot.installed() else { return };
    let Some(lab) = Lab::new("agents-prompt-copilot") else { return };
    lab.login("copilot", &copilot::token(&lab, "gho_"));
    let trust = "[agents.copilot]\ntrust_workspace = true\n";
    for (config, image, way) in [("", "", Way::Shim), (trust, COPILOT.existing, Way::Shim), ("", "", Way::None)] {
        lab.configure(config);
        let sandbox = Sandbox::start(&lab, &client, &Wanted { image, ..Wanted::new("copilot", way) });
        let terminal = Terminal::start(&lab, &sandbox, "copilot");
        let shown = terminal.shows(&[COPILOT.questions[0]]);
        assert!(shown.contains(COPILOT.questions[0]), "{shown}");
        terminal.press("Enter");
        let shown = terminal.shows(&[COPILOT.prompt, COPILOT.questions[1]]);
        assert_eq!(shown.contains(COPILOT.prompt), way == Way::Shim, "{shown}");
        assert_eq!(shown.contains(COPILOT.questions[1]), way == Way::None, "{shown}");
        drop(terminal);
        sandbox.end();
        if !config.is_empty() {
            says_that_trust_has_no_effect(&lab, "copilot");
        }
    }
}

/// The end of the key is in the settings, and in nobody else's sight; it follows the key, and goes with it.
#[test]
fn claude_uses_a_key_without_asking() {
    let Some(client) = Client::Claude.installed() else { return };
    let Some(lab) = Lab::new("agents-prompt-key") else { return };
    let login = |mark: &str| {
        let key = format!("sk-ant-api03-FAKE-0123456789-{}-{mark}", lab.unique());
        lab.mark(mark, &key);
        lab.mark(&format!("END-OF-{mark}"), &key[key.len() - 20..]);
        lab.login("claude", &key);
    };
    login("OLD");
    let theirs = r#"echo '{"customApiKeyResponses":{"approved":["another"]},"theirs":1}' >home/dev/.claude.json
        chown 1000:1000 home/dev/.claude.json"#;
    let (words, env) = ([PROMPT, QUESTIONS[0], QUESTIONS[1], QUESTIONS[2]], ["CLAUDE_CODE_SANDBOXED=1"]);
    for (image, also) in [("", ""), (theirs, "another")] {
        let sandbox = Sandbox::start(&lab, &client, &Wanted { image, env: &env, ..Wanted::new("claude", Way::Shim) });
        for (mark, other) in [("OLD", "NEW"), ("NEW", "OLD")] {
            if mark == "NEW" {
                login(mark);
                let said = lab.ok("keyslip sync");
                assert!(said.contains("claude was updated"), "{said}");
            }
            let terminal = Terminal::start(&lab, &sandbox, "claude");
            let shown = terminal.shows(&words);
            assert!(shown.contains(PROMPT) && !shown.contains(QUESTIONS[2]), "{mark}: {shown}");
            drop(terminal);
            // A client that ends writes its settings once more.
            sandbox.exec("for i in $(seq 50); do pgrep claude >/dev/null || break; sleep 0.2; done");
            let settings = sandbox.exec("stat -c '%a %u' ~/.claude.json; cat ~/.claude.json").stdout;
            assert!(settings.starts_with("600 1000\n"), "{settings}");
            assert!(settings.contains(&format!("<END-OF-{mark}>")) && settings.contains(also), "{settings}");
            assert!(!settings.contains(&format!("<END-OF-{other}>")), "{settings}");
            assert!(!settings.contains(&format!("<{mark}>")), "the whole key: {settings}");
            let told = lab.ok(
                "find /run/keyslip -name record.json | xargs cat; keyslip list --json; cat /var/lib/keyslip/audit.log",
            );
            assert!(!told.contains("END-OF"), "{told}");
        }
        lab.ok(&format!("keyslip revoke {}", sandbox.bare.id));
        let settings = sandbox.exec("cat ~/.claude.json").stdout;
        assert!(!settings.contains("END-OF") && settings.contains(also), "{settings}");
        sandbox.end();
        login("OLD");
    }
}
