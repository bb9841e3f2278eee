//! A piece of the host that hostile containers point at, and the proof that nobody has touched it: names, kinds, modes,
//! owners, sizes and all three times of everything in it, and the mounts of the host.

use crate::lab::Lab;

/// The piece of the host, with a file for everything that a container could want from it.
pub struct Host<'a> {
    lab: &'a Lab,
}

/// `arm` looks at everything and makes it look unread; `touched` prints what has changed since. A file's time of access is
/// two days old before, so that the first read changes it on a file system that is mounted with `relatime` too. Nobody
/// lists the directories in between.
const WATCH: &str = r#"
arm() {
    find $W/host >$W/host.names
    xargs -d '\n' touch -h -a -d '2 days ago' <$W/host.names
    look >$W/host.before
    mounts >$W/mounts.before
}
look() { xargs -d '\n' stat -c '%n %F %a %u:%g %s %i %X %Y %Z' <$W/host.names 2>&1; }
mounts() { cut -d' ' -f3- /proc/self/mountinfo | sort; }
touched() {
    look | diff $W/host.before - || true
    find $W/host | diff $W/host.names - || true
    mounts | diff $W/mounts.before - || true
}
# What is left when the empty files that runc may make by itself are taken away, and the times of directories.
touched_but_by_runc() {
    find $W/host -type f -perm 755 -empty -user 0 -group 0 -delete
    sed -E '/ directory /s/( [0-9]+){3}$//' $W/host.before >$W/host.before2
    look | sed -E '/ directory /s/( [0-9]+){3}$//' | diff $W/host.before2 - || true
    find $W/host | diff $W/host.names - || true
    mounts | diff $W/mounts.before - || true
}
"#;

impl<'a> Host<'a> {
    /// Makes it, open to everybody, so that nothing but the walk stands in between.
    pub fn new(lab: &'a Lab) -> Self {
        lab.ok(
            "mkdir -p $W/host/{run/secrets,home/.codex,home/.claude,etc,dir}; cd $W/host
            echo 'root:x:0:0::/host-home:/bin/sh' >etc/passwd; echo 'dev:x:1000:1000::/host-home:/bin/sh' >>etc/passwd
            echo HOST-ONLY | tee home/.claude.json home/.codex/auth.json home/.claude/.credentials.json run/secrets/claude run/secrets/codex >dir/file
            chmod -R a+rwX .",
        );
        lab.write("watch.sh", WATCH.as_bytes());
        Self { lab }
    }

    /// Looks at everything.
    pub fn arm(&self) {
        self.lab.ok(". $W/watch.sh; arm");
    }

    /// What has changed since; nothing, one hopes.
    pub fn touched(&self) -> String {
        self.lab.ok(". $W/watch.sh; touched")
    }

    /// The same, on a runtime with a hole of its own: before 1.1.14, runc makes the place of a mount through a link that
    /// is put there at that moment (CVE-2024-45310): an empty file of root with the mode 755, also without Keyslip. No file
    /// that Keyslip makes has that mode.
    pub fn touched_on(&self, runtime: &str) -> String {
        let act = if runtime == "runc" { "touched_but_by_runc" } else { "touched" };
        self.lab.ok(&format!(". $W/watch.sh; {act}"))
    }
}

#[test]
fn the_watch_sees_a_read_a_write_a_new_name_and_a_mount() {
    let Some(lab) = Lab::new("host-watch") else { return };
    let host = Host::new(&lab);
    for act in [
        "cat $W/host/dir/file",
        "ls $W/host/dir",
        "echo more >>$W/host/dir/file",
        "touch $W/host/dir/new",
        "chmod 700 $W/host/dir",
        "mount --bind $W/host/dir $W/host/etc",
    ] {
        host.arm();
        assert_eq!(host.touched(), "", "before: {act}");
        lab.ok(act);
        assert_ne!(host.touched(), "", "{act}");
    }
}
