//! One of our commands, run again and again, each time with another of its system calls failing.
//!
//! `fail_at` says what could be done to a command; each of these is then done to it once. What has to hold
//! afterwards is a function of bash: it prints what does not.

use crate::lab::Lab;

/// How many faults one script injects; a script has a limit of time.
const CHUNK: usize = 12;

/// What the scripts share. `complete ID` prints nothing when the container is there with everything it asked for,
/// `gone` when nothing is left of any, `said CODE` when a command that failed said why, `told CODE` also when it did so in what
/// it prints. `killed CODE`: by KILL, or by
/// itself, for want of memory. A container can do without settings; then its record has a warning.
const FUNCTIONS: &str = r#"
complete() { local s; s=$($BARE/$R.real state $1 2>/dev/null) || { echo "exit code 0, and no container"; return; }
    local p; p=$(jq .pid <<<$s); [ $(jq -r .status <<<$s) != created ] || $BARE/$R.real start $1
    for i in 1 2 3 4 5 6 7 8 9; do grep -qz '^PATH=/bin' /proc/$p/environ && [ "$(tr '\0' ' ' </proc/$p/cmdline)" = 'sleep 1000 ' ] && break; sleep 0.02; done
    grep -qzxF "CLAUDE_CODE_OAUTH_TOKEN=$(cat $W/CLAUDE)" /proc/$p/environ || echo "no variable"
    cmp -s $W/CLAUDE /proc/$p/root/run/secrets/claude || echo "no secret file"
    jq -e .hasCompletedOnboarding /proc/$p/root/root/.claude.json >/dev/null 2>&1 || jq -e '.warnings | length > 0' /run/keyslip/sandbox/*/*/record.json >/dev/null || echo "no settings and no warning"; }
gone() { find /run/keyslip ! -type d 2>/dev/null | sed 's/^/left: /'
    grep -oE ' /run/keyslip/[^ ]+' /proc/self/mountinfo | sed 's/^/mounted:/' || true
    (cd $B/rootfs; find . ! -path ./proc ! -path ./sys ! -path ./dev ) | sort | diff $W/tree - | sed 's/^/rootfs: /' || true; }
swept() { age 61; keyslip sweep >/dev/null 2>&1 || echo "the sweep failed"; gone; }
killed() { [ $1 = 137 ] || [ $1 = 134 ] || [ $1 = 139 ]; }
said() { [ $1 = 0 ] || killed $1 || [ -s $W/err ] || echo "exit code $1 and not a word"; ! grep -qF "$(cat $W/CLAUDE)" $W/err $W/out || echo "the credential was shown"; }
told() { if [ -s $W/out ]; then said 0; else said $1; fi; }
"#;

/// What came of the faults of one command.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Faults that were injected.
    pub injected: usize,
    /// What did not hold, with the fault.
    pub bad: Vec<String>,
    /// How often the command succeeded all the same.
    pub succeeded: usize,
}

/// A command and what is around it, as bash.
pub struct Case<'a> {
    /// For messages.
    pub name: &'a str,
    /// Brings about what the command finds.
    pub before: &'a str,
    /// The command, a program's path first; standard input is `$W/stdin`.
    pub command: &'a str,
    /// Whether it is the dynamic program, whose loader is not ours.
    pub dynamic: bool,
    /// Prints what does not hold; `$1` is the exit code, `$2` the fault.
    pub after: &'a str,
    /// Which faults of the list are injected.
    pub takes: fn(usize, &str) -> bool,
}

/// What is worth a run: all that is about files, processes and mounts, and a part of what the allocator does and of
/// reading. The part is another one for each kind, so that all of a command is covered.
pub fn most(number: usize, line: &str) -> bool {
    let call = line.split(' ').nth(1).unwrap_or("");
    !matches!(call, "mmap" | "brk" | "mremap" | "fstat" | "close" | "read" | "lseek" | "fcntl" | "newfstatat" | "prctl")
        || number.is_multiple_of(6)
}

/// Puts the tool into the lab, the credential into `$W/CLAUDE`, a login into the store and a bundle that asks at
/// `$W/b`.
pub fn prepare(lab: &Lab) {
    let token = lab.token("CLAUDE");
    lab.login("claude", &token);
    lab.write("CLAUDE", token.as_bytes());
    lab.ok("keyslip install tmpfs >/dev/null; gcc -O2 -static -Wall -Werror -o $W/fail_at $REPO/tests/faults/fail_at.c; : >$W/stdin");
    lab.bundle(
        "b",
        &format!(r#".annotations={{"dev.keyslip.agents":"claude"}} | .root.path="{}/b/rootfs""#, lab.path().display()),
    );
    lab.ok("cd $W/b/rootfs; find . ! -path ./proc ! -path ./sys ! -path ./dev | sort >$W/tree");
}

fn script(case: &Case<'_>, runtime: &str, text: &str) -> String {
    format!(
        "R={runtime} B=$W/b\n{}\n{FUNCTIONS}\nexport {}CANARY=$W/CLAUDE\nbefore() {{ {}\n}}\nafter() {{ {}\n}}\n{text}",
        crate::AGE,
        if case.dynamic { "AFTER_PRCTL=1 " } else { "" },
        case.before,
        case.after,
    )
}

/// Injects every fault that the case takes.
#[track_caller]
pub fn run(lab: &Lab, runtime: &str, case: &Case<'_>) -> Outcome {
    // The first time makes what is made once: keys, logs, directories.
    let listed = lab.ok(&script(
        case,
        runtime,
        &format!(
            "for i in 1 2; do mkdir -p $B/rootfs; before >/dev/null; c=0; $W/fail_at list $W/list {} <$W/stdin >$W/out 2>$W/err || c=$?
            grep '^remembers' $W/err && exit 1; after $c none; [ $c = 0 ] || {{ cat $W/err; exit 1; }}; done >&2; cat $W/list",
            case.command
        ),
    ));
    let faults: Vec<&str> =
        listed.lines().enumerate().filter(|(number, line)| (case.takes)(*number, line)).map(|(_, line)| line).collect();
    println!("{} on {runtime}: {} of {} faults", case.name, faults.len(), listed.lines().count());
    let mut outcome = Outcome::default();
    for chunk in faults.chunks(CHUNK) {
        lab.write("faults", chunk.join("\n").as_bytes());
        let output = lab.sh(&script(
            case,
            runtime,
            &format!(
                "echo >>$W/faults
                while read -u 9 n call error; do
                    before >/dev/null 2>&1; c=0; timeout 20 $W/fail_at $n $error $W/hit {} <$W/stdin >$W/out 2>$W/err || c=$?
                    if [ -s $W/hit ]; then echo hit $c; else echo missed $c; fi
                    {{ [ $c != 124 ] || echo 'it does not end'; after $c $error; }} >$W/bad 2>&1; sed \"s/^/bad $n $call $error ($c): /\" $W/bad
                    # The next one begins anew.
                    [ ! -s $W/bad ] || {{ rm -rf /run/keyslip/*; rm -rf $B/rootfs; cp -a $W/rootfs $B/rootfs; }}
                done 9<$W/faults",
                case.command
            ),
        ));
        assert!(output.succeeded(), "{} on {runtime}: {output}", case.name);
        for line in output.text().lines() {
            outcome.injected += usize::from(line.starts_with("hit "));
            outcome.succeeded += usize::from(line == "hit 0");
            if let Some(bad) = line.strip_prefix("bad ") {
                outcome.bad.push(bad.to_owned());
            }
        }
    }
    println!(
        "{} on {runtime}: {} faults injected, {} survived, {} leaked; it went well all the same {} times",
        case.name,
        outcome.injected,
        outcome.injected - outcome.leaked(),
        outcome.leaked(),
        outcome.succeeded
    );
    outcome
}

impl Outcome {
    /// Faults after which something did not hold.
    pub fn leaked(&self) -> usize {
        let mut faults: Vec<&str> = self.bad.iter().filter_map(|line| line.split(": ").next()).collect();
        faults.dedup();
        faults.len()
    }

    /// Counts it, and fails the test if anything did not hold.
    #[track_caller]
    pub fn settle(outcomes: &[Self], test: &str) {
        let injected = outcomes.iter().map(|outcome| outcome.injected).sum();
        let leaked: usize = outcomes.iter().map(Self::leaked).sum();
        crate::tally::tally(crate::tally::Counted::Faults, test, injected, injected - leaked);
        let bad: Vec<&String> = outcomes.iter().flat_map(|outcome| &outcome.bad).collect();
        assert!(bad.is_empty(), "{} of {injected} faults: {bad:#?}", leaked);
        assert!(injected > 20, "only {injected} faults were injected");
    }
}
