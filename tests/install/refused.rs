//! What cannot be installed: one clear sentence, and nothing has changed.

use crate::lab::Tree;
use crate::{Host, TREES};

#[test]
fn engines_that_are_not_there() {
    let Some(host) = Host::new(Tree::Debian12, "absent") else { return };
    for (engine, program) in [("podman", "podman"), ("docker", "dockerd"), ("containerd", "containerd")] {
        // A file that nobody may execute, in place of the program.
        let path = host.ok(&format!("command -v {program}"));
        host.ok(&format!("touch $W/nothing; chmod 644 $W/nothing; mount --bind $W/nothing {path}"));
        let reason = format!("{engine} is not installed: there is no {program} in PATH");
        host.refuses(&format!("keyslip install {engine}"), &reason);
        host.ok(&format!("umount {path}"));
    }
    host.refuses("keyslip uninstall docker", "nothing was installed for docker");
    assert_eq!(host.does("keyslip uninstall --all"), "nothing is installed");
}

#[test]
fn broken_and_unreadable_configurations() {
    let Some(host) = Host::new(Tree::Debian12, "broken") else { return };
    for (file, content, engine, reason) in [
        (
            "/etc/docker/daemon.json",
            "{\n  \"a\": 1,\n}\n",
            "docker",
            "/etc/docker/daemon.json:3:1: this is no JSON object: ",
        ),
        ("/etc/docker/daemon.json", "[]", "docker", "/etc/docker/daemon.json:1:"),
        (
            "/etc/containerd/config.toml",
            "version = 2\nx = [1\n",
            "containerd",
            "/etc/containerd/config.toml:2:7: this is no TOML: ",
        ),
        ("/etc/containerd/config.toml", "version = 4\n", "containerd", "its version is 4"),
        (
            "/etc/containers/containers.conf.d/10-x.conf",
            "[engine]\n  runtime = \n",
            "podman",
            "/etc/containers/containers.conf.d/10-x.conf:2:",
        ),
        (
            "/etc/containers/containers.conf.d/10-x.conf",
            "[engine]\nhooks_dir = \"/x\"\n",
            "podman",
            "10-x.conf:2:13: this is no TOML: ",
        ),
        (
            "/etc/containers/containers.conf.d/10-x.conf",
            "[engine]\nevents_logger = 3\n",
            "podman",
            "podman --version fails",
        ),
        ("/etc/keyslip/keyslip.toml", "foo = 1\n", "podman", "/etc/keyslip/keyslip.toml:1:1: unknown field `foo`"),
    ] {
        host.ok(&format!("mkdir -p $(dirname {file}); [ ! -e {file} ] || cp {file} $W/saved"));
        host.write(file, content.as_bytes());
        host.refuses(&format!("keyslip install {engine}"), reason);
        host.ok(&format!("rm {file}; [ ! -e $W/saved ] || mv $W/saved {file}"));
    }
    host.ok("mkdir /etc/docker/daemon.json");
    host.refuses("keyslip install docker", "cannot read /etc/docker/daemon.json: Is a directory");
    host.ok("chmod 600 /etc/containers/containers.conf");
    let output = host.as_user("unset CONTAINERS_CONF; keyslip install podman");
    assert!(output.stderr.contains("cannot read /etc/containers/containers.conf: Permission denied"), "{output}");
}

#[test]
fn what_the_engines_own_parser_refuses() {
    let Some(host) = Host::new(Tree::Debian13, "parsers") else { return };
    host.write("/etc/docker/daemon.json", b"{\"no-such-key\": 1}\n");
    host.refuses("keyslip install docker", "docker would not accept /etc/docker/daemon.json as it would be");
    host.write(
        "/etc/containerd/config.toml",
        b"version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = 3\n",
    );
    host.refuses("keyslip install containerd", "containerd would not accept /etc/containerd/config.toml");
}

#[test]
fn names_that_are_taken() {
    let Some(host) = Host::new(Tree::Debian12, "taken") else { return };
    host.write("/etc/docker/daemon.json", br#"{"runtimes": {"keyslip": {"path": "/opt/other"}}}"#);
    host.refuses("keyslip install docker", "there is another runtime with the name keyslip already");
    let other = "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.keyslip]\nruntime_type = \"x\"\n";
    host.ok(&format!("cat >>/etc/containerd/config.toml <<'CONF'\n{other}CONF"));
    host.refuses("keyslip install containerd", "there is another runtime with the name keyslip already");
    host.write(
        "/etc/containerd/config.toml",
        b"version = 2\n[plugins]\n\"io.containerd.grpc.v1.cri\" = { sandbox_image = \"x\" }\n",
    );
    host.refuses("keyslip install containerd", "is written as an inline table");
    host.ok("mkdir -p /etc/keyslip/conf.d; echo 'log_level = \"warn\"' >/etc/keyslip/conf.d/50-podman.toml");
    host.refuses(
        "keyslip install podman --trust-annotations",
        "/etc/keyslip/conf.d/50-podman.toml: this file is there already",
    );
    host.ok("mkdir -p /etc/keyslip/hooks.d; echo '{}' >/etc/keyslip/hooks.d/theirs.json");
    host.refuses("keyslip install podman --mode hook", "/etc/keyslip/hooks.d/theirs.json: this hook is not Keyslip's");
    for dir in ["/usr/share/containers/oci/hooks.d", "/etc/containers/oci/hooks.d"] {
        host.refuses(
            &format!("keyslip install hooks --dir {dir}"),
            "`podman build` and CRI-O, which fail on the stage `precreate`",
        );
    }
}

#[test]
fn settings_that_ours_would_not_survive() {
    let Some(host) = Host::new(Tree::Debian12, "overruled") else { return };
    let late = "/etc/containers/containers.conf.d/90-late.conf";
    host.ok("mkdir -p /etc/containers/containers.conf.d");
    for (text, mode, reason) in [
        ("[engine]\nhooks_dir = [\"/x\"]\n", "hook", "90-late.conf: this is read after"),
        ("[engine.runtimes]\ncrun = [\"/usr/bin/crun\"]\n", "shim", "90-late.conf: this is read after"),
        ("[engine]\nruntime = \"/usr/bin/crun\"\n", "shim", "the default runtime is the path /usr/bin/crun"),
        ("[engine]\nruntime = \"kata\"\n", "shim", "the default runtime is kata, which has no link to the shim"),
    ] {
        host.write(late, text.as_bytes());
        host.refuses(&format!("keyslip install podman --mode {mode}"), reason);
    }
    host.ok("rm -r /etc/containers/containers.conf.d; ln -s /etc/docker /etc/containers/containers.conf.d");
    host.refuses("keyslip install podman", "/etc/containers/containers.conf.d: this is a link");
    host.ok("mkdir /etc/containerd/more
        printf 'version = 2\\n[plugins.\"io.containerd.grpc.v1.cri\"]\\nsandbox_image = \"x\"\\n' >/etc/containerd/more/cri.toml
        sed -i '1a imports = [\"/etc/containerd/more/*.toml\"]' /etc/containerd/config.toml");
    host.refuses("keyslip install containerd", "it imports /etc/containerd/more/*.toml");
}

#[test]
fn links_that_do_not_work() {
    let Some(host) = Host::new(Tree::Debian12, "links") else { return };
    host.ok(
        "cd /usr/libexec/keyslip; rm docker/runc; ln -sfn /usr/bin/crun podman/crun; ln -sfn /nowhere cri/runc.real
        ln -sfn ../keyslip-runtime containerd/runc.real",
    );
    host.refuses("keyslip install docker", "docker/runc is missing; run: /usr/libexec/keyslip/link-engines");
    host.refuses("keyslip install podman", "podman/crun leads to /usr/bin/crun and not to the shim");
    host.refuses("keyslip install containerd", "cri/runc has no runtime behind it");
    host.ok("cd /usr/libexec/keyslip; ln -sfn /usr/sbin/runc cri/runc.real");
    host.refuses("keyslip install containerd", "containerd/runc calls itself");
    // What the messages say helps.
    host.ok("/usr/libexec/keyslip/link-engines");
    for engine in ["docker", "podman", "containerd"] {
        host.does(&format!("keyslip install {engine} --dry-run"));
    }
    host.ok("rm -r /usr/libexec/keyslip/podman");
    host.refuses(
        "keyslip install podman",
        "podman has no link for a runtime that podman uses; run: /usr/libexec/keyslip/link-engines",
    );
}

#[test]
fn disks_that_cannot_be_written() {
    for (tree, name) in TREES {
        let Some(host) = Host::new(tree, &format!("disks{name}")) else { return };
        // The record of the version is written first: it must be gone again.
        for (prepare, tidy, reason) in [
            (
                "mount --bind /etc /etc; mount -o remount,ro,bind /etc",
                "umount /etc",
                "Read-only file system (os error 30); nothing was changed",
            ),
            (
                "cp /etc/containerd/config.toml $W/c; mount -t tmpfs -o size=8k tmpfs /etc/containerd; cp $W/c /etc/containerd/config.toml; yes '#' | head -c 3000 >>/etc/containerd/config.toml; echo x >/etc/containerd/x",
                "umount /etc/containerd",
                "cannot write /etc/containerd/config.toml: No space left on device (os error 28); nothing was changed",
            ),
            (
                // A file that is a mount of its own can be read, but nothing can be moved into its place.
                "mount --bind /etc/containerd/config.toml /etc/containerd/config.toml",
                "umount /etc/containerd/config.toml",
                "cannot write /etc/containerd/config.toml: Device or resource busy (os error 16); nothing was changed",
            ),
        ] {
            host.ok(prepare);
            host.refuses("keyslip install containerd", reason);
            host.ok(tidy);
        }
    }
}

#[test]
fn two_at_once() {
    let Some(host) = Host::new(Tree::Debian12, "busy") else { return };
    host.ok("mkdir -p /var/lib/keyslip/install");
    host.refuses(
        "exec flock /var/lib/keyslip/install keyslip install podman",
        "another `keyslip install` or `keyslip uninstall` is running",
    );
}
