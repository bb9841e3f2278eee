//! The pods of a manifest, run by containerd as kubelet asks it to. What kubelet and the cluster do before that, a
//! RuntimeClass into a handler and a pod's annotations into a request, is done here.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cri::{Cri, Pod, Wanted};
use crate::lab::Lab;

/// Pods that run, each with one container.
pub struct Pods {
    cri: Cri,
    running: Vec<(Pod, String)>,
}

impl Pods {
    /// Runs what a manifest has, and says what the containers' variables are.
    ///
    /// # Errors
    /// When it has no pod, or containerd refuses one.
    pub fn run(lab: &Lab, manifest: &str) -> Result<(Self, String), String> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(manifest).map_err(|error| error.to_string())?;
        let of_kind = |kind: &'static str| documents.iter().filter(move |it| it["kind"] == kind);
        let handlers: BTreeMap<_, _> =
            of_kind("RuntimeClass").map(|it| (it["metadata"]["name"].as_str(), it["handler"].as_str())).collect();
        let mut pods = Self { cri: Cri::connect(lab), running: Vec::new() };
        let mut said = String::new();
        for pod in of_kind("Pod") {
            let class = pod["spec"]["runtimeClassName"].as_str();
            let handler = handlers.get(&class).copied().flatten().ok_or(format!("no RuntimeClass {class:?}"))?;
            let annotations = pod["metadata"]["annotations"].as_object().into_iter().flatten();
            let annotations: Vec<_> =
                annotations.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect();
            let text = |value: &str, node: &Value| node[value].as_str().map(str::to_owned).ok_or(format!("no {value}"));
            let (name, namespace) = (text("name", &pod["metadata"])?, text("namespace", &pod["metadata"])?);
            let sandbox = pods.cri.pod(&name, &namespace, handler, &annotations)?;
            let container = &pod["spec"]["containers"][0];
            let (name, image) = (text("name", container)?, text("image", container)?);
            let image = format!("localhost/{image}:latest");
            let container = pods.cri.run(&sandbox, &Wanted { name: &name, image: &image, ..Wanted::default() })?;
            said += &pods.cri.exec(&container, "env")?;
            pods.running.push((sandbox, container));
        }
        if pods.running.is_empty() { Err("no pod".to_owned()) } else { Ok((pods, said)) }
    }

    /// Removes them.
    ///
    /// # Errors
    /// When containerd cannot.
    pub fn remove(self) -> Result<(), String> {
        for (pod, container) in &self.running {
            self.cri.remove(container)?;
            self.cri.remove_pod(pod)?;
        }
        Ok(())
    }
}
