//! The bodies of heredocs, which come after the line that has their redirection (POSIX 2.7.4).

use super::Parser;
use super::words::Mode;
use crate::error::ParseErrorKind;
use crate::shell::Shell;
use crate::syntax::Inline;
use crate::word::{Part, PartKind};
use std::ops::Range;

/// A heredoc whose body was not read yet.
#[derive(Debug)]
pub(super) struct Pending {
    /// Which of the script's.
    pub id: usize,
    /// Are tabs before the lines left out: `<<-`?
    pub tabs: bool,
    /// Is it standard input?
    pub input: bool,
    /// The shell whose input it is.
    pub shell: Option<Shell>,
}

impl Parser<'_, '_> {
    /// Reads the bodies that wait, at the start of a line.
    pub fn heredocs(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            let delimiter = self.found.heredocs[pending.id].delimiter.clone();
            let start = self.at;
            let mut line = start;
            let (body, end) = loop {
                let rest = &self.text.as_bytes()[line..self.end];
                if rest.is_empty() {
                    self.error(ParseErrorKind::OpenHeredoc(delimiter), start..line);
                    break (start..line, line);
                }
                let length = rest.iter().position(|&b| b == b'\n');
                let mut text = &rest[..length.unwrap_or(rest.len())];
                text = text.strip_suffix(b"\r").unwrap_or(text);
                if pending.tabs {
                    let tabs = text.iter().take_while(|&&b| b == b'\t').count();
                    text = &text[tabs..];
                }
                if text == delimiter.as_bytes() {
                    self.at = length.map_or(self.end, |length| line + length + 1);
                    break (start..line, self.at);
                }
                line = length.map_or(self.end, |length| line + length + 1);
                self.at = line;
            };
            let after = self.at;
            let quoted = self.found.heredocs[pending.id].quoted;
            let script = pending.shell.map(|shell| self.document_script(body.clone(), quoted, shell));
            let parts = if quoted { self.verbatim(body.clone()) } else { self.document(body.clone()) };
            let (body, range) = (self.range(body.clone()), self.range(start..end));
            let heredoc = &mut self.found.heredocs[pending.id];
            (heredoc.body, heredoc.range) = (body, range);
            (heredoc.parts, heredoc.script) = (parts, script);
            self.at = after;
        }
    }

    fn verbatim(&self, body: Range<usize>) -> Vec<Part> {
        vec![self.part_at(PartKind::Literal, self.text[body.clone()].to_owned(), body)]
    }

    fn document(&mut self, body: Range<usize>) -> Vec<Part> {
        self.at = body.start;
        self.deeper(|parser| parser.limited(body.end, |parser| parser.parts(Mode::Document)))
    }

    /// The body as the shell reads it that it is given to.
    fn document_script(&mut self, body: Range<usize>, quoted: bool, shell: Shell) -> Inline {
        let (text, places) = self.unescaped(body, if quoted { b"" } else { b"$`\\" });
        Inline { list: self.within(&text, &places, shell.dialect), shell }
    }

    /// Bodies that no line is left for.
    pub fn unread_heredocs(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            let delimiter = self.found.heredocs[pending.id].delimiter.clone();
            self.error(ParseErrorKind::OpenHeredoc(delimiter), self.at..self.at);
        }
    }
}
