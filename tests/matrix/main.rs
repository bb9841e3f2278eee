//! Every engine by every way in: does the credential arrive in the main process, in `exec` and as a file, also
//! after a restart; do the engine's `inspect` and its disk hold nothing of it; is everything gone at
//! the end. Each test fills a row of the table that `make test` prints and docs/engines.md keeps (see
//! `table`); it fails when a cell is not what the row says, for better or for worse.

#[path = "../lab/cri.rs"]
mod cri;
#[path = "../lab/mod.rs"]
mod lab;

mod bare;
mod build;
mod bundle;
mod containerd;
mod docker;
mod podman;
mod row;
mod runsc;
