//! What a probe sees: `keyslip doctor --probe` starts a throw-away container in which the program here runs, and
//! asks it what reached it. Values are told by their SHA-256 alone.
//!
//! The program is the launcher under the name [`NAME`]: it is static, so it runs in an image that holds
//! nothing else. In a container of anybody else's it has no such name and does none of this.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

/// The program's name in the image, and the agent's.
pub const NAME: &str = "keyslip-probe";

/// The variable that carries the value; `config/agents/keyslip-probe.toml` says so.
pub const VARIABLE: &str = "KEYSLIP_PROBE";

/// The file below the home directory; likewise.
pub const HOME_FILE: &str = ".keyslip-probe";

/// How long the container lives if nobody ends it, in seconds.
const LONGEST: u64 = 180;

/// What was seen: the SHA-256 of each value in hexadecimal digits; nothing where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// The variable of the main process.
    pub main: Option<String>,
    /// The variable of this process, which an `exec` has started.
    pub exec: Option<String>,
    /// The file below `/run/secrets`.
    pub secret: Option<String>,
    /// The file below the home directory.
    pub home: Option<String>,
}

/// Does what the program is asked for: `wait`, as the main process, or `look`, by `exec`.
#[must_use]
pub fn run(action: Option<&str>) -> i32 {
    match action {
        Some("wait") => {
            std::thread::sleep(Duration::from_secs(LONGEST));
            0
        }
        Some("look") => {
            print!("{}", look().text());
            0
        }
        _ => {
            eprintln!("{NAME} is what `keyslip doctor --probe` runs in a container");
            2
        }
    }
}

fn look() -> Sight {
    let home = env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    Sight {
        main: fs::read("/proc/1/environ").ok().and_then(|all| variable(&all)),
        exec: env::var_os(VARIABLE).map(|value| digest(value.as_encoded_bytes())),
        secret: file(&Path::new("/run/secrets").join(NAME)),
        home: file(&home.join(HOME_FILE)),
    }
}

/// A file that was delivered. Those of agents are padded with blanks, so that they can be renewed in place.
fn file(path: &Path) -> Option<String> {
    fs::read(path).ok().map(|content| digest(content.trim_ascii_end()))
}

/// The variable in an environment as `/proc` has it.
fn variable(all: &[u8]) -> Option<String> {
    let mut entries = all.split(|byte| *byte == 0);
    entries.find_map(|entry| entry.strip_prefix(VARIABLE.as_bytes())?.strip_prefix(b"=")).map(digest)
}

/// The SHA-256 of a value, in hexadecimal digits.
#[must_use]
pub fn digest(value: &[u8]) -> String {
    Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect()
}

const ABSENT: &str = "absent";

impl Sight {
    fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in
            [("main", &self.main), ("exec", &self.exec), ("secret", &self.secret), ("home", &self.home)]
        {
            let _ = writeln!(text, "{name} {}", value.as_deref().unwrap_or(ABSENT));
        }
        text
    }

    /// Reads what the program has printed; nothing when that is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let of = |name: &str| {
            let value = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(' '))?;
            Some((value != ABSENT).then(|| value.to_owned()))
        };
        Some(Self { main: of("main")?, exec: of("exec")?, secret: of("secret")?, home: of("home")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_is_told_by_its_digest() {
        let sight = Sight { main: variable(b"A=1\0KEYSLIP_PROBE=x\0"), exec: None, ..Sight::default() };
        assert_eq!(sight.main.as_deref(), Some(digest(b"x").as_str()));
        assert_eq!(Sight::parse(&sight.text()), Some(sight.clone()));
        assert_eq!(Sight::parse(&sight.text().replace('\n', "\r\n")), Some(sight));
        assert_eq!(Sight::parse("exec failed"), None);
        assert_eq!(variable(b"KEYSLIP_PROBE2=x\0"), None);
    }
}
