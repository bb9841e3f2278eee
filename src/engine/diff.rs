//! A plan, for a person to read before it is carried out.

use std::fmt::Write;

use similar::TextDiff;

use super::{Change, Plan};

impl Plan {
    /// All changes as a unified diff, which `patch -p0` would accept.
    #[must_use]
    pub fn diff(&self) -> String {
        self.changes.iter().map(Change::diff).collect()
    }
}

impl Change {
    /// This change as a unified diff.
    #[must_use]
    pub fn diff(&self) -> String {
        let text = |bytes: &Option<Vec<u8>>| String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
        let name = |bytes: &Option<Vec<u8>>| match bytes {
            Some(_) => self.path.display().to_string(),
            None => "/dev/null".to_owned(),
        };
        let (before, after) = (text(&self.before), text(&self.after));
        let mut out = String::new();
        let diff = TextDiff::from_lines(&before, &after);
        let _ = write!(out, "{}", diff.unified_diff().header(&name(&self.before), &name(&self.after)));
        out
    }
}
