//! Compiles `config/agents/*.toml` into the form that the programs read: no TOML is parsed on the
//! way of a container's start, and a broken definition fails the build.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[allow(dead_code)]
#[path = "src/agent/definition.rs"]
mod definition;

fn main() {
    println!("cargo::rerun-if-changed=config/agents");
    println!("cargo::rerun-if-changed=src/agent/definition.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut paths: Vec<PathBuf> =
        fs::read_dir("config/agents").expect("config/agents").flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut index = String::from("&[\n");
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "toml")) {
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a UTF-8 name");
        compile(path, &out.join(name));
        writeln!(index, "({name:?}, include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\"))),").expect("into memory");
    }
    index.push(']');
    fs::write(out.join("agents.rs"), index).expect("OUT_DIR can be written");
}

fn compile(path: &Path, out: &Path) {
    let text = fs::read_to_string(path).expect("a readable definition");
    let definition: definition::Definition =
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let bytes = postcard::to_allocvec(&definition).expect("every definition can be encoded");
    fs::write(out, bytes).expect("OUT_DIR can be written");
}
