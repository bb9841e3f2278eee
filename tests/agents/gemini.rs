//! Gemini CLI.

use crate::client::{Client, Installed};
use crate::lab::Lab;
use crate::row::Row;
use crate::sandbox::Way;

/// The client and a lab; nothing where one of them cannot be had.
fn gemini(name: &str) -> Option<(Installed, Lab)> {
    Some((Client::Gemini.installed()?, Lab::new(&format!("agents-gemini-{name}"))?))
}

/// A Google login as one object; its access token is shown as `<mark>`.
pub fn login(lab: &Lab, mark: &str, expires_ms: u64) -> String {
    let (access, refresh) = (format!("ya29.FAKE-{mark}-{}", lab.unique()), format!("1//FAKE-{mark}-{}", lab.unique()));
    lab.mark(mark, &access);
    lab.mark("REFRESH", &refresh);
    serde_json::json!({"oauth_creds": {"access_token": access, "refresh_token": refresh, "expiry_date": expires_ms,
            "scope": "https://www.googleapis.com/auth/cloud-platform", "token_type": "Bearer"},
        "google_accounts": {"active": "dev@example.org", "old": []}})
    .to_string()
}

/// The year 2100.
pub const LATER: u64 = 4_102_444_800_000;

fn rows(name: &str, credential: impl Fn(&Lab) -> String, rows: &[Row<'_>]) {
    let Some((client, lab)) = gemini(name) else { return };
    lab.login("gemini", &credential(&lab));
    for row in rows {
        row.fill(&lab, Client::Gemini, &client);
    }
}

const YES: &str = "ends with 0";
const NO: &str = "ends with 41";

#[test]
fn without_a_credential_it_ends_with_41() {
    let Some((client, lab)) = gemini("none") else { return };
    let row = Row { order: 0, kind: "none", way: Way::None, runtime: "crun", main: NO, exec: NO, wire: "" };
    row.fill(&lab, Client::Gemini, &client);
}

#[test]
fn a_google_login() {
    let wire = "authorization: Bearer <GEMINI>";
    let row = |order, way, runtime| Row { order, kind: "Google login", way, runtime, main: YES, exec: YES, wire };
    rows(
        "login",
        |lab| login(lab, "GEMINI", LATER),
        &[
            row(1, Way::Shim, "crun"),
            row(2, Way::Hook, "runc"),
            row(3, Way::Inject, "crun"),
            row(4, Way::Podman, "runc"),
            row(5, Way::Cdi, "crun"),
        ],
    );
}

#[test]
fn an_api_key() {
    let wire = "x-goog-api-key: <GEMINI>";
    let row = |order, way, runtime, main, exec, wire| Row { order, kind: "API key", way, runtime, main, exec, wire };
    rows(
        "key",
        |lab| {
            let key = format!("AIzaFAKE-{}", lab.unique());
            lab.mark("GEMINI", &key);
            key
        },
        &[
            row(6, Way::Shim, "runc", YES, YES, wire),
            // There is no file for it.
            row(7, Way::Hook, "crun", NO, NO, ""),
            row(8, Way::Inject, "runc", YES, NO, wire),
            row(9, Way::Podman, "crun", YES, YES, wire),
        ],
    );
}
