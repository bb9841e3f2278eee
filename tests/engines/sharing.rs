//! Containers beside each other: shared root file systems and volumes, equal names, many at once,
//! and a shim that dies on the way.

use crate::lab::{Bare, Lab, RUNTIMES};

const ASKS: &str = r#".annotations={"dev.keyslip.agents":"claude"}"#;

#[test]
fn containers_that_share_a_root_file_system_take_nothing_from_each_other() {
    let Some(lab) = Lab::with_claude("shared-rootfs") else { return };
    for runtime in RUNTIMES {
        let first = Bare::started(&lab, runtime, "");
        let rootfs = format!("{}/rootfs", first.bundle);
        let second = Bare::started(&lab, runtime, &format!(".root.path=\"{rootfs}\""));
        let holds = |container: &Bare<'_>| container.exec("cat /run/secrets/claude ~/.claude.json");
        let all = "<CLAUDE>{\"hasCompletedOnboarding\":true}";
        assert_eq!((holds(&first), holds(&second)), (all.to_owned(), all.to_owned()), "{runtime}");
        first.end();
        assert_eq!(holds(&second), all, "{runtime}: after the end of the first");
        second.end();
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&first.bundle);
    }
}

#[test]
fn containers_that_share_a_home_volume_take_nothing_from_each_other() {
    let Some(lab) = Lab::with_claude("shared-home") else { return };
    lab.image();
    for runtime in RUNTIMES {
        let run = format!(
            "podman --runtime {runtime} run -d --user 1000 -v home-{runtime}:/home/dev --annotation dev.keyslip.agents=claude"
        );
        lab.ok(&format!("{run} --name first bb sleep 1000; {run} --name second bb sleep 1000"));
        let show = "sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/claude ~/.claude.json'";
        let all = "<CLAUDE>\n<CLAUDE>{\"hasCompletedOnboarding\":true}";
        assert_eq!(lab.ok(&format!("podman exec second {show}")), all, "{runtime}");
        lab.remove("first");
        assert_eq!(lab.ok(&format!("podman exec second {show}")), all, "{runtime}: after the end of the first");
        lab.remove("second");
        let volume = lab.ok(&format!("podman volume inspect home-{runtime} --format '{{{{.Mountpoint}}}}'"));
        assert_eq!(lab.ok(&format!("ls -A {volume}")), "", "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn an_id_that_is_in_use_is_refused_and_its_container_keeps_everything() {
    let Some(lab) = Lab::with_claude("id-in-use") else { return };
    for runtime in RUNTIMES {
        let container = Bare::started(&lab, runtime, "");
        let other = lab.bundle(&format!("{runtime}-other"), ASKS);
        for bundle in [&container.bundle, &other] {
            let again = Bare::new(&lab, runtime, &container.id, bundle).create();
            let real = lab.sh(&format!("{runtime} create --bundle {bundle} {}", container.id));
            assert!(!again.succeeded() && again.code() == real.code(), "{runtime}: {again}");
        }
        lab.assert_rootfs_untouched(&other);
        let seen = container.exec("echo $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/claude ~/.claude.json");
        assert_eq!(seen, "<CLAUDE>\n<CLAUDE>{\"hasCompletedOnboarding\":true}", "{runtime}");
        assert_eq!(lab.ok("keyslip list --json | jq length"), "1", "{runtime}");
        container.end();
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&container.bundle);
    }
}

#[test]
fn many_at_once_each_have_their_own() {
    let Some(lab) = Lab::with_claude("many") else { return };
    lab.login_account("claude", "work", &lab.token("WORK"));
    lab.configure("[[allow]]\nengine = \"bare\"\nagents = [\"claude\"]\naccounts = [\"*\"]\n");
    for runtime in RUNTIMES {
        let containers: Vec<Bare<'_>> = (0..8)
            .map(|number| {
                let account = if number % 2 == 0 { "default" } else { "work" };
                let name = format!("{runtime}{number}");
                let bundle = lab.bundle(&name, &format!(r#".annotations={{"dev.keyslip.agents":"claude@{account}"}}"#));
                Bare::new(&lab, runtime, &name, &bundle)
            })
            .collect();
        lab.ok(&format!(
            "pids=; for n in $(seq 0 7); do
                ($BARE/{runtime} create --bundle $W/{runtime}$n {runtime}$n && $BARE/{runtime} start {runtime}$n) & pids=\"$pids $!\"
            done; for pid in $pids; do wait $pid; done"
        ));
        for (number, container) in containers.iter().enumerate() {
            let token = if number % 2 == 0 { "<CLAUDE>" } else { "<WORK>" };
            let seen = container.exec("echo $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/claude");
            assert_eq!(seen, format!("{token}\n{token}"), "{runtime} {number}");
        }
        lab.ok(&format!(
            "pids=; for n in $(seq 0 7); do $BARE/{runtime} delete --force {runtime}$n & pids=\"$pids $!\"; done
            for pid in $pids; do wait $pid; done"
        ));
        lab.assert_nothing_left(runtime);
        for container in &containers {
            lab.assert_rootfs_untouched(&container.bundle);
        }
    }
}

#[test]
fn a_shim_that_is_killed_on_the_way_leaves_nothing_once_its_container_is_deleted() {
    let Some(lab) = Lab::with_claude("killed") else { return };
    for runtime in RUNTIMES {
        // The runtime below never gets further than the beginning of `create`.
        lab.write(
            "stuck",
            format!("#!/bin/bash\n[[ \" $* \" = *' create '* ]] && exec sleep 30\nexec {runtime} \"$@\"\n").as_bytes(),
        );
        lab.ok(&format!("chmod 755 $W/stuck; ln -sfn $W/stuck $BARE/{runtime}.real"));
        let bundle = lab.bundle(runtime, ASKS);
        lab.ok(&format!(
            "$BARE/{runtime} create --bundle {bundle} k & shim=$!
            for i in $(seq 200); do [ -e /proc/$shim/task/$shim/children ] && [ -n \"$(cat /proc/$shim/task/$shim/children)\" ] && break; sleep 0.02; done
            child=$(cat /proc/$shim/task/$shim/children); kill -KILL $shim; wait $shim || true; kill -KILL $child"
        ));
        assert_ne!(lab.ok("find /run/keyslip ! -type d"), "", "{runtime}: it was killed too early to show anything");
        // What an engine does then, and what comes next.
        lab.sh(&format!("$BARE/{runtime} delete --force k"));
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&bundle);
        lab.ok(&format!("ln -sfn $(command -v {runtime}) $BARE/{runtime}.real"));
        let container = Bare::new(&lab, runtime, "k", &bundle);
        container.start();
        assert_eq!(container.exec("cat /run/secrets/claude"), "<CLAUDE>", "{runtime}: the same id again");
        container.end();
    }
}

#[test]
fn a_signal_to_the_shim_reaches_the_runtime() {
    let Some(lab) = Lab::with_claude("signal") else { return };
    for runtime in RUNTIMES {
        lab.write(
            "deaf",
            b"#!/bin/bash\ntrap 'echo TERM >$0.got; exit 3' TERM\necho ready >$0.ready; while :; do sleep 0.05; done\n",
        );
        lab.ok(&format!("chmod 755 $W/deaf; ln -sfn $W/deaf $BARE/{runtime}.real"));
        let bundle = lab.bundle(runtime, ASKS);
        let code = lab.ok(&format!(
            "$BARE/{runtime} create --bundle {bundle} k & shim=$!
            for i in $(seq 200); do [ -e $BARE/{runtime}.real.ready ] && break; sleep 0.02; done
            kill -TERM $shim; code=0; wait $shim || code=$?; echo $code; cat $BARE/{runtime}.real.got"
        ));
        assert_eq!(code, "3\nTERM", "{runtime}");
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&bundle);
    }
}
