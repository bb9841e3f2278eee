//! CDI: the file that offers agents as devices, for every engine that looks into `/etc/cdi`.

use std::path::Path;

use super::present::Present;
use super::{Change, Engine, Error, Host, Mode, Ours, Plan};
use crate::cdi;
use crate::config::Config;

/// Where every engine looks.
pub(super) const DIRECTORY: &str = "/etc/cdi";

/// The plan for CDI.
pub(super) fn plan(host: &Host, present: &Present, config: &Config) -> Result<Plan, Error> {
    let mut plan = Plan::new(Engine::Cdi, Mode::Cdi);
    let program = host.libexec.join("keyslip-hook");
    if !program.is_file() {
        return Err(Error::Link { link: program, reason: "is missing; install Keyslip again".to_owned() });
    }
    let devices = cdi::devices(&host.site, config, &[])?;
    plan.notes = devices.notes;
    let hook = cdi::Hook { program: &program, engine: cdi::ENGINE, home: None };
    let text = cdi::document(&devices.agents, &hook)?;
    let path = cdi::path(&host.site);
    let before = present.read(&path)?;
    if before.as_deref().is_some_and(|before| cdi::offered(before).is_err()) {
        let reason = "this file is there already and is no CDI file of Keyslip's; move it away".to_owned();
        return Err(Error::Conflict { path, reason });
    }
    if before.as_deref() != Some(&text) {
        plan.changes.push(Change::new(&path, before, &text, Ours::Generated));
    }
    plan.next.push(format!("podman run --device {}=claude IMAGE", cdi::KIND));
    Ok(plan)
}

/// What has to be run before a device can be asked for.
pub(super) fn missing() -> Option<String> {
    let there = Path::new(DIRECTORY).join("keyslip.json").exists();
    (!there).then(|| "keyslip install cdi".to_owned())
}
