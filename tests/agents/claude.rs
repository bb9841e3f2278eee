//! Claude Code.

use crate::client::{Client, Installed};
use crate::lab::Lab;
use crate::row::Row;
use crate::sandbox::Way;

/// The client and a lab; nothing where one of them cannot be had.
fn claude(name: &str) -> Option<(Installed, Lab)> {
    Some((Client::Claude.installed()?, Lab::new(&format!("agents-claude-{name}"))?))
}

/// A login as the client itself writes it; its access token is shown as `<CLAUDE>`, its refresh token as
/// `<REFRESH>`.
pub fn login(lab: &Lab, mark: &str, expires_ms: u64) -> String {
    let refresh = format!("sk-ant-ort01-FAKE-{mark}-{}", lab.unique());
    lab.mark("REFRESH", &refresh);
    serde_json::json!({"claudeAiOauth": {"accessToken": lab.token(mark), "refreshToken": refresh, "expiresAt": expires_ms,
        "scopes": ["user:inference", "user:profile"], "subscriptionType": "max"}})
    .to_string()
}

/// The year 2100.
pub const LATER: u64 = 4_102_444_800_000;

fn rows(name: &str, credential: impl Fn(&Lab) -> String, rows: &[Row<'_>]) {
    let Some((client, lab)) = claude(name) else { return };
    lab.login("claude", &credential(&lab));
    for row in rows {
        row.fill(&lab, Client::Claude, &client);
    }
}

const BEARER: &str = "authorization: Bearer <CLAUDE>";

#[test]
fn without_a_credential_it_is_not_logged_in() {
    let Some((client, lab)) = claude("none") else { return };
    let row = Row { order: 0, kind: "none", way: Way::None, runtime: "crun", main: "`none`", exec: "`none`", wire: "" };
    row.fill(&lab, Client::Claude, &client);
}

#[test]
fn a_token_for_a_year() {
    let row = |order, way, runtime, main, exec| Row {
        order,
        kind: "long-lived OAuth token",
        way,
        runtime,
        main,
        exec,
        wire: BEARER,
    };
    rows(
        "token",
        |lab| lab.token("CLAUDE"),
        &[
            row(1, Way::Shim, "crun", "`oauth_token`", "`oauth_token`"),
            // Where no variable can be given, the token is in the client's file.
            row(2, Way::Hook, "runc", "`claude.ai`", "`claude.ai`"),
            row(3, Way::Inject, "crun", "`oauth_token`", "`none`"),
            row(4, Way::Podman, "crun", "`oauth_token`", "`oauth_token`"),
            row(5, Way::Cdi, "runc", "`claude.ai`", "`claude.ai`"),
        ],
    );
}

#[test]
fn a_login() {
    let row = |order, way, runtime| Row {
        order,
        kind: "OAuth login",
        way,
        runtime,
        main: "`claude.ai`",
        exec: "`claude.ai`",
        wire: BEARER,
    };
    rows(
        "login",
        |lab| login(lab, "CLAUDE", LATER),
        &[
            row(6, Way::Shim, "runc"),
            row(7, Way::Hook, "crun"),
            row(8, Way::Inject, "runc"),
            row(9, Way::Podman, "runc"),
            row(10, Way::Cdi, "crun"),
        ],
    );
}

#[test]
fn an_api_key() {
    let row = |order, way, runtime, main, exec, wire| Row { order, kind: "API key", way, runtime, main, exec, wire };
    rows(
        "key",
        |lab| {
            let key = format!("sk-ant-api03-FAKE-{}", lab.unique());
            lab.mark("CLAUDE", &key);
            key
        },
        &[
            row(11, Way::Shim, "crun", "`api_key`", "`api_key`", "x-api-key: <CLAUDE>"),
            // There is no file for it.
            row(12, Way::Hook, "runc", "`none`", "`none`", ""),
            row(13, Way::Inject, "crun", "`api_key`", "`none`", "x-api-key: <CLAUDE>"),
            row(14, Way::Podman, "runc", "`api_key`", "`api_key`", "x-api-key: <CLAUDE>"),
        ],
    );
}
