//! Whose word an annotation is.

use crate::config::Config;

/// Whether annotations that `engine` hands over were set by the person who starts the container.
///
/// # Errors
/// The reason why not, as a part of a sentence.
pub(super) fn of_annotations(engine: &str, config: &Config) -> Result<(), String> {
    let settings = config.engines.get(engine);
    if config.trust_annotations || settings.is_some_and(|settings| settings.trust_annotations) {
        return Ok(());
    }
    match engine {
        // Whoever calls the runtime directly wrote the bundle.
        "bare" => Ok(()),
        // docker has annotations since 24.0 and takes them from the command line alone; containerd's
        // CRI takes them from the pod, ctr from the command line.
        "docker" | "containerd" | "cri" if settings.is_some_and(|settings| settings.version.is_some()) => Ok(()),
        // podman 4.3.1 copies an image's annotations into the specification.
        "podman" => Err("podman may have copied them from the image".to_owned()),
        _ => Err(format!("the installation has no record of {engine}, so an image may have set them")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EngineSettings;

    #[test]
    fn annotations_of_an_engine_that_copies_images_need_trust() {
        let mut config = Config::default();
        assert!(of_annotations("bare", &config).is_ok());
        for engine in ["podman", "docker", "cri", "unheard-of"] {
            assert!(of_annotations(engine, &config).is_err(), "{engine}");
        }
        let settings = EngineSettings { version: Some("26.1.5".to_owned()), trust_annotations: false };
        config.engines.insert("docker".to_owned(), settings.clone());
        config.engines.insert("podman".to_owned(), settings);
        assert!(of_annotations("docker", &config).is_ok());
        assert!(of_annotations("podman", &config).is_err());
        config.engines.get_mut("podman").unwrap().trust_annotations = true;
        assert!(of_annotations("podman", &config).is_ok());
    }
}
