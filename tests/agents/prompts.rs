//! A client that is started in a terminal comes to its prompt without a question, whatever the image's home
//! directory is like.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::claude;
use crate::client::Client;
use crate::lab::Lab;
use crate::sandbox::{Sandbox, Wanted, Way};

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
