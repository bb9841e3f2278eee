//! Specifications and annotations made to be believed, to be misread or to be too much.

use crate::host::Host;
use crate::lab::{Lab, RUNTIMES};
use crate::start::{Outcome, Start, Way};
use crate::tally::{Counted, tally};

use Outcome::{Ends, Nothing, Refused, Starts};

/// Annotations, as members of a JSON object.
const ANNOTATIONS: &[(&str, &str, Outcome)] = &[
    ("an agent above", r#""dev.keyslip.agents":"../../etc/keyslip""#, Refused("the agent name")),
    ("an agent with a path", r#""dev.keyslip.agents":"claude/../codex""#, Refused("the agent name")),
    ("an account above", r#""dev.keyslip.agents":"claude@../default""#, Refused("the account")),
    ("a secret above", r#""dev.keyslip.secrets":"../../etc/passwd""#, Refused("the secret name")),
    ("a secret that is a path", r#""dev.keyslip.secrets":"/etc/passwd""#, Refused("the secret name")),
    ("a template above", r#""dev.keyslip.template":"../x""#, Refused("the template")),
    ("a user above", r#""dev.keyslip.agents":"claude","dev.keyslip.user":"../root""#, Refused("a user name or number")),
    ("a newline and more", r#""dev.keyslip.agents":"claude\nhost=x""#, Refused("the agent name")),
    (
        "a newline in a user",
        r#""dev.keyslip.agents":"claude","dev.keyslip.user":"dev\nroot""#,
        Refused("a user name or number"),
    ),
    ("a NUL", r#""dev.keyslip.agents":"claude\u0000codex""#, Refused("the agent name")),
    ("a NUL in the key", r#""dev.keyslip.agents\u0000":"claude""#, Refused("is unknown")),
    ("a lone surrogate", r#""dev.keyslip.agents":"claude\ud800""#, Ends),
    ("an escape for the terminal", r#""dev.keyslip.agents":"\u001b]0;x\u0007""#, Refused("the agent name")),
    ("a Cyrillic agent", r#""dev.keyslip.agents":"сlaude""#, Refused("the agent name")),
    ("a Cyrillic key", r#""dev.keyslip.аgents":"claude""#, Refused("is unknown")),
    ("a fullwidth account", r#""dev.keyslip.agents":"claude@ｗork""#, Refused("the account")),
    ("an upper-case agent", r#""dev.keyslip.agents":"CLAUDE""#, Refused("the agent name")),
    ("an upper-case key", r#""dev.keyslip.Agents":"claude""#, Refused("is unknown")),
    ("a prefix with another dot", r#""dev․keyslip.agents":"claude""#, Nothing),
    ("an upper-case prefix", r#""DEV.KEYSLIP.agents":"claude""#, Nothing),
    ("a joined letter", r#""dev.keyslip.agents":"claude\u200d""#, Refused("the agent name")),
    ("a no-break space", r#""dev.keyslip.agents":"claude\u00a0codex""#, Refused("the agent name")),
    (
        "a key given twice",
        r#""dev.keyslip.agents":"claude","dev.keyslip.agents":"claude@work""#,
        Refused("given twice"),
    ),
    (
        "a key given twice, once in escapes",
        r#""dev.keyslip.agents":"claude","dev\u002ekeyslip.agents":"claude@work""#,
        Refused("given twice"),
    ),
    ("two accounts", r#""dev.keyslip.agents":"claude,claude@work""#, Refused("two accounts")),
    ("another account", r#""dev.keyslip.agents":"claude@work""#, Refused("claude@work")),
    (
        "the account of a namespace",
        r#""dev.keyslip.agents":"claude@team","io.kubernetes.cri.sandbox-namespace":"team","io.kubernetes.cri.sandbox-name":"p""#,
        Refused("claude@team"),
    ),
    (
        "the account of a namespace of CRI-O",
        r#""dev.keyslip.agents":"claude@team","io.kubernetes.cri-o.Namespace":"team","io.container.manager":"cri-o""#,
        Refused("claude@team"),
    ),
    ("a number", r#""dev.keyslip.agents":5"#, Refused("must be a string")),
    ("a list", r#""dev.keyslip.agents":["claude"]"#, Refused("must be a string")),
    ("an agent that nobody knows", r#""dev.keyslip.agents":"unheard-of""#, Refused("unheard-of")),
    ("weaker than the host", r#""dev.keyslip.agents":"claude","dev.keyslip.on-missing":"warn""#, Refused("on-missing")),
    ("a user and no agent", r#""dev.keyslip.user":"root""#, Refused("name no agent")),
];

/// What a shell makes of the annotations, `$A`, where a table would be too long.
const LONG: &[(&str, &str, Outcome)] = &[
    (
        "ten thousand agents",
        r#"printf '"dev.keyslip.agents":"'; printf 'a%s,' $(seq 10000); printf '"'"#,
        Refused("more than 32"),
    ),
    (
        "a name of a megabyte",
        r#"printf '"dev.keyslip.agents":"'; head -c 1000000 /dev/zero | tr '\0' a; printf '"'"#,
        Refused("the agent name"),
    ),
    (
        "a key of a megabyte",
        r#"printf '"dev.keyslip.'; head -c 1000000 /dev/zero | tr '\0' a; printf '":"claude"'"#,
        Refused("is unknown"),
    ),
    (
        "a user of a megabyte",
        r#"printf '"dev.keyslip.agents":"claude","dev.keyslip.user":"'; head -c 1000000 /dev/zero | tr '\0' a; printf '"'"#,
        Refused("a user name or number"),
    ),
    (
        "ten thousand others",
        r#"printf '"dev.keyslip.agents":"claude codex"'; printf ',"a%s":"b"' $(seq 10000)"#,
        Starts,
    ),
    (
        "fifteen megabytes of another",
        r#"printf '"dev.keyslip.agents":"claude codex","x":"'; head -c 15000000 /dev/zero | tr '\0' a; printf '"'"#,
        Starts,
    ),
    (
        "more than is read",
        r#"printf '"dev.keyslip.agents":"claude codex","x":"'; head -c 17000000 /dev/zero | tr '\0' a; printf '"'"#,
        Ends,
    ),
];

/// What is done to the text of the configuration, `../config.json`.
const TEXTS: &[(&str, &str)] = &[
    ("cut in its middle", r#"truncate -s $(( $(stat -c %s ../config.json) / 2 )) ../config.json"#),
    ("cut before its end", "truncate -s -1 ../config.json"),
    ("cut in an annotation", r#"sed -i 's/"dev.keyslip.agents.*/"dev.keyslip.agents":"cl/' ../config.json"#),
    ("nothing but a brace", "echo '{' >../config.json; echo dev.keyslip >>../config.json"),
    ("binary", "{ head -c 100000 /dev/urandom; echo dev.keyslip.; } >../config.json"),
    ("with bytes that are no text", r"sed -i 's/claude codex/claude \xff\xfe/' ../config.json"),
    ("with a mark of byte order", r"sed -i '1s/^/\xef\xbb\xbf/' ../config.json"),
    (
        "a hundred thousand lists deep",
        r#"d=$(head -c 100000 /dev/zero | tr '\0' '['); u=$(tr '[' ']' <<<$d); echo "{\"x\":$d$u," >../new; sed 's/^{//' ../config.json >>../new; mv ../new ../config.json"#,
    ),
    (
        "a hundred thousand objects deep in the process",
        r#"d=$(printf '{"a":%.0s' $(seq 100000)); u=$(head -c 100000 /dev/zero | tr '\0' '}'); sed -i '/"process"/!d' ../config.json; { echo "{\"process\":{\"x\":${d}1$u,"; sed 's/^.*"process":{//' ../config.json; } >../new; mv ../new ../config.json"#,
    ),
    (
        "deep in our annotation",
        r#"d=$(head -c 100000 /dev/zero | tr '\0' '['); u=$(tr '[' ']' <<<$d); echo "{\"annotations\":{\"dev.keyslip.agents\":$d$u},\"process\":{}}" >../config.json"#,
    ),
    ("a process given twice", r#"sed -i 's/^{/{"process":{"user":{"uid":0}},/' ../config.json"#),
    ("annotations given twice", r#"sed -i 's/^{/{"annotations":{},/' ../config.json"#),
    ("mounts that are a text", r#"jq -c '.mounts="x"' ../config.json >../new; mv ../new ../config.json"#),
    (
        "annotations that are a list",
        r#"jq -c '.annotations=["dev.keyslip.agents"]' ../config.json >../new; mv ../new ../config.json"#,
    ),
    ("no process", r#"jq -c 'del(.process)' ../config.json >../new; mv ../new ../config.json"#),
    (
        "variables that are no texts",
        r#"jq -c '.process.env=[1,null,{}]' ../config.json >../new; mv ../new ../config.json"#,
    ),
    ("a user without end", r#"sed -i 's/"uid":1000/"uid":99999999999999999999/' ../config.json"#),
    ("a user below zero", r#"sed -i 's/"uid":1000/"uid":-1/' ../config.json"#),
    (
        "a mount without a destination",
        r#"jq -c '.mounts+=[{source:"/x"}]' ../config.json >../new; mv ../new ../config.json"#,
    ),
    ("a root above", r#"jq -c '.root.path="../../../../nowhere"' ../config.json >../new; mv ../new ../config.json"#),
];

/// Home directories and users' lists: a script in the root file system, a filter of jq.
const HOMES: &[(&str, &str, &str, Outcome)] = &[
    ("a home with a newline", "true", r#".process.env+=["HOME=/home/dev\nx"]"#, Refused("without control characters")),
    (
        "a home with an escape",
        "true",
        r#".process.env+=["HOME=/home/\u001b[2J"]"#,
        Refused("without control characters"),
    ),
    ("a home with a NUL", "true", r#".process.env+=["HOME=/home/dev\u0000"]"#, Refused("without control characters")),
    ("a relative home", "true", r#".process.env+=["HOME=home/dev"]"#, Refused("must be an absolute path")),
    ("a home above", "true", r#".process.env+=["HOME=../../.."]"#, Refused("must be an absolute path")),
    ("a home above the root", "true", r#".process.env+=["HOME=/../../../../../home/dev"]"#, Starts),
    ("a home of the host", "true", r#".process.env+=["HOME="+$w+"/host/home"]"#, Starts),
    (
        "a home in proc",
        "true",
        r#".process.env+=["HOME=/proc/self/root/home"]"#,
        Refused("lies in a file system of the kernel"),
    ),
    ("a home in sys", "true", r#".process.env+=["HOME=/sys/fs"]"#, Refused("lies in a file system of the kernel")),
    ("a home of five thousand", "true", r#".process.env+=["HOME=/"+("a"*5000)]"#, Refused("in the container")),
    ("a directory of a client with a NUL", "true", r#".process.env+=["CODEX_HOME=/x\u0000y"]"#, Ends),
    (
        "a directory of a client above the root",
        "true",
        r#".process.env+=["CODEX_HOME=/../../..",("CLAUDE_CONFIG_DIR="+$w+"/host/home")]"#,
        Ends,
    ),
    (
        "a listed home with a control character",
        r#"printf 'dev:x:1000:1000::/home/\033x:/bin/sh\n' >etc/passwd"#,
        ".",
        Refused("without control characters"),
    ),
    (
        "a listed home that is relative",
        "echo dev:x:1000:1000::home/dev:/bin/sh >etc/passwd",
        ".",
        Refused("must be an absolute path"),
    ),
    ("a listed home that is no text", r#"printf 'dev:x:1000:1000::/home/\xff:/bin/sh\n' >etc/passwd"#, ".", Ends),
    (
        "a list of binary",
        "{ head -c 200000 /dev/urandom; echo; cat ../../small/etc/passwd; } >etc/passwd",
        r#".process.env+=["HOME=/home/dev"]"#,
        Starts,
    ),
    ("a list of 100 MB of zeros after the user", "truncate -s 100M etc/passwd", ".", Ends),
    (
        "a list of 100 MB and then the user",
        "{ yes 'a:x:5:5::/:' | head -c 100000000; echo; cat ../../small/etc/passwd; } >etc/passwd",
        r#".annotations["dev.keyslip.user"]="dev""#,
        Refused("longer than a megabyte"),
    ),
    (
        "a list of 100 MB of nobody",
        "{ yes 'a:x:5:5::/:' | head -c 100000000; echo; } >etc/passwd",
        ".",
        Refused("longer than a megabyte"),
    ),
    (
        "a list of one line of 100 MB",
        "yes a | head -c 100000000 | tr -d '\n' >etc/passwd",
        r#".process.env+=["HOME=/home/dev"]"#,
        Ends,
    ),
];

/// Starts everything in a table.
fn each<'t>(way: Way, name: &str, table: impl Iterator<Item = (&'t str, String, String, Outcome)>) {
    let name = format!("{name}-{way:?}").to_lowercase();
    let Some(lab) = Lab::new(&name) else { return };
    let start = Start::new(&lab, way, false);
    lab.login_account("claude", "work", &lab.token("WORK"));
    lab.login_account("claude", "team", &lab.token("TEAM"));
    lab.configure("[[allow]]\nengine = \"cri\"\nnamespace = \"team\"\nagents = [\"claude\"]\naccounts = [\"team\"]\n");
    let host = Host::new(&lab);
    let mut tried = 0;
    for (number, (what, script, edit, outcome)) in table.enumerate() {
        let runtime = RUNTIMES[number % 2];
        let what = format!("{name} on {runtime}: {what}");
        start.prepare_with(runtime, &script, &edit);
        host.arm();
        start.becomes(runtime, outcome, &what);
        assert_eq!(host.touched(), "", "{what}: the host was touched");
        start.sweep();
        lab.assert_nothing_left(&what);
        tried += 1;
    }
    tally(Counted::Hostile, &name, tried, tried);
}

/// The script that gives the configuration these annotations, as they are: jq would tidy them.
fn annotated(members: &str) -> String {
    format!(
        "jq -c 'del(.annotations)' ../config.json >../new; {{ printf '{{\"annotations\":{{'; {members}; printf '}},'; sed 's/^{{//' ../new; }} >../config.json"
    )
}

fn hostile_annotations(way: Way) {
    let short = ANNOTATIONS.iter().map(|(what, members, outcome)| {
        (*what, annotated(&format!("printf %s '{members}'")), ".".to_owned(), *outcome)
    });
    let long = LONG.iter().map(|(what, script, outcome)| (*what, annotated(script), ".".to_owned(), *outcome));
    each(way, "annotations", short.chain(long));
}

#[test]
fn hostile_annotations_behind_the_shim_are_refused_or_ask_for_nothing() {
    hostile_annotations(Way::Shim);
}

#[test]
fn hostile_annotations_and_hooks_are_refused_or_ask_for_nothing() {
    hostile_annotations(Way::Precreate);
}

#[test]
fn broken_huge_and_deep_specifications_end_in_a_sentence() {
    for way in [Way::Shim, Way::Precreate] {
        each(way, "texts", TEXTS.iter().map(|(what, script)| (*what, (*script).to_owned(), ".".to_owned(), Ends)));
    }
}

#[test]
fn odd_homes_and_lists_of_users_lead_nowhere() {
    for way in [Way::Shim, Way::Precreate] {
        let table = HOMES
            .iter()
            .map(|(what, script, edit, outcome)| (*what, (*script).to_owned(), (*edit).to_owned(), *outcome));
        each(way, "homes", table);
    }
}
