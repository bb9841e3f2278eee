//! docker.

use serde_json::json;

use crate::lab::{Lab, Tree};
use crate::row::{Commands, Row};

/// Name of the way, what asks, and the columns that are not yes.
type Way = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

fn rows(tree: Tree, version: &str, ways: &[Way]) {
    let Some(lab) = Lab::on(tree, &format!("matrix-docker{}", &version[..2])) else { return };
    let token = lab.token("CLAUDE");
    lab.login("claude", &token);
    lab.configure(&format!("[engines.docker]\nversion = \"{version}\"\n"));
    let mut daemon = json!({"runtimes": {"keyslip": {"path": "/usr/libexec/keyslip/docker/runc"}}});
    if ways.iter().any(|(way, ..)| *way == "CDI") {
        lab.ok("keyslip cdi generate");
        daemon["features"] = json!({"cdi": true});
        daemon["cdi-spec-dirs"] = json!(["/etc/cdi"]);
        daemon["experimental"] = json!(true);
    }
    lab.write("/etc/docker/daemon.json", daemon.to_string().as_bytes());
    lab.docker();
    let said = lab.ok("docker version --format '{{.Server.Version}}'");
    assert!(said.starts_with(version), "{said}: the rows of the table name {version}");
    for (index, (way, ask, but)) in ways.iter().enumerate() {
        lab.ok(&format!("docker run -d --name c1 --network none {ask} localhost/bb sleep 1000"));
        let mut container = Commands {
            lab: &lab,
            user: false,
            exec: "docker exec c1".to_owned(),
            restart: "docker restart -t0 c1".to_owned(),
            inspect: "docker inspect c1; docker logs c1; docker events --since 1h --until 0s".to_owned(),
            remove: "docker rm -f c1".to_owned(),
        };
        let engine = format!("docker {version}, runc");
        let order = format!("3-docker-{version}-{index}");
        Row { order: &order, engine: &engine, way, but }.fill(&lab, &token, &mut container);
    }
}

const REQUEST: Way = ("shim, request mount", "--runtime keyslip -v $(keyslip request claude):/request:ro", &[]);

#[test]
fn docker_20() {
    // There is no --annotation before 24.
    rows(Tree::Debian12, "20.10.24", &[REQUEST]);
}

#[test]
fn docker_26() {
    let shim: Way = ("shim", "--runtime keyslip --annotation dev.keyslip.agents=claude", &[]);
    let cdi: Way = ("CDI", "--device keyslip.dev/agent=claude", &[("main env", "no [2]"), ("exec env", "no [1]")]);
    rows(Tree::Debian13, "26.1.5", &[shim, REQUEST, cdi]);
}
