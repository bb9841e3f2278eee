//! docker.

use crate::lab::{Lab, Tree};
use crate::row::{Commands, Row};

/// Name of the way, and what asks.
type Way = (&'static str, &'static str);

fn rows(tree: Tree, version: &str, ways: &[Way]) {
    let Some(lab) = Lab::on(tree, &format!("matrix-docker{}", &version[..2])) else { return };
    let token = lab.token("CLAUDE");
    lab.login("claude", &token);
    lab.configure(&format!("[engines.docker]\nversion = \"{version}\"\n"));
    lab.write("/etc/docker/daemon.json", br#"{"runtimes": {"keyslip": {"path": "/usr/libexec/keyslip/docker/runc"}}}"#);
    lab.docker();
    let said = lab.ok("docker version --format '{{.Server.Version}}'");
    assert!(said.starts_with(version), "{said}: the rows of the table name {version}");
    for (index, (way, ask)) in ways.iter().enumerate() {
        lab.ok(&format!("docker run -d --name c1 --runtime keyslip --network none {ask} localhost/bb sleep 1000"));
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
        Row { order: &order, engine: &engine, way, but: &[] }.fill(&lab, &token, &mut container);
    }
}

const REQUEST: Way = ("shim, request mount", "-v $(keyslip request claude):/request:ro");

#[test]
fn docker_20() {
    // There is no --annotation before 24.
    rows(Tree::Debian12, "20.10.24", &[REQUEST]);
}

#[test]
fn docker_26() {
    rows(Tree::Debian13, "26.1.5", &[("shim", "--annotation dev.keyslip.agents=claude"), REQUEST]);
}
