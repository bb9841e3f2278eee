//! Least privilege, seen from outside: what our programs may do while they hold a secret or wait, what others can
//! see of them, and what the programs below them get.

use crate::held::{CLEAN_UP, DELIVER, Held};
use crate::lab::{Bare, Lab, RUNTIMES};

const ASKS: &str = r#".annotations={"dev.keyslip.agents":"claude"}"#;

/// In front of the real runtime, for one command: writes down what it has got, and waits until `$W/gate` is
/// written to.
fn hold_runtime(lab: &Lab, runtime: &str, command: &str) {
    lab.write(
        "hold",
        format!(
            "#!/bin/sh\ncase \" $* \" in *' {command} '*)
                grep -E '^(Cap|NoNewPrivs|Seccomp|Groups)' /proc/$$/status >{w}/given; cat /proc/$$/limits >>{w}/given
                echo $$ >{w}/held.new; mv {w}/held.new {w}/held; read line <{w}/gate;; esac\nexec $(command -v {runtime}) \"$@\"\n",
            w = lab.path().display()
        )
        .as_bytes(),
    );
    lab.ok(&format!(
        "chmod 755 $W/hold; [ -p $W/gate ] || mkfifo $W/gate; chmod 666 $W/gate; ln -sfn $W/hold $BARE/{runtime}.real"
    ));
}

/// Starts a script that will be held.
fn start(lab: &Lab, script: &str) {
    lab.write("started", script.as_bytes());
    lab.ok(
        "rm -f $W/ended; (c=0; setsid bash -eu $W/started >$W/said 2>&1 </dev/null || c=$?; echo $c >$W/ended) >/dev/null 2>&1 &",
    );
}

/// Lets what is held go on, and waits for the end of it; its exit code.
#[track_caller]
fn let_go(lab: &Lab) -> String {
    lab.ok("echo >$W/gate; for i in $(seq 500); do [ -s $W/ended ] && break; sleep 0.02; done; cat $W/ended")
}

/// A credential helper that waits, with its number in `$W/held`; for root or for the ordinary user.
fn waiting_helper(lab: &Lab, token: &str, directory: &str) {
    let w = lab.path().display().to_string();
    let path = format!("{directory}/helper");
    lab.write(
        &path,
        format!("#!/bin/sh\necho $$ >{w}/pids/new; mv {w}/pids/new {w}/pids/held; read line <{w}/gate; printf '{{\"credential\": \"{token}\"}}'\n")
            .as_bytes(),
    );
    lab.ok(&format!(
        "chmod 755 {path}; mkdir -p $W/pids; chmod 777 $W/pids; [ -p $W/gate ] || mkfifo $W/gate; chmod 666 $W/gate"
    ));
    lab.write(
        &format!("{directory}/keyslip.toml"),
        format!("[engines.podman]\ntrust_annotations = true\n[store]\nbackend = \"command\"\n[store.command]\nargv = [\"{path}\"]\ntimeout_seconds = 20\n").as_bytes(),
    );
}

#[test]
fn while_the_runtime_makes_a_container_the_shim_has_little_left_and_remembers_no_credential() {
    let Some(lab) = Lab::new("faults-waiting") else { return };
    let token = lab.token("CLAUDE");
    lab.login("claude", &token);
    // Whoever has it in its memory is found with it.
    lab.write("control", format!("X={token} sh -c 'echo $$ >$W/held; read line <$W/gate'\n").as_bytes());
    lab.ok("mkfifo $W/gate; setsid bash $W/control >/dev/null 2>&1 </dev/null &");
    assert!(!Held::by(&lab, "held").remembers(&token).is_empty(), "the search finds nothing");
    lab.ok("echo >$W/gate");
    for runtime in RUNTIMES {
        hold_runtime(&lab, runtime, "create");
        let container = Bare::new(&lab, runtime, &format!("{runtime}-w"), &lab.bundle(runtime, ASKS));
        start(
            &lab,
            &format!("ulimit -c unlimited; {} create --bundle {} {}", container.shim, container.bundle, container.id),
        );
        let shim = Held::by(&lab, "held").parent();
        let bounding = shim.capabilities("CapBnd");
        assert_eq!(shim.status("Name"), runtime);
        for set in ["CapPrm", "CapEff"] {
            assert_eq!(shim.capabilities(set), CLEAN_UP & bounding, "{runtime} {set}");
        }
        assert_eq!(bounding, Held(std::process::id().cast_signed()).capabilities("CapBnd"), "{runtime}");
        assert_eq!((shim.core_limit().as_str(), shim.status("NoNewPrivs").as_str()), ("0", "0"), "{runtime}");
        assert_eq!(shim.remembers(&token), [""; 0], "{runtime}: the credential is still in its memory");
        assert_eq!(let_go(&lab), "0", "{runtime}: {}", lab.ok("cat $W/said"));
        lab.ok(&format!("{} start {}", container.shim, container.id));
        assert!(container.main_env().contains("CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>"), "{runtime}");
        hold_runtime(&lab, runtime, "delete");
        start(&lab, &format!("{} delete --force {}", container.shim, container.id));
        let shim = Held::by(&lab, "held").parent();
        assert_eq!(shim.capabilities("CapPrm"), CLEAN_UP & bounding, "{runtime}: delete");
        assert_eq!(let_go(&lab), "0", "{runtime}: {}", lab.ok("cat $W/said"));
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&container.bundle);
    }
}

#[test]
fn the_runtime_below_gets_every_privilege_and_limit_that_the_engine_gave() {
    let Some(lab) = Lab::with_claude("faults-given") else { return };
    for runtime in RUNTIMES {
        let container = Bare::started(&lab, runtime, "");
        let asks = lab.bundle(&format!("{runtime}-asks"), ASKS);
        let process = format!("{}/process.json", container.bundle);
        lab.ok(&format!("jq -c .process {asks}/config.json >{process}"));
        for (command, call) in [
            ("create", format!("create --bundle {asks} {runtime}-g")),
            ("delete", format!("delete {runtime}-g")),
            ("exec", format!("exec --process {process} --detach {}", container.id)),
        ] {
            hold_runtime(&lab, runtime, command);
            let given = |program: &str, limit: &str| {
                // As a daemon may be started that keeps some of its privileges for others.
                start(
                    &lab,
                    &format!(
                        "ulimit -S -c {limit}; setpriv --inh-caps +net_raw,+chown --ambient-caps +net_raw {program} {call} || true"
                    ),
                );
                Held::by(&lab, "held");
                let given = lab.ok("cat $W/given");
                let_go(&lab);
                given
            };
            for limit in ["unlimited", "7", "0"] {
                let direct = given("$W/hold", limit);
                if command == "create" {
                    lab.ok(&format!("{runtime} delete --force {runtime}-g"));
                }
                assert!(direct.contains("CapAmb:\t0000000000002000"), "{direct}");
                assert_eq!(given(&format!("$BARE/{runtime}"), limit), direct, "{runtime} {command} with {limit}");
                if command == "create" && limit != "0" {
                    lab.ok(&format!("$BARE/{runtime} delete --force {runtime}-g"));
                }
            }
        }
        lab.ok(&format!(
            "ln -sfn $(command -v {runtime}) $BARE/{runtime}.real; $BARE/{runtime} delete --force {runtime}-g || true"
        ));
        container.end();
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn what_asks_a_helper_for_root_has_only_what_it_needs() {
    let Some(lab) = Lab::new("faults-asking") else { return };
    waiting_helper(&lab, &lab.token("CLAUDE"), "/etc/keyslip");
    let bundle = lab.bundle("b", &format!(r#"{ASKS} | .root.path="{}/b/rootfs""#, lab.path().display()));
    for (name, call, gains) in [
        ("shim", format!("$BARE/crun create --bundle {bundle} k"), "0"),
        (
            "hook",
            format!("/usr/libexec/keyslip/keyslip-hook precreate --engine podman <{bundle}/config.json >/dev/null"),
            "1",
        ),
    ] {
        start(&lab, &format!("ulimit -c unlimited; {call}"));
        let helper = Held::by(&lab, "pids/held");
        let (asker, ours) = (helper.parent(), helper.parent().parent());
        assert_eq!(ours.capabilities("CapPrm"), DELIVER & ours.capabilities("CapBnd"), "{name}");
        assert_eq!(ours.capabilities("CapEff"), DELIVER & ours.capabilities("CapBnd"), "{name}");
        assert_eq!(ours.status("NoNewPrivs"), gains, "{name}");
        for process in [&ours, &asker, &helper] {
            assert_eq!(process.core_limit(), "0", "{name}");
        }
        for process in [&asker, &helper] {
            assert_eq!(process.status("NoNewPrivs"), "1", "{name}: the helper");
        }
        assert_eq!(let_go(&lab), "0", "{name}: {}", lab.ok("cat $W/said"));
        lab.ok("$BARE/crun delete --force k || true");
    }
    // poststop has nobody to ask; it waits for the lock of the mountpoints.
    lab.ok(&format!(
        r#"{}; age 181; keyslip sweep; jq -c '.annotations={{"dev.keyslip.agents":"claude"}}' {bundle}/config.json >$W/new; cp $W/new {bundle}/config.json"#,
        crate::AGE
    ));
    lab.write(
        "state",
        br#"{"ociVersion":"1.0.2","id":"k","bundle":"BUNDLE","annotations":{"dev.keyslip.sandbox":"ID"}}"#,
    );
    start(&lab, &format!("/usr/libexec/keyslip/keyslip-hook precreate --engine podman <{bundle}/config.json >$W/spec"));
    Held::by(&lab, "pids/held");
    assert_eq!(let_go(&lab), "0");
    lab.ok(&format!(
        r#"id=$(jq -r '.annotations["dev.keyslip.sandbox"]' $W/spec); sed -i "s#ID#$id#; s#BUNDLE#{bundle}#" $W/state
        r=$(echo /run/keyslip/sandbox/*/$id/record.json); jq -c '.container="k"' $r >$W/new; cat $W/new >$r"#
    ));
    start(
        &lab,
        "exec 8</run/keyslip/use; flock 8; (exec 8<&-; sh -c 'echo $$ >$W/pids/held; exec /usr/libexec/keyslip/keyslip-hook poststop --engine podman' <$W/state) & read line <$W/gate; exec 8<&-; wait $!",
    );
    let hook = Held::by(&lab, "pids/held");
    for _ in 0..500 {
        if hook.status("NoNewPrivs") == "1" && hook.capabilities("CapPrm") == CLEAN_UP & hook.capabilities("CapBnd") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(hook.status("NoNewPrivs"), "1", "poststop");
    assert_eq!(hook.capabilities("CapPrm"), CLEAN_UP & hook.capabilities("CapBnd"), "poststop");
    assert_eq!(let_go(&lab), "0", "{}", lab.ok("cat $W/said"));
    lab.assert_nothing_left("poststop");
}

#[test]
fn another_process_of_the_same_user_cannot_look_into_ours() {
    let Some(lab) = Lab::new("faults-looking") else { return };
    let token = lab.token("CLAUDE");
    waiting_helper(&lab, &token, "/home/labuser/.config/keyslip");
    let bundle = lab.bundle("b", &format!(r#"{ASKS} | .root.path="{}/b/rootfs""#, lab.path().display()));
    lab.ok(&format!(
        "chown -R labuser: {bundle} /home/labuser; sleep 1000 >/dev/null 2>&1 </dev/null & echo $! >$W/held"
    ));
    // As podman has it for this user, who has no rights over other ids here.
    lab.ok(&format!(
        r#"jq -c '.linux.namespaces+=[{{type:"user"}}]
            | .linux.uidMappings=[{{containerID:0,hostID:4100,size:1}}] | .linux.gidMappings=.linux.uidMappings' {bundle}/config.json >$W/mapped.json"#
    ));
    let user = |script: &str| {
        lab.write("users", script.as_bytes());
        lab.ok("chmod 644 $W/users");
        let environment = "HOME=/home/labuser XDG_RUNTIME_DIR=/run/user/4100 W=$W BARE=$BARE PATH=$PATH";
        start(
            &lab,
            &format!(
                "cd /home/labuser; ulimit -c unlimited; setpriv --reuid 4100 --regid 4100 --init-groups env -i {environment} bash $W/users"
            ),
        );
    };
    user("sh -c 'echo $$ >$W/pids/held; read line <$W/gate'");
    let open = Held::by(&lab, "pids/held").seen_by_user(&lab);
    assert_eq!(open, ["environ", "maps", "auxv", "fd", "core.pid", "strace"], "the look sees nothing");
    let_go(&lab);
    for (name, script) in [
        ("shim", format!("$BARE/crun create --bundle {bundle} k || true")),
        (
            "hook",
            "/usr/libexec/keyslip/keyslip-hook precreate --engine podman --home $HOME <$W/mapped.json >/dev/null"
                .to_owned(),
        ),
    ] {
        user(&script);
        let asker = Held::by(&lab, "pids/held").parent();
        for (which, process) in [("the question", &asker), ("the program", &asker.parent())] {
            assert_eq!(process.status("Uid").split('\t').next(), Some("4100"), "{name}, {which}");
            assert_eq!(process.seen_by_user(&lab), [""; 0], "{name}, {which}");
        }
        assert_eq!(let_go(&lab), "0", "{name}: {}", lab.ok("cat $W/said"));
    }
    // A login that is being stored, and the launcher while it reads its variables.
    lab.ok("rm /home/labuser/.config/keyslip/keyslip.toml; mkdir -p /run/.keyslip; [ -p /run/.keyslip/env ] || mkfifo -m 644 /run/.keyslip/env");
    user("exec 5<>$W/gate; exec keyslip auth login claude --store file <$W/gate & echo $! >$W/pids/held; wait $!");
    let login = settled(&lab);
    assert_eq!(login.seen_by_user(&lab), [""; 0], "login");
    lab.ok(&format!("kill {}", login.0));
    user("/usr/libexec/keyslip/keyslip-launch sh -c 'ulimit -c' & echo $! >$W/pids/held; wait $!");
    let launcher = settled(&lab);
    assert_eq!((launcher.seen_by_user(&lab), launcher.core_limit().as_str()), (Vec::new(), "0"), "launcher");
    lab.ok("printf 'A=1\\0' >/run/.keyslip/env; for i in $(seq 200); do [ -s $W/ended ] && break; sleep 0.02; done");
    assert_eq!(lab.ok("cat $W/said"), "unlimited", "the command has the limit that the launcher was given");
}

/// A program that has become ours and waits.
fn settled(lab: &Lab) -> Held {
    let held = Held::by(lab, "pids/held");
    for _ in 0..200 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        if held.status("Name").starts_with("keyslip") && held.status("State").starts_with('S') {
            break;
        }
    }
    held
}

#[test]
fn a_crash_leaves_no_core_file() {
    let Some(lab) = Lab::new("faults-core") else { return };
    lab.login("claude", &lab.token("CLAUDE"));
    let bundle = lab.bundle("b", ASKS);
    lab.ok("mkdir $W/cores");
    let cores = || lab.ok("ls $W/cores");
    let crash = |process: &Held, signal: &str| {
        lab.ok(&format!(
            "kill -{signal} {}; for i in $(seq 200); do [ -s $W/ended ] && break; sleep 0.02; done",
            process.0
        ));
    };
    lab.ok("mkfifo $W/gate");
    start(&lab, "cd $W/cores; ulimit -c unlimited; sh -c 'echo $$ >$W/held; read line <$W/gate'");
    crash(&Held::by(&lab, "held"), "ABRT");
    let leaves_files = !cores().is_empty();
    if !leaves_files {
        println!("core files of this machine go elsewhere; only the limit is looked at");
    }
    lab.ok("rm -f $W/cores/*");
    hold_runtime(&lab, "crun", "create");
    for signal in ["SEGV", "ABRT", "QUIT"] {
        start(&lab, &format!("cd $W/cores; ulimit -c unlimited; $BARE/crun create --bundle {bundle} k || true"));
        let runtime = Held::by(&lab, "held");
        let shim = runtime.parent();
        assert_eq!(shim.core_limit(), "0", "{signal}");
        // Forwarded to the runtime below, which may leave one: it is not ours.
        if signal == "QUIT" {
            lab.ok(
                "echo >$W/gate; for i in $(seq 200); do [ -s $W/ended ] && break; sleep 0.02; done; rm -f $W/cores/*",
            );
            continue;
        }
        crash(&shim, signal);
        assert_eq!(cores(), "", "{signal}");
        lab.ok(&format!("kill -9 {}", runtime.0));
    }
    lab.ok(&format!(
        "ln -sfn $(command -v crun) $BARE/crun.real; $BARE/crun delete --force k || true; {}; age 61; keyslip sweep",
        crate::AGE
    ));
    lab.assert_nothing_left("crashes");
}

#[test]
fn nothing_is_looked_up_in_path_or_the_current_directory() {
    let Some(lab) = Lab::with_claude("faults-impostors") else { return };
    let names = "crun runc keyslip keyslip-runtime keyslip-hook keyslip-launch systemd-creds secret-tool sh cp mv rm mount umount \
        nsenter newuidmap newgidmap id getent security claude podman docker true cat logger";
    lab.ok(&format!(
        "mkdir -p $W/bad; chmod 777 $W/bad; printf '#!/bin/sh\\necho \"$0 $*\" >>%s/impostors\\nexit 1\\n' $W >$W/one; chmod 755 $W/one
        for n in {names}; do cp $W/one $W/bad/$n; cp $W/one $W/bad/$n.real; done; mkdir -p $W/bad/keyslip.d $W/bad/tokens
        printf '[store]\\nbackend = \"command\"\\n' >$W/bad/keyslip.toml; cp $W/bad/keyslip.toml $W/bad/.keyslip.toml"
    ));
    // What is found by such a name is called.
    lab.ok("cd $W/bad; PATH=$W/bad crun || true; grep -q crun $W/impostors; rm $W/impostors");
    let bundle = lab.bundle("b", ASKS);
    lab.ok("keyslip auth login codex --store encrypted <<<sk-FAKE-impostor");
    let at = "cd $W/bad; exec /usr/bin/env PATH=$W/bad LD_LIBRARY_PATH=$W/bad";
    let keyslip = "$REPO/build/bin/keyslip";
    for runtime in RUNTIMES {
        let sealed = lab.bundle(&format!("{runtime}-sealed"), r#".annotations={"dev.keyslip.agents":"claude,codex"}"#);
        let id = format!("{runtime}-i");
        for call in [
            format!("$BARE/{runtime} create --bundle {sealed} {id}"),
            format!("$BARE/{runtime} start {id}"),
            format!("$BARE/{runtime} exec {id} true"),
            format!("{keyslip} list"),
            format!("{keyslip} sync"),
            format!("{keyslip} revoke {id}"),
            format!("{keyslip} sweep"),
            format!("{keyslip} status"),
            format!("{keyslip} auth status"),
            format!("$BARE/{runtime} delete --force {id}"),
        ] {
            let output = lab.sh(&format!("({at} {call})"));
            assert!(output.succeeded(), "{call}: {output}");
            assert_eq!(lab.ok("cat $W/impostors 2>/dev/null || true"), "", "{call}");
        }
    }
    let hook = "/usr/libexec/keyslip/keyslip-hook";
    lab.ok(&format!("(jq -c '.root.path=\"{bundle}/rootfs\"' {bundle}/config.json >$W/c; {at} {hook} precreate --engine podman <$W/c >/dev/null)"));
    for call in [
        "auth login gemini --store encrypted <<<'{\"access_token\":\"FAKE\"}'",
        "auth login claude --store file <<<sk-ant-oat01-FAKE",
        "auth logout claude",
    ] {
        lab.sh(&format!("({at} {keyslip} {call})"));
        assert_eq!(lab.ok("cat $W/impostors 2>/dev/null || true"), "", "{call}");
    }
    lab.ok(&format!("{}; age 61; keyslip sweep", crate::AGE));
    lab.assert_nothing_left("impostors");
}
