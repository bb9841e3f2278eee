//! The OCI runtime shim: it stands where an engine expects runc, crun or another runtime, adds what
//! a container asks for and may have, and otherwise is not there.

#![no_main]
#![forbid(unsafe_op_in_unsafe_fn)]

mod create;
mod delete;
mod exec;
mod exec_options;
mod report;

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use keyslip::ledger::{self, Key, Ledger};
use keyslip::oci::{Call, Command};
use keyslip::policy::Installed;
use keyslip::site;
use keyslip::sys::{self, Args};

keyslip::entry!(start);

/// One call of the shim.
struct Shim<'a> {
    /// The command line.
    call: Call<'a>,
    /// Engine and real runtime.
    installed: &'a Installed,
}

fn start(args: Args) -> i32 {
    let Some(installed) =
        sys::execfn().and_then(|path| Installed::from_link(Path::new(path), || std::env::current_dir().ok()))
    else {
        return usage(&args);
    };
    let shim = Shim { call: Call::parse(&installed.runtime, args.raw()), installed: &installed };
    let result = match shim.call.command {
        Command::Create | Command::Run | Command::Restore => create::run(&shim),
        Command::Exec => exec::run(&shim),
        Command::Delete => delete::run(&shim),
        Command::Checkpoint => delete::after_checkpoint(&shim),
        Command::Other => shim.pass(),
    };
    result.unwrap_or_else(|failure| report::failure(&shim, &failure))
}

impl Shim<'_> {
    /// Becomes the real runtime with the arguments, environment and descriptors we were given.
    fn pass(&self) -> anyhow::Result<i32> {
        Err(self.failed(&sys::exec(&self.real(), self.call.argv())))
    }

    /// Becomes the real runtime with other arguments.
    fn pass_with(&self, argv: &[CString]) -> anyhow::Result<i32> {
        let argv: Vec<&CStr> = argv.iter().map(CString::as_c_str).collect();
        Err(self.failed(&sys::exec(&self.real(), &argv)))
    }

    /// The ledger and what this call's container is found by in it.
    fn place(&self) -> anyhow::Result<(Ledger, Key, PathBuf)> {
        let whose = site::whose()?;
        let xdg = std::env::var_os("XDG_RUNTIME_DIR");
        let root = ledger::effective_root(self.call.root(), &self.installed.runtime, whose, xdg.as_deref());
        let container = self.call.container().unwrap_or_default();
        let key = Key::new(&self.installed.real, Some(root.as_os_str()), container);
        Ok((Ledger::at(&site::runtime_dir(whose)), key, root))
    }

    /// Runs the real runtime and waits for it.
    fn supervise(&self, argv: &[&CStr]) -> anyhow::Result<sys::Ended> {
        sys::supervise(&self.real(), argv).map_err(|error| self.failed(&error))
    }

    /// Takes a container back that the runtime has just made. runsc wants the same global options on
    /// every call.
    fn undo_create(&self) {
        let Some(container) = self.call.container() else { return };
        let container = CString::new(container.as_bytes()).expect("arguments hold no NUL");
        let argv = [self.call.global(), &[c"delete", c"--force", &container]].concat();
        let _ = self.supervise(&argv);
    }

    fn real(&self) -> CString {
        CString::new(self.installed.real.as_os_str().as_bytes()).expect("a path from the kernel holds no NUL")
    }

    fn failed(&self, error: &std::io::Error) -> anyhow::Error {
        let Installed { engine, runtime, real } = self.installed;
        let target =
            std::fs::read_link(real).map(|path| format!(" (a link to {})", path.display())).unwrap_or_default();
        anyhow::anyhow!(
            "cannot run the real {runtime} of {engine}, {}{target}: {error}; make that link point to the runtime",
            real.display()
        )
    }
}

/// Called by its own name: somebody is looking.
fn usage(args: &Args) -> i32 {
    if args.get(1).is_some_and(|arg| arg == "--version") {
        println!("keyslip-runtime {}", env!("CARGO_PKG_VERSION"));
        return 0;
    }
    eprintln!(
        "keyslip-runtime stands in front of an OCI runtime. Call it through a link whose directory names the engine and \
         whose name is the runtime, with the real runtime beside it:\n  ENGINE/crun -> keyslip-runtime\n  ENGINE/crun.real -> /usr/bin/crun"
    );
    2
}
