//! Renewing logins: the built `keyslip` against a TLS server with a certificate authority of its own,
//! which takes every refresh token once.
//!
//! Each test has a home directory and a server of its own and needs no root; run as root, `keyslip` is
//! run as an ordinary user. All tokens hold the word FAKE, and no command may print it.

mod home;
mod server;

mod interrupted;
mod protocol;
mod refused;
mod together;
