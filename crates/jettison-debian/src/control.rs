//! Control data: paragraphs of fields (Policy 5.1, deb822(5)).
//!
//! A [`Paragraph`] borrows the text that it stands in and is searched where it lies, so that an index of seventy thousand
//! paragraphs costs one pass and no allocation. [`Paragraphs`] walks a text in memory, `ParagraphReader` one that streams.

use std::io::{self, BufRead};

use memchr::memchr;

/// A paragraph longer than this is not control data.
const PARAGRAPH_LIMIT: usize = 4 << 20;

/// One paragraph whose every line is well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paragraph<'a> {
    text: &'a str,
}

impl<'a> Paragraph<'a> {
    /// Parses a text that is one paragraph, with or without blank lines around it.
    pub fn parse(text: &'a str) -> Result<Self, ControlError> {
        let mut paragraphs = Paragraphs::new(text);
        let only = paragraphs.next().unwrap_or(Err(ControlError { line: 1, why: Why::Empty }))?;
        match paragraphs.next() {
            None => Ok(only),
            Some(_) => Err(ControlError { line: paragraphs.start, why: Why::SecondParagraph }),
        }
    }

    /// A text that [`parse`](Self::parse) has found to be one.
    pub(crate) fn assume(text: &'a str) -> Self {
        Self { text }
    }

    /// The text, from its first field to the newline of its last.
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// The value of a field, by its name in any case, trimmed. The lines of a folded or multiline field come as they are.
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.fields().find_map(|(field, value)| field.eq_ignore_ascii_case(name).then_some(value))
    }

    /// The lines of a multiline field, trimmed, without blank ones and comments.
    pub fn lines(self, name: &str) -> impl Iterator<Item = &'a str> {
        let lines = self.get(name).unwrap_or_default().lines();
        lines.filter(|line| !line.starts_with('#')).map(str::trim).filter(|line| !line.is_empty())
    }

    /// The words of a field that is a list, over all of its lines.
    pub fn words(self, name: &str) -> impl Iterator<Item = &'a str> {
        self.lines(name).flat_map(str::split_ascii_whitespace)
    }

    /// Names and trimmed values in order.
    pub fn fields(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        Fields { rest: self.text, line: 1 }.filter_map(Result::ok)
    }
}

/// Splits a text into fields. A line that is neither a field, nor continues one, nor is a comment is an error.
pub(crate) struct Fields<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(text: &'a str, line: usize) -> Self {
        Self { rest: text, line }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(&'a str, &'a str), ControlError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.rest.starts_with('#') {
            self.rest = &self.rest[line_end(self.rest.as_bytes())..];
            self.line += 1;
        }
        if self.rest.is_empty() {
            return None;
        }
        let at = self.line;
        let bytes = self.rest.as_bytes();
        let mut end = line_end(bytes);
        self.line += 1;
        // A comment between the lines of a value belongs to the field; who reads the lines one by one skips it.
        let mut ahead = end;
        loop {
            match bytes.get(ahead) {
                Some(b' ' | b'\t') => {
                    ahead += line_end(&bytes[ahead..]);
                    self.line += memchr::memchr_iter(b'\n', &bytes[end..ahead]).count();
                    end = ahead;
                }
                Some(b'#') => ahead += line_end(&bytes[ahead..]),
                _ => break,
            }
        }
        let (field, rest) = self.rest.split_at(end);
        self.rest = rest;
        let error = |why| Some(Err(ControlError { line: at, why }));
        let Some(colon) = memchr(b':', &field.as_bytes()[..line_end(field.as_bytes())]) else {
            return error(Why::NoColon);
        };
        let name = &field[..colon];
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) || name.starts_with('-') {
            return error(Why::FieldName);
        }
        Some(Ok((name, field[colon + 1..].trim_matches([' ', '\t', '\r', '\n']))))
    }
}

/// The length of the first line with its newline.
fn line_end(bytes: &[u8]) -> usize {
    memchr(b'\n', bytes).map_or(bytes.len(), |newline| newline + 1)
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// The paragraphs of a text, each checked.
#[derive(Debug, Clone)]
pub struct Paragraphs<'a> {
    rest: &'a str,
    /// The line on which `rest` starts, and on which the last paragraph started.
    line: usize,
    start: usize,
}

impl<'a> Paragraphs<'a> {
    /// Starts at the beginning of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1, start: 1 }
    }
}

impl<'a> Iterator for Paragraphs<'a> {
    type Item = Result<Paragraph<'a>, ControlError>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.rest.as_bytes();
        let mut from = 0;
        let mut fields = false;
        let mut end = 0;
        self.start = self.line;
        while end < bytes.len() {
            let line = &bytes[end..end + line_end(&bytes[end..])];
            if is_blank(line) {
                if fields {
                    break;
                }
                from = end + line.len();
                self.start = self.line + 1;
            } else if !line.starts_with(b"#") {
                fields = true;
            }
            end += line.len();
            self.line += 1;
        }
        let text = &self.rest[from..end];
        self.rest = &self.rest[end..];
        if !fields {
            return None;
        }
        let broken = Fields::new(text, self.start).find_map(Result::err);
        Some(broken.map_or(Ok(Paragraph { text }), Err))
    }
}

/// The raw paragraphs of a stream, with a bounded buffer.
pub(crate) struct ParagraphReader<R> {
    inner: R,
    buffer: Vec<u8>,
    line: usize,
}

impl<R: BufRead> ParagraphReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, buffer: Vec::with_capacity(64 * 1024), line: 1 }
    }

    /// The next paragraph, not checked for syntax, and the line that it starts on.
    pub(crate) fn next_raw(&mut self) -> Result<Option<(&str, usize)>, ReadError> {
        self.buffer.clear();
        let mut start = self.line;
        loop {
            let before = self.buffer.len();
            let limit = (PARAGRAPH_LIMIT + 1 - before) as u64;
            let read = io::Read::take(&mut self.inner, limit).read_until(b'\n', &mut self.buffer)?;
            if self.buffer.len() > PARAGRAPH_LIMIT {
                return Err(ControlError { line: start, why: Why::TooLong }.into());
            }
            let blank = is_blank(&self.buffer[before..]);
            if read > 0 {
                self.line += 1;
            }
            if blank {
                self.buffer.truncate(before);
            }
            match (read, before) {
                (0, 0) => return Ok(None),
                (_, 0) if blank => start = self.line,
                (_, _) if blank => break,
                _ => {}
            }
        }
        match std::str::from_utf8(&self.buffer) {
            Ok(text) => Ok(Some((text, start))),
            Err(_) => Err(ControlError { line: start, why: Why::NotUtf8 }.into()),
        }
    }
}

/// Why a stream of paragraphs ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came is not control data.
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// A text that is not control data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct ControlError {
    pub(crate) line: usize,
    pub(crate) why: Why,
}

impl ControlError {
    /// The line it is about, from 1.
    pub fn line(&self) -> usize {
        self.line
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Why {
    #[error("expected `Field: value`")]
    NoColon,
    #[error("a field's name cannot be empty, start with `-`, or hold spaces or other than ASCII")]
    FieldName,
    #[error("there is no paragraph")]
    Empty,
    #[error("a second paragraph starts here, where there should be one")]
    SecondParagraph,
    #[error("a paragraph starts here that is longer than {PARAGRAPH_LIMIT} bytes")]
    TooLong,
    #[error("a paragraph starts here that is not UTF-8")]
    NotUtf8,
    #[error("the field `{0}` is missing from the paragraph that starts here")]
    Missing(&'static str),
    #[error("the field `{field}` says `{value}`, which is not {expected}")]
    Value { field: &'static str, value: String, expected: &'static str },
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\n# made by hand\nPackage: a\nDescription: short\n long: not a field\n .\n\ttabbed\nversion:  1:2 \n\n \t\n\nPackage: b\nEmpty:\n";

    #[test]
    fn paragraphs_and_fields() {
        let all: Vec<_> = Paragraphs::new(TEXT).map(Result::unwrap).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].get("PACKAGE"), Some("a"));
        assert_eq!(all[0].get("Version"), Some("1:2"));
        assert_eq!(all[0].get("Description"), Some("short\n long: not a field\n .\n\ttabbed"));
        assert_eq!(all[0].get("long"), None);
        assert_eq!(all[1].fields().collect::<Vec<_>>(), [("Package", "b"), ("Empty", "")]);
        assert_eq!(all[1].as_str(), "Package: b\nEmpty:\n");
    }

    #[test]
    fn lists_go_over_lines_and_comments() {
        let paragraph = Paragraph::parse("URIs: http://a\n# and\n http://b http://c\n\td\n# end\nB: c\n").unwrap();
        assert_eq!(paragraph.words("uris").collect::<Vec<_>>(), ["http://a", "http://b", "http://c", "d"]);
        assert_eq!(
            (paragraph.lines("URIs").count(), paragraph.get("B"), paragraph.lines("C").count()),
            (3, Some("c"), 0)
        );
    }

    #[test]
    fn a_stream_gives_what_a_text_gives() {
        let mut reader = ParagraphReader::new(io::BufReader::with_capacity(3, TEXT.as_bytes()));
        let mut seen = Vec::new();
        while let Some((text, line)) = reader.next_raw().unwrap() {
            seen.push((text.len(), line));
        }
        assert_eq!(seen, [(90, 2), (18, 12)]);
        assert!(matches!(
            ParagraphReader::new(&b"A: \xff\n"[..]).next_raw(),
            Err(ReadError::Control(ControlError { line: 1, why: Why::NotUtf8 }))
        ));
        let endless = io::BufReader::new(io::Read::take(io::repeat(b'a'), 1 << 30));
        assert!(ParagraphReader::new(endless).next_raw().unwrap_err().to_string().contains("longer than"));
    }

    #[test]
    fn bad_lines_are_named() {
        for (text, message) in [
            ("Package: a\nnonsense\n", "line 2: expected `Field: value`"),
            ("\n\n: a\n", "line 3: a field's name cannot be empty, start with `-`, or hold spaces or other than ASCII"),
            ("", "line 1: there is no paragraph"),
            ("A: b\n\nC: d\n", "line 3: a second paragraph starts here, where there should be one"),
            (" floating\n", "line 1: expected `Field: value`"),
        ] {
            assert_eq!(Paragraph::parse(text).unwrap_err().to_string(), message);
        }
    }
}
