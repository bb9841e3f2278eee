//! Without a request the shim is not there: the real runtime gets what the engine gave.

use crate::lab::{Bare, Lab, RUNTIMES};

/// A lab in which the runtimes below the shim are recorders, and a bundle that asks for nothing.
fn with_recorder(name: &str) -> Option<Lab> {
    let lab = Lab::with_claude(name)?;
    lab.write("recorder.c", include_bytes!("recorder.c"));
    lab.ok("cc -O1 -o $W/recorder $W/recorder.c");
    lab.bundle("plain", ".");
    lab.bundle("asks", r#".annotations={"dev.keyslip.agents":"claude"}"#);
    lab.ok("for r in crun runc; do ln -sfn $W/recorder $BARE/$r.real; done");
    Some(lab)
}

/// What the recorder saw of one call: by way of the shim, or called itself by the same path.
fn record(lab: &Lab, runtime: &str, arguments: &str, shim: bool) -> Vec<String> {
    let target = if shim { "../keyslip-runtime" } else { "$W/recorder" };
    let output = lab.sh(&format!(
        "ln -sfn {target} $BARE/{runtime}; cd $W/plain; umask 027; rm -f $W/record
        ulimit -n 1024; exec 3</etc/passwd 7>$W/seven 9<>$W/nine 4<&3
        env -i --block-signal=USR1,WINCH --ignore-signal=PIPE,HUP RECORD=$W/record EMPTY= _OCI_SYNCPIPE=3 \
            ODD=$'two\\nlines \\xff' $BARE/{runtime} {arguments} </dev/null"
    ));
    assert_eq!(output.code(), Some(37), "{runtime} {arguments}: the code of the runtime: {output}");
    assert_eq!(output.said(), "", "{runtime} {arguments}: something was said");
    lab.ok("cat $W/record")
        .lines()
        .filter(|line| !line.starts_with("fd 1 ") && !line.starts_with("fd 2 "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_runtime_gets_the_same_arguments_environment_descriptors_and_directory() {
    let Some(lab) = with_recorder("same") else { return };
    let calls = [
        "create --bundle $W/plain --pid-file $W/pid k",
        "--root /run/r --log=$W/log --log-format json --systemd-cgroup create --bundle=$W/plain --no-pivot k",
        "create -b $W/plain --console-socket $W/sock --preserve-fds 2 k",
        "create k",
        "run --bundle $W/plain k",
        "run -d k",
        "restore --image-path $W/image k",
        "start k",
        "state k",
        "kill --all k 9",
        "delete k",
        "delete --force k",
        "exec --process $W/plain/config.json k",
        "exec -e A=1 k sh -c ''",
        "features",
        "--version",
        "",
        "list -q",
        "pause k",
        "update --resources - k",
        "checkpoint --help",
        "create $'\\xff\\xfe' '' 'a b'",
        "unknown-command --unknown-option",
        "create --bundle $W/no-such-bundle k",
    ];
    for (number, call) in calls.into_iter().enumerate() {
        let runtime = RUNTIMES[number % 2];
        let direct = record(&lab, runtime, call, false);
        assert!(
            direct.iter().any(|line| line.starts_with("fd 9 ")) && direct.iter().any(|line| line.starts_with("SigBlk"))
        );
        assert_eq!(record(&lab, runtime, call, true), direct, "{runtime} {call}");
    }
    lab.assert_nothing_left("recorder");
}

#[test]
fn with_a_request_only_bundle_or_configuration_and_one_memory_file_differ() {
    let Some(lab) = with_recorder("differ") else { return };
    for runtime in RUNTIMES {
        let call = "--root /run/r create --bundle $W/asks --pid-file $W/pid k";
        let [direct, shim] = [false, true].map(|shim| record(&lab, runtime, call, shim));
        let more: Vec<&str> = shim.iter().filter(|line| !direct.contains(line)).map(String::as_str).collect();
        let less: Vec<&str> = direct.iter().filter(|line| !shim.contains(line)).map(String::as_str).collect();
        if runtime == "crun" {
            let memory = more.iter().find(|line| line.starts_with("fd ")).expect("a memory file");
            let number: u32 = memory.split(' ').nth(1).and_then(|number| number.parse().ok()).unwrap_or(0);
            assert!(number >= 512 && memory.contains("memfd:"), "{memory}");
            assert!(more.iter().any(|line| line.ends_with("/proc/self/fd/512")), "{more:?}");
            let arguments = |lines: &[String]| -> Vec<String> {
                let words = lines.iter().filter_map(|line| line.strip_prefix("arg ")?.split_once(' '));
                words
                    .map(|(_, word)| word.to_owned())
                    .filter(|word| word != "--config" && word != "/proc/self/fd/512")
                    .collect()
            };
            assert_eq!(arguments(&shim), arguments(&direct));
            assert!(more.iter().all(|line| line.starts_with("arg ") || line == memory), "{more:?}");
            assert!(less.iter().all(|line| line.starts_with("arg ")), "{less:?}");
        } else {
            assert!(matches!(more[..], [bundle] if bundle.starts_with("arg 5 /run/keyslip/sandbox/")), "{more:?}");
            assert!(matches!(less[..], [bundle] if bundle.starts_with("arg 5 ")), "{less:?}");
        }
        assert!(!more.concat().contains("<CLAUDE>"), "{runtime}: the credential is an argument");
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&lab.path().join("asks").display().to_string());
    }
}

#[test]
fn what_the_runtime_says_of_itself_and_of_containers_is_unchanged() {
    let Some(lab) = Lab::with_claude("says") else { return };
    for runtime in RUNTIMES {
        let bundle = lab.bundle(runtime, ".");
        let container = Bare::new(&lab, runtime, "plain", &bundle);
        container.start();
        for call in
            ["--version", "features", "--help", "list", "state plain", "ps plain", "start plain", "state no-such"]
        {
            let (shim, real) = (lab.sh(&format!("$BARE/{runtime} {call}")), lab.sh(&format!("{runtime} {call}")));
            assert_eq!(shim.code(), real.code(), "{runtime} {call}: {shim}");
            let clean = |text: &str| {
                text.replace("/usr/libexec/keyslip/bare/", "").replace("/usr/sbin/", "").replace("/usr/bin/", "")
            };
            // runc's lines begin with `time="…" level=`, crun's with `…Z: `.
            let from = |line: &str| match (line.find("level="), line.find("Z: ")) {
                (Some(level), _) => line[level..].to_owned(),
                (None, Some(time)) => line[time + 3..].to_owned(),
                // What `ps` says of processor use changes from one moment to the next.
                (None, None) if call.starts_with("ps") => line.split_whitespace().take(3).collect::<Vec<_>>().join(" "),
                (None, None) => line.to_owned(),
            };
            let timeless = |text: String| text.lines().map(from).collect::<Vec<_>>();
            assert_eq!(timeless(clean(&shim.said())), timeless(clean(&real.said())), "{runtime} {call}");
        }
        assert_eq!(container.exec("echo ${CLAUDE_CODE_OAUTH_TOKEN-none} $(ls /run)"), "none", "{runtime}");
        container.end();
        lab.assert_nothing_left(runtime);
        lab.assert_rootfs_untouched(&bundle);
    }
}

#[test]
fn another_wrapper_may_be_the_runtime_below() {
    let Some(lab) = Lab::with_claude("wrapper") else { return };
    for runtime in RUNTIMES {
        let log = lab.path().join("wrapper.log");
        let wrapper = format!("#!/bin/bash\necho \"$@\" >>{}\nexec {runtime} \"$@\"\n", log.display());
        lab.write("wrapper", wrapper.as_bytes());
        lab.ok(&format!("chmod 755 $W/wrapper; ln -sfn $W/wrapper $BARE/{runtime}.real"));
        let container = Bare::started(&lab, runtime, "");
        let shown = container.exec("echo $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/claude");
        assert_eq!(shown, "<CLAUDE>\n<CLAUDE>", "{runtime}");
        assert!(container.main_env().contains("<CLAUDE>"), "{runtime}: main process");
        container.end();
        let log = lab.ok("cat $W/wrapper.log; rm $W/wrapper.log");
        for verb in ["create", "start", "exec", "state", "kill", "delete"] {
            assert!(log.lines().any(|line| line.split(' ').any(|word| word == verb)), "{runtime} {verb}: {log}");
        }
        lab.assert_nothing_left(runtime);
    }
}
