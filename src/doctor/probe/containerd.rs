//! A container of containerd's, by `ctr` and the shim, in a namespace of its own.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::Surroundings;
use super::image::IMAGE;
use super::way::{Asks, Promise, Way, asks, attempt, tell, word};
use crate::doctor::look_up;
use crate::probe::NAME;
use crate::site::Whose;

struct Ctr<'a> {
    around: &'a Surroundings<'a>,
    program: PathBuf,
    /// The shim's link.
    link: PathBuf,
}

/// The ways in which containerd is set up; `ctr` needs no more than a link, so whoever names it has it.
pub fn ways<'a>(around: &'a Surroundings<'_>, only: &[String]) -> Vec<Box<dyn Way + 'a>> {
    let named = only.iter().any(|name| name == "containerd");
    let wanted = named || around.engines.containerd.recorded.1.is_some();
    let Some(program) = look_up("ctr").filter(|_| wanted && around.site.whose == Whose::System) else {
        return Vec::new();
    };
    let links = around.programs.links.iter().filter(|link| link.engine == "containerd" && link.to_the_shim);
    links
        .filter(|link| matches!(link.runtime.as_str(), "runc" | "crun"))
        .map(|link| -> Box<dyn Way + 'a> {
            let link = around.libexec.join("containerd").join(&link.runtime);
            Box::new(Ctr { around, program: program.clone(), link })
        })
        .collect()
}

impl Ctr<'_> {
    fn ctr(&self, arguments: &[&str]) -> Result<String, String> {
        let all: Vec<&str> = ["-n", NAME].iter().chain(arguments).copied().collect();
        tell(&self.program, &all)
    }
}

impl Way for Ctr<'_> {
    fn engine(&self) -> &'static str {
        "containerd"
    }

    fn subject(&self) -> String {
        format!("containerd, ctr and {}", self.link.file_name().unwrap_or_default().display())
    }

    fn promise(&self) -> Promise {
        Promise::ALL
    }

    fn start(&mut self, image: &Path) -> Result<(), String> {
        self.ctr(&["images", "import", &word(image)])?;
        let asked = match asks(self.around, self.around.engines.containerd.recorded.1.is_some())? {
            Asks::Annotation(text) => ["--annotation".to_owned(), text],
            Asks::Mount(path) => ["--mount".to_owned(), format!("type=bind,src={path},dst=/request,options=rbind:ro")],
        };
        let link = word(&self.link);
        self.ctr(&["run", "-d", "--runc-binary", &link, &asked[0], &asked[1], IMAGE, NAME]).map(drop)
    }

    fn look(&self) -> Result<String, String> {
        let program = format!("/{NAME}");
        self.ctr(&["task", "exec", "--exec-id", "look", NAME, &program, "look"])
    }

    fn inspect(&self) -> Result<String, String> {
        self.ctr(&["containers", "info", NAME])
    }

    fn storage(&self) -> Vec<PathBuf> {
        ["/var/lib/containerd", "/run/containerd"].map(PathBuf::from).to_vec()
    }

    fn end(&mut self) -> Result<(), String> {
        let is_there = || self.ctr(&["containers", "list", "-q"]).map(|list| list.lines().any(|line| line == NAME));
        if !is_there().unwrap_or(false) {
            self.remove_namespace();
            return Ok(());
        }
        attempt(&self.program, &["-n", NAME, "task", "kill", "-s", "KILL", NAME]);
        for _ in 0..20 {
            if self.ctr(&["task", "rm", "-f", NAME]).is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        let removed = self.ctr(&["containers", "rm", NAME]);
        self.remove_namespace();
        removed.map(drop)
    }
}

impl Ctr<'_> {
    /// The image, and the namespace once containerd has thrown away what is in it.
    fn remove_namespace(&self) {
        attempt(&self.program, &["-n", NAME, "images", "rm", "--sync", IMAGE]);
        for _ in 0..20 {
            let list = tell(&self.program, &["namespaces", "list", "-q"]).unwrap_or_default();
            if !list.lines().any(|line| line == NAME) || tell(&self.program, &["namespaces", "rm", NAME]).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}
