//! A home directory with a store, and `keyslip` run in it.

use std::fmt;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use keyslip::clock::Instant;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Server, refresh_token};

/// Who runs `keyslip` when the tests are run as root: nobody in particular.
const USER: u32 = 4100;

pub struct Home {
    dir: TempDir,
    pub server: Server,
}

/// What a command did and said.
#[derive(Debug)]
pub struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {:?}\nstdout: {}\nstderr: {}", self.code, self.stdout, self.stderr)
    }
}

impl Home {
    /// An empty store, and the definitions that ship with Keyslip with the endpoint of a server here.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("keyslip-renew-").tempdir().unwrap();
        let server = Server::start(dir.path());
        let home = Self { dir, server };
        let agents = home.path(".config/keyslip/agents.d");
        fs::create_dir_all(&agents).unwrap();
        fs::create_dir_all(home.path(".local/state/keyslip/tokens")).unwrap();
        fs::set_permissions(home.path(".local/state/keyslip/tokens"), fs::Permissions::from_mode(0o700)).unwrap();
        let program = home.path("keyslip");
        fs::hard_link(env!("CARGO_BIN_EXE_keyslip"), &program)
            .or_else(|_| fs::copy(env!("CARGO_BIN_EXE_keyslip"), &program).map(drop))
            .unwrap();
        for agent in ["claude", "codex", "gemini"] {
            home.endpoint(agent, &format!("https://127.0.0.1:{}/v1/oauth/token", home.server.port));
        }
        home
    }

    /// Gives an agent another endpoint.
    pub fn endpoint(&self, agent: &str, endpoint: &str) {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/agents/{agent}.toml"));
        let text = fs::read_to_string(shipped).unwrap();
        let line = text.lines().find(|line| line.starts_with("endpoint = ")).unwrap();
        let text = text.replace(line, &format!("endpoint = {endpoint:?}"));
        fs::write(self.path(&format!(".config/keyslip/agents.d/{agent}.toml")), text).unwrap();
        self.give_away();
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn entry_path(&self, name: &str) -> PathBuf {
        self.path(&format!(".local/state/keyslip/tokens/{name}.json"))
    }

    /// Stores a login as `keyslip auth login` would an hour ago, with so many seconds to live.
    pub fn store(&self, name: &str, credential: &str, left: i64, renewable: bool) {
        let now = Instant::now();
        let mut entry =
            json!({ "token": credential, "createdAt": Instant(now.0 - 3600), "expiresAt": Instant(now.0 + left) });
        if renewable {
            entry["renewable"] = true.into();
        }
        let path = self.entry_path(name);
        fs::write(&path, entry.to_string()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        self.give_away();
    }

    /// Stores a Claude login that is due, with the token that the server takes.
    pub fn claude(&self) {
        let (refresh, end) = (refresh_token(0), (Instant::now().0 + 60) * 1000);
        let login = format!(
            r#"{{"claudeAiOauth": {{"accessToken":"FAKE-access-0","refreshToken":"{refresh}","expiresAt":{end},"scopes":["user:inference"],"later":1e400}}}}"#
        );
        self.store("claude-oauth", &login, 60, true);
    }

    /// The stored entry and the login in it.
    pub fn entry(&self, name: &str) -> (Value, String) {
        let entry: Value = serde_json::from_slice(&fs::read(self.entry_path(name)).unwrap()).unwrap();
        let login = entry["token"].as_str().unwrap().to_owned();
        (entry, login)
    }

    /// The refresh token of the stored Claude login.
    pub fn refresh_token(&self) -> String {
        let (_, login) = self.entry("claude-oauth");
        let after = login.split_once(r#""refreshToken":""#).unwrap().1;
        after.split_once('"').unwrap().0.to_owned()
    }

    /// What a renewal has left, if anything.
    pub fn left_over(&self) -> Option<String> {
        fs::read_to_string(self.path(".local/state/keyslip/tokens/.renewed-claude@default")).ok()
    }

    /// Files of the store other than logins and locks.
    pub fn remains(&self) -> Vec<String> {
        let files = fs::read_dir(self.path(".local/state/keyslip/tokens")).unwrap().flatten();
        let names = files.map(|file| file.file_name().into_string().unwrap());
        names
            .filter(|name| {
                !name.ends_with(".json")
                    && name != ".lock"
                    && !name.starts_with(".renewing-")
                    && !name.starts_with(".lock-")
            })
            .collect()
    }

    /// `keyslip auth refresh`, with these arguments.
    pub fn refresh(&self, arguments: &[&str]) -> Output {
        self.run(&[&["auth", "refresh"], arguments].concat())
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        finish(self.start(&[], arguments))
    }

    /// Starts `keyslip`, behind the command `prefix`, which stays who runs the tests: what a process has in its memory
    /// nobody else may read, its own user included.
    pub fn start(&self, prefix: &[&str], arguments: &[&str]) -> Child {
        self.command(prefix, arguments).spawn().unwrap()
    }

    pub fn command(&self, prefix: &[&str], arguments: &[&str]) -> Command {
        let user = USER.to_string();
        let switch = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"];
        let program = self.path("keyslip");
        let mut words = prefix.to_vec();
        if is_root() {
            words.extend(switch);
        }
        words.push(program.to_str().unwrap());
        words.extend(arguments);
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.dir.path())
            .env("SSL_CERT_FILE", &self.server.authority)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Everything in it belongs to the user that runs `keyslip`.
    fn give_away(&self) {
        fn all(path: &Path) {
            chown(path, Some(USER), Some(USER)).unwrap();
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                if entry.file_type().unwrap().is_dir() {
                    all(&entry.path());
                } else if entry.file_name() != "keyslip" {
                    chown(entry.path(), Some(USER), Some(USER)).unwrap();
                }
            }
        }
        if is_root() {
            all(self.dir.path());
        }
    }
}

/// Waits for a command. Whatever it says, no token is in it.
#[track_caller]
pub fn finish(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let output = Output { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) };
    let shown = output.to_string().contains("FAKE");
    assert!(!shown, "a token is shown: {}", output.to_string().replace("FAKE", "<token>"));
    output
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
