//! youki behind the shim, and as it is. Building it takes too long for `make test`: run `make test-youki`.

#[path = "../matrix/bundle.rs"]
mod bundle;
#[path = "../lab/mod.rs"]
mod lab;
// The table is of what `make test` runs.
#[allow(dead_code)]
#[path = "../matrix/row.rs"]
mod row;

use std::fs;
use std::path::Path;
use std::process::Command;

use bundle::{ASK, Bundle, HOOKS};
use lab::{Bare, Lab, Tree};
use row::Row;

/// A lab with youki, its links and the login.
fn with_youki(name: &str) -> Option<(Lab, String)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/youki");
    let output = Command::new(script).output().expect("tests/lab/youki starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lab = Lab::on(Tree::Debian12, &format!("youki-{name}"))?;
    let built = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    fs::copy(built, lab.path().join("youki")).expect("a copy of youki");
    // In front of everything in PATH, in the lab alone.
    lab.ok("mount -t tmpfs tmpfs /usr/local/sbin; install -m 755 $W/youki /usr/local/sbin/
        LIBEXECDIR=/usr/libexec/keyslip KEYSLIP_RUNTIMES=/usr/local/sbin/youki $REPO/config/link-engines");
    let token = lab.token("CLAUDE");
    lab.login("claude", &token);
    Some((lab, token))
}

#[test]
fn the_row_of_youki_is_as_docs_engines_has_it() {
    let Some((lab, token)) = with_youki("row") else { return };
    let said = lab.ok("youki --version | head -1");
    assert!(said.contains("0.7.0"), "{said}: docs/engines.md names 0.7.0");
    let row = |way, but| Row { order: "", engine: "youki 0.7.0, bare", way, but };

    let mut bundle = Bundle::shimmed(&lab, ("youki", ""), "shimmed", ASK);
    bundle.bare.start();
    row("shim", &[]).watch(&lab, &token, &mut bundle);

    let mut bundle = Bundle::plain(&lab, ("youki", ""), "injected", ".");
    lab.ok(&format!("keyslip inject --bundle {} --agent claude", bundle.bare.bundle));
    bundle.bare.start();
    bundle.again = false;
    row("inject", &[("exec env", "no"), ("after restart", "no")]).watch(&lab, &token, &mut bundle);

    let mut bundle = Bundle::plain(&lab, ("youki", ""), "hooked", HOOKS);
    bundle.bare.start();
    row("createRuntime hook", &[("main env", "no"), ("exec env", "no")]).watch(&lab, &token, &mut bundle);
}

#[test]
fn every_spelling_of_youkis_options_is_understood() {
    let Some((lab, _)) = with_youki("options") else { return };
    let bundle = lab.bundle("spelled", &format!("{ASK} | .process.user={{uid:1000,gid:1000}}"));
    let youki = "$BARE/youki -r /run/elsewhere -l $W/youki.log --log-level error";
    lab.ok(&format!("{youki} create -b {bundle} -p $W/pid spelled; {youki} start spelled"));
    let show = "'echo $CLAUDE_CODE_OAUTH_TOKEN $(cat /run/secrets/claude) $(id -u) $PWD'";
    assert_eq!(lab.ok(&format!("{youki} exec spelled sh -c {show}")), "<CLAUDE> <CLAUDE> 1000 /");
    assert_eq!(
        lab.ok(&format!("{youki} exec --cwd /tmp -e A=b -u 1000:1000 spelled sh -c {show}")),
        "<CLAUDE> <CLAUDE> 1000 /tmp"
    );
    lab.ok(&format!("jq -c '.process | .user={{uid:0,gid:0}} | .args=[\"sh\",\"-c\",\"echo $CLAUDE_CODE_OAUTH_TOKEN >/tmp/said\"]' {bundle}/config.json >$W/process.json"));
    lab.ok(&format!("{youki} exec -d -p $W/process.json --pid-file $W/second spelled; sleep 0.5"));
    assert_eq!(lab.ok(&format!("{youki} exec --user 0:0 spelled sh -c 'cat /tmp/said; rm /tmp/said'")), "<CLAUDE>");
    let known = lab.ok("keyslip list --json | jq -r '.[] | .container + \" \" + .root'");
    assert_eq!(known, "spelled /run/elsewhere");
    lab.ok(&format!("{youki} delete -f spelled"));
    lab.assert_nothing_left("options");
    lab.assert_rootfs_untouched(&bundle);
}

#[test]
fn what_youki_refuses_leaves_nothing() {
    let Some((lab, _)) = with_youki("refused") else { return };
    for (name, edit) in [
        ("program", r#".process.args=["no-such-program"]"#),
        ("mount", r#".mounts+=[{destination:"/x",type:"bind",source:"/no/such",options:["bind"]}]"#),
    ] {
        let bundle = lab.bundle(name, &format!("{ASK} | {edit}"));
        let container = Bare::new(&lab, "youki", name, &bundle);
        assert!(!container.create().succeeded(), "{name}");
        lab.sh(&format!("$BARE/youki delete --force {name}"));
        lab.assert_nothing_left(name);
        lab.assert_rootfs_untouched(&bundle);
    }
    let bundle =
        lab.bundle("job", &format!(r#"{ASK} | .process.args=["sh","-c","echo $CLAUDE_CODE_OAUTH_TOKEN; exit 7"]"#));
    let output = lab.sh(&format!("$BARE/youki run --bundle {bundle} job"));
    assert_eq!((output.text(), output.code()), ("<CLAUDE>", Some(7)), "{output}");
    lab.assert_nothing_left("job");
}
