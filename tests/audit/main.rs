//! The audit log, with real containers, a real journal and file systems that are full, read-only or do not answer.

#[path = "../lab/mod.rs"]
mod lab;

mod required;
mod trail;
