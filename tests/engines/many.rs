//! Two hundred containers of three engines, started twenty at a time and alive together, each with an account
//! of its own: each sees its own credential, none sees another's, and nothing is left.

use crate::lab::Lab;

/// How many, and how many at once.
const MANY: usize = 200;
const AT_ONCE: usize = 20;

/// `many`, a program of the lab: `many start|look|end N`. Bundles share one root file system, so their
/// mountpoints are shared too.
const PROGRAM: &str = r#"#!/bin/bash
set -eu
n=$2 asks=dev.keyslip.agents=claude@a$2
look='echo $CLAUDE_CODE_OAUTH_TOKEN; cat /run/secrets/* ~/.claude.json; echo; ls -A /run/secrets; env | grep -c sk-ant; tr "\0" "\n" </proc/1/environ | grep ^CLAUDE; cat /proc/self/mountinfo | grep -c /run/secrets; echo END'
# Half of them runtimes alone, a quarter containerd's, a quarter podman's; crun and runc.
runtime=crun; [ $((n / 4 % 2)) = 0 ] || runtime=runc
kind=bare; case $((n % 4)) in 0) kind=podman ;; 1) kind=ctr ;; esac
name=$UNIQUE-$n
retry() { for i in 1 2 3 4 5; do out=$("$@") || true; if [[ $out == *END ]]; then echo "$out"; return; fi; done; echo "$out"; exit 1; }
case $1-$kind in
start-bare)
    mkdir $W/b$n
    jq -c --arg n $n --arg asks claude@a$n '.annotations={"dev.keyslip.agents":$asks} | .linux.cgroupsPath += "-"+$n' $W/shared/config.json >$W/b$n/config.json
    $BARE/$runtime create --bundle $W/b$n k$n </dev/null >$W/b$n/log 2>&1 || { cat $W/b$n/log >&2; exit 1; }
    $BARE/$runtime start k$n
    ;;
look-bare)
    jq -c --arg look "$look" '.process | .args=["sh","-c",$look]' $W/b$n/config.json >$W/b$n/process.json
    $BARE/$runtime exec --process $W/b$n/process.json k$n
    ;;
end-bare)
    $BARE/$runtime kill k$n KILL
    for i in $(seq 200); do [ "$($runtime state k$n | jq -r .status)" = stopped ] && break; sleep 0.05; done
    $BARE/$runtime delete k$n
    ;;
start-ctr) ctr run -d --runc-binary /usr/libexec/keyslip/containerd/$runtime --annotation $asks localhost/bb:latest $name sleep 1000 ;;
look-ctr) retry ctr task exec --exec-id e$RANDOM$RANDOM $name sh -c "$look" ;;
end-ctr) ctr task rm -f $name; ctr c rm $name ;;
start-podman) podman --runtime $runtime run -d --name k$n --annotation $asks bb sleep 1000 >/dev/null ;;
look-podman) podman exec k$n sh -c "$look" ;;
end-podman) podman rm -f -t0 k$n >/dev/null ;;
esac
"#;

#[test]
fn two_hundred_containers_have_their_own() {
    let Some(lab) = Lab::new("many") else { return };
    let tokens: Vec<String> = (1..=MANY).map(|n| lab.token(&format!("A{n}-"))).collect();
    lab.configure(
        "[engines.podman]\ntrust_annotations = true\n[engines.containerd]\nversion = \"1.6.20\"\n\
         [[allow]]\nagents = [\"claude\"]\naccounts = [\"a*\"]\n",
    );
    // All by one script: a login each, as if somebody had typed two hundred.
    lab.write("$W/tokens", tokens.join("\n").as_bytes());
    lab.ok("n=0; while read -r token || [ -n \"$token\" ]; do n=$((n+1)); keyslip auth login claude --account a$n <<<\"$token\" >/dev/null; done <$W/tokens; rm $W/tokens");
    lab.image();
    lab.containerd();
    let bundle = lab.bundle("shared", r#".root.path="'"$W"'/shared/rootfs""#);
    lab.write("$W/many", PROGRAM.as_bytes());
    let each = |what: &str, which: &str| {
        let into = if what == "look" { ">$W/seen/@" } else { "" };
        lab.ok(&format!(
            "export UNIQUE={}; seq {which} | xargs -P {AT_ONCE} -I@ sh -c 'bash $W/many {what} @ {into}'",
            lab.unique()
        ));
    };
    let all = format!("1 {MANY}");
    each("start", &all);
    assert_eq!(lab.ok("keyslip list --json | jq '[.[].agents[].account] | unique | length'"), MANY.to_string());
    lab.ok("mkdir $W/seen");
    each("look", &all);
    assert_own(&lab, 1..=MANY);
    // The end of half of them takes nothing from the others; those that share their root file system show it.
    each("end", &format!("1 {}", MANY / 2));
    each("look", &format!("{} 4 {MANY}", MANY / 2 + 2));
    assert_own(&lab, (MANY / 2 + 2..=MANY).step_by(4));
    lab.ok("rm -r $W/seen");
    each("end", &format!("{} {MANY}", MANY / 2 + 1));
    lab.assert_nothing_left("two hundred containers");
    lab.ok(&format!("diff -r --no-dereference $W/rootfs {bundle}/rootfs"));
    let places = ["/run", "/var/lib/containers", "/var/lib/containerd", "/var/tmp", "$W/shared"];
    assert_eq!(lab.leaks(&places, "sk-ant-oat01-FAKE-A"), [""; 0], "at the end");
    assert_eq!(
        lab.ok("jq -r 'select(.event == \"delivered\") | .container' /var/lib/keyslip/audit.log | sort -u | wc -l"),
        MANY.to_string()
    );
    assert_eq!(
        lab.ok("jq -r 'select(.event == \"cleaned\") | .container' /var/lib/keyslip/audit.log | sort -u | wc -l"),
        MANY.to_string()
    );
}

/// Asserts that each of these has seen what is its own, and nothing else.
#[track_caller]
fn assert_own(lab: &Lab, which: impl Iterator<Item = usize> + Clone) {
    let numbers: Vec<String> = which.clone().map(|n| n.to_string()).collect();
    let seen = lab.ok(&format!("for n in {}; do cat $W/seen/$n; done", numbers.join(" ")));
    let mut seen = seen.split("END").map(str::trim);
    for n in which {
        let own = format!("<A{n}->");
        let expected =
            format!("{own}\n{own}{{\"hasCompletedOnboarding\":true}}\nclaude\n1\nCLAUDE_CODE_OAUTH_TOKEN={own}\n1");
        assert_eq!(seen.next(), Some(expected.as_str()), "container {n}");
    }
}
