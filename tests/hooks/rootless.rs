//! podman of an ordinary user, with the hooks that this user installed.

use crate::lab::{Lab, RUNTIMES};
use crate::setup::{self, ASKS};

/// A lab in which the ordinary user has an image, hooks and a login `<CLAUDE>`; root has another.
fn with_user(name: &str) -> Option<Lab> {
    let lab = Lab::new(&format!("hooks-rootless-{name}"))?;
    lab.login("claude", &lab.token("ROOTS"));
    lab.user_login("claude", &lab.token("CLAUDE"));
    // No hooks in the configuration: the user gives their directory on the command line.
    setup::plain_runtimes(&lab, "/etc/keyslip/hooks.d");
    lab.ok("sed -i /^hooks_dir/d $CONTAINERS_CONF");
    let prepared =
        lab.as_user("podman import -q -c 'CMD [\"sh\"]' -c 'ENV PATH=/bin' $W/image.tar bb; keyslip install hooks");
    assert!(prepared.succeeded(), "{prepared}");
    assert!(prepared.stdout.contains("/home/labuser/.config/keyslip/hooks.d"), "{prepared}");
    Some(lab)
}

/// podman as this user calls it.
const PODMAN: &str = "podman --hooks-dir $HOME/.config/keyslip/hooks.d";

fn is_authenticated(name: &str, options: &str, uid: &str) {
    let Some(lab) = with_user(name) else { return };
    for runtime in RUNTIMES {
        let what = format!("{name} on {runtime}");
        let user = |script: &str| {
            let output = lab.as_user(script);
            assert!(output.succeeded(), "{what}: {script}: {output}");
            output.text().to_owned()
        };
        user(&format!("{PODMAN} --runtime {runtime} run -d --name c {options} {ASKS} bb sleep 1000"));
        let show = "podman exec c sh -c 'tr \"\\0\" \"\\n\" </proc/1/environ | grep CLAUDE; echo $(id -u) ${CLAUDE_CODE_OAUTH_TOKEN-none} $(cat /run/secrets/claude) $(cat ~/.claude.json)'";
        let expected =
            format!("CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>\n{uid} none <CLAUDE> {{\"hasCompletedOnboarding\":true}}");
        assert_eq!(user(show), expected, "{what}");
        assert_eq!(user("keyslip list --json | jq -r '.[] | .state + \" \" + .engine'"), "live podman", "{what}");
        assert_eq!(lab.ok("keyslip list --json | jq length"), "0", "{what}: root's ledger is another");
        assert!(!user("podman inspect c").contains("<CLAUDE>"), "{what}: inspect shows it");
        user(&format!("{PODMAN} restart -t0 c"));
        assert_eq!(user(show), expected, "{what}: restarted");
        user(&format!("{PODMAN} rm -f -t0 c"));
        lab.assert_nothing_left(&what);
    }
}

#[test]
fn a_rootless_container_has_its_users_login() {
    is_authenticated("default", "", "0");
}

#[test]
fn a_rootless_container_with_the_users_own_id_is_authenticated() {
    is_authenticated("keep-id", "--userns=keep-id", "4100");
}

#[test]
fn a_rootless_container_of_another_user_is_authenticated() {
    is_authenticated("user", "--user 1000:1000 --cap-drop all --read-only", "1000");
}

#[test]
fn a_rootless_container_in_a_namespace_of_its_own_is_authenticated() {
    is_authenticated("auto", "--userns=auto:size=1500", "0");
}

#[test]
fn a_rootless_refusal_is_found_in_the_users_status() {
    let Some(lab) = with_user("denied") else { return };
    for runtime in RUNTIMES {
        let run = lab.as_user(&format!(
            "{PODMAN} --runtime {runtime} run --rm --annotation dev.keyslip.agents=claude@work bb true"
        ));
        assert!(!run.succeeded(), "{runtime}: {run}");
        let problem = lab.as_user("keyslip status --json | jq -r '.problems[-1] | .event + \" \" + .reason'");
        assert!(
            problem.stdout.starts_with("denied ") && problem.stdout.contains("/home/labuser/.config/keyslip"),
            "{problem}"
        );
        assert_eq!(
            lab.ok("keyslip status --json | jq '.problems | length'"),
            "0",
            "{runtime}: root sees nothing of it"
        );
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_rootless_container_leaves_no_value_in_the_users_storage() {
    let Some(lab) = Lab::new("hooks-rootless-canary") else { return };
    let token = lab.token("CLAUDE");
    lab.user_login("claude", &token);
    setup::plain_runtimes(&lab, "/home/labuser/.config/keyslip/hooks.d");
    for runtime in RUNTIMES {
        let output = lab.as_user(&format!(
            "keyslip install hooks; podman image exists bb || podman import -q -c 'ENV PATH=/bin' $W/image.tar bb
            podman --log-level=debug --runtime {runtime} run -d --name c {ASKS} -v home:/root bb sleep 1000 2>$HOME/debug
            podman exec c true; podman commit -q c copy; podman export -o $HOME/c.tar c"
        ));
        assert!(output.succeeded(), "{runtime}: {output}");
        let run = lab.ok(
            "find /run /run/user/4100 -mindepth 1 -maxdepth 1 ! -name user ! -name keyslip ! -name 4100 | tr '\\n' ' '",
        );
        let disks = "/home/labuser/.local/share /home/labuser/.cache /home/labuser/.config /home/labuser/c.tar /home/labuser/debug /tmp/containers-user-4100 /tmp/podman-run-4100";
        assert_eq!(lab.leaks(&[disks, &run], &token), [""; 0], "{runtime}");
        assert!(lab.as_user("podman rm -f -t0 c").succeeded(), "{runtime}");
        assert_eq!(lab.leaks(&[disks, "/run"], &token), [""; 0], "{runtime}: after its end");
    }
}

#[test]
fn a_rootless_container_is_swept_when_conmon_and_the_container_were_killed() {
    let Some(lab) = with_user("killed") else { return };
    for runtime in RUNTIMES {
        let started = lab.as_user(&format!("{PODMAN} --runtime {runtime} run -d --name c-{runtime} {ASKS} bb sleep 1000 >/dev/null; podman inspect c-{runtime} --format '{{{{.State.ConmonPid}}}} {{{{.State.Pid}}}}'"));
        assert!(started.succeeded(), "{started}");
        lab.ok(&format!("kill -9 {}; sleep 0.1; {}; age 2", started.text(), setup::AGE));
        let swept = lab.as_user("keyslip list --json | jq -r '.[].state'; podman unshare keyslip sweep");
        assert_eq!(swept.text(), "dead\nremoved 1, alive 0, left for later 0", "{runtime}: {swept}");
        lab.as_user("podman rm -af -t0 || podman rm -af -t0");
        lab.assert_nothing_left(runtime);
    }
}
