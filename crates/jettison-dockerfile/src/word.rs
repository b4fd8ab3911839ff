//! Text that knows where each of its bytes was written.
//!
//! The words of a Dockerfile are not always pieces of it: a line continuation may cut one in two, flags lose their quotes,
//! JSON strings their escapes. A [`Word`] is the text that is meant, with a [`Span`] and a map back to the source.

use crate::source::Span;
use std::fmt;
use std::ops::{Deref, Range};

/// A piece of text as the Dockerfile means it, unexpanded, and where it stands.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Word {
    text: String,
    span: Span,
    /// Where runs begin that are contiguous in both texts: (offset in `text`, offset in the source).
    runs: Vec<(usize, usize)>,
}

impl Word {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// All of the source that it was written with: its quotes, its escapes, and a line continuation in the middle.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The offset in the source of the byte at `offset` of the text.
    pub fn locate(&self, offset: usize) -> usize {
        match self.runs.partition_point(|&(start, _)| start <= offset).checked_sub(1) {
            Some(run) => self.runs[run].1 + (offset - self.runs[run].0),
            None => self.span.start,
        }
    }

    /// Where in the source the bytes of `range` were written.
    pub fn span_of(&self, range: Range<usize>) -> Span {
        let start = self.locate(range.start);
        Span::new(start, if range.is_empty() { start } else { self.locate(range.end - 1) + 1 })
    }

    /// The bytes of `range` as a word.
    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        let first = self.runs.partition_point(|&(start, _)| start <= range.start);
        let last = self.runs.partition_point(|&(start, _)| start < range.end).max(first);
        let mut runs = vec![(0, self.locate(range.start))];
        runs.extend(self.runs[first..last].iter().map(|&(start, source)| (start - range.start, source)));
        Self { text: self.text[range.clone()].to_owned(), span: self.span_of(range), runs }
    }

    /// Without the white space around it.
    pub(crate) fn trim(&self) -> Self {
        let start = self.text.len() - self.text.trim_start().len();
        self.slice(start..start + self.text.trim().len())
    }

    /// The range of `part`, which must be borrowed from this word's text.
    pub(crate) fn range_of(&self, part: &str) -> Range<usize> {
        let start = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize).min(self.text.len());
        start..(start + part.len()).min(self.text.len())
    }

    /// Appends `text`, which stands at `source` in the source.
    pub(crate) fn push_str(&mut self, text: &str, source: usize) {
        if text.is_empty() {
            return;
        }
        if self.runs.is_empty() {
            self.span.start = source;
        }
        if self.runs.is_empty() || self.locate(self.text.len()) != source {
            self.runs.push((self.text.len(), source));
        }
        self.text.push_str(text);
        self.span.end = source + text.len();
    }

    /// Appends a character that was written with the bytes of `span`.
    pub(crate) fn push(&mut self, c: char, span: Span) {
        self.push_str(c.encode_utf8(&mut [0; 4]), span.start);
        self.span.end = span.end;
    }

    /// The same text, written with all of `span`.
    pub(crate) fn spanning(mut self, span: Span) -> Self {
        self.span = span;
        if self.runs.is_empty() {
            self.runs.push((0, span.start));
        }
        self
    }
}

impl Deref for Word {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl AsRef<str> for Word {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl PartialEq<str> for Word {
    fn eq(&self, other: &str) -> bool {
        self.text == other
    }
}

impl PartialEq<&str> for Word {
    fn eq(&self, other: &&str) -> bool {
        self.text == *other
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{}..{}", self.text, self.span.start, self.span.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_over_two_lines_knows_its_places() {
        // `RUN ab\⏎cd ef`
        let mut line = Word::default();
        line.push_str("RUN ab", 0);
        line.push_str("cd ef", 8);
        let word = line.slice(4..8);
        assert_eq!((word.as_str(), word.span()), ("abcd", Span::new(4, 10)));
        assert_eq!([0, 1, 2, 3].map(|at| word.locate(at)), [4, 5, 8, 9]);
        assert_eq!(word.span_of(2..4), Span::new(8, 10));
        assert_eq!(line.slice(9..11).span(), Span::new(11, 13));
        assert_eq!(line.slice(6..6).span(), Span::new(8, 8));
        assert_eq!(line.slice(3..7).trim(), line.slice(4..7));
    }

    #[test]
    fn quotes_that_are_gone_still_count() {
        // `a"b"c` from 10 on.
        let mut word = Word::default();
        for (c, at) in [('a', 10), ('b', 12), ('c', 14)] {
            word.push(c, Span::new(at, at + 1));
        }
        assert_eq!((word.as_str(), word.span()), ("abc", Span::new(10, 15)));
        assert_eq!(word.span_of(1..2), Span::new(12, 13));
    }
}
