//! `host_config_dir`: what the definition lists is shared from the host, and the credential file never.

use crate::lab::{Bare, Lab, RUNTIMES};

const DEV: &str = r#".process.user={"uid":1000,"gid":1000} | .process.env=["PATH=/bin","HOME=/home/dev"]"#;

/// A host configuration directory of `alice`, and root's engines told to use her logins.
fn set_up(lab: &Lab, more: &str) {
    lab.ok("id alice >/dev/null 2>&1 || useradd -m -u 4200 alice 2>/dev/null; cd /home/alice; mkdir -p .claude/projects/p1 .claude/commands .claude/secret-notes
        echo history >.claude/projects/p1/log; echo review >.claude/commands/review.md; echo '{\"model\":\"opus\"}' >.claude/settings.json
        echo private >.claude/secret-notes/x; echo memory >.claude/CLAUDE.md");
    let end = lab.ok("date -d '8 hours' +%s000");
    let token = lab.token("HOST");
    lab.write(
        "/home/alice/.claude/.credentials.json",
        format!(
            r#"{{"claudeAiOauth":{{"accessToken":"{token}","refreshToken":"sk-ant-ort01-FAKE","expiresAt":{end}}}}}"#
        )
        .as_bytes(),
    );
    lab.ok("chown -R alice: /home/alice; chmod 600 /home/alice/.claude/.credentials.json; chmod 700 /home/alice");
    lab.configure(&format!("owner = \"alice\"\n[agents.claude]\nhost_config_dir = \"~/.claude\"\n{more}"));
}

#[test]
fn listed_entries_are_shared_with_their_owner_and_the_credential_file_never() {
    let Some(lab) = Lab::new("shared") else { return };
    set_up(&lab, "");
    for runtime in RUNTIMES {
        let container = Bare::started(&lab, runtime, DEV);
        let seen = container.exec("cd ~/.claude; id -u; cat projects/p1/log commands/review.md settings.json CLAUDE.md; stat -c %u projects/p1/log; ls -A");
        assert_eq!(
            seen.lines().collect::<Vec<_>>(),
            [
                "1000",
                "history",
                "review",
                "{\"model\":\"opus\"}",
                "memory",
                "1000",
                ".credentials.json",
                "CLAUDE.md",
                "commands",
                "projects",
                "settings.json"
            ],
            "{runtime}"
        );
        // Data can be written, what the host's client obeys cannot; what is written is alice's.
        let wrote = container.exec("cd ~/.claude; echo new >projects/p1/new && echo data; echo x >commands/evil.md && echo code; echo x >settings.json && echo code; true");
        assert_eq!(wrote, "data", "{runtime}");
        assert_eq!(
            lab.ok("stat -c %U /home/alice/.claude/projects/p1/new; rm /home/alice/.claude/projects/p1/new"),
            "alice"
        );
        assert!(
            container.exec("echo mine >~/.claude/own && cat ~/.claude/own") == "mine",
            "its own directory is its own"
        );
        // Alice's client renews its login by an atomic rename while the container runs.
        let renewed = lab.token("RENEWED");
        lab.ok("cd /home/alice/.claude; cp -p .credentials.json .new; sed -i 's/ort01-FAKE/ort01-FAKE-2/' .new; mv .new .credentials.json");
        let _ = renewed;
        let all =
            container.exec("cat ~/.claude/.credentials.json; grep -r ort01 / --include='*.json' 2>/dev/null || true");
        assert!(all.contains("\"refreshToken\":\"\"") && !all.contains("ort01"), "{runtime}: {all}");
        assert_eq!(container.exec("ls ~/.claude/secret-notes 2>&1 | grep -c 'No such'"), "1", "{runtime}");
        container.end();
        lab.assert_nothing_left(runtime);
        assert_eq!(
            lab.ok("cat /home/alice/.claude/projects/p1/log; ls /run/keyslip/share 2>/dev/null || true"),
            "history"
        );
    }
}

#[test]
fn read_only_and_read_write_as_the_operator_says() {
    let Some(lab) = Lab::new("shared-modes") else { return };
    for (setting, expected) in [("true", ""), ("false", "data\ncode")] {
        set_up(&lab, &format!("host_config_dir_read_only = {setting}\n"));
        for runtime in RUNTIMES {
            let container = Bare::started(&lab, runtime, DEV);
            let wrote = container.exec(
                "cd ~/.claude; echo new >projects/p1/new && echo data; echo x >commands/more.md && echo code; true",
            );
            assert_eq!(wrote, expected, "{runtime} {setting}");
            container.end();
        }
        lab.ok("rm -rf /home/alice/.claude");
    }
}

#[test]
fn a_link_or_a_foreign_owner_brings_nothing_else_in() {
    let Some(lab) = Lab::new("shared-links") else { return };
    set_up(&lab, "");
    // Links of alice's: into her credential file, around it, to files that only root may read.
    lab.ok("cd /home/alice/.claude; rm -rf projects commands settings.json CLAUDE.md
        ln -s . projects; ln -s .credentials.json settings.json; ln -s /etc commands; ln -s /etc/shadow CLAUDE.md
        ln .credentials.json history.jsonl; mkdir -m 700 /root/private; ln -s /root/private agents; mkdir skills; chown root skills");
    for runtime in RUNTIMES {
        let container = Bare::started(&lab, runtime, DEV);
        assert_eq!(container.exec("ls -A ~/.claude"), ".credentials.json", "{runtime}");
        let warnings = lab.ok("keyslip list --json | jq -r '.[].warnings[]'");
        for entry in ["projects", "settings.json", "commands", "CLAUDE.md", "history.jsonl", "agents", "skills"] {
            assert!(warnings.contains(&format!("/{entry} is not shared")), "{runtime}: {entry}: {warnings}");
        }
        container.end();
        lab.assert_nothing_left(runtime);
    }
}

#[test]
fn an_end_that_is_interrupted_never_removes_what_was_shared() {
    let Some(lab) = Lab::new("shared-kept") else { return };
    set_up(&lab, "");
    let container = Bare::started(&lab, "crun", DEV);
    // The container is gone without anybody having been told; a sweep finds what it left.
    lab.ok(&format!(
        "crun delete --force {}; find /run/keyslip -depth -exec touch -h -d '10 minutes ago' {{}} + 2>/dev/null || true",
        container.id
    ));
    lab.ok("keyslip sweep");
    lab.assert_nothing_left("after a sweep");
    assert_eq!(
        lab.ok("cat /home/alice/.claude/projects/p1/log /home/alice/.claude/commands/review.md"),
        "history\nreview"
    );
}
