//! Reading and setting one value by its path.

use zeroize::Zeroizing;

use super::{Edits, Object, place, quote};

/// The JSON text at `path` below `text`, or nothing.
///
/// # Errors
/// When `text`, or a value on the way, is broken JSON.
pub fn get<'a>(text: &'a str, path: &[&str]) -> serde_json::Result<Option<&'a str>> {
    let Some((first, rest)) = path.split_first() else { return Ok(Some(text)) };
    if !text.trim_start().starts_with('{') {
        return Ok(None);
    }
    match Object::read(text)?.get(first) {
        Some(value) => get(value.get(), rest),
        None => Ok(None),
    }
}

/// Sets the value at `path` to the JSON text `value`, making the objects on the way. With
/// `overwrite` unset a value that is already there stays. Returns nothing when nothing changes.
///
/// # Errors
/// When `text` is no JSON object.
pub fn set(text: &str, path: &[&str], value: &str, overwrite: bool) -> serde_json::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut edits = Edits::default();
    let changed = plan(&mut edits, text, text, path, value, overwrite)?;
    Ok(changed.then(|| edits.apply(text)))
}

/// Adds the edit for `path` below `inner`, a piece of `whole`.
fn plan(
    edits: &mut Edits,
    whole: &str,
    inner: &str,
    path: &[&str],
    value: &str,
    overwrite: bool,
) -> serde_json::Result<bool> {
    let object = Object::read(inner)?;
    let (first, rest) = path.split_first().expect("a path has at least one key");
    let Some(found) = object.get(first) else {
        let at = place(whole, inner).end - inner.len() + inner.rfind('}').expect("an object ends with a brace");
        let comma = if object.0.is_empty() { "" } else { "," };
        edits.insert(at, format!("{comma}{}:{}", quote(first), nest(rest, value)));
        return Ok(true);
    };
    if !rest.is_empty() && found.get().starts_with('{') {
        return plan(edits, whole, found.get(), rest, value, overwrite);
    }
    if overwrite && found.get() != value {
        edits.replace(place(whole, found.get()), nest(rest, value));
        return Ok(true);
    }
    Ok(false)
}

/// `value` inside one object for every key of `path`.
fn nest(path: &[&str], value: &str) -> String {
    path.iter().rev().fold(value.to_owned(), |inner, key| format!("{{{}:{inner}}}", quote(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str, path: &[&str], value: &str, overwrite: bool) -> Option<String> {
        set(text, path, value, overwrite).unwrap().map(|out| String::from_utf8(out.to_vec()).unwrap())
    }

    #[test]
    fn a_value_is_added_where_its_parents_are() {
        let text = r#"{ "security": { "x": 1e400 } , "z": [] }"#;
        let out = changed(text, &["security", "auth", "selectedType"], r#""oauth""#, false).unwrap();
        assert_eq!(out, r#"{ "security": { "x": 1e400 ,"auth":{"selectedType":"oauth"}} , "z": [] }"#);
    }

    #[test]
    fn an_empty_object_needs_no_comma() {
        assert_eq!(changed("{ }", &["a", "b"], "true", false).unwrap(), r#"{ "a":{"b":true}}"#);
    }

    #[test]
    fn what_is_there_stays_unless_overwriting() {
        let text = r#"{"a":{"b":"old"}}"#;
        assert_eq!(changed(text, &["a", "b"], r#""""#, false), None);
        assert_eq!(changed(text, &["a", "b"], r#""""#, true).unwrap(), r#"{"a":{"b":""}}"#);
        assert_eq!(changed(text, &["a", "b", "c"], "1", false), None, "a string is no place for a member");
    }

    #[test]
    fn get_finds_nested_values_and_survives_scalars() {
        assert_eq!(get(r#"{"a":{"b":[1]}}"#, &["a", "b"]).unwrap(), Some("[1]"));
        assert_eq!(get(r#"{"a":1}"#, &["a", "b"]).unwrap(), None);
    }
}
