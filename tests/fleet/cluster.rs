//! The roll-out of `examples/kubernetes` on one node, from a bare host back to a bare host.

use serde_json::Value;

use crate::kubelet::{Node, Running};
use crate::lab::{Lab, Tree};
use crate::manifests::{objects, text};

/// What an agent finds: the variable of its own process and of the main one, its file, who it is.
const SHOW: &str = "echo $(id -u) $CLAUDE_CODE_OAUTH_TOKEN $(tr '\\0' '\\n' </proc/1/environ | grep ^CLAUDE) $(cat /run/secrets/claude)";

/// Says that nothing is there.
const NOTHING: &str = "env | grep -c -e OAUTH -e API_KEY; ls /run/secrets 2>/dev/null; true";

/// What is applied to the cluster; the kustomization names all but the credentials.
pub const APPLIED: [&str; 6] =
    ["namespace.yaml", "rbac.yaml", "runtimeclass.yaml", "policy.yaml", "daemonset.yaml", "credentials.yaml"];

/// A host with a containerd and nothing of Keyslip; what its directories hold.
fn bare_node(tree: Tree, name: &str) -> Option<(Node, String)> {
    let lab = Lab::on(tree, name)?;
    // The root directory of a host is shared, as systemd has it: by that a pod sees what is mounted later.
    lab.ok("mount --make-rshared /; rm -rf /usr/libexec/keyslip /etc/keyslip /var/lib/keyslip");
    for (mark, value) in [
        ("TEAM-A", "sk-ant-oat01-FAKE-of-team-a"),
        ("TEAM-B", "sk-ant-oat01-FAKE-of-team-b"),
        ("OPENAI", "sk-FAKE-openai-of-the-cluster"),
        ("ROTATED", "sk-ant-oat01-FAKE-rotated-since"),
    ] {
        lab.mark(mark, value);
    }
    let before = host_files(&lab);
    lab.containerd();
    // The image is made as its file says, of a busybox that is here.
    lab.ok("podman import -q -c 'ENV PATH=/bin' -c 'CMD sh' $W/image.tar localhost/base >&2
        podman build -q --build-arg BASE=localhost/base -f $REPO/examples/kubernetes/image/Containerfile \
            -t registry.example/keyslip-node:0.1.0 $REPO >&2
        podman save -q --format docker-archive -o $W/node.tar registry.example/keyslip-node:0.1.0
        $REPO/tests/lab/archive $W/image.tar registry.example/agent:1 '{\"Env\":[\"PATH=/bin\"]}' >$W/agent.tar
        for image in node agent; do ctr -n k8s.io images import $W/$image.tar >&2; done");
    Some((Node::new(lab), before))
}

/// Every file where an installation writes.
fn host_files(lab: &Lab) -> String {
    lab.ok("find /etc /usr/libexec -type f -printf '%p %m %U:%G ' -exec sha256sum {} \\; ; find /etc /usr/libexec ! -type f -printf '%p %m %U:%G %l\\n'; ls /run /var/lib | grep keyslip || true")
}

/// The pod of `pods.yaml` with this name.
fn pod(name: &str) -> Value {
    let pods = objects("pods.yaml").into_iter().filter(|object| text(object, "/kind") == "Pod");
    pods.into_iter().find(|pod| text(pod, "/metadata/name") == name).expect("the pod is there")
}

/// Waits for something that a loop of the DaemonSet does, which it does every ten seconds.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..80 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    panic!("waited in vain: {what}");
}

/// The last line of the audit log with this event.
fn audited(node: &Node, event: &str) -> Value {
    let line = node.lab.ok(&format!("grep '\"event\":\"{event}\"' /var/lib/keyslip/audit.log | tail -1"));
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{event}: {error}: {line}"))
}

#[test]
fn a_cluster_is_rolled_out_rotated_upgraded_and_taken_back() {
    roll_out(Tree::Debian12, "fleet12");
}

#[test]
fn a_cluster_with_containerd_1_7_is_too() {
    roll_out(Tree::Debian13, "fleet13");
}

fn roll_out(tree: Tree, name: &str) {
    let Some((mut node, before)) = bare_node(tree, name) else { return };
    for file in APPLIED {
        node.objects.apply(objects(file));
    }
    add_codex(&mut node);
    let daemon = installed(&mut node);
    let agent = policy_decides(&node);
    secrets_rotate(&mut node, &daemon, &agent);
    long_logins_rotate(&mut node, &daemon);
    policies_change(&mut node, &daemon);
    let daemon = upgraded(&mut node, daemon, &agent);
    taken_back(&mut node, daemon, agent, &before);
}

/// A login of Codex that is longer than a page.
fn codex(word: &str) -> String {
    let padding = "x".repeat(6000);
    format!(
        r#"{{"auth_mode":"chatgpt","tokens":{{"id_token":"{padding}","access_token":"eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.FAKE-{word}","refresh_token":"FAKE-refresh","account_id":"a"}}}}"#
    )
}

/// What one who administers a cluster adds for one more agent: a Secret, a source of the volume, a word in a rule.
fn add_codex(node: &mut Node) {
    let mut secret = node.objects.change("Secret", "claude-team-a").clone();
    secret["metadata"]["name"] = "codex-team-a".into();
    secret["stringData"]["credential"] = codex("first").into();
    node.objects.apply(vec![secret]);
    let volumes = node.objects.change("DaemonSet", "keyslip-node").pointer_mut("/spec/template/spec/volumes");
    let sources = &mut volumes.expect("volumes")[2]["projected"]["sources"];
    let source = sources[0].to_string().replace("claude-team-a", "codex-team-a");
    sources.as_array_mut().expect("sources").push(serde_json::from_str(&source).expect("JSON"));
    let teams = &mut node.objects.change("ConfigMap", "keyslip-policy")["data"]["teams.toml"];
    *teams = teams.as_str().expect("a text").replacen("[\"claude\"]", "[\"claude\", \"codex\"]", 1).into();
}

/// The DaemonSet's pod; containerd is restarted by the one who administers the node.
fn installed(node: &mut Node) -> Running {
    let daemon = node.start_daemon("keyslip-node").expect("the DaemonSet's pod starts");
    let log = node.log(&daemon, "install");
    assert!(log.contains("the policy is in place: sources.toml teams.toml"), "{log}");
    assert!(log.contains("systemctl restart containerd"), "{log}");
    let (code, said) = node.ready(&daemon);
    assert!(code != 0 && said.contains("containerd has not been restarted"), "{code} {said}");
    let Err(early) = node.start(&pod("agent")) else { panic!("containerd knows a handler it has not read") };
    assert!(early.contains("keyslip"), "{early}");
    node.lab.restart("containerd");
    node.cri = crate::cri::Cri::connect(&node.lab);
    assert_eq!(node.ready(&daemon), (0, String::new()), "{}", node.log(&daemon, "keep"));
    daemon
}

/// Each pod of the example has what its comment says.
fn policy_decides(node: &Node) -> Running {
    let agent = node.start(&pod("agent")).expect("the pod agent starts");
    let all = "1000 <TEAM-A> CLAUDE_CODE_OAUTH_TOKEN=<TEAM-A> <TEAM-A>";
    assert_eq!(node.exec(&agent, SHOW), all);
    let delivered = audited(node, "delivered");
    assert_eq!(
        (text(&delivered, "/agents/0/account"), text(&delivered, "/agents/0/agent")),
        ("team-a", "claude"),
        "{delivered}"
    );

    let review = node.start(&pod("review-17")).expect("the pod review-17 starts");
    assert_eq!(
        node.exec(&review, "echo $OPENAI_API_KEY $(cat /run/secrets/openai); ls /run/secrets"),
        "<OPENAI> <OPENAI>\nopenai"
    );
    // Without the beginning of the name that the rule asks for.
    let mut build = pod("review-17");
    build["metadata"]["name"] = "build-17".into();
    let refused = node.start(&build).err().expect("build-17 is refused");
    assert!(refused.contains("pod build-17 of namespace team-b (cri) asks for"), "{refused}");

    for (name, said) in [
        (
            "curious",
            "pod curious of namespace team-b (cri) asks for claude@team-a, but an [[allow]] rule gives it claude with the account team-b alone",
        ),
        ("stranger", "pod stranger of namespace default (cri) asks for claude, which no [[allow]] rule permits"),
    ] {
        let refused = node.start(&pod(name)).err().unwrap_or_else(|| panic!("{name} is refused"));
        assert!(refused.contains(said), "{name}: {refused}");
        let denied = audited(node, "denied");
        assert!(denied.to_string().contains(said), "{name}: {denied}");
    }
    let plain = node.start(&pod("plain")).expect("the pod plain starts");
    assert_eq!(node.exec(&plain, NOTHING), "0");
    for pod in [review, plain] {
        node.end(pod);
    }
    agent
}

/// A Secret changes: kubelet brings it to the node, and the DaemonSet's pod into the container that runs.
fn secrets_rotate(node: &mut Node, daemon: &Running, agent: &Running) {
    let secret = node.objects.change("Secret", "claude-team-a");
    secret["stringData"]["credential"] = "sk-ant-oat01-FAKE-rotated-since".into();
    node.volumes(daemon);
    until("the rotated credential", || node.exec(agent, "cat /run/secrets/claude") == "<ROTATED>");
    // A new process has it; the main one keeps its variable, as the documentation says.
    assert_eq!(node.exec(agent, SHOW), "1000 <ROTATED> CLAUDE_CODE_OAUTH_TOKEN=<TEAM-A> <ROTATED>");
    until("a line in the log of the pod", || node.log(daemon, "keep").contains("claude"));
    assert_eq!(text(&audited(node, "synced"), "/agents/0/account"), "team-a");
    // It was on tmpfs alone, kubelet's and ours.
    let places = ["/etc", "/var/lib/keyslip", "/var/lib/containerd", "/usr/libexec/keyslip"];
    for value in ["sk-ant-oat01-FAKE-rotated-since", "sk-ant-oat01-FAKE-of-team-a"] {
        assert_eq!(node.lab.leaks(&places, value), Vec::<String>::new());
    }
}

/// What is longer than a page is mounted anew, in the mount namespace of the container: with the capabilities that the
/// DaemonSet's pod has.
fn long_logins_rotate(node: &mut Node, daemon: &Running) {
    let mut pod = pod("agent");
    pod["metadata"]["annotations"]["dev.keyslip.agents"] = "codex".into();
    let agent = node.start(&pod).expect("a pod with codex starts");
    let word = "grep -o 'FAKE-[a-z]*' ~/.codex/auth.json | xargs; id -u; touch ~/.codex/auth.json 2>/dev/null || echo read-only";
    assert_eq!(node.exec(&agent, word), "FAKE-first\n1000\nread-only");
    node.objects.change("Secret", "codex-team-a")["stringData"]["credential"] = codex("second").into();
    node.volumes(daemon);
    until("the longer login", || node.exec(&agent, word) == "FAKE-second\n1000\nread-only");
    node.end(agent);
}

/// A policy that is broken is not taken; another one holds from the next pod on.
fn policies_change(node: &mut Node, daemon: &Running) {
    let good = node.objects.change("ConfigMap", "keyslip-policy").clone();
    node.objects.change("ConfigMap", "keyslip-policy")["data"]["teams.toml"] =
        "[[allow]]\nengine = \"cri\"\nagent = \"claude\"\n".into();
    node.volumes(daemon);
    until("the refusal of a policy", || {
        node.log(daemon, "keep").contains("the policy is not taken, the one before stays")
    });
    let second = node.start(&pod("agent")).expect("the policy before stays");
    node.end(second);
    // Two more rounds of the loop.
    std::thread::sleep(std::time::Duration::from_secs(21));

    let policy = node.objects.change("ConfigMap", "keyslip-policy");
    *policy = good.clone();
    let teams = text(&good, "/data/teams.toml").replace("account = \"team-a\"", "account = \"team-b\"");
    policy["data"].as_object_mut().expect("data").remove("teams.toml");
    policy["data"]["others.toml"] = teams.into();
    node.volumes(daemon);
    until("the new policy", || node.log(daemon, "keep").contains("the policy is in place: others.toml sources.toml"));
    let refusals = node.log(daemon, "keep").matches("the policy is not taken").count();
    assert_eq!(refusals, 1, "a refused policy is tried once");
    let third = node.start(&pod("agent")).expect("the new policy");
    assert_eq!(node.exec(&third, "cat /run/secrets/claude"), "<TEAM-B>");
    node.end(third);
    node.objects.apply(vec![good]);
    node.volumes(daemon);
    until("the first policy again", || node.lab.ok("ls /etc/keyslip/conf.d").ends_with("60-cluster-teams.toml"));
}

/// Another pod takes the place of the DaemonSet's. Between the two there are no credentials: what runs keeps its own,
/// what starts is refused and tried again by kubelet.
fn upgraded(node: &mut Node, daemon: Running, agent: &Running) -> Running {
    node.end(daemon);
    let refused = node.start(&pod("agent")).err().expect("there is no credential");
    assert!(refused.contains("on_missing") || refused.contains("no credential"), "{refused}");
    assert_eq!(node.exec(agent, "cat /run/secrets/claude"), "<ROTATED>");
    // The one before was ended in the midst of trying a policy that Keyslip cannot read.
    let good = node.objects.change("ConfigMap", "keyslip-policy").clone();
    node.objects.change("ConfigMap", "keyslip-policy")["data"]["teams.toml"] = "broken\n".into();
    node.lab.ok("cd /etc/keyslip; cp -r conf.d conf.d.old; find conf.d.old -type f ! -name '60-cluster-*' -delete
        echo broken >conf.d/60-cluster-teams.toml; echo also >conf.d/60-cluster-new.toml");
    let daemon = node.start_daemon("keyslip-node").expect("the next pod of the DaemonSet");
    let log = node.log(&daemon, "install");
    assert!(log.contains("containerd is installed already; nothing was changed"), "{log}");
    assert_eq!(node.ready(&daemon), (0, String::new()), "no restart is needed");
    // `install` and `keep` have each tried it once.
    assert!(log.contains("the policy is not taken, the one before stays"), "{log}");
    until("the refusal of `keep`", || node.log(&daemon, "keep").contains("the policy is not taken"));
    let policy =
        node.lab.ok("ls -d /etc/keyslip/conf.d.old 2>/dev/null || true; ls /etc/keyslip/conf.d | grep cluster");
    assert_eq!(policy, "60-cluster-sources.toml\n60-cluster-teams.toml", "the policy before is in force again");
    let another = node.start(&pod("agent")).expect("the credential is there again");
    assert_eq!(node.exec(&another, "cat /run/secrets/claude"), "<ROTATED>");
    node.end(another);
    node.objects.apply(vec![good]);
    node.volumes(&daemon);
    daemon
}

/// Nothing is left of pods that are gone; the host is as it was, byte for byte.
fn taken_back(node: &mut Node, daemon: Running, agent: Running, before: &str) {
    node.end(daemon);
    node.objects.apply(objects("uninstall.yaml"));
    let refused = node.start_daemon("keyslip-uninstall").err().expect("a pod names the handler");
    assert!(refused.contains("their pods cannot be started anew once it is gone"), "{refused}");
    assert_eq!(node.exec(&agent, "cat /run/secrets/claude"), "<ROTATED>", "a refusal changes nothing");
    node.end(agent);
    node.lab.assert_nothing_left("after the last pod");
    let gone = node.start_daemon("keyslip-uninstall").expect("nothing holds Keyslip any more");
    assert!(node.log(&gone, "uninstall").contains("gone from this node"));
    node.end(gone);
    node.lab.ok("rm -r /run/keyslip /var/lib/keyslip /var/lib/kubelet");
    let after = host_files(&node.lab);
    let changed: Vec<_> = after.lines().filter(|line| !before.lines().any(|old| old == *line)).collect();
    assert!(before == after, "not as it was: {changed:#?}");
    node.lab.restart("containerd");
    node.cri = crate::cri::Cri::connect(&node.lab);
    let plain = node.start(&pod("plain")).expect("pods without the handler go on");
    node.end(plain);
}
