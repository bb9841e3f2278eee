//! One run of a command, and what it took.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// The words of a command, its program first.
pub type Words = Vec<String>;

/// What something took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// Processor time of the commands and of all that they waited for, in microseconds.
    pub cpu: f64,
    /// By the clock, in microseconds.
    pub wall: f64,
}

/// Commands that belong together; only `measured` counts.
#[derive(Clone, Debug, Default)]
pub struct Work {
    pub before: Vec<Words>,
    pub measured: Vec<Words>,
    pub after: Vec<Words>,
    /// So many of the measured commands at a time; each has `@` in its words replaced by its number.
    pub at_once: usize,
}

impl Work {
    pub fn of(measured: Vec<Words>) -> Self {
        Self { measured, ..Self::default() }
    }

    /// Does it once.
    pub fn run(&self) -> Taken {
        self.before.iter().for_each(run);
        let (cpu, begin) = (children(), Instant::now());
        for command in &self.measured {
            match self.at_once {
                0 => run(command),
                many => run_many(command, many),
            }
        }
        let wall = begin.elapsed();
        let taken = Taken { cpu: micros(children().saturating_sub(cpu)), wall: micros(wall) };
        self.after.iter().for_each(run);
        taken
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Processor time of all children that have been waited for.
fn children() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel knows");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros.unsigned_abs())
}

fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// What is measured has to work.
fn run(words: &Words) {
    let status = command(words).status().unwrap_or_else(|error| panic!("{words:?}: {error}"));
    assert!(status.success(), "{words:?}: {status}");
}

fn run_many(words: &[String], many: usize) {
    let one = |number: usize| words.iter().map(|word| word.replace('@', &number.to_string())).collect::<Words>();
    let started: Vec<_> = (0..many)
        .map(one)
        .map(|words| command(&words).spawn().unwrap_or_else(|error| panic!("{words:?}: {error}")))
        .collect();
    for mut child in started {
        let status = child.wait().expect("a child");
        assert!(status.success(), "{words:?}: {status}");
    }
}
