//! Simple commands and redirections (POSIX 2.7, 2.9.1).

use super::Parser;
use super::heredoc::Pending;
use super::words::Mode;
use crate::error::ParseErrorKind;
use crate::syntax::{Assignment, Heredoc, HeredocId, Node, Operator, Redirection, Simple};
use crate::word::{PartKind, Word};
use crate::wrapper::{self, Given};
use std::ops::Range;

impl Parser<'_, '_> {
    /// A simple command, or the function that one turned out to be.
    pub fn simple(&mut self) -> Option<Node> {
        let start = self.at;
        let waiting = self.pending.len();
        let mut simple = Simple::default();
        let mut spans: Vec<Range<usize>> = Vec::new();
        let mut end = None;
        loop {
            self.skip_blanks();
            let at = self.at;
            if let Some(redirection) = self.redirection() {
                simple.redirections.push(redirection);
            } else if simple.words.is_empty()
                && let Some(assignment) = self.assignment()
            {
                simple.assignments.push(assignment);
            } else if let Some(mut word) = self.word(Mode::Word) {
                let named = self.at;
                if end.is_none() && word.plain().is_some() && self.take_empty_parentheses() {
                    return self.function(start, at..named);
                }
                if self.bash() && self.peek() == Some(b'(') && declares(&simple, &word) {
                    self.declared(&mut word);
                }
                simple.words.push(word);
                spans.push(at..self.at);
            } else {
                break;
            }
            end = Some(self.at);
        }
        simple.range = self.range(start..end?);
        match wrapper::given(&simple.words) {
            Some(Given::Word(index, shell)) => simple.inline = self.inline(spans[index].clone(), shell),
            Some(Given::Input(shell)) => {
                let input = self.pending.iter_mut().skip(waiting).rev().find(|pending| pending.input);
                if let Some(pending) = input {
                    pending.shell = Some(shell);
                }
            }
            None => {}
        }
        Some(Node::Simple(Box::new(simple)))
    }

    /// Takes `()` after the name of a function.
    fn take_empty_parentheses(&mut self) -> bool {
        let bytes = &self.text.as_bytes()[self.at..self.end];
        let blanks = |from: usize| bytes[from..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        let open = blanks(0);
        if bytes.get(open) != Some(&b'(') {
            return false;
        }
        let close = open + 1 + blanks(open + 1);
        let there = bytes.get(close) == Some(&b')');
        if there {
            self.at += close + 1;
        }
        there
    }

    /// The length of the name of a variable `after` other bytes.
    pub fn name_length(&self, after: usize) -> usize {
        let mut length = 0;
        while let Some(b) = self.ahead(after + length) {
            if !(b == b'_' || b.is_ascii_alphabetic() || length > 0 && b.is_ascii_digit()) {
                break;
            }
            length += 1;
        }
        length
    }

    fn assignment(&mut self) -> Option<Assignment> {
        let start = self.at;
        let length = self.name_length(0);
        if length == 0 {
            return None;
        }
        let mut operator = length;
        if self.bash() && self.ahead(length) == Some(b'[') {
            let rest = &self.text.as_bytes()[start + length..self.end];
            let stop = rest.iter().position(|b| matches!(b, b']' | b'\n' | b' ' | b';' | b'&' | b'|'))?;
            if rest[stop] != b']' {
                return None;
            }
            operator += stop + 1;
        }
        let appends = self.bash() && self.ahead(operator) == Some(b'+');
        if self.ahead(operator + usize::from(appends)) != Some(b'=') {
            return None;
        }
        self.at += operator + usize::from(appends) + 1;
        let name = self.text[start..start + length].to_owned();
        let at = self.at;
        let mut value = Word { parts: Vec::new(), range: self.range(at..at) };
        let mut elements = Vec::new();
        if self.bash() && self.peek() == Some(b'(') {
            elements = self.elements();
        } else if let Some(word) = self.word(Mode::Word) {
            value = word;
        }
        Some(Assignment { name, appends, value, elements, range: self.since(start) })
    }

    /// `(…)` of an array.
    fn elements(&mut self) -> Vec<Word> {
        let start = self.at;
        let mut words = Vec::new();
        self.at += 1;
        loop {
            self.skip_lines();
            if self.take(")") {
                break;
            }
            if self.peek().is_none() {
                self.open("(", ")", start);
                break;
            }
            match self.word(Mode::Word) {
                Some(word) => words.push(word),
                None => {
                    let at = self.at;
                    self.at += 1;
                    self.error(ParseErrorKind::Unexpected(self.text[at..at + 1].to_owned()), at..at + 1);
                }
            }
        }
        words
    }

    /// `(…)` after `declare -a name=`: the parts of its elements become parts of the word.
    fn declared(&mut self, word: &mut Word) {
        let start = self.at;
        let elements = self.elements();
        if elements.is_empty() {
            word.parts.push(self.part(PartKind::Literal, &self.text[start..self.at], start));
        }
        word.parts.extend(elements.into_iter().flat_map(|element| element.parts));
        word.range.end = self.since(start).end;
    }

    /// A redirection, if one comes next.
    pub fn redirection(&mut self) -> Option<Redirection> {
        let start = self.at;
        let mut width = 0;
        while self.ahead(width).is_some_and(|b| b.is_ascii_digit()) {
            width += 1;
        }
        if self.bash() && width == 0 && self.peek() == Some(b'{') {
            let name = self.name_length(1);
            if name > 0 && self.ahead(name + 1) == Some(b'}') {
                width = name + 2;
            }
        }
        let descriptor = (width > 0).then(|| self.text[start..start + width].trim_matches(['{', '}']).to_owned());
        let both = self.bash() && width == 0;
        let both = both && self.starts_with("&>");
        if !both && !matches!(self.ahead(width)?, b'<' | b'>') {
            return None;
        }
        if self.bash() && width == 0 && self.ahead(1) == Some(b'(') {
            return None;
        }
        self.at += width;
        let operators: &[(&str, Operator)] = &[
            ("<<<", Operator::HereString),
            ("<<-", Operator::HeredocTabs),
            ("<<", Operator::Heredoc),
            ("<&", Operator::DuplicateInput),
            ("<>", Operator::ReadWrite),
            ("<", Operator::Input),
            (">>", Operator::Append),
            (">&", Operator::DuplicateOutput),
            (">|", Operator::Clobber),
            (">", Operator::Output),
            ("&>>", Operator::AppendBoth),
            ("&>", Operator::OutputBoth),
        ];
        let operator = operators.iter().find(|(text, _)| self.take(text))?.1;
        if operator == Operator::HereString && !self.bash() {
            self.error(ParseErrorKind::Unexpected("<<<".to_owned()), start + width..self.at);
        }
        self.skip_blanks();
        let target = self.word(Mode::Word).unwrap_or_else(|| {
            self.missing("the target of the redirection");
            Word { parts: Vec::new(), range: self.range(self.at..self.at) }
        });
        let heredoc = matches!(operator, Operator::Heredoc | Operator::HeredocTabs).then(|| {
            let id = self.found.heredocs.len();
            let here = target.range.end..target.range.end;
            let quoted = target.is_quoted();
            let delimiter = target.text().into_owned();
            self.pending.push(Pending {
                id,
                tabs: operator == Operator::HeredocTabs,
                input: descriptor.as_deref().is_none_or(|descriptor| descriptor == "0"),
                shell: None,
            });
            self.found.heredocs.push(Heredoc {
                delimiter,
                quoted,
                body: here.clone(),
                range: here,
                parts: Vec::new(),
                script: None,
            });
            HeredocId(id)
        });
        Some(Redirection { descriptor, operator, target, heredoc, range: self.since(start) })
    }
}

/// Is this `name=` an argument of a builtin that declares variables?
fn declares(simple: &Simple, word: &Word) -> bool {
    word.text().ends_with('=')
        && simple
            .words
            .first()
            .is_some_and(|first| matches!(first.plain(), Some("declare" | "local" | "typeset" | "export" | "readonly")))
}
