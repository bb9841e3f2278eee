//! What the pages show is done: every command block of every page is run, on real engines, every piece of configuration
//! is loaded, every output that a page prints is compared, and every link leads somewhere. A block of which this
//! does not know what it is fails; one that cannot be run here says why (see `page`). `summary` counts them.

#[path = "../lab/mod.rs"]
mod lab;

mod commands;
mod failing;
mod links;
mod page;
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
