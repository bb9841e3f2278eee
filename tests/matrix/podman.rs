//! podman, root's and a user's.

use crate::lab::{Lab, Tree};
use crate::row::{Commands, Row};

/// What is tried with one podman.
struct Podman {
    tree: Tree,
    version: &'static str,
    user: bool,
}

const PODMANS: [Podman; 4] = [
    Podman { tree: Tree::Debian12, version: "4.3.1", user: false },
    Podman { tree: Tree::Debian12, version: "4.3.1", user: true },
    Podman { tree: Tree::Debian13, version: "5.4.2", user: false },
    Podman { tree: Tree::Debian13, version: "5.4.2", user: true },
];

/// A way in: its name, what asks, the configuration, and the columns that are not yes.
struct Way {
    name: &'static str,
    ask: &'static str,
    conf: &'static str,
    but: &'static [(&'static str, &'static str)],
}

const ASK: &str = "--annotation dev.keyslip.agents=claude";

const WAYS: [Way; 4] = [
    Way { name: "shim", ask: ASK, conf: "containers.conf", but: &[] },
    Way {
        name: "shim, request mount",
        ask: "-v $(keyslip request claude):/request:ro",
        conf: "containers.conf",
        but: &[],
    },
    Way { name: "hooks", ask: ASK, conf: "hooks.conf", but: &[("exec env", "no [1]")] },
    Way {
        name: "CDI",
        ask: "--device keyslip.dev/agent=claude",
        conf: "hooks.conf",
        but: &[("main env", "no [2]"), ("exec env", "no [1]")],
    },
];

impl Podman {
    /// A lab with the login, the image, and the hooks beside the shim.
    fn lab(&self, name: &str) -> Option<(Lab, String)> {
        let lab = Lab::on(self.tree, name)?;
        let token = lab.token("CLAUDE");
        if self.user {
            lab.user_login("claude", &token);
        } else {
            lab.login("claude", &token);
        }
        let said = lab.ok("podman --version");
        assert!(said.ends_with(self.version), "{said}: the rows of the table name {}", self.version);
        lab.ok(r#"keyslip cdi generate >/dev/null; mkdir -p -m 1777 $W/hooks.d; sed "s#/usr/libexec/keyslip/podman/crun#$(command -v crun)#
            s#/usr/libexec/keyslip/podman/runc#$(command -v runc)#
            s#^runtime = .*#&\nhooks_dir = [\"$W/hooks.d\"]#" $CONTAINERS_CONF >$W/hooks.conf"#);
        let import = "keyslip install hooks --dir $W/hooks.d; podman import -q -c 'CMD [\"sh\"]' -c 'ENV PATH=/bin' $W/image.tar bb";
        let imported = if self.user { lab.as_user(import) } else { lab.sh(import) };
        assert!(imported.succeeded(), "{imported}");
        Some((lab, token))
    }

    fn rows(&self, name: &str) {
        let whose = if self.user { "rootless" } else { "root" };
        let Some((lab, token)) = self.lab(&format!("matrix-{name}")) else { return };
        for runtime in ["crun", "runc"] {
            let engine = format!("podman {}, {whose}, {runtime}", self.version);
            for (index, way) in WAYS.iter().enumerate() {
                let podman = format!("CONTAINERS_CONF=$W/{} podman", way.conf);
                let mut container = Commands {
                    lab: &lab,
                    user: self.user,
                    exec: format!("{podman} exec c"),
                    restart: format!("{podman} restart -t0 c"),
                    inspect: format!(
                        "podman inspect c; {podman} logs c; podman ps -a --format json; podman events --stream=false"
                    ),
                    remove: format!("{podman} rm -f -t0 c || {{ sleep 0.5; {podman} rm -f -t0 c; }}"),
                };
                container.sh(&format!("{podman} --runtime {runtime} run -d --name c {} bb sleep 1000", way.ask));
                let order = format!("2-{name}-{runtime}-{index}");
                Row { order: &order, engine: &engine, way: way.name, but: way.but }.fill(&lab, &token, &mut container);
            }
        }
    }
}

#[test]
fn podman_4_root() {
    PODMANS[0].rows("podman4-root");
}

#[test]
fn podman_4_rootless() {
    PODMANS[1].rows("podman4-user");
}

#[test]
fn podman_5_root() {
    PODMANS[2].rows("podman5-root");
}

#[test]
fn podman_5_rootless() {
    PODMANS[3].rows("podman5-user");
}
