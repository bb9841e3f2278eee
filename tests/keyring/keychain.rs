//! The keychain of macOS, against a stand-in for `security` that prints and ends as Apple's source
//! says. No Mac was there to run it on.

use std::fs;
use std::time::Duration;

use keyslip::backend::keychain::{self, Error};
use keyslip::secret::Secret;
use tempfile::TempDir;

const SECURITY: &str = r#"
dir=$1; shift
echo "$*" >>"$dir/argv"
if [ -e "$dir/fails" ]; then
    echo "security: SecKeychainSearchCopyNext: User interaction is not allowed." >&2
    exit "$(cat "$dir/fails")"
fi
run() {
    local command=$1 account='' service='' hex='' OPTIND=2 option
    while getopts 'a:s:X:wU' option; do
        case $option in
        a) account=$OPTARG ;;
        s) service=$OPTARG ;;
        X) hex=$OPTARG ;;
        *) ;;
        esac
    done
    local item=$dir/$service.$account
    if [ "$command" = add-generic-password ]; then
        printf "$(sed 's/../\\x&/g' <<<"$hex")" >"$item"
        return
    fi
    if [ ! -e "$item" ]; then
        echo 'security: SecKeychainSearchCopyNext: The specified item could not be found in the keychain.' >&2
        return 44
    fi
    if [ "$command" = delete-generic-password ]; then
        rm "$item"; echo 'password has been deleted.' >&2
    elif [ "$(LC_ALL=C tr -d '[:print:]' <"$item" | wc -c)" -gt 0 ]; then
        od -An -v -tx1 "$item" | tr -d ' \n'; echo
    else
        cat "$item"; echo
    fi
}
if [ "$1" = -i ]; then
    code=0
    while IFS= read -r line; do eval "run $line" || code=$?; done
    exit $code
fi
run "$@"
"#;

const LIMIT: Duration = Duration::from_secs(10);

/// A keychain in a directory, and the words that call it: a program with arguments of its own.
fn keychain() -> (TempDir, Vec<String>) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(path("security"), SECURITY).expect("the stand-in");
    let program = vec!["env".to_owned(), "bash".to_owned(), path("security"), path(".")];
    (dir, program)
}

fn get(program: &[String], service: &str, account: &str) -> Option<String> {
    let found = keychain::find(program, service, account, LIMIT).expect("the keychain can be read");
    found.map(|secret| secret.expose_text().expect("text").to_owned())
}

#[test]
fn values_come_back_as_they_were_stored() {
    let (dir, program) = keychain();
    let name = "Claude Code-credentials";
    assert_eq!(get(&program, name, "dev"), None);
    for value in [
        "sk-ant-oat01-FAKE-0123456789",
        "{\"claudeAiOauth\":{\"accessToken\":\"sk-ant-oat01-FAKE\"}}",
        "{\n  \"accessToken\": \"sk-ant-oat01-FAKE\"\n}",
        "{\"name\":\"Zoë\",\"accessToken\":\"sk-ant-oat01-FAKE\"}",
        "0123456789abcdef0123456789abcdef",
    ] {
        keychain::store(&program, name, "dev", &Secret::from_text(value), LIMIT).expect("it is stored");
        assert_eq!(get(&program, name, "dev").as_deref(), Some(value));
        assert_eq!(get(&program, name, "other"), None);
    }
    assert!(keychain::remove(&program, name, "dev", LIMIT).expect("it is removed"));
    assert!(!keychain::remove(&program, name, "dev", LIMIT).expect("it is gone"));
    assert_eq!(get(&program, name, "dev"), None);
    // Arguments can be seen by every process.
    let argv = fs::read_to_string(dir.path().join("argv")).expect("what was called");
    assert!(argv.contains("find-generic-password -a dev -w -s Claude Code-credentials"), "{argv}");
    assert!(!argv.contains("FAKE") && !argv.contains("46414b45"), "{argv}");
}

#[test]
fn what_cannot_be_read_is_not_taken_for_missing() {
    let (dir, program) = keychain();
    let fails = |code: &str| {
        fs::write(dir.path().join("fails"), code).expect("a code");
        keychain::find(&program, "s", "a", LIMIT).expect_err("it fails")
    };
    assert!(matches!(fails("36"), Error::Locked));
    assert!(matches!(fails("51"), Error::Denied(_)));
    assert!(matches!(fails("128"), Error::Cancelled(_)));
    let other = fails("1").to_string();
    assert!(other.contains("exit code 1: security: SecKeychainSearchCopyNext: User"), "{other}");
    let token = Secret::from_text("sk-ant-oat01-FAKE");
    assert!(keychain::store(&program, "s", "a", &token, LIMIT).is_err());
    assert!(keychain::remove(&program, "s", "a", LIMIT).is_err());
}

#[test]
fn a_program_that_is_not_there_or_waits() {
    let none = keychain::find(&["/nonexistent/mac".to_owned(), "security".to_owned()], "s", "a", LIMIT);
    let none = none.expect_err("no program").to_string();
    assert!(none.starts_with("/nonexistent/mac cannot be started"), "{none}");
    assert!(matches!(keychain::find(&[], "s", "a", LIMIT), Err(Error::NoProgram)));
    let waits: Vec<String> = ["bash", "-c", "sleep 1000"].map(str::to_owned).to_vec();
    let late = keychain::find(&waits, "s", "a", Duration::from_millis(300)).expect_err("too late").to_string();
    assert!(late.starts_with("bash did not end within 0.3 s"), "{late}");
}
