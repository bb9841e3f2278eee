//! containerd: by `ctr`, and by Kubernetes' container runtime interface.

use crate::cri::{Cri, Pod, Wanted};
use crate::lab::{Lab, Tree};
use crate::row::{Commands, Container, Row};

/// A lab with a containerd whose CRI has the handler `keyslip`.
fn containerd(tree: Tree, version: &str, name: &str) -> Option<(Lab, String)> {
    let lab = Lab::on(tree, name)?;
    let token = lab.token("CLAUDE");
    lab.login("claude", &token);
    lab.configure(&format!(
        "[engines.containerd]\nversion = \"{version}\"\n[engines.cri]\nversion = \"{version}\"\n\
         [[allow]]\nengine = \"cri\"\nnamespace = \"agents\"\nagents = [\"claude\"]\n"
    ));
    // The first handler that is named replaces the built-in one, so runc has to be named too.
    lab.ok(r#"cat >>/etc/containerd/config.toml <<'CONF'
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.keyslip]
  runtime_type = "io.containerd.runc.v2"
  pod_annotations = ["dev.keyslip.*"]
  container_annotations = ["dev.keyslip.*"]
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.keyslip.options]
    BinaryName = "/usr/libexec/keyslip/cri/runc"
CONF"#);
    if !version.starts_with("1.6") {
        lab.ok(r#"keyslip cdi generate
            sed -i 's#^    sandbox_image.*#&\n    enable_cdi = true\n    cdi_spec_dirs = ["/etc/cdi"]#' /etc/containerd/config.toml"#);
    }
    lab.containerd();
    let said = lab.ok("containerd --version");
    assert!(said.contains(version), "{said}: the rows of the table name {version}");
    Some((lab, token))
}

fn ctr(tree: Tree, version: &str) {
    let Some((lab, token)) = containerd(tree, version, &format!("matrix-ctr{}", &version[..3])) else { return };
    let ways = [
        ("shim", "--annotation dev.keyslip.agents=claude"),
        ("shim, request mount", "--mount type=bind,src=$(keyslip request claude),dst=/request,options=rbind:ro"),
    ];
    let name = lab.unique();
    for runtime in ["crun", "runc"] {
        for (index, (way, ask)) in ways.into_iter().enumerate() {
            lab.ok(&format!(
                "ctr run -d --runc-binary /usr/libexec/keyslip/containerd/{runtime} {ask} localhost/bb:latest {name} sleep 1000"
            ));
            let end = format!(
                "ctr task kill -s 9 {name}; for i in $(seq 50); do ctr task ls | grep -q STOPPED && break; sleep 0.1; done
                ctr task rm {name}"
            );
            let mut container = Commands {
                lab: &lab,
                user: false,
                exec: format!("ctr task exec --exec-id e$RANDOM {name}"),
                restart: format!("{end}; ctr task start -d {name}"),
                inspect: format!("ctr c info {name}; ctr task ls; ctr task metrics {name} || true"),
                remove: format!("{end}; ctr c rm {name}"),
            };
            let engine = format!("containerd {version}, ctr, {runtime}");
            let order = format!("4-ctr-{version}-{runtime}-{index}");
            Row { order: &order, engine: &engine, way, but: &[] }.fill(&lab, &token, &mut container);
        }
    }
}

/// A container of a pod.
struct OfPod<'a> {
    lab: &'a Lab,
    cri: &'a Cri,
    pod: &'a Pod,
    wanted: Wanted<'a>,
    id: String,
}

impl Container for OfPod<'_> {
    fn exec(&self, script: &str) -> String {
        self.lab.masked(&self.cri.exec(&self.id, script).expect("exec"))
    }

    fn restart(&mut self) -> bool {
        // As kubelet does it: a new container in the old pod.
        self.cri.remove(&self.id).expect("removed");
        self.id = self.cri.run(self.pod, &self.wanted).expect("run again");
        true
    }

    fn inspect(&self) -> String {
        self.lab.masked(&self.cri.everything(self.pod, &self.id).expect("status"))
    }

    fn remove(&mut self) {
        self.cri.remove(&self.id).expect("removed");
        self.cri.remove_pod(self.pod).expect("the pod is removed");
    }
}

fn cri(tree: Tree, version: &str) {
    let Some((lab, token)) = containerd(tree, version, &format!("matrix-cri{}", &version[..3])) else { return };
    let cri = Cri::connect(&lab);
    let asks = [("dev.keyslip.agents", "claude")];
    let pod = cri.pod("p1", "agents", "keyslip", &asks).expect("a pod");
    let wanted = Wanted { name: "c", annotations: &asks, ..Wanted::default() };
    let id = cri.run(&pod, &wanted).expect("a container");
    let mut container = OfPod { lab: &lab, cri: &cri, pod: &pod, wanted, id };
    let engine = format!("containerd {version}, CRI, runc");
    let order = format!("5-cri-{version}-0");
    Row { order: &order, engine: &engine, way: "shim", but: &[] }.fill(&lab, &token, &mut container);
    if version.starts_with("1.6") {
        // It knows no CDI.
        return;
    }
    let device = cri.pod("p2", "agents", "", &[]).expect("a pod");
    let wanted = Wanted { name: "c", devices: &["keyslip.dev/agent=claude"], ..Wanted::default() };
    let id = cri.run(&device, &wanted).expect("a container");
    let mut container = OfPod { lab: &lab, cri: &cri, pod: &device, wanted, id };
    let (order, but) = (format!("5-cri-{version}-1"), [("main env", "no [2]"), ("exec env", "no [1]")]);
    Row { order: &order, engine: &engine, way: "CDI", but: &but }.fill(&lab, &token, &mut container);
}

#[test]
fn ctr_1_6() {
    ctr(Tree::Debian12, "1.6.20");
}

#[test]
fn ctr_1_7() {
    ctr(Tree::Debian13, "1.7.24");
}

#[test]
fn cri_1_6() {
    cri(Tree::Debian12, "1.6.20");
}

#[test]
fn cri_1_7() {
    cri(Tree::Debian13, "1.7.24");
}
