//! An installation that is in order, and how that is told.

use crate::lab::Lab;
use crate::report::{doctor, doctor_of_user, sound};

#[test]
fn a_sound_installation_is_in_order() {
    let Some(lab) = sound("sound") else { return };
    let before = lab
        .ok("cd /; find etc/keyslip var/lib/keyslip usr/libexec/keyslip run/keyslip | sort | xargs stat -c '%n %Y %s'");
    let report = doctor(&lab, "");
    assert_eq!(report.code, Some(0), "{}", report.text);
    for part in [
        "3 programs",
        "crun 1.8.1",
        "never swapped",
        "claude",
        "is valid",
        "calls the shim for crun",
        "nothing is left over",
    ] {
        assert_eq!(
            report.with("ok", part).len(),
            usize::from(part != "is valid") + 2 * usize::from(part == "is valid"),
            "{part}: {}",
            report.text
        );
    }
    let after = lab
        .ok("cd /; find etc/keyslip var/lib/keyslip usr/libexec/keyslip run/keyslip | sort | xargs stat -c '%n %Y %s'");
    assert_eq!(before, after, "looking changes nothing");
}

#[test]
fn people_see_what_is_wrong_and_with_v_everything() {
    let Some(lab) = sound("people") else { return };
    let short = lab.sh("keyslip doctor");
    assert_eq!(short.code(), Some(0), "{short}");
    assert!(
        short.text().ends_with("in order (-v shows it)") && !short.text().contains("programs of version"),
        "{short}"
    );
    let long = lab.ok("keyslip doctor -v");
    assert!(long.contains("3 programs of version") && !long.contains('\x1b'), "{long}");
    lab.ok("chmod 644 /var/lib/keyslip/tokens/claude-oauth.json");
    let broken = lab.sh("keyslip doctor");
    assert_eq!(broken.code(), Some(2), "{broken}");
    assert!(broken.text().contains("logins\n  broken ") && broken.text().contains("-> run: chmod 600 "), "{broken}");
    // On a terminal it has colours.
    let coloured = lab.ok("script -qec 'keyslip doctor || true' /dev/null");
    assert!(coloured.contains("\x1b[31mbroken"), "{coloured:?}");
    let plain = lab.ok("NO_COLOR=1 script -qec 'keyslip doctor || true' /dev/null");
    assert!(!plain.contains('\x1b'), "{plain:?}");
}

#[test]
fn an_ordinary_user_has_an_installation_of_their_own() {
    let Some(lab) = sound("user") else { return };
    lab.user_login("claude", &lab.token("USER"));
    let report = doctor_of_user(&lab, "");
    assert_eq!(report.code, Some(0), "{}", report.text);
    assert_eq!(report.with("ok", "/run/user/4100/keyslip").len(), 1, "{}", report.text);
    // What is root's is not theirs to look at, and not missed.
    assert!(!report.text.contains("/var/lib/keyslip") && !report.text.contains("Permission denied"), "{}", report.text);
    lab.ok("chown root /run/user/4100");
    let lost = doctor_of_user(&lab, "");
    assert!(
        lost.code == Some(2) && lost.with("broken", "cannot be made")[0].remedy.contains("enable-linger 4100"),
        "{}",
        lost.text
    );
}

#[test]
fn a_machine_without_logins_and_engines_is_told_what_to_do_first() {
    let Some(lab) = Lab::new("doctor-first") else { return };
    lab.ok("sed -i '/^crun = /d; /^runc = /d' $CONTAINERS_CONF");
    let report = doctor(&lab, "");
    assert!(report.with("warning", "logins")[0].remedy.contains("keyslip auth login"), "{}", report.text);
    assert!(report.with("note", "no engine is set up")[0].remedy.contains("keyslip install podman"), "{}", report.text);
}

#[test]
fn runc_of_debian_12_has_known_holes_and_one_that_debian_has_repaired() {
    let Some(lab) = Lab::new("doctor-runc") else { return };
    let report = doctor(&lab, "");
    let found = report.with("warning", "/usr/sbin/runc");
    // One for each set of repaired versions.
    assert_eq!(found.len(), 2, "{}", report.text);
    let what = found.iter().map(|finding| finding.what.as_str()).collect::<Vec<_>>().join("; ");
    for cve in ["CVE-2024-45310", "CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"] {
        assert!(what.contains(cve), "{what}");
    }
    // 1.1.5 is older than 1.1.12; the package's changelog says that it was repaired.
    assert!(!what.contains("CVE-2024-21626") && what.contains("does not mention it"), "{what}");
    // Where nobody can tell, it is said.
    lab.ok("mkdir $W/doc; mount --bind $W/doc /usr/share/doc");
    let what = &doctor(&lab, "").with("warning", "CVE-2024-21626")[0].what.clone();
    assert!(what.contains("unless your distribution has repaired it"), "{what}");
}
