//! `poststop`: once, twice, never, and by somebody who names another container's things.

use crate::lab::{Lab, RUNTIMES};
use crate::setup::{self, ASKS, DEV};

/// The state that a runtime gives to the hook for a container.
fn state(runtime: &str, id: &str) -> String {
    format!("{runtime} state {id} | jq -c '.ociVersion = \"1.0.2\"'")
}

#[test]
fn a_forged_name_does_not_take_another_containers_files() {
    let Some(lab) = Lab::with_claude("hooks-forged") else { return };
    for runtime in RUNTIMES {
        let victim = setup::hooked(&lab, runtime, "createRuntime", DEV);
        victim.start();
        let name = lab.ok("keyslip list --json | jq -r '.[0].id'");
        let forged = format!(r#".annotations["dev.keyslip.sandbox"]="{name}""#);
        let forger = setup::hooked(&lab, runtime, "createRuntime", &format!("{DEV} | {forged}"));
        forger.start();
        // It has what it asked for, of its own.
        assert_eq!(forger.exec("cat /run/secrets/claude"), "<CLAUDE>", "{runtime}");
        assert_eq!(
            lab.ok("keyslip list --json | jq -r '[.[].container] | sort | join(\" \")'"),
            [victim.id.as_str(), &forger.id].join(" "),
            "{runtime}"
        );
        forger.end();
        assert_eq!(
            victim.exec("cat /run/secrets/claude; echo; grep -c accessToken ~/.claude/.credentials.json"),
            "<CLAUDE>\n1",
            "{runtime}"
        );
        lab.ok(&format!("{}; age 61; keyslip sweep", setup::AGE));
        assert_eq!(
            lab.ok("keyslip list --json | jq -r '.[] | .container + \" \" + .state'"),
            format!("{} live", victim.id),
            "{runtime}"
        );
        assert_eq!(victim.exec("cat /run/secrets/claude"), "<CLAUDE>", "{runtime}");
        victim.end();
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&victim.bundle);
    }
}

#[test]
fn a_container_that_forges_a_name_loses_its_own_files_at_its_end() {
    let Some(lab) = Lab::with_claude("hooks-forger") else { return };
    for runtime in RUNTIMES {
        let forged = r#".annotations["dev.keyslip.sandbox"]="0123456789abcdef0123456789abcdef""#;
        let forger = setup::hooked(&lab, runtime, "createRuntime", &format!("{DEV} | {forged}"));
        forger.start();
        forger.end();
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn podman_cannot_be_told_another_containers_name() {
    let Some(lab) = setup::podman("forged-podman") else { return };
    for runtime in RUNTIMES {
        let run = format!("podman --runtime {runtime} run -d {ASKS}");
        lab.ok(&format!("{run} --name victim bb sleep 1000"));
        let name = lab.ok("keyslip list --json | jq -r '.[0].id'");
        lab.ok(&format!("{run} --name forger --annotation dev.keyslip.sandbox={name} bb sleep 1000"));
        assert_eq!(lab.ok("keyslip list --json | jq -r '.[].state'"), "live\nlive", "{runtime}");
        lab.remove("forger");
        assert_eq!(lab.ok("podman exec victim cat /run/secrets/claude"), "<CLAUDE>", "{runtime}");
        lab.remove("victim");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_second_poststop_does_nothing() {
    let Some(lab) = Lab::with_claude("hooks-twice") else { return };
    for runtime in RUNTIMES {
        let container = setup::hooked(&lab, runtime, "createRuntime", DEV);
        container.start();
        lab.ok(&format!("{} >$W/state", state(runtime, &container.id)));
        container.end();
        let other = setup::hooked(&lab, runtime, "createRuntime", DEV);
        other.start();
        for _ in 0..2 {
            let again = lab.sh(&format!("{} poststop --engine bare <$W/state", setup::HOOK));
            assert_eq!((again.code(), again.said().as_str()), (Some(0), ""), "{runtime}");
        }
        assert_eq!(other.exec("cat /run/secrets/claude"), "<CLAUDE>", "{runtime}");
        assert_eq!(
            lab.ok(&format!("grep -c '\"cleaned\".*\"{}\"' /var/lib/keyslip/audit.log", container.id)),
            "1",
            "{runtime}"
        );
        other.end();
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_container_that_cannot_be_made_leaves_nothing() {
    let Some(lab) = Lab::with_claude("hooks-failed-create") else { return };
    let failures = [
        r#".process.args=["/no/such/program"]"#,
        r#".process.cwd="/etc/passwd""#,
        r#".hooks.createRuntime+=[{path:"/bin/false",args:["false"]}]"#,
        r#".mounts+=[{destination:"/x",type:"bind",source:"/no/such/source",options:["rbind"]}]"#,
    ];
    for runtime in RUNTIMES {
        for failure in failures {
            let container = setup::hooked(&lab, runtime, "createRuntime", &format!("{DEV} | {failure}"));
            let run = lab.sh(&format!("{runtime} run --bundle {} {}", container.bundle, container.id));
            assert!(!run.succeeded(), "{runtime}: {failure}");
            lab.sh(&format!("{runtime} delete --force {}", container.id));
            setup::one_sweep_leaves_nothing(&lab, &format!("{runtime}: {failure}"));
        }
    }
}

#[test]
fn a_container_that_podman_cannot_make_leaves_nothing() {
    let Some(lab) = setup::podman("failed-podman") else { return };
    for runtime in RUNTIMES {
        for options in ["--workdir /etc/passwd", "--sysctl kernel.no_such=1", "--security-opt seccomp=/etc/passwd"] {
            let run = lab.sh(&format!("podman --runtime {runtime} run --rm {ASKS} {options} bb true"));
            assert!(!run.succeeded(), "{runtime}: {options}");
            setup::one_sweep_leaves_nothing(&lab, &format!("{runtime}: {options}"));
        }
    }
    assert_eq!(lab.ok("podman ps -aq"), "");
}
