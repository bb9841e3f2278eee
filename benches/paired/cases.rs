//! What is measured. The files that the commands name are put in place by `benches/compare`.

use crate::measure::{Words, Work};

/// How a variant is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Processor time.
    Cpu,
    /// By the clock: an engine leaves processes behind whose time is nobody's.
    Wall,
}

/// A way to do something, by its name.
pub type Variant = (&'static str, Work);

/// One piece of work, done in several ways.
pub struct Case {
    pub name: &'static str,
    pub by: By,
    /// A part of the rounds is enough for what takes long.
    pub share: usize,
    /// The first is what the others are compared with.
    pub variants: Vec<Variant>,
    /// The variant of ours, what it is compared with, and the most that the ratio should be.
    pub goals: Vec<(&'static str, &'static str, f64)>,
}

/// A cost against a size.
pub struct Series {
    pub name: &'static str,
    pub unit: &'static str,
    pub share: usize,
    pub sizes: Vec<Size>,
}

/// One of the sizes.
pub struct Size {
    pub at: usize,
    /// Brings it about.
    pub before: Vec<Words>,
    pub variants: Vec<Variant>,
}

fn words(text: &str) -> Words {
    let lab = std::env::var("W").expect("the lab");
    text.split_whitespace().map(|word| word.replace("$W", &lab)).collect()
}

fn work(commands: &[String]) -> Work {
    Work::of(commands.iter().map(|command| words(command)).collect())
}

/// `create` and `delete --force` of the bundle `$W/fs/BUNDLE`.
fn create(runtime: &str, bundle: &str) -> Work {
    work(&[
        format!("{runtime} create --bundle $W/fs/{bundle} --pid-file $W/pid k"),
        format!("{runtime} delete --force k"),
    ])
}

/// A command that is passed on, for the container `live`.
fn pass(runtime: &str, command: &str) -> Work {
    work(&[format!("{runtime} {command}")])
}

fn start(runtime: &str, real: &str) -> Work {
    Work {
        before: vec![words(&format!("{real} create --bundle $W/fs/plain k"))],
        measured: vec![words(&format!("{runtime} start k"))],
        after: vec![words(&format!("{real} delete --force k"))],
        at_once: 0,
    }
}

/// Twenty containers at a time.
fn many(runtime: &str, bundle: &str) -> Work {
    let commands = [
        format!("{runtime} create --bundle $W/fs/{bundle}@ --pid-file $W/pid@ many@"),
        format!("{runtime} delete --force many@"),
    ];
    Work { at_once: 20, ..work(&commands) }
}

const REAL: &str = "/usr/bin/crun";
const C: &str = "$W/c/crun";
const OURS: &str = "/usr/libexec/keyslip/bare/crun";
const JQ: &str = "$W/jq/crun";
const RUNC: &str = "/usr/sbin/runc";
const RUNC_C: &str = "$W/c/runc";
const RUNC_OURS: &str = "/usr/libexec/keyslip/bare/runc";

pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, command) in [("state", "state live"), ("kill", "kill live CONT")] {
        cases.push(Case {
            name,
            by: By::Cpu,
            share: 1,
            variants: vec![
                ("crun", pass(REAL, command)),
                ("C exec shim", pass(C, command)),
                ("keyslip", pass(OURS, command)),
                ("jq shim", pass(JQ, command)),
            ],
            goals: vec![("keyslip", "C exec shim", 1.03)],
        });
    }
    cases.push(Case {
        name: "start",
        by: By::Cpu,
        share: 1,
        variants: vec![("crun", start(REAL, REAL)), ("C exec shim", start(C, REAL)), ("keyslip", start(OURS, REAL))],
        goals: vec![("keyslip", "C exec shim", 1.03)],
    });
    cases.push(Case {
        name: "create and delete, nothing asked for",
        by: By::Cpu,
        share: 1,
        variants: vec![
            ("crun", create(REAL, "plain")),
            ("C exec shim", create(C, "plain")),
            ("keyslip", create(OURS, "plain")),
        ],
        goals: vec![("keyslip", "C exec shim", 1.03)],
    });
    cases.push(Case {
        name: "create and delete, full delivery on crun",
        by: By::Cpu,
        share: 1,
        variants: vec![
            ("crun", create(REAL, "plain")),
            ("C exec shim", create(C, "plain")),
            ("keyslip", create(OURS, "asks")),
            ("jq shim", create(JQ, "jq-asks")),
        ],
        goals: vec![("keyslip", "C exec shim", 1.12)],
    });
    cases.push(Case {
        name: "create and delete, full delivery on crun, root file system on the disk",
        by: By::Cpu,
        share: 2,
        variants: vec![
            ("crun", create(REAL, "../disk/plain")),
            ("C exec shim", create(C, "../disk/plain")),
            ("keyslip", create(OURS, "../disk/asks")),
        ],
        goals: Vec::new(),
    });
    cases.push(Case {
        name: "create and delete, full delivery on runc",
        by: By::Cpu,
        share: 2,
        variants: vec![
            ("runc", create(RUNC, "plain")),
            ("C exec shim", create(RUNC_C, "plain")),
            ("keyslip", create(RUNC_OURS, "asks")),
        ],
        goals: vec![("keyslip", "runc", 1.05)],
    });
    cases.push(Case {
        name: "20 at a time, full delivery on crun",
        by: By::Cpu,
        share: 10,
        variants: vec![
            ("crun", many(REAL, "many/plain")),
            ("C exec shim", many(C, "many/plain")),
            ("keyslip", many(OURS, "many/asks")),
        ],
        goals: vec![("keyslip", "C exec shim", 1.12)],
    });
    let podman = |options: &str| work(&[format!("podman {options} localhost/bb /bin/true")]);
    let plain = "--runtime /usr/bin/crun run --rm";
    cases.push(Case {
        name: "podman run",
        by: By::Wall,
        share: 3,
        variants: vec![
            ("podman", podman(plain)),
            ("podman's secret", podman(&format!("{plain} --secret token,type=env,target=CLAUDE_CODE_OAUTH_TOKEN"))),
            ("C exec shim", podman("--runtime $W/c/crun run --rm")),
            ("keyslip's shim", podman("--runtime crun run --rm --annotation dev.keyslip.agents=claude")),
            (
                "keyslip's hooks",
                podman("--hooks-dir $W/hooks --runtime /usr/bin/crun run --rm --annotation dev.keyslip.agents=claude"),
            ),
            (
                "cat as a hook",
                podman(
                    "--hooks-dir $W/cat-hooks --runtime /usr/bin/crun run --rm --annotation dev.example.agents=claude",
                ),
            ),
            (
                "jq hook",
                podman(
                    "--hooks-dir $W/jq-hooks --runtime /usr/bin/crun run --rm --annotation dev.example.agents=claude",
                ),
            ),
        ],
        goals: vec![
            ("keyslip's shim", "podman", 1.02),
            ("keyslip's hooks", "podman", 1.02),
            ("keyslip's shim", "podman's secret", 1.0),
            ("keyslip's hooks", "podman's secret", 1.0),
        ],
    });
    cases
}

/// Sizes of `config.json`, in bytes.
const SIZES: [usize; 5] = [5_000, 50_000, 500_000, 2_000_000, 5_000_000];

/// Sandboxes that are alive.
const ENTRIES: [usize; 4] = [0, 10, 100, 1000];

pub fn series() -> Vec<Series> {
    let sizes = SIZES
        .iter()
        .map(|size| {
            let variants = vec![
                ("C exec shim", create(C, &format!("size/plain{size}"))),
                ("keyslip, nothing asked for", create(OURS, &format!("size/plain{size}"))),
                ("keyslip, full delivery", create(OURS, &format!("size/asks{size}"))),
            ];
            Size { at: *size, before: Vec::new(), variants }
        })
        .collect();
    let entries = ENTRIES
        .iter()
        .map(|alive| {
            let before = vec![words(&format!("$W/alive {alive}"))];
            let variants = vec![("C exec shim", create(C, "plain")), ("keyslip, full delivery", create(OURS, "asks"))];
            Size { at: *alive, before, variants }
        })
        .collect();
    vec![
        Series { name: "sizes", unit: "bytes of config.json", share: 5, sizes },
        Series { name: "entries", unit: "sandboxes alive", share: 2, sizes: entries },
    ]
}

/// Commands of an operator, with as many sandboxes alive as the last series has left, and the most milliseconds that each
/// should take.
pub fn commands() -> Vec<(&'static str, Work, f64)> {
    let command = |name: &str| work(&[format!("keyslip {name}")]);
    vec![("list", command("list"), 50.0), ("sync", command("sync"), 200.0)]
}
