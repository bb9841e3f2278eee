//! The image of a probe: one static program, in the form of `docker save`, which podman, docker and containerd
//! load without a network.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::json;

use crate::probe::{NAME, digest};

/// Its name, under which it is removed.
pub const IMAGE: &str = "localhost/keyslip-probe:latest";

/// The home directory in it, which is made when something is delivered there.
pub const HOME: &str = "/home/probe";

/// A block of a tar file.
const BLOCK: usize = 512;

/// Writes the image with `program` in it to `path`.
///
/// # Errors
/// What reading and writing say.
pub fn write(program: &Path, path: &Path) -> io::Result<()> {
    let archive = archive(&fs::read(program)?);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&archive)
}

/// The image as bytes.
fn archive(program: &[u8]) -> Vec<u8> {
    let mut layer = Tar::default();
    for dir in ["dev/", "proc/", "sys/", "run/", "tmp/", "home/"] {
        layer.add(dir, 0o755, b"");
    }
    layer.add(NAME, 0o755, program);
    let layer = layer.finish();
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let created = "2026-01-01T00:00:00Z";
    let config = json!({
        "architecture": architecture, "os": "linux", "created": created,
        "config": { "Env": ["PATH=/", format!("HOME={HOME}")], "Cmd": [format!("/{NAME}"), "wait"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", digest(&layer))] },
        "history": [{ "created": created, "created_by": "keyslip doctor --probe" }],
    })
    .to_string();
    let config_name = format!("{}.json", digest(config.as_bytes()));
    let manifest = json!([{ "Config": config_name, "RepoTags": [IMAGE], "Layers": ["layer.tar"] }]).to_string();
    let mut archive = Tar::default();
    archive.add("manifest.json", 0o644, manifest.as_bytes());
    archive.add(&config_name, 0o644, config.as_bytes());
    archive.add("layer.tar", 0o644, &layer);
    archive.finish()
}

/// A tar file that is being written (POSIX.1-1988).
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    /// Adds a file, or a directory if the name ends in a slash. Names are ours and short.
    fn add(&mut self, name: &str, mode: u32, content: &[u8]) {
        let mut header = [0_u8; BLOCK];
        let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(100, &format!("{mode:07o}"));
        for (at, number) in [(108, 0), (116, 0)] {
            put(at, &format!("{number:07o}"));
        }
        put(124, &format!("{:011o}", content.len()));
        put(136, &format!("{:011o}", 0));
        put(156, if name.ends_with('/') { "5" } else { "0" });
        put(257, "ustar\0");
        put(263, "00");
        // The sum is made with blanks in its own place.
        put(148, "        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn tar_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("p");
        fs::write(&program, "program").unwrap();
        let image = dir.path().join("image.tar");
        write(&program, &image).unwrap();
        let tar = |arguments: &[&str], at: &Path| {
            let mut command = Command::new("tar");
            let output = command.args(arguments).current_dir(at).stderr(Stdio::inherit()).output().unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout).unwrap()
        };
        tar(&["-xf", "image.tar"], dir.path());
        let manifest: serde_json::Value =
            serde_json::from_slice(&fs::read(dir.path().join("manifest.json")).unwrap()).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], IMAGE);
        assert!(dir.path().join(manifest[0]["Config"].as_str().unwrap()).exists());
        let list = tar(&["-tvf", "layer.tar"], dir.path());
        assert!(
            list.contains("-rwxr-xr-x 0/0") && list.contains(" keyslip-probe") && list.contains(" home/"),
            "{list}"
        );
    }
}
