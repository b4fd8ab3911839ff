//! `--name[=value]` behind a keyword, and which of them an instruction knows.

use crate::problem::{ProblemKind, Problems, similar};
use crate::source::Span;
use crate::word::Word;

/// A flag as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// All of it.
    pub span: Span,
    /// The name, without `--`.
    pub name: Word,
    /// What follows the first `=`, quotes and one level of escapes taken away.
    pub value: Option<Word>,
}

/// The flags of one instruction while its values are taken out by name.
pub(super) struct Flags<'f> {
    instruction: &'static str,
    flags: &'f [Flag],
    known: Vec<&'static str>,
}

impl<'f> Flags<'f> {
    pub(super) fn new(instruction: &'static str, flags: &'f [Flag]) -> Self {
        Self { instruction, flags, known: Vec::new() }
    }

    /// All flags of this name.
    fn named(&mut self, name: &'static str) -> impl Iterator<Item = &'f Flag> + use<'f> {
        self.known.push(name);
        self.flags.iter().filter(move |flag| flag.name == name)
    }

    /// The value of a flag that may be given once.
    pub(super) fn value(&mut self, name: &'static str, problems: &mut Problems<'_>) -> Option<&'f Word> {
        let flag = self.once(name, problems)?;
        if flag.value.is_none() {
            problems.error(ProblemKind::FlagWithoutValue { flag: name }, flag.span);
        }
        // BuildKit takes an empty value for none.
        flag.value.as_ref().filter(|value| !value.is_empty())
    }

    /// The values of a flag that may be given many times.
    pub(super) fn values(&mut self, name: &'static str, problems: &mut Problems<'_>) -> Vec<&'f Flag> {
        let (with, without): (Vec<_>, Vec<_>) = self.named(name).partition(|flag| flag.value.is_some());
        for flag in without {
            problems.error(ProblemKind::FlagWithoutValue { flag: name }, flag.span);
        }
        with
    }

    /// A flag that is on or off, if it is there.
    pub(super) fn boolean(&mut self, name: &'static str, problems: &mut Problems<'_>) -> Option<bool> {
        let flag = self.once(name, problems)?;
        match &flag.value {
            None => Some(true),
            Some(value) if value.eq_ignore_ascii_case("true") => Some(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Some(false),
            Some(value) => {
                problems.error(ProblemKind::FlagNotBoolean { flag: name, value: value.to_string() }, value.span());
                None
            }
        }
    }

    fn once(&mut self, name: &'static str, problems: &mut Problems<'_>) -> Option<&'f Flag> {
        let mut flags = self.named(name);
        let first = flags.next();
        for again in flags {
            problems.error(ProblemKind::DuplicateFlag { flag: name }, again.span);
        }
        first
    }

    /// Names the flags that nobody asked for.
    pub(super) fn finish(self, problems: &mut Problems<'_>) {
        for flag in self.unknown() {
            problems.error(self.unknown_flag(flag), flag.span);
        }
    }

    /// As [`Flags::finish`], for an instruction where BuildKit does not look at its flags at all.
    pub(super) fn ignore(self, problems: &mut Problems<'_>) {
        for flag in self.unknown() {
            problems.warning(self.unknown_flag(flag), flag.span);
        }
    }

    fn unknown(&self) -> impl Iterator<Item = &'f Flag> {
        self.flags.iter().filter(|flag| !self.known.contains(&flag.name.as_str()))
    }

    fn unknown_flag(&self, flag: &Flag) -> ProblemKind {
        ProblemKind::UnknownFlag {
            instruction: self.instruction,
            flag: flag.name.to_string(),
            similar: similar(&flag.name, self.known.iter().copied()),
        }
    }
}
