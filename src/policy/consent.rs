//! Whose word an annotation is.

use crate::config::Config;

/// Whether annotations that `engine` hands over were set by the person who starts the container.
/// `converted` is whether a bundle shows that it was made from an image.
///
/// # Errors
/// The reason why not, as a part of a sentence.
pub(super) fn of_annotations(engine: &str, converted: bool, config: &Config) -> Result<(), String> {
    let settings = config.engines.get(engine);
    if config.trust_annotations || settings.is_some_and(|settings| settings.trust_annotations) {
        return Ok(());
    }
    match engine {
        // Converters copy an image's labels into the bundle (OCI image specification, conversion.md).
        "bare" if converted => Err("the bundle was converted from an image, which may have set them".to_owned()),
        // Whoever else calls the runtime directly wrote the bundle.
        "bare" => Ok(()),
        // docker has annotations since 24.0 and takes them from the command line alone; containerd's
        // CRI takes them from the pod, ctr from the command line.
        "docker" | "containerd" | "cri" if settings.is_some_and(|settings| settings.version.is_some()) => Ok(()),
        // A file in /etc/cdi does not know which engine reads it.
        "cdi" => Err("a device asks for itself alone, and an image may have set them".to_owned()),
        // podman 4.3.1 copies an image's annotations into the specification.
        "podman" => Err("podman may have copied them from the image".to_owned()),
        _ => Err(format!("the installation has no record of {engine}, so an image may have set them")),
    }
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
    use super::*;
    use crate::config::EngineSettings;

    #[test]
    fn annotations_of_an_engine_that_copies_images_need_trust() {
        let mut config = Config::default();
        assert!(of_annotations("bare", false, &config).is_ok());
        assert!(of_annotations("bare", true, &config).is_err());
        for engine in ["podman", "docker", "cri", "cdi", "unheard-of"] {
            assert!(of_annotations(engine, false, &config).is_err(), "{engine}");
        }
        let settings = EngineSettings { version: Some("26.1.5".to_owned()), trust_annotations: false };
        config.engines.insert("docker".to_owned(), settings.clone());
        config.engines.insert("podman".to_owned(), settings);
        assert!(of_annotations("docker", false, &config).is_ok());
        assert!(of_annotations("podman", false, &config).is_err());
        config.engines.get_mut("podman").unwrap().trust_annotations = true;
        assert!(of_annotations("podman", false, &config).is_ok());
    }
}
