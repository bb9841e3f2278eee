use super::*;

fn with_call<T>(line: &str, check: impl FnOnce(&Call<'_>) -> T) -> T {
    let owned: Vec<CString> = line.split(' ').map(|arg| CString::new(arg).unwrap()).collect();
    let argv: Vec<&CStr> = owned.iter().map(CString::as_c_str).collect();
    let runtime = line.split(' ').next().unwrap();
    check(&Call::parse(runtime, &argv))
}

fn joined(argv: &[CString]) -> String {
    argv.iter().map(|arg| arg.to_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_spelling_of_the_bundle_is_read_and_replaced() {
    for (line, replaced) in [
        ("runc create --bundle /b k1", "runc create --bundle /new k1"),
        ("runc create --bundle=/b k1", "runc create --bundle=/new k1"),
        ("runc create -b /b k1", "runc create -b /new k1"),
        ("runc create -b=/b k1", "runc create -b=/new k1"),
        ("runc create -bundle /b k1", "runc create -bundle /new k1"),
        ("crun create -b/b k1", "crun create -b/new k1"),
        ("crun create -tb /b k1", "crun create -tb /new k1"),
        (
            "crun --root=/r --systemd-cgroup create --pid-file p --bundle /b --no-pivot k1",
            "crun --root=/r --systemd-cgroup create --pid-file p --bundle /new --no-pivot k1",
        ),
    ] {
        with_call(line, |call| {
            assert_eq!(call.command, Command::Create, "{line}");
            assert_eq!(call.bundle(), Path::new("/b"), "{line}");
            assert_eq!(call.container().unwrap(), "k1", "{line}");
            assert_eq!(joined(&call.with_bundle(Path::new("/new"))), replaced);
        });
    }
}

#[test]
fn two_dashes_before_the_verb_end_the_global_options() {
    with_call("crun --root /r -- create --bundle /b k1", |call| {
        assert_eq!((call.command, call.container().unwrap()), (Command::Create, OsStr::new("k1")));
        assert_eq!(call.bundle(), Path::new("/b"));
        assert_eq!(joined(&call.with_bundle(Path::new("/new"))), "crun --root /r -- create --bundle /new k1");
    });
    with_call("runc --", |call| assert_eq!(call.command, Command::Other));
}

#[test]
fn no_bundle_means_the_current_directory() {
    with_call("runc run k1", |call| {
        assert_eq!(call.bundle(), Path::new("."));
        assert_eq!(joined(&call.with_bundle(Path::new("/new"))), "runc run --bundle /new k1");
    });
}

#[test]
fn global_options_do_not_hide_the_verb() {
    for line in [
        "runc --root /run/docker/x --log /l.json --log-format json exec --process /p.json c1",
        "runc --root=/run/docker/x --log-format=json --log /l.json exec -p /p.json c1",
        "runc --root /run/docker/x --log=/l.json --debug exec --detach --process=/p.json --pid-file /x c1",
        "runc --root /run/docker/x --log /l.json --log-format=json --systemd-cgroup exec -d --process /p.json c1",
    ] {
        with_call(line, |call| {
            assert_eq!(call.command, Command::Exec, "{line}");
            assert_eq!(call.root().unwrap(), "/run/docker/x", "{line}");
            assert_eq!(call.log().unwrap(), Path::new("/l.json"), "{line}");
            assert_eq!(call.process().unwrap(), Path::new("/p.json"), "{line}");
            assert_eq!(call.container().unwrap(), "c1", "{line}");
        });
    }
}

#[test]
fn a_root_named_like_a_verb_is_not_the_verb() {
    with_call("runc --root create --log delete state k1", |call| {
        assert_eq!(call.command, Command::Other);
        assert_eq!(call.root().unwrap(), "create");
    });
}

#[test]
fn the_command_of_an_exec_is_not_read_as_our_options() {
    with_call("runc exec --cwd /w -t c1 sh --bundle /x --process /y", |call| {
        assert_eq!(call.container().unwrap(), "c1");
        assert_eq!(call.process(), None);
        assert_eq!(call.rest().len(), 5);
        let options: Vec<_> = call.verb_options().collect();
        assert_eq!(options, [(b"cwd".as_slice(), Some(OsStr::new("/w"))), (b"t".as_slice(), None)]);
    });
}

#[test]
fn an_exec_by_options_becomes_an_exec_by_file() {
    with_call("runc --root /r exec --env A=1 -t --pid-file /p --console-socket=/s c1 sh -c x", |call| {
        let out = call.exec_with_process(Path::new("/proc/self/fd/512"), &["pid-file", "console-socket"]);
        assert_eq!(
            joined(&out),
            "runc --root /r exec --process /proc/self/fd/512 --pid-file /p --console-socket /s c1"
        );
    });
}

#[test]
fn what_is_not_ours_is_left_unread() {
    for line in [
        "runc --version",
        "runc features",
        "runc",
        "runc update --resources - k1",
        "runc kill --all k1 9",
        "runc delete",
    ] {
        with_call(line, |call| {
            assert!(call.container().is_none() || call.command != Command::Create, "{line}");
            assert_eq!(call.argv().len(), line.split(' ').count());
        });
    }
}

#[test]
fn delete_may_be_forced_in_both_spellings() {
    for line in ["runc delete --force k1", "crun --root /r delete -f k1", "runc delete k1 --force"] {
        with_call(line, |call| {
            assert_eq!(call.command, Command::Delete, "{line}");
            assert_eq!(call.container().unwrap(), "k1", "{line}");
        });
    }
}

#[test]
fn the_options_of_runsc_are_its_own() {
    for line in [
        "runsc --root=/r --rootless --network none --file-access-mounts shared -overlay2 root:self exec --cwd /w \
         --internal-pid-file /i --pass-fd 3:3 --process /p.json --detach c1",
        "runsc -platform ptrace -root /r -ignore-cgroups exec -process=/p.json -internal-pid-file=/i -detach c1",
    ] {
        with_call(line, |call| {
            assert_eq!(call.command, Command::Exec, "{line}");
            assert_eq!(call.root().unwrap(), "/r", "{line}");
            assert_eq!(call.process().unwrap(), Path::new("/p.json"), "{line}");
            assert_eq!(call.container().unwrap(), "c1", "{line}");
        });
    }
    // runc's takes a value.
    with_call("runc --rootless auto create --bundle /b k1", |call| assert_eq!(call.command, Command::Create));
}

#[test]
fn the_short_options_of_youki_are_its_own() {
    with_call("youki -r /r -l /l.json -s create -p /pid -c /socket -b /b k1", |call| {
        assert_eq!((call.command, call.root().unwrap()), (Command::Create, OsStr::new("/r")));
        assert_eq!((call.log().unwrap(), call.pid_file().unwrap()), (Path::new("/l.json"), Path::new("/pid")));
        assert_eq!((call.bundle().as_path(), call.container().unwrap()), (Path::new("/b"), OsStr::new("k1")));
    });
    with_call("youki exec -p /p.json k1", |call| assert_eq!(call.process().unwrap(), Path::new("/p.json")));
    // crun's `-r` is a switch of `delete`.
    with_call("crun --root /r delete -r k.*", |call| {
        assert_eq!((call.root().unwrap(), call.container().unwrap()), (OsStr::new("/r"), OsStr::new("k.*")));
    });
}

#[test]
fn what_stands_before_the_verb_is_for_every_verb() {
    with_call("runsc --platform=ptrace --root /r create --bundle /b k1", |call| {
        let global: Vec<_> = call.global().iter().map(|arg| arg.to_str().unwrap()).collect();
        assert_eq!(global, ["runsc", "--platform=ptrace", "--root", "/r"]);
    });
}
