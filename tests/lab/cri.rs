//! A client of Kubernetes' container runtime interface, as kubelet is one: it speaks gRPC to the lab's
//! containerd. Errors are the texts that kubelet would put into a pod's events.

#![allow(dead_code)]

use std::collections::HashMap;
use std::path::PathBuf;

use hyper_util::rt::TokioIo;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::*;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::lab::Lab;

/// A connection to the lab's containerd.
pub struct Cri {
    runtime: Runtime,
    client: RuntimeServiceClient<Channel>,
    logs: String,
    unique: String,
}

/// A pod's sandbox.
pub struct Pod {
    pub id: String,
    config: PodSandboxConfig,
}

/// What a container is made of; the rest is plain.
#[derive(Clone, Debug, Default)]
pub struct Wanted<'a> {
    pub name: &'a str,
    /// How often there was one of this name before.
    pub attempt: u32,
    /// Another image than `localhost/bb:latest`.
    pub image: &'a str,
    /// Directories of the host, and where they are mounted.
    pub mounts: &'a [(&'a str, &'a str)],
    pub annotations: &'a [(&'a str, &'a str)],
    pub devices: &'a [&'a str],
    pub user: Option<i64>,
    pub readonly: bool,
}

type Answer<T> = Result<T, String>;

fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn mount(host: &str, container: &str) -> Mount {
    Mount { host_path: host.to_owned(), container_path: container.to_owned(), readonly: true, ..Default::default() }
}

/// Calls a method of the client and waits for it.
macro_rules! call {
    ($cri:expr, $method:ident, $request:expr) => {{
        let mut client = $cri.client.clone();
        let answer = $cri.runtime.block_on(client.$method($request));
        answer.map(|answer| answer.into_inner()).map_err(|status| status.message().to_owned())
    }};
}

impl Cri {
    /// Connects to a lab's containerd, which [`Lab::containerd`] has started.
    pub fn connect(lab: &Lab) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let socket = lab.seen_from_outside("/run/containerd/containerd.sock");
        let connect = async move {
            let connector = tower::service_fn(move |_: Uri| {
                let socket: PathBuf = socket.clone();
                async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(socket).await?)) }
            });
            Endpoint::from_static("http://localhost").connect_with_connector(connector).await
        };
        let client = RuntimeServiceClient::new(runtime.block_on(connect).expect("containerd answers"));
        let unique = lab.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self { runtime, client, logs: format!("{}/podlogs", lab.path().display()), unique }
    }

    /// Runs the sandbox of a pod of the host's network under a runtime handler.
    pub fn pod(&self, name: &str, namespace: &str, handler: &str, annotations: &[(&str, &str)]) -> Answer<Pod> {
        let options = NamespaceOption {
            network: NamespaceMode::Node.into(),
            pid: NamespaceMode::Container.into(),
            ..Default::default()
        };
        let config = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: name.to_owned(),
                uid: format!("{}-{name}", self.unique),
                namespace: namespace.to_owned(),
                attempt: 0,
            }),
            log_directory: self.logs.clone(),
            annotations: map(annotations),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: format!("/{}", self.unique),
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(options),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        self.run_sandbox(config, handler)
    }

    /// Runs a sandbox that a caller has made up.
    pub fn run_sandbox(&self, config: PodSandboxConfig, handler: &str) -> Answer<Pod> {
        let request = RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: handler.to_owned() };
        let id = call!(self, run_pod_sandbox, request)?.pod_sandbox_id;
        Ok(Pod { id, config })
    }

    /// Creates a container in a pod; its main process sleeps.
    pub fn create(&self, pod: &Pod, wanted: &Wanted<'_>) -> Answer<String> {
        let own_pids = NamespaceOption {
            network: NamespaceMode::Node.into(),
            pid: NamespaceMode::Container.into(),
            ..Default::default()
        };
        let security = LinuxContainerSecurityContext {
            namespace_options: Some(own_pids),
            run_as_user: wanted.user.map(|value| Int64Value { value }),
            readonly_rootfs: wanted.readonly,
            ..Default::default()
        };
        let image = if wanted.image.is_empty() { "localhost/bb:latest" } else { wanted.image };
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: wanted.name.to_owned(), attempt: wanted.attempt }),
            image: Some(ImageSpec { image: image.to_owned(), ..Default::default() }),
            mounts: wanted.mounts.iter().map(|(host, container)| mount(host, container)).collect(),
            command: vec!["sleep".to_owned(), "1000".to_owned()],
            annotations: map(wanted.annotations),
            cdi_devices: wanted.devices.iter().map(|name| CdiDevice { name: (*name).to_owned() }).collect(),
            log_path: format!("{}.log", wanted.name),
            linux: Some(LinuxContainerConfig { security_context: Some(security), ..Default::default() }),
            ..Default::default()
        };
        self.create_from(pod, config)
    }

    /// Creates a container that a caller has made up.
    pub fn create_from(&self, pod: &Pod, config: ContainerConfig) -> Answer<String> {
        let request = CreateContainerRequest {
            pod_sandbox_id: pod.id.clone(),
            config: Some(config),
            sandbox_config: Some(pod.config.clone()),
        };
        Ok(call!(self, create_container, request)?.container_id)
    }

    /// How a container ended; nothing while it has not.
    pub fn ended(&self, container: &str) -> Answer<Option<i32>> {
        let request = ContainerStatusRequest { container_id: container.to_owned(), verbose: false };
        let status = call!(self, container_status, request)?.status.unwrap_or_default();
        Ok((status.state() == ContainerState::ContainerExited).then_some(status.exit_code))
    }

    /// Runs a command in a container with `ExecSync`, as kubelet does for a probe: its code and what it prints.
    pub fn probe(&self, container: &str, command: &[String]) -> Answer<(i32, String)> {
        let request = ExecSyncRequest { container_id: container.to_owned(), cmd: command.to_vec(), timeout: 20 };
        let answer = call!(self, exec_sync, request)?;
        Ok((answer.exit_code, String::from_utf8_lossy(&[answer.stdout, answer.stderr].concat()).trim().to_owned()))
    }

    /// Starts a container.
    pub fn start(&self, container: &str) -> Answer<()> {
        call!(self, start_container, StartContainerRequest { container_id: container.to_owned() })?;
        Ok(())
    }

    /// Creates and starts a container.
    pub fn run(&self, pod: &Pod, wanted: &Wanted<'_>) -> Answer<String> {
        let id = self.create(pod, wanted)?;
        self.start(&id)?;
        Ok(id)
    }

    /// Runs a script in a container with `ExecSync`; what it prints.
    pub fn exec(&self, container: &str, script: &str) -> Answer<String> {
        let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
        let request = ExecSyncRequest { container_id: container.to_owned(), cmd, timeout: 20 };
        let answer = call!(self, exec_sync, request)?;
        Ok(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
    }

    /// All that containerd tells about a container and its pod.
    pub fn everything(&self, pod: &Pod, container: &str) -> Answer<String> {
        let of_container = ContainerStatusRequest { container_id: container.to_owned(), verbose: true };
        let of_pod = PodSandboxStatusRequest { pod_sandbox_id: pod.id.clone(), verbose: true };
        let container = call!(self, container_status, of_container)?;
        Ok(format!("{container:?}{:?}", call!(self, pod_sandbox_status, of_pod)?))
    }

    /// Kills and removes a container.
    pub fn remove(&self, container: &str) -> Answer<()> {
        call!(self, stop_container, StopContainerRequest { container_id: container.to_owned(), timeout: 0 })?;
        call!(self, remove_container, RemoveContainerRequest { container_id: container.to_owned() })?;
        Ok(())
    }

    /// Removes a pod and what is left in it.
    pub fn remove_pod(&self, pod: &Pod) -> Answer<()> {
        call!(self, stop_pod_sandbox, StopPodSandboxRequest { pod_sandbox_id: pod.id.clone() })?;
        call!(self, remove_pod_sandbox, RemovePodSandboxRequest { pod_sandbox_id: pod.id.clone() })?;
        Ok(())
    }
}
