//! Where this installation has its programs.

use std::path::{Path, PathBuf};

use keyslip::engine::LIBEXEC;

/// Where an installation puts them, if that is the one of this program; else beside the `bin` where this program is.
pub fn libexec() -> PathBuf {
    let usual = PathBuf::from(LIBEXEC);
    let Ok(own) = std::env::current_exe() else { return usual };
    // A store of packages has a `bin` of its own, and the installation leads there.
    if usual.join("keyslip").canonicalize().is_ok_and(|program| program == own) {
        return usual;
    }
    let beside = own.parent().and_then(Path::parent).map(|above| above.join("libexec/keyslip"));
    beside.filter(|dir| dir.is_dir()).unwrap_or(usual)
}
