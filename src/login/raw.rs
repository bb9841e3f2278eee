//! The user's terminal, raw while a program has it.

use std::io;
use std::sync::{Mutex, Once, PoisonError};

use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};

/// The modes to go back to while the terminal is raw.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// Standard input as a raw terminal: what is typed arrives byte for byte, Ctrl-C too. Dropping it goes
/// back; so does a panic, for the programs are built to abort and would not come to the drop.
#[derive(Debug)]
pub(super) struct Raw {
    modes: Termios,
}

impl Raw {
    /// Makes standard input raw; nothing when it is no terminal.
    pub(super) fn enter() -> io::Result<Option<Self>> {
        let Some(before) = modes() else { return Ok(None) };
        let mut modes = before.clone();
        modes.make_raw();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        HOOK.call_once(|| {
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                leave();
                report(panic);
            }));
        });
        let raw = Self { modes };
        raw.again()?;
        Ok(Some(raw))
    }

    /// Makes it raw once more, after a stop: shells set the modes when they continue a job.
    pub(super) fn again(&self) -> io::Result<()> {
        Ok(tcsetattr(io::stdin(), OptionalActions::Now, &self.modes)?)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        leave();
    }
}

/// The modes of standard input, if it is a terminal.
pub(super) fn modes() -> Option<Termios> {
    if isatty(io::stdin()) { tcgetattr(io::stdin()).ok() } else { None }
}

fn leave() {
    // The hook may run while the lock is held: then the modes were not changed yet.
    if let Some(before) = BEFORE.try_lock().ok().and_then(|mut before| before.take()) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}
