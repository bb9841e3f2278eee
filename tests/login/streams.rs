//! What passes between the user and a program.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::driver::{self, Role};
use crate::outer::{Outer, gone};

/// What is between two words in the other process's output.
#[track_caller]
fn between<'a>(seen: &'a [u8], from: &str, to: &str) -> &'a [u8] {
    let find = |text: &[u8], word: &str| memchr::memmem::find(text, word.as_bytes());
    let start = find(seen, from).expect(from) + from.len();
    let length = find(&seen[start..], to).expect(to);
    &seen[start..start + length]
}

/// The number that a script printed as `pid=NUMBER;`.
#[track_caller]
fn pid(outer: &Outer) -> String {
    String::from_utf8(between(&outer.seen, "pid=", ";").to_vec()).expect("a number")
}

#[test]
fn without_a_terminal_it_works_as_well() {
    driver::act();
    let dir = tempfile::tempdir().expect("a directory");
    let result = dir.path().join("result");
    let script = r#"stty size; read line; echo "got $line"; cat; echo over; exit 7"#;
    let mut child = driver::command(Role::Run, &["sh", "-c", script], &result)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("a pipe").write_all(b"one\ntwo\n").expect("it is read");
    let output = child.wait_with_output().expect("its end");
    let text = String::from_utf8_lossy(&output.stdout);
    for part in ["24 400\r\n", "got one\r\n", "over\r\n"] {
        assert!(text.contains(part), "{part:?}: {text:?}");
    }
    assert_eq!(fs::read_to_string(result).expect("a result"), "exit status: 7");
}

#[test]
fn nobody_at_all_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let result = dir.path().join("result");
    let start = Instant::now();
    // The input is over at once, and the session is not.
    let output = driver::command(Role::Run, &["sh", "-c", "cat; sleep 0.5; echo end"], &result)
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("end\r\n"));
    assert!(start.elapsed() >= Duration::from_millis(500));
    assert_eq!(fs::read_to_string(result).expect("a result"), "exit status: 0");
}

#[test]
fn everything_typed_arrives_unchanged() {
    let mut typed: Vec<u8> = (0..=255).collect();
    typed.extend_from_slice(b"\x1b[200~a#b\r\nc\x1b[201~\x03");
    let read = format!("dd bs=1 count={} 2>/dev/null | od -An -v -tx1 | tr -d ' \\n'", typed.len());
    let mut outer = Outer::script(Role::Run, &format!("stty raw -echo; printf READY; {read}; printf END"));
    outer.wait_for("READY");
    outer.types(&typed);
    outer.wait_for("END");
    let hex: String = typed.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(String::from_utf8_lossy(between(&outer.seen, "READY", "END")), hex);
    assert_eq!(outer.result(), "exit status: 0");
}

#[test]
fn everything_printed_arrives_unchanged() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("printed");
    let printed: Vec<u8> = (0..40_000_u32).map(|number| (number * 7 % 256) as u8).collect();
    fs::write(&file, &printed).expect("a file");
    let script = format!("stty raw; printf BEGIN; cat {}; printf END-OF-IT", file.display());
    let mut outer = Outer::script(Role::Run, &script);
    outer.wait_for("END-OF-IT");
    assert!(between(&outer.seen, "BEGIN", "END-OF-IT") == printed, "the bytes differ");
    assert_eq!(outer.result(), "exit status: 0");
}

#[test]
fn ctrl_c_is_for_the_program() {
    let mut outer =
        Outer::script(Role::Run, "trap 'echo caught; exit 3' INT; echo READY; while :; do sleep 0.05; done");
    outer.wait_for("READY");
    outer.types(b"\x03");
    outer.wait_for("caught");
    assert_eq!(outer.result(), "exit status: 3");
}

#[test]
fn a_program_that_takes_no_notice_of_ctrl_c_is_ended_by_the_third() {
    for key in ["\x03", "\x1b[99;5u"] {
        let script = "stty raw -echo; trap 'stty sane; exit 4' INT; echo READY; while :; do sleep 0.05; done";
        let mut outer = Outer::script(Role::Run, script);
        outer.wait_for("READY");
        outer.types(format!("{key}{key}x{key}{key}").as_bytes());
        std::thread::sleep(Duration::from_millis(300));
        outer.types(key.as_bytes());
        assert_eq!(outer.result(), "exit status: 4", "{key:?}");
    }
}

#[test]
fn the_program_follows_the_size_of_the_terminal() {
    // Bash may lose a signal that comes while it deals with one, so the size is also looked at.
    let script = r#"trap 'echo signal' WINCH; old=
        until read -t 0.05 line; do new=$(stty size); [ "$new" = "$old" ] || echo "$new."; old=$new; done; echo BYE"#;
    let mut outer = Outer::new(Role::Run, (31, 100), &[("COLUMNS", "80"), ("LINES", "9")], &["bash", "-c", script]);
    outer.wait_for("31 400.");
    outer.resize(50, 501);
    outer.wait_for("50 501.");
    outer.wait_for("signal");
    outer.resize(20, 40);
    outer.wait_for("20 400.");
    outer.types(b"x\r");
    outer.wait_for("BYE");
    assert_eq!(outer.result(), "exit status: 0");
    let mut outer = Outer::new(Role::Run, (24, 80), &[("COLUMNS", "80")], &["sh", "-c", "echo [$COLUMNS]"]);
    outer.wait_for("[]");
    outer.result();
}

#[test]
fn a_signal_ends_both_and_the_terminal_is_as_before() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        for trap in ["", "trap '' TERM INT HUP QUIT; "] {
            let mut outer =
                Outer::script(Role::Run, &format!("{trap}echo pid=$$\\;; echo READY; while :; do sleep 0.05; done"));
            outer.wait_for("READY");
            outer.signal(signal);
            let said = outer.result();
            assert!(said.contains(&format!("interrupted by signal {}", signal.as_raw())), "{said}");
            assert!(outer.text().ends_with("\x1b[0m") || trap.is_empty(), "{:?}", outer.text());
            gone(&pid(&outer));
        }
    }
}

#[test]
fn a_panic_leaves_the_terminal_as_before() {
    let mut outer = Outer::script(Role::Panic, "sleep 0.3; echo READY; sleep 60");
    let status = outer.ended();
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()));
}

#[test]
fn a_process_that_is_left_behind_keeps_nobody_waiting() {
    let talk = "i=0; while [ $i -lt 400 ] && echo x; do i=$((i+1)); sleep 0.02; done";
    // Its end hangs the terminal up, unless it is no longer the one that the terminal belongs to; only
    // root may take it away from somebody.
    let keep = if rustix::process::geteuid().is_root() { "setsid -c" } else { "" };
    for left in ["sleep 8", talk] {
        let script = format!("{keep} sh -c 'trap \"\" HUP; echo left; {left}' <&1 & sleep 0.3; echo READY");
        let mut outer = Outer::script(Role::Run, &script);
        outer.wait_for("READY");
        let start = Instant::now();
        assert_eq!(outer.result(), "exit status: 0");
        assert!(start.elapsed() < Duration::from_secs(6), "{left}: {:?}", start.elapsed());
        assert!(outer.text().contains("left\r\n"), "{:?}", outer.text());
    }
}

#[test]
fn a_slow_reader_gets_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    // A little more than a pipe holds is under way when the program ends.
    let script = "stty raw; head -c 67000 /dev/zero | tr '\\0' x; printf LAST";
    let mut child = driver::command(Role::Run, &["sh", "-c", script], &dir.path().join("result"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    std::thread::sleep(Duration::from_millis(1500));
    let mut seen = Vec::new();
    child.stdout.take().expect("a pipe").read_to_end(&mut seen).expect("it ends");
    child.wait().expect("its end");
    let end = String::from_utf8_lossy(&seen[seen.len().saturating_sub(40)..]).into_owned();
    assert!(seen.ends_with(b"xLAST"), "{} bytes, ending in {end:?}", seen.len());
    assert_eq!(seen.iter().rev().skip(4).take_while(|byte| **byte == b'x').count(), 67000);
}

#[test]
fn the_last_words_are_not_lost() {
    let mut outer = Outer::script(Role::Run, "stty raw; seq 1 5000; printf LAST");
    assert_eq!(outer.result(), "exit status: 0");
    assert!(outer.text().contains("5000\nLAST"));
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let mut outer = Outer::new(Role::Run, (24, 80), &[], &["no-such-client", "setup-token"]);
    let said = outer.result();
    assert!(said.starts_with("no-such-client was not found in PATH") && said.contains("--method paste"), "{said}");
    let mut outer = Outer::new(Role::Run, (24, 80), &[], &["/etc/passwd"]);
    let said = outer.result();
    assert!(said.starts_with("/etc/passwd cannot be started"), "{said}");
}

#[test]
fn a_closed_output_ends_the_program() {
    let dir = tempfile::tempdir().expect("a directory");
    let (result, ready) = (dir.path().join("result"), dir.path().join("pid"));
    let script = format!("echo $$ >{}; trap '' HUP; while echo x; do sleep 0.02; done; sleep 60", ready.display());
    let mut child = driver::command(Role::Run, &["sh", "-c", &script], &result)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut output = child.stdout.take().expect("a pipe");
    let mut seen = Vec::new();
    while !seen.ends_with(b"x\r\n") {
        let mut byte = [0_u8; 1];
        output.read_exact(&mut byte).expect("it prints");
        seen.push(byte[0]);
    }
    drop(output);
    child.wait().expect("its end");
    let said = fs::read_to_string(result).expect("a result");
    assert!(said.contains("cannot be shown") && said.contains("nothing was stored"), "{said}");
    gone(fs::read_to_string(ready).expect("a number").trim());
}
