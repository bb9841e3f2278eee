//! A shell in a lab that runs the commands of a page one after the other, as somebody does who pastes them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::lab::Lab;

/// Longest that one command may take.
const LONGEST: Duration = Duration::from_secs(90);

/// Reads the number of a command, runs it in this very shell, so that variables and the directory stay, and says how
/// it ended. What it starts does not get the descriptors of this conversation.
const LOOP: &str = r#"
cd
unset CONTAINERS_CONF
set -o pipefail
while IFS= read -r keyslip_step <&3; do
    eval "$(<"$0/$keyslip_step.sh")" <"$0/$keyslip_step.in" >"$0/$keyslip_step.out" 2>&1 3<&- 4>&-
    echo $? >&4
done"#;

/// The shell.
pub struct Session {
    shell: Child,
    orders: ChildStdin,
    answers: Receiver<i32>,
    dir: PathBuf,
    steps: u32,
}

impl Session {
    /// Opens a shell of root, or of the ordinary user.
    pub fn open(lab: &Lab, user: bool) -> Self {
        let dir = lab.path().join(if user { "session-user" } else { "session-root" });
        fs::create_dir(&dir).expect("a directory");
        if user {
            let own = rustix::fs::Uid::from_raw(4100);
            rustix::fs::chown(&dir, Some(own), None).expect("the user's directory");
        }
        let mut shell = lab
            .command(user)
            .args(["bash", "-c", &format!("exec 3<&0 4>&1 </dev/null >/dev/null; {LOOP}")])
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("nsenter starts");
        let orders = shell.stdin.take().expect("a pipe");
        let said = BufReader::new(shell.stdout.take().expect("a pipe"));
        let (send, answers) = channel();
        std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                let _ = send.send(line.parse().unwrap_or(-1));
            }
        });
        Self { shell, orders, answers, dir, steps: 0 }
    }

    /// Runs a command: its exit code and what it said, on both streams as a terminal shows them.
    ///
    /// # Errors
    /// When it takes too long, or ends the shell.
    pub fn run(&mut self, lab: &Lab, command: &str, input: &str) -> Result<(i32, String), String> {
        self.steps += 1;
        let place = |kind: &str| self.dir.join(format!("{}.{kind}", self.steps));
        fs::write(place("sh"), command).expect("a command");
        fs::write(place("in"), input).expect("its input");
        writeln!(self.orders, "{}", self.steps).map_err(|error| format!("the shell is gone: {error}"))?;
        let code =
            self.answers.recv_timeout(LONGEST).map_err(|_| "no end in sight, or the end of the shell".to_owned());
        let said = fs::read(place("out")).unwrap_or_default();
        let said = lab.masked(&String::from_utf8_lossy(&said));
        // They may hold a value.
        for kind in ["sh", "in", "out"] {
            let _ = fs::remove_file(place(kind));
        }
        code.map(|code| (code, said.clone())).map_err(|error| format!("{error}: {said}"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
