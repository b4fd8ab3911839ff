//! What begins with `$` or a backquote (POSIX 2.6.2 to 2.6.4).

use super::Parser;
use super::list::Closers;
use super::words::Mode;
use crate::error::ParseErrorKind;
use crate::word::{Parameter, Part, PartKind};

impl Parser<'_, '_> {
    /// The expansion at a `$`; nothing where the `$` stands for itself.
    pub fn dollar(&mut self, mode: Mode) -> Option<Part> {
        let start = self.at;
        let kind = match self.ahead(1)? {
            b'(' if self.ahead(2) == Some(b'(') && self.arithmetic_end(start + 3).is_some() => {
                self.at += 1;
                PartKind::Arithmetic(self.arithmetic())
            }
            b'(' => {
                self.at += 2;
                PartKind::CommandSubstitution(self.nested(Closers::PAREN, "$(", ")", start))
            }
            b'{' => PartKind::Parameter(self.deeper(|parser| parser.braces(mode))),
            b'\'' if self.bash() && !mode.is_quoted() => return Some(self.ansi_quoted()),
            b'"' if self.bash() && !mode.is_quoted() => {
                self.at += 1;
                return Some(self.double_quoted(start));
            }
            b if b == b'_' || b.is_ascii_alphabetic() => {
                let length = self.name_length(1);
                self.at += 1 + length;
                let name = self.text[start + 1..self.at].to_owned();
                PartKind::Parameter(Parameter { name, operator: String::new(), word: Vec::new() })
            }
            b'0'..=b'9' | b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!' => {
                self.at += 2;
                let name = self.text[start + 1..self.at].to_owned();
                PartKind::Parameter(Parameter { name, operator: String::new(), word: Vec::new() })
            }
            _ => return None,
        };
        Some(self.part(kind, &self.text[start..self.at], start))
    }

    /// `${…}`
    fn braces(&mut self, mode: Mode) -> Parameter {
        let start = self.at;
        self.at += 2;
        let mut operator = String::new();
        // A length, or in bash a name by another name; `${#}` and `${#-}` are parameters themselves.
        let prefix = match (self.peek(), self.ahead(1)) {
            (Some(b'#'), Some(b)) => {
                b == b'_' || b.is_ascii_alphanumeric() || matches!(b, b'@' | b'*' | b'?' | b'$' | b'!')
            }
            (Some(b'!'), Some(b)) => self.bash() && (b == b'_' || b.is_ascii_alphanumeric()),
            _ => false,
        };
        if prefix {
            operator.push_str(&self.text[self.at..self.at + 1]);
            self.at += 1;
        }
        let at = self.at;
        match self.peek() {
            Some(b'0'..=b'9') => {
                while self.peek().is_some_and(|b| b.is_ascii_digit()) {
                    self.at += 1;
                }
            }
            Some(b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!') => self.at += 1,
            _ => self.at += self.name_length(0),
        }
        if self.bash() && self.at > at && self.peek() == Some(b'[') {
            let rest = &self.text.as_bytes()[self.at..self.end];
            if let Some(end) = rest.iter().position(|b| matches!(b, b']' | b'}' | b'\n'))
                && rest[end] == b']'
            {
                self.at += end + 1;
            }
        }
        let name = self.text[at..self.at].to_owned();
        const OPERATORS: &[&str] = &[
            ":-", ":=", ":?", ":+", "##", "%%", "//", "/#", "/%", "^^", ",,", "-", "=", "?", "+", "#", "%", "/", "^",
            ",", "@", ":",
        ];
        if name.is_empty() {
            self.error(ParseErrorKind::Missing("the name of a variable"), self.at..self.at);
        } else if let Some(found) = OPERATORS.iter().find(|found| self.take(found)) {
            operator.push_str(found);
        } else if self.peek().is_some_and(|b| b != b'}') {
            let end = self.at + self.text[self.at..].chars().next().map_or(0, char::len_utf8);
            self.error(ParseErrorKind::Unexpected(self.text[self.at..end].to_owned()), self.at..end);
        }
        // In a pattern quotes have their meaning, whatever is around the braces.
        let pattern = operator.starts_with(['#', '%', '/']);
        let quoted = mode.is_quoted() && !pattern;
        let word = self.parts(Mode::Braces { quoted });
        if !self.take("}") {
            self.open("${", "}", start);
        }
        Parameter { name, operator, word }
    }

    /// `$'…'`
    fn ansi_quoted(&mut self) -> Part {
        let start = self.at;
        self.at += 2;
        let mut text = String::new();
        loop {
            let Some(c) = self.text[self.at..self.end].chars().next() else {
                self.open("$'", "'", start);
                break;
            };
            self.at += c.len_utf8();
            match c {
                '\'' => break,
                '\\' => self.ansi_escape(&mut text),
                c => text.push(c),
            }
        }
        self.part(PartKind::AnsiQuoted, text, start)
    }

    /// What follows a backslash in `$'…'`.
    fn ansi_escape(&mut self, text: &mut String) {
        let Some(c) = self.text[self.at..self.end].chars().next() else {
            text.push('\\');
            return;
        };
        let (radix, most, skip) = match c {
            '0'..='7' => (8, 3, 0),
            'x' => (16, 2, 1),
            'u' => (16, 4, 1),
            'U' => (16, 8, 1),
            _ => (0, 0, 0),
        };
        if radix > 0 {
            let digits = &self.text[self.at + skip..self.end];
            let count = digits.chars().take(most).take_while(|c| c.is_digit(radix)).count();
            if let Some(c) = u32::from_str_radix(&digits[..count], radix).ok().and_then(char::from_u32) {
                text.push(c);
                self.at += skip + count;
                return;
            }
        }
        self.at += c.len_utf8();
        match c {
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            'a' => text.push('\u{7}'),
            'b' => text.push('\u{8}'),
            'e' | 'E' => text.push('\u{1b}'),
            'f' => text.push('\u{c}'),
            'v' => text.push('\u{b}'),
            '\\' | '\'' | '"' | '?' => text.push(c),
            c => text.extend(['\\', c]),
        }
    }

    /// `` `…` ``; within double quotes `\"` is an escape too.
    pub fn backquoted(&mut self, quoted: bool) -> Part {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut end = start + 1;
        while end < self.end && bytes[end] != b'`' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let closed = end < self.end;
        let end = end.min(self.end);
        if !closed {
            self.open("`", "`", start);
        }
        let special: &[u8] = if quoted { b"$`\\\"" } else { b"$`\\" };
        let (text, places) = self.unescaped(start + 1..end, special);
        let list = self.within(&text, &places, self.dialect);
        self.at = if closed { end + 1 } else { end };
        self.part(PartKind::CommandSubstitution(list), &self.text[start..self.at], start)
    }

    /// `((…))`, whose end is known to be there.
    pub fn arithmetic(&mut self) -> Vec<Part> {
        self.at += 2;
        let end = self.arithmetic_end(self.at).unwrap_or(self.end);
        let parts = self.deeper(|parser| parser.limited(end, |parser| parser.parts(Mode::Document)));
        self.at = (self.at + 2).min(self.end);
        parts
    }

    /// Where the `))` is that ends the arithmetic which began before `start`; nothing if it is two parentheses.
    pub fn arithmetic_end(&self, start: usize) -> Option<usize> {
        let bytes = &self.text.as_bytes()[..self.end];
        let mut open = 0usize;
        let mut at = start;
        while at < bytes.len() {
            match bytes[at] {
                b'\\' => at += 1,
                b'(' => open += 1,
                b')' if open > 0 => open -= 1,
                b')' => return (bytes.get(at + 1) == Some(&b')')).then_some(at),
                _ => {}
            }
            at += 1;
        }
        None
    }
}
