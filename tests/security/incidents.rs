//! What has happened to others: a test for each incident's kind, with its number.

use crate::host::Host;
use crate::lab::{Bare, Lab, RUNTIMES};
use crate::start::{Start, Way};
use crate::tally::{Counted, tally};

const CLAUDE: &str = r#".annotations={"dev.keyslip.agents":"claude"}"#;

/// Variables that steer programs, as a JSON array; `$w` is the lab. `evil` has programs, a library and somebody's login.
const HOSTILE: &str = r#"["LD_PRELOAD="+$w+"/evil/evil.so","LD_AUDIT="+$w+"/evil/evil.so","LD_LIBRARY_PATH="+$w+"/evil","GCONV_PATH="+$w+"/evil",
    "PATH="+$w+"/evil","HOME="+$w+"/evil","XDG_RUNTIME_DIR="+$w+"/evil","XDG_CONFIG_HOME="+$w+"/evil","RUST_LOG=trace","RUST_BACKTRACE=full",
    "DBUS_SESSION_BUS_ADDRESS=unix:path="+$w+"/evil/bus","CLAUDE_CONFIG_DIR="+$w+"/evil/.claude","KEYSLIP_CONFIG="+$w+"/evil"]"#;

/// A lab whose logins come from a helper that notes its environment.
fn with_evil(name: &str) -> Option<Lab> {
    let lab = Lab::new(name)?;
    lab.mark("EVIL", "sk-ant-oat01-FAKE-evil");
    lab.ok(r#"mkdir -p $W/evil/.claude; cd $W/evil
        gcc -shared -fPIC -O1 -DLOG="\"$W/loaded\"" -o evil.so $REPO/tests/security/evil.c
        for program in keyslip sh bash env cat crun runc; do printf '#!/bin/sh\necho %s >>%s/loaded\n' "by-name-$program" $W >$program; done; chmod 755 *
        echo '{"claudeAiOauth":{"accessToken":"sk-ant-oat01-FAKE-evil","refreshToken":"","expiresAt":4102444800000,"scopes":["user:inference"]}}' >.claude/.credentials.json; chmod 600 .claude/.credentials.json
        cp evil.so libc.so.6"#);
    Some(lab)
}

/// Has a helper give the login, whose script looks `env` up by its name.
fn helper(lab: &Lab) {
    let token = lab.token("CLAUDE");
    lab.write("/etc/keyslip/helper", b"#!/usr/bin/env sh\nenv >>$W/helper-env\ncat /etc/keyslip/token\n");
    lab.write("/etc/keyslip/token", token.as_bytes());
    lab.ok("sed -i \"s#\\$W#$W#\" /etc/keyslip/helper; chmod 700 /etc/keyslip/helper; chmod 600 /etc/keyslip/token");
    lab.configure(
        "[store]\nbackend = \"command\"\n[store.command]\nargv = [\"/etc/keyslip/helper\"]\noutput = \"text\"\n",
    );
}

/// A bundle with both hooks, whose hooks have the hostile environment and whose process has it too.
fn hostile_bundle(lab: &Lab, name: &str, hooks: bool) -> String {
    let hook = |stage: &str| {
        format!(
            r#"[{{path:"/usr/libexec/keyslip/keyslip-hook",args:["keyslip-hook","{stage}","--engine","bare"],env:$hostile,timeout:20}}]"#
        )
    };
    let hooks = match hooks {
        true => format!(".hooks={{createRuntime:{},poststop:{}}}", hook("createRuntime"), hook("poststop")),
        false => ".".to_owned(),
    };
    let w = lab.path().display();
    lab.bundle(name, &format!(r#"("{w}" as $w | {HOSTILE}) as $hostile | {CLAUDE} | .process.args=["/bin/sleep","1000"] | .process.env+=$hostile | {hooks}"#))
}

#[test]
fn cve_2025_23266_the_environment_of_a_container_steers_nothing_of_ours() {
    let Some(lab) = with_evil("cve-2025-23266") else { return };
    let mut tried = 0;
    for with_helper in [true, false] {
        if with_helper {
            helper(&lab)
        } else {
            lab.configure("")
        }
        let has = if with_helper { "<CLAUDE>" } else { "" };
        for runtime in RUNTIMES {
            for hooks in [false, true] {
                let what = format!("{runtime}, hooks {hooks}, helper {with_helper}");
                let bundle = hostile_bundle(&lab, &format!("{runtime}-{hooks}-{with_helper}"), hooks);
                let mut container = Bare::new(&lab, runtime, &format!("{runtime}{hooks}{with_helper}"), &bundle);
                if hooks {
                    // Where the files of a hostile image lie.
                    container.shim = format!("env -C $W/evil {runtime}");
                }
                container.start();
                let seen = lab
                    .ok(&format!("{runtime} exec {} /bin/cat /run/secrets/claude 2>/dev/null || true", container.id));
                assert_eq!(seen, has, "{what}: somebody else's login, or none");
                container.end();
                lab.assert_nothing_left(&what);
                tried += 13;
            }
        }
        let said =
            lab.ok("cat $W/loaded $W/helper-env 2>/dev/null | grep -F -e evil -e by-name -e keyslip -e trace || true");
        assert_eq!(said, "", "helper {with_helper}: it was loaded, called or handed on");
    }
    assert_eq!(lab.ok("grep -c ^PATH= $W/helper-env"), "4", "the helper was asked");
    tally(Counted::Hostile, "cve-2025-23266", tried, tried);
}

#[test]
fn cve_2025_23266_what_an_engine_is_preloaded_with_is_not_loaded_by_what_reads_logins() {
    let Some(lab) = with_evil("cve-2025-23266-shim") else { return };
    helper(&lab);
    for runtime in RUNTIMES {
        let bundle = lab.bundle(runtime, CLAUDE);
        let mut container = Bare::new(&lab, runtime, runtime, &bundle);
        container.shim = format!("env LD_PRELOAD=$W/evil/evil.so LD_AUDIT=$W/evil/evil.so $BARE/{runtime}");
        container.start();
        container.end();
    }
    // The runtime itself is the engine's, and loads what the engine says.
    let loaded = lab.ok("sort -u $W/loaded");
    assert!(loaded.contains("crun"), "the library works: {loaded}");
    let ours: Vec<&str> =
        loaded.lines().filter(|line| line.contains("keyslip/keyslip") || line.contains("helper")).collect();
    assert_eq!(ours, [""; 0], "{loaded}");
}

/// What the descriptors of a process lead to, standard ones left out: `number target`.
fn descriptors(lab: &Lab, pid: &str) -> String {
    lab.ok(&format!(
        "for fd in /proc/{pid}/fd/*; do n=${{fd##*/}}; [ $n -lt 3 ] || echo $n $(readlink $fd); done | sort -n"
    ))
}

/// Starts a container and a process in it, from a shell with the descriptors 3 and 4, and says what both have; nothing if
/// it does not start.
fn descriptors_of(lab: &Lab, program: &str, count: &str, id: &str) -> Option<[String; 2]> {
    let bundle = lab.bundle(id, CLAUDE);
    let open = "ulimit -n 1024; exec 3<$W/three 4<$W/four";
    let created = lab.sh(&format!("{open}; {program} create {count} --pid-file $W/pid --bundle {bundle} {id}"));
    if !created.succeeded() {
        assert!(created.stderr.contains("preserved-fd"), "{program} {count}: {created}");
        lab.assert_nothing_left(id);
        return None;
    }
    lab.ok(&format!("{program} start {id}; until grep -q sleep /proc/$(cat $W/pid)/cmdline; do sleep 0.02; done"));
    let main = descriptors(lab, &lab.ok("cat $W/pid"));
    lab.ok(&format!(
        "jq -c '.process|.args=[\"sleep\",\"900\"]' {bundle}/config.json >$W/p.json; {open}
        {program} exec {count} --detach --pid-file $W/pid2 --process $W/p.json {id}; until grep -q 900 /proc/$(cat $W/pid2)/cmdline; do sleep 0.02; done"
    ));
    let exec = descriptors(lab, &lab.ok("cat $W/pid2"));
    lab.ok(&format!("{program} delete --force {id}"));
    for text in [&main, &exec] {
        assert!(!text.contains("memfd") && !text.contains("/run/keyslip"), "{program} {count}: {text}");
    }
    Some([main, exec])
}

#[test]
fn cve_2024_21626_no_descriptor_of_ours_or_of_the_host_is_in_a_container() {
    let Some(lab) = Lab::with_claude("cve-2024-21626") else { return };
    lab.ok("echo 3 >$W/three; echo 4 >$W/four");
    let mut tried = 0;
    for runtime in RUNTIMES {
        // As many as there are, more than there are, and so many that ours would be among them.
        for count in ["", "--preserve-fds 2", "--preserve-fds 40", "--preserve-fds 700"] {
            let ours = descriptors_of(&lab, &format!("$BARE/{runtime}"), count, &format!("{runtime}{tried}"));
            let plain = descriptors_of(&lab, runtime, count, &format!("{runtime}{tried}-plain"));
            assert_eq!(ours, plain, "{runtime} {count}: with the shim, and without");
            // runc refuses to preserve what is not there.
            assert!(ours.is_some() || runtime == "runc", "{runtime} {count}");
            tried += 1;
        }
    }
    tally(Counted::Hostile, "cve-2024-21626", tried, tried);
}

#[test]
fn cve_2024_21626_a_working_directory_by_descriptor_is_not_the_hosts() {
    let Some(lab) = Lab::with_claude("cve-2024-21626-cwd") else { return };
    let host = Host::new(&lab);
    let show = r#".process.args=["sh","-c","cat /proc/self/cwd/../../../../../../../..'$W'/host/dir/file; ls /proc/self/cwd/"]"#;
    let mut tried = 0;
    for runtime in RUNTIMES {
        for number in (3..14).chain(510..516) {
            let what = format!("{runtime} {number}");
            let id = format!("{runtime}{number}");
            let show = show.replace("'$W'", &lab.path().display().to_string());
            let bundle = lab.bundle(&id, &format!(r#"{CLAUDE} | {show} | .process.cwd="/proc/self/fd/{number}""#));
            host.arm();
            let output = lab.sh(&format!("$BARE/{runtime} run --bundle {bundle} {id} </dev/null"));
            assert!(!output.stdout.contains("HOST-ONLY"), "{what}: {output}");
            lab.sh(&format!("$BARE/{runtime} delete --force {id}; rm -rf {bundle}"));
            assert_eq!(host.touched(), "", "{what}: the host was touched");
            lab.assert_nothing_left(&what);
            tried += 1;
        }
    }
    tally(Counted::Hostile, "cve-2024-21626-cwd", tried, tried);
}

#[test]
fn cve_2020_5260_no_newline_reaches_a_credential_helper() {
    let Some(lab) = Lab::new("cve-2020-5260") else { return };
    lab.write("/etc/keyslip/helper", b"#!/bin/sh\necho \"$# $*\" >>LOG\ncat >>LOG\necho sk-ant-oat01-FAKE\n");
    lab.ok("sed -i \"s#LOG#$W/asked#\" /etc/keyslip/helper; chmod 700 /etc/keyslip/helper; : >$W/asked");
    lab.configure(
        "[store]\nbackend = \"command\"\n[store.command]\nargv = [\"/etc/keyslip/helper\", \"{agent}\", \"{account}\"]\noutput = \"text\"\n[[allow]]\nagents = [\"claude\"]\naccounts = [\"*\"]\n",
    );
    let names = [
        r"work\nhost=x",
        r"work\r\nhost=x",
        r"work\u000bhost=x",
        r"work\u0085host",
        r"work\u2028host",
        r"work\u0000host",
        r"work%0ahost",
        r"work=x",
    ];
    let secret = "0123456789abcdef0123456789abcdef";
    let mut tried = 0;
    for runtime in RUNTIMES {
        for name in names {
            let device = format!(
                r#".hooks={{createRuntime:[{{path:"/usr/libexec/keyslip/keyslip-hook",args:["keyslip-hook","createRuntime","--engine","bare","--device","claude.{name}"]}}]}}"#
            );
            let mount = |dir: &str| {
                format!(
                    r#".mounts+=[{{destination:"/request",type:"bind",source:"/run/keyslip/request/{dir}claude@{name}",options:["bind"]}}]"#
                )
            };
            for (way, edit) in [
                ("annotation", format!(r#".annotations={{"dev.keyslip.agents":"claude@{name}"}}"#)),
                ("mount", mount("")),
                ("secret mount", mount(&format!("{secret}/"))),
                ("device", device),
            ] {
                let what = format!("{runtime} {way} {name}");
                let bundle = lab.bundle("b", &edit);
                let program = if way == "device" { runtime.to_owned() } else { format!("$BARE/{runtime}") };
                let output = lab.sh(&format!("timeout 20 {program} create --bundle {bundle} b"));
                assert!(!output.succeeded() && output.code() != Some(124), "{what}: {output}");
                lab.ok(&format!("{runtime} delete --force b 2>/dev/null || true; rm -rf {bundle}"));
                assert_eq!(lab.ok("cat $W/asked"), "", "{what}: the helper was asked");
                tried += 1;
            }
        }
    }
    let container =
        Bare::new(&lab, "crun", "good", &lab.bundle("good", r#".annotations={"dev.keyslip.agents":"claude@work"}"#));
    container.start();
    container.end();
    let question = r#"{"account":"work","agent":"claude","operation":"get","version":1}"#;
    assert_eq!(lab.ok("cat $W/asked"), format!("2 claude work\n{question}"));
    tally(Counted::Hostile, "cve-2020-5260", tried, tried);
}

#[test]
fn cve_2024_3154_nothing_that_a_container_says_becomes_an_annotation_or_a_hook() {
    let Some(lab) = Lab::new("cve-2024-3154") else { return };
    let inject = r#"x","options":["bind"]}],"annotations":{"org.systemd.property.ExecStopPost":"[('/bin/sh')]"},"hooks":{"poststop":[{"path":"/bin/false"}]},"mounts":[{"destination":"/y"#;
    let quoted = serde_json::to_string(inject).expect("JSON");
    lab.login("claude", &lab.token("CLAUDE"));
    lab.mark("CODEX", "sk-FAKE-injected");
    lab.login("codex", "sk-FAKE-injected");
    // A value of a secret that becomes a variable.
    lab.write("/etc/keyslip/key", inject.as_bytes());
    lab.configure("[secrets]\nkey = \"/etc/keyslip/key\"\n[templates.t.agents.gemini]\nsecret_name = \"key\"\nauth_env_var = \"GEMINI_API_KEY\"\n");
    let said = [
        format!(r#".process.env+=["HOME=/"+{quoted}]"#),
        format!(r#".process.env+=["HOME=/root","CODEX_HOME=/"+{quoted},"CLAUDE_CONFIG_DIR=/z"+{quoted}]"#),
        format!(r#".process.env+=["HOME=/root"] | .annotations["dev.keyslip.sandbox"]={quoted}"#),
        r#".process.env+=["HOME=/root"] | .annotations["dev.keyslip.template"]="t""#.to_owned(),
        r#".process.env+=["HOME=/root/link"]"#.to_owned(),
    ];
    for runtime in RUNTIMES {
        for (number, edit) in said.iter().enumerate() {
            let what = format!("{runtime}: {edit}");
            let id = format!("{runtime}{number}");
            let bundle = lab
                .bundle(&id, &format!(r#".annotations={{"dev.keyslip.agents":"claude codex","other":"x"}} | {edit}"#));
            lab.write("target", inject.as_bytes());
            lab.ok(&format!("ln -s \"$(tr / _ <$W/target)\" {bundle}/rootfs/root/link"));
            let container = Bare::new(&lab, runtime, &id, &bundle);
            container.start();
            // What the runtime was given, without what Keyslip may add, is what the engine wrote.
            let given = if runtime == "crun" {
                format!("/run/crun/{id}/config.json")
            } else {
                "/run/keyslip/sandbox/*/*/bundle/config.json".to_owned()
            };
            let tidy = "jq -S 'del(.annotations[\"dev.keyslip.sandbox\"],.mounts,.process.env,.root.path)'";
            lab.ok(&format!("{tidy} {given} >$W/given; {tidy} {bundle}/config.json | diff - $W/given"));
            let added = lab.ok(&format!(
                "jq -c --slurpfile old {bundle}/config.json '.mounts - $old[0].mounts | map(.source) | .[]' {given}"
            ));
            assert!(
                !added.is_empty() && added.lines().all(|source| source.starts_with("\"/run/keyslip/sandbox/")),
                "{what}: {added}"
            );
            let sandbox = lab.ok(&format!("jq -r '.annotations[\"dev.keyslip.sandbox\"]' {given}"));
            assert!(sandbox.len() == 32 && sandbox.bytes().all(|b| b.is_ascii_hexdigit()), "{what}: {sandbox}");
            container.end();
            lab.assert_nothing_left(&what);
        }
    }
    tally(Counted::Hostile, "cve-2024-3154", 2 * said.len(), 2 * said.len());
}

#[test]
fn a_file_that_hooks_are_teed_to_has_no_credential() {
    let Some(lab) = Lab::new("tee") else { return };
    let token = lab.token("CLAUDE");
    lab.login("claude", &token);
    for way in [Way::CreateRuntime, Way::Precreate, Way::Device] {
        let start = Start::again(&lab, way);
        for (what, more) in [("starts", "."), ("fails", r#".annotations["dev.keyslip.user"]="nobody-here""#)] {
            let w = lab.path().display();
            start.prepare_with("crun", "true", &format!(
                r#".annotations["run.oci.hooks.stdout"]="{w}/tee.out" | .annotations["run.oci.hooks.stderr"]="{w}/tee.err" | {more}"#
            ));
            start.run("crun");
            lab.ok("test -e $W/tee.out -a -e $W/tee.err");
            assert_eq!(lab.leaks(&["$W/tee.out", "$W/tee.err"], &token), [""; 0], "{way:?} {what}");
            assert_eq!(lab.ok("cat $W/tee.out"), "", "{way:?} {what}");
        }
    }
    tally(Counted::Searched, "tee", 12, 12);
}
