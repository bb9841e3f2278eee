//! The options of a bare `runc exec`, put into a description of the process as runc itself would.

use std::ffi::OsStr;

use keyslip::json::quote;
use keyslip::oci::{Call, Process, process_with};
use zeroize::Zeroizing;

/// Options that are about the call, not about the process.
pub const KEPT: &[&str] = &[
    "console-socket",
    "pid-file",
    "internal-pid-file",
    "detach",
    "d",
    "preserve-fds",
    "pass-fd",
    "exec-fd",
    "cgroup",
    "ignore-paused",
    "no-subreaper",
];

/// The process that `call` asks for, on top of the container's main process less the variables that are
/// `ours`. Nothing when it uses
/// an option that is not known here: then the call is handed on as it is, without the variables.
pub fn describe(
    call: &Call<'_>,
    main: &Process<'_>,
    ours: impl Fn(&str) -> bool,
) -> anyhow::Result<Option<Zeroizing<Vec<u8>>>> {
    let others = main.env.iter().filter(|entry| !ours(entry.split('=').next().unwrap_or("")));
    let mut env: Vec<String> = others.map(|entry| quote(entry)).collect();
    let mut terminal = false;
    let mut changes: Vec<(&str, String)> = Vec::new();
    for (name, value) in call.verb_options() {
        let text = value.map(OsStr::to_string_lossy);
        let text = text.as_deref();
        match (std::str::from_utf8(name).unwrap_or(""), text) {
            ("env" | "e", Some(entry)) => env.push(quote(entry)),
            ("tty" | "t", value) => terminal = value != Some("false"),
            ("cwd", Some(dir)) => changes.push(("cwd", quote(dir))),
            ("process-label", Some(label)) => changes.push(("selinuxLabel", quote(label))),
            ("apparmor", Some(profile)) => changes.push(("apparmorProfile", quote(profile))),
            ("no-new-privs", value) => changes.push(("noNewPrivileges", (value != Some("false")).to_string())),
            ("user" | "u", Some(user)) => {
                let (uid, gid) = user.split_once(':').map_or((user, None), |(uid, gid)| (uid, Some(gid)));
                for (key, id) in [("user.uid", Some(uid)), ("user.gid", gid)] {
                    let Some(id) = id else { continue };
                    let Ok(id) = id.parse::<u32>() else { return Ok(None) };
                    changes.push((key, id.to_string()));
                }
            }
            (name, _) if KEPT.contains(&name) => {}
            _ => return Ok(None),
        }
    }
    let args: Vec<String> = call.rest().iter().map(|arg| quote(&arg.to_string_lossy())).collect();
    if args.is_empty() {
        return Ok(None);
    }
    changes.push(("args", format!("[{}]", args.join(","))));
    changes.push(("env", format!("[{}]", env.join(","))));
    changes.push(("terminal", terminal.to_string()));
    Ok(Some(process_with(main, &changes)?))
}
