//! A row of the table: a container is asked and watched, and what is seen is compared with what the row
//! expects.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::lab::Lab;

/// The columns.
pub const COLUMNS: [&str; 7] =
    ["main env", "exec env", "file", "after restart", "inspect clean", "disk clean", "cleaned up"];

/// A running container that has asked for Claude.
pub trait Container {
    /// Runs a script, which has no single quotes in it, as the engine's users run one.
    fn exec(&self, script: &str) -> String;

    /// The environment of the main process.
    fn main_env(&self) -> String {
        self.exec("tr \"\\0\" \"\\n\" </proc/1/environ")
    }

    /// Whether the engine can start a second process in it.
    fn has_exec(&self) -> bool {
        true
    }

    /// Stops it and starts it again; false where the engine has no such thing.
    fn restart(&mut self) -> bool;

    /// Everything that the engine shows of it.
    fn inspect(&self) -> String;

    /// Ends and removes it.
    fn remove(&mut self);
}

/// What a row says beside yes.
pub struct Row<'a> {
    /// Where it stands in the table, and the name of its file.
    pub order: &'a str,
    /// Engine, version, and whose.
    pub engine: &'a str,
    /// The way in.
    pub way: &'a str,
    /// The columns that are not yes, each with the number of the note that says why.
    pub but: &'a [(&'a str, &'a str)],
}

/// What arrived in the container.
#[derive(Debug, PartialEq, Eq)]
struct Arrived {
    main: bool,
    exec: bool,
    file: bool,
}

impl Arrived {
    fn of(container: &dyn Container) -> Self {
        let file = container.exec("cat /run/secrets/claude || true");
        Self {
            main: container.main_env().lines().any(|line| line == "CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>"),
            exec: container.has_exec() && container.exec("echo $CLAUDE_CODE_OAUTH_TOKEN").trim() == "<CLAUDE>",
            file: file.trim() == "<CLAUDE>",
        }
    }
}

/// The files that hold the value below `places`, less the store that it comes from.
fn held(lab: &Lab, places: &[&str], token: &str) -> Vec<String> {
    let mut found = lab.leaks(places, token);
    // The search itself holds the value while it lasts.
    found.retain(|path| !path.contains("/keyslip/tokens/") && !path.ends_with(".in"));
    found
}

impl Row<'_> {
    /// Looks at a container from its start to its end, and writes the row.
    #[track_caller]
    pub fn fill(&self, lab: &Lab, token: &str, container: &mut dyn Container) {
        self.watch(lab, token, container);
        self.write();
    }

    /// Looks at a container from its start to its end.
    #[track_caller]
    pub fn watch(&self, lab: &Lab, token: &str, container: &mut dyn Container) {
        let first = Arrived::of(container);
        let inspect = !container.inspect().contains("<CLAUDE>");
        let on_disk = held(lab, &["$W", "/var/log"], token);
        let restarted = container.restart();
        let again = restarted.then(|| Arrived::of(container));
        container.remove();
        // What `keyslip request` prints is good until the next boot.
        lab.ok("rm -rf /run/keyslip/request /run/user/*/keyslip/request");
        lab.assert_nothing_left(&format!("{}, {}", self.engine, self.way));
        // A tmpfs of the runtime's own keeps a specification for as long as the container lives.
        let left = held(lab, &["$W", "/var/log", "/run"], token);
        let seen = [
            first.main,
            first.exec,
            first.file,
            again.as_ref() == Some(&first),
            inspect,
            on_disk.is_empty(),
            left.is_empty(),
        ];
        for (column, seen) in COLUMNS.into_iter().zip(seen) {
            let expected = self.note(column).is_none();
            assert_eq!(
                seen, expected,
                "{}, {}: {column}; first {first:?}, again {again:?}, on disk {on_disk:?}, left {left:?}",
                self.engine, self.way
            );
        }
    }

    fn note(&self, column: &str) -> Option<&str> {
        self.but.iter().find(|(but, _)| *but == column).map(|(_, note)| *note)
    }

    /// Writes the row where the script `table` finds it.
    pub fn write(&self) {
        let mut line = format!("| {} | {} |", self.engine, self.way);
        for column in COLUMNS {
            let _ = match self.note(column) {
                None => write!(line, " yes |"),
                Some(note) => write!(line, " {note} |"),
            };
        }
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("engines");
        fs::create_dir_all(&dir).expect("a directory for rows");
        fs::write(dir.join(self.order), line + "\n").expect("a row");
    }
}

/// A container that is run by commands of a shell.
pub struct Commands<'a> {
    pub lab: &'a Lab,
    /// As the ordinary user.
    pub user: bool,
    /// `exec`, up to the script.
    pub exec: String,
    pub restart: String,
    pub inspect: String,
    pub remove: String,
}

impl Commands<'_> {
    /// Runs a script that must succeed.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let output = if self.user { self.lab.as_user(script) } else { self.lab.sh(script) };
        assert!(output.succeeded(), "{script}\n{output}");
        output.said()
    }
}

impl Container for Commands<'_> {
    fn exec(&self, script: &str) -> String {
        let script = format!("{} sh -c '{script}'", self.exec);
        let output = if self.user { self.lab.as_user(&script) } else { self.lab.sh(&script) };
        assert!(output.succeeded(), "{script}\n{output}");
        output.stdout
    }

    fn restart(&mut self) -> bool {
        self.sh(&self.restart);
        !self.restart.is_empty()
    }

    fn inspect(&self) -> String {
        self.sh(&self.inspect)
    }

    fn remove(&mut self) {
        self.sh(&self.remove);
    }
}
