//! Faults in what an operator runs: a login is the old one or the new one, a container has the one or the other or
//! none, and what is left over goes with the next sweep.

use crate::injected::{Case, Outcome, most, prepare, run};
use crate::lab::Lab;

/// Makes `$W/NEW` beside `$W/CLAUDE`, and functions that say which of them is stored or in a container.
fn logins(lab: &Lab) -> &'static str {
    lab.write("NEW", lab.token("NEW").as_bytes());
    lab.ok("mkdir -p /var/lib/keyslip");
    r#"
    which() { if cmp -s $W/CLAUDE $1; then echo old; elif cmp -s $W/NEW $1; then echo new; elif [ -e $1 ]; then echo "torn"; else echo none; fi; }
    stored() { rm -rf /run/keyslip/sandbox; /usr/libexec/keyslip/keyslip-hook precreate --engine podman <$B/config.json >/dev/null 2>$W/why || { echo "refused: $(cat $W/why)"; return; }
        which "$(echo /run/keyslip/sandbox/*/*/secrets/claude)"; rm -rf /run/keyslip/*; }
    one_of() { case " $2 " in *" $1 "*) ;; *) echo "$1 is none of: $2";; esac; }
    here() { which /proc/$(cat $W/pid)/root/run/secrets/claude; }"#
}

#[test]
fn a_fault_while_a_login_is_stored_or_removed_leaves_the_old_or_the_new_one() {
    let Some(lab) = Lab::new("faults-store") else { return };
    prepare(&lab);
    let functions = logins(&lab);
    let store = "keyslip auth login claude --store file";
    let old = format!("{functions}\ncp $W/NEW $W/stdin; {store} <$W/CLAUDE >/dev/null");
    let kept = "one_of $(stored) \"$([ $1 = 0 ] && echo new || echo old new)\"; told $1
        ls -A /var/lib/keyslip/tokens 2>/dev/null | grep -vE '^claude-oauth.json$|^.lock|^.new$' || true
        keyslip auth login claude --store file <$W/CLAUDE >/dev/null || echo 'no second try'
        [ \"$(stored)\" = old ] || echo 'the second try did not store it'; [ ! -e /var/lib/keyslip/tokens/.new ] || echo 'left: .new'";
    let login = format!("$REPO/build/bin/{store}");
    let first = format!("{old}; rm -rf /var/lib/keyslip/tokens");
    let removed = "one_of $(stored) \"$([ $1 = 0 ] && echo none || echo old none)\"; told $1
        keyslip auth login claude --store file <$W/CLAUDE >/dev/null && keyslip auth logout claude >/dev/null || echo 'no second try'
        [ \"$(stored)\" = none ] || echo 'it is still stored'; ls -A /var/lib/keyslip/tokens 2>/dev/null | grep -v '^.lock' || true";
    let cases = [
        ("login", old.as_str(), login.as_str(), kept.to_owned()),
        ("first login", &first, &login, kept.replace("echo old new", "echo none new")),
        ("logout", &old, "$REPO/build/bin/keyslip auth logout claude", removed.to_owned()),
    ];
    let outcomes: Vec<Outcome> = cases
        .iter()
        .map(|(name, before, command, after)| {
            run(&lab, "crun", &Case { name, before, command, dynamic: true, after, takes: most })
        })
        .collect();
    Outcome::settle(&outcomes, "faults-store");
}

#[test]
fn a_fault_in_sync_or_revoke_leaves_the_old_or_the_new_one_in_a_container() {
    let Some(lab) = Lab::new("faults-sync") else { return };
    prepare(&lab);
    let functions = logins(&lab);
    let container = format!(
        "{functions}\nkeyslip auth login claude --store file <$W/CLAUDE >/dev/null
        $BARE/$R create --bundle $B --pid-file $W/pid k; $BARE/$R start k"
    );
    let changed = format!("{container}; keyslip auth login claude --store file <$W/NEW >/dev/null");
    let end = "$BARE/$R delete --force k; gone";
    let synced = format!(
        "told $1; one_of $(here) \"$([ $1 = 0 ] && echo new || echo old new)\"
        keyslip sync >/dev/null || echo 'no second try'; [ $(here) = new ] || echo 'the second try brought nothing'; {end}"
    );
    let revoked = format!(
        "told $1; one_of $(here) \"$([ $1 = 0 ] && echo none || echo old none)\"
        keyslip revoke k >/dev/null || true; [ $(here) = none ] || echo 'the second try took nothing'
        grep -rlaF -f $W/CLAUDE /run/keyslip || true; {end}"
    );
    let cases = [
        ("sync", &changed, "$REPO/build/bin/keyslip sync", &synced),
        ("revoke", &container, "$REPO/build/bin/keyslip revoke k", &revoked),
    ];
    let outcomes: Vec<Outcome> = cases
        .iter()
        .map(|(name, before, command, after)| {
            run(&lab, "crun", &Case { name, before, command, dynamic: true, after, takes: most })
        })
        .collect();
    Outcome::settle(&outcomes, "faults-sync");
}

#[test]
fn a_fault_in_a_sweep_is_made_good_by_the_next_one() {
    let Some(lab) = Lab::new("faults-sweep") else { return };
    prepare(&lab);
    let case = Case {
        name: "sweep",
        before: "$BARE/$R create --bundle $B k; $BARE/$R.real delete --force k; age 61",
        command: "$REPO/build/bin/keyslip sweep",
        dynamic: true,
        // It has done it, or says that it has not.
        after: "told $1
            if [ $1 = 0 ]; then case $(cat $W/out) in 'removed 1, '*) gone;; 'removed 0, alive 1, '* | *'later 1') ;; *) echo 'it says nothing';; esac; fi
            swept",
        takes: most,
    };
    Outcome::settle(&[run(&lab, "crun", &case)], "faults-sweep");
}
