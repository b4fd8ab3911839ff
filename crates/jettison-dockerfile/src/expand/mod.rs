//! Word expansion: quotes, escapes and variables, as the Dockerfile reference and BuildKit's lexer have them.
//!
//! 1. An [`Expander`] says how: which escape character, and what of the text is to stay as it is.
//! 2. [`Expander::word`] makes one word of a word, [`Expander::words`] as many as unquoted white space makes of it. Both look
//!    variables up in an [`Environment`] and tell which they met ([`Expansion::variables`]).
//! 3. [`Expander::check`] finds only what is wrong whatever the values are.
//! 4. `pattern` has the patterns of `#`, `%` and `/`.
//!
//! One difference from BuildKit is meant: in `${x//pattern/text}` the text stands for itself, where theirs reads `$` in it as
//! the group of a regular expression.

mod pattern;
mod scan;

use crate::source::Span;
use crate::word::Word;
use scan::Scan;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;

/// The longest text that an expansion may make, in bytes: `ENV A=$A$A` a few dozen times over would fill any memory.
pub const MAX_EXPANSION: usize = 4 << 20;

/// How deep `${a:-${b:-…}}` may go.
const MAX_DEPTH: usize = 64;

/// The character that takes the meaning from the next one, and at the end of a line joins it with the next: `# escape=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Escape {
    /// `\`, unless the file says otherwise.
    #[default]
    Backslash,
    /// `` ` ``, for files full of Windows paths.
    Backtick,
}

impl Escape {
    /// The character.
    pub fn char(self) -> char {
        match self {
            Self::Backslash => '\\',
            Self::Backtick => '`',
        }
    }
}

/// Where the values of variables come from.
pub trait Environment {
    /// The value of the variable, if it is set.
    fn get(&self, name: &str) -> Option<&str>;
}

/// An environment with nothing in it.
impl Environment for () {
    fn get(&self, _: &str) -> Option<&str> {
        None
    }
}

impl Environment for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

impl<S: std::hash::BuildHasher> Environment for HashMap<String, String, S> {
    fn get(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

/// Pairs in order; the last of a name counts.
impl Environment for [(String, String)] {
    fn get(&self, name: &str) -> Option<&str> {
        self.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl<E: Environment + ?Sized> Environment for &E {
    fn get(&self, name: &str) -> Option<&str> {
        (**self).get(name)
    }
}

/// Every variable is set, to something: what is wrong now is wrong with any values.
struct Assumed;

impl Environment for Assumed {
    fn get(&self, _: &str) -> Option<&str> {
        Some("x")
    }
}

/// A variable in a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name, without `$` and braces.
    pub name: String,
    /// The bytes of the word that refer to it, `$` and all.
    pub range: Range<usize>,
    /// Whether the environment has it.
    pub set: bool,
    /// Whether the reference says what to do when it is not set: `-`, `+` and `?`, with `:` or without.
    pub guarded: bool,
}

/// What became of a word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expansion<T> {
    /// The text, or the texts.
    pub value: T,
    /// The variables that were looked up, in order, those in the words of modifiers included.
    pub variables: Vec<Variable>,
}

impl<T> Expansion<T> {
    /// The names of the variables that were looked up and set.
    pub fn used(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().filter(|variable| variable.set).map(|variable| variable.name.as_str())
    }

    /// The names of the variables that were looked up and not set.
    pub fn unset(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().filter(|variable| !variable.set).map(|variable| variable.name.as_str())
    }
}

/// Why a word cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpandError {
    /// What is wrong.
    pub kind: ExpandErrorKind,
    /// The bytes of the word where it is.
    pub range: Range<usize>,
}

/// What is wrong with a word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandErrorKind {
    /// A quote without its end.
    #[error("the quote {0} is never closed")]
    OpenQuote(char),
    /// `${` without `}`.
    #[error("`${{` is never closed")]
    OpenBrace,
    /// `${x/pattern` without the second slash.
    #[error("the pattern of `${{…/…}}` has no `/` after it")]
    NoReplacement,
    /// `${}`, `${:…}`, `${{`.
    #[error("`${{` is followed by no name")]
    NoName,
    /// What comes after the name in `${name…}` is no modifier.
    #[error("`{0}` is no modifier of a variable")]
    Modifier(String),
    /// `\` before a character that has no need of it.
    #[error("the pattern `{pattern}` escapes `{escaped}`")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What follows the `\`.
        escaped: String,
    },
    /// `${name:?message}` and the variable is not set, or empty.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The message of the word, or what is said without one.
        message: String,
    },
    /// It grows past [`MAX_EXPANSION`].
    #[error("expands to more than {} MiB", MAX_EXPANSION >> 20)]
    TooLong,
    /// Modifiers in modifiers, more than any file needs.
    #[error("`${{…}}` is nested more than {MAX_DEPTH} deep")]
    TooDeep,
}

impl ExpandError {
    /// The place in the source, for a `word` whose text was expanded.
    pub fn span_in(&self, word: &Word) -> Span {
        let end = self.range.end.min(word.len());
        word.span_of(self.range.start.min(end)..end)
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match &self.kind {
            ExpandErrorKind::OpenQuote(quote) => format!("close it, or write `\\{quote}` for the character itself"),
            ExpandErrorKind::OpenBrace | ExpandErrorKind::NoName => {
                "write `\\$` for a dollar sign that stands for itself".to_owned()
            }
            ExpandErrorKind::NoReplacement => {
                "write `${name/pattern/replacement}`; the replacement may be empty".to_owned()
            }
            ExpandErrorKind::Modifier(_) => {
                "the modifiers are `:-` `:+` `:?` `-` `+` `?` `#` `##` `%` `%%` `/` `//`".to_owned()
            }
            ExpandErrorKind::Pattern { .. } => r"in a pattern `\` stands before `*`, `?`, `\`, `}` or `/`".to_owned(),
            ExpandErrorKind::Required { name, .. } => format!("give it a value, as with `--build-arg {name}=…`"),
            ExpandErrorKind::TooLong | ExpandErrorKind::TooDeep => return None,
        })
    }
}

impl fmt::Display for ExpandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for ExpandError {}

/// How words are expanded. The default takes quotes and escapes away, and an unset variable is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expander {
    escape: Escape,
    keep_quotes: bool,
    keep_escapes: bool,
    keep_unset: bool,
    plain_quotes: bool,
}

impl Expander {
    /// For the words of a file with this escape character.
    pub fn new(escape: Escape) -> Self {
        Self { escape, ..Self::default() }
    }

    /// For the content of a heredoc whose delimiter is not quoted: quotes mean nothing, and the escape character is always `\`.
    pub fn heredoc() -> Self {
        Self { plain_quotes: true, ..Self::default() }
    }

    /// Leaves quotes where they are.
    pub fn keep_quotes(self) -> Self {
        Self { keep_quotes: true, ..self }
    }

    /// Leaves escape characters where they are.
    pub fn keep_escapes(self) -> Self {
        Self { keep_escapes: true, ..self }
    }

    /// Leaves references to unset variables where they are.
    pub fn keep_unset(self) -> Self {
        Self { keep_unset: true, ..self }
    }

    /// `text` with its variables, quotes and escapes resolved; white space stays.
    pub fn word(&self, text: &str, env: &dyn Environment) -> Result<Expansion<String>, ExpandError> {
        let mut scan = Scan::new(*self, text, env);
        let value = scan.text(None)?;
        Ok(Expansion { value, variables: scan.variables })
    }

    /// `text` resolved and then split at white space that was not quoted: what comes out of a variable is split too.
    pub fn words(&self, text: &str, env: &dyn Environment) -> Result<Expansion<Vec<String>>, ExpandError> {
        let mut scan = Scan::new(*self, text, env);
        let mut words = scan::Words::default();
        scan.text(Some(&mut words))?;
        Ok(Expansion { value: words.finish(), variables: scan.variables })
    }

    /// The variables of `text`, or what is wrong with it whatever their values are.
    pub fn check(&self, text: &str) -> Result<Vec<Variable>, ExpandError> {
        let expanded = Self { keep_unset: false, ..*self }.word(text, &Assumed);
        expanded.map(|Expansion { variables, .. }| {
            variables.into_iter().map(|variable| Variable { set: false, ..variable }).collect()
        })
    }
}

/// [`Expander::word`] for a file with this escape character, the text alone.
pub fn expand_word(text: &str, escape: Escape, env: &dyn Environment) -> Result<String, ExpandError> {
    Expander::new(escape).word(text, env).map(|expansion| expansion.value)
}

/// [`Expander::words`] for a file with this escape character, the texts alone.
pub fn expand_words(text: &str, escape: Escape, env: &dyn Environment) -> Result<Vec<String>, ExpandError> {
    Expander::new(escape).words(text, env).map(|expansion| expansion.value)
}

#[cfg(test)]
mod tests;
