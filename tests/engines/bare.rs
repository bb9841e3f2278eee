//! The life of a container under crun and runc, called directly.

use crate::lab::{Bare, Lab, RUNTIMES};

#[test]
fn a_container_that_asks_is_authenticated_in_its_main_process_in_every_exec_and_by_files() {
    let Some(lab) = Lab::with_claude("bare-life") else { return };
    for runtime in RUNTIMES {
        let container = Bare::started(&lab, runtime, "");
        assert!(container.main_env().lines().any(|line| line == "CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>"), "{runtime}: main");
        assert_eq!(container.exec("echo $CLAUDE_CODE_OAUTH_TOKEN"), "<CLAUDE>", "{runtime}: exec");
        assert_eq!(
            container.exec("cat /run/secrets/claude; echo; stat -c %a:%u /run/secrets/claude"),
            "<CLAUDE>\n400:0"
        );
        let mount = container.exec("grep ' /run/secrets ' /proc/self/mountinfo");
        let words: Vec<&str> = mount.split(' ').collect();
        for option in ["ro", "nosuid", "nodev", "noexec"] {
            assert!(words[5].split(',').any(|word| word == option), "{runtime}: {option} in {mount}");
        }
        assert!(mount.contains(" - tmpfs "), "{runtime}: {mount}");
        let settings: serde_json::Value = serde_json::from_str(&container.exec("cat /root/.claude.json")).unwrap();
        assert_eq!(settings["hasCompletedOnboarding"], true, "{runtime}");
        container.end();
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&container.bundle);
    }
}

#[test]
fn the_state_names_the_sandbox_and_holds_no_value() {
    let Some(lab) = Lab::with_claude("bare-state") else { return };
    for runtime in RUNTIMES {
        let container = Bare::started(&lab, runtime, "");
        let state = lab.ok(&format!("{} state {}", container.shim, container.id));
        assert!(!state.contains("<CLAUDE>"), "{runtime}: the state holds the credential");
        let state: serde_json::Value = serde_json::from_str(&state).unwrap();
        let sandbox = state["annotations"]["dev.keyslip.sandbox"].as_str().unwrap_or_default().to_owned();
        assert!(sandbox.len() == 32 && sandbox.bytes().all(|b| b.is_ascii_hexdigit()), "{runtime}: {sandbox:?}");
        let listed = lab.ok("keyslip list --json | jq -r '.[] | .id + \" \" + .container + \" \" + .state'");
        assert_eq!(listed, format!("{sandbox} {} live", container.id), "{runtime}");
        container.end();
    }
}

#[test]
fn a_second_delete_fails_as_the_runtime_itself_does() {
    let Some(lab) = Lab::with_claude("bare-delete") else { return };
    for runtime in RUNTIMES {
        let container = Bare::started(&lab, runtime, "");
        container.end();
        let again = lab.sh(&format!("{} delete {}", container.shim, container.id));
        let bare = lab.sh(&format!("{runtime} delete {}", container.id));
        assert_ne!(bare.code(), Some(0));
        assert_eq!(again.code(), bare.code(), "{runtime}");
        assert_eq!(undated(&again.said()), undated(&bare.said()), "{runtime}");
        let forced = lab.sh(&format!("{} delete --force {}", container.shim, container.id));
        let bare = lab.sh(&format!("{runtime} delete --force {}", container.id));
        assert_eq!(forced.code(), bare.code(), "{runtime} --force");
        lab.assert_nothing_left(runtime);
    }
}

/// Messages without the time that runc and crun put in front.
fn undated(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_once("level=").map_or(line, |(_, rest)| rest));
    lines.map(|line| line.split_once("Z: ").map_or(line, |(_, rest)| rest)).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_forced_delete_of_a_running_container_leaves_nothing() {
    let Some(lab) = Lab::with_claude("bare-force") else { return };
    for runtime in RUNTIMES {
        let container = Bare::started(&lab, runtime, "");
        // Without force the runtime refuses, and the container keeps what it has.
        assert!(!lab.sh(&format!("{} delete {}", container.shim, container.id)).succeeded(), "{runtime}");
        assert_eq!(container.exec("cat /run/secrets/claude"), "<CLAUDE>", "{runtime}: after a refused delete");
        lab.ok(&format!("{} delete --force {}", container.shim, container.id));
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&container.bundle);
    }
}

#[test]
fn a_bare_exec_without_a_process_file_has_the_variable_and_keeps_its_options() {
    let Some(lab) = Lab::with_claude("bare-exec") else { return };
    for runtime in RUNTIMES {
        let container = Bare::started(&lab, runtime, "");
        let exec = |options: &str, command: &str| {
            lab.ok(&format!("{} exec {options} {} {command}", container.shim, container.id))
        };
        assert_eq!(exec("", "sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN $PWD $(id -u)'"), "<CLAUDE> / 0", "{runtime}");
        let options = "--user 1000:1000 --cwd /tmp";
        let show = "sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN $PWD $(id -u):$(id -g)'";
        assert_eq!(exec(options, show), "<CLAUDE> /tmp 1000:1000", "{runtime}");
        // crun 1.8.1 gives a process with -e nothing but what -e says, not even the container's PATH.
        if runtime == "runc" {
            let options = format!("-e FOO=bar --env BAR='a b' {options} --tty=false -t=false");
            let show = "sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN $FOO $BAR $PWD $(id -u):$(id -g)'";
            assert_eq!(exec(&options, show), "<CLAUDE> bar a b /tmp 1000:1000");
            let own = exec("-e CLAUDE_CODE_OAUTH_TOKEN=own", "sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN'");
            assert_eq!(own, "own", "what the user sets wins");
        }
        let code = lab.sh(&format!("{} exec {} sh -c 'exit 7'", container.shim, container.id)).code();
        assert_eq!(code, Some(7), "{runtime}");
        container.end();
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn an_exec_that_sets_the_variable_itself_keeps_its_own() {
    let Some(lab) = Lab::with_claude("bare-own") else { return };
    for runtime in RUNTIMES {
        let container = Bare::started(&lab, runtime, "");
        let said = lab.ok(&format!(
            r#"jq -c '.process | .args=["sh","-c","env"] | .env+=["CLAUDE_CODE_OAUTH_TOKEN=own"]' {b}/config.json >{b}/p.json
            {s} exec --process {b}/p.json {i}; {s} exec -p {b}/p.json {i}; {s} exec --process={b}/p.json {i}"#,
            b = container.bundle, s = container.shim, i = container.id
        ));
        let tokens: Vec<&str> = said.lines().filter(|line| line.starts_with("CLAUDE")).collect();
        assert_eq!(tokens, ["CLAUDE_CODE_OAUTH_TOKEN=own"; 3], "{runtime}");
        container.end();
    }
}

#[test]
fn other_peoples_poststop_hooks_read_a_bundle_with_the_mounts_and_without_the_value() {
    let Some(lab) = Lab::with_claude("bare-hook") else { return };
    let hook =
        b"#!/bin/bash\nread -r -d '' state || true\nb=$(jq -r .bundle <<<\"$state\")\ncp \"$b/config.json\" \"$1\"\n";
    lab.write("hook", hook);
    lab.ok("chmod 755 $W/hook");
    let path = lab.path().display().to_string();
    for runtime in RUNTIMES {
        let edit = format!(
            r#".hooks={{poststop:[{{path:"{path}/hook",args:["hook","{path}/{runtime}.json"],env:["PATH=/usr/bin:/bin"]}}]}}"#
        );
        Bare::started(&lab, runtime, &edit).end();
        let copy = lab.ok(&format!("cat $W/{runtime}.json"));
        assert!(!copy.contains("<CLAUDE>"), "{runtime}: a hook could read the credential");
        let spec: serde_json::Value = serde_json::from_str(&copy).unwrap();
        let mounts: Vec<&str> =
            spec["mounts"].as_array().unwrap().iter().filter_map(|m| m["destination"].as_str()).collect();
        assert!(mounts.contains(&"/proc"), "{runtime}: {mounts:?}");
        // crun keeps the engine's bundle, which nobody changed; the others have one of ours.
        assert_eq!(mounts.contains(&"/run/secrets"), runtime != "crun", "{runtime}: {mounts:?}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn relative_paths_in_a_bundle_mean_what_they_meant() {
    let Some(lab) = Lab::with_claude("bare-relative") else { return };
    for runtime in RUNTIMES {
        let mount = r#".mounts += [{destination:"/data",type:"bind",source:"data",options:["rbind","ro"]}]"#;
        let bundle = lab
            .bundle(&format!("{runtime}-r"), &format!(".annotations={{\"dev.keyslip.agents\":\"claude\"}} | {mount}"));
        lab.ok(&format!(
            "mkdir {bundle}/data; echo here >{bundle}/data/file; [ $(jq -r .root.path {bundle}/config.json) = rootfs ]"
        ));
        let container = Bare::new(&lab, runtime, "relative", &bundle);
        container.start();
        assert_eq!(container.exec("cat /data/file /run/secrets/claude"), "here\n<CLAUDE>", "{runtime}");
        container.end();
        // And with the bundle itself named in a relative way, or not at all.
        for create in ["cd $W; {s} create --bundle {r}-r k", "cd $W; {s} create -b ./{r}-r/ k", "cd {b}; {s} create k"]
        {
            let create = create.replace("{s}", &container.shim).replace("{r}", runtime).replace("{b}", &bundle);
            lab.ok(&create);
            let container = Bare::new(&lab, runtime, "k", &bundle);
            lab.ok(&format!("{} start k", container.shim));
            assert_eq!(container.exec("cat /data/file; echo $CLAUDE_CODE_OAUTH_TOKEN"), "here\n<CLAUDE>", "{create}");
            container.end();
        }
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn the_same_id_under_two_roots_is_two_containers() {
    let Some(lab) = Lab::with_claude("bare-roots") else { return };
    lab.login_account("claude", "work", &lab.token("WORK"));
    lab.configure("[[allow]]\nengine = \"bare\"\nagents = [\"claude\"]\naccounts = [\"default\", \"work\"]\n");
    for runtime in RUNTIMES {
        let make = |account: &str| {
            let edit = format!(
                r#".annotations={{"dev.keyslip.agents":"claude@{account}"}} | .linux.cgroupsPath+="-{account}""#
            );
            let bundle = lab.bundle(&format!("{runtime}-{account}"), &edit);
            let mut container = Bare::new(&lab, runtime, "twin", &bundle);
            container.shim = format!("$BARE/{runtime} --root $W/{runtime}-root-{account}");
            container.start();
            container
        };
        let (home, work) = (make("default"), make("work"));
        for (container, token) in [(&home, "<CLAUDE>"), (&work, "<WORK>")] {
            assert_eq!(
                container.exec("echo $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/claude"),
                format!("{token}\n{token}")
            );
            assert!(container.main_env().contains(token), "{runtime}: main process");
        }
        home.end();
        assert_eq!(work.exec("echo $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/claude"), "<WORK>\n<WORK>", "{runtime}");
        work.end();
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn run_in_the_foreground_delivers_passes_the_exit_code_and_leaves_nothing() {
    let Some(lab) = Lab::with_claude("bare-run") else { return };
    for runtime in RUNTIMES {
        let edit = r#".annotations={"dev.keyslip.agents":"claude"} | .process.args=["sh","-c","echo $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/claude; exit 7"]"#;
        let bundle = lab.bundle(runtime, edit);
        let output = lab.sh(&format!("$BARE/{runtime} run --bundle {bundle} once"));
        assert_eq!((output.text(), output.code()), ("<CLAUDE>\n<CLAUDE>", Some(7)), "{runtime}: {output}");
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&bundle);
    }
}

#[test]
fn run_detached_delivers_until_delete() {
    let Some(lab) = Lab::with_claude("bare-detached") else { return };
    for (runtime, detach) in [("crun", "-d"), ("crun", "--detach"), ("runc", "-d"), ("runc", "--detach")] {
        let bundle = lab.bundle(&format!("{runtime}{detach}"), r#".annotations={"dev.keyslip.agents":"claude"}"#);
        lab.ok(&format!("$BARE/{runtime} run {detach} --bundle {bundle} d"));
        let container = Bare::new(&lab, runtime, "d", &bundle);
        assert_eq!(container.exec("echo $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/claude"), "<CLAUDE>\n<CLAUDE>");
        container.end();
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&bundle);
    }
}

#[test]
fn a_create_that_the_runtime_refuses_ends_with_its_code_and_leaves_nothing() {
    let Some(lab) = Lab::with_claude("bare-failed") else { return };
    for runtime in RUNTIMES {
        for (case, edit) in
            [("args", r#".process.args=["/no/such/program"]"#), ("cwd", r#".process.cwd="/etc/passwd/x""#)]
        {
            let name = format!("{runtime}-{case}");
            let bundle = lab.bundle(&name, &format!(".annotations={{\"dev.keyslip.agents\":\"claude\"}} | {edit}"));
            let plain = lab.bundle(&format!("{name}-plain"), edit);
            let output = Bare::new(&lab, runtime, &name, &bundle).create();
            let bare = lab.sh(&format!("{runtime} create --bundle {plain} {name}-plain"));
            assert_ne!(bare.code(), Some(0), "{name}: the runtime itself takes it");
            assert_eq!(output.code(), bare.code(), "{name}: {output}");
            assert!(!output.stderr.contains("keyslip:"), "{name}: the runtime says it, and we add nothing: {output}");
            lab.assert_nothing_left(&name);
            lab.assert_rootfs_untouched(&bundle);
            assert!(!lab.sh(&format!("{runtime} state {name}")).succeeded(), "{name}: there is a container");
        }
    }
}

#[test]
fn odd_ids_are_ids() {
    let Some(lab) = Lab::with_claude("bare-ids") else { return };
    let long = "x".repeat(150);
    for runtime in RUNTIMES {
        for (number, id) in ["a.b_c+d-1", "-starts-with-a-dash", "UPPER", "1", &long].into_iter().enumerate() {
            let bundle = lab.bundle(&format!("{runtime}{number}"), r#".annotations={"dev.keyslip.agents":"claude"}"#);
            let mut container = Bare::new(&lab, runtime, id, &bundle);
            if id.starts_with('-') {
                container.id = format!("-- {id}");
            }
            container.start();
            let found = lab.ok("cat /run/keyslip/sandbox/*/*/record.json | jq -r .container");
            assert_eq!(found, id, "{runtime}");
            if !id.starts_with('-') {
                assert_eq!(container.exec("echo $CLAUDE_CODE_OAUTH_TOKEN"), "<CLAUDE>", "{runtime} {id}");
            }
            container.end();
            lab.assert_nothing_left(id);
        }
    }
}

#[test]
fn a_runtime_that_is_not_there_is_named() {
    let Some(lab) = Lab::with_claude("bare-dangling") else { return };
    lab.ok("ln -sfn /opt/gone/crun $BARE/crun.real");
    let bundle = lab.bundle("b", r#".annotations={"dev.keyslip.agents":"claude"}"#);
    let create = format!("$BARE/crun create --bundle {bundle} k");
    for command in [create.as_str(), "$BARE/crun state k", "$BARE/crun delete k", "$BARE/crun --version"] {
        let output = lab.sh(command);
        assert!(!output.succeeded(), "{command}: {output}");
        for part in ["/usr/libexec/keyslip/bare/crun.real", "/opt/gone/crun", "No such file"] {
            assert!(output.stderr.contains(part), "{command}: {output}");
        }
        lab.assert_nothing_left(command);
        lab.assert_rootfs_untouched(&bundle);
    }
}
