//! The state a runtime gives to hooks on standard input.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// The OCI state: what a hook is told.
#[derive(Clone, Debug, Deserialize)]
pub struct State {
    /// The container's id.
    pub id: String,
    /// The first process, in the namespace of the runtime; 0 or absent once it is gone.
    #[serde(default)]
    pub pid: i32,
    /// The bundle directory.
    pub bundle: PathBuf,
    /// The annotations of the specification.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}
