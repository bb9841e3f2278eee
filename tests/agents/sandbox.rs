//! A container with a client in it: a root file system of busybox, the machine's C library and the client's
//! directory mounted read-only, the user 1000 with a home directory, a network namespace of its own
//! with nothing but the vendors' servers in it.

use crate::api::{Api, NAMES, Request};
use crate::client::Installed;
use crate::lab::{Bare, Lab, Output};
use crate::podman;

/// How the container comes to its credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The shim in front of the runtime.
    Shim,
    /// A hook alone, at createRuntime, where variables come too late.
    Hook,
    /// `keyslip inject`: a hook, and the launcher in front of the command.
    Inject,
    /// The shim in front of podman's runtime.
    Podman,
    /// A device of CDI, for podman with its plain runtime.
    Cdi,
    /// Not at all.
    None,
}

impl Way {
    /// As the table has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shim => "shim",
            Self::Hook => "createRuntime hook",
            Self::Inject => "inject",
            Self::Podman => "podman with the shim",
            Self::Cdi => "CDI device, podman",
            Self::None => "none",
        }
    }

    /// Whether podman makes the container.
    fn is_podmans(self) -> bool {
        matches!(self, Self::Podman | Self::Cdi)
    }
}

/// What is wanted of a container.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    pub agent: &'a str,
    pub way: Way,
    pub runtime: &'a str,
    /// Variables beside the plain ones.
    pub env: &'a [&'a str],
    /// A filter of jq on the configuration, as in [`Lab::bundle`].
    pub edit: &'a str,
    /// A script that changes the image; it runs in the root file system, as root.
    pub image: &'a str,
    /// What the main process does before it rests; its output is kept.
    pub main: &'a str,
}

impl<'a> Wanted<'a> {
    /// A plain container that asks for an agent.
    pub fn new(agent: &'a str, way: Way) -> Self {
        Self { agent, way, runtime: "crun", env: &[], edit: ".", image: "", main: "" }
    }
}

/// A container that runs.
pub struct Sandbox<'a> {
    lab: &'a Lab,
    way: Way,
    pub bare: Bare<'a>,
    pub api: Api,
}

/// Everything of the machine that a client may need to start.
const LIBRARIES: &str = r#".mounts += [["/usr/lib","/lib"],["/usr/lib64","/lib64"]
    | select(.[0] as $from | $there | index($from)) | {destination:.[1],type:"bind",source:.[0],options:["rbind","ro"]}]"#;

impl<'a> Sandbox<'a> {
    /// Makes the container and starts it, with the servers in its network.
    #[track_caller]
    pub fn start(lab: &'a Lab, client: &Installed, wanted: &Wanted<'_>) -> Self {
        let sandbox = Self::made(lab, client, wanted);
        let created = match wanted.way.is_podmans() {
            true => podman::create(lab, client, wanted, &sandbox.bare.id, &sandbox.bare.bundle),
            false => sandbox.bare.create(),
        };
        assert!(created.succeeded(), "{created}");
        sandbox.go_on();
        sandbox
    }

    /// Makes the bundle alone.
    #[track_caller]
    pub fn made(lab: &'a Lab, client: &Installed, wanted: &Wanted<'_>) -> Self {
        let api = Api::new();
        let id = format!("{}-{}", wanted.agent, lab.ok("mktemp -u XXXXXX"));
        let bundle = lab.bundle(&id, &filter(client, wanted));
        let links: String = client.links.iter().map(|(name, to)| format!("ln -s {to} bin/{name}; ")).collect();
        let hosts: String = NAMES.iter().map(|name| format!("127.0.0.1 {name}\n")).collect();
        lab.write(&format!("{id}/rootfs/etc/hosts"), hosts.as_bytes());
        lab.write(&format!("{id}/rootfs/etc/ca.pem"), api.authority.as_bytes());
        lab.write("main", script(wanted).as_bytes());
        lab.ok(&format!(
            "cd {bundle}/rootfs; chmod 1777 tmp; mkdir -p usr/bin lib lib64 opt; ln -s /bin/busybox usr/bin/env; {links} mkdir -m 777 out
            cp $W/main bin/main; chmod 755 bin/main; {image}
            {inject}",
            image = wanted.image,
            inject = match wanted.way {
                Way::Inject => format!("keyslip inject --bundle {bundle} --agent {}", wanted.agent),
                _ => String::new(),
            }
        ));
        let mut bare = Bare::new(lab, wanted.runtime, &id, &bundle);
        if wanted.way != Way::Shim {
            bare.shim = wanted.runtime.to_owned();
        }
        Self { lab, way: wanted.way, bare, api }
    }

    /// Brings the servers into the network of a container that is made, and starts it.
    #[track_caller]
    pub fn go_on(&self) {
        let Bare { shim, id, .. } = &self.bare;
        if self.way.is_podmans() {
            self.api.listen(&self.lab.ok(&format!("podman inspect {id} --format '{{{{.State.Pid}}}}'")));
            self.lab.ok(&format!("podman start {id}"));
            return;
        }
        self.api.listen(&self.lab.ok(&format!("{shim} state {id} | jq .pid")));
        self.lab.ok(&format!("{shim} start {id}"));
    }

    /// Runs a script by `exec`, as engines do.
    #[track_caller]
    pub fn exec(&self, script: &str) -> Output {
        let Bare { shim, id, bundle, .. } = &self.bare;
        self.lab.write("script", script.as_bytes());
        if self.way.is_podmans() {
            return self.lab.sh(&format!("podman exec {id} sh -c \"$(cat $W/script)\""));
        }
        // The launcher is in front of the main process alone.
        self.lab.sh(&format!(
            "jq -c --rawfile script $W/script '.process | .args=[\"sh\",\"-c\",$script]' {bundle}/config.json >{bundle}/process.json
            {shim} exec --process {bundle}/process.json {id}"
        ))
    }

    /// What the main process said, on both streams, when it rests.
    #[track_caller]
    pub fn main(&self) -> String {
        let out = format!("{}/rootfs/out", self.bare.bundle);
        self.lab.ok(&format!(
            "for i in $(seq 800); do [ -e {out}/rests ] && break; sleep 0.1; done; rm {out}/rests; cat {out}/said"
        ))
    }

    /// What Keyslip has to say of the container.
    pub fn warnings(&self) -> String {
        self.lab.ok(&format!(
            "keyslip list --json | jq -r '.[] | select(.container == \"{}\") | .warnings[]'",
            self.bare.id
        ))
    }

    /// Ends it, and asserts that nothing is left of any container.
    #[track_caller]
    pub fn end(self) {
        Self::end_all([self]);
    }

    /// Ends several, and asserts that nothing is left.
    #[track_caller]
    pub fn end_all(all: impl IntoIterator<Item = Self>) {
        let mut last = None;
        for sandbox in all {
            sandbox.stop();
            last = Some(sandbox);
        }
        let last = last.expect("at least one");
        last.lab.assert_nothing_left(&last.bare.id);
    }

    #[track_caller]
    fn stop(&self) {
        match self.way.is_podmans() {
            true => self.lab.remove(&self.bare.id),
            false => self.bare.end(),
        }
    }
}

/// Its variables, but for PATH.
pub fn variables<'a>(client: &Installed, wanted: &Wanted<'a>) -> Vec<&'a str> {
    let plain = ["HOME=/home/dev", "SSL_CERT_FILE=/etc/ca.pem", "NODE_EXTRA_CA_CERTS=/etc/ca.pem"];
    plain.iter().chain(client.env).chain(wanted.env).copied().collect()
}

/// The filter of jq that makes a bundle what is wanted.
fn filter(client: &Installed, wanted: &Wanted<'_>) -> String {
    let there: Vec<&str> =
        ["/usr/lib", "/usr/lib64"].into_iter().filter(|dir| std::fs::exists(dir).unwrap_or(false)).collect();
    let mounts: String = client
        .mounts
        .iter()
        .map(|(from, to)| {
            format!(r#" | .mounts += [{{destination:"{to}",type:"bind",source:{from:?},options:["bind","ro"]}}]"#)
        })
        .collect();
    let env = variables(client, wanted);
    let asks = match wanted.way {
        Way::Shim | Way::Hook => format!(r#".annotations={{"dev.keyslip.agents":"{}"}}"#, wanted.agent),
        Way::Inject | Way::Podman | Way::Cdi | Way::None => ".".to_owned(),
    };
    let hooks = match wanted.way {
        Way::Hook => HOOKS,
        _ => ".",
    };
    format!(
        r#"{there:?} as $there | {LIBRARIES}{mounts} | .process.user={{uid:1000,gid:1000}} | .process.cwd="/home/dev"
        | .process.args=["main"] | .process.env+={env:?} | .process.rlimits=[{{type:"RLIMIT_NOFILE",hard:4096,soft:4096}}]
        | {asks} | {hooks} | {}"#,
        wanted.edit
    )
}

const HOOKS: &str = r#".hooks=(["createRuntime","poststop"] | map({key: ., value: [{path: "/usr/libexec/keyslip/keyslip-hook",
    args: ["keyslip-hook", ., "--engine", "bare"], env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], timeout: 10}]}) | from_entries)"#;

/// The main process: what is wanted of it, then a rest.
fn script(wanted: &Wanted<'_>) -> String {
    let main = if wanted.main.is_empty() { "true" } else { wanted.main };
    format!("#!/bin/sh\n( {main}\n) >/out/said 2>&1 </dev/null\ntouch /out/rests\nexec sleep 1000\n")
}

/// Requests in lines, without the values of their credentials.
pub fn listed(requests: &[Request]) -> String {
    requests.iter().map(|request| format!("{} {}\n", request.method, request.target)).collect()
}
