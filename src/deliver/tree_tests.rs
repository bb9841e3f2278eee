use std::fs;
use std::os::unix::fs::symlink;

use super::*;

struct Lab {
    dir: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for path in ["root/run", "root/var", "root/home/u", "root/etc", "volume/sub", "outside"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        fs::write(dir.path().join("outside/secret"), "host").unwrap();
        Self { dir }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn link(&self, target: &str, at: &str) {
        symlink(target, self.path(at)).unwrap();
    }

    fn walk(&self, mounts: &str, path: &str) -> Result<Place, Error> {
        let root = self.path("root");
        let mounts = mounts.replace("@VOLUME", self.path("volume").to_str().unwrap());
        let text = format!(r#"{{"process":{{}},"root":{{"path":"{}"}},"mounts":[{mounts}]}}"#, root.display());
        let spec = Spec::parse(&text, Path::new("c")).unwrap();
        Tree::open(&spec, Path::new("/"), &[]).unwrap().walk(Path::new(path))
    }
}

const HOME_VOLUME: &str = r#"{"destination":"/home/u","type":"bind","source":"@VOLUME"}"#;

#[test]
fn a_destination_is_compared_after_links() {
    let lab = Lab::new();
    lab.link("/run", "root/var/run");
    let place = lab.walk("", "/var/run/secrets").unwrap();
    assert_eq!(place.path, Path::new("/run/secrets"));
    assert_eq!((place.base, place.found, place.existing), (Base::Rootfs, Found::Missing, 1));
}

#[test]
fn no_link_leads_to_the_host() {
    let lab = Lab::new();
    let outside = lab.path("outside");
    lab.link(outside.to_str().unwrap(), "root/home/u/abs");
    lab.link("../../../../../../../../../../../../../../etc", "root/home/u/up");
    lab.link("/proc/self/root", "root/home/u/magic");
    for (path, lands) in [("/home/u/abs/secret", None), ("/home/u/up", Some("/etc")), ("/../../../etc", Some("/etc"))] {
        let place = lab.walk("", path).unwrap();
        match lands {
            Some(lands) => assert_eq!((place.path.as_path(), place.found), (Path::new(lands), Found::Directory)),
            None => assert_eq!(place.found, Found::Missing, "{path}"),
        }
    }
    assert_eq!(lab.walk("", "/home/u/magic/etc").unwrap().found, Found::Missing);
}

#[test]
fn links_in_circles_end() {
    let lab = Lab::new();
    lab.link("b", "root/home/u/a");
    lab.link("a", "root/home/u/b");
    assert!(matches!(lab.walk("", "/home/u/a"), Err(Error::Loop(_))));
}

#[test]
fn a_volume_covers_what_lies_below_it() {
    let lab = Lab::new();
    fs::create_dir(lab.path("root/home/u/.codex")).unwrap();
    let place = lab.walk(HOME_VOLUME, "/home/u/.codex/auth.json").unwrap();
    assert!(matches!(place.base, Base::Volume { ref source, read_only: false } if *source == lab.path("volume")));
    assert_eq!(place.below, [".codex", "auth.json"]);
    assert_eq!(place.existing, 0, "the directory of the image is hidden by the volume");
    let place = lab.walk(HOME_VOLUME, "/home/u/sub/x").unwrap();
    assert_eq!((place.existing, place.found), (1, Found::Missing));
}

#[test]
fn an_absolute_link_in_a_volume_starts_at_the_containers_root() {
    let lab = Lab::new();
    lab.link("/etc", "volume/conf");
    let place = lab.walk(HOME_VOLUME, "/home/u/conf/x").unwrap();
    assert_eq!((place.path.as_path(), place.base), (Path::new("/etc/x"), Base::Rootfs));
}

#[test]
fn a_tmpfs_is_empty_unless_the_image_is_copied_into_it() {
    let lab = Lab::new();
    fs::create_dir(lab.path("root/home/u/.codex")).unwrap();
    let tmpfs = r#"{"destination":"/home/u","type":"tmpfs","source":"tmpfs"}"#;
    let place = lab.walk(tmpfs, "/home/u/.codex/auth.json").unwrap();
    assert_eq!((place.base, place.existing), (Base::Tmpfs, 0));
    let copied = r#"{"destination":"/home/u","type":"tmpfs","source":"tmpfs","options":["tmpcopyup"]}"#;
    assert_eq!(lab.walk(copied, "/home/u/.codex/auth.json").unwrap().existing, 1);
}

#[test]
fn a_file_in_the_way_is_named() {
    let lab = Lab::new();
    fs::write(lab.path("root/home/u/.codex"), "").unwrap();
    let error = lab.walk("", "/home/u/.codex/auth.json").unwrap_err().to_string();
    assert!(error.contains("/home/u/.codex in the container is no directory"), "{error}");
}

#[test]
fn the_kernels_file_systems_are_told_apart() {
    let lab = Lab::new();
    let proc = r#"{"destination":"/proc","type":"proc","source":"proc"}"#;
    assert_eq!(lab.walk(proc, "/proc/self/root/etc").unwrap().base, Base::Kernel);
}
