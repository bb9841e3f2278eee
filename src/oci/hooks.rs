//! The hooks that a `config.json` lists. No image can add one: they come from the engine, its hook
//! directories and CDI files.

use std::path::Path;

use serde::Deserialize;

use super::Error;
use super::spec::reason;
use crate::json::{self, Text};

/// The arguments, program name first, of every hook at `stage` in the text of a `config.json`; `path` is
/// named in errors.
///
/// # Errors
/// When the hooks are not what they should be.
pub fn hook_arguments<'a>(text: &'a str, stage: &str, path: &Path) -> Result<Vec<Vec<Text<'a>>>, Error> {
    #[derive(Deserialize)]
    struct Hook<'a> {
        #[serde(borrow)]
        args: Option<Vec<Text<'a>>>,
    }
    let invalid = |reason| Error::Invalid { path: path.to_owned(), reason };
    let listed = json::get(text, &["hooks", stage]).map_err(|error| invalid(error.to_string()))?;
    let hooks: Option<Vec<Hook<'a>>> =
        serde_json::from_str(listed.unwrap_or("null")).map_err(|error| invalid(reason(&error)))?;
    Ok(hooks.unwrap_or_default().into_iter().map(|hook| hook.args.unwrap_or_default()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_every_hook_at_a_stage() {
        let text =
            r#"{"hooks":{"createRuntime":[{"path":"/a","args":["a","--device","x"]},{"path":"/b"}],"poststop":[]}}"#;
        let arguments = |stage| -> Vec<String> {
            let hooks = hook_arguments(text, stage, Path::new("c")).unwrap();
            hooks.iter().map(|args| args.iter().map(|arg| &*arg.0).collect::<Vec<_>>().join(" ")).collect()
        };
        assert_eq!(arguments("createRuntime"), ["a --device x", ""]);
        assert_eq!(arguments("poststop"), [""; 0]);
        assert_eq!(arguments("prestart"), [""; 0]);
        for none in ["{}", r#"{"hooks":null}"#, r#"{"hooks":{"createRuntime":null}}"#] {
            assert!(hook_arguments(none, "createRuntime", Path::new("c")).unwrap().is_empty(), "{none}");
        }
        assert!(hook_arguments(r#"{"hooks":{"createRuntime":7}}"#, "createRuntime", Path::new("c")).is_err());
    }
}
