//! A container of docker's, by the shim.

use std::path::{Path, PathBuf};

use super::Surroundings;
use super::image::IMAGE;
use super::way::{Promise, Way, asks, attempt, exec, tell, word, words};
use crate::doctor::look_up;
use crate::probe::NAME;

struct Docker<'a> {
    around: &'a Surroundings<'a>,
    program: PathBuf,
    runtime: String,
}

/// The ways in which docker is set up. One that is down is left out, unless it is named.
pub fn ways<'a>(around: &'a Surroundings<'_>, only: &[String]) -> Vec<Box<dyn Way + 'a>> {
    let seen = &around.engines.docker;
    let Some(program) = look_up("docker") else { return Vec::new() };
    if seen.down.is_some() && !only.iter().any(|name| name == "docker") {
        return Vec::new();
    }
    let runtimes = seen.shims().into_iter().map(|called| called.name.clone());
    runtimes
        .map(|runtime| -> Box<dyn Way + 'a> { Box::new(Docker { around, program: program.clone(), runtime }) })
        .collect()
}

impl Way for Docker<'_> {
    fn engine(&self) -> &'static str {
        "docker"
    }

    fn subject(&self) -> String {
        format!("docker, runtime {}", self.runtime)
    }

    fn promise(&self) -> Promise {
        Promise::ALL
    }

    fn start(&mut self, image: &Path) -> Result<(), String> {
        tell(&self.program, &["load", "-q", "-i", &word(image)])?;
        let seen = &self.around.engines.docker;
        let old = seen.version.as_ref().is_some_and(|version| version.number(0) < 24);
        let asks = asks(self.around, seen.annotations_count() && !old)?.options();
        let mut run = words(&asks);
        run.splice(0..0, ["run", "-d", "--name", NAME, "--network", "none", "--runtime", &self.runtime]);
        run.push(IMAGE);
        tell(&self.program, &run).map(drop)
    }

    fn look(&self) -> Result<String, String> {
        tell(&self.program, &words(&exec(NAME)))
    }

    fn inspect(&self) -> Result<String, String> {
        tell(&self.program, &["inspect", NAME])
    }

    fn storage(&self) -> Vec<PathBuf> {
        let root = tell(&self.program, &["info", "--format", "{{.DockerRootDir}}"]).unwrap_or_default();
        let root = PathBuf::from(root.trim());
        // Its containerd has the bundles.
        let more = ["/run/docker", "/run/containerd", "/var/lib/containerd"].map(PathBuf::from);
        std::iter::once(root).filter(|path| path.is_absolute()).chain(more).collect()
    }

    fn end(&mut self) -> Result<(), String> {
        let removed = tell(&self.program, &["rm", "-f", "-v", NAME]);
        attempt(&self.program, &["rmi", "-f", IMAGE]);
        // Before 25 it is an error that there is none.
        removed.map(drop).or_else(|why| if why.contains("No such container") { Ok(()) } else { Err(why) })
    }
}
