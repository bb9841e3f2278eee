//! Agents as devices of the Container Device Interface: `--device keyslip.dev/agent=claude` with real
//! engines, whose runtimes and hook directories are left as they are.
//!
//! Every test opens a lab of its own, see `tests/lab`. They need root; without it each says that it
//! was skipped.

#[path = "../lab/cri.rs"]
mod cri;
#[path = "../lab/mod.rs"]
mod lab;

mod client;
mod containerd;
mod docker;
mod generate;
mod podman;
mod pods;
mod policy;
mod rootless;
mod setup;
