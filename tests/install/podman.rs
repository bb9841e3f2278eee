//! podman, as root.

use crate::{Host, TREES};

const RUN: &str = "podman run --rm --annotation dev.keyslip.agents=claude";

fn host(tree: crate::lab::Tree, name: &str) -> Option<Host> {
    let host = Host::new(tree, name)?;
    host.image();
    Some(host)
}

#[test]
fn the_shim_is_behind_the_names_that_podman_uses_already() {
    for (tree, name) in TREES {
        let Some(host) = host(tree, &format!("podman{name}")) else { return };
        let before = host.files();
        let said = host.install("podman", "+crun = [\"/usr/libexec/keyslip/podman/crun\", \"/usr/bin/crun\"]");
        assert!(said.contains("next: podman run --annotation dev.keyslip.agents=claude"), "{said}");
        for runtime in ["crun", "runc"] {
            let run = RUN.replace("podman run", &format!("podman --runtime {runtime} run"));
            assert_eq!(host.does(&format!("{run} bb sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN'")), "<CLAUDE>", "{runtime}");
            let missing = host.root(&format!("podman --runtime {runtime} run --rm bb no-such-command"));
            assert_eq!(missing.code(), Some(127), "{runtime}: podman understands its errors no more: {missing}");
        }
        host.does("podman run -d --name c1 --annotation dev.keyslip.agents=claude bb sleep 1000");
        assert_eq!(host.does("podman inspect -f '{{.OCIRuntime}}' c1"), "crun");
        assert_eq!(host.does("podman exec c1 sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN'"), "<CLAUDE>");
        host.does("podman stop -t0 c1");
        host.does("keyslip uninstall podman");
        host.assert_as_before(&before, "uninstall podman");
        assert_eq!(
            host.does("podman start c1; podman exec c1 sh -c 'echo left=$CLAUDE_CODE_OAUTH_TOKEN'"),
            "c1\nleft="
        );
        host.remove("c1");
        assert_eq!(host.does("podman info --format '{{.Host.OCIRuntime.Path}}'"), "/usr/bin/crun");
    }
}

#[test]
fn hooks_are_added_to_those_that_were_effective() {
    for (tree, name) in TREES {
        let Some(host) = host(tree, &format!("podman-hook{name}")) else { return };
        host.does(
            "mkdir /etc/other-hooks.d; echo 'hooks_dir = [\"/etc/other-hooks.d\"]' >>/etc/containers/containers.conf
            cat >/etc/other-hooks.d/other.json <<'JSON'
{\"version\": \"1.0.0\", \"hook\": {\"path\": \"/bin/sh\", \"args\": [\"sh\", \"-c\", \"echo ran >>/var/tmp/other; cat >/dev/null\"],
 \"env\": [\"PATH=/bin:/usr/bin\"]}, \"when\": {\"always\": true}, \"stages\": [\"poststop\"]}
JSON",
        );
        let before = host.files();
        host.install("podman --mode hook", "+hooks_dir = [\"/etc/other-hooks.d\", \"/etc/keyslip/hooks.d\"]");
        assert_eq!(host.does(&format!("{RUN} bb sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN'")), "<CLAUDE>");
        assert_eq!(host.does("cat /var/tmp/other; rm /var/tmp/other"), "ran", "the other hook does not run any more");
        host.does("printf 'FROM localhost/bb\\nRUN true\\n' | podman build -q --network none -");
        host.does("keyslip uninstall podman");
        host.assert_as_before(&before, "uninstall podman");
        assert_eq!(host.does(&format!("{RUN} bb sh -c 'echo left=$CLAUDE_CODE_OAUTH_TOKEN'")), "left=");
        assert_eq!(host.does("cat /var/tmp/other"), "ran");
    }
}

#[test]
fn the_way_to_ask_that_is_shown_works_without_trust_in_annotations() {
    let (tree, _) = TREES[0];
    let Some(host) = host(tree, "podman-trust") else { return };
    host.does("rm /etc/keyslip/keyslip.toml");
    let before = host.files();
    let said = host.install("podman", "+runc = [");
    let next = said.lines().find_map(|line| line.strip_prefix("next: ")).unwrap().replace("IMAGE", "--rm bb env");
    let ask = next.replace("podman run", "podman run --rm").replace("--rm bb env", "bb env");
    assert!(host.does(&ask).contains("CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>"), "{next}");
    assert!(
        !host.does(&format!("{RUN} bb env")).contains("CLAUDE_CODE"),
        "an annotation counts although nobody said so"
    );
    assert!(said.contains("keyslip install podman --trust-annotations"), "{said}");
    host.does("keyslip install podman --trust-annotations");
    assert!(host.does(&format!("{RUN} bb env")).contains("CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>"));
    host.does("keyslip uninstall podman");
    host.assert_as_before(&before, "uninstall podman");
}

#[test]
fn annotations_count_with_a_podman_that_copies_none_from_images() {
    let (tree, _) = TREES[1];
    let Some(host) = host(tree, "podman-version") else { return };
    host.does("rm /etc/keyslip/keyslip.toml");
    let before = host.files();
    let said = host.install("podman", "+version = \"5.4.2\"");
    assert!(said.contains("next: podman run --annotation dev.keyslip.agents=claude IMAGE"), "{said}");
    assert!(host.does(&format!("{RUN} bb env")).contains("CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>"));
    host.does("keyslip uninstall podman");
    host.assert_as_before(&before, "uninstall podman");
}

#[test]
fn a_runtime_of_the_operators_own_stays_behind_the_shim() {
    let (tree, _) = TREES[0];
    let Some(host) = host(tree, "podman-own") else { return };
    host.does("mkdir -p /var/tmp/own; cp /usr/bin/crun /var/tmp/own/crun
        printf '[engine.runtimes]\\ncrun = [\"/var/tmp/own/crun\", \"/usr/bin/crun\"]\\n' >>/etc/containers/containers.conf");
    let refused = "calls /usr/bin/crun, but the engine's crun is /var/tmp/own/crun; run: ln -sfn";
    host.refuses("keyslip install podman", refused);
    let before = host.files();
    host.does("ln -sfn /var/tmp/own/crun /usr/libexec/keyslip/podman/crun.real");
    let shown = "+crun = [\"/usr/libexec/keyslip/podman/crun\", \"/var/tmp/own/crun\", \"/usr/bin/crun\"]";
    host.install("podman", shown);
    assert_eq!(host.does(&format!("{RUN} bb sh -c 'echo $CLAUDE_CODE_OAUTH_TOKEN'")), "<CLAUDE>");
    host.does("keyslip uninstall podman");
    host.assert_as_before(&before, "uninstall podman");
}

#[test]
fn containers_that_name_the_shims_path_are_not_stranded_silently() {
    let (tree, _) = TREES[0];
    let Some(host) = host(tree, "podman-held") else { return };
    let before = host.files();
    host.does("keyslip install podman");
    host.does("podman --runtime /usr/libexec/keyslip/podman/crun create --name by-path bb true");
    host.does("podman create --name by-name bb true");
    host.refuses("keyslip uninstall podman", "podman has containers that name Keyslip's runtime (by-path)");
    host.does("keyslip uninstall podman --force");
    host.assert_as_before(&before, "uninstall --force");
}

#[test]
fn podman_is_told_that_its_environment_hides_drop_ins() {
    let (tree, _) = TREES[0];
    let Some(host) = host(tree, "podman-env") else { return };
    let said = host.root("CONTAINERS_CONF=/etc/containers/containers.conf keyslip install podman");
    assert!(
        said.stderr.contains("CONTAINERS_CONF is set: podman then reads /etc/containers/containers.conf alone"),
        "{said}"
    );
}
