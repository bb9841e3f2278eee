//! The promises of Keyslip, kept with real engines: crun, runc and podman on top of both.
//!
//! Every test opens a lab of its own, see `tests/lab`. They need root; without it each says that it
//! was skipped.

#[path = "../lab/mod.rs"]
mod lab;

mod bare;
mod buildah;
mod canary;
mod credentials;
mod docker_20;
mod logins;
mod places;
mod podman;
mod priority;
mod requests;
mod rootless;
mod shared;
mod sharing;
mod transparency;
