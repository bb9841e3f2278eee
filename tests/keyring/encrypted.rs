//! Sealing with the real systemd-creds, without a running systemd, in a lab with its own /var/lib.

use std::process::Command;

use crate::driver;
use crate::lab::Lab;

fn open(name: &str) -> Option<(Lab, String)> {
    let lab = Lab::new(name)?;
    driver::install(&lab);
    let token = lab.token("TOKEN");
    lab.write("token", token.as_bytes());
    Some((lab, token))
}

#[test]
fn root_seals_and_opens_under_the_same_name_alone() {
    let Some((lab, token)) = open("creds") else { return };
    let script = driver::script(
        &lab,
        r#"driver '["can-seal"]'
        driver '["seal","keyslip.claude.default"]' <$W/token >$W/sealed
        wc -l <$W/sealed
        driver '["unseal","keyslip.claude.default"]' <$W/sealed
        driver '["unseal","keyslip.codex.default"]' <$W/sealed"#,
    );
    let said = lab.ok(&script);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..3], ["true", "1", "<TOKEN>"], "{said}");
    assert!(lines[3].starts_with("systemd-creds cannot open keyslip.codex.default (exit code 1: "), "{said}");
    assert!(lines[3].contains("does not match"), "{said}");
    lab.ok("grep -qx '[A-Za-z0-9+/=]*' $W/sealed; rm $W/token");
    // Nothing but what came in holds it: not the sealed text, no file of systemd's.
    assert_eq!(lab.leaks(&["$W/sealed", "/var/lib/systemd", "/run", "/home", "/var/tmp"], &token), [""; 0]);
}

#[test]
fn what_was_tampered_with_is_refused() {
    let Some((lab, _)) = open("creds-tampered") else { return };
    let script = driver::script(
        &lab,
        r#"driver '["seal","a"]' <$W/token >$W/sealed
        base64 -d $W/sealed >$W/raw
        # One bit of the ciphertext.
        size=$(stat -c %s $W/raw); at=$((size - 20))
        byte=$(od -An -tu1 -j$at -N1 $W/raw)
        printf "\\x$(printf %02x $((byte ^ 1)))" | dd of=$W/raw bs=1 seek=$at conv=notrunc status=none
        base64 -w0 $W/raw | driver '["unseal","a"]'
        echo 'no base64 at all!' | driver '["unseal","a"]'
        # With the key of another host.
        rm /var/lib/systemd/credential.secret
        driver '["unseal","a"]' <$W/sealed"#,
    );
    let said = lab.ok(&script);
    assert_eq!(
        said.lines().filter(|line| line.starts_with("systemd-creds cannot open a (exit code 1")).count(),
        3,
        "{said}"
    );
    assert!(said.lines().all(|line| line.ends_with("log in again")), "{said}");
    assert!(!said.contains("<TOKEN>"), "{said}");
}

#[test]
fn users_are_told_when_systemd_is_too_old_for_them() {
    let Some((lab, _)) = open("creds-user") else { return };
    let script = driver::script(
        &lab,
        r#"systemd-creds --version | sed -n '1s/systemd \([0-9]*\).*/\1/p'
        driver '["can-seal"]'
        driver '["seal","a"]' <$W/token"#,
    );
    let said = lab.as_user(&script);
    let lines: Vec<&str> = said.text().lines().collect();
    let version: u32 = lines[0].parse().expect("a version");
    if version < 256 {
        let told =
            format!("systemd {version} seals credentials for root alone; users need systemd 256, or `--store file`");
        assert_eq!(lines[1..], ["false", &told], "{said}");
    } else {
        assert_eq!(lines[1], "true", "{said}");
    }
    assert!(!said.said().contains("<TOKEN>"), "{said}");
}

#[test]
fn a_program_that_does_not_read_the_secret_does_not_end_ours() {
    // The command line lets a closed pipe end it, as `keyslip list | head` needs; this one must not.
    if !rustix::process::geteuid().is_root() {
        println!("skipped: putting another systemd-creds in the place of the real one needs root");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let program = dir.path().join("systemd-creds");
    let text = "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'systemd 257 (257)'; exit; fi\nexec 0<&-\n/bin/sleep 0.3\necho AAAA\n";
    std::fs::write(&program, text).expect("a script");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    let driver = driver::command(r#"["seal-large","a"]"#);
    // No `PATH` leads to another one.
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", "mount --bind $0 /usr/bin/systemd-creds; exec \"$@\""]).arg(&program);
    command.arg(driver.get_program()).args(driver.get_args());
    command.envs(driver.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().expect("the driver runs");
    assert_eq!(driver::answer(&output), "AAAA", "{:?}", output.status);
}
