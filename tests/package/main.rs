//! The package in clean trees of Debian, from installing to purging: the scripts `run` and `inside`.

use std::path::Path;
use std::process::Command;

#[track_caller]
fn works(part: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/package/run");
    let output = Command::new("timeout").arg("500").arg(script).arg(part).output().expect("tests/package/run starts");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    // Without root it says so.
    assert!(matches!(output.status.code(), Some(0 | 77)), "{part}: {}\n{said}", output.status);
}

#[test]
fn debian_12_is_as_before_once_the_package_is_purged() {
    works("12");
}

#[test]
fn debian_13_is_as_before_once_the_package_is_purged() {
    works("13");
}

#[test]
fn packages_are_the_same_bytes_when_they_are_made_again() {
    works("packages");
}
