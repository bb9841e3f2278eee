//! Many hosts: the manifests of `examples/kubernetes` as they are, on a real containerd. What stands between them and
//! the container runtime interface is a kubelet of ours, and no API server; and what `examples/node` says of a
//! node without Kubernetes.

#[path = "../lab/cri.rs"]
mod cri;
#[path = "../lab/mod.rs"]
mod lab;

mod cluster;
mod forms;
mod kubelet;
mod manifests;
mod node;
mod volumes;
