//! What Keyslip's own configuration has to know of an engine for its annotations to count.

use super::present::Present;
use super::{Change, Engine, Error, Host};
use crate::config::Config;

/// The file that records it: one for an engine.
pub(super) fn record(
    present: &Present,
    host: &Host,
    engine: Engine,
    about: &str,
    tables: &[(&str, String)],
) -> Result<Option<Change>, Error> {
    let path = host.site.config.join("conf.d").join(format!("50-{engine}.toml"));
    let mut text =
        format!("# Written by `keyslip install {engine}`, which `keyslip uninstall {engine}` undoes.\n# {about}\n");
    for (name, line) in tables {
        text.push_str(&format!("[engines.{name}]\n{line}\n"));
    }
    present.own_file(&path, &text)
}

/// The line that records a version.
pub(super) fn version(version: &str) -> String {
    format!("version = \"{version}\"")
}

/// Whether annotations of podman count, whatever its version is.
pub(super) fn trusts_podman(config: &Config) -> bool {
    config.trust_annotations || config.engines.get("podman").is_some_and(|settings| settings.trust_annotations)
}
