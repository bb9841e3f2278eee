//! Writes items into a real keyring, call by call as the Go libraries below Headjack do it:
//! 99designs/keyring 1.2 (`secretservice.go`) over gsterjov/go-libsecret. It runs in the lab, as another
//! user, as a copy of this test binary.

use std::collections::HashMap;
use std::io::Read;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zbus::blocking::{Connection, Proxy};
use zbus::zvariant::{ObjectPath, OwnedObjectPath, OwnedValue, Value};

use crate::lab::Lab;

const BUS_NAME: &str = "org.freedesktop.secrets";
const SERVICE: &str = "/org/freedesktop/secrets";
/// The collection, which has the name of Headjack's service.
const COLLECTION: &str = "com.headjack.cli";

/// Defines `headjack`, for scripts in a session. Its input is lines of a key and a value; with `locked`
/// the collection is locked in the end.
pub fn install(lab: &Lab) -> &'static str {
    std::fs::copy(std::env::current_exe().expect("this program"), lab.path().join("driver")).expect("a copy");
    "headjack() { KEYSLIP_GO_KEYRING=$1 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/4100/bus \
     $W/driver --exact go_keyring::writer --ignored --quiet >/dev/null; }"
}

#[test]
#[ignore = "it is started by other tests, in a session"]
fn writer() {
    let Ok(state) = std::env::var("KEYSLIP_GO_KEYRING") else { return };
    let mut lines = String::new();
    std::io::stdin().read_to_string(&mut lines).expect("keys and values");
    write(&lines, state == "locked").expect("the keyring takes them");
}

fn write(lines: &str, lock: bool) -> zbus::Result<()> {
    let bus = Connection::session()?;
    let service = Proxy::new(&bus, BUS_NAME, SERVICE, "org.freedesktop.Secret.Service")?;
    let (_, session): (OwnedValue, OwnedObjectPath) = service.call("OpenSession", &("plain", Value::from("")))?;
    let secret = |value: &str, kind: &'static str| {
        (ObjectPath::from(&session), Vec::<u8>::new(), value.as_bytes().to_vec(), kind)
    };
    // Where the libraries call CreateCollection, gnome-keyring asks the user for a password; this call
    // of its own takes one instead.
    let guilt = Proxy::new(&bus, BUS_NAME, SERVICE, "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface")?;
    let label = HashMap::from([("org.freedesktop.Secret.Collection.Label", Value::from(COLLECTION))]);
    let made: OwnedObjectPath = guilt.call("CreateWithMasterPassword", &(label, secret("FAKE", "text/plain")))?;
    let collection = Proxy::new(&bus, BUS_NAME, &made, "org.freedesktop.Secret.Collection")?;
    for (key, value) in lines.lines().filter_map(|line| line.split_once(' ')) {
        let attributes = HashMap::from([("profile", key)]);
        let properties = HashMap::from([
            ("org.freedesktop.Secret.Item.Label", Value::from(key)),
            ("org.freedesktop.Secret.Item.Attributes", Value::from(attributes)),
        ]);
        let item = format!(
            r#"{{"Key":"{key}","Data":"{}","Label":"Headjack - {key}","Description":"Headjack CLI credential","KeychainNotTrustApplication":false,"KeychainNotSynchronizable":false}}"#,
            BASE64_STANDARD.encode(value)
        );
        let _: (OwnedObjectPath, OwnedObjectPath) =
            collection.call("CreateItem", &(properties, secret(&item, "application/json"), true))?;
    }
    if lock {
        let _: (Vec<OwnedObjectPath>, OwnedObjectPath) = service.call("Lock", &(vec![&made],))?;
    }
    Ok(())
}
