//! What a kubelet does with a pod: volumes, the sandbox under the handler of its RuntimeClass, init containers one after
//! the other, containers, probes. Limits of memory and processor are left out, and every pod has the host's network.

use std::cell::Cell;
use std::fs;
use std::time::{Duration, Instant};

use k8s_cri::v1::*;
use serde_json::Value;

use crate::cri::{Cri, Pod};
use crate::lab::Lab;
use crate::manifests::{Objects, list, text};
use crate::volumes;

/// One node.
pub struct Node {
    pub lab: Lab,
    pub cri: Cri,
    pub objects: Objects,
    pods: Cell<u32>,
}

/// A pod that runs.
pub struct Running {
    pub uid: String,
    pub sandbox: Pod,
    pub containers: Vec<String>,
    namespace: String,
    spec: Value,
}

/// What a kubelet gives a container whose `procMount` is the default.
const MASKED: [&str; 6] =
    ["/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

impl Node {
    /// A node whose containerd runs.
    pub fn new(lab: Lab) -> Self {
        Self { cri: Cri::connect(&lab), lab, objects: Objects::default(), pods: Cell::new(0) }
    }

    /// Starts a pod of a DaemonSet.
    pub fn start_daemon(&self, name: &str) -> Result<Running, String> {
        let set = self.objects.of("DaemonSet").find(|set| text(set, "/metadata/name") == name).expect("a DaemonSet");
        let mut pod = set["spec"]["template"].clone();
        pod["metadata"]["name"] = format!("{name}-{}", self.pods.get()).into();
        pod["metadata"]["namespace"] = set["metadata"]["namespace"].clone();
        self.start(&pod)
    }

    /// Starts a pod; in an error is what its events would say.
    pub fn start(&self, pod: &Value) -> Result<Running, String> {
        self.pods.set(self.pods.get() + 1);
        let (name, namespace) = (text(pod, "/metadata/name"), text(pod, "/metadata/namespace"));
        let uid = format!("{}-{}", self.lab.unique(), self.pods.get());
        let spec = &pod["spec"];
        let class = text(spec, "/runtimeClassName");
        let handler = match class {
            "" => "",
            class => text(self.objects.get("RuntimeClass", "", class).expect("the RuntimeClass is there"), "/handler"),
        };
        let annotations = pod.pointer("/metadata/annotations").and_then(Value::as_object);
        let config = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: name.to_owned(),
                uid: uid.clone(),
                namespace: namespace.to_owned(),
                attempt: 0,
            }),
            log_directory: format!("{}/podlogs/{uid}", self.lab.path().display()),
            annotations: annotations
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), value.as_str().expect("annotations are texts").to_owned()))
                .collect(),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: format!("/{uid}"),
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(namespaces(spec)),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let sandbox = self.cri.run_sandbox(config, handler)?;
        let mut running =
            Running { uid, sandbox, containers: Vec::new(), namespace: namespace.to_owned(), spec: spec.clone() };
        match self.start_containers(&mut running) {
            Ok(()) => Ok(running),
            Err(error) => {
                self.end(running);
                Err(self.lab.masked(&error))
            }
        }
    }

    fn start_containers(&self, pod: &mut Running) -> Result<(), String> {
        self.volumes(pod);
        for container in list(&pod.spec, "/initContainers") {
            let id = self.container(pod, container)?;
            let end = Instant::now() + Duration::from_secs(60);
            let code = loop {
                match self.cri.ended(&id)? {
                    Some(code) => break code,
                    None if Instant::now() > end => return Err("an init container does not end".to_owned()),
                    None => std::thread::sleep(Duration::from_millis(100)),
                }
            };
            if code != 0 {
                return Err(format!("init container ended with {code}: {}", self.log(pod, text(container, "/name"))));
            }
        }
        for container in list(&pod.spec, "/containers") {
            let id = self.container(pod, container)?;
            pod.containers.push(id);
        }
        Ok(())
    }

    /// Makes the volumes of a pod, or brings them up to date.
    pub fn volumes(&self, pod: &Running) {
        for volume in list(&pod.spec, "/volumes") {
            volumes::make(&self.lab, &self.objects, &pod.namespace, &pod.uid, volume);
        }
    }

    fn container(&self, pod: &Running, container: &Value) -> Result<String, String> {
        let words = |pointer: &str| -> Vec<String> {
            list(container, pointer).iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
        };
        let name = text(container, "/name");
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: name.to_owned(), attempt: 0 }),
            image: Some(ImageSpec { image: text(container, "/image").to_owned(), ..Default::default() }),
            command: words("/command"),
            args: words("/args"),
            envs: list(container, "/env").iter().map(|env| variable(env, &pod.uid)).collect(),
            mounts: list(container, "/volumeMounts").iter().map(|mount| self.mount(pod, mount)).collect(),
            log_path: format!("{name}.log"),
            linux: Some(LinuxContainerConfig {
                security_context: Some(security(container, &pod.spec)),
                ..Default::default()
            }),
            ..Default::default()
        };
        let id = self.cri.create_from(&pod.sandbox, config)?;
        self.cri.start(&id)?;
        Ok(id)
    }

    fn mount(&self, pod: &Running, mount: &Value) -> Mount {
        let name = text(mount, "/name");
        let volume = list(&pod.spec, "/volumes").iter().find(|volume| text(volume, "/name") == name);
        let volume = volume.unwrap_or_else(|| panic!("{name} is no volume of the pod"));
        let host_path = match text(volume, "/hostPath/path") {
            "" => {
                let kind = if volume.get("configMap").is_some() { "configmap" } else { "projected" };
                format!("{}/kubernetes.io~{kind}/{name}", volumes::directory(&pod.uid))
            }
            path => path.to_owned(),
        };
        let propagation = match text(mount, "/mountPropagation") {
            "" => MountPropagation::PropagationPrivate,
            "HostToContainer" => MountPropagation::PropagationHostToContainer,
            other => panic!("mountPropagation {other}"),
        };
        Mount {
            host_path,
            container_path: text(mount, "/mountPath").to_owned(),
            readonly: mount["readOnly"] == Value::Bool(true),
            propagation: propagation.into(),
            ..Default::default()
        }
    }

    /// What a container has written; the log of the interface without its times.
    pub fn log(&self, pod: &Running, container: &str) -> String {
        let path = self.lab.path().join(format!("podlogs/{}/{container}.log", pod.uid));
        let log = fs::read_to_string(path).unwrap_or_default();
        let lines = log.lines().filter_map(|line| line.splitn(4, ' ').nth(3));
        self.lab.masked(&lines.collect::<Vec<_>>().join("\n"))
    }

    /// Runs the readiness probe of the first container: its code and what it prints.
    pub fn ready(&self, pod: &Running) -> (i32, String) {
        let command = list(&pod.spec, "/containers/0/readinessProbe/exec/command");
        let command: Vec<String> = command.iter().map(|word| word.as_str().expect("a word").to_owned()).collect();
        self.cri.probe(&pod.containers[0], &command).expect("the probe runs")
    }

    /// Runs a script in the first container.
    #[track_caller]
    pub fn exec(&self, pod: &Running, script: &str) -> String {
        self.lab.masked(&self.cri.exec(&pod.containers[0], script).expect("exec"))
    }

    /// Stops and removes a pod with its volumes.
    pub fn end(&self, pod: Running) {
        self.cri.remove_pod(&pod.sandbox).expect("the pod is removed");
        volumes::remove(&self.lab, &pod.uid);
    }
}

fn namespaces(spec: &Value) -> NamespaceOption {
    let pid = if spec["hostPID"] == Value::Bool(true) { NamespaceMode::Node } else { NamespaceMode::Container };
    NamespaceOption { network: NamespaceMode::Node.into(), pid: pid.into(), ..Default::default() }
}

fn variable(env: &Value, uid: &str) -> KeyValue {
    let value = match text(env, "/valueFrom/fieldRef/fieldPath") {
        "" => text(env, "/value"),
        "metadata.uid" => uid,
        other => panic!("fieldPath {other}"),
    };
    KeyValue { key: text(env, "/name").to_owned(), value: value.to_owned() }
}

fn security(container: &Value, spec: &Value) -> LinuxContainerSecurityContext {
    let context = &container["securityContext"];
    let names = |pointer: &str| -> Vec<String> {
        list(context, pointer).iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
    };
    let seccomp = match text(context, "/seccompProfile/type") {
        "RuntimeDefault" => security_profile::ProfileType::RuntimeDefault,
        "" => security_profile::ProfileType::Unconfined,
        other => panic!("seccompProfile {other}"),
    };
    LinuxContainerSecurityContext {
        capabilities: Some(Capability {
            add_capabilities: names("/capabilities/add"),
            drop_capabilities: names("/capabilities/drop"),
            ..Default::default()
        }),
        namespace_options: Some(namespaces(spec)),
        run_as_user: context["runAsUser"].as_i64().map(|value| Int64Value { value }),
        readonly_rootfs: context["readOnlyRootFilesystem"] == Value::Bool(true),
        no_new_privs: context["allowPrivilegeEscalation"] == Value::Bool(false),
        seccomp: Some(SecurityProfile { profile_type: seccomp.into(), ..Default::default() }),
        masked_paths: MASKED.map(str::to_owned).into(),
        readonly_paths: READ_ONLY.map(str::to_owned).into(),
        ..Default::default()
    }
}
