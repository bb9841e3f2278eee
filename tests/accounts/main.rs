//! Logins in the places where they can rest, and several of them at once: a real gnome-keyring, a real
//! systemd-creds, real helpers, under real engines; many processes at the same time; processes that
//! are killed at any of their steps.
//!
//! Every test opens a lab of its own, see `tests/lab`. They need root; without it each says that it
//! was skipped.

#[path = "../lab/mod.rs"]
mod lab;

mod dead_bus;
mod encrypted;
mod helper;
mod keyring;
mod killed;
mod locked;
mod odd;
mod owner;
mod parallel;
mod rootless;
mod session;
mod switch;
mod waits;
