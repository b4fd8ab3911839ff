//! JSON arrays of strings with the place of each (RFC 8259, and what Go's `encoding/json` makes of it).

use crate::source::Span;
use crate::word::Word;

/// What a text is that should perhaps be a JSON array of strings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json {
    /// An array of strings, unescaped.
    Strings(Vec<Word>),
    /// A JSON array with something else in it.
    Other(Span),
    /// No JSON array, and why.
    Not(&'static str),
}

/// Deeper than this nothing is taken for JSON.
const MAX_DEPTH: usize = 128;

/// Reads `text` as a JSON array of strings.
pub(crate) fn parse(text: &Word) -> Json {
    let mut reader = Reader { text, at: 0 };
    reader.white_space();
    if !reader.take(b'[') {
        return Json::Not("it does not begin with `[`");
    }
    match reader.array() {
        Ok((strings, None)) => Json::Strings(strings),
        Ok((_, Some(other))) => Json::Other(other),
        Err(why) => Json::Not(why),
    }
}

struct Reader<'t> {
    text: &'t Word,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The strings of the outermost array, from behind its `[`, and the first element that is none.
    fn array(&mut self) -> Result<(Vec<Word>, Option<Span>), &'static str> {
        let mut strings = Vec::new();
        let mut other = None;
        self.white_space();
        if !self.take(b']') {
            loop {
                self.white_space();
                let start = self.at;
                if self.peek() == Some(b'"') {
                    strings.push(self.string()?);
                } else {
                    self.value(0)?;
                    other.get_or_insert(self.text.span_of(start..self.at));
                }
                self.white_space();
                if self.take(b']') {
                    break;
                }
                if !self.take(b',') {
                    return Err("the elements have no `,` between them, or the `]` is missing");
                }
            }
        }
        self.white_space();
        if self.peek().is_some() { Err("something follows the `]`") } else { Ok((strings, other)) }
    }

    /// Walks over a value.
    fn value(&mut self, depth: usize) -> Result<(), &'static str> {
        if depth == MAX_DEPTH {
            return Err("it is nested too deep");
        }
        self.white_space();
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'[') => {
                self.at += 1;
                self.list(b']', |reader| reader.value(depth + 1))
            }
            Some(b'{') => {
                self.at += 1;
                self.list(b'}', |reader| {
                    reader.white_space();
                    reader.string()?;
                    reader.white_space();
                    if !reader.take(b':') {
                        return Err("a key of an object has no `:`");
                    }
                    reader.value(depth + 1)
                })
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'\'') => Err("JSON has no single quotes"),
            Some(b']') => Err("a `,` has nothing behind it"),
            _ => self.literal(),
        }
    }

    fn list(
        &mut self,
        end: u8,
        mut element: impl FnMut(&mut Self) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        self.white_space();
        if self.take(end) {
            return Ok(());
        }
        loop {
            element(self)?;
            self.white_space();
            if self.take(end) {
                return Ok(());
            }
            if !self.take(b',') {
                return Err("the elements have no `,` between them");
            }
        }
    }

    fn literal(&mut self) -> Result<(), &'static str> {
        for literal in ["true", "false", "null"] {
            if self.text[self.at..].starts_with(literal) {
                self.at += literal.len();
                return Ok(());
            }
        }
        Err("an element has no double quotes")
    }

    fn number(&mut self) -> Result<(), &'static str> {
        const NOT: &str = "an element is no JSON number";
        self.take(b'-');
        if !self.take(b'0') {
            self.digits(NOT)?;
        }
        if self.take(b'.') {
            self.digits(NOT)?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits(NOT)?;
        }
        Ok(())
    }

    fn digits(&mut self, not: &'static str) -> Result<(), &'static str> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(not) } else { Ok(()) }
    }

    /// A string, its escapes resolved. Half a surrogate pair becomes U+FFFD, as in Go.
    fn string(&mut self) -> Result<Word, &'static str> {
        let start = self.at;
        if !self.take(b'"') {
            return Err("a key of an object is no string");
        }
        let mut string = Word::default();
        loop {
            let Some(c) = self.text[self.at..].chars().next() else { return Err("a string is not closed") };
            let at = self.at;
            self.at += c.len_utf8();
            let c = match c {
                '"' => return Ok(string.spanning(self.text.span_of(start..self.at))),
                '\\' => self.escape()?,
                '\0'..='\x1f' => return Err("a string holds a control character"),
                c => c,
            };
            string.push(c, self.text.span_of(at..self.at));
        }
    }

    fn escape(&mut self) -> Result<char, &'static str> {
        let escape = self.peek();
        self.at += usize::from(escape.is_some_and(|byte| byte.is_ascii()));
        Ok(match escape {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.hex()?;
                if !(0xd800..0xdc00).contains(&first) || !self.text[self.at..].starts_with("\\u") {
                    return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                let behind_first = self.at;
                self.at += 2;
                let second = self.hex()?;
                if !(0xdc00..0xe000).contains(&second) {
                    self.at = behind_first;
                    return Ok(char::REPLACEMENT_CHARACTER);
                }
                char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
                    .unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return Err("a string has a `\\` that JSON does not know"),
        })
    }

    fn hex(&mut self) -> Result<u32, &'static str> {
        let digits = self.text.get(self.at..self.at + 4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        self.at += 4;
        digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or("a `\\u` lacks its four digits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Json {
        let mut word = Word::default();
        word.push_str(text, 0);
        super::parse(&word)
    }

    #[test]
    fn strings_are_unescaped_and_placed() {
        let Json::Strings(strings) = parse(r#" [ "a\n\"b\"" , "\u00e9\ud83d\ude00\ud83dx", "" ] "#) else { panic!() };
        let found: Vec<_> = strings.iter().map(|word| (word.as_str(), word.span().start, word.span().end)).collect();
        assert_eq!(found, [("a\n\"b\"", 3, 13), ("é😀\u{fffd}x", 16, 43), ("", 45, 47)]);
        assert_eq!(strings[0].span_of(2..3), Span::new(7, 8));
        assert_eq!(parse("[]"), Json::Strings(vec![]));
    }

    #[test]
    fn anything_else_is_told_apart() {
        for text in [r#"["a", 1]"#, "[[\"a\"]]", r#"[{"a": [-1.5e+3, null, true]}]"#, "[false]", "[[], {}]", "[0]"] {
            assert!(matches!(parse(text), Json::Other(_)), "{text}");
        }
        for text in [
            "",
            "a",
            "['a']",
            "[\"a\"",
            "[\"a\",]",
            "[\"a\"] x",
            "[\"a\" \"b\"]",
            "[a]",
            "[\"\\x\"]",
            "[\"\\u12\"]",
            "[01]",
            "[\"a\tb\"]",
            "[-]",
            "[1.]",
            "[{a:1}]",
            "[\"\\",
            "[\"\\é\"]",
            "[\"a\" , ",
            "[{\"a\" 1}]",
            "[ -f x ] && y",
            "[1e]",
        ] {
            assert!(matches!(parse(text), Json::Not(_)), "{text}");
        }
        assert!(matches!(parse(&"[".repeat(100_000)), Json::Not(_)));
    }
}
