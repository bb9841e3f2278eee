//! Codex.

use crate::client::{Client, Installed};
use crate::lab::Lab;
use crate::row::Row;
use crate::sandbox::Way;

/// The client and a lab; nothing where one of them cannot be had.
fn codex(name: &str) -> Option<(Installed, Lab)> {
    Some((Client::Codex.installed()?, Lab::new(&format!("agents-codex-{name}"))?))
}

/// A JSON web token without a signature.
fn jwt(claims: &serde_json::Value) -> String {
    let code = |text: &str| {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
    };
    format!("{}.{}.{}", code(r#"{"alg":"none","typ":"JWT"}"#), code(&claims.to_string()), code("FAKE"))
}

/// A ChatGPT login as the client itself writes it; its access token is shown as `<mark>`.
pub fn login(lab: &Lab, mark: &str, expires: u64) -> String {
    let auth = serde_json::json!({"chatgpt_account_id": "FAKE-account", "chatgpt_plan_type": "plus", "chatgpt_user_id": "FAKE-user"});
    let claims = |jti: &str| {
        serde_json::json!({"exp": expires, "iat": 1_760_000_000, "jti": jti, "email": "dev@example.org",
            "https://api.openai.com/auth": auth})
    };
    let access = jwt(&claims(&format!("FAKE-{mark}-{}", lab.unique())));
    let refresh = format!("rt_FAKE-{mark}-{}", lab.unique());
    lab.mark(mark, &access);
    lab.mark("REFRESH", &refresh);
    serde_json::json!({"auth_mode": "chatgpt", "OPENAI_API_KEY": null, "last_refresh": "2026-11-01T00:00:00Z",
        "tokens": {"id_token": jwt(&claims("FAKE-id")), "access_token": access, "refresh_token": refresh, "account_id": "FAKE-account"}})
    .to_string()
}

/// The year 2100.
pub const LATER: u64 = 4_102_444_800;

fn rows(name: &str, credential: impl Fn(&Lab) -> String, rows: &[Row<'_>]) {
    let Some((client, lab)) = codex(name) else { return };
    lab.login("codex", &credential(&lab));
    for row in rows {
        row.fill(&lab, Client::Codex, &client);
    }
}

const BEARER: &str = "authorization: Bearer <CODEX>";
const NONE: &str = "Not logged in";

#[test]
fn without_a_credential_it_is_not_logged_in() {
    let Some((client, lab)) = codex("none") else { return };
    let row = Row { order: 0, kind: "none", way: Way::None, runtime: "crun", main: NONE, exec: NONE, wire: "" };
    row.fill(&lab, Client::Codex, &client);
}

#[test]
fn a_chatgpt_login() {
    let said = "Logged in using ChatGPT";
    let row =
        |order, way, runtime| Row { order, kind: "ChatGPT login", way, runtime, main: said, exec: said, wire: BEARER };
    rows(
        "login",
        |lab| login(lab, "CODEX", LATER),
        &[
            row(1, Way::Shim, "crun"),
            row(2, Way::Hook, "runc"),
            row(3, Way::Inject, "crun"),
            row(4, Way::Podman, "crun"),
            row(5, Way::Cdi, "runc"),
        ],
    );
}

#[test]
fn an_api_key() {
    let said = "API key configured";
    let row = |order, way, runtime| Row { order, kind: "API key", way, runtime, main: said, exec: said, wire: BEARER };
    rows(
        "key",
        |lab| {
            let key = format!("sk-proj-FAKE-{}", lab.unique());
            lab.mark("CODEX", &key);
            key
        },
        &[
            row(6, Way::Shim, "runc"),
            row(7, Way::Hook, "crun"),
            row(8, Way::Inject, "runc"),
            row(9, Way::Podman, "runc"),
            row(10, Way::Cdi, "crun"),
        ],
    );
}
