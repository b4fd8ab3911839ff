//! One walk over a word: [`Scan::text`] up to its end or a stop character, [`Scan::dollar`] for what a `$` begins.

use super::pattern::Pattern;
use super::{Environment, ExpandError, ExpandErrorKind, Expander, MAX_DEPTH, MAX_EXPANSION, Variable};
use std::ops::Range;

/// The state of the walk.
pub(super) struct Scan<'a> {
    how: Expander,
    source: &'a str,
    at: usize,
    env: &'a dyn Environment,
    pub(super) variables: Vec<Variable>,
    depth: usize,
}

/// Words in the making, cut at unquoted white space.
#[derive(Default)]
pub(super) struct Words {
    done: Vec<String>,
    word: String,
}

impl Words {
    fn add(&mut self, c: char) {
        if !c.is_whitespace() {
            self.word.push(c);
        } else if !self.word.is_empty() {
            self.done.push(std::mem::take(&mut self.word));
        }
    }

    pub(super) fn finish(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.done.push(self.word);
        }
        self.done
    }
}

impl<'a> Scan<'a> {
    pub(super) fn new(how: Expander, source: &'a str, env: &'a dyn Environment) -> Self {
        Self { how, source, at: 0, env, variables: Vec::new(), depth: 0 }
    }

    fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn next_if(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += if found { wanted.len_utf8() } else { 0 };
        found
    }

    fn error<T>(&self, kind: ExpandErrorKind, range: Range<usize>) -> Result<T, ExpandError> {
        Err(ExpandError { kind, range })
    }

    /// The whole text, and its words when they are wanted.
    pub(super) fn text(&mut self, words: Option<&mut Words>) -> Result<String, ExpandError> {
        self.until(None, self.how.keep_escapes, words)
    }

    /// The text up to `stop`, which is taken too, or `None` when the source ends before.
    fn modifier_word(&mut self, stop: char, keep_escapes: bool) -> Result<Option<String>, ExpandError> {
        if self.depth == MAX_DEPTH {
            return self.error(ExpandErrorKind::TooDeep, self.at..self.source.len());
        }
        self.depth += 1;
        let text = self.until(Some(stop), keep_escapes, None)?;
        self.depth -= 1;
        Ok(self.next_if(stop).then_some(text))
    }

    /// Reads up to `stop`, which is left, or the end.
    fn until(
        &mut self,
        stop: Option<char>,
        keep_escapes: bool,
        mut words: Option<&mut Words>,
    ) -> Result<String, ExpandError> {
        let outer = std::mem::replace(&mut self.how.keep_escapes, keep_escapes);
        let start = self.at;
        let mut text = String::new();
        while let Some(c) = self.peek() {
            if stop == Some(c) {
                break;
            }
            let (piece, quoted) = match c {
                '$' => (self.dollar()?, false),
                '<' => (self.angle(), true),
                '\'' if !self.how.plain_quotes => (self.single_quoted()?, true),
                '"' if !self.how.plain_quotes => (self.double_quoted()?, true),
                _ if c == self.how.escape.char() => (self.escaped(), true),
                _ => {
                    self.next();
                    text.push(c);
                    if let Some(words) = words.as_deref_mut() {
                        words.add(c);
                    }
                    continue;
                }
            };
            text.push_str(&piece);
            match words.as_deref_mut() {
                Some(words) if quoted => words.word.push_str(&piece),
                Some(words) => piece.chars().for_each(|c| words.add(c)),
                None => {}
            }
            if text.len() > MAX_EXPANSION {
                return self.error(ExpandErrorKind::TooLong, start..self.at);
            }
        }
        self.how.keep_escapes = outer;
        Ok(text)
    }

    /// An escape character and the one it escapes. At the end of the word it means nothing.
    fn escaped(&mut self) -> String {
        let escape = self.next().filter(|_| self.how.keep_escapes);
        escape.into_iter().chain(self.next()).collect()
    }

    /// `<`, or `<<` with the white space up to the delimiter, so that both stay one word.
    fn angle(&mut self) -> String {
        let start = self.at;
        self.next();
        if self.next_if('<') {
            while matches!(self.peek(), Some('\t' | '\r' | ' ')) {
                self.next();
            }
        }
        self.source[start..self.at].to_owned()
    }

    /// `'…'`: nothing in it means anything.
    fn single_quoted(&mut self) -> Result<String, ExpandError> {
        let start = self.at;
        self.next();
        match self.source[self.at..].find('\'') {
            Some(length) => {
                let within = self.at..self.at + length;
                self.at = within.end + 1;
                Ok(self.source[if self.how.keep_quotes { start..self.at } else { within }].to_owned())
            }
            None => self.error(ExpandErrorKind::OpenQuote('\''), start..self.source.len()),
        }
    }

    /// `"…"`: variables count, and the escape character does before `"`, `$` and itself.
    fn double_quoted(&mut self) -> Result<String, ExpandError> {
        let start = self.at;
        let escape = self.how.escape.char();
        let mut text = String::new();
        text.extend(self.next().filter(|_| self.how.keep_quotes));
        while let Some(c) = self.peek() {
            if c == '$' {
                text.push_str(&self.dollar()?);
                continue;
            }
            self.next();
            if c == '"' {
                text.extend(self.how.keep_quotes.then_some(c));
                return Ok(text);
            }
            if c != escape {
                text.push(c);
                continue;
            }
            text.extend(self.how.keep_escapes.then_some(c));
            match self.peek() {
                None => {}
                Some(next) if next == '"' || next == '$' || next == escape => text.extend(self.next()),
                Some(_) => text.push(c),
            }
        }
        self.error(ExpandErrorKind::OpenQuote('"'), start..self.source.len())
    }

    /// `$name`, `${name}` and `${name…}`; a `$` before anything else is itself.
    fn dollar(&mut self) -> Result<String, ExpandError> {
        let start = self.at;
        self.next();
        if !self.next_if('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            let value = self.look_up(name, start, false);
            return Ok(value.unwrap_or_else(|| self.unset(start, String::new())));
        }
        match self.peek() {
            None => return self.error(ExpandErrorKind::OpenBrace, start..self.at),
            Some('{' | '}' | ':') => return self.error(ExpandErrorKind::NoName, start..self.at + 1),
            Some(_) => {}
        }
        let name = self.name();
        let modifier = self.at;
        match self.next() {
            None => self.error(ExpandErrorKind::OpenBrace, start..self.at),
            Some('}') => {
                let value = self.look_up(name, start, false);
                Ok(value.unwrap_or_else(|| self.unset(start, String::new())))
            }
            Some(':') => match self.next() {
                Some(operator @ ('-' | '+' | '?')) => self.guarded(start, name, operator, true),
                None => self.error(ExpandErrorKind::OpenBrace, start..self.at),
                Some(_) => self.error(self.not_a_modifier(modifier), modifier..self.at),
            },
            Some(operator @ ('-' | '+' | '?')) => self.guarded(start, name, operator, false),
            Some(end @ ('#' | '%')) => self.trimmed(start, name, end),
            Some('/') => self.replaced(start, name),
            Some(c) if c.is_whitespace() => self.error(ExpandErrorKind::OpenBrace, start..modifier),
            Some(_) => self.error(self.not_a_modifier(modifier), modifier..self.at),
        }
    }

    fn not_a_modifier(&self, start: usize) -> ExpandErrorKind {
        ExpandErrorKind::Modifier(self.source[start..self.at].to_owned())
    }

    /// A name, or a number, or one of the shell's special parameters (POSIX, Shell Command Language, 2.5.2).
    fn name(&mut self) -> &'a str {
        let rest = &self.source[self.at..];
        let taken = match rest.chars().next() {
            Some(c) if c.is_ascii_digit() => rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()),
        };
        self.at += taken;
        &rest[..taken]
    }

    /// The value of a variable whose reference begins at `start`, and a note that it was asked for.
    fn look_up(&mut self, name: &str, start: usize, guarded: bool) -> Option<String> {
        let value = self.env.get(name).map(str::to_owned);
        let set = value.is_some();
        self.variables.push(Variable { name: name.to_owned(), range: start..self.at, set, guarded });
        value
    }

    /// What a reference from `start` comes to when its variable is not set.
    fn unset(&self, start: usize, otherwise: String) -> String {
        if self.how.keep_unset { self.source[start..self.at].to_owned() } else { otherwise }
    }

    /// The word of a modifier, up to the `}`.
    fn closing_word(&mut self, start: usize, keep_escapes: bool) -> Result<String, ExpandError> {
        match self.modifier_word('}', keep_escapes)? {
            Some(word) => Ok(word),
            None => self.error(ExpandErrorKind::OpenBrace, start..self.at),
        }
    }

    /// `${name-word}`, `${name+word}` and `${name?word}`; with `:` an empty value is none.
    fn guarded(&mut self, start: usize, name: &str, operator: char, colon: bool) -> Result<String, ExpandError> {
        let word = self.closing_word(start, false)?;
        let value = self.look_up(name, start, true);
        if self.how.keep_unset && value.is_none() {
            return Ok(self.unset(start, String::new()));
        }
        let unset = value.is_none();
        let value = value.filter(|value| !(colon && value.is_empty()));
        match (operator, value) {
            ('-', value) => Ok(value.unwrap_or(word)),
            ('+', value) => Ok(value.map_or(String::new(), |_| word)),
            (_, Some(value)) => Ok(value),
            (_, None) => {
                let message = match (word.is_empty(), unset) {
                    (false, _) => word,
                    (true, true) => "is not allowed to be unset".to_owned(),
                    (true, false) => "is not allowed to be empty".to_owned(),
                };
                self.error(ExpandErrorKind::Required { name: name.to_owned(), message }, start..self.at)
            }
        }
    }

    /// `${name#pattern}` and `${name%pattern}`: the shortest match is cut off; doubled, the longest.
    fn trimmed(&mut self, start: usize, name: &str, end: char) -> Result<String, ExpandError> {
        let word_start = self.at;
        let word = self.closing_word(start, true)?;
        let value = self.look_up(name, start, false);
        if self.how.keep_unset && value.is_none() {
            return Ok(self.unset(start, String::new()));
        }
        let (greedy, pattern) = match word.strip_prefix(end) {
            Some(pattern) => (true, pattern),
            None => (false, word.as_str()),
        };
        let pattern = self.pattern(pattern, word_start)?;
        let value = value.unwrap_or_default();
        let rest = if end == '#' { pattern.trim_start(&value, greedy) } else { pattern.trim_end(&value, greedy) };
        Ok(rest.to_owned())
    }

    /// `${name/pattern/text}`: the first match is replaced; with `//` every one.
    fn replaced(&mut self, start: usize, name: &str) -> Result<String, ExpandError> {
        let all = self.next_if('/');
        let pattern_start = self.at;
        let Some(pattern) = self.modifier_word('/', true)? else {
            return self.error(ExpandErrorKind::NoReplacement, start..self.at);
        };
        let text = self.closing_word(start, true)?;
        let value = self.look_up(name, start, false);
        if self.how.keep_unset && value.is_none() {
            return Ok(self.unset(start, String::new()));
        }
        let pattern = self.pattern(&pattern, pattern_start)?;
        match pattern.replace(&value.unwrap_or_default(), &text, all, MAX_EXPANSION) {
            Some(replaced) => Ok(replaced),
            None => self.error(ExpandErrorKind::TooLong, start..self.at),
        }
    }

    fn pattern(&self, pattern: &str, start: usize) -> Result<Pattern, ExpandError> {
        Pattern::parse(pattern).or_else(|escaped| {
            let escaped = escaped.map_or_else(|| "the end".to_owned(), String::from);
            self.error(ExpandErrorKind::Pattern { pattern: pattern.to_owned(), escaped }, start..self.at)
        })
    }
}
