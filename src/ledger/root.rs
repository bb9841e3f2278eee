//! Where a runtime keeps its state: the same container id under two roots is two containers, also when
//! nobody names the root.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::site::Whose;

/// The directory that `runtime` uses: the one that was named, else its default. crun's default
/// follows `XDG_RUNTIME_DIR` for everybody, that of the others for ordinary users (runc 1.1, crun
/// 1.8, youki 0.5).
#[must_use]
pub fn effective_root(named: Option<&OsStr>, runtime: &str, whose: Whose, xdg: Option<&OsStr>) -> PathBuf {
    if let Some(named) = named {
        return std::path::absolute(named).unwrap_or_else(|_| PathBuf::from(named));
    }
    let xdg = xdg.filter(|dir| !dir.is_empty() && (runtime == "crun" || whose != Whose::System));
    Path::new(xdg.unwrap_or(OsStr::new("/run"))).join(runtime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_that_nobody_names_depends_on_the_runtime_and_its_surroundings() {
        let root = |runtime, whose, xdg: Option<&str>| effective_root(None, runtime, whose, xdg.map(OsStr::new));
        let user = Whose::User(1000);
        assert_eq!(root("crun", Whose::System, None), Path::new("/run/crun"));
        assert_eq!(root("crun", Whose::System, Some("/run/user/0")), Path::new("/run/user/0/crun"));
        assert_eq!(root("crun", Whose::System, Some("")), Path::new("/run/crun"));
        assert_eq!(root("runc", Whose::System, Some("/run/user/0")), Path::new("/run/runc"));
        assert_eq!(root("runc", user, Some("/run/user/1000")), Path::new("/run/user/1000/runc"));
        let named = effective_root(Some(OsStr::new("/r")), "crun", Whose::System, Some(OsStr::new("/x")));
        assert_eq!(named, Path::new("/r"));
        let relative = effective_root(Some(OsStr::new("r")), "crun", Whose::System, None);
        assert!(relative.is_absolute());
    }
}
