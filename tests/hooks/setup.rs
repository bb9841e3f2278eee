//! Engines whose runtimes are left as they are, and hooks that are configured as we say.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::lab::{Bare, Lab};

/// What a container of podman's asks with.
pub const ASKS: &str = "--annotation dev.keyslip.agents=claude";

/// The two stages at which a bare runtime can call the hook.
pub const STAGES: [&str; 2] = ["createRuntime", "prestart"];

/// The hook, as an installation has it.
pub const HOOK: &str = "/usr/libexec/keyslip/keyslip-hook";

/// Has podman run crun and runc themselves, with the hooks that are in `directory`.
pub fn plain_runtimes(lab: &Lab, directory: &str) {
    lab.ok(&format!(
        r#"sed -i "s#/usr/libexec/keyslip/podman/crun#$(command -v crun)#; s#/usr/libexec/keyslip/podman/runc#$(command -v runc)#
        s#^runtime = .*#&\nhooks_dir = [\"{directory}\"]#" $CONTAINERS_CONF; ! grep -q libexec $CONTAINERS_CONF"#
    ));
}

/// A lab in which podman has the hooks and no shim, an image `bb`, and root's Claude login `<CLAUDE>`.
pub fn podman(name: &str) -> Option<Lab> {
    let lab = Lab::with_claude(&format!("hooks-{name}"))?;
    lab.ok("keyslip install tmpfs; keyslip install hooks");
    plain_runtimes(&lab, "/etc/keyslip/hooks.d");
    lab.image();
    Some(lab)
}

/// The filter of jq that gives a bundle its hooks: one at `stage` with `arguments`, and `poststop`.
pub fn hooks(stage: &str, arguments: &[&str]) -> String {
    let hook = |stage: &str| {
        let mut args = vec!["keyslip-hook", stage, "--engine", "bare"];
        args.extend(arguments);
        format!(r#"[{{path:"{HOOK}",args:{args:?},env:["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],timeout:10}}]"#)
    };
    format!(".hooks={{{stage}:{},poststop:{}}}", hook(stage), hook("poststop"))
}

/// The filter of jq that makes a bundle ask for Claude.
pub const ASK: &str = r#".annotations["dev.keyslip.agents"]="claude""#;

/// The filter of jq that makes a bundle's user `dev`, with a home directory.
pub const DEV: &str = r#".process.user={uid:1000,gid:1000} | .process.env+=["HOME=/home/dev"]"#;

/// A container of a bare runtime whose bundle names the hook at `stage` and asks for Claude; it is not
/// made yet. `edit` as in [`Lab::bundle`].
pub fn hooked<'a>(lab: &'a Lab, runtime: &str, stage: &str, edit: &str) -> Bare<'a> {
    with_hooks(lab, runtime, &format!("{} | {ASK} | {edit}", hooks(stage, &[])))
}

/// A container of a bare runtime with the bundle that `edit` makes.
pub fn with_hooks<'a>(lab: &'a Lab, runtime: &str, edit: &str) -> Bare<'a> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let id = format!("{runtime}{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let bundle = lab.bundle(&id, edit);
    let mut container = Bare::new(lab, runtime, &id, &bundle);
    container.shim = runtime.to_owned();
    container
}

/// Compiles a program of this directory into `$W/NAME`, static, so that it runs in any container.
pub fn compile(lab: &Lab, name: &str) {
    lab.ok(&format!("gcc -O2 -static -Wall -Werror -o $W/{name} $REPO/tests/hooks/{name}.c"));
}

/// Makes everything in the ledger look as if it were `minutes` old. Directories go by their time of
/// change, containers that no runtime ever named by what their record says.
pub const AGE: &str = r#"age() { for record in $(find /run/keyslip /run/user/*/keyslip -name record.json 2>/dev/null); do
        jq -c --arg at "$(date -u -d "$1 minutes ago" +%FT%TZ)" '.created=$at' $record >$W/aged && cat $W/aged >$record || true; done
    for dir in /run/keyslip /run/user/*/keyslip; do [ ! -d $dir ] || find $dir -type d -exec touch -d "$1 minutes ago" {} +; done; }"#;

/// Ages everything and sweeps it, then asserts that nothing is left.
#[track_caller]
pub fn one_sweep_leaves_nothing(lab: &Lab, what: &str) {
    lab.ok(&format!("{AGE}; age 61; keyslip sweep"));
    lab.assert_nothing_left(what);
}
