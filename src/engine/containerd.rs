//! containerd: a block at the end of `config.toml`.
//!
//! A drop-in would not do: the imports of containerd 1 replace a plugin's section whole, and the operator's own
//! settings of the CRI would be lost. One more trap: a file that names one runtime of the CRI loses the
//! built-in `runc` (containerd 1.6.20 and 1.7.24), so where no runtime was named, `runc` is named too.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::containers_conf::broken;
use super::links;
use super::present::Present;
use super::{Change, Engine, Error, Found, Host, Mode, Order, Ours, Plan, cdi, consent};
use crate::document::Document;
use crate::json::quote;

/// What containerd reads unless it is told otherwise.
pub(super) const FILE: &str = "/etc/containerd/config.toml";

/// The CRI plugin in a file of version 3, which is containerd 2's.
const NEWEST_PLUGIN: &str = "io.containerd.cri.v1.runtime";

const BEGIN: &str =
    "# Begin of what `keyslip install containerd` wrote; `keyslip uninstall containerd` takes it out.\n";
const END: &str = "# End of what `keyslip install containerd` wrote.\n";

/// The plan for containerd.
pub(super) fn plan(order: &Order, host: &Host, present: &Present, found: &Found) -> Result<Plan, Error> {
    let mut plan = Plan::new(Engine::Containerd, order.mode);
    let path = present.resolve(order.config.as_deref().unwrap_or(Path::new(FILE)))?;
    let before = present.read(&path)?;
    let file = File::read(&path, before.as_deref(), found.program.major())?;
    plan.notes.push(format!(
        "a pod gets nothing until a rule says so, in {}: allow = [{{ engine = \"cri\", namespace = \"NAMESPACE\", agents = [\"claude\"] }}]",
        host.site.config.join("conf.d/allow-cri.toml").display()
    ));
    match order.mode {
        Mode::Shim => {
            let binary = links::link(host, "cri", "runc")?.path;
            let ctr = links::link(host, "containerd", "runc")?.path;
            plan.changes.extend(record(host, present, found)?);
            plan.changes.extend(file.shim(&path, before, &binary)?);
            if file.cri_is_off {
                plan.notes.push(format!("the CRI plugin is disabled in {}: only ctr can use Keyslip", path.display()));
            }
            plan.next.push("systemctl restart containerd".to_owned());
            plan.next.push(
                "make a RuntimeClass whose handler is keyslip, and give pods its runtimeClassName and the annotation dev.keyslip.agents: claude"
                    .to_owned(),
            );
            plan.next.push(format!(
                "ctr run --runc-binary {} --annotation dev.keyslip.agents=claude IMAGE NAME",
                ctr.display()
            ));
        }
        Mode::Cdi => {
            if found.program.version.starts_with("1.6") {
                let reason = "containerd 1.6 knows no CDI; use 1.7 or later, or --mode shim".to_owned();
                return Err(Error::Conflict { path, reason });
            }
            plan.changes.extend(file.cdi(&path, before)?);
            plan.next.push("systemctl restart containerd".to_owned());
            plan.next.extend(cdi::missing());
            plan.next.push("pods ask with the annotation cdi.k8s.io/keyslip: keyslip.dev/agent=claude".to_owned());
        }
        Mode::Hook => {
            return Err(Error::NoSuchMode { engine: Engine::Containerd, mode: Mode::Hook, known: "shim or cdi" });
        }
    }
    Ok(plan)
}

fn record(host: &Host, present: &Present, found: &Found) -> Result<Option<Change>, Error> {
    let about = "The CRI takes annotations from the pod, ctr from its command line; neither from an image.";
    let version = consent::version(&found.program.version);
    let tables = [("cri", version.clone()), ("containerd", version)];
    consent::record(present, host, Engine::Containerd, about, &tables)
}

/// `config.toml`, as far as it matters.
pub(super) struct File {
    text: String,
    /// The name of the CRI plugin in a file of this version, as a key.
    plugin: &'static str,
    /// Any runtime of the CRI is named.
    names_runtimes: bool,
    /// What is there under the name `keyslip`: its `BinaryName`.
    keyslip: Option<Option<String>>,
    enable_cdi: Option<bool>,
    cdi_dirs: Option<Vec<String>>,
    cri_is_off: bool,
    /// What an absent file has to begin with.
    head: String,
}

impl File {
    pub(super) fn read(path: &Path, text: Option<&str>, major: u32) -> Result<Self, Error> {
        let newest = if major >= 2 { 3 } else { 2 };
        let head = if text.is_none() { format!("version = {newest}\n") } else { String::new() };
        let text = text.unwrap_or_default().to_owned();
        let wrong = |wrong| broken(Engine::Containerd, path, &text, &wrong);
        Document::parse(&text).map_err(wrong)?;
        let table = DeTable::parse(&text).map_or_else(|_| DeTable::new(), |table| table.into_inner());
        // A file without a version is of version 1, but an absent one is what we make it.
        let version = match table.get("version").map(toml::Spanned::get_ref) {
            Some(DeValue::Integer(number)) => number.as_str().parse().unwrap_or(0),
            _ if head.is_empty() => 1,
            _ => newest,
        };
        let plugin = match version {
            1 => "cri",
            2 => "io.containerd.grpc.v1.cri",
            3 => NEWEST_PLUGIN,
            other => {
                let reason = format!("its version is {other}, and Keyslip knows 1, 2 and 3");
                return Err(Error::Conflict { path: path.to_owned(), reason });
            }
        };
        let cri = inner(&table, "plugins").and_then(|plugins| inner(plugins, plugin));
        let runtimes = cri.and_then(|cri| inner(cri, "containerd")).and_then(|table| inner(table, "runtimes"));
        let keyslip = runtimes.and_then(|runtimes| inner(runtimes, "keyslip"));
        let binary =
            |keyslip: &DeTable<'_>| inner(keyslip, "options").and_then(|options| string(options, "BinaryName"));
        let enable_cdi = match cri.and_then(|cri| cri.get("enable_cdi")).map(toml::Spanned::get_ref) {
            Some(DeValue::Boolean(yes)) => Some(*yes),
            _ => None,
        };
        let off = |name: &str| name == "cri" || name == plugin || name == "io.containerd.grpc.v1.cri";
        Ok(Self {
            plugin,
            names_runtimes: runtimes.is_some_and(|runtimes| !runtimes.is_empty()),
            keyslip: keyslip.map(binary),
            enable_cdi,
            cdi_dirs: cri.filter(|cri| cri.get("cdi_spec_dirs").is_some()).map(|cri| strings(cri, "cdi_spec_dirs")),
            cri_is_off: strings(&table, "disabled_plugins").iter().any(|name| off(name)),
            head,
            text: text.clone(),
        })
    }

    pub(super) fn shim(&self, path: &Path, before: Option<String>, binary: &Path) -> Result<Option<Change>, Error> {
        let binary = binary.display().to_string();
        match &self.keyslip {
            Some(Some(there)) if *there == binary => return Ok(None),
            Some(_) => {
                let reason = format!(
                    "there is another runtime with the name keyslip already; rename it, or give it BinaryName = {}",
                    quote(&binary)
                );
                return Err(Error::Conflict { path: path.to_owned(), reason });
            }
            None => {}
        }
        let cri = format!("plugins.{}", quote_key(self.plugin));
        let runtimes = format!("{cri}.containerd.runtimes");
        let runc = if self.names_runtimes {
            String::new()
        } else {
            format!(
                "# The built-in runtime, which is lost as soon as a file names another one.\n[{runtimes}.runc]\n  runtime_type = \"io.containerd.runc.v2\"\n"
            )
        };
        let block = format!(
            "{runc}[{runtimes}.keyslip]\n  runtime_type = \"io.containerd.runc.v2\"\n  pod_annotations = [\"dev.keyslip.*\"]\n  container_annotations = [\"dev.keyslip.*\"]\n  [{runtimes}.keyslip.options]\n    BinaryName = {}\n",
            quote(&binary)
        );
        self.append(path, before, &block).map(Some)
    }

    /// CDI, which is on by itself in containerd 2. The directories stay those that are read without us.
    fn cdi(&self, path: &Path, before: Option<String>) -> Result<Option<Change>, Error> {
        let conflict = |reason: String| Err(Error::Conflict { path: path.to_owned(), reason });
        if self.enable_cdi == Some(false) {
            return conflict("enable_cdi is false here; set it to true, or take it out".to_owned());
        }
        if self.cdi_dirs.as_ref().is_some_and(|dirs| !dirs.iter().any(|dir| dir == cdi::DIRECTORY)) {
            return conflict(format!("cdi_spec_dirs is set here; add {} to it", quote(cdi::DIRECTORY)));
        }
        if self.enable_cdi.is_some() || self.plugin == NEWEST_PLUGIN {
            return Ok(None);
        }
        let lines = "  enable_cdi = true\n";
        let header = format!("[plugins.{}]", quote_key(self.plugin));
        match self.after_header() {
            // The table is there: the keys have to go into it.
            Some(at) => {
                let piece = format!("{BEGIN}{lines}{END}");
                let after = format!("{}{piece}{}", &self.text[..at], &self.text[at..]);
                self.checked(path, before, &after, piece).map(Some)
            }
            None => self.append(path, before, &format!("{header}\n{lines}")).map(Some),
        }
    }

    /// Behind the line that opens the table of the CRI plugin.
    fn after_header(&self) -> Option<usize> {
        let mut end = 0;
        self.text.split_inclusive('\n').find_map(|line| {
            end += line.len();
            let opens = line.trim_start().starts_with('[') && line.ends_with('\n');
            let table = DeTable::parse(line).ok().filter(|_| opens)?.into_inner();
            let cri = inner(inner(&table, "plugins")?, self.plugin)?;
            cri.is_empty().then_some(end)
        })
    }

    fn append(&self, path: &Path, before: Option<String>, block: &str) -> Result<Change, Error> {
        // A blank line in front, and none where nothing is.
        let gap = match &*self.text {
            "" => "",
            text if text.ends_with('\n') => "\n",
            _ => "\n\n",
        };
        let piece = format!("{}{gap}{BEGIN}{block}{END}", self.head);
        let after = format!("{}{piece}", self.text);
        self.checked(path, before, &after, piece)
    }

    /// The change, if the result is TOML: tables written inline cannot be added to.
    fn checked(&self, path: &Path, before: Option<String>, after: &str, piece: String) -> Result<Change, Error> {
        if Document::parse(after).is_err() {
            let reason = format!(
                "plugins.{} is written as an inline table or with dotted keys, which nothing can be appended to; write it with [headers]",
                quote_key(self.plugin)
            );
            return Err(Error::Conflict { path: path.to_owned(), reason });
        }
        Ok(Change::new(path, before, after, Ours::Text(vec![piece])))
    }
}

/// Files that are read besides this one and may overrule it.
pub(super) fn imports(text: &str) -> Vec<String> {
    DeTable::parse(text).map(|table| strings(table.get_ref(), "imports")).unwrap_or_default()
}

fn quote_key(key: &str) -> String {
    if key.contains('.') { quote(key) } else { key.to_owned() }
}

fn inner<'t, 'a>(table: &'t DeTable<'a>, key: &str) -> Option<&'t DeTable<'a>> {
    match table.get(key)?.get_ref() {
        DeValue::Table(inner) => Some(inner),
        _ => None,
    }
}

fn string(table: &DeTable<'_>, key: &str) -> Option<String> {
    match table.get(key)?.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        _ => None,
    }
}

fn strings(table: &DeTable<'_>, key: &str) -> Vec<String> {
    let Some(DeValue::Array(values)) = table.get(key).map(toml::Spanned::get_ref) else { return Vec::new() };
    let text = |value: &toml::Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        _ => None,
    };
    values.iter().filter_map(text).collect()
}
