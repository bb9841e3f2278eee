//! CVE-2025-9566: `podman kube play` wrote the files of a ConfigMap or Secret again, through a link that a container had left
//! in the volume. Keyslip mounts files in volumes that are used again, too.

use crate::host::Host;
use crate::lab::{Lab, RUNTIMES, Tree};
use crate::tally::{Counted, tally};

/// A pod with a volume on the home directory, a ConfigMap where Codex looks, and a volume where secret files go.
const POD: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {config.toml: 'x = 1'}
---
apiVersion: v1
kind: Pod
metadata:
  name: k
  annotations: {ASKS}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  volumes:
  - {name: home, persistentVolumeClaim: {claimName: home}}
  - {name: secrets, persistentVolumeClaim: {claimName: secrets}}
  - {name: conf, configMap: {name: conf}}
  containers:
  - name: c
    image: localhost/bb
    command: [sleep, '1000']
    env: [{name: CODEX_HOME, value: /conf}]
    volumeMounts:
    - {name: home, mountPath: /root}
    - {name: secrets, mountPath: /run/secrets}
    - {name: conf, mountPath: /conf}
";

/// What the first container leaves.
const LINKS: &str = "for name in claude codex; do ln -sfn $HOST/run/secrets/$name /run/secrets/$name; done
    ln -sfn $HOST/home/.codex/auth.json /conf/auth.json; ln -sfn $HOST/home/.claude.json /root/.claude.json; ln -sfn $HOST/home/.claude /root/.claude";

#[test]
fn cve_2025_9566_a_link_left_in_a_volume_of_kube_play_leads_no_file_to_the_host() {
    let mut tried = 0;
    for (tree, name) in [(Tree::Debian12, "kube4"), (Tree::Debian13, "kube5")] {
        let Some(lab) = Lab::on(tree, name) else { return };
        lab.login("claude", &lab.token("CLAUDE"));
        lab.mark("CODEX", "sk-FAKE-kube");
        lab.login("codex", "sk-FAKE-kube");
        let host = Host::new(&lab);
        lab.image();
        lab.ok("podman import -q -c 'CMD [\"sleep\",\"1000000\"]' -c 'ENV PATH=/bin' $W/image.tar infra
            sed -i 's|^\\[engine\\]|&\\ninfra_image = \"localhost/infra\"|' $CONTAINERS_CONF
            sed \"s#/usr/libexec/keyslip/podman/crun#$(command -v crun)#; s#/usr/libexec/keyslip/podman/runc#$(command -v runc)#
            s#^runtime = .*#&\\nhooks_dir = [\\\"$W/hooks.d\\\"]#\" $CONTAINERS_CONF >$W/hooks.conf; mkdir $W/hooks.d; keyslip install hooks --dir $W/hooks.d");
        lab.write("links", LINKS.replace("$HOST", &format!("{}/host", lab.path().display())).as_bytes());
        lab.write("quiet.yaml", POD.replace("{ASKS}", "{}").as_bytes());
        lab.write("asks.yaml", POD.replace("{ASKS}", "{dev.keyslip.agents: claude codex}").as_bytes());
        for conf in ["$CONTAINERS_CONF", "$W/hooks.conf"] {
            for runtime in RUNTIMES {
                let what = format!("{name} on {runtime} by {conf}");
                let podman = format!("env CONTAINERS_CONF={conf} podman --runtime {runtime}");
                lab.ok(&format!("{podman} play kube -q $W/quiet.yaml; {podman} exec k-c sh -c \"$(cat $W/links)\"; {podman} pod rm -f -t0 k"));
                host.arm();
                lab.ok(&format!("{podman} play kube -q $W/asks.yaml"));
                let seen = lab.ok(&format!("{podman} exec k-c sh -c 'cat /run/secrets/claude /conf/auth.json'"));
                assert!(seen.contains("<CLAUDE>") && seen.contains("<CODEX>"), "{what}: {seen}");
                lab.ok("keyslip sync; keyslip revoke --account codex; keyslip sweep");
                lab.sh(&format!("{podman} pod rm -af -t0; {podman} volume rm -af; keyslip sweep"));
                assert_eq!(host.touched(), "", "{what}: the host was touched");
                lab.assert_nothing_left(&what);
                tried += 5;
            }
        }
    }
    tally(Counted::Hostile, "cve-2025-9566", tried, tried);
}
