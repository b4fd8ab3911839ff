//! A cursor over one line of PEP 508 text, and the error that says where it stopped.

/// Text longer than this is no dependency specifier that a person or a tool meant.
pub(crate) const LENGTH_LIMIT: usize = 64 * 1024;

/// The text is no dependency specifier or marker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}, at column {column} of `{}`", shorten(.input))]
pub struct Pep508Error {
    /// The whole text.
    pub input: String,
    /// Where in it, counted in characters from 1.
    pub column: usize,
    /// What is wrong there.
    pub what: String,
}

fn shorten(input: &str) -> String {
    match input.char_indices().nth(200) {
        Some((end, _)) => printable(&input[..end]) + "…",
        None => printable(input),
    }
}

/// Text from outside as a message may show it: controls are escaped, so that none of it drives a terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { clean.extend(c.escape_default()) } else { clean.push(c) }
    }
    clean
}

#[derive(Clone)]
pub(crate) struct Scanner<'a> {
    input: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(input: &'a str) -> Result<Self, Pep508Error> {
        let scanner = Self { input, at: 0 };
        if input.len() > LENGTH_LIMIT {
            return Err(scanner.error(format!("text of {} bytes is too long", input.len())));
        }
        Ok(scanner)
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn rest(&self) -> &'a str {
        &self.input[self.at..]
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn skip_space(&mut self) {
        self.take_while(char::is_whitespace);
    }

    pub(crate) fn take_while(&mut self, mut keep: impl FnMut(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Steps over `text` if it stands here.
    pub(crate) fn eat(&mut self, text: &str) -> bool {
        let here = self.rest().starts_with(text);
        if here {
            self.at += text.len();
        }
        here
    }

    /// Steps over `word` if it stands here and ends here.
    pub(crate) fn eat_word(&mut self, word: &str) -> bool {
        let ends = self.rest().strip_prefix(word).is_some_and(|rest| !rest.starts_with(is_word));
        ends && self.eat(word)
    }

    /// What stands here, for a message.
    pub(crate) fn found(&self) -> String {
        match self.peek() {
            None => "the end".to_owned(),
            Some(c) => format!("`{}`", printable(c.encode_utf8(&mut [0; 4]))),
        }
    }

    pub(crate) fn error(&self, what: impl Into<String>) -> Pep508Error {
        self.error_at(self.at, what)
    }

    pub(crate) fn error_at(&self, at: usize, what: impl Into<String>) -> Pep508Error {
        let column = self.input[..at].chars().count() + 1;
        Pep508Error { input: self.input.to_owned(), column, what: what.into() }
    }
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.')
}
