//! What our programs may do, and what becomes of a container, a login and the ledger when the system fails them:
//! with real runtimes, and errors that the kernel reports or seems to report.
//!
//! Every test opens a lab of its own, see `tests/lab`. They need root; without it each says that it was skipped.

#[path = "../lab/mod.rs"]
mod lab;
#[path = "../lab/tally.rs"]
mod tally;

mod commands;
mod conditions;
mod containers;
mod held;
mod injected;
mod privileges;

/// Makes everything in the ledger look as if it were `minutes` old; as in `tests/hooks`.
const AGE: &str = r#"age() { for record in $(find /run/keyslip /run/user/*/keyslip -name record.json 2>/dev/null); do
        jq -c --arg at "$(date -u -d "$1 minutes ago" +%FT%TZ)" '.created=$at' $record >$W/aged && cat $W/aged >$record || true; done
    for dir in /run/keyslip /run/user/*/keyslip; do [ ! -d $dir ] || find $dir -type d -exec touch -d "$1 minutes ago" {} +; done; }"#;
