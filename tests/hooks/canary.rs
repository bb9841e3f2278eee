//! The canary: with the hooks too a token is nowhere but where it belongs.

use crate::lab::{Lab, RUNTIMES};
use crate::setup::{self, ASKS};

/// What nobody may find a value in. With hooks this holds for the runtimes' own copies below `/run` too.
fn places(lab: &Lab) -> String {
    let run = lab.ok("find /run -mindepth 1 -maxdepth 1 ! -name keyslip | tr '\\n' ' '");
    format!(
        "/var/lib/containers /var/lib/keyslip/audit.log /var/tmp /etc /home $W/out $W/debug $W/containers.conf {run}"
    )
}

#[test]
fn podman_keeps_no_copy_anywhere() {
    for runtime in RUNTIMES {
        let Some(lab) = Lab::new(&format!("hooks-canary-{runtime}")) else { return };
        let token = lab.token("CLAUDE");
        lab.login("claude", &token);
        lab.ok("keyslip install tmpfs; keyslip install hooks");
        setup::plain_runtimes(&lab, "/etc/keyslip/hooks.d");
        lab.image();
        lab.ok(&format!(
            "mkdir $W/out; p='podman --log-level=debug --runtime {runtime}'
            $p run -d --name c {ASKS} -v home:/root bb sleep 1000 2>$W/debug
            $p exec c true 2>>$W/debug; $p restart -t0 c 2>>$W/debug; grep -q level=debug $W/debug
            podman logs c >$W/out/logs 2>&1; podman inspect c >$W/out/inspect; podman diff c >$W/out/diff
            podman top c args >$W/out/top; podman commit -q c copy >$W/out/id; podman save -q -o $W/out/image.tar copy
            podman export -o $W/out/export.tar c; podman generate kube c >$W/out/kube
            podman events --stream=false >$W/out/events; keyslip list --json >$W/out/list; keyslip status >$W/out/status
            conmon=$(cat $(podman inspect c --format '{{{{.ConmonPidFile}}}}')); cat /proc/$conmon/environ /proc/$conmon/cmdline >$W/out/conmon
            cat /proc/$(podman inspect c --format '{{{{.State.Pid}}}}')/cmdline >$W/out/main
            tar -C $W/out -xf $W/out/export.tar run root etc"
        ));
        assert_eq!(lab.leaks(&[&places(&lab)], &token), [""; 0], "{runtime}: while it lives");
        // The search finds what there is to find.
        assert_ne!(lab.leaks(&["/run/keyslip"], &token), [""; 0], "{runtime}: the search itself");
        lab.ok("podman stop -t0 c; podman start c");
        lab.remove("c");
        let after = format!("{} /run /dev/shm /var/log", places(&lab));
        assert_eq!(lab.leaks(&[&after], &token), [""; 0], "{runtime}: after its end");
        assert_eq!(lab.leaks(&["/var/lib/keyslip"], &token), ["/var/lib/keyslip/tokens/claude-oauth.json"]);
        let state = lab.ok("find /var/lib/keyslip -type f ! -path '*/tokens/*' | sort");
        assert_eq!(state, "/var/lib/keyslip/audit.log\n/var/lib/keyslip/fingerprint.key", "{runtime}");
    }
}

#[test]
fn the_specification_that_precreate_gives_back_holds_no_value() {
    let Some(lab) = Lab::with_claude("hooks-canary-spec") else { return };
    let bundle = lab.bundle("b", r#"(.annotations["dev.keyslip.agents"]="claude") | .root.path="'$W/b/rootfs'""#);
    lab.ok(&format!("sed -i \"s#'.W/b/rootfs'#$W/b/rootfs#\" {bundle}/config.json; jq -e '.root.path | startswith(\"/\")' {bundle}/config.json"));
    lab.configure("[engines.podman]\ntrust_annotations = true\n");
    let given = lab.ok(&format!("{} precreate --engine podman <{bundle}/config.json", setup::HOOK));
    assert!(!given.contains("<CLAUDE>") && !given.contains("CLAUDE_CODE"), "the specification holds the value");
    let given: serde_json::Value = serde_json::from_str(&given).unwrap();
    assert_eq!(given["process"]["args"].to_string(), r#"["/run/.keyslip/launch","sleep","1000"]"#);
    setup::one_sweep_leaves_nothing(&lab, "a container that never came");
    lab.assert_rootfs_untouched(&bundle);
}
