//! Kubernetes: containerd's CRI with a runtime handler, asked as kubelet asks. What it answers with an error is
//! what kubelet puts into a pod's events.

use crate::kubelet::{Cri, Pod, Wanted};
use crate::lab::{Lab, Tree};

/// A containerd with the handler `keyslip`, in a lab with root's logins of Claude and Codex.
struct Node {
    lab: Lab,
    cri: Cri,
    version: &'static str,
}

const ASKS: [(&str, &str); 1] = [("dev.keyslip.agents", "claude")];

/// The pods that may have something: those of the namespace `agents`, and one by its name.
const RULES: &str = r#"
[[allow]]
engine = "cri"
namespace = "agents"
agents = ["claude", "codex"]
[[allow]]
engine = "cri"
namespace = "team"
name = "review-*"
agents = ["claude"]
"#;

/// What an agent finds in the container.
const SHOW: &str = "echo $(id -u) $CLAUDE_CODE_OAUTH_TOKEN $(cat /run/secrets/claude) $(cat ~/.claude.json)";

const ALL: &str = "0 <CLAUDE> <CLAUDE> {\"hasCompletedOnboarding\":true}";

/// Says that nothing is there.
const NOTHING: &str = "env | grep -c OAUTH; ls /run/secrets ~/.claude.json 2>/dev/null; true";

impl Node {
    /// Starts both versions, one after the other. The handler hands every annotation of a pod on, as careless
    /// operators have it.
    fn each(name: &str) -> impl Iterator<Item = Self> {
        [(Tree::Debian12, "1.6.20"), (Tree::Debian13, "1.7.24")].into_iter().filter_map(move |(tree, version)| {
            let lab = Lab::on(tree, &format!("cri{}-{name}", &version[..3]))?;
            lab.login("claude", &lab.token("CLAUDE"));
            lab.mark("CODEX", "sk-FAKE-codex-of-a-node");
            lab.login("codex", "sk-FAKE-codex-of-a-node");
            // The first handler that is named replaces the built-in one, so runc has to be named too.
            lab.ok(r#"cat >>/etc/containerd/config.toml <<'CONF'
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.keyslip]
  runtime_type = "io.containerd.runc.v2"
  pod_annotations = ["*"]
  container_annotations = ["*"]
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.keyslip.options]
    BinaryName = "/usr/libexec/keyslip/cri/runc"
CONF"#);
            // An image with the link that Debian has, through which kubelet mounts its own secrets.
            lab.ok(r#"mkdir -p $W/link/var; ln -s /run $W/link/var/run; cp $W/image.tar $W/linked.tar; tar -C $W/link -rf $W/linked.tar ./var
                $REPO/tests/lab/archive $W/linked.tar localhost/linked:latest '{"Env":["PATH=/bin"],"Labels":{"dev.keyslip.agents":"claude"}}' >$W/linked.oci"#);
            lab.containerd();
            lab.ok("ctr -n k8s.io images import $W/linked.oci");
            let node = Self { cri: Cri::connect(&lab), lab, version };
            node.configure(RULES);
            Some(node)
        })
    }

    fn configure(&self, rules: &str) {
        self.lab.configure(&format!("[engines.cri]\nversion = \"{}\"\n{rules}", self.version));
    }

    /// A pod under the handler.
    #[track_caller]
    fn pod(&self, name: &str, namespace: &str, annotations: &[(&str, &str)]) -> Pod {
        self.cri.pod(name, namespace, "keyslip", annotations).expect("a pod")
    }

    #[track_caller]
    fn run(&self, pod: &Pod, wanted: &Wanted<'_>) -> String {
        self.cri.run(pod, wanted).map_err(|error| self.lab.masked(&error)).expect("a container")
    }

    #[track_caller]
    fn exec(&self, container: &str, script: &str) -> String {
        self.lab.masked(&self.cri.exec(container, script).expect("exec"))
    }

    /// Starts a container that is refused; what kubelet would say of it.
    #[track_caller]
    fn refused(&self, pod: &Pod, wanted: &Wanted<'_>) -> String {
        let id = self.cri.create(pod, wanted).expect("a container that is not started");
        let said = self.cri.start(&id).expect_err("a container that asks for what it may not have");
        assert!(said.contains("keyslip: container") && said.lines().count() == 1, "{}: {said}", self.version);
        self.lab.masked(&said)
    }

    #[track_caller]
    fn end(&self, pods: &[Pod]) {
        for pod in pods {
            self.cri.remove_pod(pod).expect("the pod is removed");
        }
        self.lab.ok("rm -rf /run/keyslip/request");
        self.lab.assert_nothing_left(&format!("containerd {}", self.version));
    }
}

fn plain(name: &str) -> Wanted<'_> {
    Wanted { name, ..Wanted::default() }
}

#[test]
fn pods_have_what_their_containers_ask_for() {
    for mut node in Node::each("pods") {
        sandbox_holds_nothing(&node);
        annotations_of_pod_and_container(&node);
        users_and_secrets_of_kubelet(&node);
        attempts_and_restarts(&mut node);
    }
}

/// The pod's annotations reach its sandbox too, which gets nothing.
fn sandbox_holds_nothing(node: &Node) {
    let version = node.version;
    let pod = node.pod("asks", "agents", &ASKS);
    assert_eq!(node.lab.ok("find /run/keyslip -type f 2>/dev/null || true"), "", "{version}: for a sandbox");
    let id = node.run(&pod, &plain("c"));
    assert_eq!(node.exec(&id, SHOW), ALL, "{version}");
    assert_eq!(node.exec(&id, "tr '\\0' '\\n' </proc/1/environ | grep ^CLAUDE"), "CLAUDE_CODE_OAUTH_TOKEN=<CLAUDE>");
    let sandbox = node.lab.ok(&format!(
        "pid=$(ctr -n k8s.io task ls | grep ^{} | awk '{{print $2}}'); tr '\\0' '\\n' </proc/$pid/environ; cat /proc/$pid/mountinfo; ls -A /proc/$pid/root/run /proc/$pid/root/root",
        pod.id
    ));
    assert!(sandbox.contains("PATH=/bin"), "{version}: {sandbox}");
    assert!(
        !sandbox.contains("/run/keyslip") && !sandbox.contains("CLAUDE") && !sandbox.contains("secrets"),
        "{version}: {sandbox}"
    );
    let shown = node.lab.masked(&node.cri.everything(&pod, &id).expect("status"));
    assert!(
        shown.contains("dev.keyslip.agents") && !shown.contains("<CLAUDE>") && !shown.contains("OAUTH"),
        "{version}: {shown}"
    );
    node.end(&[pod]);
}

fn annotations_of_pod_and_container(node: &Node) {
    let version = node.version;
    let (silent, asks) = (node.pod("silent", "agents", &[]), node.pod("asks", "agents", &ASKS));
    let codex = Wanted { annotations: &[("dev.keyslip.agents", "codex")], ..plain("codex") };
    let claude = Wanted { annotations: &ASKS, ..plain("claude") };
    // A container's own annotation alone; two containers of one pod with two agents; one with none.
    let (first, second, third) =
        (node.run(&silent, &claude), node.run(&silent, &codex), node.run(&silent, &plain("none")));
    assert_eq!(node.exec(&first, &format!("{SHOW}; ls /run/secrets")), format!("{ALL}\nclaude"), "{version}");
    let seen =
        node.exec(&second, "echo $OPENAI_API_KEY$CODEX_API_KEY; cat /run/secrets/*; echo; env | grep -c OAUTH; true");
    assert!(seen.contains("<CODEX>") && !seen.contains("<CLAUDE>") && seen.ends_with('0'), "{version}: {seen}");
    assert_eq!(node.exec(&third, NOTHING), "0", "{version}");
    // The pod's alone; and a container's in place of its pod's.
    let (fourth, fifth) = (node.run(&asks, &plain("pods")), node.run(&asks, &codex));
    assert_eq!(node.exec(&fourth, SHOW), ALL, "{version}");
    let seen = node.exec(&fifth, "cat /run/secrets/*; ls /run/secrets; true");
    assert!(seen.contains("<CODEX>") && !seen.contains("<CLAUDE>"), "{version}: {seen}");
    // Without the handler there is nothing, whoever asks.
    let other = node.cri.pod("other", "agents", "", &ASKS).expect("a pod");
    let sixth = node.run(&other, &claude);
    assert_eq!(node.exec(&sixth, NOTHING), "0", "{version}: without the handler");
    // Nor do an image's labels ask.
    let labelled = Wanted { image: "localhost/linked:latest", ..plain("labelled") };
    assert_eq!(node.exec(&node.run(&silent, &labelled), NOTHING), "0", "{version}: labels");
    node.end(&[silent, asks, other]);
}

fn users_and_secrets_of_kubelet(node: &Node) {
    let version = node.version;
    let pod = node.pod("users", "agents", &ASKS);
    let user = Wanted { user: Some(1000), readonly: true, ..plain("user") };
    let id = node.run(&pod, &user);
    assert_eq!(node.exec(&id, SHOW), ALL.replacen('0', "1000", 1), "{version}: user 1000, read-only");
    assert_eq!(
        node.exec(&id, "touch /home/dev/x 2>&1; true"),
        "touch: /home/dev/x: Read-only file system",
        "{version}"
    );
    // kubelet's own secrets are below the directory that ours would cover.
    node.lab.ok("mkdir -p $W/account; echo kubelets >$W/account/token");
    let account = format!("{}/account", node.lab.path().display());
    for place in ["/var/run/secrets/kubernetes.io/serviceaccount", "/run/secrets/kubernetes.io/serviceaccount"] {
        let mounts = [(account.as_str(), place)];
        let wanted = Wanted { mounts: &mounts, image: "localhost/linked:latest", ..plain("account") };
        let id = node.run(&pod, &wanted);
        let seen = node.exec(&id, &format!("{SHOW}; cat {place}/token; cat /var/run/secrets/claude"));
        assert_eq!(seen, format!("{ALL}\nkubelets\n<CLAUDE>"), "{version}: {place}");
        node.cri.remove(&id).expect("removed");
    }
    node.end(&[pod]);
}

/// kubelet makes a new container while the old one is still known; containerd is restarted.
fn attempts_and_restarts(node: &mut Node) {
    let version = node.version;
    let pod = node.pod("attempts", "agents", &ASKS);
    let first = node.run(&pod, &plain("c"));
    node.lab.ok(&format!("ctr -n k8s.io task kill -s 9 {first}"));
    node.lab.ok("for i in $(seq 100); do [ \"$(keyslip list --json | jq length)\" = 0 ] && exit; sleep 0.1; done; keyslip list; exit 1");
    let second = node.run(&pod, &Wanted { attempt: 1, ..plain("c") });
    assert_eq!(node.exec(&second, SHOW), ALL, "{version}: the second attempt");
    node.lab.restart("containerd");
    node.cri = Cri::connect(&node.lab);
    assert_eq!(node.exec(&second, SHOW), ALL, "{version}: after a restart of containerd");
    let third = node.run(&pod, &Wanted { attempt: 2, ..plain("c") });
    node.cri.remove(&first).expect("removed");
    node.cri.remove(&second).expect("removed");
    assert_eq!(node.exec(&third, SHOW), ALL, "{version}: after the end of the others");
    assert_eq!(node.lab.ok("keyslip list --json | jq length"), "1", "{version}");
    node.end(&[pod]);
}

#[test]
fn a_pod_has_what_its_namespace_may_have_whatever_it_says() {
    for node in Node::each("policy") {
        refused_with_a_reason(&node);
        other_names(&node);
        names_of_pods(&node);
        without_rules(&node);
    }
}

/// The event names the rule that would help, and it helps.
fn refused_with_a_reason(node: &Node) {
    let version = node.version;
    let pod = node.pod("build-1", "other", &ASKS);
    let said = node.refused(&pod, &plain("c"));
    let expected = "pod build-1 of namespace other (cri) asks for claude, which no [[allow]] rule permits; to permit it, write into ";
    let (_, rest) = said.split_once(expected).expect(&said);
    let (file, rule) = rest.split_once(": ").expect(&said);
    assert!(rule.contains("namespace = \"other\""), "{version}: {said}");
    node.lab.ok("mkdir -p /etc/keyslip/conf.d");
    node.lab.write(file, &rule.as_bytes()[..=rule.rfind(']').expect(&said)]);
    let id = node.run(&pod, &Wanted { attempt: 1, ..plain("c") });
    assert_eq!(node.exec(&id, SHOW), ALL, "{version}: with {rule}");
    node.lab.ok("rm -r /etc/keyslip/conf.d");
    node.end(&[pod]);
}

/// A pod of another namespace speaks for itself, in every way that a specification has.
fn other_names(node: &Node) {
    let version = node.version;
    let claims: [&[(&str, &str)]; 6] = [
        &[("io.kubernetes.cri.sandbox-namespace", "agents")],
        &[("io.kubernetes.cri-o.Namespace", "agents")],
        &[("io.kubernetes.cri.sandbox-namespace", "agents"), ("io.kubernetes.cri-o.Namespace", "agents")],
        &[("io.kubernetes.cri.sandbox-name", "review-1"), ("io.kubernetes.cri.sandbox-namespace", "team")],
        &[("io.kubernetes.cri-o.KubeName", "review-1"), ("io.kubernetes.cri-o.Namespace", "team")],
        &[("io.container.manager", "podman"), ("dev.keyslip.sandbox", "0123456789abcdef0123456789abcdef")],
    ];
    let mut pods = Vec::new();
    for (index, claim) in claims.into_iter().enumerate() {
        let both = [&ASKS, claim].concat();
        let (speaks, silent) =
            (node.pod(&format!("a{index}"), "other", &both), node.pod(&format!("b{index}"), "other", &[]));
        for said in [
            node.refused(&speaks, &plain("c")),
            node.refused(&speaks, &Wanted { annotations: &both, ..plain("d") }),
            node.refused(&silent, &Wanted { annotations: &both, ..plain("c") }),
        ] {
            assert!(said.contains("asks for claude, which no [[allow]] rule permits"), "{version} {claim:?}: {said}");
        }
        pods.extend([speaks, silent]);
    }
    // Nor does it help to say that one is a sandbox, or to ask by a mount of the host's directory.
    let pod = node.pod("sandbox", "other", &[ASKS[0], ("io.kubernetes.cri-o.ContainerType", "sandbox")]);
    let request = node.lab.ok("touch $(keyslip request claude); keyslip request claude");
    for source in [request.as_str(), "/run/keyslip/request/claude"] {
        node.lab.ok(&format!("touch {source}"));
        let mounts = [(source, "/request")];
        let plain_pod = node.pod(&format!("m{}", source.len()), "other", &[]);
        let said = node.refused(&plain_pod, &Wanted { mounts: &mounts, ..plain("c") });
        assert!(said.contains("namespace other (cri) asks for claude"), "{version} {source}: {said}");
        pods.push(plain_pod);
    }
    if let Ok(id) = node.cri.run(&pod, &plain("c")) {
        assert_eq!(node.exec(&id, NOTHING), "0", "{version}: it says that it is a sandbox");
    }
    pods.push(pod);
    node.end(&pods);
}

fn names_of_pods(node: &Node) {
    let version = node.version;
    let (review, build) = (node.pod("review-1", "team", &ASKS), node.pod("build-1", "team", &ASKS));
    assert_eq!(node.exec(&node.run(&review, &plain("c")), SHOW), ALL, "{version}");
    let said = node.refused(&build, &plain("c"));
    assert!(said.contains("pod build-1 of namespace team (cri) asks for claude"), "{version}: {said}");
    let codex = Wanted { annotations: &[("dev.keyslip.agents", "codex")], ..plain("codex") };
    assert!(node.refused(&review, &codex).contains("asks for codex"), "{version}: the rule has claude alone");
    node.end(&[review, build]);
}

/// A CRI may have nothing; and where containerd's version is not on record, annotations are nobody's.
fn without_rules(node: &Node) {
    let version = node.version;
    let pod = node.pod("p", "agents", &ASKS);
    node.configure("");
    assert!(node.refused(&pod, &plain("c")).contains("no [[allow]] rule permits"), "{version}");
    node.lab.configure(RULES);
    let id = node.run(&pod, &plain("d"));
    assert_eq!(node.exec(&id, NOTHING), "0", "{version}: without a version on record");
    node.configure(RULES);
    node.end(&[pod]);
}
