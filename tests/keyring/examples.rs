//! The helpers of examples/credential-helpers. Those for `pass` and for a mounted Secret run for real;
//! the others need services that are not here.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use keyslip::backend::command::{Error, Found, Helper, Output};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/credential-helpers").join(name)
}

fn get(helper: &Helper) -> Result<Option<(String, Option<String>)>, Error> {
    let (agent, account) = ("claude".parse().expect("a name"), "default".parse().expect("a name"));
    helper.get(&agent, &account).map(|found| match found {
        Found::None => None,
        Found::Credential { value, expires } => {
            Some((value.expose_text().expect("text").to_owned(), expires.map(|at| at.to_string())))
        }
    })
}

fn helper(name: &str, argument: &str, env: &[(&str, &Path)]) -> Helper {
    Helper {
        argv: vec![example(name).display().to_string(), argument.to_owned()],
        output: Output::Json,
        limit: Duration::from_secs(30),
        env: env.iter().map(|(name, value)| ((*name).into(), value.into())).collect(),
    }
}

#[test]
fn a_mounted_secret() {
    let dir = tempfile::tempdir().expect("a directory");
    let secret = dir.path().join("keyslip-claude-default");
    let asked = helper("kubernetes-secret", &format!("{}/keyslip-{{agent}}-{{account}}", dir.path().display()), &[]);
    assert_eq!(get(&asked).expect("an answer"), None);
    std::fs::create_dir(&secret).expect("a directory");
    std::fs::write(secret.join("credential"), "sk-ant-oat01-FAKE-\"quoted\"\n").expect("a file");
    let value = "sk-ant-oat01-FAKE-\"quoted\"".to_owned();
    assert_eq!(get(&asked).expect("an answer"), Some((value.clone(), None)));
    std::fs::write(secret.join("expiresAt"), "2027-03-19T21:00:00Z\n").expect("a file");
    assert_eq!(get(&asked).expect("an answer"), Some((value, Some("2027-03-19T21:00:00Z".to_owned()))));
}

#[test]
fn an_entry_of_pass() {
    let dir = tempfile::tempdir().expect("a directory");
    let (keys, store) = (dir.path().join("gnupg"), dir.path().join("store"));
    let env = [("GNUPGHOME", keys.as_path()), ("PASSWORD_STORE_DIR", store.as_path())];
    let sh = |script: &str| {
        let output = Command::new("bash").args(["-eu", "-c", script]).envs(env).output().expect("bash starts");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    };
    sh("mkdir -m 700 $GNUPGHOME; gpg --batch --quiet --passphrase '' --quick-generate-key keyslip-test default default never
        pass init keyslip-test >/dev/null; printf '{\"a\":\\n\"sk-ant-oat01-FAKE\"}\\n' | pass insert -m keyslip/claude/default >/dev/null");
    let asked = get(&helper("pass", "keyslip/{agent}/{account}", &env));
    let other = get(&helper("pass", "keyslip/{agent}/other", &env));
    // The entry is there, and its key is not.
    sh("gpgconf --kill gpg-agent; rm -r $GNUPGHOME/private-keys-v1.d");
    let locked = get(&helper("pass", "keyslip/{agent}/{account}", &env));
    sh("gpgconf --kill gpg-agent");
    assert_eq!(asked.expect("an answer"), Some(("{\"a\":\n\"sk-ant-oat01-FAKE\"}".to_owned(), None)));
    assert_eq!(other.expect("an answer"), None);
    let locked = locked.expect_err("no key").to_string();
    assert!(locked.contains("/pass failed with exit code ") && locked.contains("gpg: "), "{locked}");
}

#[test]
fn the_scripts_are_sound() {
    let scripts = ["vault", "1password", "pass", "aws-secrets-manager", "kubernetes-secret"].map(example);
    let output = Command::new("shellcheck").args(scripts).output().expect("shellcheck starts; run tests/lab/setup");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
