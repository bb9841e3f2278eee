//! What is written: a line for each thing that happens to a credential, in one file of bounded length and in the journal.

use crate::lab::{Bare, Lab, RUNTIMES};

const LOG: &str = "/var/lib/keyslip/audit.log";
const ASKS: &str = r#".annotations={"dev.keyslip.agents":"claude"}"#;
const HOOKS: &str = r#".hooks=(["createRuntime","poststop"] | map({key: ., value: [{path: "/usr/libexec/keyslip/keyslip-hook",
    args: ["keyslip-hook", ., "--engine", "bare"], env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], timeout: 10}]}) | from_entries)"#;

/// Event, engine, container, agent, account and whether there is a fingerprint; and the reason.
fn lines(lab: &Lab, log: &str) -> Vec<String> {
    let filter = r#"[.event, .engine // "-", .container, (.agents // [] | map("\(.agent)@\(.account) \(.fingerprint | type)") | join(",")), (.secrets // [] | join(","))] | join(" ")"#;
    lab.ok(&format!("jq -r '{filter}' {log}")).lines().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn everything_that_happens_to_a_credential_has_its_line() {
    for runtime in RUNTIMES {
        let Some(lab) = Lab::with_claude(&format!("audit-trail-{runtime}")) else { return };
        lab.configure("[secrets]\nown = \"/etc/keyslip/own\"\n[[allow]]\nagents = [\"claude\"]\n");
        lab.ok("printf FAKE-secret >/etc/keyslip/own; chmod 600 /etc/keyslip/own");
        let begin = |name: &str, edit: &str| {
            let container = Bare::new(&lab, runtime, name, &lab.bundle(name, edit));
            lab.ok(&format!("rm -f {LOG}"));
            container
        };
        let shim = begin("shim", &format!(r#"{ASKS} | .annotations["dev.keyslip.secrets"]="own""#));
        shim.start();
        lab.login("claude", &lab.token("NEW"));
        lab.ok("keyslip sync; keyslip revoke shim");
        shim.end();
        let agent = "bare shim claude@default string";
        assert_eq!(
            lines(&lab, LOG),
            [
                format!("delivered {agent} own"),
                format!("synced {agent}"),
                format!("revoked {agent} own"),
                // It held nothing any more.
                "cleaned bare shim claude@default null own".to_owned(),
            ],
            "{runtime}"
        );
        let mut hook = begin("hook", &format!("{ASKS} | {HOOKS}"));
        hook.shim = runtime.to_owned();
        hook.start();
        hook.end();
        let agent = "bare hook claude@default string";
        assert_eq!(lines(&lab, LOG), [format!("delivered {agent}"), format!("cleaned {agent}")], "{runtime}: hook");

        let denied = begin("denied", r#".annotations={"dev.keyslip.agents":"claude@other"}"#);
        assert!(!denied.create().succeeded(), "{runtime}");
        assert_eq!(lines(&lab, LOG), ["denied bare denied"], "{runtime}");
        assert!(lab.ok(&format!("jq -r .reason {LOG}")).contains("[[allow]]"), "{runtime}");
        let broken = begin("broken", &format!(r#"{ASKS} | .process.args=["no-such-program"]"#));
        // crun looks for the program at `start`, runc at `create`.
        lab.sh(&format!(
            "{s} create --bundle {b} broken && {s} start broken; {s} delete --force broken",
            s = broken.shim,
            b = broken.bundle
        ));
        let agent = "bare broken claude@default string";
        let seen = lines(&lab, LOG);
        let ends = [format!("failed {agent}"), format!("cleaned {agent}")];
        assert!(
            seen.len() == 2 && seen[0] == format!("delivered {agent}") && ends.contains(&seen[1]),
            "{runtime}: {seen:?}"
        );

        // Nobody deletes it; a sweep finds it when it is old enough to be judged.
        let lost = begin("lost", ASKS);
        lost.start();
        lab.ok(&format!("{runtime} delete --force lost; touch -d '2 minutes ago' $(find /run/keyslip/sandbox -mindepth 2 -maxdepth 2); keyslip sweep"));
        assert_eq!(lines(&lab, LOG).last().unwrap(), "cleaned bare lost claude@default string", "{runtime}");
        assert_eq!(lab.ok(&format!("tail -1 {LOG} | jq -r .reason")), "it was found gone", "{runtime}");
        lab.assert_nothing_left(runtime);
        let all = lab.leaks(&[LOG], "FAKE");
        assert_eq!(all, [""; 0], "{runtime}: values in the log");
    }
}

#[test]
fn the_log_is_roots_alone_and_bounded() {
    let Some(lab) = Lab::with_claude("audit-bounded") else { return };
    lab.configure("[audit_log]\nmax_bytes = 65536\nkeep = 2\n");
    let bundle = lab.bundle("none", r#".annotations={"dev.keyslip.agents":"no-such-agent"}"#);
    lab.ok(&format!(
        "for i in $(seq 900); do ! $BARE/crun create --bundle {bundle} none$i 2>/dev/null || exit 1; done"
    ));
    let sizes = lab.ok("cd /var/lib/keyslip; stat -c '%n %a %U %s' audit.log*");
    let sizes: Vec<Vec<&str>> = sizes.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(sizes.iter().map(|it| it[0]).collect::<Vec<_>>(), ["audit.log", "audit.log.1", "audit.log.2"]);
    for size in &sizes {
        assert_eq!((size[1], size[2]), ("600", "root"), "{size:?}");
        assert!(size[3].parse::<u32>().unwrap() <= 65536, "{size:?}");
    }
    let count: u32 = lab.ok("cat /var/lib/keyslip/audit.log* | jq -r .container | grep -c ^none").parse().unwrap();
    assert!(count > 200 && count < 900, "{count}: the newest are there");
    assert_eq!(lab.ok("tail -1 /var/lib/keyslip/audit.log | jq -r .container"), "none900");
    // `status` tells of failures, also of those in the file that was put aside a moment ago.
    lab.ok("cd /var/lib/keyslip; mv audit.log.1 audit.log.2; mv audit.log audit.log.1");
    assert!(lab.ok("keyslip status --json | jq '.problems | length'").parse::<u32>().unwrap() > 10);
}

#[test]
fn a_file_that_the_operator_chose_has_everything() {
    let Some(lab) = Lab::with_claude("audit-file") else { return };
    lab.configure("[audit_log]\nfile = \"/var/log/keyslip-lab/audit.log\"\n[[allow]]\nagents = [\"claude\"]\n");
    let container = Bare::started(&lab, "crun", "");
    lab.login("claude", &lab.token("NEW"));
    // A configuration that says nothing of it later does not matter to a container that was made with it.
    lab.ok("keyslip sync");
    container.end();
    let denied = lab.bundle("denied", r#".annotations={"dev.keyslip.agents":"claude@other"}"#);
    assert!(!lab.sh(&format!("$BARE/crun create --bundle {denied} denied")).succeeded());
    let seen = lines(&lab, "/var/log/keyslip-lab/audit.log");
    let events: Vec<&str> = seen.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(events, ["delivered", "synced", "cleaned", "denied"]);
    assert_eq!(lab.ok("stat -c '%a' /var/log/keyslip-lab/audit.log /var/log/keyslip-lab"), "600\n700");
    assert!(!lab.sh(&format!("test -e {LOG}")).succeeded(), "and the usual file nothing");
    assert_eq!(lab.ok("keyslip status --json | jq '.problems | length'"), "1");
    lab.ok("rm -r /var/log/keyslip-lab");
}

/// systemd's own journal, running by itself.
#[test]
fn the_journal_has_it_if_the_operator_wants() {
    let Some(lab) = Lab::with_claude("audit-journal") else { return };
    lab.configure("[audit_log]\njournald = true\n[[allow]]\nagents = [\"claude\"]\n");
    lab.ok(
        "mkdir -p /run/systemd/journal /run/log/journal
        printf '[Journal]\\nStorage=volatile\\nReadKMsg=no\\nAudit=no\\n' >/etc/systemd/journald.conf
        (setsid /lib/systemd/systemd-journald </dev/null >$W/journald.log 2>&1 & echo $! >$W/journald.pid)
        for i in $(seq 100); do [ -S /run/systemd/journal/socket ] && exit; sleep 0.1; done; cat $W/journald.log; exit 1",
    );
    let container = Bare::started(&lab, "crun", "");
    container.end();
    let denied = lab.bundle("denied", r#".annotations={"dev.keyslip.agents":"claude@other"}"#);
    // What the container is called cannot forge a field.
    assert!(!lab.sh(&format!("$BARE/crun create --bundle {denied} $'x\\nPRIORITY=0'")).succeeded());
    let read = "journalctl --no-pager -o json -t keyslip | jq -r '[.KEYSLIP_EVENT, .PRIORITY, .KEYSLIP_CONTAINER, (.MESSAGE | fromjson | .event)] | @json'";
    let seen = lab.ok(&format!("for i in $(seq 50); do [ $({read} | wc -l) -ge 3 ] && break; sleep 0.1; done; {read} | grep -v syslog; kill $(cat $W/journald.pid)"));
    let id = &container.id;
    assert_eq!(
        seen.lines().collect::<Vec<_>>(),
        [
            format!(r#"["Delivered","6","{id}","delivered"]"#),
            format!(r#"["Cleaned","6","{id}","cleaned"]"#),
            r#"["Denied","4","x\nPRIORITY=0","denied"]"#.to_owned(),
        ]
    );
}
