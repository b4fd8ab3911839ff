//! Scripts within words: `sh -c '…'`, backquotes, heredocs that a shell reads. Their quotes and escapes are taken off, and each
//! byte that is left knows where it was written.

use super::Parser;
use super::places::Places;
use crate::shell::{Dialect, Shell};
use crate::syntax::{Inline, List};
use std::ops::Range;

/// A text that is made of pieces of another.
struct Pieces<'p> {
    of: &'p str,
    places_of: &'p Places,
    text: String,
    places: Places,
}

impl Pieces<'_> {
    /// Goes on with what is at `range`, whose first character may have been escaped.
    fn add(&mut self, range: Range<usize>, escaped: bool) {
        self.places.extend(self.text.len(), self.places_of, range.clone(), escaped);
        self.text.push_str(&self.of[range]);
    }
}

impl Parser<'_, '_> {
    /// Reads another text as a script of its own.
    pub fn within(&mut self, text: &str, places: &Places, dialect: Dialect) -> List {
        self.deeper(|parser| Parser::new(text, places, dialect, parser.depth, parser.found).all())
    }

    /// Nothing yet of what is at `start` and after.
    fn pieces(&self, start: usize) -> Pieces<'_> {
        let places = Places::at(self.range(start..start).start);
        Pieces { of: self.text, places_of: self.places, text: String::new(), places }
    }

    /// What is at `range` without the backslashes before the `special` bytes.
    pub fn unescaped(&self, range: Range<usize>, special: &[u8]) -> (String, Places) {
        let bytes = self.text.as_bytes();
        let mut pieces = self.pieces(range.start);
        let mut from = range.start;
        let mut escaped = false;
        let mut at = range.start;
        while at < range.end {
            if bytes[at] == b'\\' && at + 1 < range.end && special.contains(&bytes[at + 1]) {
                pieces.add(from..at, escaped);
                escaped = true;
                from = at + 1;
                at += 1;
            }
            at += 1;
        }
        pieces.add(from..range.end, escaped);
        (pieces.text, pieces.places)
    }

    /// The script that the word at `range` is.
    pub fn inline(&mut self, range: Range<usize>, shell: Shell) -> Option<Inline> {
        let (text, places) = self.unquoted(range)?;
        Some(Inline { list: self.within(&text, &places, shell.dialect), shell })
    }

    /// The word at `range` as the program gets it, except that its expansions stay as they are written.
    fn unquoted(&self, range: Range<usize>) -> Option<(String, Places)> {
        let bytes = &self.text.as_bytes()[..range.end];
        let mut pieces = self.pieces(range.start);
        let mut at = range.start;
        let mut quoted = false;
        while at < range.end {
            let next = bytes.get(at + 1).copied();
            match bytes[at] {
                b'\'' if !quoted => {
                    let end = bytes[at + 1..].iter().position(|&b| b == b'\'')? + at + 1;
                    pieces.add(at + 1..end, false);
                    at = end + 1;
                }
                b'"' => {
                    quoted = !quoted;
                    at += 1;
                }
                b'\\' if next == Some(b'\n') => at += 2,
                b'\\' if !quoted || matches!(next, Some(b'$' | b'`' | b'"' | b'\\')) => {
                    let end = at + 1 + self.text[at + 1..range.end].chars().next().map_or(0, char::len_utf8);
                    pieces.add(at + 1..end, true);
                    at = end;
                }
                b'$' if next == Some(b'\'') && !quoted && self.bash() => return None,
                b'$' if next == Some(b'(') => {
                    let end = substitution_end(bytes, at + 2);
                    pieces.add(at..end, false);
                    at = end;
                }
                _ => {
                    let end = at + self.text[at..range.end].chars().next().map_or(1, char::len_utf8);
                    pieces.add(at..end, false);
                    at = end;
                }
            }
        }
        Some((pieces.text, pieces.places))
    }
}

/// Where the substitution ends that began before `start`.
fn substitution_end(bytes: &[u8], start: usize) -> usize {
    let mut open = 1usize;
    for (at, b) in bytes.iter().enumerate().skip(start) {
        match b {
            b'(' => open += 1,
            b')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return at + 1;
        }
    }
    bytes.len()
}
