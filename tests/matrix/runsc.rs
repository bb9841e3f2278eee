//! gVisor's runsc, behind the shim and as it is.

use crate::bundle::{ASK, Bundle};
use crate::lab::{Lab, Tree};
use crate::row::Row;

/// This machine has no KVM and no cgroups of its own.
const RUNSC: (&str, &str) = ("runsc", "--platform=ptrace --network=none --ignore-cgroups --root /run/runsc");

fn rows(tree: Tree, version: &str, place: usize) {
    let Some(lab) = Lab::on(tree, &format!("matrix-runsc{place}")) else { return };
    let token = lab.token("CLAUDE");
    lab.login("claude", &token);
    let said = lab.ok("runsc --version | head -1");
    assert!(said.contains(version), "{said}: the rows of the table name {version}");
    let engine = format!("runsc {version}, bare");
    let order = |index: u32| format!("6-runsc-{place}-{index}");

    let mut bundle = Bundle::shimmed(&lab, RUNSC, "shimmed", ASK);
    bundle.bare.start();
    Row { order: &order(0), engine: &engine, way: "shim", but: &[] }.fill(&lab, &token, &mut bundle);

    let mut bundle = Bundle::plain(&lab, RUNSC, "injected", ".");
    lab.ok(&format!("keyslip inject --bundle {} --agent claude", bundle.bare.bundle));
    bundle.bare.start();
    bundle.again = false;
    let but = [("exec env", "no [1]"), ("after restart", "no [3]")];
    Row { order: &order(1), engine: &engine, way: "inject", but: &but }.fill(&lab, &token, &mut bundle);
}

#[test]
fn runsc_of_debian_12() {
    rows(Tree::Debian12, "20221219", 0);
}

#[test]
fn runsc_of_debian_13() {
    rows(Tree::Debian13, "20240729", 1);
}
