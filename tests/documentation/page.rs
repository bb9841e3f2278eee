//! A page of Markdown: its fenced blocks, and the comments that say what is to be done with them.
//!
//! The comments are invisible where the page is shown. Those right in front of a block belong to it:
//!
//! | comment | |
//! |---|---|
//! | `<!-- lab: tree=debian12 user=dev engines=docker,containerd -->` | once, before the first block: where the page is run; `tree=both` is twice; with `client=claude-code` that client is at `$CLIENT` |
//! | `<!-- stands for: WORD is TEXT -->` | in the page's blocks TEXT is written for WORD |
//! | `<!-- before: COMMANDS -->` | commands that no reader runs, at this place of the page; may have several lines |
//! | `<!-- expect: TEXT -->` | the block's output holds TEXT, `...` in it being anything |
//! | `<!-- expect not: TEXT -->` | it does not |
//! | `<!-- exit: N -->` | the block's last command ends with N, every other one with 0 |
//! | `<!-- exit: N or M -->` | every command ends with one of these |
//! | `<!-- input: TEXT -->` | the standard input of the block's commands, otherwise empty |
//! | `<!-- file: PATH -->` | the block is written there, for the commands after it |
//! | `<!-- not run: REASON -->` | the block is not run |
//! | `<!-- instead: COMMANDS -->` | what is run in place of a block that is not |
//! | `<!-- pods: FILE -->`, `<!-- pods: none -->` | in its place the pods of a manifest are run by containerd, and removed |
//! | `<!-- as: root -->` | on a page of an ordinary user: the block is root's |
//! | `<!-- drawing -->` | a `text` block that is no output |

use std::collections::BTreeMap;

/// A comment of another test, or of a script that fills a part of the page.
const OTHERS: [&str; 9] = [
    "agent",
    "table",
    "end of the agent",
    "end of the table",
    "end",
    "measured",
    "instructions",
    "monitoring",
    "end of monitoring",
];

/// A page.
#[derive(Debug, Default)]
pub struct Page {
    /// What the comment `lab` says, by key.
    pub lab: BTreeMap<String, String>,
    /// What stands for something else.
    pub stands_for: Vec<(String, String)>,
    /// Blocks and hidden commands, in their order.
    pub items: Vec<Item>,
}

/// A block, or commands that the page does not show.
#[derive(Debug, Default)]
pub struct Item {
    /// Where it begins, from 1.
    pub line: usize,
    /// The first word of the fence; `before` for hidden commands.
    pub language: String,
    pub text: String,
    pub expect: Vec<String>,
    pub expect_not: Vec<String>,
    /// How its commands end: nothing is 0; one code is the last one's, several are possible for all.
    pub exit: Vec<i32>,
    pub input: String,
    pub file: Option<String>,
    pub not_run: Option<String>,
    pub instead: Option<String>,
    pub pods: Option<String>,
    pub as_root: bool,
    pub drawing: bool,
}

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    /// For a block of no known language, a comment that is not known, or one that belongs to no block.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut page = Self::default();
        let mut next = Item::default();
        let mut noted = None;
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let number = number + 1;
            let trimmed = line.trim_start();
            let indent = line.len() - trimmed.len();
            if let Some(info) = trimmed.strip_prefix("```") {
                let body: Vec<&str> = lines
                    .by_ref()
                    .map(|(_, line)| line)
                    .take_while(|line| !line.trim_start().starts_with("```"))
                    .collect();
                let body = body.iter().map(|line| line.get(indent..).unwrap_or_default().to_owned() + "\n");
                let block = Item { line: number, language: info.trim().to_owned(), text: body.collect(), ..next };
                block.check(page.items.last())?;
                page.items.push(block);
                (next, noted) = (Item::default(), None);
            } else if trimmed.starts_with("<!--") {
                let mut comment = trimmed.to_owned();
                while !comment.contains("-->") {
                    let (_, more) = lines.next().ok_or(format!("{number}: the comment has no end"))?;
                    comment = format!("{comment}\n{}", more.trim());
                }
                let comment =
                    comment.trim_start_matches("<!--").split("-->").next().unwrap_or_default().trim().to_owned();
                if page.note(&mut next, &comment, number)? {
                    noted = Some(number);
                }
            } else if !trimmed.is_empty()
                && let Some(noted) = noted
            {
                return Err(format!("{noted}: the comment belongs to no block"));
            }
        }
        match noted {
            Some(noted) => Err(format!("{noted}: the comment belongs to no block")),
            None => Ok(page),
        }
    }

    /// Takes up a comment; whether it belongs to the next block.
    fn note(&mut self, next: &mut Item, comment: &str, line: usize) -> Result<bool, String> {
        let (word, rest) = comment.split_once(':').unwrap_or((comment, ""));
        let rest = rest.trim().to_owned();
        match word {
            "lab" if self.items.is_empty() && self.lab.is_empty() => {
                for setting in rest.split_whitespace() {
                    let (key, value) = setting.split_once('=').ok_or(format!("{line}: {setting}"))?;
                    self.lab.insert(key.to_owned(), value.to_owned());
                }
                return Ok(false);
            }
            "stands for" => {
                let (word, text) = rest.split_once(" is ").ok_or(format!("{line}: WORD is TEXT"))?;
                self.stands_for.push((word.to_owned(), text.to_owned()));
                return Ok(false);
            }
            "before" => {
                let as_root = std::mem::take(&mut next.as_root);
                self.items.push(Item { line, language: word.to_owned(), text: rest, as_root, ..Item::default() });
                return Ok(false);
            }
            "expect" => next.expect.push(rest),
            "expect not" => next.expect_not.push(rest),
            "exit" => {
                let codes: Result<_, _> = rest.split(" or ").map(str::parse).collect();
                next.exit = codes.map_err(|_| format!("{line}: {rest} is no exit code"))?;
            }
            "input" => next.input = rest,
            "file" => next.file = Some(rest),
            "not run" if !rest.is_empty() => next.not_run = Some(rest),
            "instead" => next.instead = Some(rest),
            "pods" => next.pods = Some(rest),
            "as" if rest == "root" => next.as_root = true,
            "drawing" => next.drawing = true,
            _ if OTHERS.contains(&word) => return Ok(false),
            _ => return Err(format!("{line}: the comment `{comment}` is unknown")),
        }
        Ok(true)
    }

    /// `text` with everything in place of what stands for it.
    pub fn meant(&self, text: &str) -> String {
        self.stands_for.iter().fold(text.to_owned(), |text, (word, meant)| replace_word(&text, word, meant))
    }
}

impl Item {
    /// Whether a test knows what to do with the block; `before` is the block in front of it.
    fn check(&self, before: Option<&Self>) -> Result<(), String> {
        let line = self.line;
        match self.language.as_str() {
            "" => Err(format!("{line}: a block without a language")),
            "sh" if (self.instead.is_some() || self.pods.is_some()) && self.not_run.is_none() => {
                Err(format!("{line}: `instead` or `pods` without `not run`"))
            }
            "text"
                if !self.drawing
                    && !before.is_some_and(|before| before.language == "sh" && before.not_run.is_none()) =>
            {
                Err(format!("{line}: a text that no command has printed; is it a drawing?"))
            }
            "sh" | "text" | "toml" | "json" => Ok(()),
            "yaml" | "ini" | "dockerfile" if self.file.is_some() => Ok(()),
            "yaml" | "ini" | "dockerfile" => Err(format!("{line}: a file that no command uses; where does it belong?")),
            other => Err(format!("{line}: blocks of the language {other} are unknown")),
        }
    }
}

/// `text` with `meant` for every `word` that stands alone.
fn replace_word(text: &str, word: &str, meant: &str) -> String {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (head, tail) = (&rest[..at], &rest[at + word.len()..]);
        let alone = !head.ends_with(part) && !tail.starts_with(part);
        out.push_str(head);
        out.push_str(if alone { meant } else { word });
        rest = tail;
    }
    out + rest
}

/// Whether `text` has the shape of `pattern`, `...` being anything.
pub fn fits(text: &str, pattern: &str) -> bool {
    let mut pieces = pattern.split("...").map(str::trim).peekable();
    let mut rest = text.trim();
    let first = pieces.next().unwrap_or_default();
    let Some(after) = rest.strip_prefix(first) else { return false };
    rest = after;
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.trim_end().ends_with(piece);
        }
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.trim().is_empty()
}
