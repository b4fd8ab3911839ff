//! Places in a source text, and edits of it.
//!
//! 1. A [`Span`] is a range of bytes, a [`Position`] what a person calls it; a [`LineIndex`] turns one into the other.
//! 2. An [`Edit`] replaces one span; [`apply`] makes several at once, or none when they overlap.

use std::ops::Range;

/// A range of bytes in the source text, at character boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The span from `start` up to `end`.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The number of bytes.
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether it holds no byte.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The same as a range, to index with.
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// Whether `other` lies in it.
    pub fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

/// A line and a column, both from 1. Columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// Where each line of a text begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineIndex {
    starts: Vec<usize>,
}

impl LineIndex {
    pub(crate) fn new(source: &str) -> Self {
        let after_breaks = source.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at + 1);
        Self { starts: std::iter::once(0).chain(after_breaks).collect() }
    }

    /// The position of the byte at `offset`; a byte order mark is no column.
    pub(crate) fn position(&self, source: &str, offset: usize) -> Position {
        let line = self.starts.partition_point(|&start| start <= offset);
        let start = self.starts[line - 1];
        let before = source.get(start..offset).unwrap_or_default();
        let mark = if start == 0 { before.strip_prefix('\u{feff}').unwrap_or(before) } else { before };
        Position { line, column: mark.chars().count() + 1 }
    }

    /// The text of a line (from 1), without its end.
    pub(crate) fn line<'s>(&self, source: &'s str, line: usize) -> Option<&'s str> {
        let start = *self.starts.get(line.checked_sub(1)?)?;
        let end = self.starts.get(line).copied().unwrap_or(source.len());
        Some(source[start..end].trim_end_matches(['\r', '\n']))
    }
}

/// A replacement of the bytes of `span`. An empty span inserts, an empty text deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced.
    pub span: Span,
    /// By what.
    pub text: String,
}

impl Edit {
    /// Puts `text` before the byte at `at`.
    pub fn insert(at: usize, text: impl Into<String>) -> Self {
        Self { span: Span::new(at, at), text: text.into() }
    }

    /// Puts `text` in place of the bytes of `span`.
    pub fn replace(span: Span, text: impl Into<String>) -> Self {
        Self { span, text: text.into() }
    }

    /// Takes the bytes of `span` away.
    pub fn delete(span: Span) -> Self {
        Self { span, text: String::new() }
    }
}

/// Two edits touch the same bytes, or one lies outside the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Both would change the bytes from `second.start`.
    #[error("the edits of bytes {}..{} and {}..{} overlap", .first.start, .first.end, .second.start, .second.end)]
    Overlap {
        /// The edit that comes first.
        first: Span,
        /// The one that begins before the first ends.
        second: Span,
    },
    /// The span is not in the text, or cuts a character in two.
    #[error("bytes {}..{} are no piece of the text", .0.start, .0.end)]
    Outside(Span),
}

/// The `source` with all `edits` made. Their order does not matter, but that of insertions at one place does: they stay in order.
pub fn apply(source: &str, edits: &[Edit]) -> Result<String, EditError> {
    let mut order: Vec<&Edit> = edits.iter().collect();
    order.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let mut edited = String::with_capacity(source.len());
    let mut done = Span::default();
    for edit in order {
        if source.get(edit.span.start..edit.span.end).is_none() {
            return Err(EditError::Outside(edit.span));
        }
        if edit.span.start < done.end {
            return Err(EditError::Overlap { first: done, second: edit.span });
        }
        edited.push_str(&source[done.end..edit.span.start]);
        edited.push_str(&edit.text);
        done = edit.span;
    }
    edited.push_str(&source[done.end..]);
    Ok(edited)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(start: usize, end: usize, text: &str) -> Edit {
        Edit { span: Span::new(start, end), text: text.to_owned() }
    }

    #[test]
    fn edits_are_made_together_or_not_at_all() {
        let edits = [edit(9, 10, "12"), edit(0, 4, "from"), edit(5, 5, "my"), edit(5, 5, "/")];
        assert_eq!(apply("FROM app:1\n", &edits).unwrap(), "from my/app:12\n");
        assert_eq!(
            apply("FROM app", &[edit(0, 5, ""), edit(4, 6, "")]),
            Err(EditError::Overlap { first: Span::new(0, 5), second: Span::new(4, 6) })
        );
        assert_eq!(apply("é", &[edit(1, 2, "")]), Err(EditError::Outside(Span::new(1, 2))));
        assert!(apply("é", &[edit(2, 3, "")]).is_err() && apply("é", &[edit(2, 1, "")]).is_err());
    }

    #[test]
    fn positions_count_lines_and_characters() {
        let source = "\u{feff}é x\r\ny\n";
        let index = LineIndex::new(source);
        let at = |offset| {
            let Position { line, column } = index.position(source, offset);
            (line, column)
        };
        assert_eq!((at(0), at(3), at(5), at(9), at(11)), ((1, 1), (1, 1), (1, 2), (2, 1), (3, 1)));
        assert_eq!((index.line(source, 2), index.line(source, 3), index.line(source, 4)), (Some("y"), Some(""), None));
    }
}
