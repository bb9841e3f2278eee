//! A client as npm installs it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A real client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Claude,
    Codex,
    Gemini,
    OpenCode,
    Copilot,
}

/// All of them.
pub const CLIENTS: [Client; 5] = [Client::Claude, Client::Codex, Client::Gemini, Client::OpenCode, Client::Copilot];

/// A client that is installed.
#[derive(Debug)]
pub struct Installed {
    /// As in `claude-code 2.1.197`.
    pub version: String,
    /// Directories of the machine, each with the place where the container has it.
    pub mounts: Vec<(PathBuf, &'static str)>,
    /// The program's name in the container, and what it is a link to.
    pub links: Vec<(&'static str, String)>,
    /// Variables that keep it from asking for anything else than a model.
    pub env: &'static [&'static str],
}

/// The end of `tests/lab/clients` where npm cannot be reached.
const UNREACHABLE: i32 = 75;

/// The directory of a client; nothing, and a line that says so, where npm cannot be reached.
fn place(name: &str) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/clients");
    let output = Command::new(script).arg(name).output().expect("tests/lab/clients starts");
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(UNREACHABLE) {
        println!("skipped: {}", said.trim());
        return None;
    }
    assert!(output.status.success(), "{name}: {said}");
    Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

impl Client {
    /// What Keyslip calls it, and the name of its program.
    pub fn agent(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::OpenCode => "opencode",
            Self::Copilot => "copilot",
        }
    }

    /// Its name in `tests/lab/clients`.
    fn package(self) -> &'static str {
        match self {
            Self::Claude => "claude-code",
            Self::Codex => "codex",
            Self::Gemini => "gemini-cli",
            Self::OpenCode => "opencode",
            Self::Copilot => "copilot",
        }
    }

    /// Installs it if it is not there; nothing where npm cannot be reached.
    pub fn installed(self) -> Option<Installed> {
        let dir = place(self.package())?;
        let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let version = name.replacen(&format!("{}-", self.package()), &format!("{} ", self.package()), 1);
        let program = match self {
            // What npm links is a wrapper that needs node; this is what it starts.
            Self::Codex => native(&dir, "*/vendor/*/codex"),
            Self::Copilot => native(&dir, "*/@github/copilot-*/copilot"),
            _ => format!("node_modules/.bin/{}", self.agent()),
        };
        let mut mounts = vec![(dir, "/opt/client")];
        let mut links = vec![(self.agent(), format!("/opt/client/{program}"))];
        if self == Self::Gemini {
            mounts.push((place("node")?, "/opt/node"));
            links.push(("node", "/opt/node/node_modules/.bin/node".to_owned()));
        }
        Some(Installed { version, mounts, links, env: self.env() })
    }
}

/// The path of a client's own program below its directory.
fn native(dir: &Path, pattern: &str) -> String {
    let find = Command::new("find")
        .arg(dir)
        .args(["-type", "f", "-path", pattern, "-perm", "-u+x", "-printf", "%P"])
        .output()
        .expect("find starts");
    String::from_utf8(find.stdout).expect("a path")
}

/// How a client is asked, and what it says.
impl Client {
    /// Where it stands in the table.
    pub fn order(self) -> u32 {
        self as u32 + 1
    }

    /// The command that says what credential it has. Gemini and Copilot have none; their end tells.
    pub fn status(self) -> &'static str {
        match self {
            Self::Claude => "claude auth status",
            Self::Codex => "codex login status",
            Self::Gemini => "gemini -m gemini-2.5-flash -p hi",
            Self::OpenCode => "opencode auth list",
            Self::Copilot => "copilot -p hi",
        }
    }

    /// The command that asks a model; empty where the status has done that.
    pub fn hello(self) -> &'static str {
        match self {
            Self::Claude => "claude -p hi",
            Self::Codex => "codex exec --skip-git-repo-check hi",
            Self::Gemini | Self::Copilot => "",
            Self::OpenCode => "opencode run hi",
        }
    }

    /// Variables that keep it from asking for anything else than a model.
    pub fn env(self) -> &'static [&'static str] {
        match self {
            Self::Claude => &["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1"],
            Self::Gemini => &["GEMINI_CLI_TRUST_WORKSPACE=true"],
            Self::Codex => &[],
            // Without the models that its own vendor gives away.
            Self::OpenCode => &[
                r#"OPENCODE_CONFIG_CONTENT={"enabled_providers":["anthropic","openai"]}"#,
                "OPENCODE_DISABLE_MODELS_FETCH=1",
                "OPENCODE_DISABLE_AUTOUPDATE=1",
            ],
            Self::Copilot => &["COPILOT_AUTO_UPDATE=false"],
        }
    }

    /// The addresses at which models answer.
    pub fn models(self) -> &'static [&'static str] {
        match self {
            Self::Claude => &["api.anthropic.com/v1/messages"],
            Self::Codex => &["api.openai.com/v1/responses", "chatgpt.com/backend-api/codex/responses"],
            Self::Gemini => &[
                "cloudcode-pa.googleapis.com/v1internal:streamGenerateContent",
                "generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:streamGenerateContent",
            ],
            Self::OpenCode => &[
                "api.anthropic.com/v1/messages",
                "api.openai.com/v1/responses",
                "chatgpt.com/backend-api/codex/responses",
            ],
            Self::Copilot => &["api.githubcopilot.com/chat/completions"],
        }
    }

    /// What its status says, in a word or a line.
    pub fn says(self, status: &str) -> String {
        match self {
            Self::Claude => {
                let json = status.find('{').zip(status.rfind('}')).map(|(start, end)| &status[start..=end]);
                let json: serde_json::Value = serde_json::from_str(json.unwrap_or_default()).unwrap_or_default();
                assert_eq!(json["apiProvider"], "firstParty", "{status}");
                assert_eq!(json["loggedIn"] == true, status.contains("rc 0"), "{status}");
                format!("`{}`", json["authMethod"].as_str().unwrap_or(status))
            }
            Self::Codex => {
                // The last is what a container has in its place that waits for a login or has lost one.
                let out = ["Not logged in", "API key auth is missing a key"];
                let said = ["Logged in using ChatGPT", "API key configured", out[0], out[1]];
                let said = said.into_iter().find(|said| status.contains(said)).unwrap_or(status);
                assert_eq!(!out.contains(&said), status.contains("rc 0"), "{status}");
                said.to_owned()
            }
            Self::Gemini | Self::Copilot => {
                let code = status.lines().rev().find_map(|line| line.strip_prefix("rc "));
                format!("ends with {}", code.unwrap_or(status))
            }
            Self::OpenCode => {
                assert!(status.contains("rc 0"), "{status}");
                let plain =
                    ["\u{1b}[0m", "\u{1b}[90m"].iter().fold(status.to_owned(), |text, code| text.replace(code, ""));
                let entries: Vec<&str> =
                    plain.lines().filter_map(|line| line.strip_prefix('●')).map(str::trim).collect();
                if entries.is_empty() { "0 credentials".to_owned() } else { entries.join(", ") }
            }
        }
    }
}
