//! A container of a bare runtime behind the shim, from a bundle of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::image::HOME;
use super::way::{Promise, Way, attempt, tell, word};
use super::{Surroundings, directory};
use crate::ledger::SandboxId;
use crate::probe::NAME;
use crate::site::Whose;

struct Bare<'a> {
    around: &'a Surroundings<'a>,
    runtime: String,
    /// The shim's link.
    link: PathBuf,
    bundle: PathBuf,
}

/// The runtimes that are linked. A user's need a user namespace, which an engine makes.
pub fn ways<'a>(around: &'a Surroundings<'_>) -> Vec<Box<dyn Way + 'a>> {
    if around.site.whose != Whose::System {
        return Vec::new();
    }
    // runsc wants options of its own.
    let known = |runtime: &str| matches!(runtime, "crun" | "runc" | "youki");
    let links = around.programs.links.iter().filter(|link| link.engine == "bare" && known(&link.runtime));
    links
        .map(|link| -> Box<dyn Way + 'a> {
            Box::new(Bare {
                around,
                runtime: link.runtime.clone(),
                link: around.libexec.join("bare").join(&link.runtime),
                bundle: directory(around.site).join(&link.runtime),
            })
        })
        .collect()
}

/// What the program looks with.
fn process(action: &str) -> Value {
    json!({
        "terminal": false, "user": { "uid": 0, "gid": 0 }, "args": [format!("/{NAME}"), action],
        "env": ["PATH=/", format!("HOME={HOME}")], "cwd": "/", "noNewPrivileges": true,
    })
}

/// The smallest specification that shares nothing with the host. `cgroup` is a name that no other container
/// has, in whatever part of the host's cgroups this is.
fn specification(cgroup: &str) -> Value {
    let mount = |at: &str, kind: &str, options: Value| json!({ "destination": at, "type": kind, "source": kind, "options": options });
    let namespaces = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
    json!({
        "ociVersion": "1.0.2", "hostname": NAME, "process": process("wait"),
        "root": { "path": "rootfs", "readonly": false },
        "annotations": { "dev.keyslip.agents": NAME },
        "mounts": [
            mount("/proc", "proc", json!(["nosuid", "noexec", "nodev"])),
            mount("/dev", "tmpfs", json!(["nosuid", "strictatime", "mode=755", "size=64k"])),
        ],
        "linux": { "cgroupsPath": format!("/{cgroup}"), "namespaces": namespaces },
    })
}

impl Bare<'_> {
    fn tell(&self, arguments: &[&str]) -> Result<String, String> {
        tell(&self.link, arguments)
    }

    fn make_bundle(&self) -> std::io::Result<()> {
        let cgroup = format!("{NAME}-{}", SandboxId::random()?.as_str());
        let rootfs = self.bundle.join("rootfs");
        for dir in ["dev", "proc", "sys", "run", "tmp", "home"] {
            fs::create_dir_all(rootfs.join(dir))?;
        }
        let program = rootfs.join(NAME);
        fs::copy(self.around.libexec.join("keyslip-launch"), &program)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        fs::write(self.bundle.join("config.json"), specification(&cgroup).to_string())?;
        fs::write(self.bundle.join("look.json"), process("look").to_string())
    }
}

impl Way for Bare<'_> {
    fn engine(&self) -> &'static str {
        "bare"
    }

    fn subject(&self) -> String {
        format!("bare {}", self.runtime)
    }

    fn promise(&self) -> Promise {
        Promise::ALL
    }

    fn start(&mut self, _image: &Path) -> Result<(), String> {
        self.make_bundle().map_err(|error| format!("{}: {error}", self.bundle.display()))?;
        self.tell(&["create", "--bundle", &word(&self.bundle), NAME])?;
        self.tell(&["start", NAME]).map(drop)
    }

    fn look(&self) -> Result<String, String> {
        self.tell(&["exec", "--process", &word(&self.bundle.join("look.json")), NAME])
    }

    fn inspect(&self) -> Result<String, String> {
        self.tell(&["state", NAME])
    }

    fn storage(&self) -> Vec<PathBuf> {
        vec![self.bundle.clone()]
    }

    fn end(&mut self) -> Result<(), String> {
        let removed = match self.tell(&["state", NAME]) {
            Err(_) => Ok(()),
            Ok(_) => {
                attempt(&self.link, &["kill", NAME, "KILL"]);
                let mut removed = Ok(());
                for _ in 0..50 {
                    removed = self.tell(&["delete", NAME]).map(drop);
                    if removed.is_ok() {
                        break;
                    }
                    thread::sleep(Duration::from_millis(100));
                }
                removed.or_else(|_| self.tell(&["delete", "--force", NAME]).map(drop))
            }
        };
        let _ = fs::remove_dir_all(&self.bundle);
        removed
    }
}
