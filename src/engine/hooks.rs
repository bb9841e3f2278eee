//! The hooks' JSON, filled in.

use std::path::{Path, PathBuf};

use super::{Error, Host};
use crate::json::quote;
use crate::site::{Site, Whose};

/// Hooks by their file's name; places to fill in stand between two `@`.
const TEMPLATES: [(&str, &str); 3] = [
    ("keyslip-precreate.json", include_str!("../../hooks/keyslip-precreate.json")),
    ("keyslip-createruntime.json", include_str!("../../hooks/keyslip-createruntime.json")),
    ("keyslip-poststop.json", include_str!("../../hooks/keyslip-poststop.json")),
];

/// Where engines look by themselves. `podman build` and CRI-O fail on the stage `precreate`.
const SHARED: [&str; 2] = ["/usr/share/containers/oci/hooks.d", "/etc/containers/oci/hooks.d"];

/// The directory of their own.
#[must_use]
pub fn directory(site: &Site) -> PathBuf {
    site.config.join("hooks.d")
}

/// The files for `dir`: name and text.
///
/// # Errors
/// When others read that directory too, or a program is missing.
pub fn files(host: &Host, dir: &Path, engine: &str) -> Result<Vec<(&'static str, String)>, Error> {
    if SHARED.iter().any(|shared| dir.starts_with(shared)) {
        let reason =
            "this is read by `podman build` and CRI-O, which fail on the stage `precreate`; use a directory of its own";
        return Err(Error::Conflict { path: dir.to_owned(), reason: reason.to_owned() });
    }
    let (hook, launcher) = (host.libexec.join("keyslip-hook"), host.libexec.join("keyslip-launch"));
    for program in [&hook, &launcher] {
        if !program.is_file() {
            let reason = "is missing; install Keyslip again, or say where it is with --libexec".to_owned();
            return Err(Error::Link { link: program.clone(), reason });
        }
    }
    let places = [("HOOK", &*hook), ("LAUNCHER", &*launcher), ("ENGINE", Path::new(engine))];
    Ok(TEMPLATES.map(|(name, template)| (name, fill_in(template, &places, home(&host.site)))).into())
}

/// Hooks get no environment, so a user's home directory is written down. In the system's own hooks it is
/// not: rootless engines of every user call them too.
fn home(site: &Site) -> Option<&Path> {
    (site.whose != Whose::System).then_some(&*site.home)
}

fn fill_in(template: &str, places: &[(&str, &Path)], home: Option<&Path>) -> String {
    // Quoted as JSON, less the quotes that the template has.
    let inner = |value: &Path| {
        let quoted = quote(&value.to_string_lossy());
        quoted[1..quoted.len() - 1].to_owned()
    };
    let text = match home {
        Some(home) => template.replace("@HOME@", &inner(home)),
        None => template.replace("\"--home\", \"@HOME@\", ", ""),
    };
    places.iter().fold(text, |text, (place, value)| text.replace(&format!("@{place}@"), &inner(value)))
}
