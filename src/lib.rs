//! Keyslip slips an AI coding agent's credential into its sandbox, at the OCI layer.
//!
//! This is the way of the data. Each stage takes the value of the one before and returns the next;
//! nothing reaches back.
//!
//! ```text
//! engine ──► oci ──► request ──► policy ──► source ──► agent ──► deliver ──► ledger
//!            what     what the    may it     find the   how this   tmpfs,      who holds
//!            we were  container   have it?   secret,    agent      files,      what
//!            handed   asks for               expiry     takes it   env, undo
//! ```
//!
//! 1. [`oci`] reads the runtime's command line and `config.json` through borrowed views, and writes
//!    by replacing pieces of the text, so that what it does not know survives.
//! 2. [`request`] finds what the container asks for: by annotation, CDI device or request mount.
//! 3. [`policy`] decides: who is calling is known from the installation, consent from the form of
//!    the request, permission from `[[allow]]` rules.
//! 4. [`source`] finds the credential: secret file or token store, valid, expiring or expired.
//! 5. [`agent`] knows, from data, which variables and files make this agent authenticated.
//! 6. [`deliver`] plans where everything goes and then does it, or undoes it.
//! 7. [`ledger`] remembers who holds what, and cleans up; [`audit`] has a line for whatever happened.
//!
//! [`lifetime`] is what happens after the start: new credentials are brought in, others taken away.
//! `renew` keeps logins alive whose refresh token Keyslip alone holds.
//! [`pipeline`] runs the stages in this order. The programs in `src/bin` are thin drivers of it:
//! `keyslip-runtime`, the shim in front of runc, crun and others; `keyslip-hook`, the OCI hook;
//! `keyslip-launch`, which the hook puts in front of a container's command ([`launch`]); and
//! `keyslip`, the command line.
//!
//! How a login gets in, with the feature `login` and for the command line alone: `login` (a client's own
//! login program, in a terminal), `backend` (keyrings, sealed credentials and helpers), `renew` (logins
//! that live for hours) and `import` (logins of other tools). `cdi` offers agents as devices.
//!
//! How engines come to call all this, likewise: `engine` (installing and taking away), and `doctor` (what is
//! wrong, and the probe that proves it; [`probe`] is the part of it that runs in a container).
//!
//! Beside the way: [`config`] (what the operator says), [`document`] (TOML with places), [`site`] (where
//! things are for this user), [`json`] (lossless edits), [`names`], [`secret`], [`clock`] and [`journal`]
//! (values with rules), and [`sys`], the only module with unsafe code.

#![deny(unsafe_code)]

pub mod oci;

pub mod request;

pub mod policy;

pub mod source;

pub mod agent;

pub mod deliver;

pub mod ledger;

pub mod audit;

pub mod pipeline;

pub mod lifetime;

#[cfg(feature = "login")]
pub mod renew;

pub mod launch;

pub mod probe;

#[cfg(feature = "login")]
pub mod backend;
#[cfg(feature = "login")]
pub mod cdi;
#[cfg(feature = "login")]
pub mod doctor;
#[cfg(feature = "login")]
pub mod engine;
#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(feature = "login")]
pub mod import;
#[cfg(feature = "login")]
pub mod login;

pub mod clock;
pub mod config;
pub mod document;
pub mod journal;
pub mod json;
pub mod names;
pub mod secret;
pub mod site;
pub mod sys;
