//! Adding to a JSON file that a person wrote, in the manner of that person: indentation, line ends, spaces
//! and order stay, and taking the addition out gives the very bytes back.

use std::ops::Range;

use serde_json::Value;

use crate::json::{Object, place, quote};

use super::ours::{Member, Ours, at, same};

/// An addition to a JSON file.
#[derive(Debug)]
pub(super) struct Added {
    pub text: String,
    pub ours: Ours,
}

/// Sets members, each given by its keys and its value, making objects on the way. What is set already
/// is left as it is. `text` must be a JSON object.
pub(super) fn add(text: &str, wanted: &[(&[&str], Value)]) -> Added {
    let mut added = Added { text: text.to_owned(), ours: Ours::Members { set: Vec::new(), made: Vec::new() } };
    for (keys, value) in wanted {
        added.one(keys, value);
    }
    added
}

impl Added {
    fn one(&mut self, keys: &[&str], value: &Value) {
        let Ours::Members { set, made } = &mut self.ours else { return };
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let json = value.to_string();
        let there = at(&self.text, &keys).map(str::to_owned);
        if there.as_deref().is_some_and(|there| same(there, &json)) {
            return;
        }
        if there.is_some() {
            self.text = replace(&self.text, &keys, &json).unwrap_or_default();
        } else {
            let depth = (1..keys.len()).rev().find(|depth| at(&self.text, &keys[..*depth]).is_some()).unwrap_or(0);
            made.extend((depth + 1..keys.len()).map(|depth| keys[..depth].to_vec()));
            let inner = keys[depth + 1..]
                .iter()
                .rev()
                .fold(value.clone(), |inner, key| Value::Object(std::iter::once((key.clone(), inner)).collect()));
            self.text = insert(&self.text, &keys[..depth], &keys[depth], &inner);
        }
        set.push(Member { keys, value: json, was: there });
    }
}

/// How an object is written.
struct Style {
    /// What separates the last member from the one before, without the comma: a line end and the
    /// indentation, a space, or nothing.
    gap: String,
    /// One step of indentation; nothing where everything is on one line.
    step: Option<String>,
    line_end: &'static str,
    /// What follows a colon.
    after_colon: &'static str,
}

impl Style {
    /// Of the object that is `text`, in a document whose outermost object is `whole`.
    fn of(whole: &str, text: &str, depth: usize) -> Self {
        let line_end = if whole.contains("\r\n") { "\r\n" } else { "\n" };
        let outer = last_gap(whole).filter(|gap| gap.contains('\n'));
        let step = outer.as_deref().map(indentation).filter(|step| !step.is_empty()).unwrap_or("  ").to_owned();
        let compact = minified(whole);
        match last_gap(text) {
            Some(gap) => {
                let step = gap.contains('\n').then_some(step);
                Self { gap, step, line_end, after_colon: if compact { "" } else { " " } }
            }
            // An empty object: as the document is.
            None if outer.is_none() && last_gap(whole).is_some() => {
                Self { gap: String::new(), step: None, line_end, after_colon: if compact { "" } else { " " } }
            }
            None => Self {
                gap: format!("{line_end}{}", step.repeat(depth + 1)),
                step: Some(step),
                line_end,
                after_colon: " ",
            },
        }
    }

    /// Between two members on one line.
    fn comma(&self) -> &'static str {
        if self.after_colon.is_empty() { "," } else { ", " }
    }

    fn write(&self, out: &mut String, value: &Value, gap: &str) {
        let (open, close, items): (char, char, Vec<(String, &Value)>) = match value {
            Value::Object(members) if !members.is_empty() => {
                let key = |key: &String| format!("{}:{}", quote(key), self.after_colon);
                ('{', '}', members.iter().map(|(name, value)| (key(name), value)).collect())
            }
            Value::Array(values) if !values.is_empty() => {
                ('[', ']', values.iter().map(|value| (String::new(), value)).collect())
            }
            _ => return out.push_str(&value.to_string()),
        };
        let inner = self.step.as_ref().map_or(String::new(), |step| format!("{gap}{step}"));
        let between = if self.step.is_none() { self.comma() } else { "," };
        out.push(open);
        for (index, (key, value)) in items.into_iter().enumerate() {
            out.push_str(if index > 0 { between } else { "" });
            out.push_str(&inner);
            out.push_str(&key);
            self.write(out, value, &inner);
        }
        if self.step.is_some() {
            out.push_str(gap);
        }
        out.push(close);
    }
}

/// Puts a member at the end of the object at `parents`.
fn insert(whole: &str, parents: &[String], key: &str, value: &Value) -> String {
    let Some((object, inner)) = object_at(whole, parents) else { return whole.to_owned() };
    let style = Style::of(whole, inner, parents.len());
    let start = place(whole, inner).start;
    let mut member = format!("{}{}:{}", style.gap, quote(key), style.after_colon);
    style.write(&mut member, value, &style.gap);
    let (from, to) = if let Some(last) = object.0.last() {
        member.insert_str(0, if style.gap.is_empty() { style.comma() } else { "," });
        let end = place(whole, last.value.get()).end;
        (end, end)
    } else {
        if style.step.is_some() {
            // The closing brace comes onto a line of its own.
            let step = style.step.as_deref().unwrap_or_default();
            member.push_str(style.line_end);
            member.push_str(&step.repeat(parents.len()));
        }
        (start + 1, start + inner.rfind('}').unwrap_or(1))
    };
    format!("{}{member}{}", &whole[..from], &whole[to..])
}

/// Takes a member out, with the comma and the space that were its own.
pub(super) fn remove(whole: &str, keys: &[String]) -> Option<String> {
    let (key, parents) = keys.split_last()?;
    let (object, inner) = object_at(whole, parents)?;
    let index = object.0.iter().rposition(|member| member.key == **key)?;
    let end = |index: usize| place(whole, object.0[index].value.get()).end;
    let opened = place(whole, inner).start + 1;
    let cut: Range<usize> = if index > 0 {
        end(index - 1)..end(index)
    } else if object.0.len() > 1 {
        let key_start = |from: usize| from + whole[from..].find('"').unwrap_or(0);
        key_start(opened)..key_start(end(0))
    } else {
        opened..place(whole, inner).end - inner.len() + inner.rfind('}')?
    };
    Some(format!("{}{}", &whole[..cut.start], &whole[cut.end..]))
}

/// Gives a member another value, written as `value`.
pub(super) fn replace(whole: &str, keys: &[String], value: &str) -> Option<String> {
    let there = place(whole, at(whole, keys)?);
    Some(format!("{}{value}{}", &whole[..there.start], &whole[there.end..]))
}

/// The object at `keys`, and its text.
fn object_at<'a>(whole: &'a str, keys: &[String]) -> Option<(Object<'a>, &'a str)> {
    let text = at(whole, keys)?;
    Some((Object::read(text).ok()?, text))
}

/// The white space in front of the last key of the object that is `text`.
fn last_gap(text: &str) -> Option<String> {
    let object = Object::read(text).ok()?;
    let from = match object.0.len() {
        0 => return None,
        1 => text.find('{')? + 1,
        more => place(text, object.0[more - 2].value.get()).end,
    };
    let key = from + text[from..].find('"')?;
    Some(
        text[from..key]
            .chars()
            .rev()
            .take_while(|c| c.is_ascii_whitespace())
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect(),
    )
}

fn indentation(gap: &str) -> &str {
    gap.rsplit('\n').next().unwrap_or("")
}

/// Whether the document does without spaces.
fn minified(text: &str) -> bool {
    let Ok(object) = Object::read(text) else { return false };
    object.0.first().is_some_and(|first| text[..place(text, first.value.get()).start].ends_with(':'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RUNTIME: [&str; 2] = ["runtimes", "keyslip"];

    fn added(text: &str) -> String {
        let added = add(text, &[(&RUNTIME, json!({ "path": "/k" }))]);
        assert_eq!(added.ours.taken_out(&added.text).as_deref().map(without_space), Some(without_space(text)));
        added.text
    }

    fn without_space(text: &str) -> String {
        text.split_ascii_whitespace().collect()
    }

    #[test]
    fn an_addition_is_in_the_manner_of_the_file() {
        for (text, expected) in [
            ("{}\n", "{\n  \"runtimes\": {\n    \"keyslip\": {\n      \"path\": \"/k\"\n    }\n  }\n}\n"),
            (
                "{\n\t\"a\": [1,\n2]\n}",
                "{\n\t\"a\": [1,\n2],\n\t\"runtimes\": {\n\t\t\"keyslip\": {\n\t\t\t\"path\": \"/k\"\n\t\t}\n\t}\n}",
            ),
            ("{\"a\":1}", "{\"a\":1,\"runtimes\":{\"keyslip\":{\"path\":\"/k\"}}}"),
            ("{ \"a\": 1 , \"b\": 2 }\n", "{ \"a\": 1 , \"b\": 2, \"runtimes\": {\"keyslip\": {\"path\": \"/k\"}} }\n"),
            (
                "{\r\n    \"runtimes\": { }\r\n}\r\n",
                "{\r\n    \"runtimes\": {\r\n        \"keyslip\": {\r\n            \"path\": \"/k\"\r\n        }\r\n    }\r\n}\r\n",
            ),
            (
                "{\n  \"runtimes\": {\"x\": {\"path\": \"/x\"}}\n}\n",
                "{\n  \"runtimes\": {\"x\": {\"path\": \"/x\"}, \"keyslip\": {\"path\": \"/k\"}}\n}\n",
            ),
        ] {
            assert_eq!(added(text), expected, "{text}");
        }
    }

    #[test]
    fn what_others_added_since_stays() {
        let text = "{\n  \"a\": 1\n}\n";
        let Added { text: after, ours } = add(text, &[(&RUNTIME, json!({ "path": "/k" }))]);
        let edited = after.replace("\n}\n", ",\n  \"b\": 2\n}\n").replace("\"a\": 1,", "\"a\": 3,");
        assert_eq!(ours.taken_out(&edited).as_deref(), Some("{\n  \"a\": 3,\n  \"b\": 2\n}\n"));
        let beside = after.replace("\"keyslip\"", "\"mine\": { \"path\": \"/m\" },\n    \"keyslip\"");
        let left = ours.taken_out(&beside).unwrap();
        assert!(left.contains("\"runtimes\": {\n    \"mine\": { \"path\": \"/m\" }\n  }"), "{left}");
        assert_eq!(ours.taken_out(&after.replace("/k", "/other")), None, "not ours any more");
    }

    #[test]
    fn a_value_that_was_there_comes_back_as_it_was_written() {
        let text = r#"{ "default-runtime" :  "runc" }"#;
        let Added { text: after, ours } = add(text, &[(&["default-runtime"], json!("keyslip"))]);
        assert_eq!(after, r#"{ "default-runtime" :  "keyslip" }"#);
        assert_eq!(ours.taken_out(&after).as_deref(), Some(text));
    }
}
