//! The part of docs/agents.md that follows from a definition.

use keyslip::agent::Definition;

use super::words;

/// Two tables and a list, in Markdown.
pub fn region(definition: &Definition) -> String {
    let login = format!("To log in, {}:", definition.login);
    let facts: Vec<String> = words::facts(definition).into_iter().map(|line| format!("- {line}\n")).collect();
    let run = match &definition.proven {
        Some(client) => format!("Run with {client}."),
        None => "Not run with its client.".to_owned(),
    };
    let parts = [run, table(&words::kinds(definition)), login, table(&words::methods(definition)), facts.concat()];
    let parts: Vec<&str> = parts.iter().map(|part| part.trim_end()).filter(|part| !part.is_empty()).collect();
    parts.join("\n\n") + "\n"
}

fn table(rows: &[Vec<String>]) -> String {
    let line = |row: &[String]| {
        let cells = row.iter().map(|cell| cell.replace('|', "\\|"));
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let (heading, rest) = rows.split_first().expect("a heading");
    let rule = format!("|{}\n", "---|".repeat(heading.len()));
    line(heading) + &rule + &rest.iter().map(|row| line(row)).collect::<String>()
}
