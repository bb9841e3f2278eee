//! GitHub Copilot CLI.

use crate::client::{Client, Installed};
use crate::lab::Lab;
use crate::row::Row;
use crate::sandbox::{Sandbox, Wanted, Way};

/// The client and a lab; nothing where one of them cannot be had.
fn copilot(name: &str) -> Option<(Installed, Lab)> {
    Some((Client::Copilot.installed()?, Lab::new(&format!("agents-copilot-{name}"))?))
}

/// A token that begins with `prefix`, shown as `<COPILOT>`.
pub fn token(lab: &Lab, prefix: &str) -> String {
    let token = format!("{prefix}FAKE{}", lab.unique());
    lab.mark("COPILOT", &token);
    token
}

const YES: &str = "ends with 0";
const NO: &str = "ends with 1";
const BEARER: &str = "authorization: Bearer <COPILOT>";

#[test]
fn without_a_credential_it_ends_with_1() {
    let Some((client, lab)) = copilot("none") else { return };
    let row = Row { order: 0, kind: "none", way: Way::None, runtime: "crun", main: NO, exec: NO, wire: "" };
    row.fill(&lab, Client::Copilot, &client);
}

#[test]
fn a_fine_grained_token() {
    let Some((client, lab)) = copilot("token") else { return };
    lab.login("copilot", &token(&lab, "github_pat_"));
    let row = |order, way, runtime, main, exec, wire| Row {
        order,
        kind: "fine-grained personal access token",
        way,
        runtime,
        main,
        exec,
        wire,
    };
    for row in [
        row(1, Way::Shim, "crun", YES, YES, BEARER),
        // There is no file for it.
        row(2, Way::Hook, "runc", NO, NO, ""),
        row(3, Way::Inject, "crun", YES, NO, BEARER),
    ] {
        row.fill(&lab, Client::Copilot, &client);
    }
}

#[test]
fn a_user_token_of_an_app() {
    let Some((client, lab)) = copilot("user") else { return };
    lab.login("copilot", &token(&lab, "ghu_"));
    let kind = "user token of a GitHub App";
    let row = Row { order: 5, kind, way: Way::Shim, runtime: "crun", main: YES, exec: YES, wire: BEARER };
    row.fill(&lab, Client::Copilot, &client);
}

#[test]
fn an_oauth_token_beats_the_variables_of_the_image() {
    let Some((client, lab)) = copilot("oauth") else { return };
    lab.login("copilot", &token(&lab, "gho_"));
    let row =
        Row { order: 4, kind: "OAuth token", way: Way::Shim, runtime: "runc", main: YES, exec: YES, wire: BEARER };
    row.fill(&lab, Client::Copilot, &client);
    let env = ["GH_TOKEN=gho_FAKEimage", "GITHUB_TOKEN=gho_FAKEimage"];
    let wanted = Wanted { env: &env, main: Client::Copilot.status(), ..Wanted::new("copilot", Way::Shim) };
    let sandbox = Sandbox::start(&lab, &client, &wanted);
    let said = sandbox.main();
    let credentials: Vec<String> = sandbox.api.take().iter().flat_map(|it| it.credentials()).collect();
    assert!(lab.masked(&credentials.join(", ")).contains("<COPILOT>"), "{said}");
    assert!(!credentials.join(", ").contains("image"), "{said}");
    sandbox.end();
}

/// The client refuses classic tokens, so they are not stored.
#[test]
fn a_classic_token_is_refused_by_both() {
    let Some((client, lab)) = copilot("classic") else { return };
    lab.write("token", b"ghp_FAKE0123456789");
    let stored = lab.sh("keyslip auth login copilot <$W/token");
    assert!(
        !stored.succeeded() && stored.stderr.contains("this is no credential that GitHub Copilot CLI takes"),
        "{stored}"
    );
    let env = ["COPILOT_GITHUB_TOKEN=ghp_FAKE0123456789"];
    let wanted = Wanted { env: &env, main: Client::Copilot.status(), ..Wanted::new("copilot", Way::None) };
    let sandbox = Sandbox::start(&lab, &client, &wanted);
    let said = sandbox.main();
    assert!(said.contains("Classic Personal Access Tokens (ghp_) are not supported"), "{said}");
    sandbox.end();
}
