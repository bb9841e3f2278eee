//! The same containers, made by podman from the same root file systems: with the shim as its runtime and an annotation, or
//! with the plain runtime and a device of CDI. `podman init` makes one without starting it, so that the servers are in its
//! network before the client.

use crate::client::Installed;
use crate::lab::{Lab, Output};
use crate::sandbox::{Wanted, Way, variables};

/// Makes the container `id` on the root file system of a bundle.
#[track_caller]
pub fn create(lab: &Lab, client: &Installed, wanted: &Wanted<'_>, id: &str, bundle: &str) -> Output {
    assert_eq!(wanted.edit, ".", "podman writes the configuration itself");
    let asks = match wanted.way {
        Way::Cdi => {
            lab.ok("keyslip cdi generate");
            format!("--device keyslip.dev/agent={}", wanted.agent)
        }
        _ => format!("--annotation dev.keyslip.agents={}", wanted.agent),
    };
    // By its path it is the runtime itself, by its name the shim.
    let runtime = match wanted.way {
        Way::Cdi => format!("$(command -v {})", wanted.runtime),
        _ => wanted.runtime.to_owned(),
    };
    let env: String = variables(client, wanted).iter().map(|variable| format!(" --env '{variable}'")).collect();
    let mounts: String = client.mounts.iter().map(|(from, to)| format!(" -v {}:{to}:ro", from.display())).collect();
    lab.sh(&format!(
        "for dir in lib lib64; do [ ! -d /usr/$dir ] || libraries+=\" -v /usr/$dir:/$dir:ro\"; done
        podman --runtime {runtime} create --name {id} {asks} --network none --no-hosts --ulimit nofile=4096:4096 --ulimit nproc=1024:1024 \
            --user 1000:1000 --workdir /home/dev {env} ${{libraries:-}} {mounts} --rootfs {bundle}/rootfs main
        podman init {id}"
    ))
}
