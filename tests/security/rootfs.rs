//! Root file systems made to lead a delivery to the host or to keep it waiting: every place that is looked at or mounted on,
//! as every kind of thing that it should not be, by every way in.

use crate::host::Host;
use crate::lab::{Lab, RUNTIMES};
use crate::start::{Outcome, Start, Way};
use crate::tally::{Counted, tally};

/// Places of a root file system, each with the place of the host that a link there leads to. `HOME` is the home directory.
const PLACES: [(&str, &str); 7] = [
    ("run", "run"),
    ("run/secrets", "run/secrets"),
    ("HOME", "home"),
    ("HOME/.codex", "home/.codex"),
    ("HOME/.codex/auth.json", "home/.codex/auth.json"),
    ("HOME/.claude.json", "home/.claude.json"),
    ("etc/passwd", "etc/passwd"),
];

/// What can be there, and the script that makes it: `$at` is the place, `$to` the place of the host, `$up` leads above `/`.
const SHAPES: [(&str, &str); 8] = [
    ("absolute link", "ln -s $W/host/$to $at"),
    ("chain of ..", "ln -s $up$W/host/$to $at"),
    ("link through proc", "ln -s /proc/1/root$W/host/$to $at"),
    ("FIFO", "mkfifo -m 666 $at"),
    ("device", "mknod -m 666 $at c 1 5"),
    (
        "socket",
        "(cd ${at%/*}/; perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local=>$ARGV[0],Listen=>1) or die' ${at##*/})",
    ),
    ("wrong kind", "case $at in *.json|*passwd) mkdir $at;; *) echo x >$at;; esac"),
    ("loop", "ln -s ${at##*/}2 $at; ln -s ${at##*/} ${at}2"),
];

/// What becomes of the start.
fn expected(place: &str, shape: &str) -> Outcome {
    let is_settings = place.ends_with(".claude.json");
    let is_file = place.ends_with("auth.json");
    match (place, shape) {
        // crun and runc themselves wait for a FIFO there, and runc does not start with a directory or a device.
        ("etc/passwd", "FIFO" | "device" | "wrong kind") => Outcome::Runtimes,
        ("etc/passwd", _) => Outcome::Starts,
        // Settings are a convenience.
        _ if is_settings => Outcome::Starts,
        (_, "absolute link" | "chain of ..") => Outcome::Starts,
        (_, "link through proc") => Outcome::Refused("lies in a file system of the kernel"),
        (_, "loop") => Outcome::Refused("goes in circles through symbolic links"),
        // They are covered by the mount.
        (_, "FIFO" | "device" | "socket") if is_file => Outcome::Starts,
        _ if is_file => Outcome::Refused("is a directory"),
        _ => Outcome::Refused("in the container is no directory"),
    }
}

/// Every place in every shape by one way in: on both runtimes, or on one after the other.
fn every_shape_of_every_place(way: Way, rootless: bool, on_both: bool) {
    let name = format!("rootfs-{way:?}{}", if rootless { "-rootless" } else { "" }).to_lowercase();
    let Some(lab) = Lab::new(&name) else { return };
    let start = Start::new(&lab, way, rootless);
    let host = Host::new(&lab);
    let mut tried = 0;
    for (at, (place, to)) in PLACES.into_iter().enumerate() {
        for (number, (shape, script)) in SHAPES.into_iter().enumerate() {
            for (index, runtime) in RUNTIMES.into_iter().enumerate() {
                if !on_both && (at + number) % 2 != index {
                    continue;
                }
                let what = format!("{name} on {runtime}: {place} is a {shape}");
                let place = place.replace("HOME", start.home());
                start.prepare(
                    runtime,
                    &format!(
                        "at=./{place} to={to} up=../../../../../../../../..; mkdir -p ${{at%/*}}; rm -rf $at; {script}"
                    ),
                );
                host.arm();
                start.becomes(runtime, expected(PLACES[at].0, shape), &what);
                assert_eq!(host.touched(), "", "{what}: the host was touched");
                lab.assert_nothing_left(&what);
                tried += 1;
            }
        }
    }
    tally(Counted::Hostile, &name, tried, tried);
}

#[test]
fn a_hostile_root_file_system_behind_the_shim_leads_nowhere() {
    every_shape_of_every_place(Way::Shim, false, true);
}

#[test]
fn a_hostile_root_file_system_and_create_runtime_lead_nowhere() {
    every_shape_of_every_place(Way::CreateRuntime, false, true);
}

#[test]
fn a_hostile_root_file_system_and_precreate_lead_nowhere() {
    every_shape_of_every_place(Way::Precreate, false, false);
}

#[test]
fn a_hostile_root_file_system_and_a_device_lead_nowhere() {
    every_shape_of_every_place(Way::Device, false, false);
}

#[test]
fn a_hostile_root_file_system_behind_a_users_shim_leads_nowhere() {
    every_shape_of_every_place(Way::Shim, true, false);
}

#[test]
fn a_hostile_root_file_system_and_a_users_hook_lead_nowhere() {
    every_shape_of_every_place(Way::CreateRuntime, true, false);
}

#[test]
fn a_hostile_root_file_system_and_a_users_device_lead_nowhere() {
    every_shape_of_every_place(Way::Device, true, false);
}
