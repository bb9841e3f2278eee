//! `make install` and `make uninstall` with places of their own; `tests/package` has the package's.

use super::{Host, Tree};

/// What `make install` runs once everything is built.
const INSTALL: &str = "TREE=$W/stage PREFIX=$W/opt $REPO/packaging/install";

fn staged(name: &str) -> Option<Host> {
    let host = Host::new(Tree::Debian12, name)?;
    // The lab's own installation is not there.
    host.does("rm -rf /usr/libexec/keyslip /etc/keyslip; $REPO/packaging/stage $W/stage");
    Some(host)
}

#[test]
fn another_prefix_works_and_goes_without_a_trace() {
    let Some(host) = staged("prefix") else { return };
    let before = host.files();
    host.does(INSTALL);
    let keyslip = "$W/opt/bin/keyslip";
    // Every place that a unit or a page names is one of this installation.
    let named = host.does("grep -ho '/[^ =]*/bin/keyslip' -r $W/opt/lib/systemd | sort | uniq -c | sort -rn");
    assert_eq!(named.lines().count(), 1, "{named}");
    let (count, place) = named.trim().split_once(' ').unwrap();
    assert!(count.parse::<u32>().unwrap() >= 3, "{named}");
    assert_eq!(place, host.does(&format!("echo {keyslip}")));
    host.does(&format!("test -x {place}"));
    let pages = host.does("zcat $W/opt/share/man/man*/*.gz");
    assert!(pages.contains("/opt/libexec/keyslip/") && !pages.contains("/usr/libexec/keyslip/keyslip"), "other places");
    host.does(
        "test -s $W/opt/share/zsh/site-functions/_keyslip -a -s $W/opt/share/bash-completion/completions/keyslip",
    );

    // The command finds its programs beside it.
    host.does(&format!("{keyslip} install podman --trust-annotations"));
    let written = host.does("cat /etc/containers/containers.conf.d/50-keyslip.conf");
    assert!(written.contains("/opt/libexec/keyslip/podman/crun") && !written.contains("/usr/libexec"), "{written}");
    host.does("podman import -q -c 'CMD [\"sh\"]' -c 'ENV PATH=/bin' $W/image.tar bb");
    let run = "podman run --rm --annotation dev.keyslip.agents=claude bb sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN'";
    assert_eq!(host.does(run), "<CLAUDE>");

    host.does(&format!("{INSTALL} --uninstall"));
    assert_eq!(host.does("find $W/opt ! -type d"), "", "left behind");
    let after: Vec<_> = host.files().into_iter().filter(|line| !before.contains(line)).collect();
    assert!(after.iter().all(|line| line.starts_with("/var/lib/keyslip")), "{after:#?}");
    host.assert_as_before(&before, "uninstalled");
}

#[test]
fn a_directory_for_a_package_is_filled_and_emptied() {
    let Some(host) = staged("destdir") else { return };
    let before = host.files();
    let install = "TREE=$W/stage DESTDIR=$W/package $REPO/packaging/install";
    host.does(install);
    // As it was staged, and the links.
    let differ = host.does("diff -r --no-dereference $W/stage $W/package || true");
    let links =
        differ.lines().filter(|line| line.contains("Only in") && line.contains("/package/usr/libexec/keyslip: "));
    assert_eq!(links.count(), 6, "{differ}");
    assert_eq!(differ.lines().count(), 6, "{differ}");
    host.assert_as_before(&before, "another root");
    // What the operator wrote stays.
    host.does(&format!("echo '# mine' >>$W/package/etc/keyslip/keyslip.toml; {install}"));
    assert!(host.does("cat $W/package/etc/keyslip/keyslip.toml").ends_with("# mine"));
    host.does(&format!("{install} --uninstall"));
    assert_eq!(host.does("cd $W/package; find . ! -type d"), "./etc/keyslip/keyslip.toml");
    host.assert_as_before(&before, "another root, uninstalled");
}

#[test]
fn links_follow_the_runtimes_that_are_there() {
    let Some(host) = staged("links") else { return };
    let links = "LIBEXECDIR=$W/links KEYSLIP_RUNTIMES=$(ls $W/runtimes/* | xargs) $REPO/config/link-engines
        cd $W/links/podman; ls | xargs";
    host.does("mkdir $W/runtimes; cp $(command -v crun) $(command -v runc) $W/runtimes/");
    assert_eq!(host.does(links), "crun crun.real runc runc.real");
    // One that somebody has chosen stays.
    host.does("cp $W/runtimes/crun $W/chosen; ln -sfn $W/chosen $W/links/podman/crun.real");
    assert_eq!(host.does(links), "crun crun.real runc runc.real");
    assert!(host.does("readlink $W/links/podman/crun.real").ends_with("/chosen"));
    // One whose runtime is gone goes.
    host.does("rm $W/runtimes/crun $W/chosen");
    assert_eq!(host.does(links), "runc runc.real");
}
