//! CDI: the file that offers agents as devices, for every engine that looks into `/etc/cdi`.

use std::fs;
use std::path::Path;

use super::present::Present;
use super::{Change, Engine, Error, Host, Mode, Ours, Plan};
use crate::cdi;
use crate::config::Config;

/// The plan for CDI.
pub(super) fn plan(host: &Host, present: &Present, config: &Config) -> Result<Plan, Error> {
    let mut plan = Plan::new(Engine::Cdi, Mode::Cdi);
    let path = cdi::path(&host.site);
    plan.changes.extend(file(host, present, config, &path, cdi::ENGINE, &mut plan.notes)?);
    plan.notes.push(
        "any CRI that reads /etc/cdi, as containerd 2 does by itself, lets every pod ask for a device; \
         give it a directory of its own: keyslip install containerd --mode cdi"
            .to_owned(),
    );
    plan.next.push(format!("podman run --device {}=claude IMAGE", cdi::KIND));
    Ok(plan)
}

/// The file at `path`, for those who are called `engine`.
pub(super) fn file(
    host: &Host,
    present: &Present,
    config: &Config,
    path: &Path,
    engine: &str,
    notes: &mut Vec<String>,
) -> Result<Option<Change>, Error> {
    let program = host.libexec.join("keyslip-hook");
    if !program.is_file() {
        return Err(Error::Link { link: program, reason: "is missing; run `make install`".to_owned() });
    }
    let devices = cdi::devices(&host.site, config, &[])?;
    notes.extend(devices.notes);
    let hook = cdi::Hook { program: &program, engine, home: None };
    let text = cdi::document(&devices.agents, &hook)?;
    let before = present.read(path)?;
    if before.as_deref() == Some(&text) {
        return Ok(None);
    }
    if before.as_deref().is_some_and(|before| cdi::offered(before).is_err()) {
        let reason = "this file is there already and is no CDI file of Keyslip's; move it away".to_owned();
        return Err(Error::Conflict { path: path.to_owned(), reason });
    }
    Ok(Some(Change::new(path, before, &text, Ours::Generated)))
}

/// Whether somebody else has devices in `dir`.
pub(super) fn others_in(dir: &Path) -> bool {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| name != "keyslip.json")
}
