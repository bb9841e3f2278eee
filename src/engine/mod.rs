//! Setting engines up to call Keyslip, and taking that away without a trace.
//!
//! In: a [`Host`], an [`Engine`] and a [`Mode`]. Out: a [`Plan`], which is pure and can be printed as a
//! diff, and once it is carried out a [`Receipt`], from which everything can be put back byte for byte.
//! What can go wrong: the engine is not there, its configuration is broken or says something that ours
//! would contradict, or a file cannot be written. Each is one sentence, and then nothing has changed.
//!
//! 1. [`found`]: which engines this host has, and what they read.
//! 2. A plan for one of them is made from what its files say now.
//! 3. The engine's own parser reads the result, before anything is written.
//! 4. The plan is carried out, or undone at the first error.

mod carry_out;
mod cdi;
mod check;
mod consent;
mod containerd;
mod containers_conf;
mod diff;
mod docker;
mod error;
mod found;
mod holders;
pub mod hooks;
mod install;
mod links;
mod members;
mod ours;
mod podman;
mod present;
mod receipt;
#[cfg(test)]
mod roundtrip_tests;

pub use error::Error;
pub use found::{Found, Program, found};
pub use install::{Prepared, install, installed, prepare, prepare_removal, tidy, uninstall};
pub use ours::{Member, Ours};
pub use receipt::{Change, Receipt, receipts};

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::site::Site;

/// Where an installation puts the programs and the engines' links.
pub const LIBEXEC: &str = "/usr/libexec/keyslip";

/// What Keyslip can be installed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// podman.
    Podman,
    /// docker.
    Docker,
    /// containerd, for Kubernetes' CRI and for `ctr`.
    Containerd,
    /// Every engine that reads CDI specifications.
    Cdi,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Podman, Self::Docker, Self::Containerd, Self::Cdi];

    /// Its name on the command line and in the name of its receipt.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Cdi => "cdi",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|engine| engine.name() == name).ok_or_else(|| format!("known are {}", known()))
    }
}

/// The way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The shim in front of the runtime.
    Shim,
    /// OCI hooks.
    Hook,
    /// A CDI specification.
    Cdi,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shim => "shim",
            Self::Hook => "hook",
            Self::Cdi => "cdi",
        })
    }
}

/// What is to be installed.
#[derive(Clone, Debug)]
pub struct Order {
    /// For which engine.
    pub engine: Engine,
    /// The way in.
    pub mode: Mode,
    /// The engine's configuration file, where it is not the usual one.
    pub config: Option<PathBuf>,
    /// docker uses Keyslip's runtime unless it is told otherwise.
    pub default_runtime: bool,
    /// podman's annotations count, although images may set them.
    pub trust_annotations: bool,
}

/// For whom and where something is installed.
#[derive(Clone, Debug)]
pub struct Host {
    /// Root of the host, or a user.
    pub site: Site,
    /// The programs and the engines' links.
    pub libexec: PathBuf,
    /// `PATH`.
    pub path: OsString,
    /// `XDG_CONFIG_HOME`, which podman obeys for a user.
    pub config_home: Option<PathBuf>,
    /// `CONTAINERS_CONF`: the only file that podman reads where it is set.
    pub containers_conf: Option<PathBuf>,
}

impl Host {
    /// This host, as this process was started.
    #[must_use]
    pub fn here(site: Site, libexec: &Path) -> Self {
        let place = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            site,
            libexec: libexec.to_owned(),
            path: env::var_os("PATH").unwrap_or_default(),
            config_home: place("XDG_CONFIG_HOME"),
            containers_conf: place("CONTAINERS_CONF"),
        }
    }
}

/// What would be changed for an engine.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The engine.
    pub engine: Engine,
    /// The way in.
    pub mode: Mode,
    /// Files that change, in the order in which they are written.
    pub changes: Vec<Change>,
    /// What to run afterwards, in its order: nothing is restarted unasked.
    pub next: Vec<String>,
    /// What to know.
    pub notes: Vec<String>,
}

impl Plan {
    fn new(engine: Engine, mode: Mode) -> Self {
        Self { engine, mode, changes: Vec::new(), next: Vec::new(), notes: Vec::new() }
    }
}
