//! Lossless edits of JSON text.
//!
//! A document is never rebuilt from a model of it: models drop the fields they do not know,
//! reorder the ones they do, and refuse a whole file for one new value. Instead the text is read
//! through borrowed views that know their own place in it, and pieces are replaced or inserted.

mod edits;
mod set;

pub use edits::Edits;
pub use set::{get, set};

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A piece of JSON text inside a larger one.
pub type Raw<'a> = &'a RawValue;

/// A member of an object.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// The key, unescaped.
    pub key: Cow<'a, str>,
    /// The value, as it stands in the text.
    pub value: Raw<'a>,
}

/// The members of an object in their order, duplicates included.
#[derive(Clone, Debug, Default)]
pub struct Object<'a>(pub Vec<Member<'a>>);

impl<'a> Object<'a> {
    /// Reads the object that is `text`.
    ///
    /// # Errors
    /// When `text` is no JSON object.
    pub fn read(text: &'a str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// The value of `key`; the last one where it stands twice, as Go's parser has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Raw<'a>> {
        self.0.iter().rev().find(|member| member.key == key).map(|member| member.value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Members<'a> {
            type Value = Object<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'a>, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<Text<'de>, Raw<'de>>()? {
                    members.push(Member { key: key.0, value });
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}

/// A string, borrowed from the text unless it holds escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Borrow).map(Text)
    }
}

/// The elements of an array; `null` and an absent array have none.
///
/// # Errors
/// When `raw` is something else.
pub fn elements<'a, T: Deserialize<'a>>(raw: Option<Raw<'a>>) -> serde_json::Result<Vec<T>> {
    match raw.map(|raw| raw.get()) {
        None | Some("null") => Ok(Vec::new()),
        Some(text) => serde_json::from_str(text),
    }
}

/// An optional field whose `null` is seen as text, so that it can be replaced.
#[derive(Clone, Copy, Debug, Default)]
pub struct Field<'a>(pub Option<Raw<'a>>);

impl<'a> Field<'a> {
    /// The field, unless it is absent or `null`.
    #[must_use]
    pub fn present(self) -> Option<Raw<'a>> {
        self.0.filter(|raw| raw.get() != "null")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Raw::deserialize(deserializer).map(|raw| Field(Some(raw)))
    }
}

/// Where `piece`, borrowed from `whole`, stands in it.
///
/// # Panics
/// When it was not borrowed from `whole`: an error in this program.
#[must_use]
pub fn place(whole: &str, piece: &str) -> Range<usize> {
    let start = (piece.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    assert!(start <= whole.len() && piece.len() <= whole.len() - start, "a piece of another text");
    start..start + piece.len()
}

/// Appends `text` as a JSON string. Nothing of it is left behind by a growing buffer: room for the
/// longest form is reserved before the first byte is written.
pub fn quote_into(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() * 6 + 2);
    serde_json::to_writer(out, text).expect("a string always serialises into memory");
}

/// `text` as a JSON string.
#[must_use]
pub fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("a string always serialises into memory")
}
