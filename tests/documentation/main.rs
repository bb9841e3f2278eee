//! What the pages show is done: every command block of every page is run, on real engines, every piece of configuration
//! is loaded, every output that a page prints is compared, and every link leads somewhere. A block of which this
//! does not know what it is fails; one that cannot be run here says why (see `page`). `summary` counts them.

#[path = "../lab/cri.rs"]
mod cri;
#[path = "../lab/mod.rs"]
mod lab;

mod commands;
mod failing;
mod links;
mod page;
mod pods;
mod run;
mod session;

use std::fs;

use page::Page;

/// A test for each page that has blocks; they run beside each other.
macro_rules! pages {
    ($($name:ident: $path:literal,)*) => {
        $(#[test] fn $name() { does($path, stringify!($name)); })*

        /// The pages that are run.
        const PAGES: &[&str] = &[$($path),*];
    };
}

pages! {
    readme: "README.md",
    contributing: "CONTRIBUTING.md",
    agents: "docs/agents.md",
    coming_from: "docs/coming-from.md",
    concepts: "docs/concepts.md",
    configuration: "docs/configuration.md",
    credential_helpers: "docs/credential-helpers.md",
    doctor: "docs/doctor.md",
    engines_by_hand: "docs/engines-by-hand.md",
    kubernetes: "docs/kubernetes.md",
    logins: "docs/logins.md",
    operations: "docs/operations.md",
    policy: "docs/policy.md",
    troubleshooting: "docs/troubleshooting.md",
    quickstart_buildah: "docs/quickstart/buildah.md",
    quickstart_cdi: "docs/quickstart/cdi.md",
    quickstart_compose: "docs/quickstart/compose.md",
    quickstart_containerd: "docs/quickstart/containerd.md",
    quickstart_crun: "docs/quickstart/crun.md",
    quickstart_docker: "docs/quickstart/docker.md",
    quickstart_kubernetes: "docs/quickstart/kubernetes.md",
    quickstart_podman: "docs/quickstart/podman.md",
    quickstart_podman_rootless: "docs/quickstart/podman-rootless.md",
    example_ci: "examples/ci/README.md",
    example_compose: "examples/compose/README.md",
    example_crio: "examples/crio/README.md",
    example_quadlet: "examples/quadlet/README.md",
}

/// Runs a page, and keeps what was done.
#[track_caller]
fn does(path: &str, name: &str) {
    let text = fs::read_to_string(links::root().join(path)).expect("the page");
    let page = Page::read(&text).unwrap_or_else(|error| panic!("{path}:{error}"));
    let tally = run::run(&page, name).unwrap_or_else(|error| panic!("{path}:{error}"));
    let Some(tally) = tally else { return };
    println!("{path}: {tally:?}");
    run::keep(path, &tally);
}

#[test]
fn no_page_with_a_block_is_left_out() {
    for path in links::pages() {
        let text = fs::read_to_string(links::root().join(&path)).expect("the page");
        let has_blocks = text.lines().any(|line| line.trim_start().starts_with("```"));
        assert!(!has_blocks || PAGES.contains(&path.as_str()), "{path} has blocks and is not in the list of this file");
        assert!(!text.contains("~~~"), "{path}: fences are made of ```");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let mut all = 0;
    for path in links::pages() {
        let page = links::root().join(&path);
        let (broken, count) = links::broken(&page, &fs::read_to_string(&page).expect("the page"));
        assert!(broken.is_empty(), "{path}: {broken:?}");
        all += count;
    }
    assert!(all > 50, "only {all} links were found");
}

#[test]
fn every_key_is_in_the_table_of_the_configuration() {
    let read = |path: &str| fs::read_to_string(links::root().join(path)).expect("a file");
    let schema: serde_json::Value = serde_json::from_str(&read("config/keyslip.schema.json")).expect("JSON");
    let page = read("docs/configuration.md");
    let table =
        page.split_once("## Keys").and_then(|(_, rest)| rest.split_once("\n\nAn API key")).expect("the table").0;
    let mut keys: Vec<&String> = schema["properties"].as_object().expect("keys").keys().collect();
    for part in ["store", "audit_log", "delivery"] {
        keys.extend(schema["properties"][part]["properties"].as_object().expect("keys").keys());
    }
    assert!(keys.len() > 20, "{keys:?}");
    for key in keys {
        assert!(table.contains(key.as_str()), "{key} is not in the table of docs/configuration.md");
    }
}

/// What Forage's and Headjack's own pages on authentication help with, in the words that somebody would look for.
#[test]
fn every_symptom_of_the_tools_that_people_come_from_is_in_troubleshooting() {
    let text = fs::read_to_string(links::root().join("docs/troubleshooting.md")).expect("the page");
    let (index, sections) = text.split_once("\n## ").expect("an index, then sections");
    for (symptom, section) in [
        // Forage
        ("says that it is not logged in", "\"Not logged in\" in the container"),
        ("whether a container is authenticated", "Is it authenticated?"),
        ("`printenv CLAUDE_CODE_OAUTH_TOKEN` prints nothing", "The token does not reach the container"),
        // Headjack
        ("no credential is stored", "\"Token not found\", no credential is stored"),
        ("authentication failed", "\"Authentication failed\" in the container"),
        ("asks for a theme", "The agent asks its first questions"),
    ] {
        assert!(index.contains(symptom), "{symptom} is not in the index");
        let sections = format!("\n## {sections}");
        let found = sections.split_once(&format!("\n## {section}\n")).unwrap_or_else(|| panic!("no section {section}"));
        let body = found.1.split("\n## ").next().unwrap_or_default();
        assert!(body.contains("```sh\n"), "{section}: nothing to do");
    }
    // The causes that they name.
    for cause in ["nobody has logged in", "the host's client has expired", "the stored token has expired", "onboarding"]
    {
        assert!(sections.contains(cause), "{cause}");
    }
}
