//! Lists and pipelines (POSIX 2.9.2, 2.9.3), and how to go on after an error.

use super::Parser;
use crate::error::ParseErrorKind;
use crate::syntax::{Connector, ConnectorKind, Item, List, Node, Pipe, Pipeline};

/// A set of what ends lists.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Closers(u16);

impl Closers {
    pub const THEN: Self = Self(1);
    pub const ELIF: Self = Self(2);
    pub const ELSE: Self = Self(4);
    pub const FI: Self = Self(8);
    pub const DO: Self = Self(16);
    pub const DONE: Self = Self(32);
    pub const ESAC: Self = Self(64);
    pub const BRACE: Self = Self(128);
    pub const PAREN: Self = Self(256);
    /// `;;`, and in bash `;&` and `;;&`
    pub const ARM: Self = Self(512);

    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl<'t> Parser<'t, '_> {
    /// Everything to the end.
    pub fn all(&mut self) -> List {
        let list = self.list(Closers(0));
        self.unread_heredocs();
        list
    }

    /// Pipelines up to one of `closers`, which is left.
    pub fn list(&mut self, closers: Closers) -> List {
        self.expected.push(closers);
        let mut items: Vec<Item> = Vec::new();
        // Is the last item followed by no connector and nothing else that was reported?
        let mut unjoined = false;
        loop {
            self.skip_lines();
            if self.peek().is_none() {
                break;
            }
            let start = self.at;
            let width = self.text[start..].chars().next().map_or(0, char::len_utf8);
            if let Some((closer, width)) = self.closer() {
                if self.is_expected(closer) {
                    break;
                }
                self.unexpected(width);
                self.connector();
                unjoined = false;
            } else if let Some(pipeline) = self.pipeline() {
                if unjoined {
                    // What comes is taken for a command of its own.
                    let text = self.text[start..start + width].to_owned();
                    self.error(ParseErrorKind::Unexpected(text), start..start + width);
                }
                let connector = self.connector();
                unjoined = connector.is_none();
                items.push(Item { pipeline, connector });
            } else if self.at == start {
                let doubled = self.starts_with("&&") || self.starts_with("||");
                let width = self.text[self.at..].chars().next().map_or(0, char::len_utf8);
                self.unexpected(if doubled { 2 } else { width });
                unjoined = false;
            }
        }
        self.expected.pop();
        if let Some(Item { connector: Some(connector), .. }) = items.last()
            && connector.kind.joins()
        {
            self.missing("a command");
        }
        let range = match (items.first(), items.last()) {
            (Some(first), Some(last)) => {
                let end = last.connector.as_ref().map_or(last.pipeline.range.end, |connector| connector.range.end);
                first.pipeline.range.start..end
            }
            _ => self.range(self.at..self.at),
        };
        List { items, range }
    }

    fn unexpected(&mut self, width: usize) {
        let range = self.at..(self.at + width).min(self.end);
        self.error(ParseErrorKind::Unexpected(self.text[range.clone()].to_owned()), range.clone());
        self.at = range.end;
    }

    /// Does something that is open wait for this? A word waits only within the nearest parentheses.
    fn is_expected(&self, closer: Closers) -> bool {
        for &expected in self.expected.iter().rev() {
            if expected.has(closer) {
                return true;
            }
            if expected.has(Closers::PAREN) {
                return false;
            }
        }
        false
    }

    /// What comes next if it can end a list, and how long it is.
    pub fn closer(&self) -> Option<(Closers, usize)> {
        let found = match self.peek()? {
            b')' => (Closers::PAREN, 1),
            b';' if self.starts_with(";;&") => (Closers::ARM, 3),
            b';' if self.starts_with(";;") || self.starts_with(";&") => (Closers::ARM, 2),
            b't' | b'e' | b'f' | b'd' | b'}' => {
                let word = self.plain_word()?;
                let closer = match word {
                    "then" => Closers::THEN,
                    "elif" => Closers::ELIF,
                    "else" => Closers::ELSE,
                    "fi" => Closers::FI,
                    "do" => Closers::DO,
                    "done" => Closers::DONE,
                    "esac" => Closers::ESAC,
                    "}" => Closers::BRACE,
                    _ => return None,
                };
                (closer, word.len())
            }
            _ => return None,
        };
        Some(found)
    }

    /// Takes `closer` if it comes next.
    pub fn take_closer(&mut self, closer: Closers) -> bool {
        self.skip_lines();
        match self.closer() {
            Some((found, width)) if found == closer => {
                self.at += width;
                true
            }
            _ => false,
        }
    }

    fn connector(&mut self) -> Option<Connector> {
        self.skip_blanks();
        let start = self.at;
        let kind = if self.starts_with(";;") || self.starts_with(";&") {
            return None;
        } else if self.take("&&") {
            ConnectorKind::And
        } else if self.take("||") {
            ConnectorKind::Or
        } else if self.take(";") {
            ConnectorKind::Semicolon
        } else if self.take("&") {
            ConnectorKind::Background
        } else if let Some(width) = self.line_break(0) {
            let range = self.range(start..start + width);
            self.newline(width);
            return Some(Connector { kind: ConnectorKind::Newline, range });
        } else {
            return None;
        };
        Some(Connector { kind, range: self.since(start) })
    }

    /// A command, unless something comes next that ends a list.
    fn unclosed(&mut self) -> Option<Node> {
        if self.closer().is_none() { self.node() } else { None }
    }

    /// A pipeline, unless an operator comes next that begins none.
    fn pipeline(&mut self) -> Option<Pipeline> {
        let start = self.at;
        let mut negated = None;
        while self.plain_word() == Some("!") {
            let at = self.at;
            self.at += 1;
            // Twice is not at all.
            negated = if negated.is_none() { Some(self.since(at)) } else { None };
            self.skip_blanks();
        }
        let mut nodes = Vec::new();
        let mut pipes = Vec::new();
        match self.unclosed() {
            Some(node) => nodes.push(node),
            None if self.at == start => return None,
            None => {
                self.missing("a command");
                return None;
            }
        }
        loop {
            self.skip_blanks();
            let at = self.at;
            if self.starts_with("||") || !self.take("|") {
                break;
            }
            let with_stderr = self.bash() && self.take("&");
            let range = self.since(at);
            self.skip_lines();
            let Some(node) = self.unclosed() else {
                self.missing("a command");
                break;
            };
            pipes.push(Pipe { with_stderr, range });
            nodes.push(node);
        }
        let range = nodes.first().map_or(0, |node| node.range().start)..nodes.last().map_or(0, |node| node.range().end);
        let start = negated.as_ref().map_or(range.start, |negated| negated.start.min(range.start));
        Some(Pipeline { negated, nodes, pipes, range: start..range.end })
    }
}
