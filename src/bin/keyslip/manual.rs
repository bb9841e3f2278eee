//! `manual DIR`: writes man pages and completions into DIR, from the commands as `cli.rs` defines them and from
//! config/keyslip.toml. It is a program of its own, so that what it needs is no part of `keyslip`.

#![forbid(unsafe_code)]
// It knows the commands and runs none.
#![allow(dead_code)]

mod agents;
mod audit;
mod auth;
mod cdi;
mod cli;
mod credential;
mod doctor;
mod import;
mod inject;
mod install;
mod list;
mod live;
mod output;
mod place;
mod plan;
mod request;
mod status;
mod uninstall;

#[cfg(test)]
mod manual_tests;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// Where each shell looks, below `share`.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions/keyslip"),
    (Shell::Zsh, "zsh/vendor-completions/_keyslip"),
    (Shell::Fish, "fish/vendor_completions.d/keyslip.fish"),
];

/// Files that the first page names.
const FILES: [(&str, &str); 5] = [
    ("/etc/keyslip/keyslip.toml", "The configuration; of a user, ~/.config/keyslip/keyslip.toml. See keyslip.toml(5)."),
    ("/etc/keyslip/agents.d", "Definitions of further agents."),
    ("/var/lib/keyslip/tokens", "Root's logins; of a user, ~/.local/state/keyslip/tokens."),
    ("/var/lib/keyslip/audit.log", "The audit log; of a user, ~/.local/state/keyslip/audit.log."),
    ("/run/keyslip", "What running containers hold; of a user, /run/user/UID/keyslip."),
];

fn main() -> io::Result<()> {
    let share = PathBuf::from(std::env::args_os().nth(1).expect("a directory to write to"));
    for (shell, path) in COMPLETIONS {
        generate(shell, &mut commands(), "keyslip", &mut made(&share.join(path))?);
    }
    pages(&commands(), &share.join("man/man1"))?;
    made(&share.join("man/man5/keyslip.toml.5"))?
        .write_all(configuration(include_str!("../../../config/keyslip.toml")).as_bytes())
}

/// The commands, with the names that their pages have.
fn commands() -> Command {
    let mut commands = cli::Cli::command().disable_help_subcommand(true);
    commands.build();
    commands
}

fn made(path: &Path) -> io::Result<File> {
    fs::create_dir_all(path.parent().expect("a file in a directory"))?;
    File::create(path)
}

/// Writes the page of a command, and those of its commands.
fn pages(command: &Command, dir: &Path) -> io::Result<()> {
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        pages(command, dir)?;
    }
    let name = command.get_display_name().unwrap_or("keyslip");
    made(&dir.join(format!("{name}.1")))?.write_all(&page(command)?)
}

/// The line that begins a page. `roff` leaves an empty date out, and the rest would take its place.
fn title(name: &str, section: u8) -> String {
    format!(".TH {} {section} \"\" \"Keyslip {}\" Keyslip\n", name.replace('-', "\\-"), env!("CARGO_PKG_VERSION"))
}

/// The page of one command.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let shown = command.clone().subcommand_help_heading("COMMANDS").subcommand_value_name("COMMAND");
    let man = Man::new(shown);
    let mut text = title(command.get_display_name().unwrap_or("keyslip"), 1).into_bytes();
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.get_subcommands().any(|command| !command.is_hide_set()) {
        man.render_subcommands_section(&mut text)?;
    }
    let mut end = Roff::new();
    end.control("SH", ["EXAMPLES"]);
    literal(&mut end, &examples(command));
    let first = !command.get_bin_name().unwrap_or("keyslip").contains(' ');
    if first {
        end.control("SH", ["EXIT STATUS"]);
        end.text([roman(
            "0: done. 1: failed; a sentence on standard error says what and what to do. 2: wrong usage. \
             keyslip-plan(1) and keyslip-doctor(1) have more.",
        )]);
        end.control("SH", ["FILES"]);
        for (path, what) in FILES {
            end.control("TP", []);
            end.text([bold(path)]);
            end.text([roman(what)]);
        }
    }
    end.control("SH", ["SEE ALSO"]);
    let more = "keyslip.toml(5), keyslip-runtime(8), keyslip-hook(8)";
    end.text([roman(if first { more.to_owned() } else { format!("keyslip(1), {more}") })]);
    end.to_writer(&mut text)?;
    Ok(text)
}

/// The examples below a command's help.
fn examples(command: &Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    help.lines().skip_while(|line| *line != "Examples:").skip(1).map(|line| line.trim().to_owned()).collect()
}

/// Lines that stay as they are.
fn literal(page: &mut Roff, lines: &[String]) {
    page.control("RS", ["4"]);
    page.control("nf", []);
    for line in lines {
        page.text([roman(line.as_str())]);
    }
    page.control("fi", []);
    page.control("RE", []);
}

/// The page of the configuration: the comments of the file that is installed, and its keys.
fn configuration(file: &str) -> String {
    let mut page = Roff::new();
    page.control("SH", ["NAME"]);
    page.text([roman("keyslip.toml - configuration of Keyslip")]);
    page.control("SH", ["DESCRIPTION"]);
    // A comment begins with "# ", a key that is commented out with "#".
    let is_key = |line: &str| line.starts_with('#') && !line.starts_with("# ") && line != "#";
    let mut lines = file.lines().peekable();
    while let Some(line) = lines.next() {
        if is_key(line) {
            let mut keys = vec![line[1..].to_owned()];
            while let Some(line) = lines.next_if(|line| is_key(line)) {
                keys.push(line[1..].to_owned());
            }
            literal(&mut page, &keys);
            page.control("PP", []);
        } else if let Some(text) = line.strip_prefix("# ") {
            page.text([roman(text)]);
        } else {
            page.control("PP", []);
        }
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([roman("keyslip(1), keyslip-doctor(1)")]);
    format!("{}{}", title("keyslip.toml", 5), page.to_roff())
}
