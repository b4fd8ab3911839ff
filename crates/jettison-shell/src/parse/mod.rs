//! Text → [`Script`], by recursive descent over bytes. It goes through each text once; a script within another text (`sh -c`,
//! backquotes) is read again, at most [`MAX_DEPTH`] times.
//!
//! 1. `list` has lists and pipelines, and goes on after what it cannot read.
//! 2. `compound` has `if`, `for`, `case` and their like, and functions.
//! 3. `simple` has simple commands: assignments, words, redirections.
//! 4. `words` has the parts of words; `dollar` those that begin with `$` or a backquote.
//! 5. `heredoc` reads the bodies once their line has ended.
//! 6. `inline` takes the quotes off a script within a word; [`places`] knows where its bytes were written.

mod compound;
mod dollar;
mod heredoc;
mod inline;
mod list;
mod places;
mod simple;
mod words;

use crate::error::{ParseError, ParseErrorKind};
use crate::script::Script;
use crate::shell::Dialect;
use crate::syntax::Heredoc;
use heredoc::Pending;
use list::Closers;
use places::Places;
use std::ops::Range;

/// How deep commands, substitutions and scripts within scripts may be nested.
const MAX_DEPTH: usize = 64;

/// More errors than this say nothing new.
const MAX_ERRORS: usize = 100;

/// Reads a script.
pub(crate) fn script(text: &str, dialect: Dialect) -> Script {
    let mut found = Found::default();
    let places = Places::same();
    let list = Parser::new(text, &places, dialect, 0, &mut found).all();
    found.errors.sort_by_key(|error| (error.range.start, error.range.end));
    Script { list, errors: found.errors, text: text.to_owned(), dialect, heredocs: found.heredocs }
}

/// What is found on the way, at any depth.
#[derive(Default)]
struct Found {
    errors: Vec<ParseError>,
    heredocs: Vec<Heredoc>,
    /// Something was too deep: what is wrong after that is only because of it.
    too_deep: bool,
}

struct Parser<'t, 'f> {
    text: &'t str,
    places: &'t Places,
    dialect: Dialect,
    /// How far it has read.
    at: usize,
    /// Where the text ends for now.
    end: usize,
    depth: usize,
    /// What closes the constructs that are open, outermost first.
    expected: Vec<Closers>,
    /// Heredocs whose bodies come after the line.
    pending: Vec<Pending>,
    /// Up to here no `]` ends a bracket expression.
    no_bracket: usize,
    found: &'f mut Found,
}

impl<'t, 'f> Parser<'t, 'f> {
    fn new(text: &'t str, places: &'t Places, dialect: Dialect, depth: usize, found: &'f mut Found) -> Self {
        Self {
            text,
            places,
            dialect,
            at: 0,
            end: text.len(),
            depth,
            expected: Vec::new(),
            pending: Vec::new(),
            no_bracket: 0,
            found,
        }
    }

    /// The byte that comes next.
    fn peek(&self) -> Option<u8> {
        self.ahead(0)
    }

    /// The byte after `count` others.
    fn ahead(&self, count: usize) -> Option<u8> {
        let at = self.at + count;
        if at < self.end { self.text.as_bytes().get(at).copied() } else { None }
    }

    fn starts_with(&self, text: &str) -> bool {
        self.text.as_bytes()[self.at..self.end].starts_with(text.as_bytes())
    }

    /// Takes `text` if it comes next.
    fn take(&mut self, text: &str) -> bool {
        let there = self.starts_with(text);
        if there {
            self.at += text.len();
        }
        there
    }

    /// How long the line break is that comes next: `\n` or `\r\n`.
    fn line_break(&self, after: usize) -> Option<usize> {
        match (self.ahead(after), self.ahead(after + 1)) {
            (Some(b'\n'), _) => Some(1),
            (Some(b'\r'), Some(b'\n')) => Some(2),
            _ => None,
        }
    }

    /// Skips blanks, joined lines and a comment.
    fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t') => self.at += 1,
                Some(b'\\') => match self.line_break(1) {
                    Some(width) => self.at += 1 + width,
                    None => return,
                },
                Some(b'#') => {
                    let rest = &self.text.as_bytes()[self.at..self.end];
                    let line = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
                    self.at += line - usize::from(line > 0 && line < rest.len() && rest[line - 1] == b'\r');
                    return;
                }
                _ => return,
            }
        }
    }

    /// Skips blanks, comments and line breaks.
    fn skip_lines(&mut self) {
        loop {
            self.skip_blanks();
            match self.line_break(0) {
                Some(width) => self.newline(width),
                None => return,
            }
        }
    }

    /// Takes a line break and the heredocs that wait for it.
    fn newline(&mut self, width: usize) {
        self.at += width;
        if !self.pending.is_empty() {
            self.heredocs();
        }
    }

    /// The range in the script of a range of this text.
    fn range(&self, range: Range<usize>) -> Range<usize> {
        self.places.range(range)
    }

    /// The range in the script from `start` to here.
    fn since(&self, start: usize) -> Range<usize> {
        self.range(start..self.at)
    }

    fn error(&mut self, kind: ParseErrorKind, range: Range<usize>) {
        if !self.found.too_deep && self.found.errors.len() < MAX_ERRORS {
            self.found.errors.push(ParseError { kind, range: self.range(range) });
        }
    }

    fn open(&mut self, opened: &'static str, missing: &'static str, start: usize) {
        self.error(ParseErrorKind::Open { opened, missing }, start..(start + opened.len()).min(self.end));
    }

    /// Says that something is missing here, once.
    fn missing(&mut self, what: &'static str) {
        let here = self.range(self.at..self.at);
        if self.found.errors.last().is_none_or(|last| last.range != here) {
            self.error(ParseErrorKind::Missing(what), self.at..self.at);
        }
    }

    /// Does `read` one level deeper. At the limit the rest is skipped.
    fn deeper<T: Default>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        if self.depth >= MAX_DEPTH {
            self.error(ParseErrorKind::TooDeep, self.at..self.at);
            self.found.too_deep = true;
            self.at = self.end;
            return T::default();
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    /// Does `read` as if the text ended at `end`, and goes on there.
    fn limited<T>(&mut self, end: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.end, end);
        let expected = std::mem::take(&mut self.expected);
        let pending = std::mem::take(&mut self.pending);
        let value = read(self);
        self.unread_heredocs();
        self.pending = pending;
        self.expected = expected;
        self.end = outer;
        self.at = end;
        value
    }
}
