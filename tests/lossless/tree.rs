//! A model of JSON that keeps the text of every scalar and every key, and duplicates.

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tree {
    Scalar(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// Reads `text`, which must be valid JSON.
    pub fn parse(text: &str) -> Self {
        let mut rest = text.trim();
        let tree = value(&mut rest);
        assert_eq!(rest.trim(), "", "text behind the value");
        tree
    }

    /// The member `key`, made as `null` where it is absent.
    pub fn member(&mut self, key: &str) -> &mut Tree {
        let Tree::Object(members) = self else { panic!("no object") };
        let key = format!("\"{key}\"");
        let at = members.iter().position(|(name, _)| *name == key).unwrap_or_else(|| {
            members.push((key, Tree::Scalar("null".to_owned())));
            members.len() - 1
        });
        &mut members[at].1
    }

    /// An array in place of `null`.
    pub fn make_array(&mut self) -> &mut Vec<Tree> {
        if matches!(self, Tree::Scalar(_)) {
            *self = Tree::Array(Vec::new());
        }
        let Tree::Array(items) = self else { panic!("no array") };
        items
    }

    /// An object in place of `null`.
    pub fn make_object(&mut self) {
        if matches!(self, Tree::Scalar(_)) {
            *self = Tree::Object(Vec::new());
        }
    }

    /// Members by key; the order of duplicates and of elements stays.
    pub fn sorted(self) -> Self {
        match self {
            Tree::Scalar(_) => self,
            Tree::Array(items) => Tree::Array(items.into_iter().map(Tree::sorted).collect()),
            Tree::Object(members) => {
                let mut members: Vec<_> = members.into_iter().map(|(key, value)| (key, value.sorted())).collect();
                members.sort_by(|one, two| one.0.cmp(&two.0));
                Tree::Object(members)
            }
        }
    }
}

fn value(rest: &mut &str) -> Tree {
    *rest = rest.trim_start();
    match rest.as_bytes()[0] {
        b'{' => Tree::Object(list(rest, '}', |rest| {
            let key = string(rest);
            *rest = rest.trim_start().strip_prefix(':').expect("a colon");
            (key, value(rest))
        })),
        b'[' => Tree::Array(list(rest, ']', value)),
        b'"' => Tree::Scalar(string(rest)),
        _ => {
            let end = rest.find([',', ']', '}', ' ', '\n', '\t', '\r']).unwrap_or(rest.len());
            let (scalar, tail) = rest.split_at(end);
            *rest = tail;
            Tree::Scalar(scalar.to_owned())
        }
    }
}

fn list<T>(rest: &mut &str, close: char, item: impl Fn(&mut &str) -> T) -> Vec<T> {
    *rest = rest[1..].trim_start();
    let mut items = Vec::new();
    while !rest.starts_with(close) {
        items.push(item(rest));
        *rest = rest.trim_start();
        *rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    *rest = &rest[1..];
    items
}

fn string(rest: &mut &str) -> String {
    *rest = rest.trim_start();
    let bytes = rest.as_bytes();
    let mut end = 1;
    while bytes[end] != b'"' {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    let (text, tail) = rest.split_at(end + 1);
    *rest = tail;
    text.to_owned()
}
