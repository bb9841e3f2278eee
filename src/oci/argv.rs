//! The command line of an OCI runtime, in every spelling the engines use.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::options;

/// What the runtime is asked to do, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Make a container.
    Create,
    /// Make a container and start it.
    Run,
    /// Write a container's processes down, and end them unless they are to go on.
    Checkpoint,
    /// Bring a container back from a checkpoint.
    Restore,
    /// Start another process in a container.
    Exec,
    /// Remove a container.
    Delete,
    /// Everything else, handed on untouched.
    Other,
}

/// Where a value stands on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    /// Index of the argument that holds it.
    index: usize,
    /// Where in that argument it starts.
    offset: usize,
}

/// A parsed command line. Nothing is copied; edits make a new argument vector.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    runtime: &'a str,
    argv: Vec<&'a CStr>,
    /// What is asked for.
    pub command: Command,
    verb: Option<usize>,
    options: Vec<(&'a [u8], Option<Found>)>,
    positional: Vec<usize>,
}

impl<'a> Call<'a> {
    /// Reads `argv`, program name first, as `runtime` would.
    #[must_use]
    pub fn parse(runtime: &'a str, argv: &[&'a CStr]) -> Self {
        let mut call = Self {
            runtime,
            argv: argv.to_vec(),
            command: Command::Other,
            verb: None,
            options: Vec::new(),
            positional: Vec::new(),
        };
        let mut index = 1;
        while let Some(arg) = argv.get(index).map(|arg| arg.to_bytes()) {
            if arg == b"--" {
                // Before the verb it ends the global options, which the verb would do as well.
                if call.verb.is_none() {
                    index += 1;
                    continue;
                }
                call.positional.extend(index + 1..argv.len());
                break;
            }
            if arg.len() < 2 || arg[0] != b'-' {
                match call.verb {
                    None => {
                        call.verb = Some(index);
                        call.command = command(arg);
                        if call.command == Command::Other {
                            break;
                        }
                    }
                    // What follows the container of `exec` is the command to run there.
                    Some(_) if call.command == Command::Exec => {
                        call.positional.extend(index..argv.len());
                        break;
                    }
                    Some(_) => call.positional.push(index),
                }
                index += 1;
                continue;
            }
            index = call.option(index, arg);
        }
        call
    }

    /// Notes the option at `index`; returns the index after it and its value.
    fn option(&mut self, index: usize, arg: &'a [u8]) -> usize {
        let dashes = if arg.starts_with(b"--") { 2 } else { 1 };
        let body = &arg[dashes..];
        let command = self.verb.map(|_| self.command);
        if let Some(equals) = body.iter().position(|b| *b == b'=') {
            let name = options::long_name(self.runtime, command, &body[..equals]);
            self.options.push((name, Some(Found { index, offset: dashes + equals + 1 })));
            return index + 1;
        }
        // `-f FILE` is crun's `create --config FILE`; `delete -f` is `delete --force`.
        let forces = body == b"f" && self.command == Command::Delete;
        let name = options::long_name(self.runtime, command, body);
        if !forces && options::takes_value(self.runtime, name) {
            self.options.push((name, Some(Found { index: index + 1, offset: 0 })));
            return index + 2;
        }
        // crun reads `-bDIR` and `-fFILE`; Go's flag package, one dash before a long name.
        if dashes == 1 && body.len() > 1 && matches!(body[0], b'b' | b'f' | b'p') && body[1] == b'/' {
            self.options.push((&body[..1], Some(Found { index, offset: 2 })));
            return index + 1;
        }
        // Short options in one word, as crun reads `-db DIR`.
        let (flags, last) = body.split_at(body.len() - 1);
        if dashes == 1
            && !flags.is_empty()
            && flags.iter().all(|flag| b"dt".contains(flag))
            && b"bfp".contains(&last[0])
        {
            self.options.extend((0..flags.len()).map(|at| (&flags[at..=at], None)));
            self.options.push((last, Some(Found { index: index + 1, offset: 0 })));
            return index + 2;
        }
        self.options.push((body, None));
        index + 1
    }

    /// The value of the last of these options that has one; the runtime refuses one without.
    fn found(&self, names: &[&str]) -> Option<Found> {
        let named = |name: &[u8]| names.iter().any(|wanted| wanted.as_bytes() == name);
        let values = self.options.iter().rev().filter(|(name, _)| named(name)).filter_map(|(_, found)| *found);
        values.into_iter().find(|found| found.index < self.argv.len())
    }

    fn value(&self, names: &[&str]) -> Option<&'a OsStr> {
        let found = self.found(names)?;
        Some(OsStr::from_bytes(&self.argv[found.index].to_bytes()[found.offset..]))
    }

    /// The arguments as they came.
    #[must_use]
    pub fn argv(&self) -> &[&'a CStr] {
        &self.argv
    }

    /// The arguments before the verb: the program's name and the global options.
    #[must_use]
    pub fn global(&self) -> &[&'a CStr] {
        &self.argv[..self.verb.unwrap_or(self.argv.len())]
    }

    /// The container's id: the first argument that is no option.
    #[must_use]
    pub fn container(&self) -> Option<&'a OsStr> {
        self.positional.first().map(|index| OsStr::from_bytes(self.argv[*index].to_bytes()))
    }

    /// What follows the container's id: the command of an `exec`.
    #[must_use]
    pub fn rest(&self) -> &[&'a CStr] {
        match self.positional.get(1) {
            Some(index) => &self.argv[*index..],
            None => &[],
        }
    }

    /// The directory where the runtime keeps its state (`--root`), if one is named.
    #[must_use]
    pub fn root(&self) -> Option<&'a OsStr> {
        self.value(&["root"])
    }

    /// The file that errors go to as JSON lines (`--log`), if one is named.
    #[must_use]
    pub fn log(&self) -> Option<&'a Path> {
        self.value(&["log"]).map(Path::new)
    }

    /// The file the runtime writes the container's first process id to.
    #[must_use]
    pub fn pid_file(&self) -> Option<&'a Path> {
        self.value(&["pid-file"]).map(Path::new)
    }

    /// How many descriptors after the standard ones the runtime hands on to the container.
    #[must_use]
    pub fn preserved(&self) -> u32 {
        self.value(&["preserve-fds"]).and_then(|count| count.to_str()?.parse().ok()).unwrap_or(0)
    }

    /// The bundle as it was named, or the current directory.
    #[must_use]
    pub fn bundle(&self) -> PathBuf {
        PathBuf::from(self.value(&["bundle", "b"]).unwrap_or(OsStr::new(".")))
    }

    /// The configuration named instead of the bundle's own (crun's `--config`).
    #[must_use]
    pub fn config(&self) -> Option<&'a Path> {
        self.value(&["config", "f"]).map(Path::new)
    }

    /// The file that describes the process of an `exec`.
    #[must_use]
    pub fn process(&self) -> Option<&'a Path> {
        self.value(&["process", "p"]).map(Path::new)
    }

    /// The options between the verb and the container, by name, with their values.
    pub fn verb_options(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a OsStr>)> {
        let verb = self.verb.unwrap_or(0);
        self.options
            .iter()
            .filter(move |(name, found)| found.map_or_else(|| self.index_of(name) > verb, |found| found.index > verb))
            .map(|(name, found)| {
                (
                    *name,
                    found.and_then(|found| {
                        self.argv.get(found.index).map(|arg| OsStr::from_bytes(&arg.to_bytes()[found.offset..]))
                    }),
                )
            })
    }

    /// Where the argument stands that `name` is a part of.
    fn index_of(&self, name: &[u8]) -> usize {
        self.argv.iter().position(|arg| arg.to_bytes().as_ptr_range().contains(&name.as_ptr())).unwrap_or(0)
    }

    /// The command line with `--bundle DIR`.
    #[must_use]
    pub fn with_bundle(&self, dir: &Path) -> Vec<CString> {
        self.with(&["bundle", "b"], "--bundle", dir.as_os_str())
    }

    /// The command line with crun's `--config FILE`.
    #[must_use]
    pub fn with_config(&self, file: &Path) -> Vec<CString> {
        self.with(&["config", "f"], "--config", file.as_os_str())
    }

    /// The command line with `--process FILE`.
    #[must_use]
    pub fn with_process(&self, file: &Path) -> Vec<CString> {
        self.with(&["process", "p"], "--process", file.as_os_str())
    }

    /// `exec --process FILE` in place of an `exec` that describes the process by options: those
    /// in `kept` stay, the command goes.
    #[must_use]
    pub fn exec_with_process(&self, file: &Path, kept: &[&str]) -> Vec<CString> {
        let verb = self.verb.unwrap_or(0);
        let mut out: Vec<CString> = self.argv[..=verb].iter().map(|arg| (*arg).to_owned()).collect();
        out.push(c"--process".to_owned());
        out.push(c_string(file.as_os_str().as_bytes()));
        for (name, value) in self.verb_options() {
            if kept.iter().any(|keep| keep.as_bytes() == name) {
                let dashes: &[u8] = if name.len() == 1 { b"-" } else { b"--" };
                out.push(c_string(&[dashes, name].concat()));
                out.extend(value.map(|value| c_string(value.as_bytes())));
            }
        }
        out.extend(self.positional.first().map(|index| self.argv[*index].to_owned()));
        out
    }

    /// Replaces the value of an option where it stands, or adds the option behind the verb.
    fn with(&self, names: &[&str], option: &str, value: &OsStr) -> Vec<CString> {
        let mut out: Vec<CString> = self.argv.iter().map(|arg| (*arg).to_owned()).collect();
        match self.found(names) {
            Some(found) => {
                let head = &self.argv[found.index].to_bytes()[..found.offset];
                out[found.index] = c_string(&[head, value.as_bytes()].concat());
            }
            None => {
                let at = self.verb.map_or(out.len(), |verb| verb + 1);
                out.splice(at..at, [c_string(option.as_bytes()), c_string(value.as_bytes())]);
            }
        }
        out
    }
}

fn command(verb: &[u8]) -> Command {
    match verb {
        b"create" => Command::Create,
        b"run" => Command::Run,
        b"checkpoint" => Command::Checkpoint,
        b"restore" => Command::Restore,
        b"exec" => Command::Exec,
        b"delete" => Command::Delete,
        _ => Command::Other,
    }
}

/// Bytes that came from an argument or are a path of ours, and so hold no NUL.
fn c_string(bytes: &[u8]) -> CString {
    CString::new(bytes).expect("arguments hold no NUL")
}

#[cfg(test)]
#[path = "argv_tests.rs"]
mod tests;
