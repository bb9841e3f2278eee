//! TOML files. They are read with the reader for JSON that the programs have anyway, which keeps the
//! static ones small (a reader of TOML for every type was 200 KB), and errors name the place in the TOML.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::json::quote;

/// What is wrong in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misplaced {
    /// The bytes of the text that it is about.
    pub span: Range<usize>,
    /// What is wrong.
    pub reason: String,
}

/// A TOML file.
#[derive(Debug)]
pub struct Document<'a> {
    table: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// When it is no TOML.
    pub fn parse(text: &'a str) -> Result<Self, Misplaced> {
        let table = DeTable::parse(text).map_err(|error| Misplaced {
            span: error.span().unwrap_or(0..0),
            reason: error.message().trim().replace('\n', " "),
        })?;
        Ok(Self { table })
    }

    /// The file as a `T`.
    ///
    /// # Errors
    /// When a key is unknown or missing, or a value is of another type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Misplaced> {
        let mut json = Json { text: String::new(), marks: Vec::new() };
        json.table(self.table.get_ref());
        serde_json::from_str(&json.text).map_err(|error| {
            // All of it is one line. What it is about began before the place where it showed.
            let mark = json.marks.iter().rev().find(|(at, _)| *at < error.column());
            let text = error.to_string();
            let reason = without_value(text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason));
            Misplaced { span: mark.map_or(0..0, |(_, span)| span.clone()), reason }
        })
    }

    /// Where the value at `path` is; positions in an array are numbers.
    #[must_use]
    pub fn span(&self, path: &[&str]) -> Range<usize> {
        let mut table = self.table.get_ref();
        let mut found = self.table.span();
        let mut rest = path.iter();
        while let Some(key) = rest.next() {
            let Some(mut value) = table.get(*key) else { return found };
            while let DeValue::Array(values) = value.get_ref()
                && let Some(item) = rest.as_slice().first().and_then(|index| values.get(index.parse::<usize>().ok()?))
            {
                rest.next();
                value = item;
            }
            found = value.span();
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                _ => return found,
            }
        }
        found
    }
}

/// The reason without the text that it quotes: somebody may have written a secret in the wrong place.
fn without_value(reason: &str) -> String {
    match (reason.find("string \""), reason.rfind("\", expected")) {
        (Some(start), Some(end)) if start < end => format!("{}a text{}", &reason[..start], &reason[end + 1..]),
        _ => reason.to_owned(),
    }
}

/// Line and column of a place in `text`, both from 1.
#[must_use]
pub fn line_and_column(text: &str, place: usize) -> (usize, usize) {
    let before = text.get(..place).unwrap_or("");
    (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or("").chars().count() + 1)
}

/// JSON that is being written, and the places in the TOML that its pieces come from.
struct Json {
    text: String,
    marks: Vec<(usize, Range<usize>)>,
}

impl Json {
    fn table(&mut self, table: &DeTable<'_>) {
        self.text.push('{');
        for (index, (key, value)) in table.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.marks.push((self.text.len(), key.span()));
            self.text.push_str(&quote(key.get_ref()));
            self.text.push(':');
            self.value(value);
        }
        self.text.push('}');
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>) {
        self.marks.push((self.text.len(), value.span()));
        match value.get_ref() {
            DeValue::String(text) => self.text.push_str(&quote(text)),
            DeValue::Integer(number) => {
                let whole = i64::from_str_radix(&number.as_str().replace('_', ""), number.radix());
                self.text.push_str(&whole.map_or_else(|_| quote(number.as_str()), |number| number.to_string()));
            }
            DeValue::Boolean(yes) => self.text.push_str(if *yes { "true" } else { "false" }),
            DeValue::Table(table) => self.table(table),
            DeValue::Array(values) => {
                self.text.push('[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        self.text.push(',');
                    }
                    self.value(value);
                }
                self.text.push(']');
            }
            // No key takes one.
            DeValue::Float(number) => self.text.push_str(&quote(number.as_str())),
            DeValue::Datetime(time) => self.text.push_str(&quote(&time.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        name: Option<String>,
        #[serde(default)]
        numbers: Vec<i64>,
        inner: Option<Box<File>>,
    }

    fn read(text: &str) -> Result<File, (usize, usize, String)> {
        let document = Document::parse(text).and_then(|document| document.read());
        document.map_err(|error| {
            let (line, column) = line_and_column(text, error.span.start);
            (line, column, error.reason)
        })
    }

    #[test]
    fn values_of_every_kind_arrive() {
        let file = read("name = 'a\"b\\'\nnumbers = [1_000, 0x10, -3]\n[inner]\nname = \"x\"").unwrap();
        assert_eq!((file.name.as_deref(), file.numbers.as_slice()), (Some("a\"b\\"), [1000, 16, -3].as_slice()));
        assert_eq!(file.inner.unwrap().name.as_deref(), Some("x"));
    }

    #[test]
    fn errors_name_their_place() {
        let (line, column, reason) = read("numbers = [1]\n\nfoo = 1").unwrap_err();
        assert_eq!((line, column), (3, 1));
        assert!(reason.starts_with("unknown field `foo`"), "{reason}");
        let (line, column, _) = read("[inner]\nnumbers = [1, \"x\"]").unwrap_err();
        assert_eq!((line, column), (2, 15));
        let (line, column, _) = read("[inner]\nname = 1.5\n[inner.inner]\nnumbers = true").unwrap_err();
        assert_eq!((line, column), (4, 11));
        assert_eq!(read("a = ").unwrap_err().0, 1);
        let (.., reason) = read("inner = \"hvs.FAKE\"").unwrap_err();
        assert!(reason.contains("invalid type: a text, expected") && !reason.contains("FAKE"), "{reason}");
    }

    #[test]
    fn a_path_leads_to_its_place() {
        let text = "[a]\nb = [{ c = 1 }, { c = 22 }]";
        let document = Document::parse(text).unwrap();
        assert_eq!(&text[document.span(&["a", "b", "1", "c"])], "22");
        assert_eq!(&text[document.span(&["a", "b", "0"])], "{ c = 1 }");
    }
}
