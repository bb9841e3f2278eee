//! The promises of the hook and of the launcher, and what happens to containers while they live, kept
//! with real engines: crun and runc without a shim, and podman on top of both.
//!
//! Every test opens a lab of its own, see `tests/lab`. They need root; without it each says that it
//! was skipped.

#[path = "../lab/mod.rs"]
mod lab;

mod bare;
mod canary;
mod instructions;
mod killed;
mod launcher;
mod links;
mod podman;
mod poststop;
mod problems;
mod reader;
mod revoke;
mod rootless;
mod setup;
mod sweep;
mod sync;
