//! crun and runc themselves, with a hook in the bundle: files by mounts into the container, no
//! variables.

use crate::lab::{Bare, Lab, RUNTIMES};
use crate::setup::{self, DEV, STAGES};

/// What an agent of the user `dev` would find, and where it comes from.
const SHOW: &str =
    "cat /run/secrets/claude; echo; cat ~/.claude/.credentials.json; echo; echo ${CLAUDE_CODE_OAUTH_TOKEN-none}
    cat ~/.claude.json; echo; stat -c '%n %a %u:%g' /run/secrets/claude ~/.claude ~/.claude/.credentials.json ~/.claude.json
    touch ~/.claude/history ~/mine && rm ~/.claude/history ~/mine && echo writable";

/// Asserts that everything is there for the user with this home directory.
#[track_caller]
fn is_delivered(seen: &str, (uid, home): (u32, &str), what: &str) {
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!((lines[0], lines[2]), ("<CLAUDE>", "none"), "{what}: {seen}");
    let login: serde_json::Value = serde_json::from_str(lines[1]).unwrap_or_default();
    assert_eq!(login["claudeAiOauth"]["accessToken"], "<CLAUDE>", "{what}: {seen}");
    assert_eq!(login["claudeAiOauth"]["refreshToken"], "", "{what}: {seen}");
    assert_eq!(lines[3], r#"{"hasCompletedOnboarding":true}"#, "{what}");
    let expected = [
        format!("/run/secrets/claude 400 {uid}:{uid}"),
        format!("{home}/.claude 700 {uid}:{uid}"),
        format!("{home}/.claude/.credentials.json 400 {uid}:{uid}"),
        format!("{home}/.claude.json 600 {uid}:{uid}"),
        "writable".to_owned(),
    ];
    assert_eq!(lines[4..], expected, "{what}");
}

#[test]
fn a_bundle_with_one_hook_has_the_files() {
    let Some(lab) = Lab::with_claude("hooks-bare") else { return };
    for runtime in RUNTIMES {
        for stage in STAGES {
            let what = format!("{runtime} {stage}");
            let container = setup::hooked(&lab, runtime, stage, DEV);
            container.start();
            is_delivered(&container.exec(SHOW), (1000, "/home/dev"), &what);
            let mounts = container.exec("grep -E ' /(run/secrets|home/dev/[^ ]*) ' /proc/self/mountinfo");
            assert_eq!(mounts.lines().count(), 3, "{what}: {mounts}");
            for mount in mounts.lines() {
                let options: Vec<&str> = mount.split(' ').nth(5).unwrap_or("").split(',').collect();
                let read_only = !mount.contains("/home/dev/.claude.json");
                assert_eq!(options.contains(&"ro"), read_only, "{what}: {mount}");
                assert!(["nosuid", "nodev", "noexec"].iter().all(|it| options.contains(it)), "{what}: {mount}");
            }
            let state = lab.ok(&format!("{runtime} state {}; cat {}/config.json", container.id, container.bundle));
            assert!(!state.contains("<CLAUDE>"), "{what}: the state or the bundle holds the value");
            container.end();
            lab.assert_nothing_left(&what);
            lab.assert_rootfs_untouched(&container.bundle);
        }
    }
}

#[test]
fn a_foreground_run_has_the_files_and_ends_as_its_command() {
    let Some(lab) = Lab::with_claude("hooks-bare-run") else { return };
    for runtime in RUNTIMES {
        for stage in STAGES {
            let args = r#".process.args=["sh","-c","cat /run/secrets/claude; exit 3"]"#;
            let container = setup::hooked(&lab, runtime, stage, &format!("{DEV} | {args}"));
            let run = lab.sh(&format!("{runtime} run --bundle {} {}", container.bundle, container.id));
            assert_eq!((run.text(), run.code()), ("<CLAUDE>", Some(3)), "{runtime} {stage}: {run}");
            lab.assert_nothing_left(&format!("{runtime} {stage}"));
            lab.assert_rootfs_untouched(&container.bundle);
        }
    }
}

#[test]
fn an_injected_bundle_needs_no_hook_of_its_own() {
    let Some(lab) = Lab::with_claude("hooks-inject") else { return };
    for runtime in RUNTIMES {
        let show =
            r#".process.args=["sh","-c","cat /run/secrets/claude; echo; echo $CLAUDE_CODE_OAUTH_TOKEN; exit 3"]"#;
        let container = setup::with_hooks(&lab, runtime, &format!("{DEV} | {show}"));
        lab.ok(&format!("keyslip inject --bundle {} --agent claude", container.bundle));
        let spec = lab.ok(&format!("cat {}/config.json", container.bundle));
        assert!(!spec.contains("<CLAUDE>"), "{runtime}: the bundle holds the value");
        let run = lab.sh(&format!("{runtime} run --bundle {} {}", container.bundle, container.id));
        assert_eq!((run.text(), run.code()), ("<CLAUDE>\n<CLAUDE>", Some(3)), "{runtime}: {run}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_tmpfs_home_takes_the_files() {
    let Some(lab) = Lab::with_claude("hooks-bare-tmpfs") else { return };
    let home = r#".mounts+=[{destination:"/home/dev",type:"tmpfs",source:"tmpfs",options:["mode=0700","uid=1000","gid=1000"]}]"#;
    for runtime in RUNTIMES {
        for stage in STAGES {
            let what = format!("{runtime} {stage}");
            let container = setup::hooked(&lab, runtime, stage, &format!("{DEV} | {home}"));
            container.start();
            is_delivered(&container.exec(SHOW), (1000, "/home/dev"), &what);
            container.end();
            lab.assert_nothing_left(&what);
            lab.assert_rootfs_untouched(&container.bundle);
        }
    }
}

#[test]
fn a_volume_on_the_home_directory_takes_the_files_and_keeps_none() {
    let Some(lab) = Lab::with_claude("hooks-bare-volume") else { return };
    for runtime in RUNTIMES {
        for stage in STAGES {
            let what = format!("{runtime} {stage}");
            let volume = lab.ok(&format!(
                "mkdir $W/v-{runtime}-{stage}; chown 1000:1000 $W/v-{runtime}-{stage}; echo $W/v-{runtime}-{stage}"
            ));
            let home = format!(
                r#".mounts+=[{{destination:"/home/dev",type:"bind",source:"{volume}",options:["rbind","rw"]}}]"#
            );
            let container = setup::hooked(&lab, runtime, stage, &format!("{DEV} | {home}"));
            container.start();
            is_delivered(&container.exec(SHOW), (1000, "/home/dev"), &what);
            // A mountpoint is empty, or says `{}`: this lists every file with a line that says something else.
            let written = lab.ok(&format!("grep -rlvx '{{}}' {volume} || true"));
            assert_eq!(written, "", "{what}: written into the volume");
            container.exec("echo mine >~/work");
            container.end();
            assert_eq!(lab.ok(&format!("cd {volume}; find . -mindepth 1")), "./work", "{what}");
            lab.assert_nothing_left(&what);
        }
    }
}

#[test]
fn a_bundle_in_a_user_namespace_has_the_files() {
    let Some(lab) = Lab::with_claude("hooks-bare-userns") else { return };
    let map = r"[{containerID:0,hostID:200000,size:65536}]";
    let edit = format!(".linux.namespaces+=[{{type:\"user\"}}] | .linux.uidMappings={map} | .linux.gidMappings={map}");
    for runtime in RUNTIMES {
        for stage in STAGES {
            let what = format!("{runtime} {stage}");
            let container = setup::hooked(&lab, runtime, stage, &format!("{DEV} | {edit}"));
            lab.ok(&format!(
                "cd {}/rootfs; chown -hR 200000:200000 .; chown -R 201000:201000 home/dev",
                container.bundle
            ));
            container.start();
            is_delivered(&container.exec(SHOW), (1000, "/home/dev"), &what);
            let outside = lab.ok("find /run/keyslip/sandbox -path '*/files/*' -type f -printf '%U ' -o -path '*/secrets/*' -printf '%U '");
            assert_eq!(outside, "201000 201000 201000", "{what}");
            container.end();
            lab.assert_nothing_left(&what);
        }
    }
}

#[test]
fn a_token_that_has_a_file_needs_no_variable() {
    let Some(lab) = Lab::with_claude("hooks-bare-file") else { return };
    for runtime in RUNTIMES {
        let container = setup::hooked(&lab, runtime, "createRuntime", DEV);
        container.start();
        let record =
            lab.ok("keyslip list --json | jq -c '.[0] | [.state, .engine, .container, (.agents[0].env | length)]'");
        assert_eq!(record, format!(r#"["live","bare","{}",0]"#, container.id));
        container.end();
    }
}

#[test]
fn a_variable_that_comes_too_late_is_said() {
    let Some(lab) = Lab::new("hooks-bare-late") else { return };
    let key = format!("sk-ant-api03-FAKE-{}", std::process::id());
    lab.mark("KEY", &key);
    lab.login("claude", &key);
    for runtime in RUNTIMES {
        let container = setup::hooked(&lab, runtime, "createRuntime", DEV);
        container.start();
        assert_eq!(
            container.exec("cat /run/secrets/claude; echo; echo ${ANTHROPIC_API_KEY-none}"),
            "<KEY>\nnone",
            "{runtime}"
        );
        let warnings = lab.ok("keyslip list --json | jq -r '.[0].warnings[]'");
        assert!(warnings.contains("ANTHROPIC_API_KEY was not delivered"), "{runtime}: warnings: {warnings:?}");
        assert!(lab.ok("keyslip list").contains("use the shim or precreate"), "{runtime}");
        container.end();
    }
}

#[test]
fn a_configured_variable_that_comes_too_late_is_said() {
    let Some(lab) = Lab::new("hooks-bare-late-own") else { return };
    lab.mark("OWN", "FAKE-own-value");
    lab.write("own", b"FAKE-own-value\n");
    lab.configure(&format!(
        "[secrets]\nown = \"{}/own\"\n[agents.claude]\nsecret_name = \"own\"\nauth_env_var = \"OWN_KEY\"\n",
        lab.path().display()
    ));
    for runtime in RUNTIMES {
        let container = setup::hooked(&lab, runtime, "createRuntime", DEV);
        container.start();
        assert_eq!(container.exec("cat /run/secrets/own; echo ${OWN_KEY-none}"), "<OWN>\nnone", "{runtime}");
        let warnings = lab.ok("keyslip list --json | jq -r '.[0].warnings[]'");
        assert!(warnings.contains("OWN_KEY was not delivered"), "{runtime}: warnings: {warnings:?}");
        container.end();
    }
}

#[test]
fn a_device_asks_without_an_annotation() {
    let Some(lab) = Lab::with_claude("hooks-device") else { return };
    lab.login_account("claude", "work", &lab.token("WORK"));
    let edit = format!("{} | {DEV}", setup::hooks("createRuntime", &["--device", "claude.work"]));
    for runtime in RUNTIMES {
        lab.configure("");
        let container = setup::with_hooks(&lab, runtime, &edit);
        let refused = container.create();
        assert!(!refused.succeeded(), "{runtime}: another account needs a rule: {refused}");
        let reason =
            lab.ok("keyslip status --json | jq -r '.problems[-1] | .event + \" \" + .container + \" \" + .reason'");
        assert!(reason.starts_with(&format!("denied {} ", container.id)) && reason.contains("claude@work"), "{reason}");
        lab.sh(&format!("{runtime} delete --force {}", container.id));
        lab.assert_nothing_left(runtime);
        lab.configure("[[allow]]\nengine = \"bare\"\nform = \"cdi\"\nagents = [\"claude\"]\naccounts = [\"work\"]\n");
        let container = setup::with_hooks(&lab, runtime, &edit);
        container.start();
        assert_eq!(container.exec("cat /run/secrets/claude"), "<WORK>", "{runtime}");
        let form = lab.ok("keyslip list --json | jq -r '.[0] | .form + \" \" + .agents[0].account'");
        assert_eq!(form, "cdi work", "{runtime}");
        container.end();
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&container.bundle);
    }
}

#[test]
fn a_bundle_that_asks_for_nothing_is_left_alone() {
    let Some(lab) = Lab::with_claude("hooks-bare-silent") else { return };
    for runtime in RUNTIMES {
        let container: Bare<'_> = setup::with_hooks(&lab, runtime, &setup::hooks("createRuntime", &[]));
        container.start();
        assert_eq!(container.exec("ls -A /run /root"), "/root:\n\n/run:", "{runtime}");
        assert_eq!(lab.ok("ls /run/keyslip 2>/dev/null || true"), "", "{runtime}");
        container.end();
    }
}
