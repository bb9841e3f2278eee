//! A container under a low-level runtime, behind the shim, without an engine.

use super::{Lab, Output};

/// A container of a bare runtime behind the shim.
pub struct Bare<'a> {
    lab: &'a Lab,
    /// The shim, with global options.
    pub shim: String,
    pub id: String,
    pub bundle: String,
}

impl<'a> Bare<'a> {
    /// A container that is not made yet.
    pub fn new(lab: &'a Lab, runtime: &str, id: &str, bundle: &str) -> Self {
        Self { lab, shim: format!("$BARE/{runtime}"), id: id.to_owned(), bundle: bundle.to_owned() }
    }

    /// Makes and starts a container that asks for Claude; `edit` as in [`Lab::bundle`].
    pub fn started(lab: &'a Lab, runtime: &str, edit: &str) -> Self {
        let id = format!("{runtime}-{}", lab.calls.get());
        let ask = r#".annotations={"dev.keyslip.agents":"claude"}"#;
        let edit = if edit.is_empty() { ask.to_owned() } else { format!("{ask} | {edit}") };
        let bundle = lab.bundle(&id, &edit);
        let container = Self::new(lab, runtime, &id, &bundle);
        container.start();
        container
    }

    pub fn create(&self) -> Output {
        self.lab.sh(&format!("{} create --bundle {} {}", self.shim, self.bundle, self.id))
    }

    #[track_caller]
    pub fn start(&self) {
        let output = self.create();
        assert!(output.succeeded(), "{} create: {output}", self.shim);
        self.lab.ok(&format!("{} start {}", self.shim, self.id));
    }

    /// Runs a script in the container as engines do, with `exec --process FILE`.
    #[track_caller]
    pub fn exec(&self, script: &str) -> String {
        self.lab.write("script", script.as_bytes());
        self.lab.ok(&format!(
            "jq -c --rawfile script $W/script '.process | .args=[\"sh\",\"-c\",$script]' {b}/config.json >{b}/process.json
            {} exec --process {b}/process.json {}",
            self.shim, self.id, b = self.bundle
        ))
    }

    /// The variables of the main process.
    #[track_caller]
    pub fn main_env(&self) -> String {
        self.exec("tr '\\0' '\\n' </proc/1/environ")
    }

    /// Kills it, waits until it has stopped, and deletes it.
    #[track_caller]
    pub fn end(&self) {
        self.lab.ok(&format!(
            "{shim} kill {id} KILL; for i in $(seq 100); do [ \"$({shim} state {id} | jq -r .status)\" = stopped ] && break; sleep 0.02; done
            {shim} delete {id}",
            shim = self.shim, id = self.id
        ));
    }
}
