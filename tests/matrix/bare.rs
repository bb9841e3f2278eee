//! The runtimes themselves, without an engine.

use crate::lab::{Bare, Lab, Tree};
use crate::row::{Container, Row};

/// A bundle that a runtime runs, behind the shim or with hooks in it.
struct Bundle<'a> {
    lab: &'a Lab,
    bare: Bare<'a>,
    runtime: &'a str,
    /// It can be run again as it is.
    again: bool,
}

/// The filter of jq that gives a bundle the hooks and the annotation that asks.
const HOOKS: &str = r#".annotations={"dev.keyslip.agents":"claude"} | .hooks=(["createRuntime","poststop"] | map({key: .,
    value: [{path: "/usr/libexec/keyslip/keyslip-hook", args: ["keyslip-hook", ., "--engine", "bare"],
    env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], timeout: 10}]}) | from_entries)"#;

impl<'a> Bundle<'a> {
    /// A bundle for the runtime itself, without the shim; `edit` as in [`Lab::bundle`].
    fn plain(lab: &'a Lab, runtime: &'a str, name: &str, edit: &str) -> Self {
        let id = format!("{runtime}-{name}");
        let bundle = lab.bundle(&id, edit);
        let mut bare = Bare::new(lab, runtime, &id, &bundle);
        bare.shim = runtime.to_owned();
        Self { lab, bare, runtime, again: true }
    }
}

impl Container for Bundle<'_> {
    fn exec(&self, script: &str) -> String {
        self.bare.exec(script)
    }

    fn restart(&mut self) -> bool {
        // The same bundle once more is all there is.
        if self.again {
            self.bare.end();
            self.bare.start();
        }
        self.again
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
        let mut bundle = Bundle { lab: &lab, bare, runtime, again: true };
        let order = |index: u32| format!("1-bare{place}-{runtime}-{index}");
        Row { order: &order(0), engine: &engine, way: "shim", but: &[] }.fill(&lab, &token, &mut bundle);

        // A job with the launcher in front of its command.
        let mut bundle = Bundle::plain(&lab, runtime, "injected", ".");
        lab.ok(&format!("keyslip inject --bundle {} --agent claude", bundle.bare.bundle));
        bundle.bare.start();
        bundle.again = false;
        let but = [("exec env", "no [1]"), ("after restart", "no [3]")];
        Row { order: &order(1), engine: &engine, way: "inject", but: &but }.fill(&lab, &token, &mut bundle);

        // A hook alone, at the stage where the specification is settled.
        let mut bundle = Bundle::plain(&lab, runtime, "hooked", HOOKS);
        bundle.bare.start();
        let but = [("main env", "no [2]"), ("exec env", "no [1]")];
        Row { order: &order(2), engine: &engine, way: "createRuntime hook", but: &but }.fill(&lab, &token, &mut bundle);
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
