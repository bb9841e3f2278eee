//! The engines' links to the shim, which `link-engines` makes: `…/ENGINE/RUNTIME`, with the real runtime behind
//! `…/ENGINE/RUNTIME.real`. An engine must never be pointed to one that does not work.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Error, Host};

/// Where a real runtime is behind a link.
#[derive(Debug)]
pub(super) struct Link {
    pub name: String,
    pub path: PathBuf,
    pub real: PathBuf,
}

/// The names of the runtimes that `engine` has links for.
pub(super) fn names(host: &Host, engine: &str) -> Vec<String> {
    let entries = fs::read_dir(host.libexec.join(engine)).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !name.ends_with(".real"));
    names.sort();
    names
}

/// One link, tried out.
pub(super) fn link(host: &Host, engine: &str, name: &str) -> Result<Link, Error> {
    let path = host.libexec.join(engine).join(name);
    let again = remake(host);
    let wrong = |reason: String| Err(Error::Link { link: path.clone(), reason });
    let Ok(shim) = fs::canonicalize(&path) else {
        return wrong(format!("is missing; {again}"));
    };
    if shim.file_name().is_none_or(|name| name != "keyslip-runtime") {
        return wrong(format!("leads to {} and not to the shim; {again}", shim.display()));
    }
    let behind = host.libexec.join(engine).join(format!("{name}.real"));
    let Ok(real) = fs::canonicalize(&behind) else {
        return wrong(format!("has no runtime behind it: {} leads nowhere; {again}", behind.display()));
    };
    if real == shim {
        return wrong(format!("calls itself: {} leads to the shim; {again}", behind.display()));
    }
    let tried = Command::new(&path).arg("--version").stdin(Stdio::null()).output();
    match tried {
        Ok(output) if output.status.success() => Ok(Link { name: name.to_owned(), path, real }),
        Ok(output) => wrong(format!("does not work: {}", first_line(&output.stderr))),
        Err(error) => wrong(format!("cannot be started: {error}")),
    }
}

/// What makes the links again, for a message.
pub(super) fn remake(host: &Host) -> String {
    format!("run: {}", host.libexec.join("link-engines").display())
}

/// Says that a link leads to another runtime than the one the engine uses now.
pub(super) fn leads_elsewhere(link: &Link, used: &Path) -> Error {
    let behind = format!("{}.real", link.path.display());
    Error::Link {
        link: link.path.clone(),
        reason: format!(
            "calls {}, but the engine's {} is {}; run: ln -sfn {} {behind}",
            link.real.display(),
            link.name,
            used.display(),
            used.display()
        ),
    }
}

/// What a program complained about, in one line.
pub(super) fn first_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // Warnings come first, the reason for the end comes last.
    lines.last().map_or_else(|| "it did not say why".to_owned(), |line| line.chars().take(400).collect())
}
