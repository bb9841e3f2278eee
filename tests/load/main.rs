//! A thousand sandboxes alive at once, made and ended at a steady pace while `list`, `sync` and `sweep` run beside: each
//! has its own credential, one create costs as much as with ten alive, and nothing is left.
//!
//! `LOAD=200` makes them fewer.

#[path = "../lab/mod.rs"]
mod lab;
#[path = "../lab/tally.rs"]
mod tally;

use std::time::Instant;

use lab::Lab;
use tally::{Counted, tally};

/// How many are made at a time.
const AT_ONCE: usize = 8;

/// `load start|look|end N`: all share one root file system, so their mountpoints are shared too. Cgroups are the
/// machine's, and none are wanted.
const PROGRAM: &str = r#"
n=$2
crun="$BARE/crun --cgroup-manager=disabled"
case $1 in
start)
    mkdir $W/b$n
    sed "s/claude@a0/claude@a$((n % 10))/" $W/shared/config.json >$W/b$n/config.json
    $crun create --bundle $W/b$n --pid-file $W/b$n/pid k$n </dev/null >$W/b$n/log 2>&1 || { cat $W/b$n/log >&2; exit 1; }
    $crun start k$n
    ;;
look)
    $crun exec --process $W/process.json k$n
    ;;
end)
    $crun delete --force k$n
    rm -r $W/b$n
    ;;
esac
"#;

/// Instructions of the shim for one more create and its delete, the real runtime's not counted.
const COST: &str = r#"
mkdir $W/b0; cp $W/shared/config.json $W/b0/
count() { valgrind --tool=callgrind --callgrind-out-file=$W/cg.$1 $BARE/crun --cgroup-manager=disabled "${@:2}" </dev/null >/dev/null 2>$W/cg.log || { cat $W/cg.log >&2; exit 1; }; sed -n 's/^totals: //p' $W/cg.$1 | tail -1; }
a=$(count a create --bundle $W/b0 --pid-file $W/b0/pid k0); b=$(count b delete --force k0); rm -r $W/b0; echo $a $b
"#;

struct Load<'a> {
    lab: &'a Lab,
}

impl Load<'_> {
    #[track_caller]
    fn each(&self, what: &str, from: usize, to: usize) -> String {
        self.lab.ok(&format!("seq {from} {to} | xargs -P {AT_ONCE} -I@ bash -eu $W/load {what} @"))
    }

    /// The least of three: what a random name happens to share a directory with is not of interest.
    fn cost(&self) -> (u64, u64) {
        let mut least = (u64::MAX, u64::MAX);
        for _ in 0..3 {
            let numbers: Vec<u64> =
                self.lab.ok(COST).split_whitespace().map(|number| number.parse().expect("a number")).collect();
            least = (least.0.min(numbers[0]), least.1.min(numbers[1]));
        }
        least
    }

    /// Bytes and inodes in use on Keyslip's tmpfs.
    fn used(&self) -> (u64, u64) {
        let text = self.lab.ok("df --output=used,iused -B1 /run/keyslip | tail -1");
        let mut numbers = text.split_whitespace().map(|number| number.parse().expect("a number"));
        (numbers.next().unwrap(), numbers.next().unwrap())
    }
}

#[test]
fn a_thousand_sandboxes_at_once() {
    let many: usize = std::env::var("LOAD").ok().and_then(|text| text.parse().ok()).unwrap_or(1000);
    let Some(lab) = Lab::new("load") else { return };
    lab.configure("[[allow]]\nagents = [\"claude\"]\naccounts = [\"a*\"]\n");
    for account in 0..10 {
        lab.login_account("claude", &format!("a{account}"), &lab.token(&format!("A{account}")));
    }
    lab.ok("keyslip install tmpfs");
    lab.bundle("shared", r#".annotations={"dev.keyslip.agents":"claude@a0"} | .root.path="'"$W"'/shared/rootfs""#);
    lab.ok(r#"jq -c '.process | .args=["sh","-c","echo $CLAUDE_CODE_OAUTH_TOKEN $(cat /run/secrets/claude)"]' $W/shared/config.json >$W/process.json"#);
    lab.write("load", PROGRAM.as_bytes());
    let load = Load { lab: &lab };

    let empty = load.used();
    load.each("start", 1, 10);
    let few = load.cost();
    load.each("start", 11, 100);
    let some = load.cost();
    // Whatever else runs on this host looks at the ledger meanwhile.
    lab.ok("touch $W/going; (while [ -e $W/going ]; do keyslip list --json >$W/list.new && keyslip sync --json >$W/sync.new && keyslip sweep >$W/sweep.new || { touch $W/beside-failed; break; }; echo >>$W/rounds; done) </dev/null >$W/beside.log 2>&1 & echo $! >$W/beside.pid");
    let begin = Instant::now();
    load.each("start", 101, many);
    let rate = (many - 100) as f64 / begin.elapsed().as_secs_f64();
    let full = load.used();
    // A steady pace: some end while others are made.
    lab.ok(&format!(
        "seq 1 50 | xargs -P 2 -I@ bash -eu $W/load end @ & seq {} {} | xargs -P 2 -I@ bash -eu $W/load start @; wait",
        many + 1,
        many + 50
    ));
    lab.ok("rm $W/going; for i in $(seq 600); do [ -d /proc/$(cat $W/beside.pid) ] || break; sleep 0.1; done; if [ -e $W/beside-failed ]; then cat $W/beside.log; exit 1; fi");
    let alive = lab.ok("keyslip list --json | jq '[.[] | select(.state == \"live\")] | length'");
    assert_eq!(alive, many.to_string(), "in the list");
    let processes = lab.ok("crun list -q | wc -l");
    assert_eq!(processes, many.to_string(), "at the runtime");
    let most = load.cost();

    let seen = load.each("look", 51, many + 50);
    let mut by_account = [0; 10];
    for line in seen.lines() {
        let account: usize = line.strip_prefix("<A").and_then(|rest| rest[..1].parse().ok()).expect(line);
        assert_eq!(line, format!("<A{account}> <A{account}>"));
        by_account[account] += 1;
    }
    assert_eq!(by_account, [many / 10; 10], "each has its own");

    let time = |command: &str| {
        let begin = Instant::now();
        lab.ok(command);
        begin.elapsed().as_millis()
    };
    let (list, sync, sweep) = (time("keyslip list"), time("keyslip sync"), time("keyslip sweep"));
    load.each("end", 51, many + 50);
    lab.assert_nothing_left("a thousand sandboxes");
    lab.ok("diff -r --no-dereference $W/rootfs $W/shared/rootfs");
    let leaks = lab.leaks(&["/run", "/var/lib/keyslip/audit.log", "/var/tmp", "$W/shared"], "sk-ant-oat01-FAKE-A");
    assert_eq!(leaks, [""; 0], "at the end");

    println!(
        "{many} alive; made at {rate:.0} a second; rounds of list, sync, sweep beside: {}",
        lab.ok("wc -l <$W/rounds")
    );
    println!(
        "instructions of the shim (create, delete): {few:?} with 10 alive, {some:?} with 100, {most:?} with {many}"
    );
    println!(
        "each takes {} bytes and {} inodes of the tmpfs",
        (full.0 - empty.0) / many as u64,
        (full.1 - empty.1) as f64 / many as f64
    );
    println!("with all of them alive: list {list} ms, sync {sync} ms, sweep {sweep} ms (the shell's start included)");
    for (now, before) in [(some, few), (most, few)] {
        // A directory is read a few entries at a time; five percent is what its hash order makes of that.
        assert!(now.0 as f64 <= before.0 as f64 * 1.05, "a create costs more: {now:?} after {before:?}");
        assert!(now.1 as f64 <= before.1 as f64 * 1.05, "a delete costs more: {now:?} after {before:?}");
    }
    tally(Counted::Alive, "a_thousand_sandboxes_at_once", many, many);
}
