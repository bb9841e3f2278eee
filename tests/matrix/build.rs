//! Steps of a build.

use crate::lab::{Lab, Tree};
use crate::row::{Commands, Container, Row};

/// A working container of buildah's, in which each step is a container of its own.
struct Steps<'a>(Commands<'a>);

impl Container for Steps<'_> {
    fn exec(&self, script: &str) -> String {
        self.0.exec(script)
    }

    fn main_env(&self) -> String {
        // The step's own, whichever number its process has.
        self.exec("env")
    }

    fn has_exec(&self) -> bool {
        false
    }

    fn restart(&mut self) -> bool {
        false
    }

    fn inspect(&self) -> String {
        self.0.inspect()
    }

    fn remove(&mut self) {
        self.0.remove();
    }
}

fn rows(tree: Tree, version: &str) {
    let Some(lab) = Lab::on(tree, &format!("matrix-buildah{version}")) else { return };
    let token = lab.token("CLAUDE");
    lab.login("claude", &token);
    lab.image();
    let said = lab.ok("buildah --version");
    assert!(said.contains(version), "{said}: the rows of the table name {version}");
    for runtime in ["crun", "runc"] {
        let from = lab.ok("buildah from localhost/bb");
        let shim = format!("/usr/libexec/keyslip/buildah/{runtime}");
        let run = format!("buildah run --isolation oci --runtime {shim} --network none");
        let mut steps = Steps(Commands {
            lab: &lab,
            user: false,
            exec: format!("{run} -v $(keyslip request claude):/request:ro {from}"),
            restart: String::new(),
            inspect: format!("buildah inspect {from}; podman ps -a --storage --format json"),
            // What a build makes is the image.
            remove: format!("buildah commit -q --rm {from} built; podman inspect built; podman rmi built"),
        });
        let engine = format!("buildah {version}, {runtime}");
        let but = [("exec env", "- [4]"), ("after restart", "- [4]")];
        let order = format!("6-buildah-{version}-{runtime}");
        Row { order: &order, engine: &engine, way: "shim, request mount", but: &but }.fill(&lab, &token, &mut steps);
    }
}

#[test]
fn buildah_1_28() {
    rows(Tree::Debian12, "1.28");
}

#[test]
fn buildah_1_39() {
    rows(Tree::Debian13, "1.39");
}
