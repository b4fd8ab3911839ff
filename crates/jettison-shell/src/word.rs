//! Words, and what they are made of before the shell expands them.

use crate::syntax::List;
use std::borrow::Cow;
use std::ops::Range;

/// A word of a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Word {
    /// What it is made of, in order. None for an empty one.
    pub parts: Vec<Part>,
    /// All of it, its quotes too.
    pub range: Range<usize>,
}

/// A piece of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which kind.
    pub kind: PartKind,
    /// What it stands for, without quotes and escapes; for an expansion, what was written.
    pub text: String,
    /// Where it is written, its quotes too.
    pub range: Range<usize>,
    /// Where the text begins in the script if it is written there as it is.
    pub(crate) verbatim: Option<usize>,
}

/// The kinds of pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartKind {
    /// Text outside of quotes.
    Literal,
    /// A character after a backslash.
    Escaped,
    /// `'…'`
    SingleQuoted,
    /// `$'…'`, bash
    AnsiQuoted,
    /// `"…"`, and what is in it
    DoubleQuoted(Vec<Part>),
    /// `*`, `?` or `[…]` outside of quotes
    Glob,
    /// `~` or `~name` at the start of a word
    Tilde,
    /// `$name`, `${name…}`
    Parameter(Parameter),
    /// `$(…)` or `` `…` ``
    CommandSubstitution(List),
    /// `<(…)` or `>(…)`, bash
    ProcessSubstitution(List),
    /// `$((…))`, and what is in it
    Arithmetic(Vec<Part>),
}

/// A parameter expansion.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parameter {
    /// The name, the number or the special character.
    pub name: String,
    /// What follows the name in braces up to its word: `:-`, `%%`, `/`… Empty if there is none.
    pub operator: String,
    /// What follows the operator.
    pub word: Vec<Part>,
}

impl Part {
    /// Does the shell put something else in its place: a value, an output? Patterns of file names do not count.
    pub fn is_expansion(&self) -> bool {
        match &self.kind {
            PartKind::Parameter(_)
            | PartKind::CommandSubstitution(_)
            | PartKind::ProcessSubstitution(_)
            | PartKind::Arithmetic(_) => true,
            PartKind::DoubleQuoted(parts) => parts.iter().any(Self::is_expansion),
            _ => false,
        }
    }
}

impl Word {
    /// What the word says if no variable, command or arithmetic is in it; without its quotes and escapes. Patterns of file
    /// names (`*`), braces and `~` stay as they are written.
    pub fn literal(&self) -> Option<Cow<'_, str>> {
        (!self.is_expanded()).then(|| self.text())
    }

    /// What the word says, without its quotes and escapes, and expansions as they are written: `pip==${VERSION}`.
    pub fn text(&self) -> Cow<'_, str> {
        match self.parts.as_slice() {
            [] => Cow::Borrowed(""),
            [part] => Cow::Borrowed(&part.text),
            parts => Cow::Owned(parts.iter().map(|part| part.text.as_str()).collect()),
        }
    }

    /// Has it a variable, a command or arithmetic?
    pub fn is_expanded(&self) -> bool {
        self.parts.iter().any(Part::is_expansion)
    }

    /// Is it a pattern of file names?
    pub fn has_glob(&self) -> bool {
        self.parts.iter().any(|part| part.kind == PartKind::Glob)
    }

    /// Is some of it quoted or escaped?
    pub fn is_quoted(&self) -> bool {
        use PartKind::{AnsiQuoted, DoubleQuoted, Escaped, SingleQuoted};
        self.parts.iter().any(|part| matches!(part.kind, Escaped | SingleQuoted | AnsiQuoted | DoubleQuoted(_)))
    }

    /// The word as plain text without a quote, an escape or an expansion in it: what a reserved word must be.
    pub fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part { kind: PartKind::Literal, text, .. }] => Some(text),
            _ => None,
        }
    }

    /// Where the bytes of [`Word::text`] from `start` to `end` are written. Where quotes or escapes are in between, they are
    /// in it; where a place inside of a part cannot be told, all of the part is.
    pub fn range_of(&self, start: usize, end: usize) -> Range<usize> {
        let at = self.place(start, false);
        at..if end > start { self.place(end, true).max(at) } else { at }
    }

    fn place(&self, offset: usize, end: bool) -> usize {
        let mut before = 0;
        for part in &self.parts {
            let after = before + part.text.len();
            if offset < after || (end && offset == after) {
                return match part.verbatim {
                    Some(start) => start + (offset - before),
                    None if end => part.range.end,
                    None => part.range.start,
                };
            }
            before = after;
        }
        self.range.end
    }
}
