//! The test of the pages fails where it has to.

use std::path::Path;

use crate::links::broken;
use crate::page::{Page, fits};
use crate::{commands, run};

/// A page of lines, `'''` being a fence.
fn page(text: &str) -> Result<Page, String> {
    Page::read(&text.replace("'''", "```"))
}

/// Why a page cannot be run; nothing without root.
#[track_caller]
fn fails(name: &str, text: &str, reason: &str) {
    let mut page = page(text).expect("a page that can be read");
    page.lab.insert("tree".to_owned(), "debian12".to_owned());
    match run::run(&page, name) {
        Ok(None) => {}
        Ok(Some(tally)) => panic!("{text}: {tally:?}"),
        Err(error) => assert!(error.contains(reason), "{reason}: {error}"),
    }
}

#[test]
fn a_block_that_nothing_is_known_of_is_an_error() {
    for (text, reason) in [
        ("'''\nls\n'''\n", "1: a block without a language"),
        ("'''shell\nls\n'''\n", "1: blocks of the language shell are unknown"),
        ("'''text\nfoo\n'''\n", "1: a text that no command has printed"),
        ("<!-- not run: a reason -->\n'''sh\nls\n'''\n'''text\nfoo\n'''\n", "5: a text that no command has printed"),
        ("'''yaml\na: b\n'''\n", "1: a file that no command uses"),
        ("<!-- expects: x -->\n'''sh\nls\n'''\n", "1: the comment `expects: x` is unknown"),
        ("<!-- not run -->\n'''sh\nls\n'''\n", "1: the comment `not run` is unknown"),
        ("<!-- exit: 2 -->\nprose\n\n'''sh\nls\n'''\n", "1: the comment belongs to no block"),
        ("<!-- exit: 2 -->\n", "1: the comment belongs to no block"),
        ("<!-- instead: ls -->\n'''sh\nls\n'''\n", "2: `instead` or `pods` without `not run`"),
    ] {
        let error = page(text).expect_err(text);
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn a_command_that_fails_fails_its_page() {
    fails("fail", "'''sh\ntrue\n'''\n\n'''sh\necho one\nfalse\necho two\n'''\n", "5: `false` ended with 1 and not 0");
    fails("code", "<!-- exit: 3 -->\n'''sh\nexit_with() { return $1; }\nexit_with 2\n'''\n", "ended with 2 and not 3");
    fails("zero", "<!-- exit: 3 -->\n'''sh\ntrue\n'''\n", "ended with 0 and not 3");
    fails("gone", "'''sh\nkeyslip nonsense\n'''\n", "`keyslip nonsense` ended with 2 and not 0");
    fails("exit", "'''sh\nexit 0\n'''\n", "the end of the shell");
    fails("before", "<!-- before: false -->\n", "`false` ended with 1");
    fails("instead", "<!-- not run: no\n-->\n<!-- instead: false -->\n'''sh\ntrue\n'''\n", "`false` ended with 1");
}

#[test]
fn an_output_that_is_not_as_the_page_has_it_fails_it() {
    fails(
        "expect",
        "<!-- expect: three -->\n'''sh\necho one; echo two >&2\n'''\n",
        "`three` is not in the output: one\ntwo",
    );
    fails("not", "<!-- expect not: two -->\n'''sh\necho one; echo two >&2\n'''\n", "`two` is in the output");
    fails("text", "'''sh\necho one\n'''\n\n'''text\ntwo\n'''\n", "the output is another one: one");
}

#[test]
fn data_that_cannot_be_loaded_fails_its_page() {
    fails("toml", "'''toml\non_missing = \"never\"\n'''\n", "1: ");
    fails("key", "'''toml\nno_such_key = 1\n'''\n", "no_such_key");
    fails("json", "'''json\n{\"a\": }\n'''\n", "1: expected value");
    fails("yaml", "<!-- file: $W/a.yaml -->\n'''yaml\na: [\n'''\n", "2: ");
}

#[test]
fn a_page_keeps_its_variables_its_directory_and_its_files() {
    let text = "<!-- lab: tree=debian12 -->\n<!-- stands for: NAME is world -->\n<!-- file: /etc/greeting.toml -->\n'''toml\na = 1\n'''\n\n'''sh\ncd /etc\nword=hello\n'''\n
<!-- expect: /etc hello ... 1 -->\n<!-- input: x -->\n<!-- exit: 4 -->\n'''sh\necho $PWD $word NAME RENAMED\ncat greeting.toml\n(read -r a; [ $a = x ] && exit 4)\n'''\n\n'''text\n/etc hello world RENAMED\n...\n'''\n
<!-- not run: a reason -->\n'''sh\nfalse\n'''\n";
    let page = page(text).expect("a page");
    let Some(tally) = run::run(&page, "keeps").unwrap_or_else(|error| panic!("{error}")) else { return };
    assert_eq!((tally.blocks, tally.commands, tally.outputs, tally.data), (3, 5, 1, 1), "{tally:?}");
    assert_eq!(tally.not_run, [(28, "a reason".to_owned())]);
}

#[test]
fn blocks_are_taken_apart_as_a_shell_does() {
    let text = "# a comment\nfor i in 1 2; do\n  echo $i\ndone\n\ncat <<END\na'b\nEND\nls \\\n  -l | wc\n";
    let commands = commands::split(text).expect("commands");
    assert_eq!(commands, ["for i in 1 2; do\n  echo $i\ndone\n", "cat <<END\na'b\nEND\n", "ls \\\n  -l | wc\n"]);
    assert!(commands::split("echo 'a\n").is_err() && commands::split("if true; then\n").is_err());
}

#[test]
fn a_pattern_fits_from_beginning_to_end() {
    for (text, pattern, expected) in [
        ("one two three", "one ... three", true),
        ("one two three", "one ...", true),
        ("one two three", "two ...", false),
        ("one two three", "one two", false),
        ("one two three", "... two ...", true),
        ("one two three", "... two", false),
        ("one two", "one two", true),
    ] {
        assert_eq!(fits(text, pattern), expected, "{text} / {pattern}");
    }
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let text = "# One `two`: three\n[a](#one-two-three) [b](#none) [c](Cargo.toml) [d](none.md)\n[e](https://example.org/x) `[f](none)`\n";
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("page.md");
    assert_eq!(broken(&page, text), (vec!["#none".to_owned(), "none.md".to_owned()], 4));
}
