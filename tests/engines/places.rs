//! Where secret files go when the container has mounts of its own there.

use crate::lab::{Bare, Lab, RUNTIMES};

const ASKS: &str = r#".annotations={"dev.keyslip.agents":"claude"}"#;

#[test]
fn a_mount_of_the_containers_own_at_run_secrets_is_served_file_by_file() {
    let Some(lab) = Lab::with_claude("secrets-taken") else { return };
    for runtime in RUNTIMES {
        let bundle = lab.bundle(
            runtime,
            &format!(r#"{ASKS} | .mounts += [{{destination:"/run/secrets",type:"bind",source:"theirs",options:["rbind","rw"]}}]"#),
        );
        lab.ok(&format!("mkdir {bundle}/theirs; echo rhsm >{bundle}/theirs/rhsm"));
        let container = Bare::new(&lab, runtime, runtime, &bundle);
        container.start();
        assert_eq!(container.exec("cd /run/secrets; ls; cat rhsm claude"), "claude\nrhsm\nrhsm\n<CLAUDE>", "{runtime}");
        let options = container.exec("grep ' /run/secrets/claude ' /proc/self/mountinfo");
        for option in ["ro", "nosuid", "nodev", "noexec"] {
            assert!(options.split(' ').nth(5).unwrap().split(',').any(|word| word == option), "{runtime}: {options}");
        }
        assert_eq!(
            lab.ok(&format!("stat -c %s {bundle}/theirs/claude")),
            "0",
            "{runtime}: the value is in their directory"
        );
        container.end();
        assert_eq!(lab.ok(&format!("ls {bundle}/theirs")), "rhsm", "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_mount_exactly_where_the_file_goes_is_refused() {
    let Some(lab) = Lab::with_claude("secret-taken") else { return };
    for runtime in RUNTIMES {
        let mount = r#".mounts += [{destination:"/run/secrets/claude",type:"bind",source:"/etc/hostname",options:["bind","ro"]}]"#;
        let bundle = lab.bundle(runtime, &format!("{ASKS} | {mount}"));
        let container = Bare::new(&lab, runtime, runtime, &bundle);
        let output = container.create();
        assert_eq!(output.code(), Some(1), "{runtime}: {output}");
        assert!(
            output.stderr.contains("/run/secrets/claude in the container is taken by a mount of its own"),
            "{output}"
        );
        assert!(!lab.sh(&format!("{runtime} state {runtime}")).succeeded(), "{runtime}: there is a container");
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&bundle);
    }
}

#[test]
fn a_read_only_mount_at_run_secrets_without_room_for_ours_is_refused() {
    let Some(lab) = Lab::with_claude("secrets-read-only") else { return };
    for runtime in RUNTIMES {
        let mount = r#".mounts += [{destination:"/run/secrets",type:"bind",source:"theirs",options:["rbind","ro"]}]"#;
        let bundle = lab.bundle(runtime, &format!("{ASKS} | {mount}"));
        lab.ok(&format!("mkdir {bundle}/theirs"));
        let output = Bare::new(&lab, runtime, runtime, &bundle).create();
        assert_eq!(output.code(), Some(1), "{runtime}: {output}");
        assert!(output.stderr.contains("/run/secrets/claude") && output.stderr.contains("read-only"), "{output}");
        assert_eq!(lab.ok(&format!("ls {bundle}/theirs")), "", "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_service_account_below_var_run_is_neither_hidden_nor_broken() {
    let Some(lab) = Lab::with_claude("service-account") else { return };
    lab.ok("mkdir $W/rootfs/var; ln -s /run $W/rootfs/var/run; mkdir $W/account; echo sa >$W/account/token");
    let account = lab.path().join("account").display().to_string();
    for runtime in RUNTIMES {
        let mount = format!(
            r#".mounts += [{{destination:"/var/run/secrets/kubernetes.io/serviceaccount",type:"bind",source:"{account}",options:["rbind","ro"]}}]"#
        );
        let bundle = lab.bundle(runtime, &format!("{ASKS} | {mount}"));
        let container = Bare::new(&lab, runtime, runtime, &bundle);
        container.start();
        let seen = container.exec("cat /var/run/secrets/kubernetes.io/serviceaccount/token /run/secrets/kubernetes.io/serviceaccount/token /var/run/secrets/claude; echo; cat /run/secrets/claude");
        assert_eq!(seen, "sa\nsa\n<CLAUDE>\n<CLAUDE>", "{runtime}");
        container.end();
        let left = lab.ok(&format!("find {bundle}/rootfs/run $W/account -type f; stat -c %F {bundle}/rootfs/var/run"));
        assert_eq!(left, format!("{account}/token\nsymbolic link"), "{runtime}");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn podmans_own_secrets_stay_beside_ours() {
    let Some(lab) = Lab::with_claude("podman-secret") else { return };
    lab.image();
    lab.ok("echo theirs | podman secret create their-secret -");
    for runtime in RUNTIMES {
        lab.ok(&format!("podman --runtime {runtime} run -d --name c --secret their-secret --annotation dev.keyslip.agents=claude bb sleep 1000"));
        let seen = lab.ok("podman exec c sh -c 'cat /run/secrets/their-secret /run/secrets/claude'");
        assert_eq!(seen, "theirs\n<CLAUDE>", "{runtime}");
        lab.ok("podman restart -t0 c");
        let seen = lab.ok("podman exec c sh -c 'cat /run/secrets/their-secret /run/secrets/claude'");
        assert_eq!(seen, "theirs\n<CLAUDE>", "{runtime}: after restart");
        lab.remove("c");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_link_in_the_image_cannot_lead_a_mountpoint_to_the_host() {
    let Some(lab) = Lab::with_claude("links") else { return };
    for runtime in RUNTIMES {
        let bundle = lab.bundle(runtime, ASKS);
        // /run/secrets and the home directory are links out of the root file system.
        lab.ok(&format!(
            "mkdir $W/outside-{runtime}; cd {bundle}/rootfs; ln -s ../../../../..$W/outside-{runtime} run/secrets
            rmdir root; ln -s $W/outside-{runtime}/home root"
        ));
        let container = Bare::new(&lab, runtime, runtime, &bundle);
        let output = container.create();
        if output.succeeded() {
            lab.ok(&format!("{} start {}", container.shim, container.id));
            assert_eq!(container.exec("cat /run/secrets/claude"), "<CLAUDE>", "{runtime}");
            container.end();
        }
        assert_eq!(lab.ok(&format!("find $W/outside-{runtime} -mindepth 1")), "", "{runtime}: the host was written to");
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn a_read_only_root_file_system_takes_the_mounts() {
    let Some(lab) = Lab::with_claude("read-only-root") else { return };
    for runtime in RUNTIMES {
        let container = Bare::started(&lab, runtime, ".root.readonly=true");
        assert_eq!(
            container.exec("cat /run/secrets/claude; touch /x 2>/dev/null || echo; echo ro"),
            "<CLAUDE>\nro",
            "{runtime}"
        );
        container.end();
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&container.bundle);
    }
}

#[test]
fn the_user_that_is_named_owns_and_finds_what_is_delivered() {
    let Some(lab) = Lab::with_claude("user") else { return };
    for runtime in RUNTIMES {
        // The main process is root and starts the agent as somebody else.
        let edit = r#".annotations["dev.keyslip.user"]="dev""#;
        let container = Bare::started(&lab, runtime, edit);
        let seen = container.exec("stat -c %U:%a /run/secrets/claude /home/dev/.claude.json; ls -A /root");
        assert_eq!(seen, "dev:400\ndev:600", "{runtime}");
        container.end();
        lab.assert_nothing_left(runtime);
        let bundle = lab.bundle(
            &format!("{runtime}-nobody"),
            &format!(r#"{ASKS} | .annotations["dev.keyslip.user"]="nobody-here""#),
        );
        let output = Bare::new(&lab, runtime, "k", &bundle).create();
        assert!(output.code() == Some(1) && output.stderr.contains("\"nobody-here\""), "{runtime}: {output}");
        lab.assert_nothing_left(runtime);
    }
}
