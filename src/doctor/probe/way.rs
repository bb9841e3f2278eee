//! One way into a container, and how its engine is spoken to.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Surroundings;
use crate::doctor::asking::{self, Said};
use crate::probe::NAME;
use crate::site::Site;

/// Longest that a command of an engine may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What this way promises; what it does not is no fault.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    /// Variables of the main process.
    pub main: bool,
    /// Variables of what `exec` starts.
    pub exec: bool,
    /// Why not all of it, as the rest of a sentence.
    pub unless: &'static str,
}

impl Promise {
    /// What the shim promises.
    pub const ALL: Self = Self { main: true, exec: true, unless: "" };
    /// What hooks at `precreate` promise.
    pub const HOOKS: Self = Self { main: true, exec: false, unless: "hooks give exec files alone" };
    /// What CDI devices promise.
    pub const DEVICES: Self = Self { main: false, exec: false, unless: "CDI devices give files alone" };
}

/// One way into a container.
pub trait Way {
    /// The engine's name, by which it is chosen.
    fn engine(&self) -> &'static str;
    /// For people.
    fn subject(&self) -> String;
    /// What it promises.
    fn promise(&self) -> Promise;
    /// Loads the image and starts the container.
    ///
    /// # Errors
    /// What the engine says.
    fn start(&mut self, image: &Path) -> Result<(), String>;
    /// Runs the program that looks, in the container.
    ///
    /// # Errors
    /// What the engine says.
    fn look(&self) -> Result<String, String>;
    /// What the engine shows of the container.
    ///
    /// # Errors
    /// What the engine says.
    fn inspect(&self) -> Result<String, String>;
    /// Where the engine keeps things.
    fn storage(&self) -> Vec<PathBuf>;
    /// Removes container and image; that there are none is no error.
    ///
    /// # Errors
    /// What the engine says.
    fn end(&mut self) -> Result<(), String>;
}

/// A command of an engine that must succeed; its standard output.
///
/// # Errors
/// What it says.
pub fn tell(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let said = asking::ask(program, arguments, LIMIT)?;
    if said.good { Ok(said.text) } else { Err(said.complaint) }
}

/// A command whose failure does not matter.
pub fn attempt(program: &Path, arguments: &[&str]) -> Option<Said> {
    asking::ask(program, arguments, LIMIT).ok()
}

/// How a container asks: by the annotation where it counts, else by a request mount.
pub fn asks(around: &Surroundings<'_>, annotations_count: bool) -> Result<Asks, String> {
    if annotations_count {
        return Ok(Asks::Annotation(format!("dev.keyslip.agents={NAME}")));
    }
    let own = std::env::current_exe().map_err(|error| format!("this program does not find itself: {error}"))?;
    // The way of everybody else: what it prints is what the container is given.
    let path = tell(&own, &["request", NAME])?;
    debug_assert!(path.contains(&*around.site.runtime.to_string_lossy()));
    Ok(Asks::Mount(path.trim().to_owned()))
}

/// How a container asks.
pub enum Asks {
    /// By an annotation `NAME=VALUE`.
    Annotation(String),
    /// By a bind mount of this path.
    Mount(String),
}

impl Asks {
    /// As options of `podman run` and `docker run`.
    pub fn options(&self) -> [String; 2] {
        match self {
            Self::Annotation(text) => ["--annotation".to_owned(), text.clone()],
            Self::Mount(path) => ["--volume".to_owned(), format!("{path}:/request:ro")],
        }
    }
}

/// Removes the entries of the request directory that were made here.
pub fn remove_requests(site: &Site) {
    for entry in fs::read_dir(site.requests()).into_iter().flatten().flatten() {
        let _ = fs::remove_file(entry.path().join(NAME));
        // Fails while it holds other requests.
        let _ = fs::remove_dir(entry.path());
    }
    let _ = fs::remove_dir(site.requests());
}

/// Words for an engine that has a container of this name.
pub fn exec(name: &str) -> [String; 4] {
    ["exec".to_owned(), name.to_owned(), format!("/{NAME}"), "look".to_owned()]
}

/// Borrows words.
pub fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// A path as a word.
pub fn word(path: &Path) -> String {
    OsString::from(path).to_string_lossy().into_owned()
}
