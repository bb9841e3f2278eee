//! `keyslip agents`: what each agent takes, and who has seen it work.
//!
//! In: the definitions that ship with Keyslip and those of `agents.d`. Out: two tables for people, the definitions
//! themselves for programs, and the parts of docs/agents.md that follow from them. A definition that cannot be used is
//! named, the others are shown, and the command fails.

mod page;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use keyslip::agent::{self, Definition};
use keyslip::names::AgentName;
use keyslip::site::Site;
use serde::Serialize;

use crate::output;

#[derive(clap::Args)]
pub struct Args {
    /// Everything about this one.
    agent: Option<AgentName>,
    #[command(flatten)]
    format: output::Format,
    /// Print what docs/agents.md has of it.
    #[arg(long, hide = true, requires = "agent", conflicts_with = "json")]
    markdown: bool,
}

/// An agent. Of its definition JSON has the keys that files of `agents.d` have.
#[derive(Serialize)]
struct Agent {
    name: AgentName,
    /// Its file below `agents.d`; none if it ships with Keyslip.
    file: Option<PathBuf>,
    #[serde(flatten)]
    definition: Definition,
}

pub fn run(args: &Args, site: &Site) -> anyhow::Result<ExitCode> {
    if let Some(name) = &args.agent {
        let Some(agent) = find(name, site)? else {
            return Err(agent::Error::Unknown(name.clone(), site.config.join("agents.d")).into());
        };
        match (args.format.json, args.markdown) {
            (true, _) => output::json(&agent)?,
            (_, true) => print!("{}", page::region(&agent.definition)),
            _ => print_one(&agent),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut names: Vec<AgentName> = agent::built_in().chain(agent::described(&site.config)).collect();
    names.sort();
    names.dedup();
    let mut agents = Vec::new();
    let mut code = ExitCode::SUCCESS;
    for name in names {
        match find(&name, site) {
            Ok(agent) => agents.extend(agent),
            Err(error) => {
                eprintln!("keyslip: {error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    if args.format.json {
        output::json(&agents)?;
    } else {
        print_all(&agents);
    }
    Ok(code)
}

fn find(name: &AgentName, site: &Site) -> Result<Option<Agent>, agent::Error> {
    let file = site.config.join("agents.d").join(format!("{name}.toml"));
    let file = file.exists().then_some(file);
    Ok(Definition::find(name, &site.config)?.map(|mut definition| {
        // An installed program's secret is none, but looks like one to whoever searches an output for secrets.
        definition.kinds.iter_mut().filter_map(|kind| kind.refresh.as_mut()).for_each(|it| it.client_secret = None);
        Agent { name: name.clone(), file, definition }
    }))
}

fn print_all(agents: &[Agent]) {
    let mut takes = vec![output::row(["AGENT", "TAKES", "RECOGNISED", "VARIABLES", "FILES"])];
    let mut about = vec![output::row(["AGENT", "NAME", "LOG IN", "RUN WITH"])];
    for Agent { name, definition, .. } in agents {
        for kind in &definition.kinds {
            takes.push(plain([
                name.to_string(),
                kind.title.clone(),
                words::recognised(&kind.recognise),
                words::variables(kind),
                words::places(kind),
            ]));
        }
        let methods: Vec<&str> = definition.methods.iter().map(|method| method.name.as_str()).collect();
        about.push(plain([
            name.to_string(),
            definition.title.clone(),
            words::or_none(methods.join(", ")),
            words::proven(definition),
        ]));
    }
    output::table(&takes);
    println!();
    output::table(&about);
    println!("\n`keyslip agents AGENT` shows everything of one, `keyslip auth login AGENT --method NAME` logs in.");
}

fn print_one(Agent { name, file, definition }: &Agent) {
    println!("{name}: {}", output::plain(&definition.title));
    let file = file.as_ref().map_or_else(|| "ships with Keyslip".to_owned(), |file| file.display().to_string());
    println!("definition: {file}");
    println!("run with: {}", words::proven(definition));
    println!("to log in, {}", output::plain(&definition.login));
    for (heading, rows) in [("takes", words::kinds(definition)), ("ways to log in", words::methods(definition))] {
        println!("\n{heading}:");
        let rows: Vec<Vec<String>> =
            rows.into_iter().map(|row| row.into_iter().map(|cell| bare(&cell)).collect()).collect();
        output::table(&rows);
    }
    println!();
    for line in words::facts(definition) {
        println!("- {}", output::plain(&bare(&line)));
    }
}

/// A row for a terminal, which has no marks around names.
fn plain<const N: usize>(cells: [String; N]) -> Vec<String> {
    cells.map(|cell| bare(&cell)).to_vec()
}

fn bare(text: &str) -> String {
    text.replace('`', "")
}
