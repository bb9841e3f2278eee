//! gVisor's runsc behind the shim: a kernel of its own between the container and the files.

use crate::lab::{Bare, Lab, Tree};

/// This machine has no KVM, and cgroups that runsc cannot use. runsc wants the same on every call.
const RUNSC: &str = "runsc --platform=ptrace --network=none --ignore-cgroups --root /run/runsc";

const DEBIANS: [(Tree, &str); 2] = [(Tree::Debian12, "runsc12"), (Tree::Debian13, "runsc13")];

/// A container in a sandbox that asks for Claude, not made yet; `edit` as in [`Lab::bundle`].
fn sandbox<'a>(lab: &'a Lab, id: &str, edit: &str) -> Bare<'a> {
    let bundle = lab.bundle(id, &format!(r#".annotations={{"dev.keyslip.agents":"claude"}} | {edit}"#));
    let mut bare = Bare::new(lab, "runsc", id, &bundle);
    bare.shim = format!("$BARE/{RUNSC}");
    bare
}

/// Opens a lab with the login.
fn with_claude(tree: Tree, name: &str) -> Option<Lab> {
    let lab = Lab::on(tree, name)?;
    lab.login("claude", &lab.token("CLAUDE"));
    Some(lab)
}

#[test]
fn a_sandbox_is_authenticated_in_every_process_and_sees_what_is_renewed() {
    for (tree, name) in DEBIANS {
        let Some(lab) = with_claude(tree, name) else { return };
        let sandbox = sandbox(&lab, "life", r#".process.user={uid:1000,gid:1000} | .process.env+=["HOME=/home/dev"]"#);
        sandbox.start();
        let show = "echo $(id -u) $CLAUDE_CODE_OAUTH_TOKEN $(cat /run/secrets/claude) $(stat -c %a:%u /run/secrets/claude) $(cat ~/.claude.json)";
        let expected = "1000 <CLAUDE> <CLAUDE> 400:1000 {\"hasCompletedOnboarding\":true}";
        assert_eq!(sandbox.exec(show), expected, "{name}");
        // As containerd's shim for gVisor calls it, and as a person does.
        let Bare { shim, id, bundle, .. } = &sandbox;
        let said = lab.ok(&format!(
            "{shim} exec --process {bundle}/process.json --detach --internal-pid-file $W/inner --pid-file $W/outer {id} >$W/said; \
             sleep 1; cat $W/said"
        ));
        assert_eq!(said, expected, "{name}: detached");
        let main = sandbox.main_env();
        assert!(main.lines().any(|line| line == "CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>"), "{name}: {main}");
        let said = lab
            .ok(&format!("{shim} exec --cwd /tmp -user 0:0 {id} sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN $PWD $(id -u)'"));
        assert_eq!(said, "<CLAUDE> /tmp 0", "{name}: by options");
        assert_ne!(
            lab.sh(&format!("{shim} exec {id} sh -c 'echo x >/run/secrets/x'")).code(),
            Some(0),
            "{name}: read-only"
        );
        sandbox.exec("echo more >>~/.claude.json");

        lab.login("claude", &lab.token("NEW"));
        lab.ok("keyslip sync");
        assert_eq!(
            sandbox.exec("echo $CLAUDE_CODE_OAUTH_TOKEN $(cat /run/secrets/claude)"),
            "<NEW> <NEW>",
            "{name}: renewed"
        );
        lab.ok(&format!("keyslip revoke {id}"));
        let said = sandbox.exec("echo [$CLAUDE_CODE_OAUTH_TOKEN] $(cat /run/secrets/claude 2>/dev/null)");
        assert_eq!(said, "[]", "{name}: taken away");
        sandbox.end();
        lab.assert_nothing_left(name);
        lab.assert_rootfs_untouched(bundle);
        assert_eq!(lab.ok("find /run/runsc ! -type d"), "", "{name}: runsc's own state");
    }
}

#[test]
fn the_agents_own_file_is_renewed_in_a_sandbox() {
    for (tree, name) in DEBIANS {
        let Some(lab) = Lab::on(tree, &format!("{name}-file")) else { return };
        let login = |mark: &str| {
            let token = lab.token(mark);
            let expires = "4102444800000";
            lab.write("login", format!(r#"{{"claudeAiOauth":{{"accessToken":"{token}","expiresAt":{expires},"scopes":["user:inference"]}}}}"#).as_bytes());
            lab.ok(
                "mkdir -p -m 700 /root/.claude; install -m 600 $W/login /root/.claude/.credentials.json; rm $W/login",
            );
        };
        login("OLD");
        let sandbox = sandbox(&lab, "file", ".");
        sandbox.start();
        let show = "tr ',' '\\n' </root/.claude/.credentials.json | grep -o '<[A-Z]*>'";
        let seen = |sandbox: &Bare<'_>| {
            let said = sandbox.exec("cat /root/.claude/.credentials.json");
            let value: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
            value["claudeAiOauth"]["accessToken"].as_str().unwrap_or(show).to_owned()
        };
        assert_eq!(seen(&sandbox), "<OLD>", "{name}");
        login("NEW");
        lab.ok("keyslip sync");
        assert_eq!(seen(&sandbox), "<NEW>", "{name}: renewed");
        sandbox.end();
        lab.assert_nothing_left(name);
    }
}

#[test]
fn what_a_home_is_made_of_is_no_obstacle_to_a_sandbox() {
    for (tree, name) in DEBIANS {
        let Some(lab) = with_claude(tree, &format!("{name}-home")) else { return };
        let homes = [
            ("tmpfs", r#"{destination:"/home/dev",type:"tmpfs",source:"tmpfs",options:["mode=0777"]}"#),
            ("volume", r#"{destination:"/home/dev",type:"bind",source:"'$W'/home-of-dev",options:["bind","rw"]}"#),
        ];
        lab.ok("mkdir -p $W/home-of-dev; chown 1000:1000 $W/home-of-dev");
        for (what, mount) in homes {
            let mount = mount.replace("'$W'", &lab.path().display().to_string());
            let edit = format!(
                r#".process.user={{uid:1000,gid:1000}} | .process.env+=["HOME=/home/dev"] | .mounts+=[{mount}]"#
            );
            let sandbox = sandbox(&lab, what, &edit);
            sandbox.start();
            let said = sandbox.exec("cat ~/.claude.json; echo mine >~/work; cat ~/work /run/secrets/claude");
            assert_eq!(said, "{\"hasCompletedOnboarding\":true}mine\n<CLAUDE>", "{name}, {what}");
            sandbox.end();
            lab.assert_nothing_left(&format!("{name}, {what}"));
        }
        assert_eq!(lab.ok("cd $W/home-of-dev; find . -mindepth 1"), "./work", "{name}: left in the volume");
    }
}

#[test]
fn runs_and_failures_of_a_sandbox_leave_nothing() {
    for (tree, name) in DEBIANS {
        let Some(lab) = with_claude(tree, &format!("{name}-run")) else { return };
        let args = r#".process.args=["sh","-c","echo $CLAUDE_CODE_OAUTH_TOKEN $(cat /run/secrets/claude); exit 7"]"#;
        let Bare { shim, id, bundle, .. } = &sandbox(&lab, "run", args);
        let output = lab.sh(&format!("{shim} run --bundle {bundle} {id}"));
        assert_eq!((output.text(), output.code()), ("<CLAUDE> <CLAUDE>", Some(7)), "{name}: {output}");
        lab.assert_nothing_left(name);
        lab.assert_rootfs_untouched(bundle);
        let Bare { shim, id, bundle, .. } = &sandbox(&lab, "none", r#".process.args=["no-such-program"]"#);
        assert!(!lab.sh(&format!("{shim} run --bundle {bundle} {id}")).succeeded(), "{name}");
        lab.assert_nothing_left(name);
        // runsc finds out at `start`.
        lab.ok(&format!("{shim} create --bundle {bundle} {id}"));
        assert!(!lab.sh(&format!("{shim} start {id}")).succeeded(), "{name}");
        lab.ok(&format!("{shim} delete --force {id}"));
        lab.assert_nothing_left(name);
        lab.assert_rootfs_untouched(bundle);
    }
}

/// runsc runs these hooks before there is a root file system, and what is mounted into its process is not
/// in the container.
#[test]
fn with_a_hook_alone_a_sandbox_does_not_start() {
    for (tree, name) in DEBIANS {
        let Some(lab) = with_claude(tree, &format!("{name}-hook")) else { return };
        let hook = r#"[{path:"/usr/libexec/keyslip/keyslip-hook",args:["keyslip-hook","createRuntime","--engine","bare"],env:["PATH=/usr/bin"]}]"#;
        let mut sandbox = sandbox(&lab, "hook", &format!(".hooks={{createRuntime:{hook}}}"));
        sandbox.shim = RUNSC.to_owned();
        let output = sandbox.create();
        assert!(
            !output.succeeded() && output.stderr.contains("keyslip: container hook: cannot mount on"),
            "{name}: {output}"
        );
        lab.assert_nothing_left(name);
        lab.assert_rootfs_untouched(&sandbox.bundle);
    }
}
