//! The options of the runtimes, as far as a command line cannot be read without knowing them.

use super::Command;

/// Options that take their value from the next argument: global ones, and those of `create`, `run`,
/// `checkpoint`, `restore`, `exec` and `delete` (runc 1.1, crun 1.8 to 1.21, youki 0.7).
const WITH_VALUE: &[&str] = &[
    "root",
    "log",
    "log-format",
    "log-level",
    "criu",
    "rootless",
    "cgroup-manager",
    "bundle",
    "b",
    "config",
    "f",
    "console-socket",
    "pid-file",
    "preserve-fds",
    "process",
    "p",
    "cwd",
    "env",
    "e",
    "user",
    "u",
    "additional-gids",
    "g",
    "process-label",
    "apparmor",
    "cap",
    "c",
    "cgroup",
    "image-path",
    "work-path",
    "parent-path",
    "manage-cgroups-mode",
    "empty-ns",
    "lsm-profile",
    "lsm-mount-context",
    "status-fd",
    "pidfd-socket",
    "page-server",
];

/// The same for runsc 20221219 to 20240729. Its options are those of Go's `flag`: what is not here is a
/// switch, `--rootless` too.
const RUNSC_WITH_VALUE: &[&str] = &[
    "root",
    "log",
    "log-fd",
    "log-format",
    "debug-log",
    "debug-log-fd",
    "debug-log-format",
    "debug-command",
    "panic-log",
    "panic-log-fd",
    "panic-signal",
    "pcap-log",
    "platform",
    "platform_device_path",
    "network",
    "num-network-channels",
    "network-processors-per-channel",
    "qdisc",
    "file-access",
    "file-access-mounts",
    "overlay2",
    "host-uds",
    "host-fifo",
    "dcache",
    "fdlimit",
    "metric-server",
    "nvproxy-driver-version",
    "pod-init-config",
    "profile-block",
    "profile-cpu",
    "profile-heap",
    "profile-mutex",
    "profiling-metrics",
    "profiling-metrics-log",
    "profiling-metrics-rate-us",
    "ref-leak-mode",
    "strace-log-size",
    "strace-syscalls",
    "trace",
    "traceback",
    "watchdog-action",
    "coverage-fd",
    "coverage-report",
    "bundle",
    "console-socket",
    "pid-file",
    "user-log",
    "exec-fd",
    "pass-fd",
    "internal-pid-file",
    "process",
    "cwd",
    "env",
    "user",
    "additional-gids",
    "cap",
    "image-path",
    "work-path",
    "compression",
];

/// Whether the option `name` takes its value from the next argument.
pub(super) fn takes_value(runtime: &str, name: &[u8]) -> bool {
    let known = if runtime == "runsc" { RUNSC_WITH_VALUE } else { WITH_VALUE };
    known.iter().any(|known| known.as_bytes() == name)
}

/// What a short option is short for, where two runtimes use one letter for two things. `command` is
/// nothing before the verb.
pub(super) fn long_name<'a>(runtime: &str, command: Option<Command>, name: &'a [u8]) -> &'a [u8] {
    match (runtime, command, name) {
        ("youki", None, b"r") => b"root",
        ("youki", None, b"l") => b"log",
        ("youki", Some(Command::Create | Command::Run), b"p") => b"pid-file",
        _ => name,
    }
}
