//! A row of the table: a client, a kind of credential and a way in. What the client says of itself in the main
//! process and in an `exec`, and what reaches its vendor's server, is compared with what the row
//! expects, and written where the script `table` finds it.

use std::fs;
use std::path::Path;

use crate::answers::HELLO;
use crate::client::{Client, Installed};
use crate::lab::Lab;
use crate::sandbox::{self, Sandbox, Wanted, Way};

/// What is expected of a client with one kind of credential.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Where it stands among the rows of its client.
    pub order: u32,
    pub kind: &'a str,
    pub way: Way,
    pub runtime: &'a str,
    /// What the client says of itself, see [`Client::says`].
    pub main: &'a str,
    pub exec: &'a str,
    /// The header that the vendor's server sees, with the mark of the credential; empty if there is none.
    pub wire: &'a str,
}

/// Between what the main process prints of itself and what it is answered.
const BETWEEN: &str = "---- the answer ----";

impl Row<'_> {
    /// Starts a container, looks, and writes the row.
    #[track_caller]
    pub fn fill(&self, lab: &Lab, client: Client, installed: &Installed) {
        let what = format!("{}, {}, {:?}", installed.version, self.kind, self.way);
        let (status, hello) = (client.status(), client.hello());
        let ask = if hello.is_empty() { String::new() } else { format!("; echo '{BETWEEN}'; {hello}; echo \"rc $?\"") };
        let main = format!("{status}; echo \"rc $?\"{ask}");
        let wanted = Wanted { main: &main, runtime: self.runtime, ..Wanted::new(client.agent(), self.way) };
        let sandbox = Sandbox::start(lab, installed, &wanted);
        let said = sandbox.main();
        let (status, answer) = said.split_once(BETWEEN).unwrap_or((&said, &said));
        assert_eq!(client.says(status), self.main, "{what}, main process: {said}");
        let seen = sandbox.exec(&format!("{}; echo \"rc $?\"", client.status()));
        assert_eq!(client.says(&seen.said()), self.exec, "{what}, exec: {seen}");
        let requests = sandbox.api.take();
        assert_eq!(requests.iter().filter(|it| it.is_refresh()).count(), 0, "{what}: it asked for a renewed login");
        let asked = requests.iter().filter(|it| client.models().contains(&it.target.as_str()));
        let mut wire: Vec<String> = asked.map(|it| lab.masked(&it.credentials().join(", "))).collect();
        wire.dedup();
        assert_eq!(wire.join("; "), self.wire, "{what}, on the wire: {answer}\n{}", sandbox::listed(&requests));
        let answered = (answer.contains("rc 0"), answer.contains(HELLO));
        assert_eq!(answered, (!self.wire.is_empty(), !self.wire.is_empty()), "{what}: {answer}");
        sandbox.end();
        self.write(client, installed);
    }

    /// Writes the row where the script `table` finds it.
    fn write(&self, client: Client, installed: &Installed) {
        let way = match self.way {
            Way::None => "–".to_owned(),
            way => format!("{}, {}", way.name(), self.runtime),
        };
        // The header as it is, without the mark.
        let wire = match self.wire.split_once('<') {
            Some((header, _)) => format!("`{}`, answered", header.trim()),
            None => "nothing".to_owned(),
        };
        let line =
            format!("| {} | {} | {way} | {} | {} | {wire} |\n", installed.version, self.kind, self.main, self.exec);
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("agents");
        fs::create_dir_all(&dir).expect("a directory for rows");
        let name = format!("{}-{}-{}", client.order(), client.agent(), self.order);
        fs::write(dir.join(name), line).expect("a row");
    }
}
