//! Links in a root file system lead below that root, never to the host.

use crate::lab::{Lab, RUNTIMES};
use crate::setup::{self, DEV, STAGES};

/// A directory of the host that a root file system points at, with a file in it.
fn host_directory(lab: &Lab) -> String {
    lab.ok("mkdir -p $W/host/dir; echo precious >$W/host/dir/file; chmod 777 $W/host $W/host/dir; echo $W/host")
}

/// Everything in it: names, sizes, modes, owners, times of change.
fn picture(lab: &Lab, host: &str) -> String {
    lab.ok(&format!("find {host} -printf '%p %y %s %m %U %T@ %C@\\n'; cat {host}/dir/file; grep -c ' {host}' /proc/self/mountinfo || true"))
}

fn stays_untouched(name: &str, links: &str) {
    let Some(lab) = Lab::with_claude(&format!("hooks-links-{name}")) else { return };
    let host = host_directory(&lab);
    for runtime in RUNTIMES {
        for stage in STAGES {
            let what = format!("{name}: {runtime} {stage}");
            let container = setup::hooked(&lab, runtime, stage, DEV);
            lab.ok(&format!("cd {}/rootfs; {}", container.bundle, links.replace("HOST", &host)));
            let before = picture(&lab, &host);
            let made = container.create();
            if made.succeeded() {
                lab.ok(&format!("{runtime} start {}", container.id));
                let seen = container.exec("cat /run/secrets/claude; echo; grep -o '<CLAUDE>\\|sk-ant[^\"]*' ~/.claude/.credentials.json; ls -A ~/.claude");
                assert_eq!(seen, "<CLAUDE>\n<CLAUDE>\n.credentials.json", "{what}");
                assert_eq!(picture(&lab, &host), before, "{what}: while it lives");
                container.end();
            } else {
                // A clear refusal is as good.
                assert!(
                    lab.ok("keyslip status --json | jq -r '.problems[-1].reason'").contains("in the container"),
                    "{what}: {made}"
                );
                lab.sh(&format!("{runtime} delete --force {}", container.id));
            }
            assert_eq!(picture(&lab, &host), before, "{what}: after its end");
            lab.assert_nothing_left(&what);
            let inside = lab.ok(&format!(
                "cd {}/rootfs; find . ! -type l '(' -name .credentials.json -o -name secrets -o -name .claude.json ')'",
                container.bundle
            ));
            assert_eq!(inside, "", "{what}: left in the root file system");
        }
    }
}

#[test]
fn an_absolute_link_for_run_leads_below_the_root() {
    stays_untouched("run", "rmdir run; ln -s HOST/dir run");
}

#[test]
fn a_relative_link_for_run_does_not_leave_the_root() {
    stays_untouched("run-relative", "rmdir run; ln -s ../../../../../../../../..HOST/dir run");
}

#[test]
fn an_absolute_link_for_the_secrets_leads_below_the_root() {
    stays_untouched("secrets", "ln -s HOST/dir run/secrets");
}

#[test]
fn an_absolute_link_for_the_agents_directory_leads_below_the_root() {
    stays_untouched("agent", "ln -s HOST/dir home/dev/.claude");
}

#[test]
fn a_link_for_the_home_directory_leads_below_the_root() {
    stays_untouched("home", "rmdir home/dev home; ln -s HOST home");
}

#[test]
fn a_link_through_proc_is_no_way_out() {
    stays_untouched("proc", "ln -s /proc/self/cwd/../../../..HOST/dir home/dev/.claude");
}

#[test]
fn links_for_the_files_themselves_are_not_followed_to_the_host() {
    stays_untouched(
        "files",
        "mkdir home/dev/.claude; chown 1000:1000 home/dev/.claude; ln -s HOST/dir/file home/dev/.claude/.credentials.json; ln -s HOST/dir/file home/dev/.claude.json",
    );
}
