//! `keyslip install` and `keyslip uninstall`, with real engines that read their configuration where they do
//! on any host: what is installed works, and what is taken away was never there.

#[path = "../lab/cri.rs"]
mod cri;
#[path = "../lab/mod.rs"]
mod lab;

mod cdi;
mod containerd;
mod docker;
mod edited;
mod examples;
mod killed;
mod podman;
mod prefix;
mod refused;
mod rootless;

use std::collections::BTreeSet;
use std::ops::Deref;

use lab::{Lab, Output, Tree};

/// Both Debians, with a part of the lab's name.
const TREES: [(Tree, &str); 2] = [(Tree::Debian12, "12"), (Tree::Debian13, "13")];

/// A lab as a host is: nothing in the environment says where a configuration is, and no engine knows Keyslip.
struct Host(Lab);

impl Deref for Host {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.0
    }
}

impl Host {
    fn new(tree: Tree, name: &str) -> Option<Self> {
        let lab = Lab::on(tree, &format!("install-{name}"))?;
        lab.ok(
            "mkdir -p /etc/containers; sed '/engine.runtimes/,$d' $CONTAINERS_CONF >/etc/containers/containers.conf",
        );
        lab.login("claude", &lab.token("CLAUDE"));
        Some(Self(lab))
    }

    /// Runs a script as root.
    fn root(&self, script: &str) -> Output {
        self.sh(&format!("unset CONTAINERS_CONF; {script}"))
    }

    /// Runs a script as root that must succeed; its standard output.
    #[track_caller]
    fn does(&self, script: &str) -> String {
        let output = self.root(script);
        assert!(output.succeeded(), "{script}\n{output}");
        output.text().to_owned()
    }

    /// Runs a script as the ordinary user that must succeed; its standard output.
    #[track_caller]
    fn user_does(&self, script: &str) -> String {
        let output = self.as_user(&format!("unset CONTAINERS_CONF; {script}"));
        assert!(output.succeeded(), "{script}\n{output}");
        output.text().to_owned()
    }

    /// Every file of the configuration, root's and the user's, with content, mode and owner, and what
    /// installations keep.
    fn files(&self) -> BTreeSet<String> {
        let places = "/etc /home/labuser/.config /home/labuser/.local/state/keyslip/install /var/lib/keyslip/install";
        let list = self.ok(&format!(
            "find {places} ! -type f -printf '%p %y %m %U:%G %l\\n' 2>/dev/null || true
            find {places} -type f -printf '%p %m %U:%G ' -exec sha256sum {{}} \\; 2>/dev/null || true"
        ));
        list.lines().map(str::to_owned).collect()
    }

    /// Asserts that every file is as it was.
    #[track_caller]
    fn assert_as_before(&self, before: &BTreeSet<String>, what: &str) {
        let after = self.files();
        let gone: Vec<_> = before.difference(&after).collect();
        let new: Vec<_> = after.difference(before).collect();
        assert!(gone.is_empty() && new.is_empty(), "{what}: gone {gone:#?}, new {new:#?}");
    }

    /// Installs, once as a dry run that shows `shown` and changes nothing, once really, and once more, which
    /// changes nothing either; what the second one said.
    #[track_caller]
    fn install(&self, what: &str, shown: &str) -> String {
        let before = self.files();
        let diff = self.does(&format!("keyslip install {what} --dry-run"));
        assert!(diff.contains(shown) && diff.contains("\n+++ "), "{what}: {diff}");
        self.assert_as_before(&before, &format!("{what} --dry-run"));
        let said = self.does(&format!("keyslip install {what} 2>&1"));
        let after = self.files();
        assert_ne!(after, before, "{what}: nothing was installed");
        let again = self.does(&format!("keyslip install {what}"));
        assert!(again.contains("installed already; nothing was changed"), "{what}: {again}");
        self.assert_as_before(&after, &format!("{what} again"));
        said
    }

    /// Asserts that a script fails with one sentence that has `reason` in it, and that nothing changes.
    #[track_caller]
    fn refuses(&self, script: &str, reason: &str) {
        let before = self.files();
        let output = self.root(script);
        assert_eq!(output.code(), Some(1), "{script}: {output}");
        assert!(output.stderr.contains(reason), "{script}: expected {reason:?}: {output}");
        assert_eq!((output.stderr.lines().count(), output.text()), (1, ""), "{script}: not one sentence: {output}");
        self.assert_as_before(&before, script);
    }
}
