//! The canary: after a full life a token is nowhere but where it belongs.

use crate::lab::{Bare, Lab, RUNTIMES};

/// Writes down the arguments of every process until `END_WATCH`.
const WATCH: &str = r"rm -f $W/stop; while [ ! -e $W/stop ]; do cat /proc/[0-9]*/cmdline 2>/dev/null || true; done |
    tr '\0' '\n' | sort -u >$W/argv & watch=$!";

/// Has the runtimes wait a little before they begin, so that the watch does not miss them.
const SLOWER: &str = r#"for real in /usr/libexec/keyslip/{bare,podman}/*.real; do
    printf '#!/bin/bash\nsleep 0.05\nexec %s "$@"\n' "$(readlink $real)" >$real.slow; chmod 755 $real.slow; ln -sfn $real.slow $real; done"#;

/// Ends the watch; what it saw is in `$W/argv`.
const END_WATCH: &str = "touch $W/stop; wait $watch";

/// Where nothing may ever be found: engine storage, configuration, logs, other users' places, and our
/// state apart from the token store itself.
const DISKS: [&str; 9] = [
    "/var/lib/containers",
    "/var/lib/keyslip/audit.log",
    "/var/tmp",
    "/etc/keyslip",
    "/etc/containers",
    "/home",
    "$W/out",
    "$W/argv",
    "$W/debug",
];

/// Everything below `/run` but our own directory, and but crun's copies of the configuration.
fn runs(lab: &Lab) -> String {
    lab.ok("find /run -mindepth 1 -maxdepth 1 ! -name keyslip ! -name crun | tr '\\n' ' '")
}

#[test]
fn podman_keeps_no_copy_anywhere() {
    for runtime in RUNTIMES {
        let Some(lab) = Lab::new(&format!("canary-podman-{runtime}")) else { return };
        let token = lab.token("CLAUDE");
        lab.login("claude", &token);
        lab.image();
        // The argv of every process, while the container is made, used and remade, everything as
        // talkative as it can be.
        lab.ok(&format!(
            "{SLOWER}
            mkdir $W/out; {WATCH}
            p='podman --log-level=debug --runtime {runtime}'
            $p run -d --name c --annotation dev.keyslip.agents=claude bb sleep 1000 2>$W/debug
            $p exec c true 2>>$W/debug; $p healthcheck run c 2>>$W/debug || true
            $p restart -t0 c 2>>$W/debug
            {END_WATCH}"
        ));
        assert_eq!(lab.ok("grep -cxE 'create|--bundle|sleep' $W/argv"), "3", "{runtime}: the watch saw nothing");
        assert!(lab.ok("cat $W/debug").contains("level=debug"), "podman was not talkative");
        lab.ok(
            "podman logs c >$W/out/logs 2>&1; podman inspect c >$W/out/inspect; podman diff c >$W/out/diff
            podman top c args >$W/out/top; podman commit -q c copy >$W/out/id; podman save -q -o $W/out/image.tar copy
            podman export -o $W/out/export.tar c; podman image inspect copy >$W/out/image; podman events --stream=false >$W/out/events
            podman generate kube c >$W/out/kube; podman system df -v >$W/out/df",
        );
        lab.ok("tar -C $W/out -xf $W/out/export.tar run root etc; tar -tf $W/out/image.tar >/dev/null");
        let alive = runs(&lab);
        let mut places: Vec<&str> = DISKS.to_vec();
        places.push(&alive);
        assert_eq!(lab.leaks(&places, &token), [""; 0], "{runtime}: while it lives");
        // The search finds what there is to find.
        assert_ne!(lab.leaks(&["/run/keyslip"], &token), [""; 0], "{runtime}: the search itself");
        let conmon = lab.ok("cat $(podman inspect c --format '{{.ConmonPidFile}}')");
        lab.ok(&format!("cat /proc/{conmon}/environ /proc/{conmon}/cmdline >$W/out/conmon"));
        assert_eq!(lab.leaks(&["$W/out"], &token), [""; 0], "{runtime}: conmon");
        lab.ok("podman stop -t0 c; podman start c");
        lab.remove("c");
        places.extend(["/run", "/dev/shm", "/var/log"]);
        assert_eq!(lab.leaks(&places, &token), [""; 0], "{runtime}: after its end");
        assert_eq!(
            lab.ok("find /var/lib/keyslip -type f ! -path '*/tokens/*' | sort"),
            "/var/lib/keyslip/audit.log\n/var/lib/keyslip/fingerprint.key"
        );
        let state = lab.leaks(&["/var/lib/keyslip"], &token);
        assert_eq!(state, ["/var/lib/keyslip/tokens/claude-oauth.json"], "{runtime}: our own state");
    }
}

#[test]
fn bare_runtimes_at_debug_level_keep_no_copy() {
    for runtime in RUNTIMES {
        let Some(lab) = Lab::new(&format!("canary-bare-{runtime}")) else { return };
        let token = lab.token("CLAUDE");
        lab.login("claude", &token);
        lab.configure("log_level = \"debug\"\n");
        let bundle = lab.bundle("c", r#".annotations={"dev.keyslip.agents":"claude"}"#);
        let mut container = Bare::new(&lab, runtime, "c", &bundle);
        container.shim = format!("$BARE/{runtime} --debug --log $W/debug --log-format json");
        lab.ok(&format!("{SLOWER}; mkdir $W/out; touch $W/debug; {WATCH}; {} create --bundle {bundle} c >$W/out/create 2>&1; {} start c; {END_WATCH}", container.shim, container.shim));
        assert_eq!(lab.ok("grep -cxE 'create|--bundle|sleep' $W/argv"), "3", "{runtime}: the watch saw nothing");
        container.exec("true");
        lab.ok(&format!(
            "{0} state c >$W/out/state; {0} list >$W/out/list; {0} exec c true; keyslip list --json >$W/out/ours",
            container.shim
        ));
        lab.ok("keyslip status >$W/out/status; keyslip auth status --json >$W/out/logins");
        lab.ok(&format!("keyslip plan -v --bundle {bundle} >$W/out/plan 2>&1; grep -q 'using stored' $W/out/plan"));
        let alive = runs(&lab);
        let mut places: Vec<&str> = DISKS.to_vec();
        places.extend([alive.as_str(), bundle.as_str()]);
        assert_eq!(lab.leaks(&places, &token), [""; 0], "{runtime}: while it lives");
        container.end();
        places.push("/run");
        assert_eq!(lab.leaks(&places, &token), [""; 0], "{runtime}: after its end");
    }
}

#[test]
fn the_private_bundle_holds_no_value_once_the_container_is_made() {
    let Some(lab) = Lab::new("canary-bundle") else { return };
    let token = lab.token("CLAUDE");
    lab.login("claude", &token);
    let container = Bare::started(&lab, "runc", "");
    let holding: Vec<String> = lab.leaks(&["/run/keyslip"], &token);
    let names: Vec<&str> =
        holding.iter().filter_map(|path| path.splitn(6, '/').nth(5)?.split_once('/')).map(|(_, name)| name).collect();
    let mut names = names;
    names.sort_unstable();
    assert_eq!(names, ["env", "secrets/claude"]);
    container.end();
}

#[test]
fn others_cannot_read_what_lies_on_the_tmpfs() {
    let Some(lab) = Lab::with_claude("canary-modes") else { return };
    for runtime in RUNTIMES {
        let container = Bare::started(&lab, runtime, "");
        assert_eq!(lab.ok("stat -c %a /run/keyslip"), "700", "{runtime}");
        let denied = lab.as_user("ls /run/keyslip; cat /run/keyslip/sandbox/*/*/env");
        assert!(!denied.succeeded() && denied.stdout.is_empty(), "{runtime}: {denied}");
        container.end();
    }
}

#[test]
fn the_audit_log_tells_of_deliveries_with_fingerprints_alone() {
    let Some(lab) = Lab::with_claude("canary-audit") else { return };
    for runtime in RUNTIMES {
        lab.ok("rm -f /var/lib/keyslip/audit.log");
        let container = Bare::started(&lab, runtime, "");
        container.end();
        assert_eq!(lab.ok("stat -c %a /var/lib/keyslip/audit.log"), "600");
        let events = lab.ok("jq -r '.event + \" \" + .engine + \" \" + .container + \" \" + .agents[0].agent' /var/lib/keyslip/audit.log");
        let id = &container.id;
        assert_eq!(events, format!("delivered bare {id} claude\ncleaned bare {id} claude"), "{runtime}");
        let prints = lab.ok("jq -r '.agents[0].fingerprint' /var/lib/keyslip/audit.log | sort -u");
        assert!(prints.len() >= 16 && prints.lines().count() == 1, "{runtime}: {prints}");
    }
}
