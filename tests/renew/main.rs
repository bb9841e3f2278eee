//! Renewing logins: the built `keyslip` against a TLS server with a certificate authority of its own,
//! which takes every refresh token once.
//!
//! Each test has a home directory and a server of its own and needs no root; run as root, `keyslip` is
//! run as an ordinary user. All tokens hold the word FAKE, and no command may print it. `containers` uses
//! labs (see `tests/lab`) and needs root.

#[path = "../lab/mod.rs"]
mod lab;

mod home;
mod server;

mod containers;
mod interrupted;
mod protocol;
mod refused;
mod sealed;
mod together;
