//! `keyslip doctor --probe`, with podman and bare runtimes.

use crate::lab::{Lab, Tree};
use crate::report::{Report, doctor, doctor_of_user, sound};

/// What is proved of a way, in its order.
const PROPERTIES: [&str; 7] =
    ["main env", "exec env", "secret file", "file in HOME", "inspect", "storage", "after removal"];

/// Asserts that every property of `subject` is in order, and says what was said of each.
#[track_caller]
pub fn all_in_order(report: &Report, subject: &str) -> Vec<String> {
    let lines: Vec<&str> = report
        .findings
        .iter()
        .filter(|it| it.area == "probe" && it.subject == subject)
        .map(|it| it.what.as_str())
        .collect();
    assert_eq!(lines.len(), PROPERTIES.len(), "{subject}\n{}", report.text);
    for (line, property) in lines.iter().zip(PROPERTIES) {
        assert!(line.starts_with(&format!("{property}: ")), "{subject}: {line}");
    }
    let bad = report.findings.iter().find(|it| it.area == "probe" && it.subject == subject && it.severity != "ok");
    assert!(bad.is_none(), "{subject}\n{}", report.text);
    lines.into_iter().map(str::to_owned).collect()
}

/// Asserts that a probe has left nothing.
#[track_caller]
pub fn nothing_left(lab: &Lab) {
    lab.assert_nothing_left("after a probe");
    let left = lab.ok("ls /var/lib/keyslip/tokens /home/labuser/.local/state/keyslip/tokens 2>/dev/null | grep probe || true
        ls -d /var/lib/keyslip/probe /home/labuser/.local/state/keyslip/probe /run/cdi/keyslip-probe.json 2>/dev/null || true
        podman ps -aq --filter name=keyslip-probe; podman images -q localhost/keyslip-probe; crun list -q 2>/dev/null || true");
    assert_eq!(left, "");
}

#[test]
fn the_shim_under_podman_and_bare() {
    let Some(lab) = sound("probe-shim") else { return };
    let report = doctor(&lab, "--probe");
    assert_eq!(report.code, Some(0), "{}", report.text);
    for subject in ["podman, shim crun", "bare crun"] {
        let said = all_in_order(&report, subject);
        assert!(said[..4].iter().all(|line| line.ends_with("the value is there")), "{said:?}");
    }
    assert!(!report.text.contains("keyslip-probe-"), "no value");
    nothing_left(&lab);
    // The real login was never in play.
    assert_eq!(lab.ok("keyslip list --json | jq length"), "0");
    assert_eq!(lab.ok("grep -c '\"agent\":\"claude\"' /var/lib/keyslip/audit.log || true"), "0");
    // One line for each property.
    let shown = lab.ok("keyslip doctor --probe podman");
    for property in PROPERTIES {
        assert_eq!(shown.matches(&format!("{property}: ")).count(), 1, "{shown}");
    }
}

#[test]
fn every_runtime_that_is_linked() {
    let Some(lab) = Lab::with_claude("doctor-probe-runtimes") else { return };
    let report = doctor(&lab, "--probe podman bare");
    for subject in ["podman, shim crun", "podman, shim runc", "bare crun", "bare runc"] {
        all_in_order(&report, subject);
    }
    nothing_left(&lab);
}

/// podman with hooks and with plain crun.
fn hooked(lab: &Lab) {
    lab.ok("keyslip install hooks; printf '[engines.podman]\\ntrust_annotations = true\\n' >/etc/keyslip/keyslip.toml
        sed -i 's#^crun = .*#crun = [\"/usr/bin/crun\"]#; s#^runtime = .*#&\\nhooks_dir = [\"/etc/keyslip/hooks.d\"]#' $CONTAINERS_CONF");
}

#[test]
fn hooks_under_podman() {
    let Some(lab) = sound("probe-hooks") else { return };
    hooked(&lab);
    let report = doctor(&lab, "--probe podman");
    let said = all_in_order(&report, "podman, hooks");
    assert_eq!(said[1], "exec env: none, for hooks give exec files alone");
    assert!(said[0].ends_with("the value is there") && said[2].ends_with("the value is there"), "{said:?}");
    nothing_left(&lab);
    // Nobody says that the container has ended.
    lab.ok("mv /etc/keyslip/hooks.d/keyslip-poststop.json $W/");
    let report = doctor(&lab, "--probe podman");
    assert_eq!(
        report.with("broken", "after removal: the container is still in keyslip list").len(),
        1,
        "{}",
        report.text
    );
    nothing_left(&lab);
    lab.ok("mv $W/keyslip-poststop.json /etc/keyslip/hooks.d/");
    // Hooks whose condition is never met: no rule sees that, the probe does.
    lab.ok("sed -i 's#agents|secrets#agnets|secrets#' /etc/keyslip/hooks.d/*.json");
    let report = doctor(&lab, "--probe podman");
    assert!(
        report.code == Some(2) && report.with("broken", "main env: the value is missing").len() == 1,
        "{}",
        report.text
    );
    nothing_left(&lab);
}

#[test]
fn variables_in_the_specification_are_a_leak() {
    let Some(lab) = sound("probe-spec") else { return };
    hooked(&lab);
    lab.ok("printf '[delivery]\\nenv = \"spec\"\\n' >>/etc/keyslip/keyslip.toml");
    let report = doctor(&lab, "--probe podman");
    assert_eq!(report.with("broken", "inspect: shows the value").len(), 1, "{}", report.text);
    assert_eq!(report.with("broken", "holds the value").len(), 1, "{}", report.text);
    nothing_left(&lab);
}

#[test]
fn a_shim_that_does_nothing_is_found() {
    let Some(lab) = sound("probe-broken") else { return };
    // The link leads to plain crun.
    lab.ok("ln -sfn /usr/bin/crun /usr/libexec/keyslip/podman/crun");
    let report = doctor(&lab, "--probe podman");
    for property in &PROPERTIES[..4] {
        let says = format!("{property}: the value is missing");
        assert_eq!(report.with("broken", &says).len(), 1, "{}", report.text);
    }
    lab.ok(report.with("broken", "does not lead to keyslip-runtime")[0].command.as_deref().expect("a command"));
    assert_eq!(doctor(&lab, "--probe podman").code, Some(0));
    // Not set up at all.
    lab.ok("sed -i '/^crun = /d' $CONTAINERS_CONF");
    let report = doctor(&lab, "--probe podman");
    assert!(report.with("broken", "is not set up")[0].remedy.contains("keyslip install podman"), "{}", report.text);
    nothing_left(&lab);
}

#[test]
fn rules_hold_for_the_probe_too() {
    let Some(lab) = sound("probe-rules") else { return };
    lab.configure("no_default_allow = true\n");
    let report = doctor(&lab, "--probe podman");
    assert!(report.with("note", "the rules do not let it ask").len() == 1, "{}", report.text);
    nothing_left(&lab);
    lab.configure("no_default_allow = true\n[[allow]]\nengine = \"podman\"\nagents = [\"keyslip-probe\"]\n");
    let report = doctor(&lab, "--probe podman");
    assert_eq!(report.code, Some(0), "{}", report.text);
    all_in_order(&report, "podman, shim crun");
}

#[test]
fn what_a_killed_probe_has_left_is_found_and_removed() {
    let Some(lab) = sound("probe-killed") else { return };
    lab.ok("keyslip doctor --probe podman >/dev/null 2>&1 & p=$!
        for i in $(seq 300); do podman exec keyslip-probe /keyslip-probe look >/dev/null 2>&1 && break; sleep 0.02; done; kill -9 $p; wait $p 2>/dev/null || true; sleep 0.5");
    assert_ne!(lab.ok("ls /var/lib/keyslip/tokens | grep probe || true"), "", "it was killed in time");
    let report = doctor(&lab, "");
    let found = report.with("warning", "keyslip doctor --probe");
    assert_eq!(
        (found.len(), found[0].command.as_deref()),
        (1, Some("keyslip auth logout keyslip-probe")),
        "{}",
        report.text
    );
    let report = doctor(&lab, "--probe podman");
    all_in_order(&report, "podman, shim crun");
    nothing_left(&lab);
}

#[test]
fn a_probe_that_is_interrupted_cleans_up() {
    let Some(lab) = Lab::with_claude("doctor-probe-interrupted") else { return };
    lab.ok("keyslip doctor --probe >$W/said 2>&1 & p=$!
        for i in $(seq 300); do podman exec keyslip-probe /keyslip-probe look >/dev/null 2>&1 && break; sleep 0.02; done; kill -TERM $p; wait $p || true");
    assert!(lab.ok("cat $W/said").contains("was not probed: a signal came"));
    nothing_left(&lab);
}

#[test]
fn two_probes_do_not_meet() {
    let Some(lab) = sound("probe-two") else { return };
    let said = lab.ok("keyslip doctor --probe podman >$W/one & p=$!; sleep 0.3; keyslip doctor --probe podman || true; wait $p; grep -c 'the value is there' $W/one");
    assert!(said.contains("another probe is running") && said.ends_with('4'), "{said}");
    nothing_left(&lab);
}

#[test]
fn a_user_probes_their_own_podman() {
    let Some(lab) = sound("probe-user") else { return };
    lab.user_login("claude", &lab.token("USER"));
    let report = doctor_of_user(&lab, "--probe");
    assert_eq!(report.code, Some(0), "{}", report.text);
    all_in_order(&report, "podman, rootless, shim crun");
    assert_eq!(lab.as_user("podman ps -aq; podman images -q").text(), "");
    nothing_left(&lab);
}

#[test]
fn cdi_devices_under_podman() {
    let Some(lab) = sound("probe-cdi") else { return };
    lab.ok("mkdir -p /etc/cdi; keyslip cdi generate");
    let report = doctor(&lab, "--probe cdi");
    let said = all_in_order(&report, "podman, CDI device");
    assert!(said[0].contains("CDI devices give files alone") && said[2].ends_with("the value is there"), "{said:?}");
    nothing_left(&lab);
}

#[test]
fn podman_of_debian_13() {
    let Some(lab) = Lab::on(Tree::Debian13, "doctor-probe-13") else { return };
    lab.login("claude", &lab.token("CLAUDE"));
    let report = doctor(&lab, "--probe podman bare");
    for subject in ["podman, shim crun", "podman, shim runc", "bare crun", "bare runc"] {
        all_in_order(&report, subject);
    }
    // podman 5 does not copy annotations of images.
    assert_eq!(report.with("warning", "copies annotations").len(), 0, "{}", report.text);
    nothing_left(&lab);
}
