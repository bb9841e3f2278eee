//! From the server into the container, with the rights that the unit for systemd leaves.

use std::fs;
use std::path::Path;

use keyslip::clock::Instant;
use serde_json::{Value, json};

use crate::lab::{Bare, Lab};
use crate::server::Server;

/// {"alg":"none"} . {"exp":4102444800} . no signature
const JWT: &str = "eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.FAKE-access-";

/// A lab whose Claude and Codex ask a server here.
fn lab_with_server(name: &str) -> Option<(Lab, Server)> {
    let lab = Lab::new(name)?;
    let server = Server::start(lab.path());
    server.state().access = JWT;
    lab.ok("mkdir -p /etc/keyslip/agents.d");
    for agent in ["claude", "codex"] {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/agents/{agent}.toml"));
        let text = fs::read_to_string(shipped).unwrap();
        let line = text.lines().find(|line| line.starts_with("endpoint = ")).unwrap();
        let text = text.replace(line, &format!("endpoint = \"https://127.0.0.1:{}/\"", server.port));
        lab.write(&format!("/etc/keyslip/agents.d/{agent}.toml"), text.as_bytes());
    }
    Some((lab, server))
}

/// Stores a login that is due and Keyslip's to renew.
fn store(lab: &Lab, dir: &str, name: &str, login: &str) {
    let now = Instant::now();
    let entry = json!({
        "token": login, "createdAt": Instant(now.0 - 3600), "expiresAt": Instant(now.0 + 60), "renewable": true
    });
    lab.ok(&format!("mkdir -p -m 700 {dir}/tokens"));
    lab.write(&format!("{dir}/tokens/{name}.json"), entry.to_string().as_bytes());
    lab.ok(&format!("chmod 600 {dir}/tokens/{name}.json"));
}

fn claude() -> String {
    let end = (Instant::now().0 + 60) * 1000;
    format!(
        r#"{{"claudeAiOauth":{{"accessToken":"FAKE-access-0","refreshToken":"FAKE-refresh-0","expiresAt":{end},"scopes":["user:inference"]}}}}"#
    )
}

/// `keyslip maintain` with the capabilities that the unit leaves.
fn as_the_unit_does(lab: &Lab) -> String {
    let unit = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/systemd/keyslip-refresh.service"));
    let unit = unit.unwrap();
    let value =
        |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).expect("in the unit");
    let capabilities: Vec<String> = value("CapabilityBoundingSet")
        .split(' ')
        .map(|name| format!("+{}", name.strip_prefix("CAP_").unwrap().to_lowercase()))
        .collect();
    assert_eq!(value("NoNewPrivileges"), "yes");
    let command = value("ExecStart").strip_prefix("/usr/bin/").unwrap();
    lab.ok(&format!(
        "SSL_CERT_FILE=$W/authority.pem setpriv --bounding-set=-all,{} --no-new-privs {command} 2>&1",
        capabilities.join(",")
    ))
}

#[test]
fn a_container_that_runs_gets_the_renewed_login() {
    // Two pages do not fit where one was: then there is a new mount.
    for (agent, path, padding) in [("claude", ".claude/.credentials.json", 0), ("codex", ".codex/auth.json", 6000)] {
        let Some((lab, server)) = lab_with_server(&format!("renew-{agent}")) else { return };
        let padding = "A".repeat(padding);
        let codex = format!(
            r#"{{"auth_mode":"chatgpt","tokens":{{"id_token":"{padding}","access_token":"{JWT}0","refresh_token":"FAKE-refresh-0","account_id":"{padding}"}}}}"#
        );
        let login = if agent == "claude" { claude() } else { codex };
        store(&lab, "/var/lib/keyslip", &format!("{agent}-oauth"), &login);
        let edit = format!(
            r#".process.user={{uid:1000,gid:1000}} | .process.env+=["HOME=/home/dev"] | .annotations["dev.keyslip.agents"]="{agent}""#
        );
        let container = Bare::started(&lab, "crun", &edit);
        let read = |what: &str| container.exec(&format!("cat ~/{path}; : {what}"));
        assert!(read("before").contains("FAKE-access-0"));
        let said = as_the_unit_does(&lab);
        assert!(said.starts_with(&format!("{agent} was renewed; ")) && said.contains("was updated"), "{said}");
        assert!(!said.contains("FAKE"), "{said}");
        let now = read("after");
        assert!(now.contains("FAKE-access-1") && !now.contains("FAKE-access-0"), "{now}");
        assert!(!now.contains("FAKE-refresh"), "the refresh token stays on the host");
        let again = as_the_unit_does(&lab);
        assert_eq!(again, "", "nothing is due");
        assert_eq!(server.state().given, 1);
        container.end();
        lab.assert_nothing_left(agent);
        assert_eq!(
            lab.ok("find /var/lib/keyslip/tokens -name '.re*' -size +0; find /var/lib/keyslip/tokens -name .new"),
            ""
        );
    }
}

#[test]
fn the_logins_of_the_owner_are_renewed_as_that_user() {
    let Some((lab, server)) = lab_with_server("renew-owner") else { return };
    lab.configure("owner = \"labuser\"\n");
    let dir = "/home/labuser/.local/state/keyslip";
    store(&lab, dir, "claude-oauth", &claude());
    lab.ok("chown -R labuser: /home/labuser/.local");
    let said = as_the_unit_does(&lab);
    assert!(said.starts_with("claude was renewed; "), "{said}");
    let entry: Value = serde_json::from_str(&lab.ok(&format!("cat {dir}/tokens/claude-oauth.json"))).unwrap();
    assert!(entry["token"].as_str().unwrap().contains("FAKE-refresh-1"));
    assert_eq!(lab.ok(&format!("find {dir} -not -user labuser; find {dir} -type f -perm /077")), "");
    assert_eq!(lab.ok("ls /var/lib/keyslip/tokens 2>/dev/null || true"), "");
    // A link of theirs to a file of root's is not written through.
    lab.ok(&format!(
        "echo roots >/root/file; rm -f {dir}/tokens/.renewing-claude@default
        ln -s /root/file {dir}/tokens/.renewed-claude@default; ln -s /root/file {dir}/tokens/.new"
    ));
    let forced = lab.sh("SSL_CERT_FILE=$W/authority.pem keyslip auth refresh");
    assert!(forced.stderr.contains("symbolic link") || forced.stderr.contains("Permission denied"), "{forced}");
    lab.ok(&format!("rm {dir}/tokens/.renewed-claude@default"));
    assert!(lab.sh("SSL_CERT_FILE=$W/authority.pem keyslip auth refresh").succeeded());
    assert_eq!(lab.ok("cat /root/file"), "roots");
    assert_eq!(server.state().refused, 0);
}
