//! Who is calling, as the installation has it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::oci::Spec;

/// What the link says by which this program was started: `…/<engine>/<runtime>`, with the real
/// runtime behind `…/<engine>/<runtime>.real`. No file is read for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The engine the link was made for.
    pub engine: String,
    /// The runtime's name.
    pub runtime: String,
    /// The real runtime.
    pub real: PathBuf,
}

impl Installed {
    /// Reads the path this program was executed by; `here` is the current directory.
    #[must_use]
    pub fn from_link(execfn: &Path, here: impl FnOnce() -> Option<PathBuf>) -> Option<Self> {
        let link = if execfn.is_absolute() { execfn.to_owned() } else { here()?.join(execfn) };
        let runtime = link.file_name()?.to_str()?.to_owned();
        let engine = link.parent()?.file_name()?.to_str()?.to_owned();
        if runtime.starts_with("keyslip") {
            return None;
        }
        let mut real = link.into_os_string();
        real.push(".real");
        Some(Self { engine, runtime, real: PathBuf::from(real) })
    }

    /// Whether the runtime below is crun, which takes `--config`. A runtime that only claims the
    /// name would not; the installation makes the link after asking it.
    #[must_use]
    pub fn is_crun(&self) -> bool {
        self.runtime == "crun"
    }
}

/// Who asks, for policy and ledger.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The engine.
    pub engine: String,
    /// The container's id.
    pub container: String,
    /// The specification shows that a tool made it from an image.
    pub converted: bool,
    /// It is brought back from a checkpoint.
    pub restored: bool,
    /// The user of a rootless engine.
    pub uid: Option<u32>,
    /// The Kubernetes namespace; only ever set for the engine `cri`.
    pub namespace: Option<String>,
    /// The Kubernetes pod's name; likewise.
    pub pod: Option<String>,
    /// Who this is by its own account, for a device of the directory that every engine reads: a pod of a
    /// CRI's. That takes rights away and gives none, for an image can say the same.
    pub claimed: Option<Box<Caller>>,
}

impl Caller {
    /// Completes what the installation says by what a CRI engine writes into the specification. On
    /// other engines these annotations are anybody's and are not looked at.
    #[must_use]
    pub fn new(engine: &str, container: &OsStr, uid: Option<u32>, spec: &Spec<'_>) -> Self {
        let of_cri = |keys: [&str; 2]| {
            let mut found = keys.iter().filter_map(|key| spec.annotation(key));
            let first = found.next().filter(|_| engine == "cri")?;
            // One of them may be the pod's own words.
            found.all(|other| other == first).then(|| first.to_owned())
        };
        Self {
            engine: engine.to_owned(),
            container: container.to_string_lossy().into_owned(),
            converted: spec.annotations.iter().any(|(key, _)| key.starts_with("org.opencontainers.image.")),
            restored: false,
            uid,
            namespace: of_cri(["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.cri-o.Namespace"]),
            pod: of_cri(["io.kubernetes.cri.sandbox-name", "io.kubernetes.cri-o.KubeName"]),
            claimed: (engine == "cdi" && spec.claims_a_cri()).then(|| Box::new(Self::new("cri", container, uid, spec))),
        }
    }

    /// The name that rules match.
    #[must_use]
    pub fn name(&self) -> &str {
        self.pod.as_deref().unwrap_or(&self.container)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_says_engine_and_runtime() {
        let installed = Installed::from_link(Path::new("/usr/libexec/keyslip/podman/crun"), || None).unwrap();
        assert_eq!((installed.engine.as_str(), installed.runtime.as_str()), ("podman", "crun"));
        assert_eq!(installed.real, Path::new("/usr/libexec/keyslip/podman/crun.real"));
        let relative = Installed::from_link(Path::new("./docker/runc"), || Some(PathBuf::from("/x"))).unwrap();
        assert_eq!(relative.engine, "docker");
        assert_eq!(Installed::from_link(Path::new("/usr/libexec/keyslip/keyslip-runtime"), || None), None);
    }

    #[test]
    fn only_cri_may_speak_of_namespaces() {
        let text = r#"{"process":{},"annotations":{"io.kubernetes.cri.sandbox-namespace":"kube-system"}}"#;
        let spec = Spec::parse(text, Path::new("c")).unwrap();
        assert_eq!(Caller::new("podman", OsStr::new("c1"), None, &spec).namespace, None);
        assert_eq!(Caller::new("cri", OsStr::new("c1"), None, &spec).namespace.as_deref(), Some("kube-system"));
        assert!(Caller::new("podman", OsStr::new("c1"), None, &spec).claimed.is_none());
        let device = Caller::new("cdi", OsStr::new("c1"), None, &spec);
        assert_eq!((device.engine.as_str(), &device.namespace), ("cdi", &None));
        assert_eq!(device.claimed.unwrap().namespace.as_deref(), Some("kube-system"));
    }

    #[test]
    fn a_pod_of_podmans_does_not_claim_to_be_a_cris() {
        let claims = |annotations: &str| {
            let text = format!(r#"{{"process":{{}},"annotations":{{{annotations}}}}}"#);
            let spec = Spec::parse(&text, Path::new("c")).unwrap();
            Caller::new("cdi", OsStr::new("c1"), None, &spec).claimed.is_some()
        };
        let podman = r#""io.container.manager":"libpod","io.kubernetes.cri-o.ContainerType":"container",
            "io.kubernetes.cri-o.Created":"x","io.kubernetes.cri-o.SandboxID":"x","io.kubernetes.cri-o.TTY":"false""#;
        assert!(!claims(podman));
        for mark in
            ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.Namespace", "io.kubernetes.cri-o.Metadata"]
        {
            assert!(claims(&format!(r#"{podman},"{mark}":"x""#)), "{mark}");
        }
        assert!(claims(r#""io.container.manager":"cri-o""#));
    }
}
