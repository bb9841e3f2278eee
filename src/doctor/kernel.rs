//! What the code needs of the kernel.

use super::version::Version;
use super::{Area, Finding, Remedy};

/// The release of this kernel, such as `6.1.0-18-amd64`.
#[must_use]
pub fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// What a release lacks.
#[must_use]
pub fn judge(release: &str) -> Vec<Finding> {
    let subject = format!("Linux {release}");
    let Some(version) = Version::parse(release) else {
        return vec![Finding::note(
            Area::Memory,
            subject,
            "is a version that cannot be read",
            Remedy::advice("check that it is 5.12 or later"),
        )];
    };
    let older = |than: &str| Version::parse(than).is_some_and(|than| version < than);
    if older("5.2") {
        let what = "is older than 5.2: hooks at createRuntime and CDI devices cannot mount into a container \
                    (open_tree, move_mount), nor can the shim tell that a program has ended (pidfd_open, 5.3)";
        return vec![Finding::broken(Area::Memory, subject, what, update())];
    }
    if older("5.12") {
        let what = "is older than 5.12: hooks at createRuntime, CDI devices and host_config_dir do not work \
                    (mount_setattr)";
        return vec![Finding::warning(Area::Memory, subject, what, update())];
    }
    vec![Finding::ok(Area::Memory, subject, "has every call that is used")]
}

fn update() -> Remedy {
    Remedy::advice("use Linux 5.12 or later; the shim and hooks at precreate work without it")
}

/// Whether a tmpfs can be kept from swap.
#[must_use]
pub fn has_noswap(release: &str) -> bool {
    let first = Version::parse("6.4");
    Version::parse(release).is_some_and(|version| first.is_some_and(|first| version >= first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn what_each_kernel_lacks() {
        let severity = |release| judge(release)[0].severity;
        assert_eq!(severity("4.19.0-26-amd64"), Severity::Broken);
        assert_eq!(severity("5.10.0-28-amd64"), Severity::Warning);
        assert_eq!(severity("6.1.0-18-amd64"), Severity::Ok);
        assert_eq!(severity("oddity"), Severity::Note);
        assert!(!has_noswap("6.1.0-18-amd64") && has_noswap("6.4.0") && has_noswap("6.18.44-fc-v657"));
    }
}
