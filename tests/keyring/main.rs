//! The places where a credential can rest besides Keyslip's file, each with the real thing behind it:
//! a D-Bus daemon and gnome-keyring, systemd-creds, helpers that run `pass`. Only the keychain of
//! macOS has a stand-in, a script with the output and the exit codes of Apple's source.

#[path = "../lab/mod.rs"]
mod lab;

mod command;
mod driver;
mod encrypted;
mod examples;
mod keychain;
mod secret_service;
mod silent_bus;
