//! Our own programs, stopped where they hold a secret or wait, and looked at from outside.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use crate::lab::Lab;

/// What root has to do when it delivers, reads, and cleans up, as bits of `/proc/PID/status`.
pub const DELIVER: u64 = mask(&[0, 1, 2, 3, 4, 5, 6, 7, 18, 19, 21, 29, 31]);
pub const CLEAN_UP: u64 = mask(&[1, 2, 3, 6, 7, 21]);

const fn mask(bits: &[u32]) -> u64 {
    let mut all = 0;
    let mut index = 0;
    while index < bits.len() {
        all |= 1 << bits[index];
        index += 1;
    }
    all
}

/// A process of the lab that is stopped for a look.
pub struct Held(pub i32);

impl Held {
    /// The process whose number is in `$W/NAME` once it waits.
    #[track_caller]
    pub fn by(lab: &Lab, name: &str) -> Self {
        let path = lab.path().join(name);
        let begun = Instant::now();
        loop {
            if let Some(pid) = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok()) {
                let _ = fs::remove_file(&path);
                return Self(pid);
            }
            let late = begun.elapsed() > Duration::from_secs(20);
            assert!(!late, "{name}: nobody waits: {}", lab.ok("cat $W/said $W/ended 2>&1 || true"));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn parent(&self) -> Self {
        Self(self.status("PPid").parse().expect("a number"))
    }

    /// A line of `/proc/PID/status`.
    #[track_caller]
    pub fn status(&self, name: &str) -> String {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0)).expect("the process is there");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.expect("the kernel has it").trim().to_owned()
    }

    #[track_caller]
    pub fn capabilities(&self, name: &str) -> u64 {
        u64::from_str_radix(&self.status(name), 16).expect("hexadecimal")
    }

    /// The soft limit on core files.
    #[track_caller]
    pub fn core_limit(&self) -> String {
        let text = fs::read_to_string(format!("/proc/{}/limits", self.0)).expect("the process is there");
        let line = text.lines().find_map(|line| line.strip_prefix("Max core file size")).expect("the kernel has it");
        line.split_whitespace().next().expect("a limit").to_owned()
    }

    /// Where in its memory `value` is, other than on pages that nobody can write.
    pub fn remembers(&self, value: &str) -> Vec<String> {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.0)).expect("the process is there");
        let memory = File::open(format!("/proc/{}/mem", self.0)).expect("root may look");
        let mut found = Vec::new();
        for line in maps.lines() {
            let mut words = line.split_whitespace();
            let (range, mode) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            let Some((from, to)) = range.split_once('-') else { continue };
            let [from, to] = [from, to].map(|at| u64::from_str_radix(at, 16).unwrap_or(0));
            if !mode.starts_with("rw") || to <= from {
                continue;
            }
            let mut bytes = vec![0; usize::try_from(to - from).unwrap_or(0)];
            if memory.read_exact_at(&mut bytes, from).is_ok()
                && memchr::memmem::find(&bytes, value.as_bytes()).is_some()
            {
                found.push(line.to_owned());
            }
        }
        found
    }

    /// What another process of the ordinary user can see of it.
    pub fn seen_by_user(&self, lab: &Lab) -> Vec<String> {
        let pid = self.0;
        let said = lab.as_user(&format!(
            "for f in environ maps auxv mem; do head -c1 /proc/{pid}/$f >/dev/null 2>&1 && echo $f; done
            ls /proc/{pid}/fd >/dev/null 2>&1 && echo fd
            (cd $(mktemp -d); timeout 10 gcore -o core {pid} >/dev/null 2>&1; ls core.{pid} 2>/dev/null | sed s/{pid}/pid/)
            timeout 1 strace -qq -o /dev/null -p {pid} 2>&1 | grep -q 'not permitted' || echo strace"
        ));
        said.text().lines().map(str::to_owned).collect()
    }
}
