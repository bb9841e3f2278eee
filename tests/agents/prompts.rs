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
            "jq -c '.process | .terminal=true | .args=[\"{command}\"] | .env+=[\"TERM=xterm-256color\"]' {bundle}/config.json >{bundle}/tty.json
            tmux -S $W/tmux -f /dev/null new-session -d -x 120 -y 40 \"{shim} exec --process {bundle}/tty.json {id}; sleep 100\""
        ));
        Self { lab }
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
    prompt: &'static str,
    questions: &'static [&'static str],
    existing: &'static str,
}

const CODEX: Start = Start {
    client: Client::Codex,
    prompt: "Ask Codex to do anything",
    questions: &["Sign in with ChatGPT", "Trust this folder"],
    existing: "mkdir home/dev/.codex; echo 'model_reasoning_effort = \"low\"' >home/dev/.codex/config.toml; chown -R 1000:1000 home/dev",
};
const GEMINI: Start = Start {
    client: Client::Gemini,
    prompt: "Type your message",
    questions: &["How would you like to authenticate", "Do you trust the files in this folder"],
    existing: "mkdir home/dev/.gemini; echo '{\"ui\":{\"hideTips\":true}}' >home/dev/.gemini/settings.json; chown -R 1000:1000 home/dev",
};
const OPENCODE: Start = Start {
    client: Client::OpenCode,
    prompt: "Ask anything",
    questions: &["Connect a provider"],
    existing: "mkdir -p home/dev/.config/opencode; echo '{\"autoupdate\":false}' >home/dev/.config/opencode/opencode.json; chown -R 1000:1000 home/dev",
};
const COPILOT: Start = Start {
    client: Client::Copilot,
    prompt: "/ commands",
    questions: &["Confirm folder trust", "/login"],
    existing: "mkdir home/dev/.copilot; echo '{\"trustedFolders\":[\"/elsewhere\"]}' >home/dev/.copilot/config.json; chown -R 1000:1000 home/dev",
};

/// A root file system that cannot be written, with room for what every client needs; see `claude_starts`.
const READ_ONLY: &str = r#".root.readonly=true | .mounts += [["/tmp","/out"][] | {destination:.,type:"tmpfs",source:"tmpfs",options:["mode=1777"]}]"#;

/// Starts the client on a plain image, on one with settings of its own, and where its home is read-only.
fn starts(start: &Start, kind: &str, credential: impl Fn(&Lab) -> String, homes: &[(&str, &str)]) {
    let Some(client) = start.client.installed() else { return };
    let agent = start.client.agent();
    let Some(lab) = Lab::new(&format!("agents-prompt-{agent}-{kind}")) else { return };
    lab.login(agent, &credential(&lab));
    for (image, edit) in homes {
        let wanted = Wanted { image, edit, ..Wanted::new(agent, Way::Shim) };
        let shown = comes_to(&lab, &client, start, &wanted, start.prompt);
        assert!(!start.questions.iter().any(|word| shown.contains(word)), "{agent}, {kind}, {image}, {edit}: {shown}");
    }
}

/// Starts the client in a terminal and waits until it shows `word`; what it shows then.
#[track_caller]
fn comes_to(lab: &Lab, client: &Installed, start: &Start, wanted: &Wanted<'_>, word: &str) -> String {
    let sandbox = Sandbox::start(lab, client, wanted);
    let terminal = Terminal::start(lab, &sandbox, start.client.agent());
    let words: Vec<&str> = start.questions.iter().copied().chain([start.prompt, word]).collect();
    let shown = terminal.shows(&words);
    assert!(shown.contains(word), "{}: {shown}", start.client.agent());
    drop(terminal);
    sandbox.end();
    shown
}

#[test]
fn codex_with_a_login() {
    let homes = [("", "."), (CODEX.existing, ".")];
    starts(&CODEX, "login", |lab| codex::login(lab, "CODEX", codex::LATER), &homes);
}

#[test]
fn gemini_with_a_login() {
    let homes = [("", "."), (GEMINI.existing, ".")];
    starts(&GEMINI, "login", |lab| gemini::login(lab, "GEMINI", gemini::LATER), &homes);
}

/// On a read-only home it is logged in, and then ends by itself: it has to write beside its login.
#[test]
fn gemini_cannot_live_on_a_read_only_home() {
    let Some(client) = Client::Gemini.installed() else { return };
    let Some(lab) = Lab::new("agents-prompt-gemini-read-only") else { return };
    lab.login("gemini", &gemini::login(&lab, "GEMINI", gemini::LATER));
    let wanted = Wanted { edit: READ_ONLY, ..Wanted::new("gemini", Way::Shim) };
    let shown = comes_to(&lab, &client, &GEMINI, &wanted, "An unexpected critical error occurred:Error: EROFS");
    assert!(shown.contains("Loaded cached credentials") && !shown.contains(GEMINI.questions[0]), "{shown}");
}

#[test]
fn opencode_with_a_key() {
    starts(&OPENCODE, "key", |lab| opencode::key(lab, "OPENCODE"), &[("", "."), (OPENCODE.existing, ".")]);
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
    let claude = Start { client: Client::Claude, prompt: PROMPT, questions, existing: "" };
    trusts(&claude, TRUST, |lab| lab.token("CLAUDE"));
}

#[test]
fn gemini_trusts_where_the_operator_says_so_and_nowhere_else() {
    trusts(&GEMINI, GEMINI.questions[1], |lab| gemini::login(lab, "GEMINI", gemini::LATER));
}

/// Its settings cannot be brought by a mount, so the question is the user's whatever the operator says.
#[test]
fn copilot_asks_for_trust_alone() {
    let Some(client) = Client::Copilot.installed() else { return };
    let Some(lab) = Lab::new("agents-prompt-copilot") else { return };
    lab.login("copilot", &copilot::token(&lab, "gho_"));
    for more in ["", "[agents.copilot]\ntrust_workspace = true\n"] {
        lab.configure(more);
        let shown = comes_to(&lab, &client, &COPILOT, &Wanted::new("copilot", Way::Shim), COPILOT.questions[0]);
        assert!(!shown.contains(COPILOT.questions[1]), "{shown}");
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
