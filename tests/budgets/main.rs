//! What the static programs may cost: they stand on every container's start.

use std::path::Path;
use std::process::Command;

fn repo() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_static_programs_are_static_and_small() {
    for name in ["keyslip-runtime", "keyslip-hook", "keyslip-launch"] {
        let program = repo().join("build/bin").join(name);
        let size = std::fs::metadata(&program).expect("`make build` comes before the tests").len();
        assert!(size < 2_000_000, "{name} has {size} bytes");
        let ldd = Command::new("ldd").arg(&program).output().unwrap();
        let said = String::from_utf8_lossy(&[ldd.stdout, ldd.stderr].concat()).into_owned();
        assert!(said.contains("statically linked") || said.contains("not a dynamic executable"), "{name}: {said}");
    }
}

#[test]
fn no_command_exceeds_its_instructions() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: the lab needs root");
        return;
    }
    let run = Command::new(repo().join("benches/instructions")).arg("--check").output().unwrap();
    let table = String::from_utf8_lossy(&run.stdout);
    println!("{table}");
    assert!(run.status.success(), "{table}{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(table.matches(" of ").count(), 10, "every command was measured: {table}");
}
