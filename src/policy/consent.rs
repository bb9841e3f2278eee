//! Whose word an annotation is.

use super::Caller;
use crate::config::Config;

/// Whether the annotations that a caller's engine hands over were set by the person who starts the
/// container.
///
/// # Errors
/// The reason why not, as a part of a sentence.
pub(super) fn of_annotations(caller: &Caller, config: &Config) -> Result<(), String> {
    let engine = caller.engine.as_str();
    let settings = config.engines.get(engine);
    if config.trust_annotations || settings.is_some_and(|settings| settings.trust_annotations) {
        return Ok(());
    }
    let version = settings.and_then(|settings| settings.version.as_deref());
    match (engine, version) {
        // Converters copy an image's labels into the bundle (OCI image specification, conversion.md).
        ("bare", _) if caller.converted => {
            Err("the bundle was converted from an image, which may have set them".to_owned())
        }
        // Whoever else calls the runtime directly wrote the bundle.
        ("bare", _) => Ok(()),
        // `podman run IMAGE` restores a container if the image is a checkpoint, by the specification in it;
        // containerd has such images too.
        ("podman" | "containerd" | "cri", Some(_)) if caller.restored => {
            Err("a checkpoint, which may be an image, brings its own".to_owned())
        }
        ("podman", Some(version)) if !podman_copies_annotations(version) => Ok(()),
        ("podman", Some(version)) => Err(format!("podman {version} copies them from images, as 4.5.1 no longer does")),
        ("podman", None) => Err("podman may have copied them from the image".to_owned()),
        // docker has annotations since 24.0 and takes them from the command line alone; containerd's
        // CRI takes them from the pod, ctr from the command line.
        ("docker" | "containerd" | "cri", Some(_)) => Ok(()),
        // A file in /etc/cdi does not know which engine reads it.
        ("cdi", _) => Err("a device asks for itself alone, and an image may have set them".to_owned()),
        _ => Err(format!("the installation has no record of {engine}, so an image may have set them")),
    }
}

/// Whether podman of this version may copy an image's annotations into the specification. 4.5.1 and 4.6.0
/// stopped that (docs/decisions/0018); what was built on the way there is taken for the version before.
#[must_use]
pub fn podman_copies_annotations(version: &str) -> bool {
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    let mut numbers = version[..end].split('.').map(|number| number.parse::<u32>().ok());
    let mut next = || numbers.next().flatten();
    let (Some(major), Some(minor), Some(patch)) = (next(), next(), next()) else { return true };
    let version_is_final = !version[end..].starts_with('-');
    let last = if version_is_final { (4, 5, 0) } else { (4, 6, 0) };
    (major, minor, patch) <= last
}

/// Whether the source of a request mount, which anybody can know, is what the person typed.
///
/// # Errors
/// The reason why not, as a sentence.
pub(super) fn of_plain_mounts(engine: &str) -> Result<(), String> {
    match engine {
        // podman 4.3.1 resolves `./data` before it writes the specification, and `data` may be a link in
        // somebody's repository.
        "podman" | "buildah" | "cdi" => Err(format!(
            "{} resolves links in the sources of mounts; use the path that `keyslip request AGENT` prints",
            // Nobody knows which engine reads a file in /etc/cdi.
            if engine == "cdi" { "podman" } else { engine }
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use super::*;
    use crate::config::EngineSettings;
    use crate::oci::Spec;

    fn caller(engine: &str) -> Caller {
        let spec = Spec::parse(r#"{"process":{}}"#, Path::new("c")).unwrap();
        Caller::new(engine, OsStr::new("c1"), None, &spec)
    }

    /// What is configured for an engine, with its version.
    fn with_version(engine: &str, version: &str) -> Config {
        let mut config = Config::default();
        let settings = EngineSettings { version: Some(version.to_owned()), trust_annotations: false };
        config.engines.insert(engine.to_owned(), settings);
        config
    }

    #[test]
    fn annotations_of_an_engine_that_copies_images_need_trust() {
        let config = Config::default();
        assert!(of_annotations(&caller("bare"), &config).is_ok());
        assert!(of_annotations(&Caller { converted: true, ..caller("bare") }, &config).is_err());
        for engine in ["podman", "docker", "cri", "cdi", "unheard-of"] {
            assert!(of_annotations(&caller(engine), &config).is_err(), "{engine}");
        }
        assert!(of_annotations(&caller("docker"), &with_version("docker", "26.1.5")).is_ok());
        let mut config = with_version("podman", "4.3.1");
        let reason = of_annotations(&caller("podman"), &config).unwrap_err();
        assert!(reason.starts_with("podman 4.3.1 copies them"), "{reason}");
        config.engines.get_mut("podman").unwrap().trust_annotations = true;
        assert!(of_annotations(&caller("podman"), &config).is_ok());
    }

    #[test]
    fn podman_copies_no_annotations_since_4_5_1() {
        for version in
            ["4.5.1", "4.5.1+ds1", "4.6.0", "4.9.4-rhel", "4.6.1-dev", "5.0.0-rc1", "5.4.2", "5.4.2+ds1-2+b2"]
        {
            assert!(of_annotations(&caller("podman"), &with_version("podman", version)).is_ok(), "{version}");
        }
        // 4.5.1-dev and 4.6.0-dev are builds from before and after the change.
        for version in ["4.3.1", "4.4.4", "4.5.0", "4.5.1-dev", "4.6.0-dev", "3.4.4", "5", "5.4", "v5.4.2", "", "new"] {
            assert!(of_annotations(&caller("podman"), &with_version("podman", version)).is_err(), "{version}");
        }
    }

    #[test]
    fn a_version_says_nothing_of_a_checkpoint() {
        for (engine, version) in [("podman", "5.4.2"), ("containerd", "1.7.24"), ("cri", "1.7.24")] {
            let mut config = with_version(engine, version);
            let restored = Caller { restored: true, ..caller(engine) };
            let reason = of_annotations(&restored, &config).unwrap_err();
            assert!(reason.contains("checkpoint"), "{engine}: {reason}");
            config.engines.get_mut(engine).unwrap().trust_annotations = true;
            assert!(of_annotations(&restored, &config).is_ok(), "{engine}");
        }
        // A bundle is what it was; docker keeps its own configuration of a container.
        let config = with_version("docker", "26.1.5");
        for engine in ["bare", "docker"] {
            assert!(of_annotations(&Caller { restored: true, ..caller(engine) }, &config).is_ok(), "{engine}");
        }
    }
}
