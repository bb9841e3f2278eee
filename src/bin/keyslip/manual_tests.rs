//! What is promised of every command's help.

use clap::Parser;

use super::*;

/// Every command that can be seen, at any depth.
fn every(command: &Command) -> Vec<Command> {
    let below = command.get_subcommands().filter(|command| !command.is_hide_set());
    std::iter::once(command.clone()).chain(below.flat_map(every)).collect()
}

/// The calls of `keyslip` in a line of a shell: at its beginning, after `&&`, `|` or `;`, or in `$(`.
fn calls(line: &str) -> Vec<Vec<String>> {
    let line = line.replace("$(", " ; ").replace(')', " ; ").replace("&&", " ; ").replace('|', " ; ");
    let parts = line.split(" ; ").map(|part| part.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    // A redirection is the shell's.
    let words = parts.map(|words| words.into_iter().take_while(|word| word != "<" && word != ">").collect::<Vec<_>>());
    words.filter(|words| words.first().is_some_and(|word| word == "keyslip")).collect()
}

#[test]
fn every_command_has_examples_that_parse() {
    let commands = every(&commands());
    assert!(commands.len() > 25, "only {} commands", commands.len());
    let mut parsed = 0;
    for command in commands {
        let name = command.get_bin_name().unwrap_or("keyslip").to_owned();
        let lines = examples(&command);
        assert!(!lines.is_empty(), "{name} has no example");
        let calls: Vec<_> = lines.iter().flat_map(|line| calls(line)).collect();
        assert!(calls.iter().any(|words| words.join(" ").starts_with(&name)), "{name}: the examples do not call it");
        for words in calls {
            let line = words.join(" ");
            if let Err(error) = cli::Cli::try_parse_from(words) {
                panic!("{name}: the example `{line}` is refused: {error}");
            }
            parsed += 1;
        }
    }
    assert!(parsed > 40, "only {parsed} examples");
}

#[test]
fn an_example_that_is_wrong_is_found() {
    for line in ["keyslip auth login", "true && keyslip lst", "podman run -v $(keyslip request):/r IMAGE"] {
        let calls = calls(line);
        assert_eq!(calls.len(), 1, "{line}");
        assert!(cli::Cli::try_parse_from(&calls[0]).is_err(), "{line}");
    }
}

#[test]
fn every_command_says_what_it_does_in_one_line() {
    for command in every(&commands()) {
        let name = command.get_bin_name().unwrap_or("keyslip").to_owned();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(!about.is_empty(), "{name} has no description");
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            assert!(argument.get_help().is_some(), "{name}: {} has no description", argument.get_id());
        }
    }
}

#[test]
fn every_command_has_a_page() {
    let dir = tempfile::tempdir().unwrap();
    pages(&commands(), dir.path()).unwrap();
    for command in every(&commands()) {
        let name = command.get_display_name().unwrap_or("keyslip").to_owned();
        let text = fs::read_to_string(dir.path().join(format!("{name}.1"))).unwrap();
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "SEE ALSO"] {
            assert!(
                text.contains(&format!("\n.SH \"{section}\"\n")) || text.contains(&format!("\n.SH {section}\n")),
                "{name}: {section}: {text}"
            );
        }
    }
}

#[test]
fn completions_offer_what_people_type() {
    // bash's offer hidden commands too (clap_complete 4.6), so there are none.
    assert!(every(&commands()).iter().all(|command| command.get_subcommands().all(|below| !below.is_hide_set())));
    for (shell, place) in COMPLETIONS {
        let mut text = Vec::new();
        generate(shell, &mut commands(), "keyslip", &mut text);
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("uninstall") && text.contains("trust-annotations"), "{place}");
    }
}

#[test]
fn the_page_of_the_configuration_has_every_key() {
    let page = configuration(include_str!("../../../config/keyslip.toml"));
    for key in include_str!("../../../config/keyslip.toml").lines().filter_map(|line| line.strip_prefix('#')) {
        let Some((key, _)) = key.split_once(" = ").filter(|(key, _)| !key.starts_with(' ')) else { continue };
        assert!(page.lines().any(|line| line.starts_with(&format!("{key} ="))), "{key}");
    }
}
