//! Calls the library as another user or in another namespace: this test binary, copied into the lab and
//! started there with `KEYSLIP_DRIVER`. The secret is its standard input; its answer is one line.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};

use keyslip::backend::encrypted;
use keyslip::backend::keyring::{Error, Keyring};
use keyslip::secret::Secret;

use crate::lab::Lab;

/// Functions of bash for scripts in the lab. `driver` takes a request, a JSON array of words.
const FUNCTIONS: &str = r#"
bus=unix:path=/run/user/4100/bus
driver() { KEYSLIP_DRIVER=$1 $W/driver --exact driver::driver --ignored --nocapture --quiet | sed -n 's/^driver: //p'; }
tool() { DBUS_SESSION_BUS_ADDRESS=$bus secret-tool "$@"; }
"#;

/// Puts this program into the lab.
pub fn install(lab: &Lab) {
    std::fs::copy(std::env::current_exe().expect("this program"), lab.path().join("driver")).expect("a copy");
}

/// Writes a script that may use the functions above; the words that run it.
pub fn script(lab: &Lab, text: &str) -> String {
    lab.write("script", format!("{FUNCTIONS}\n{text}").as_bytes());
    "bash -eu -o pipefail $W/script".to_owned()
}

/// The driver with a request, in this process' environment.
pub fn command(request: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "driver::driver", "--ignored", "--nocapture", "--quiet"]).env("KEYSLIP_DRIVER", request);
    command
}

/// The answer, or, without one, all that was printed.
pub fn answer(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.lines().find_map(|line| line.strip_prefix("driver: ")).unwrap_or(&said).to_owned()
}

/// The answer to a request on the bus at `socket`.
pub fn ask(request: &str, socket: &Path) -> String {
    let address = format!("unix:path={}", socket.display());
    let output = command(request).env("DBUS_SESSION_BUS_ADDRESS", address).output().expect("the driver runs");
    answer(&output)
}

#[test]
#[ignore = "it is started by other tests, with a request"]
fn driver() {
    let Ok(request) = std::env::var("KEYSLIP_DRIVER") else { return };
    let words: Vec<String> = serde_json::from_str(&request).expect("a request is an array of words");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let answer = match words[0] {
        "seal" => encrypted::seal(words[1], &input()).map_err(|error| error.to_string()),
        "seal-large" => {
            keyslip::sys::end_on_closed_pipe();
            encrypted::seal(words[1], &Secret::new(vec![b'x'; 300_000])).map_err(|error| error.to_string())
        }
        "unseal" => encrypted::open(words[1], input().expose_text().expect("text"))
            .map(|secret| secret.expose_text().expect("text").to_owned())
            .map_err(|error| error.to_string()),
        "can-seal" => Ok(encrypted::is_available().to_string()),
        _ => on_keyring(&words).map_err(|error| format!("{}: {error}", kind(&error))),
    };
    println!("\ndriver: {}", answer.unwrap_or_else(|error| error));
}

fn on_keyring(words: &[&str]) -> Result<String, Error> {
    let keyring = Keyring::open()?;
    let attributes: Vec<(&str, &str)> = words[1..].iter().filter_map(|word| word.split_once('=')).collect();
    match words[0] {
        "open" => Ok("open".to_owned()),
        "state" => keyring.state().map(|state| format!("{state:?}")),
        "put" => keyring.put(&attributes, "Keyslip: a test", &input()).map(|()| "put".to_owned()),
        "remove" => keyring.remove(&attributes).map(|count| count.to_string()),
        "find" => keyring.find(&attributes).map(|items| {
            let mut lines: Vec<String> = items
                .iter()
                .map(|item| {
                    format!("{:?} {} {}", item.attributes, item.label, item.secret.expose_text().expect("text"))
                })
                .collect();
            lines.sort();
            format!("{} {}", lines.len(), lines.join(" | "))
        }),
        // One connection and many calls, in case something is used up.
        "many" => (0..20).try_for_each(|_| keyring.find(&attributes).map(drop)).map(|()| "done".to_owned()),
        other => panic!("no such request: {other}"),
    }
}

fn kind(error: &Error) -> &'static str {
    match error {
        Error::Unreachable(_) => "Unreachable",
        Error::Refused(_) => "Refused",
        Error::Locked => "Locked",
        Error::Uninitialised => "Uninitialised",
        Error::TimedOut => "TimedOut",
        Error::Failed(_) => "Failed",
    }
}

fn input() -> Secret {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).expect("standard input");
    Secret::new(bytes)
}
