//! Where this installation has its programs.

use std::path::PathBuf;

use keyslip::engine::LIBEXEC;

/// Beside `bin`, where this program is, else where an installation puts them.
pub fn libexec() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.parent()?.join("libexec/keyslip")));
    beside.filter(|dir| dir.is_dir()).unwrap_or_else(|| PathBuf::from(LIBEXEC))
}
