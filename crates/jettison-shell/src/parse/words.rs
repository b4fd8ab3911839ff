//! The parts of words: quotes, escapes, patterns (POSIX 2.2, 2.6).

use super::Parser;
use super::list::Closers;
use crate::word::{Part, PartKind, Word};
use std::ops::Range;

/// Where parts are read, which decides what ends them and what is special in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// A word of a command.
    Word,
    /// What follows `=~`: parentheses and operators stand for themselves.
    Regex,
    /// Between double quotes.
    Quoted,
    /// In `${name:-…}`, which may be in double quotes.
    Braces { quoted: bool },
    /// The body of a heredoc, or arithmetic: to the end of the text.
    Document,
}

impl Mode {
    /// Does a quote stand for itself?
    pub fn is_quoted(self) -> bool {
        matches!(self, Self::Quoted | Self::Braces { quoted: true } | Self::Document)
    }
}

impl<'t> Parser<'t, '_> {
    /// A word, unless something comes next that begins none.
    pub fn word(&mut self, mode: Mode) -> Option<Word> {
        let start = self.at;
        let parts = self.parts(mode);
        (self.at > start).then(|| Word { parts, range: self.since(start) })
    }

    /// The word that comes next, if there is no quote, escape or expansion in it. It is left.
    pub fn plain_word(&self) -> Option<&'t str> {
        let rest = &self.text[self.at..self.end];
        let stop = |b: u8| {
            matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')')
                || matches!(b, b'\'' | b'"' | b'`' | b'$' | b'\\')
        };
        let end = rest.bytes().position(stop).unwrap_or(rest.len());
        let quoted = rest.as_bytes().get(end).is_some_and(|b| matches!(b, b'\'' | b'"' | b'`' | b'$' | b'\\'));
        // A joined line ends it if the next one does not go on with it.
        let after = rest[end..].strip_prefix("\\\n").or_else(|| rest[end..].strip_prefix("\\\r\n"));
        let joined = after.is_some_and(|after| after.is_empty() || after.starts_with([' ', '\t', '\n', ';', '&', '|']));
        (end > 0 && (!quoted || joined)).then_some(&rest[..end])
    }

    /// The part from `start` to here.
    pub fn part(&self, kind: PartKind, text: impl Into<String>, start: usize) -> Part {
        self.part_at(kind, text.into(), start..self.at)
    }

    pub fn part_at(&self, kind: PartKind, text: String, at: Range<usize>) -> Part {
        let quotes = match &kind {
            PartKind::DoubleQuoted(_) if self.text[at.clone()].starts_with('$') => 2,
            PartKind::SingleQuoted | PartKind::DoubleQuoted(_) => 1,
            _ => 0,
        };
        let width = at.len();
        let written = self.text.get(at.start + quotes..at.end).is_some_and(|written| written.starts_with(&text));
        let range = self.range(at);
        let verbatim = (written && range.len() == width).then_some(range.start + quotes);
        Part { verbatim, kind, text, range }
    }

    /// Parts up to what ends them, which is left.
    pub fn parts(&mut self, mode: Mode) -> Vec<Part> {
        let start = self.at;
        let mut parts = Vec::new();
        // Where the literal text began that is not in `parts` yet.
        let mut literal = start;
        let mut parentheses = 0usize;
        while let Some(b) = self.peek() {
            if self.ends(mode, b, &mut parentheses) {
                break;
            }
            let at = self.at;
            let part = match b {
                b'\\' => match self.line_break(1) {
                    Some(width) => {
                        self.flush(&mut parts, literal, at);
                        self.at += 1 + width;
                        literal = self.at;
                        continue;
                    }
                    None => self.escaped(mode),
                },
                b'\'' if !mode.is_quoted() => Some(self.single_quoted()),
                b'"' if !matches!(mode, Mode::Quoted | Mode::Document) => Some(self.double_quoted(at)),
                b'`' => Some(self.backquoted(mode == Mode::Quoted)),
                b'$' => self.dollar(mode),
                b'<' | b'>' if mode == Mode::Word => Some(self.process_substitution()),
                b'*' | b'?' | b'[' | b'@' | b'+' | b'!' if mode == Mode::Word => self.glob(),
                b'~' if mode == Mode::Word && at == start => Some(self.tilde()),
                _ => None,
            };
            match part {
                Some(part) => {
                    self.flush(&mut parts, literal, at);
                    parts.push(part);
                    literal = self.at;
                }
                None => self.at += self.text[self.at..].chars().next().map_or(1, char::len_utf8),
            }
        }
        self.flush(&mut parts, literal, self.at);
        parts
    }

    fn flush(&self, parts: &mut Vec<Part>, start: usize, end: usize) {
        if start < end {
            parts.push(self.part_at(PartKind::Literal, self.text[start..end].to_owned(), start..end));
        }
    }

    /// Does the byte that comes next end the parts?
    fn ends(&self, mode: Mode, b: u8, parentheses: &mut usize) -> bool {
        let blank = matches!(b, b' ' | b'\t' | b'\n') || b == b'\r' && self.line_break(0).is_some();
        match mode {
            Mode::Word => match b {
                b'<' | b'>' => !(self.bash() && self.ahead(1) == Some(b'(')),
                b';' | b'&' | b'|' | b'(' | b')' => true,
                _ => blank,
            },
            Mode::Regex => match b {
                b'(' => {
                    *parentheses += 1;
                    false
                }
                b')' if *parentheses > 0 => {
                    *parentheses -= 1;
                    false
                }
                b')' => true,
                _ => blank && *parentheses == 0 || b == b'\n',
            },
            Mode::Quoted => b == b'"',
            Mode::Braces { .. } => b == b'}',
            Mode::Document => false,
        }
    }

    /// A backslash and what it takes the meaning from.
    fn escaped(&mut self, mode: Mode) -> Option<Part> {
        let start = self.at;
        let next = self.text[start + 1..self.end].chars().next()?;
        let special = match mode {
            Mode::Word | Mode::Regex | Mode::Braces { quoted: false } => true,
            Mode::Quoted => matches!(next, '$' | '`' | '"' | '\\'),
            Mode::Braces { quoted: true } => matches!(next, '$' | '`' | '"' | '\\' | '}'),
            Mode::Document => matches!(next, '$' | '`' | '\\'),
        };
        if !special {
            return None;
        }
        self.at += 1 + next.len_utf8();
        Some(self.part(PartKind::Escaped, next, start))
    }

    fn single_quoted(&mut self) -> Part {
        let start = self.at;
        let rest = &self.text[start + 1..self.end];
        let text = match rest.find('\'') {
            Some(end) => {
                self.at += end + 2;
                &rest[..end]
            }
            None => {
                self.open("'", "'", start);
                self.at = self.end;
                rest
            }
        };
        self.part(PartKind::SingleQuoted, text, start)
    }

    /// `"…"`; the word's part begins at `start`, which may be a `$` before it.
    pub fn double_quoted(&mut self, start: usize) -> Part {
        let quote = self.at;
        self.at += 1;
        let parts = self.parts(Mode::Quoted);
        if !self.take("\"") {
            self.open("\"", "\"", quote);
        }
        let text: String = parts.iter().map(|part| part.text.as_str()).collect();
        self.part(PartKind::DoubleQuoted(parts), text, start)
    }

    /// `<(…)` or `>(…)`
    fn process_substitution(&mut self) -> Part {
        let start = self.at;
        let opened = if self.starts_with("<") { "<(" } else { ">(" };
        self.at += opened.len();
        let list = self.nested(Closers::PAREN, opened, ")", start);
        self.part(PartKind::ProcessSubstitution(list), &self.text[start..self.at], start)
    }

    fn tilde(&mut self) -> Part {
        let start = self.at;
        self.at += 1;
        while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) {
            self.at += 1;
        }
        self.part(PartKind::Tilde, &self.text[start..self.at], start)
    }

    /// `*`, `?`, `[…]`, in bash also `@(…)` and its like.
    fn glob(&mut self) -> Option<Part> {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..self.end];
        let width = match rest[0] {
            // In bash, with `extglob`, a pattern list; without blanks and quotes, which is how they are written.
            b'@' | b'+' | b'!' | b'?' | b'*' if self.bash() && rest.get(1) == Some(&b'(') => {
                let stop = |b: &u8| matches!(b, b')' | b'(' | b' ' | b'\n' | b'\'' | b'"' | b'$' | b'`' | b'\\' | b';');
                let end = rest[2..].iter().position(stop)? + 2;
                if rest[end] != b')' {
                    return None;
                }
                end + 1
            }
            b'*' | b'?' => 1,
            b'[' if start >= self.no_bracket => {
                let stop = |b: &u8| {
                    matches!(b, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')')
                        || matches!(b, b'\'' | b'"' | b'$' | b'`' | b'\\')
                };
                // `[]…]` and `[!]…]` hold a bracket.
                let first = 1 + usize::from(matches!(rest.get(1), Some(b'!' | b'^')));
                let first = first + usize::from(rest.get(first) == Some(&b']'));
                let end = rest[first.min(rest.len())..].iter().position(|b| *b == b']' || stop(b));
                match end.map(|end| first + end) {
                    Some(end) if rest[end] == b']' => end + 1,
                    end => {
                        self.no_bracket = start + end.unwrap_or(rest.len());
                        return None;
                    }
                }
            }
            _ => return None,
        };
        self.at += width;
        Some(self.part(PartKind::Glob, &self.text[start..self.at], start))
    }
}
