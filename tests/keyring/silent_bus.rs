//! What listens at the bus's address is no bus. These need no lab and no root.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::{Duration, Instant};

use crate::driver::ask;

#[test]
fn a_socket_that_never_answers_is_given_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("bus");
    let listener = UnixListener::bind(&path).expect("a socket");
    let begin = Instant::now();
    let accepted = thread::spawn(move || listener.accept().map(|(stream, _)| (stream, listener)));
    let answer = ask(r#"["open"]"#, &path);
    assert!(answer.starts_with("TimedOut:"), "{answer}");
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    drop(accepted.join());
}

#[test]
fn a_socket_whose_queue_is_full_is_given_up_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("bus");
    let listener = UnixListener::bind(&path).expect("a socket");
    rustix::net::listen(&listener, 0).expect("a queue of one");
    let waiting = std::os::unix::net::UnixStream::connect(&path).expect("the one");
    let begin = Instant::now();
    let answer = ask(r#"["open"]"#, &path);
    assert!(answer.starts_with("TimedOut:"), "{answer}");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    drop((waiting, listener));
}

#[test]
fn a_bus_that_rejects_is_no_hang() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("bus");
    let listener = UnixListener::bind(&path).expect("a socket");
    let bus = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let mut lines = BufReader::new(stream.try_clone().expect("a copy"));
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            if (&stream).write_all(b"REJECTED ANONYMOUS\r\n").is_err() {
                break;
            }
        }
    });
    let answer = ask(r#"["open"]"#, &path);
    assert!(answer.starts_with("Refused:"), "{answer}");
    bus.join().expect("the stand-in ends with its client");
}

#[test]
fn a_bus_that_goes_away_is_no_hang() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("bus");
    let listener = UnixListener::bind(&path).expect("a socket");
    let bus = thread::spawn(move || drop(listener.accept()));
    let begin = Instant::now();
    let answer = ask(r#"["open"]"#, &path);
    assert!(answer.starts_with("Refused:") || answer.starts_with("Failed:"), "{answer}");
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    bus.join().expect("the stand-in");
}
