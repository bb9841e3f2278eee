//! Reading and merging the files.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::file::{AgentTable, AuditTable, Backend, Env, File, StoreTable};
use super::{AgentSettings, Config};
use crate::document::{Document, Misplaced, line_and_column};
use crate::names::SecretName;

/// Longest configuration file read.
const LONGEST: u64 = 1 << 20;

/// Longest that a credential helper may take, in seconds.
const LONGEST_HELPER: u64 = 20;

/// Shortest file of the audit log, in bytes, and most files that are kept: every one is renamed when a new one begins.
const SMALLEST_LOG: u64 = 64 << 10;
const MOST_LOGS: u32 = 100;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read the configuration {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file says something that cannot be.
    #[error("{path}:{line}:{column}: {reason}")]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// Somebody else could have written it.
    #[error("the configuration {path} {reason}; Keyslip does not read it")]
    Unsafe {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and how to mend it.
        reason: String,
    },
}

/// Reads `DIR/keyslip.toml` and `DIR/conf.d/*.toml`; a directory without them is the default.
///
/// # Errors
/// When a file is unreadable, invalid, or could have been written by somebody else.
pub fn load(dir: &Path) -> Result<Config, Error> {
    let mut merged = Merged::default();
    let mut files = vec![dir.join("keyslip.toml")];
    let drop_ins = dir.join("conf.d");
    match fs::read_dir(&drop_ins) {
        Ok(entries) => {
            let mut more: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            more.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
            more.sort();
            files.extend(more);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(Error::Read { path: drop_ins, source }),
    }
    for path in files {
        if let Some(text) = read(&path)? {
            merged.add(&path, &text)?;
        }
    }
    merged.finish()
}

/// Reads the text of a single file.
///
/// # Errors
/// When it is invalid.
#[cfg(fuzzing)]
pub fn parse(text: &str) -> Result<Config, Error> {
    let mut merged = Merged::default();
    merged.add(Path::new("keyslip.toml"), text)?;
    merged.finish()
}

/// Reads a file of the configuration, if there is one.
///
/// # Errors
/// When it is unreadable, or could have been written by somebody else.
pub fn read(path: &Path) -> Result<Option<String>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let about = file.metadata().map_err(failed)?;
    let wrong = |reason: String| Err(Error::Unsafe { path: path.to_owned(), reason });
    let us = rustix::process::geteuid().as_raw();
    if about.uid() != us && about.uid() != 0 {
        return wrong(format!("belongs to uid {}; chown it to {us}", about.uid()));
    }
    if about.mode() & 0o022 != 0 {
        return wrong(format!("can be written by others; run: chmod go-w {}", path.display()));
    }
    if about.len() > LONGEST {
        return wrong(format!("is longer than {LONGEST} bytes"));
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    Ok(Some(text))
}

/// A place in a file, for errors that are found only once all files are read.
struct Place {
    path: PathBuf,
    line: usize,
    column: usize,
}

impl Place {
    fn error(self, reason: String) -> Error {
        Error::Invalid { path: self.path, line: self.line, column: self.column, reason }
    }
}

/// A file while it is read.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
    document: Document<'a>,
}

impl Source<'_> {
    /// The place of the value at `keys`.
    fn place(&self, keys: &[&str]) -> Place {
        place(self.path, self.text, self.document.span(keys).start)
    }
}

fn place(path: &Path, text: &str, at: usize) -> Place {
    let (line, column) = line_and_column(text, at);
    Place { path: path.to_owned(), line, column }
}

#[derive(Default)]
struct Merged {
    config: Config,
    /// Every `secret_name` and its place.
    named: Vec<(SecretName, Place)>,
}

impl Merged {
    fn add(&mut self, path: &Path, text: &str) -> Result<(), Error> {
        let wrong = |error: Misplaced| place(path, text, error.span.start).error(error.reason);
        let document = Document::parse(text).map_err(wrong)?;
        let file: File = document.read().map_err(wrong)?;
        let source = Source { path, text, document };
        let config = &mut self.config;
        config.owner = file.owner.or_else(|| config.owner.take());
        config.log_level = file.log_level.unwrap_or(config.log_level);
        config.on_missing = file.on_missing.unwrap_or(config.on_missing);
        config.on_shadow = file.delivery.on_shadow.unwrap_or(config.on_shadow);
        config.env_in_spec = file.delivery.env.map_or(config.env_in_spec, |env| env == Env::Spec);
        config.trust_annotations = file.trust_annotations.unwrap_or(config.trust_annotations);
        config.no_default_allow = file.no_default_allow.unwrap_or(config.no_default_allow);
        config.passthrough = file.passthrough.unwrap_or(config.passthrough);
        config.engines.extend(file.engines);
        config.audit.mode = file.audit.unwrap_or(config.audit.mode);
        self.audit_log(&source, file.audit_log)?;
        self.sources_of_logins(&source, file.keychain, file.store)?;
        for (name, secret) in file.secrets {
            if !secret.is_absolute() {
                let reason = format!("the path of secret {name} must be absolute");
                return Err(source.place(&["secrets", name.as_str()]).error(reason));
            }
            self.config.secrets.insert(name, secret);
        }
        for (index, rule) in file.allow.into_iter().enumerate() {
            if let Some(account) = rule.bad_account() {
                let reason = format!("{account:?} is no account; one is of a-z 0-9 _ -, and may end in *");
                return Err(source.place(&["allow", &index.to_string()]).error(reason));
            }
            if rule.gives_no_one_account() {
                let reason = "account = \"default\" is what `keyslip auth switch` makes of it; name another account, or use accounts = [\"default\"]";
                return Err(source.place(&["allow", &index.to_string(), "account"]).error(reason.to_owned()));
            }
            self.config.allow.push(rule);
        }
        for (name, table) in file.agents {
            let settings = self.settings(&source, &["agents", name.as_str()], table)?;
            self.config.agents.insert(name, settings);
        }
        for (template, table) in file.templates {
            for (name, agent) in table.agents {
                let keys = ["templates", template.as_str(), "agents", name.as_str()];
                let settings = self.settings(&source, &keys, agent)?;
                self.config.templates.entry(template.clone()).or_default().agents.insert(name, settings);
            }
        }
        Ok(())
    }

    fn audit_log(&mut self, source: &Source<'_>, table: AuditTable) -> Result<(), Error> {
        if table.file.as_ref().is_some_and(|file| !file.is_absolute()) {
            let reason = "the path of the audit log must be absolute".to_owned();
            return Err(source.place(&["audit_log", "file"]).error(reason));
        }
        if table.max_bytes.is_some_and(|bytes| bytes < SMALLEST_LOG) {
            let reason = format!("max_bytes must be {SMALLEST_LOG} or more");
            return Err(source.place(&["audit_log", "max_bytes"]).error(reason));
        }
        if table.keep.is_some_and(|keep| keep > MOST_LOGS) {
            return Err(source.place(&["audit_log", "keep"]).error(format!("keep must be {MOST_LOGS} or less")));
        }
        let audit = &mut self.config.audit;
        audit.file = table.file.or_else(|| audit.file.take());
        audit.max_bytes = table.max_bytes.unwrap_or(audit.max_bytes);
        audit.keep = table.keep.unwrap_or(audit.keep);
        audit.journald = table.journald.unwrap_or(audit.journald);
        Ok(())
    }

    fn sources_of_logins(
        &mut self,
        source: &Source<'_>,
        keychain: Option<Vec<String>>,
        store: StoreTable,
    ) -> Result<(), Error> {
        if let Some(keychain) = keychain {
            if keychain.is_empty() {
                return Err(source.place(&["keychain"]).error("keychain needs a program".to_owned()));
            }
            self.config.keychain = keychain;
        }
        if let Some(helper) = store.command {
            if !helper.argv.first().is_some_and(|program| program.starts_with('/')) {
                let reason = "argv must begin with the absolute path of a program".to_owned();
                return Err(source.place(&["store", "command", "argv"]).error(reason));
            }
            if !(1..=LONGEST_HELPER).contains(&helper.timeout_seconds) {
                let reason = format!("timeout_seconds must be 1 to {LONGEST_HELPER}: engines give a hook 30 seconds");
                return Err(source.place(&["store", "command", "timeout_seconds"]).error(reason));
            }
            self.config.helper = Some(helper);
        }
        if let Some(backend) = store.backend {
            self.config.backend = backend;
            if backend == Backend::Command && self.config.helper.is_none() {
                let reason = "the backend command needs a program: [store.command] argv = [\"/path/to/helper\"]";
                return Err(source.place(&["store", "backend"]).error(reason.to_owned()));
            }
        }
        Ok(())
    }

    fn settings(&mut self, source: &Source<'_>, keys: &[&str], table: AgentTable) -> Result<AgentSettings, Error> {
        let at = |key: &str| source.place(&[keys, &[key]].concat());
        if table.auth_env_var.is_some() && table.secret_name.is_none() {
            let reason = "auth_env_var needs a secret_name: it is the variable that gets that secret";
            return Err(at("auth_env_var").error(reason.to_owned()));
        }
        if let Some(secret) = &table.secret_name {
            self.named.push((secret.clone(), at("secret_name")));
        }
        let dir = table.host_config_dir.as_deref();
        if dir.is_some_and(|dir| !(dir.starts_with('/') || dir.starts_with("~/"))) {
            return Err(at("host_config_dir").error("host_config_dir must begin with / or ~/".to_owned()));
        }
        if table.host_config_dir_read_only.is_some() && dir.is_none() {
            let reason = "host_config_dir_read_only needs a host_config_dir".to_owned();
            return Err(at("host_config_dir_read_only").error(reason));
        }
        Ok(AgentSettings {
            secret_name: table.secret_name,
            auth_env_var: table.auth_env_var,
            host_config_dir: table.host_config_dir,
            host_config_dir_read_only: table.host_config_dir_read_only,
            trust_workspace: table.trust_workspace,
        })
    }

    fn finish(self) -> Result<Config, Error> {
        for (name, place) in self.named {
            if !self.config.secrets.contains_key(&name) {
                let reason = format!("there is no secret {name}; add it: [secrets] {name} = \"/path/to/file\"");
                return Err(place.error(reason));
            }
        }
        Ok(self.config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let mut merged = Merged::default();
        merged.add(Path::new("k.toml"), text).and_then(|()| merged.finish()).map_err(|error| error.to_string())
    }

    #[test]
    fn errors_carry_file_line_and_column() {
        assert!(
            parse("log_level = \"debug\"\n\nfoo = 1\n").unwrap_err().starts_with("k.toml:3:1: unknown field `foo`")
        );
        assert!(parse("on_missing = \"maybe\"").unwrap_err().starts_with("k.toml:1:14: "));
        let text = "[templates.t.agents.claude]\nsecret_name = \"anthropic\"\n";
        let error = parse(text).unwrap_err();
        assert!(error.starts_with("k.toml:2:15: there is no secret anthropic"), "{error}");
        assert!(parse("[secrets]\n\"../x\" = \"/a\"").unwrap_err().contains("secret name"));
        assert!(parse("[secrets]\nx = \"relative\"").unwrap_err().starts_with("k.toml:2:5: "));
        assert!(parse("[agents.x]\nauth_env_var = \"X\"").unwrap_err().contains("needs a secret_name"));
        assert!(parse("[[allow]]\nagents = [\"*\"]\naccounts = [\"../\"]").unwrap_err().contains("is no account"));
        assert!(parse("a = ").unwrap_err().starts_with("k.toml:1:"));
        let helper = "[store.command]\nargv = [\"/bin/x\"]\n";
        let error = parse(&format!("{helper}timeout_seconds = 21")).unwrap_err();
        assert!(error.starts_with("k.toml:3:19: timeout_seconds must be 1 to 20"), "{error}");
        let error = parse("[[allow]]\nagents = [\"x\"]\naccount = \"default\"").unwrap_err();
        assert!(error.starts_with("k.toml:3:11: account = \"default\""), "{error}");
    }

    #[test]
    fn the_seeds_template_reads() {
        let config = parse(
            "[secrets]\nanthropic = \"/run/secrets/anthropic\"\n[templates.claude.agents.claude]\n\
             secret_name = \"anthropic\"\nauth_env_var = \"ANTHROPIC_API_KEY\"\n",
        )
        .unwrap();
        let template = config.templates.values().next().unwrap();
        let agent = template.agents.values().next().unwrap();
        assert_eq!(agent.auth_env_var.as_ref().unwrap().as_str(), "ANTHROPIC_API_KEY");
    }

    #[test]
    fn the_commented_configuration_that_ships_is_the_default_and_its_examples_are_valid() {
        let text = include_str!("../../config/keyslip.toml");
        let config = parse(text).unwrap();
        assert!(config.allow.is_empty() && config.secrets.is_empty() && config.owner.is_none());
        let examples: Vec<&str> = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') => rest,
                _ => line,
            })
            .collect();
        let config = parse(&examples.join("\n")).unwrap();
        assert_eq!((config.allow.len(), config.secrets.len(), config.templates.len()), (1, 2, 1));
    }

    #[test]
    fn later_files_win_and_rules_add_up() {
        let mut merged = Merged::default();
        merged
            .add(Path::new("a"), "log_level = \"debug\"\n[[allow]]\nagents = [\"claude\"]\n[secrets]\nx = \"/a\"")
            .unwrap();
        merged
            .add(Path::new("b"), "log_level = \"error\"\n[[allow]]\nagents = [\"codex\"]\n[secrets]\nx = \"/b\"")
            .unwrap();
        let config = merged.finish().unwrap();
        assert_eq!(config.log_level, super::super::Level::Error);
        assert_eq!(config.allow.len(), 2);
        assert_eq!(config.secrets.values().next().unwrap(), Path::new("/b"));
    }
}
