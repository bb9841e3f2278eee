//! The runtimes themselves, without an engine.

use crate::lab::{Bare, Lab, Tree};
use crate::row::{Container, Row};

/// A bundle that a runtime runs, behind the shim or with hooks in it.
struct Bundle<'a> {
    lab: &'a Lab,
    bare: Bare<'a>,
    runtime: &'a str,
}

impl Container for Bundle<'_> {
    fn exec(&self, script: &str) -> String {
        self.bare.exec(script)
    }

    fn restart(&mut self) -> bool {
        // The same bundle once more is all there is.
        self.bare.end();
        self.bare.start();
        true
    }

    fn inspect(&self) -> String {
        self.lab.ok(&format!(
            "{r} state {id}; {r} list; cat {b}/config.json",
            r = self.runtime,
            id = self.bare.id,
            b = self.bare.bundle
        ))
    }

    fn remove(&mut self) {
        self.bare.end();
    }
}

fn rows(tree: Tree, versions: [(&str, &str); 2], place: usize) {
    let Some(lab) = Lab::on(tree, &format!("matrix-bare{place}")) else { return };
    let token = lab.token("CLAUDE");
    lab.login("claude", &token);
    for (runtime, version) in versions {
        let said = lab.ok(&format!("{runtime} --version | head -1"));
        assert!(said.contains(version), "{said}: the rows of the table name {version}");
        let engine = format!("{runtime} {version}, bare");

        let bare = Bare::started(&lab, runtime, "");
        let mut bundle = Bundle { lab: &lab, bare, runtime };
        let order = format!("1-bare{place}-{runtime}-0");
        Row { order: &order, engine: &engine, way: "shim", but: &[] }.fill(&lab, &token, &mut bundle);
    }
}

#[test]
fn bare_of_debian_12() {
    rows(Tree::Debian12, [("crun", "1.8.1"), ("runc", "1.1.5")], 0);
}

#[test]
fn bare_of_debian_13() {
    rows(Tree::Debian13, [("crun", "1.21"), ("runc", "1.1.15")], 1);
}
