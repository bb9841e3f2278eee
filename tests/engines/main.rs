//! The promises of Keyslip, kept with real engines: crun, runc and podman on top of both.
//!
//! Every test opens a lab of its own, see `tests/lab`. They need root; without it each says that it
//! was skipped.

#[path = "../lab/cri.rs"]
mod kubelet;
#[path = "../lab/mod.rs"]
mod lab;

mod annotated;
mod bare;
mod buildah;
mod canary;
mod checkpoint;
mod containerd;
mod credentials;
mod cri;
mod docker;
mod docker_20;
mod logins;
mod many;
mod places;
mod podman;
mod podman5;
mod pods;
mod priority;
mod requests;
mod rootless;
mod sandboxes;
mod setup;
mod shared;
mod sharing;
mod transparency;
