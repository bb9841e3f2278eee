//! `keyslip doctor`: a sound installation is in order, each thing that is broken is found, and what the finding
//! says to run mends it; and the probe, which proves with real engines what the rules conclude.
//!
//! Every test opens a lab of its own, see `tests/lab`. They need root; without it each says that it was
//! skipped.

#[path = "../lab/mod.rs"]
mod lab;

mod broken;
mod daemons;
mod installed;
mod probe;
mod report;
mod sound;
