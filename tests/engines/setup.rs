//! podman of a Debian, root's or a user's, behind the shim or with the hooks.

use std::fs;
use std::process::Command;

use crate::lab::{Lab, Output, Tree};

/// What a container of podman's asks with.
pub const ASKS: &str = "--annotation dev.keyslip.agents=claude";

/// How the credential comes in: a configuration of podman's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Shim,
    Hooks,
}

pub const WAYS: [Way; 2] = [Way::Shim, Way::Hooks];

impl Way {
    /// podman with this configuration.
    pub fn podman(self) -> &'static str {
        match self {
            Self::Shim => "podman",
            Self::Hooks => "env CONTAINERS_CONF=$W/hooks.conf podman",
        }
    }

    /// What `exec` finds in the variable: a hook sees no `exec`.
    pub fn exec_env(self) -> &'static str {
        match self {
            Self::Shim => "<CLAUDE>",
            Self::Hooks => "none",
        }
    }
}

/// A podman with an image `bb` and a login `<CLAUDE>`.
pub struct Podman {
    pub lab: Lab,
    pub token: String,
    user: bool,
}

impl Podman {
    /// Root's.
    pub fn of_root(tree: Tree, name: &str) -> Option<Self> {
        Self::new(tree, name, false)
    }

    /// The ordinary user's; root has another login.
    pub fn of_user(tree: Tree, name: &str) -> Option<Self> {
        Self::new(tree, name, true)
    }

    fn new(tree: Tree, name: &str, user: bool) -> Option<Self> {
        let lab = Lab::on(tree, name)?;
        let token = lab.token("CLAUDE");
        if user {
            lab.login("claude", &lab.token("ROOTS"));
            lab.user_login("claude", &token);
        } else {
            lab.login("claude", &token);
        }
        // Hooks of whoever runs podman, and runtimes without the shim.
        lab.ok(r#"mkdir -m 1777 $W/hooks.d
            sed -i 's|^\[engine\]|&\ninfra_image = "localhost/infra"|' $CONTAINERS_CONF
            sed "s#/usr/libexec/keyslip/podman/crun#$(command -v crun)#; s#/usr/libexec/keyslip/podman/runc#$(command -v runc)#
            s#^runtime = .*#&\nhooks_dir = [\"$W/hooks.d\"]#" $CONTAINERS_CONF >$W/hooks.conf"#);
        let podman = Self { lab, token, user };
        podman.ok("keyslip install hooks --dir $W/hooks.d; podman import -q -c 'CMD [\"sh\"]' -c 'ENV PATH=/bin' $W/image.tar bb
            podman import -q -c 'CMD [\"sleep\",\"1000000\"]' -c 'ENV PATH=/bin' $W/image.tar infra");
        Some(podman)
    }

    /// Runs a script as who runs podman.
    pub fn sh(&self, script: &str) -> Output {
        if self.user { self.lab.as_user(script) } else { self.lab.sh(script) }
    }

    /// Runs a script that must succeed; its standard output.
    #[track_caller]
    pub fn ok(&self, script: &str) -> String {
        let output = self.sh(script);
        assert!(output.succeeded(), "{script}\n{output}");
        output.text().to_owned()
    }

    /// Ends and removes everything; nothing must be left. Now and then podman 4.3 leaves its own `shm`
    /// mounted at the first attempt, whatever the runtime is.
    #[track_caller]
    pub fn remove_all(&self, way: Way, what: &str) {
        let remove = format!("{p} pod rm -af -t0 && {p} rm -af -t0", p = way.podman());
        self.ok(&format!("({remove}) >/dev/null || {{ sleep 0.5; {remove}; }}"));
        self.lab.assert_nothing_left(what);
    }
}

/// The cgroups that criu leaves on a machine with a hybrid hierarchy: it rebuilds the whole tree of the
/// second version below the container's name, where no runtime looks, and the next checkpoint has twice as
/// much to write down. One test at a time, see `.config/nextest.toml`.
pub struct Cgroups;

impl Drop for Cgroups {
    fn drop(&mut self) {
        let Ok(entries) = fs::read_dir("/sys/fs/cgroup/unified") else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "libpod_parent" || name.starts_with("keyslip") {
                let _ =
                    Command::new("find").arg(entry.path()).args("-depth -type d -exec rmdir {} +".split(' ')).status();
            }
        }
    }
}
