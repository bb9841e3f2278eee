//! Logins taken over from Forage, Headjack and the agents' own clients: what arrives, what stays where
//! it was, and that nothing is shown or changed.

#[path = "../lab/mod.rs"]
mod lab;

mod clients;
mod forage;
mod go_keyring;
mod headjack;
mod keyrings;

use lab::{Lab, Output};

/// A picture of everything below `dirs`: content, modes, owners and times.
fn picture(lab: &Lab, dirs: &str) -> String {
    lab.ok(&format!(
        "find {dirs} -printf '%p %y %m %U:%G %T@ %C@ %l\\n' 2>/dev/null | sort; find {dirs} -type f -exec sha256sum {{}} + | sort"
    ))
}

/// Runs a script; what is below `sources` must be the same afterwards, and no marked value be shown.
#[track_caller]
fn import(lab: &Lab, sources: &str, script: &str) -> Output {
    let before = picture(lab, sources);
    let output = lab.sh(script);
    assert_eq!(picture(lab, sources), before, "{script}: the source was changed");
    assert!(!output.said().contains('<'), "{script} shows a value: {output}");
    output
}

/// The stored credential as text, marked values as their marks.
#[track_caller]
fn stored(lab: &Lab, login: &str) -> String {
    lab.ok(&format!("jq -r .token /var/lib/keyslip/tokens/{login}.json"))
}

/// The stored credential as JSON.
#[track_caller]
fn stored_json(lab: &Lab, login: &str) -> serde_json::Value {
    serde_json::from_str(&stored(lab, login)).unwrap_or_else(|_| panic!("{login} is no JSON"))
}

/// What is below our own directories, as a list.
fn ours(lab: &Lab) -> String {
    lab.ok("cd /; find etc/keyslip var/lib/keyslip -type f ! -name '.lock*' 2>/dev/null | sort")
}
