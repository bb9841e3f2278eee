//! The runtimes themselves, without an engine.

use crate::bundle::{ASK, Bundle, HOOKS};
use crate::lab::{Lab, Tree};
use crate::row::Row;

fn rows(tree: Tree, versions: [(&str, &str); 2], place: usize) {
    let Some(lab) = Lab::on(tree, &format!("matrix-bare{place}")) else { return };
    let token = lab.token("CLAUDE");
    lab.login("claude", &token);
    for (runtime, version) in versions {
        let said = lab.ok(&format!("{runtime} --version | head -1"));
        assert!(said.contains(version), "{said}: the rows of the table name {version}");
        let engine = format!("{runtime} {version}, bare");

        let mut bundle = Bundle::shimmed(&lab, (runtime, ""), "shimmed", ASK);
        bundle.bare.start();
        let order = |index: u32| format!("1-bare{place}-{runtime}-{index}");
        Row { order: &order(0), engine: &engine, way: "shim", but: &[] }.fill(&lab, &token, &mut bundle);

        // A job with the launcher in front of its command.
        let mut bundle = Bundle::plain(&lab, (runtime, ""), "injected", ".");
        lab.ok(&format!("keyslip inject --bundle {} --agent claude", bundle.bare.bundle));
        bundle.bare.start();
        bundle.again = false;
        let but = [("exec env", "no [1]"), ("after restart", "no [3]")];
        Row { order: &order(1), engine: &engine, way: "inject", but: &but }.fill(&lab, &token, &mut bundle);

        // A hook alone, at the stage where the specification is settled.
        let mut bundle = Bundle::plain(&lab, (runtime, ""), "hooked", HOOKS);
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
