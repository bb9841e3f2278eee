//! Runs a page: everything that it shows is done, in its order, in a lab of its own.
//!
//! The lab is a host on which Keyslip is installed and nothing else was done: no login, no engine set up, the
//! configuration as it comes. Containers have no network, and images are not pulled: `my-agent` is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::commands;
use crate::lab::{Lab, Tree};
use crate::links::root;
use crate::page::{Item, Page, fits};
use crate::pods::Pods;
use crate::session::Session;

/// What was done with the blocks of a page.
#[derive(Debug, Default)]
pub struct Tally {
    pub blocks: usize,
    pub commands: usize,
    pub outputs: usize,
    pub configuration: usize,
    pub data: usize,
    /// Line and reason.
    pub not_run: Vec<(usize, String)>,
}

/// The machine's own Debian is under overlays where the lab's other tests write; a page also writes where a reader would.
const LOCAL: &str = "mkdir -p $W/overlay/local/upper $W/overlay/local/work
    mount -t overlay overlay -o lowerdir=/usr/local,upperdir=$W/overlay/local/upper,workdir=$W/overlay/local/work /usr/local";

/// What a host has before anybody did anything, beside the lab's own limits for podman.
const HOST: &str = "mkdir -p /etc/containers /home/labuser/.config/containers
    sed '/engine.runtimes/,$d' $CONTAINERS_CONF >/etc/containers/containers.conf
    cp $REPO/config/keyslip.toml /etc/keyslip/keyslip.toml
    rm /home/labuser/.config/keyslip/keyslip.toml; chown -R labuser: /home/labuser/.config";

/// The image has what every image has, and what this busybox lacks.
const IMAGE: &str = r#"printf '#!/bin/sh\nvalue=$(env | grep "^$1=") || exit\necho "${value#*=}"\n' >$W/rootfs/bin/printenv
    chmod 755 $W/rootfs/bin/printenv; tar -C $W/rootfs -cf $W/image.tar ."#;

const PODMAN_IMAGE: &str = "podman import -q -c 'CMD [\"sh\"]' -c 'ENV PATH=/bin' $W/image.tar my-agent";

/// A page that is being run.
struct Run<'a> {
    page: &'a Page,
    lab: Lab,
    user: bool,
    sessions: BTreeMap<bool, Session>,
    pods: Option<Pods>,
    said: String,
    tally: Tally,
}

/// Runs a page; nothing where there is no root.
///
/// # Errors
/// For the first thing that is not as the page has it: line, command, and what it said.
pub fn run(page: &Page, name: &str) -> Result<Option<Tally>, String> {
    let runs = page.items.iter().any(|item| matches!(item.language.as_str(), "sh" | "before") || item.file.is_some());
    if !runs {
        let mut tally = Tally::default();
        for item in &page.items {
            data(item, &mut tally)?;
        }
        return Ok(Some(tally));
    }
    let trees = match page.lab.get("tree").map(String::as_str) {
        None | Some("debian13") => vec![Tree::Debian13],
        Some("debian12") => vec![Tree::Debian12],
        Some("both") => vec![Tree::Debian12, Tree::Debian13],
        Some(other) => return Err(format!("no tree {other}")),
    };
    let mut all: Option<Tally> = None;
    for tree in trees {
        let Some(tally) = on(tree, page, name).map_err(|error| format!("{error}\n(on {tree:?})"))? else {
            return Ok(None);
        };
        let commands = tally.commands + all.map_or(0, |before| before.commands);
        all = Some(Tally { commands, ..tally });
    }
    Ok(all)
}

/// Runs a page with the engines of a Debian.
fn on(tree: Tree, page: &Page, name: &str) -> Result<Option<Tally>, String> {
    let Some(lab) = Lab::on(tree, &format!("doc-{name}")) else { return Ok(None) };
    let user = page.lab.contains_key("user");
    let mut before = ":".to_owned();
    lab.ok(HOST);
    if tree == Tree::Debian12 {
        lab.ok(LOCAL);
    }
    lab.ok(IMAGE);
    for engine in page.lab.get("engines").into_iter().flat_map(|engines| engines.split(',')) {
        match engine {
            "podman" if user => assert!(lab.as_user(PODMAN_IMAGE).succeeded(), "the image"),
            "podman" => drop(lab.ok(PODMAN_IMAGE)),
            "docker" => {
                lab.docker();
                lab.ok("docker tag localhost/bb my-agent");
            }
            "containerd" => {
                lab.containerd();
                lab.ok("for n in default k8s.io; do ctr -n $n images tag localhost/bb:latest localhost/my-agent:latest; done");
            }
            other => return Err(format!("no engine {other}")),
        }
    }
    if let Some(client) = page.lab.get("client") {
        // The machine's own root is the lab's, so what is installed there can be mounted into containers.
        let output =
            Command::new(root().join("tests/lab/clients")).arg(client).output().expect("tests/lab/clients starts");
        if output.status.code() == Some(75) {
            println!("skipped: {name} needs {client}, and npm cannot be reached");
            return Ok(None);
        }
        let place = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        before = format!("CLIENT={place}");
    }
    let mut run =
        Run { page, lab, user, sessions: BTreeMap::new(), pods: None, said: String::new(), tally: Tally::default() };
    run.one(&Item::default(), &before, "", &[0])?;
    for item in &page.items {
        run.item(item).map_err(|error| format!("{}: {error}", item.line))?;
    }
    Ok(Some(run.tally))
}

impl Run<'_> {
    fn item(&mut self, item: &Item) -> Result<(), String> {
        match item.language.as_str() {
            "before" => self.commands(item, &item.text, &[]).map(drop),
            "sh" if item.not_run.is_some() => {
                self.tally.blocks += 1;
                self.tally.not_run.push((item.line, item.not_run.clone().unwrap_or_default()));
                commands::split(&item.text)?;
                if let Some(file) = &item.pods {
                    self.pods(item, file)?;
                }
                if let Some(instead) = &item.instead {
                    self.commands(item, instead, &[])?;
                }
                self.said_as_expected(item)
            }
            "sh" => {
                self.tally.blocks += 1;
                let ran = self.commands(item, &item.text, &item.exit)?;
                self.tally.commands += ran;
                self.said_as_expected(item)
            }
            "text" if item.drawing => Ok(()),
            "text" => {
                self.tally.outputs += 1;
                let expected = self.page.meant(&item.text);
                if fits(&self.said, &expected) {
                    Ok(())
                } else {
                    Err(format!("the output is another one: {}", self.said))
                }
            }
            _ => {
                data(item, &mut self.tally)?;
                let Some(file) = &item.file else { return Ok(()) };
                let write = format!("mkdir -p \"$(dirname {file})\" && cat >{file}");
                let text = self.page.meant(&item.text);
                self.one(item, &write, &text, &[0])
            }
        }
    }

    /// Compares what was said with what the block has to say.
    fn said_as_expected(&self, item: &Item) -> Result<(), String> {
        for expected in &item.expect {
            let expected = self.page.meant(expected);
            if !fits(&self.said, &format!("...{expected}...")) {
                return Err(format!("`{expected}` is not in the output: {}", self.said));
            }
        }
        match item.expect_not.iter().find(|text| self.said.contains(text.as_str())) {
            Some(text) => Err(format!("`{text}` is in the output: {}", self.said)),
            None => Ok(()),
        }
    }

    /// Runs the pods of a manifest that the page has written, or removes those that run.
    fn pods(&mut self, item: &Item, file: &str) -> Result<(), String> {
        if file == "none" {
            return self.pods.take().map_or(Ok(()), Pods::remove);
        }
        self.one(item, &format!("cat {file}"), "", &[0])?;
        let (pods, said) = Pods::run(&self.lab, &self.said)?;
        (self.pods, self.said) = (Some(pods), said);
        Ok(())
    }

    /// Runs commands; how many there were.
    fn commands(&mut self, item: &Item, text: &str, exit: &[i32]) -> Result<usize, String> {
        let commands = commands::split(&self.page.meant(text))?;
        let mut all = String::new();
        for (place, command) in commands.iter().enumerate() {
            let last = place + 1 == commands.len();
            let exit = if exit.len() > 1 || exit.len() == 1 && last { exit } else { &[0] };
            self.one(item, command, &item.input, exit)?;
            all.push_str(&self.said);
        }
        self.said = all;
        Ok(commands.len())
    }

    fn one(&mut self, item: &Item, command: &str, input: &str, exit: &[i32]) -> Result<(), String> {
        let user = self.user && !item.as_root;
        let session = self.sessions.entry(user).or_insert_with(|| Session::open(&self.lab, user));
        let (code, said) = session.run(&self.lab, command, input).map_err(|error| format!("{command}{error}"))?;
        if !exit.contains(&code) {
            let exit: Vec<_> = exit.iter().map(i32::to_string).collect();
            return Err(format!("`{}` ended with {code} and not {}: {said}", command.trim(), exit.join(" or ")));
        }
        self.said = said;
        Ok(())
    }
}

/// Reads a block that is no command as what it is: Keyslip's configuration by Keyslip's own reader.
fn data(item: &Item, tally: &mut Tally) -> Result<(), String> {
    let line = item.line;
    let file = item.file.as_deref().unwrap_or("keyslip.toml");
    match item.language.as_str() {
        "toml" if file.contains("keyslip") && !file.contains("agents.d") && !file.contains("containers") => {
            let dir = tempfile::tempdir().expect("a directory");
            fs::write(dir.path().join("keyslip.toml"), &item.text).expect("a file");
            keyslip::config::load(dir.path()).map_err(|error| format!("{line}: {error}"))?;
            tally.configuration += 1;
        }
        "toml" => {
            toml::from_str::<toml::Table>(&item.text).map_err(|error| format!("{line}: {error}"))?;
            tally.data += 1;
        }
        "json" => {
            serde_json::from_str::<serde_json::Value>(&item.text).map_err(|error| format!("{line}: {error}"))?;
            tally.data += 1;
        }
        "yaml" => {
            serde_saphyr::from_multiple::<serde_json::Value>(&item.text).map_err(|error| format!("{line}: {error}"))?;
            tally.data += 1;
        }
        "ini" | "dockerfile" => tally.data += 1,
        _ => {}
    }
    Ok(())
}

/// Keeps what was done for `summary`.
pub fn keep(path: &str, tally: &Tally) {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("documentation");
    fs::create_dir_all(&dir).expect("a directory");
    let not_run: Vec<_> =
        tally.not_run.iter().map(|(line, reason)| serde_json::json!({"line": line, "reason": reason})).collect();
    let record = serde_json::json!({
        "page": path, "blocks": tally.blocks, "commands": tally.commands, "outputs": tally.outputs,
        "configuration": tally.configuration, "data": tally.data, "notRun": not_run,
    });
    let name = path.replace('/', "_") + ".json";
    fs::write(dir.join(name), record.to_string()).expect("a record");
}
