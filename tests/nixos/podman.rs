//! What the module writes, put where NixOS puts it, and podman that reads it there.

use serde_json::Value;

use crate::lab::{Lab, Tree};
use crate::system;

/// A host with the store and the `/etc` of a system. Only Debian 13 is entered as a root directory of its own, in which
/// `/nix` can be made.
fn host(name: &str, system: &Value) -> Option<Lab> {
    let lab = Lab::on(Tree::Debian13, name)?;
    lab.ok("mkdir -p /etc/containers; sed '/engine.runtimes/,$d' $CONTAINERS_CONF >/etc/containers/containers.conf
        rm -rf /usr/libexec/keyslip /etc/keyslip; mkdir -p /nix/store");
    // The packages, as package.nix would install them, and the runtimes.
    let package = system["package"]["path"].as_str().expect("a path");
    lab.ok(&format!(
        "mkdir -p {package}/bin {package}/libexec/keyslip; cd $REPO/build/bin
        cp keyslip {package}/bin; cp keyslip-* {package}/libexec/keyslip; ln -s ../../bin/keyslip {package}/libexec/keyslip/keyslip
        for runtime in crun runc; do mkdir -p /nix/store/of-the-test-$runtime/bin; ln -s $(command -v $runtime) /nix/store/of-the-test-$runtime/bin/$runtime; done"
    ));
    // The links, by their derivation's script.
    let links = system["links"]["path"].as_str().expect("a path");
    lab.write("links.sh", system["links"]["script"].as_str().expect("a script").as_bytes());
    lab.ok(&format!("out={links} bash -eu $W/links.sh"));
    // systemd-tmpfiles makes one link.
    let rules = system["tmpfiles"].as_array().expect("a list");
    assert_eq!(rules, &[Value::from(format!("L+ /usr/libexec/keyslip - - - - {links}"))]);
    lab.ok(&format!("ln -sfnT {links} /usr/libexec/keyslip"));
    // In /etc are links to the store.
    for (path, text) in system["etc"].as_object().expect("files") {
        lab.ok(&format!("mkdir -p $(dirname /nix/store/etc/{path} /etc/{path})"));
        lab.write(&format!("/nix/store/etc/{path}"), text.as_str().expect("a text").as_bytes());
        lab.ok(&format!("chmod 444 /nix/store/etc/{path}; ln -s /nix/store/etc/{path} /etc/{path}"));
    }
    // Whatever writes places down names those that stay when the store is cleaned.
    let program = format!("{package}/bin/keyslip");
    let places = lab.ok(&format!("{program} cdi generate --help; {program} inject --help")).replace('\n', " ");
    assert!(places.contains("/usr/libexec/keyslip") && !places.contains(package), "{places}");
    lab.mark("KEY", "sk-ant-api03-FAKE-of-sops");
    lab.ok("mkdir -p /run/secrets");
    lab.write("/run/secrets/anthropic-api-key", b"sk-ant-api03-FAKE-of-sops\n");
    lab.ok("chmod 400 /run/secrets/anthropic-api-key");
    lab.image();
    lab.login("claude", &lab.token("CLAUDE"));
    Some(lab)
}

fn podman(lab: &Lab, options: &str, script: &str) -> crate::lab::Output {
    lab.sh(&format!("unset CONTAINERS_CONF; podman run --rm {options} bb sh -c '{script}'"))
}

#[test]
fn a_token_arrives_through_the_shim() {
    let Some(lab) = host("nixos-shim", &system("config/nixos/example.nix")) else { return };
    assert_eq!(
        lab.ok("unset CONTAINERS_CONF; podman info --format '{{.Host.OCIRuntime.Path}}'"),
        "/usr/libexec/keyslip/podman/crun"
    );
    let asks = "--annotation dev.keyslip.template";
    let key = podman(&lab, &format!("{asks}=key"), "echo $ANTHROPIC_API_KEY $(cat /run/secrets/anthropic)");
    assert_eq!(key.text(), "<KEY> <KEY>", "{key}");
    lab.ok("mkdir -p /root/.claude/projects; echo shared >/root/.claude/projects/one");
    let token =
        podman(&lab, &format!("{asks}=claude"), "echo $CLAUDE_CODE_OAUTH_TOKEN; cat /root/.claude/projects/one");
    assert_eq!(token.text(), "<CLAUDE>\nshared", "{token}");
    // The rules are the only ones, and the policy holds for the rest.
    let refused = podman(&lab, "--annotation dev.keyslip.secrets=openai", "true");
    assert!(!refused.succeeded() && refused.said().contains("no [[allow]] rule permits"), "{refused}");
    lab.assert_nothing_left("after containers");
    // The doctor knows such a host; what it finds is that nobody has put one of the secrets there.
    let doctor = lab.sh("unset CONTAINERS_CONF; keyslip doctor");
    let broken: Vec<_> = doctor.stdout.lines().filter(|line| line.trim_start().starts_with("broken")).collect();
    assert!(broken.len() == 1 && broken[0].contains("secret openai: /run/secrets/openai-api-key"), "{doctor}");
}

#[test]
fn a_token_arrives_through_hooks_and_every_option_is_read() {
    let system = system("tests/nixos/every.nix");
    let Some(lab) = host("nixos-hook", &system) else { return };
    let run =
        podman(&lab, "--annotation dev.keyslip.agents=claude", "echo $ANTHROPIC_API_KEY $(cat /run/secrets/anthropic)");
    assert_eq!(run.text(), "<KEY> <KEY>", "{run}");
    assert_eq!(lab.ok("unset CONTAINERS_CONF; podman info --format '{{.Host.OCIRuntime.Path}}'"), "/usr/bin/crun");
    // The hooks are those that `keyslip install hooks` writes, but for the path that programs are looked for in.
    lab.ok("mkdir $W/hooks; keyslip install hooks --dir $W/hooks");
    for name in ["precreate", "createruntime", "poststop"] {
        let read = |text: &str| {
            let mut hook: Value = serde_json::from_str(text).expect("JSON");
            hook["hook"]["env"] = Value::Null;
            hook
        };
        let ours = system["etc"][format!("keyslip/hooks.d/keyslip-{name}.json")].as_str().expect("a text");
        assert_eq!(read(ours), read(&lab.ok(&format!("cat $W/hooks/keyslip-{name}.json"))), "{name}");
    }
}
