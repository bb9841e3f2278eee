//! CVE-2024-0132 and its like: between the look at a path and its use, somebody puts a link to the host there.

use crate::host::Host;
use crate::lab::{Lab, RUNTIMES};
use crate::start::{Start, Way};
use crate::tally::{Counted, tally};

/// What is exchanged: a place of the root file system, what is there at first, and where the link leads that takes its place:
/// to a directory of the host that lacks what would be made in it, or to what would be covered.
const PLACES: [(&str, &str, &str); 6] = [
    ("run", "mkdir -p run", "$W/host/dir"),
    ("run/secrets", "mkdir -p run/secrets", "$W/host/run/secrets"),
    ("home/dev", "true", "$W/host/home"),
    ("home/dev/.codex", "mkdir home/dev/.codex", "$W/host/dir"),
    ("home/dev/.claude.json", "echo {} >home/dev/.claude.json", "$W/host/home/.claude.json"),
    ("etc/passwd", "true", "$W/host/etc/passwd"),
];

/// Starts for each place and runtime.
const STARTS: usize = 5;

/// Lets the places be exchanged while containers start; what becomes of them is chance, what becomes of the host is not.
fn places_are_swapped(way: Way, in_a_volume: bool) {
    let name = format!("race-{way:?}{}", if in_a_volume { "-volume" } else { "" }).to_lowercase();
    let Some(lab) = Lab::new(&name) else { return };
    let start = Start::new(&lab, way, false);
    let host = Host::new(&lab);
    lab.ok("gcc -O2 -Wall -Werror -o $W/swap $REPO/tests/security/swap.c");
    let places = PLACES.iter().filter(|(place, ..)| !in_a_volume || place.starts_with("home/dev/"));
    let mut tried = 0;
    for (place, make, to) in places {
        for runtime in RUNTIMES {
            let what = format!("{name} on {runtime}: {place}");
            let (edit, base) = match in_a_volume {
                true => (
                    r#".mounts+=[{destination:"/home/dev",type:"bind",source:($w+"/volume"),options:["rbind","rw"]}]"#,
                    "rm -rf $W/volume; mv home/dev $W/volume; mkdir home/dev; cd $W/volume; chown -hR 1000:1000 .",
                ),
                false => (".", "true"),
            };
            let at = if in_a_volume { place.trim_start_matches("home/dev/") } else { place };
            start.prepare_with(
                runtime,
                &format!(
                    "{make}; ln -s {to} {place}.other; chown -hR 1000:1000 home; {base}; pwd >$W/base; cd $W/b/rootfs"
                ),
                edit,
            );
            host.arm();
            lab.ok(&format!("cd $(cat $W/base); $W/swap {at} {at}.other >/dev/null 2>&1 & echo $! >$W/swap.pid"));
            for _ in 0..STARTS {
                start.run_again(runtime);
                tried += 1;
            }
            lab.ok("kill $(cat $W/swap.pid)");
            assert_eq!(host.touched_on(runtime), "", "{what}: the host was touched");
        }
    }
    tally(Counted::Hostile, &name, tried, tried);
}

#[test]
fn cve_2024_0132_a_place_that_is_swapped_for_a_link_behind_the_shim_leads_nowhere() {
    places_are_swapped(Way::Shim, false);
}

#[test]
fn cve_2024_0132_a_place_that_is_swapped_for_a_link_beside_a_hook_leads_nowhere() {
    places_are_swapped(Way::CreateRuntime, false);
}

#[test]
fn cve_2024_0132_a_volume_whose_directories_are_swapped_for_links_leads_nowhere() {
    places_are_swapped(Way::Shim, true);
}
