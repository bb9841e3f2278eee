//! A container of podman's: by the shim, by hooks, or by a CDI device.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::Surroundings;
use super::image::IMAGE;
use super::way::{Asks, Promise, Way, asks, attempt, exec, tell, word, words};
use crate::cdi;
use crate::names::{Account, AgentRef};
use crate::probe::NAME;
use crate::site::Whose;

/// Where engines look for CDI files that last until the next boot.
const DEVICES: &str = "/run/cdi/keyslip-probe.json";

/// How the container is served.
enum By {
    /// The runtime of this name is the shim.
    Shim(String),
    /// Hooks that podman reads.
    Hooks,
    /// A device.
    Device,
}

struct Podman<'a> {
    around: &'a Surroundings<'a>,
    program: PathBuf,
    by: By,
}

/// The ways in which podman is set up.
pub fn ways<'a>(around: &'a Surroundings<'_>) -> Vec<Box<dyn Way + 'a>> {
    let seen = &around.engines.podman;
    let Some(program) = seen.program.clone() else { return Vec::new() };
    let mut by: Vec<By> = seen.shims().into_iter().map(|called| By::Shim(called.name.clone())).collect();
    if !seen.hooked().is_empty() && !seen.shim_is_default() {
        by.push(By::Hooks);
    }
    // Nobody but root can write where podman reads such files.
    if around.engines.devices.is_set_up() && around.site.whose == Whose::System {
        by.push(By::Device);
    }
    by.into_iter()
        .map(|by| -> Box<dyn Way + 'a> { Box::new(Podman { around, program: program.clone(), by }) })
        .collect()
}

impl Podman<'_> {
    fn offer_device(&self) -> Result<(), String> {
        let device = AgentRef { agent: super::agent(), account: Account::default() };
        let program = self.around.libexec.join("keyslip-hook");
        let hook = cdi::Hook { program: &program, engine: cdi::ENGINE, home: None };
        let text = cdi::document(&[device], &hook).map_err(|error| error.to_string())?;
        let path = Path::new(DEVICES);
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(|error| format!("/run/cdi: {error}"))?;
        fs::write(path, text).map_err(|error| format!("{DEVICES}: {error}"))
    }
}

impl Way for Podman<'_> {
    fn engine(&self) -> &'static str {
        match self.by {
            By::Device => "cdi",
            By::Shim(_) | By::Hooks => "podman",
        }
    }

    fn subject(&self) -> String {
        let rootless = if self.around.site.whose == Whose::System { "" } else { ", rootless" };
        match &self.by {
            By::Shim(name) => format!("podman{rootless}, shim {name}"),
            By::Hooks => format!("podman{rootless}, hooks"),
            By::Device => "podman, CDI device".to_owned(),
        }
    }

    fn promise(&self) -> Promise {
        match self.by {
            // Where hooks are read too, they deliver and the shim stands back.
            By::Shim(_) if self.around.engines.podman.hooked().is_empty() => Promise::ALL,
            By::Shim(_) | By::Hooks => Promise::HOOKS,
            By::Device => Promise::DEVICES,
        }
    }

    fn start(&mut self, image: &Path) -> Result<(), String> {
        tell(&self.program, &["load", "-q", "-i", &word(image)])?;
        let mut options = match &self.by {
            By::Shim(name) => vec!["--runtime".to_owned(), name.clone()],
            By::Hooks | By::Device => Vec::new(),
        };
        let run = ["run", "-d", "--name", NAME, "--network", "none", "--pull", "never"];
        options.extend(run.map(str::to_owned));
        match &self.by {
            By::Device => {
                self.offer_device()?;
                options.extend(["--device".to_owned(), format!("{}={NAME}", cdi::KIND)]);
            }
            By::Shim(_) => options.extend(asks(self.around, self.around.engines.podman.trusted)?.options()),
            By::Hooks => options.extend(Asks::Annotation(format!("dev.keyslip.agents={NAME}")).options()),
        }
        options.push(IMAGE.to_owned());
        tell(&self.program, &words(&options)).map(drop)
    }

    fn look(&self) -> Result<String, String> {
        tell(&self.program, &words(&exec(NAME)))
    }

    fn inspect(&self) -> Result<String, String> {
        tell(&self.program, &["inspect", NAME])
    }

    fn storage(&self) -> Vec<PathBuf> {
        let said = tell(&self.program, &["info", "--format", "{{.Store.GraphRoot}}\n{{.Store.RunRoot}}"]);
        said.unwrap_or_default().lines().map(PathBuf::from).filter(|path| path.is_absolute()).collect()
    }

    fn end(&mut self) -> Result<(), String> {
        let remove = || tell(&self.program, &["rm", "-f", "-i", "-t", "0", NAME]);
        // podman 4.3 now and then finds its own `shm` busy, whatever the runtime is.
        let removed = remove().or_else(|_| {
            thread::sleep(Duration::from_millis(500));
            remove()
        });
        attempt(&self.program, &["rmi", "-f", IMAGE]);
        if let By::Device = self.by {
            let _ = fs::remove_file(DEVICES);
        }
        removed.map(drop)
    }
}
