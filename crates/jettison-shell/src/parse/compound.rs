//! Compound commands and functions (POSIX 2.9.4, 2.9.5; bash, 3.2.5).

use super::Parser;
use super::list::Closers;
use super::words::Mode;
use crate::error::ParseErrorKind;
use crate::shell::Dialect;
use crate::syntax::{Arm, Branch, Compound, CompoundKind, Function, List, Node};
use crate::word::{PartKind, Word};

impl Parser<'_, '_> {
    pub fn bash(&self) -> bool {
        self.dialect == Dialect::Bash
    }

    /// A command of any kind, unless an operator comes next that begins none.
    pub fn node(&mut self) -> Option<Node> {
        let start = self.at;
        let kind = match self.peek()? {
            b'(' => {
                if self.bash() && self.starts_with("((") && self.arithmetic_end(self.at + 2).is_some() {
                    let parts = self.arithmetic();
                    Some(CompoundKind::Arithmetic(parts))
                } else {
                    self.at += 1;
                    let list = self.nested(Closers::PAREN, "(", ")", start);
                    Some(CompoundKind::Subshell(list))
                }
            }
            _ => {
                let word = self.plain_word();
                match word {
                    Some("{") => {
                        self.at += 1;
                        let list = self.nested(Closers::BRACE, "{", "}", start);
                        Some(CompoundKind::Group(list))
                    }
                    Some("if") => self.deeper(Self::conditional),
                    Some("while" | "until") => self.deeper(Self::loops),
                    Some("for") => self.deeper(|parser| parser.iteration("for")),
                    Some("select") if self.bash() => self.deeper(|parser| parser.iteration("select")),
                    Some("case") => self.deeper(Self::case),
                    Some("[[") if self.bash() => Some(self.test()),
                    Some("function") if self.bash() => return self.named_function(),
                    Some("in") => {
                        self.error(ParseErrorKind::Unexpected("in".to_owned()), start..start + 2);
                        return self.simple();
                    }
                    _ => return self.simple(),
                }
            }
        };
        // Nothing is left of what was nested too deep.
        let kind = kind.unwrap_or(CompoundKind::Group(List::default()));
        let mut redirections = Vec::new();
        let mut end = self.at;
        loop {
            self.skip_blanks();
            match self.redirection() {
                Some(redirection) => redirections.push(redirection),
                None => break,
            }
            end = self.at;
        }
        Some(Node::Compound(Box::new(Compound { kind, redirections, range: self.range(start..end) })))
    }

    /// A list one level deeper, and what ends it.
    pub fn nested(&mut self, closer: Closers, opened: &'static str, missing: &'static str, start: usize) -> List {
        let list = self.deeper(|parser| parser.list(closer));
        if matches!(opened, "(" | "{") {
            self.filled(&list);
        }
        if !self.take_closer(closer) {
            self.open(opened, missing, start);
        }
        list
    }

    /// A compound command has at least one command in each of its lists.
    fn filled(&mut self, list: &List) {
        if list.items.is_empty() {
            self.missing("a command");
        }
    }

    fn conditional(&mut self) -> Option<CompoundKind> {
        let start = self.at;
        let ends = Closers::ELIF.or(Closers::ELSE).or(Closers::FI);
        let mut branches = Vec::new();
        let mut otherwise = None;
        self.at += "if".len();
        loop {
            let condition = self.list(ends.or(Closers::THEN));
            if !self.take_closer(Closers::THEN) {
                self.missing("`then`");
            }
            self.filled(&condition);
            let body = self.list(ends);
            self.filled(&body);
            branches.push(Branch { condition, body });
            if !self.take_closer(Closers::ELIF) {
                break;
            }
        }
        if self.take_closer(Closers::ELSE) {
            let body = self.list(Closers::FI);
            self.filled(&body);
            otherwise = Some(body);
        }
        if !self.take_closer(Closers::FI) {
            self.open("if", "fi", start);
        }
        Some(CompoundKind::If { branches, otherwise })
    }

    fn loops(&mut self) -> Option<CompoundKind> {
        let start = self.at;
        let until = self.starts_with("until");
        self.at += "while".len();
        let condition = self.list(Closers::DO.or(Closers::DONE));
        self.filled(&condition);
        let body = self.body(if until { "until" } else { "while" }, start);
        Some(CompoundKind::While { until, condition, body })
    }

    /// `do …; done`
    fn body(&mut self, opened: &'static str, start: usize) -> List {
        if !self.take_closer(Closers::DO) {
            self.missing("`do`");
        }
        let body = self.list(Closers::DONE);
        self.filled(&body);
        if !self.take_closer(Closers::DONE) {
            self.open(opened, "done", start);
        }
        body
    }

    fn iteration(&mut self, keyword: &'static str) -> Option<CompoundKind> {
        let start = self.at;
        self.at += keyword.len();
        self.skip_blanks();
        if self.bash() && self.starts_with("((") && self.arithmetic_end(self.at + 2).is_some() {
            let header = self.arithmetic();
            self.skip_blanks();
            self.take(";");
            let body = self.body(keyword, start);
            return Some(CompoundKind::ArithmeticFor { header, body });
        }
        let variable = self.word(Mode::Word).unwrap_or_else(|| {
            self.missing("the name of a variable");
            Word::default()
        });
        self.skip_lines();
        let mut words = None;
        if self.plain_word() == Some("in") {
            self.at += "in".len();
            let words = words.insert(Vec::new());
            loop {
                self.skip_blanks();
                match self.word(Mode::Word) {
                    Some(word) => words.push(word),
                    None => break,
                }
            }
        }
        self.skip_blanks();
        if !self.starts_with(";;") {
            self.take(";");
        }
        let body = self.body(keyword, start);
        Some(CompoundKind::For { variable, words, body })
    }

    fn case(&mut self) -> Option<CompoundKind> {
        let start = self.at;
        self.at += "case".len();
        self.skip_blanks();
        let word = self.word(Mode::Word).unwrap_or_else(|| {
            self.missing("what is compared");
            Word::default()
        });
        self.skip_lines();
        if self.plain_word() == Some("in") {
            self.at += "in".len();
        } else {
            self.missing("`in`");
        }
        let mut arms = Vec::new();
        loop {
            self.skip_lines();
            let at = self.at;
            if self.peek().is_none() || matches!(self.closer(), Some((Closers::ESAC, _))) {
                break;
            }
            self.take("(");
            let mut patterns = Vec::new();
            loop {
                self.skip_blanks();
                patterns.extend(self.word(Mode::Word));
                self.skip_blanks();
                if !self.take("|") {
                    break;
                }
            }
            if !self.take(")") {
                self.missing("`)` after the pattern");
                if patterns.is_empty() && self.at == at {
                    break;
                }
            }
            let body = self.list(Closers::ARM.or(Closers::ESAC));
            let mut end = self.at;
            if let Some((Closers::ARM, width)) = self.closer() {
                self.at += width;
                end = self.at;
            }
            arms.push(Arm { patterns, body, range: self.range(at..end) });
            if self.at == at {
                break;
            }
        }
        if !self.take_closer(Closers::ESAC) {
            self.open("case", "esac", start);
        }
        Some(CompoundKind::Case { word, arms })
    }

    /// `[[ … ]]`
    fn test(&mut self) -> CompoundKind {
        let start = self.at;
        self.at += "[[".len();
        let mut words: Vec<Word> = Vec::new();
        loop {
            self.skip_lines();
            if self.peek().is_none() {
                self.open("[[", "]]", start);
                break;
            }
            if self.plain_word() == Some("]]") {
                self.at += "]]".len();
                break;
            }
            let matches = words.last().is_some_and(|word| word.plain() == Some("=~"));
            if let Some(word) = self.word(if matches { Mode::Regex } else { Mode::Word }) {
                words.push(word);
                continue;
            }
            let at = self.at;
            self.at += if self.starts_with("&&") || self.starts_with("||") { 2 } else { 1 };
            let part = self.part(PartKind::Literal, &self.text[at..self.at], at);
            let range = part.range.clone();
            words.push(Word { parts: vec![part], range });
        }
        CompoundKind::Test(words)
    }

    /// `function name …`
    fn named_function(&mut self) -> Option<Node> {
        let start = self.at;
        self.at += "function".len();
        self.skip_blanks();
        let at = self.at;
        let Some(name) = self.word(Mode::Word) else {
            self.missing("the name of a function");
            return self.function(start, at..at);
        };
        let _ = name;
        let name = at..self.at;
        self.skip_blanks();
        if self.take("(") {
            self.skip_blanks();
            self.take(")");
        }
        self.function(start, name)
    }

    /// The body of a function whose name was read, and its parentheses.
    pub fn function(&mut self, start: usize, name: std::ops::Range<usize>) -> Option<Node> {
        self.skip_lines();
        let body = if self.closer().is_none() { self.deeper(Self::node) } else { None };
        if self.bash() && !matches!(body, None | Some(Node::Compound(_))) {
            self.missing("a compound command");
        }
        let body = body.unwrap_or_else(|| {
            self.error(ParseErrorKind::Missing("the body of a function"), self.at..self.at);
            let range = self.range(self.at..self.at);
            let kind = CompoundKind::Group(List { items: Vec::new(), range: range.clone() });
            Node::Compound(Box::new(Compound { kind, redirections: Vec::new(), range }))
        });
        let name_range = self.range(name.clone());
        let whole = self.range(start..start.max(name.end));
        let range = whole.start..body.range().end.max(whole.end);
        Some(Node::Function(Box::new(Function { name: self.text[name].to_owned(), name_range, body, range })))
    }
}
