//! Each thing that is broken is found, with its remedy; where the remedy is a command, that mends it.

use crate::lab::Lab;
use crate::report::{doctor, sound};

/// How it is broken; how bad that is and what is said of it; how it is mended where no command does it.
struct Case {
    break_it: &'static str,
    severity: &'static str,
    says: &'static str,
    by_hand: &'static str,
}

/// A case whose remedy is a command.
const fn case(break_it: &'static str, severity: &'static str, says: &'static str) -> Case {
    Case { break_it, severity, says, by_hand: "" }
}

/// Breaks, looks, mends and looks again, one case after the other in the same lab.
fn found_and_mended(lab: &Lab, cases: &[Case]) {
    for Case { break_it, severity, says, by_hand } in cases {
        lab.ok(break_it);
        let report = doctor(lab, "");
        let found = report.with(severity, says);
        assert_eq!(found.len(), 1, "{break_it}\n{}", report.text);
        assert_eq!(report.code, Some(if *severity == "broken" { 2 } else { 1 }), "{break_it}\n{}", report.text);
        let mend = match &found[0].command {
            Some(command) if by_hand.is_empty() => command.as_str(),
            None if !by_hand.is_empty() => by_hand,
            other => panic!("{break_it}: the command is {other:?}\n{}", report.text),
        };
        lab.ok(mend);
        let after = doctor(lab, "");
        assert_eq!(after.code, Some(0), "{break_it}\n{mend}\n{}", after.text);
    }
}

#[test]
fn programs_and_links() {
    let Some(lab) = sound("programs") else { return };
    found_and_mended(
        &lab,
        &[
            case("chmod o+w /usr/libexec/keyslip/keyslip-hook", "broken", "can be written by everybody"),
            case("chmod 777 /usr/libexec/keyslip", "broken", "can be written by everybody"),
            case("chgrp 4100 /usr/libexec/keyslip; chmod 775 /usr/libexec/keyslip", "warning", "by the group 4100"),
            case("chown 4100 /usr/libexec/keyslip/keyslip-runtime", "broken", "belongs to uid 4100"),
            case("rm /usr/libexec/keyslip/keyslip", "broken", "libexec/keyslip/keyslip"),
            Case {
                by_hand: "mv $W/hook /usr/libexec/keyslip/keyslip-hook",
                ..case("mv /usr/libexec/keyslip/keyslip-hook $W/hook", "broken", "is missing or cannot be executed")
            },
            Case {
                by_hand: "mv $W/hook /usr/libexec/keyslip/keyslip-hook",
                ..case(
                    "mv /usr/libexec/keyslip/keyslip-hook $W/hook; printf '#!/bin/sh\\necho keyslip-hook 0.0.1\\n' >/usr/libexec/keyslip/keyslip-hook; chmod 755 /usr/libexec/keyslip/keyslip-hook",
                    "warning",
                    "keyslip-hook 0.0.1",
                )
            },
            case(
                "ln -sfn /usr/bin/crun /usr/libexec/keyslip/docker/crun",
                "broken",
                "does not lead to keyslip-runtime",
            ),
            case("ln -sfn /nowhere/crun /usr/libexec/keyslip/bare/crun.real", "broken", "leads to /nowhere/crun"),
            case("rm /usr/libexec/keyslip/bare/crun.real", "broken", "crun.real of bare"),
            // It would be given --config, which runc does not know.
            case("ln -sfn $(command -v runc) /usr/libexec/keyslip/bare/crun.real", "broken", "which is no crun"),
            Case {
                by_hand: "umount /usr/libexec/keyslip",
                ..case(
                    "mount --bind /usr/libexec/keyslip /usr/libexec/keyslip; mount -o remount,bind,noexec /usr/libexec/keyslip",
                    "broken",
                    "noexec",
                )
            },
        ],
    );
}

#[test]
fn a_runtime_that_others_can_write_is_not_asked_for_its_version() {
    let Some(lab) = sound("foreign-runtime") else { return };
    lab.ok("cp /usr/bin/crun $W/crun; printf '#!/bin/sh\\ntouch $W/was-run\\n' >$W/crun; sed -i \"s#\\$W#$W#\" $W/crun; chmod 777 $W/crun
        ln -sfn $W/crun /usr/libexec/keyslip/bare/crun.real");
    let report = doctor(&lab, "");
    assert_eq!(report.with("broken", "can be written by everybody").len(), 1, "{}", report.text);
    assert_eq!(lab.ok("ls $W/was-run 2>/dev/null || echo not"), "not");
}

#[test]
fn the_runtime_directory() {
    let Some(lab) = sound("memory") else { return };
    found_and_mended(
        &lab,
        &[
            case("chmod 755 /run/keyslip", "warning", "has mode 755"),
            case("umount /run/keyslip; chown 4100 /run/keyslip", "broken", "belongs to uid 4100"),
        ],
    );
    // A directory on a disk in the place of /run.
    lab.ok("umount /run/keyslip 2>/dev/null || true; mkdir -p $W/disk; mount --bind $W/disk /run");
    let report = doctor(&lab, "");
    let found = report.with("broken", "is not on a tmpfs");
    assert_eq!(found[0].command.as_deref(), Some("keyslip install tmpfs"), "{}", report.text);
    lab.ok("keyslip install tmpfs");
    assert_eq!(doctor(&lab, "").code, Some(0));
    lab.ok("umount /run/keyslip; mount -t tmpfs -o mode=700,size=200k,noswap tmpfs /run/keyslip; head -c 150k /dev/zero >/run/keyslip/full");
    let report = doctor(&lab, "");
    let found = report.with("broken", "is nearly full");
    lab.ok(found[0].command.as_deref().expect("a command"));
    assert_eq!(doctor(&lab, "").code, Some(0), "{}", report.text);
}

#[test]
fn logins_and_secret_files() {
    let Some(lab) = sound("logins") else { return };
    let store = "/var/lib/keyslip/tokens/claude-oauth.json";
    lab.ok("printf sk-FAKE-secret >$W/secret; chmod 600 $W/secret; chmod 711 $W; cp -a /var/lib/keyslip/tokens $W/tokens; echo a >>/var/lib/keyslip/audit.log; chmod 600 /var/lib/keyslip/audit.log");
    let restore = "cp -a $W/tokens/claude-oauth.json /var/lib/keyslip/tokens/";
    let expire = "jq '.expiresAt=\"2020-01-01T00:00:00Z\"' $W/tokens/claude-oauth.json >/var/lib/keyslip/tokens/claude-oauth.json";
    let soon = "jq --arg at \"$(date -u -d '+10 days' +%FT%TZ)\" '.expiresAt=$at' $W/tokens/claude-oauth.json >/var/lib/keyslip/tokens/claude-oauth.json";
    let configured = "printf '[secrets]\\nopenai = \"'$W'/secret\"\\n' >/etc/keyslip/keyslip.toml";
    found_and_mended(
        &lab,
        &[
            case("chmod 644 /var/lib/keyslip/tokens/claude-oauth.json", "broken", "claude"),
            case("chmod 755 /var/lib/keyslip/tokens", "broken", "the store"),
            case("chown 4100 /var/lib/keyslip/tokens/claude-oauth.json", "broken", "claude"),
            Case {
                by_hand: restore,
                ..case("echo '{' >/var/lib/keyslip/tokens/claude-oauth.json", "broken", "claude")
            },
            Case { by_hand: restore, ..case(expire, "warning", "has expired") },
            Case { by_hand: restore, ..case(soon, "warning", "fewer than 30 days") },
            case("chmod 644 /var/lib/keyslip/audit.log", "warning", "audit.log"),
            case("chmod 777 /var/lib/keyslip", "warning", "/var/lib/keyslip"),
            case(
                "printf '[secrets]\\nopenai = \"'$W'/secret\"\\n' >/etc/keyslip/keyslip.toml; chmod 644 $W/secret",
                "warning",
                "can be read by every user",
            ),
            Case { by_hand: "mv $W/s2 $W/secret", ..case("mv $W/secret $W/s2", "broken", "secret openai") },
            Case {
                by_hand: configured,
                ..case("echo 'owner = \"nobody-here\"' >/etc/keyslip/keyslip.toml", "broken", "is no user")
            },
            Case {
                by_hand: configured,
                ..case(
                    "printf '[store.command]\\nargv = [\"/opt/gone\"]\\n' >/etc/keyslip/keyslip.toml",
                    "broken",
                    "/opt/gone",
                )
            },
            Case {
                by_hand: configured,
                ..case(
                    "printf '[store]\\nbackend = \"keyring\"\\n' >/etc/keyslip/keyslip.toml",
                    "warning",
                    "is for users",
                )
            },
        ],
    );
    assert!(!lab.sh("keyslip doctor -v").said().contains("sk-FAKE-secret"));
    assert_eq!(lab.ok(&format!("stat -c %a {store}")), "600");
}

#[test]
fn a_users_keyring_that_is_not_there_is_told() {
    let Some(lab) = sound("keyring") else { return };
    lab.user_login("claude", &lab.token("USER"));
    lab.ok("printf '[store]\\nbackend = \"keyring\"\\n' >/home/labuser/.config/keyslip/keyslip.toml; chown labuser /home/labuser/.config/keyslip/keyslip.toml");
    let report = crate::report::doctor_of_user(&lab, "");
    assert!(report.code == Some(1) && report.with("warning", "the keyring").len() == 1, "{}", report.text);
}

#[test]
fn the_configuration() {
    let Some(lab) = sound("configuration") else { return };
    let empty = "printf '' >/etc/keyslip/keyslip.toml; rm -rf /etc/keyslip/agents.d";
    let by_hand = |broken: Case| Case { by_hand: empty, ..broken };
    found_and_mended(
        &lab,
        &[
            by_hand(case(
                "printf 'log_level = \"debug\"\\nfoo = 1\\n' >/etc/keyslip/keyslip.toml",
                "broken",
                "keyslip.toml:2:1",
            )),
            case("chmod 666 /etc/keyslip/keyslip.toml", "broken", "can be written by others"),
            by_hand(case(
                "printf '[[allow]]\\nengine = \"podmann\"\\nagents = [\"claude\"]\\n' >/etc/keyslip/keyslip.toml",
                "warning",
                "no engine podmann",
            )),
            by_hand(case(
                "printf '[[allow]]\\nagents = [\"cluade\"]\\n' >/etc/keyslip/keyslip.toml",
                "warning",
                "cluade is no agent",
            )),
            by_hand(case(
                "printf '[agents.cluade]\\nhost_config_dir = \"~/.x\"\\n' >/etc/keyslip/keyslip.toml",
                "warning",
                "agent cluade",
            )),
            by_hand(case(
                "mkdir -p /etc/keyslip/agents.d; echo 'title = 1' >/etc/keyslip/agents.d/mine.toml",
                "broken",
                "agent mine",
            )),
            by_hand(case(
                "echo 'trust_annotations = true' >/etc/keyslip/keyslip.toml",
                "warning",
                "is set for every engine",
            )),
            by_hand(case(
                "printf '[delivery]\\nenv = \"spec\"\\n' >/etc/keyslip/keyslip.toml",
                "warning",
                "env = \"spec\"",
            )),
            by_hand(case(
                "printf '[engines.dokcer]\\nversion = \"26\"\\n' >/etc/keyslip/keyslip.toml",
                "warning",
                "[engines.dokcer]",
            )),
        ],
    );
}

#[test]
fn podmans_configuration() {
    let Some(lab) = sound("podman") else { return };
    lab.ok("cp $CONTAINERS_CONF $W/sound.conf; printf '[engines.podman]\\ntrust_annotations = true\\n' >$W/trust.toml");
    let restore =
        "cp $W/sound.conf $CONTAINERS_CONF; rm -rf /etc/keyslip/hooks.d; printf '' >/etc/keyslip/keyslip.toml";
    let by_hand = |broken: Case| Case { by_hand: restore, ..broken };
    let hooked = |more: &'static str| -> &'static str {
        Box::leak(
            format!(
                "keyslip install hooks >/dev/null; cp $W/trust.toml /etc/keyslip/keyslip.toml
                sed \"s#^runtime = .*#runtime = \\\"crun\\\"\\nhooks_dir = [\\\"/etc/keyslip/hooks.d\\\"]#; s#^crun = .*#crun = [\\\"/usr/bin/crun\\\"]#\" $W/sound.conf >$CONTAINERS_CONF
                {more}"
            )
            .into_boxed_str(),
        )
    };
    found_and_mended(
        &lab,
        &[
            by_hand(case("echo '[engine' >>$CONTAINERS_CONF", "broken", "line ")),
            by_hand(case(
                "sed -i 's#podman/crun#podman/gone#' $CONTAINERS_CONF",
                "broken",
                "podman takes another runtime of this name without a word",
            )),
            by_hand(case("sed -i 's#podman/crun#docker/crun#' $CONTAINERS_CONF", "broken", "calls the shim as docker")),
            by_hand(case("cp $W/trust.toml /etc/keyslip/keyslip.toml", "warning", "copies annotations of images")),
            by_hand(case(
                "sed -i 's#^\\[containers\\]#&\\nenv = [\"ANTHROPIC_API_KEY=sk-FAKE-0123456789\"]#' $CONTAINERS_CONF",
                "warning",
                "gives ANTHROPIC_API_KEY to every container",
            )),
            by_hand(case(
                "sed -i 's#^runtime = .*#&\\nhooks_dir = [\"/etc/keyslip/gone.d\"]#' $CONTAINERS_CONF",
                "warning",
                "is named in hooks_dir and is not there",
            )),
        ],
    );
    // Hooks need trust in annotations of podman 4, which is a warning of its own.
    for (script, severity, says) in [
        (hooked("printf '' >/etc/keyslip/keyslip.toml"), "warning", "no container gets anything"),
        (
            hooked(
                "sed -i 's#keyslip-hook\",#gone\",#' /etc/keyslip/hooks.d/keyslip-poststop.json; sed -i 's#/keyslip-launch\"#/gone\"#' /etc/keyslip/hooks.d/keyslip-precreate.json",
            ),
            "broken",
            "passes over such a hook",
        ),
        (hooked("echo '{' >/etc/keyslip/hooks.d/x.json"), "broken", "starts no container at all"),
        (
            hooked(
                "jq 'del(.hook.env)' /etc/keyslip/hooks.d/keyslip-precreate.json >$W/x; cp $W/x /etc/keyslip/hooks.d/keyslip-precreate.json",
            ),
            "warning",
            "names no env",
        ),
        (hooked("rm /etc/keyslip/hooks.d/keyslip-poststop.json"), "warning", "no hook at poststop"),
        (
            hooked(
                "mkdir -p $W/shared; cp /etc/keyslip/hooks.d/keyslip-precreate.json $W/shared/; mkdir -p /etc/containers/oci/hooks.d; cp $W/shared/* /etc/containers/oci/hooks.d/",
            ),
            "broken",
            "`podman build` and CRI-O",
        ),
        (
            hooked(
                "rm -r /etc/containers/oci/hooks.d; sed -i 's#^crun = .*#crun = [\"/usr/libexec/keyslip/podman/crun\"]#' $CONTAINERS_CONF",
            ),
            "warning",
            "the shim stands back",
        ),
    ] {
        lab.ok(script);
        let report = doctor(&lab, "");
        assert!(!report.with(severity, says).is_empty(), "{says}\n{}", report.text);
    }
    assert!(!lab.sh("keyslip doctor -v").said().contains("sk-FAKE"));
}

#[test]
fn the_engines_believe_what_is_said_of_them() {
    // What the findings say of podman 4.3, seen with podman.
    let Some(lab) = sound("beliefs") else { return };
    lab.image();
    let run = "podman run --rm -v $(keyslip request claude):/request:ro bb sh -c 'echo [$CLAUDE_CODE_OAUTH_TOKEN]'";
    assert_eq!(lab.ok(run), "[<CLAUDE>]");
    lab.ok("cp $CONTAINERS_CONF $W/sound.conf; sed -i 's#podman/crun#podman/gone#' $CONTAINERS_CONF");
    assert_eq!(lab.ok(run), "[]", "another crun is taken without a word");
    lab.ok("cp $W/sound.conf $CONTAINERS_CONF; mkdir $W/hooks; echo '{' >$W/hooks/x.json");
    assert_eq!(lab.sh("podman --hooks-dir $W/hooks run --rm bb true").code(), Some(126));
    lab.ok("echo '{\"version\":\"1.0.0\",\"hook\":{\"path\":\"/gone\"},\"when\":{\"always\":true},\"stages\":[\"precreate\"]}' >$W/hooks/x.json");
    lab.ok("podman --hooks-dir $W/hooks run --rm bb true; podman --hooks-dir $W/gone run --rm bb true");
    // Hooks and shim: what exec starts has no variable.
    lab.ok("keyslip install hooks; printf '[engines.podman]\\ntrust_annotations = true\\n' >/etc/keyslip/keyslip.toml
        podman --hooks-dir /etc/keyslip/hooks.d run -d --name c --annotation dev.keyslip.agents=claude bb sleep 1000");
    assert_eq!(
        lab.ok("podman exec c sh -c 'echo [$CLAUDE_CODE_OAUTH_TOKEN]; cat /run/secrets/claude'"),
        "[]\n<CLAUDE>"
    );
    lab.remove("c");
}

#[test]
fn what_is_left_over() {
    let Some(lab) = sound("leftovers") else { return };
    let old = "find /run/keyslip -type d -exec touch -d '2 minutes ago' {} +";
    found_and_mended(
        &lab,
        &[
            case(
                Box::leak(format!("mkdir -p -m 700 /run/keyslip/sandbox/ab/ab{}/secrets; printf sk-FAKE >/run/keyslip/sandbox/ab/ab{0}/secrets/claude; {old}", "0".repeat(30)).into_boxed_str()),
                "warning",
                "have no record",
            ),
            case("mkdir -p /run/keyslip/login/4194304; touch /run/keyslip/login/4194304/auth.json", "warning", "a login program"),
        ],
    );
    // A container whose end nobody saw.
    lab.image();
    lab.ok(&format!(
        "podman run -d --name c -v $(keyslip request claude):/request:ro bb sleep 1000; podman exec c true
        kill -9 $(podman inspect c --format '{{{{.State.ConmonPid}}}}'); crun kill $(podman inspect c --format '{{{{.Id}}}}') KILL; sleep 0.3; {old}"
    ));
    let report = doctor(&lab, "");
    let found = report.with("warning", "ended without a clean-up");
    assert_eq!((found.len(), found[0].command.as_deref()), (1, Some("keyslip sweep")), "{}", report.text);
    lab.ok("keyslip sweep; rm -r /run/keyslip/request");
    assert_eq!(doctor(&lab, "").code, Some(0), "{}", report.text);
    lab.ok("crun delete --force $(crun list -q); podman rm -f -t0 c || true");
    // What went wrong of late.
    let refused = lab.sh("podman run --rm -v $(keyslip request claude@work):/request:ro bb true");
    assert!(!refused.succeeded(), "{refused}");
    let report = doctor(&lab, "");
    assert!(report.code == Some(0) && report.with("note", "were refused").len() == 1, "{}", report.text);
}

#[test]
fn devices() {
    let Some(lab) = sound("devices") else { return };
    lab.ok("mkdir -p /etc/cdi; keyslip cdi generate");
    assert_eq!(doctor(&lab, "").with("ok", "/etc/cdi/keyslip.json").len(), 1);
    found_and_mended(
        &lab,
        &[
            case("echo '{' >/etc/cdi/keyslip.json", "broken", "/etc/cdi/keyslip.json"),
            case(
                "sed -i 's#/usr/libexec/keyslip/keyslip-hook#/gone/keyslip-hook#' /etc/cdi/keyslip.json",
                "broken",
                "/gone/keyslip-hook",
            ),
            Case {
                by_hand: "rm /etc/cdi/other.json",
                ..case("cp /etc/cdi/keyslip.json /etc/cdi/other.json", "broken", "are offered by two files")
            },
        ],
    );
    lab.login_account("claude", "work", &lab.token("WORK"));
    let report = doctor(&lab, "");
    let found = report.with("note", "older than the accounts");
    assert!(found.len() == 1 && found[0].what.contains("claude.work"), "{}", report.text);
    lab.ok(found[0].command.as_deref().expect("a command"));
    assert_eq!(doctor(&lab, "").with("note", "older").len(), 0);
}
