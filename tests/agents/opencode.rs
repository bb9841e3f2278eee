//! opencode.

use crate::client::{Client, Installed};
use crate::lab::Lab;
use crate::row::Row;
use crate::sandbox::{Sandbox, Wanted, Way};

/// The client and a lab; nothing where one of them cannot be had.
fn opencode(name: &str) -> Option<(Installed, Lab)> {
    Some((Client::OpenCode.installed()?, Lab::new(&format!("agents-opencode-{name}"))?))
}

/// A key of Anthropic, shown as `<mark>`.
pub fn key(lab: &Lab, mark: &str) -> String {
    let key = format!("sk-ant-api03-FAKE-{}-{mark}", lab.unique());
    lab.mark(mark, &key);
    key
}

/// What the client keeps of a ChatGPT login; its access token is shown as `<OPENCODE>`, its refresh token as
/// `<REFRESH>`.
fn login(lab: &Lab) -> String {
    let (access, refresh) = (format!("FAKE-access-{}", lab.unique()), format!("FAKE-refresh-{}", lab.unique()));
    lab.mark("OPENCODE", &access);
    lab.mark("REFRESH", &refresh);
    serde_json::json!({"openai": {"type": "oauth", "access": access, "refresh": refresh, "expires": 4_102_444_800_000_u64}})
        .to_string()
}

fn rows(name: &str, credential: impl Fn(&Lab) -> String, rows: &[Row<'_>]) {
    let Some((client, lab)) = opencode(name) else { return };
    lab.login("opencode", &credential(&lab));
    for row in rows {
        row.fill(&lab, Client::OpenCode, &client);
    }
}

#[test]
fn without_a_credential_it_has_none() {
    let Some((client, lab)) = opencode("none") else { return };
    let none = "0 credentials";
    let row = Row { order: 0, kind: "none", way: Way::None, runtime: "crun", main: none, exec: none, wire: "" };
    row.fill(&lab, Client::OpenCode, &client);
}

#[test]
fn a_key_of_anthropic() {
    let said = "Anthropic api";
    let row = |order, way, runtime| Row {
        order,
        kind: "API key of Anthropic",
        way,
        runtime,
        main: said,
        exec: said,
        wire: "x-api-key: <OPENCODE>",
    };
    rows(
        "key",
        |lab| key(lab, "OPENCODE"),
        &[row(1, Way::Shim, "crun"), row(2, Way::Hook, "runc"), row(3, Way::Inject, "crun")],
    );
}

#[test]
fn a_key_of_openai() {
    let said = "OpenAI api";
    let (kind, wire) = ("API key of OpenAI", "authorization: Bearer <OPENCODE>");
    rows(
        "openai",
        |lab| {
            let key = format!("sk-proj-FAKE-{}", lab.unique());
            lab.mark("OPENCODE", &key);
            key
        },
        &[Row { order: 4, kind, way: Way::Shim, runtime: "runc", main: said, exec: said, wire }],
    );
}

#[test]
fn its_own_logins() {
    let said = "OpenAI oauth";
    let (kind, wire) = ("logins of opencode", "authorization: Bearer <OPENCODE>");
    let row = |order, way, runtime| Row { order, kind, way, runtime, main: said, exec: said, wire };
    rows("login", login, &[row(5, Way::Shim, "crun"), row(6, Way::Hook, "runc"), row(7, Way::Inject, "crun")]);
}

/// Refresh tokens that can be used once stay on the host; that of GitHub Copilot is the login itself.
#[test]
fn refresh_tokens_stay_and_the_file_beats_a_variable_and_is_beaten_by_another() {
    let Some((client, lab)) = opencode("order") else { return };
    let copilot = "gho_FAKE-copilot";
    let mut logins: serde_json::Value = serde_json::from_str(&login(&lab)).expect("JSON");
    logins["github-copilot"] =
        serde_json::json!({"type": "oauth", "access": copilot, "refresh": copilot, "expires": 0});
    logins["anthropic"] = serde_json::json!({"type": "api", "key": key(&lab, "KEY")});
    // The login of the host's own client, which is delivered in the same form.
    lab.write("auth.json", logins.to_string().as_bytes());
    lab.ok("mkdir -p ~/.local/share/opencode; install -m 600 $W/auth.json ~/.local/share/opencode/");
    let content = r#"OPENCODE_AUTH_CONTENT={"anthropic":{"type":"api","key":"sk-ant-api03-FAKE-content"}}"#;
    let ask = "opencode run -m anthropic/claude-haiku-4-5 hi";
    for (env, wire, warned) in [
        ("ANTHROPIC_API_KEY=sk-ant-api03-FAKE-image", "x-api-key: <KEY>", false),
        (content, "x-api-key: sk-ant-api03-FAKE-content", true),
    ] {
        if warned {
            lab.ok("rm ~/.local/share/opencode/auth.json");
            lab.login("opencode", &logins.to_string());
        }
        let wanted = Wanted { env: &[env], main: ask, ..Wanted::new("opencode", Way::Shim) };
        let sandbox = Sandbox::start(&lab, &client, &wanted);
        let said = sandbox.main();
        let requests = sandbox.api.take();
        let asked = requests.iter().filter(|it| it.target == "api.anthropic.com/v1/messages");
        let seen: Vec<String> = asked.map(|it| lab.masked(&it.credentials().join(", "))).collect();
        assert!(!seen.is_empty() && seen.iter().all(|line| line == wire), "{seen:?}: {said}");
        let warning = "OPENCODE_AUTH_CONTENT is set by the container; opencode uses it instead";
        assert_eq!(sandbox.warnings().contains(warning), warned, "{}", sandbox.warnings());
        let file: serde_json::Value =
            serde_json::from_str(&sandbox.exec("cat ~/.local/share/opencode/auth.json").stdout).expect("JSON");
        assert_eq!(file["openai"]["refresh"], "", "the refresh token left the host");
        assert_eq!(file["github-copilot"]["refresh"], copilot);
        assert_eq!(file["openai"]["access"], "<OPENCODE>");
        assert!(file.get("gitlab").is_none(), "an entry was made up");
        sandbox.end();
    }
}
