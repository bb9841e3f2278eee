//! A bundle that a runtime runs without an engine, behind the shim or with hooks in it.

use crate::lab::{Bare, Lab};
use crate::row::Container;

/// A container of a bare runtime.
pub struct Bundle<'a> {
    lab: &'a Lab,
    pub bare: Bare<'a>,
    /// The runtime itself, with its global options.
    runtime: String,
    /// It can be run again as it is.
    pub again: bool,
}

/// The filter of jq that gives a bundle the annotation that asks.
pub const ASK: &str = r#".annotations={"dev.keyslip.agents":"claude"}"#;

/// The filter of jq that gives a bundle the hooks and the annotation that asks.
pub const HOOKS: &str = r#".annotations={"dev.keyslip.agents":"claude"} | .hooks=(["createRuntime","poststop"] | map({key: .,
    value: [{path: "/usr/libexec/keyslip/keyslip-hook", args: ["keyslip-hook", ., "--engine", "bare"],
    env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], timeout: 10}]}) | from_entries)"#;

impl<'a> Bundle<'a> {
    /// A bundle for the runtime itself, without the shim; `edit` as in [`Lab::bundle`], and `options` are
    /// global ones of the runtime.
    pub fn plain(lab: &'a Lab, (runtime, options): (&str, &str), name: &str, edit: &str) -> Self {
        let id = format!("{runtime}-{name}");
        let bundle = lab.bundle(&id, edit);
        let mut bare = Bare::new(lab, runtime, &id, &bundle);
        bare.shim = format!("{runtime} {options}");
        Self { lab, runtime: bare.shim.clone(), bare, again: true }
    }

    /// The same for the shim in front of it.
    pub fn shimmed(lab: &'a Lab, (runtime, options): (&str, &str), name: &str, edit: &str) -> Self {
        let mut bundle = Self::plain(lab, (runtime, options), name, edit);
        bundle.bare.shim = format!("$BARE/{runtime} {options}");
        bundle
    }
}

impl Container for Bundle<'_> {
    fn exec(&self, script: &str) -> String {
        self.bare.exec(script)
    }

    fn restart(&mut self) -> bool {
        // The same bundle once more is all there is.
        if self.again {
            self.bare.end();
            self.bare.start();
        }
        self.again
    }

    fn inspect(&self) -> String {
        let (Bare { id, bundle, .. }, runtime) = (&self.bare, &self.runtime);
        self.lab.ok(&format!("{runtime} state {id}; {runtime} list; cat {bundle}/config.json"))
    }

    fn remove(&mut self) {
        self.bare.end();
    }
}
