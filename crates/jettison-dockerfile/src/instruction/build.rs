//! From the text of an instruction to its value, as BuildKit's `instructions` package does it.
//!
//! 1. [`build`] splits the text, and hands arguments and flags to the function of the keyword.
//! 2. What that function finds wrong becomes a [`Problem`](crate::Problem); it returns as much of the instruction as it can.
//! 3. `check_words` tries the words that expand, and the ports and mounts that hold no variable.

use super::flag::Flags;
use super::{
    Argument, CommandLine, Expands, From, Healthcheck, Instruction, InstructionKind, MountErrorKind, MountSpec,
    Network, Onbuild, Pair, Run, Security, port,
};
use crate::expand::{Escape, Expander};
use crate::heredoc::Heredoc;
use crate::json::{self, Json};
use crate::problem::{ProblemKind, Problems, Severity, similar};
use crate::source::Span;
use crate::split::{self, Parts};
use crate::word::Word;

/// The keywords, in the order of the reference.
#[rustfmt::skip]
pub(crate) const KEYWORDS: [&str; 18] = [
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER",
    "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
];

/// The keyword in capitals, if it is one.
pub(crate) fn keyword(word: &str) -> Option<&'static str> {
    KEYWORDS.into_iter().find(|keyword| word.eq_ignore_ascii_case(keyword))
}

/// What is known of an instruction before its arguments are looked at.
pub(crate) struct Raw {
    /// The instruction, continuation lines joined.
    pub(crate) text: Word,
    pub(crate) heredocs: Vec<Heredoc>,
    pub(crate) comments: Vec<String>,
    /// Where its last line ends.
    pub(crate) end: usize,
}

/// The instruction that `raw` is.
pub(crate) fn build(raw: Raw, escape: Escape, problems: &mut Problems<'_>) -> Instruction {
    let Raw { text, heredocs, comments, end } = raw;
    let text = text.trim();
    let Parts { keyword: word, flags, arguments } = split::split(&text, escape);
    let mut instruction = Instruction {
        span: Span::new(text.span().start, end.max(text.span().end)),
        keyword: word,
        flags,
        arguments,
        text,
        heredocs,
        comments,
        kind: InstructionKind::Invalid,
    };
    let Some(name) = keyword(&instruction.keyword) else {
        unknown(&instruction, problems);
        return instruction;
    };
    let mut builder = Builder {
        name,
        arguments: &instruction.arguments,
        heredocs: &instruction.heredocs,
        flags: Flags::new(name, &instruction.flags),
        whole: &instruction,
        escape,
        problems,
    };
    let kind = builder.kind();
    match name {
        // BuildKit does not look at these flags.
        "ARG" | "STOPSIGNAL" => builder.flags.ignore(problems),
        "HEALTHCHECK" if kind == Some(InstructionKind::Healthcheck(Healthcheck::None)) => {
            builder.flags.ignore(problems)
        }
        _ => builder.flags.finish(problems),
    }
    instruction.kind = kind.unwrap_or(InstructionKind::Invalid);
    if let InstructionKind::Onbuild(_) = instruction.kind {
        instruction.heredocs = Vec::new();
    }
    check_words(&instruction, escape, problems);
    instruction
}

fn unknown(instruction: &Instruction, problems: &mut Problems<'_>) {
    let keyword = &instruction.keyword;
    if keyword.is_empty() {
        problems.error(ProblemKind::EmptyInstruction, instruction.span);
        return;
    }
    let similar = similar(keyword, KEYWORDS);
    problems.error(ProblemKind::UnknownInstruction { keyword: keyword.to_string(), similar }, keyword.span());
}

pub(super) struct Builder<'i, 'p, 's> {
    pub(super) name: &'static str,
    pub(super) arguments: &'i Word,
    pub(super) heredocs: &'i [Heredoc],
    pub(super) flags: Flags<'i>,
    pub(super) whole: &'i Instruction,
    pub(super) escape: Escape,
    pub(super) problems: &'p mut Problems<'s>,
}

impl Builder<'_, '_, '_> {
    /// The value of the instruction, or `None` when too little of it is right.
    fn kind(&mut self) -> Option<InstructionKind> {
        Some(match self.name {
            "ADD" => InstructionKind::Add(self.add()?),
            "ARG" => InstructionKind::Arg(self.arg()?),
            "CMD" => InstructionKind::Cmd(self.command(self.arguments)?),
            "COPY" => InstructionKind::Copy(self.copy()?),
            "ENTRYPOINT" => InstructionKind::Entrypoint(self.command(self.arguments)?),
            "ENV" => InstructionKind::Env(self.pairs()?),
            "EXPOSE" => InstructionKind::Expose(self.some(split::by_space(self.arguments))?),
            "FROM" => InstructionKind::From(self.from()),
            "HEALTHCHECK" => InstructionKind::Healthcheck(self.healthcheck()?),
            "LABEL" => InstructionKind::Label(self.pairs()?),
            "MAINTAINER" => InstructionKind::Maintainer(self.one()?),
            "ONBUILD" => InstructionKind::Onbuild(self.onbuild()?),
            "RUN" => InstructionKind::Run(self.run()?),
            "SHELL" => InstructionKind::Shell(self.shell()?),
            "STOPSIGNAL" => InstructionKind::Stopsignal(self.one()?),
            "USER" => InstructionKind::User(self.one()?),
            "VOLUME" => InstructionKind::Volume(self.volume()?),
            "WORKDIR" => InstructionKind::Workdir(self.one()?),
            _ => return None,
        })
    }

    pub(super) fn no_argument(&mut self) {
        self.problems.error(ProblemKind::NoArgument { instruction: self.name }, self.whole.keyword.span());
    }

    /// All of the arguments as one.
    fn one(&mut self) -> Option<Word> {
        if self.arguments.is_empty() {
            self.no_argument();
            return None;
        }
        Some(self.arguments.clone())
    }

    fn some(&mut self, words: Vec<Word>) -> Option<Vec<Word>> {
        if words.is_empty() {
            self.no_argument();
            return None;
        }
        Some(words)
    }

    /// The strings of a JSON array. `None` if `text` is no such array; an error if it is one of something else.
    pub(super) fn strings(&mut self, text: &Word) -> Result<Option<Vec<Word>>, ()> {
        match json::parse(text) {
            Json::Strings(strings) => Ok(Some(strings)),
            Json::Other(element) => {
                self.problems.error(ProblemKind::JsonNotStrings, element);
                Err(())
            }
            Json::Not(why) => {
                let begins_quoted =
                    text.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(['"', '\'', '“', '”']));
                if begins_quoted && text.ends_with(']') {
                    self.problems.warning(ProblemKind::JsonMalformed { why }, text.span());
                }
                Ok(None)
            }
        }
    }

    pub(super) fn command(&mut self, text: &Word) -> Option<CommandLine> {
        Some(match self.strings(text).ok()? {
            Some(strings) => CommandLine::Exec(strings),
            None => CommandLine::Shell(text.clone()),
        })
    }

    /// `KEY=value…`, or the old `KEY value`.
    fn pairs(&mut self) -> Option<Vec<Pair>> {
        let words = self.some(split::quoted(self.arguments, self.escape))?;
        if !words.first()?.contains('=') {
            let key = split::by_space(self.arguments).into_iter().next()?;
            let value = self.arguments.slice(key.len()..self.arguments.len()).trim();
            if value.is_empty() {
                let kind = ProblemKind::NoValue { instruction: self.name, key: key.to_string() };
                self.problems.error(kind, key.span());
                return None;
            }
            return Some(vec![Pair { key, value, legacy: true }]);
        }
        let pairs = words.into_iter().filter_map(|word| {
            let Some(equals) = word.find('=') else {
                let kind = ProblemKind::NoEquals { instruction: self.name, word: word.to_string() };
                self.problems.error(kind, word.span());
                return None;
            };
            if equals == 0 {
                self.problems.error(ProblemKind::NoName { instruction: self.name }, word.span());
            }
            let (key, value) = (word.slice(0..equals), word.slice(equals + 1..word.len()));
            Some(Pair { key, value, legacy: false })
        });
        Some(pairs.collect())
    }

    fn arg(&mut self) -> Option<Vec<Argument>> {
        let words = self.some(split::quoted(self.arguments, self.escape))?;
        let arguments = words.into_iter().map(|word| match word.find('=') {
            None => Argument { name: word, default: None },
            Some(equals) => {
                if equals == 0 {
                    self.problems.error(ProblemKind::NoName { instruction: self.name }, word.span());
                }
                Argument { name: word.slice(0..equals), default: Some(word.slice(equals + 1..word.len())) }
            }
        });
        Some(arguments.collect())
    }

    fn from(&mut self) -> From {
        let platform = self.flags.value("platform", self.problems).cloned();
        let words = split::by_space(self.arguments);
        let as_keyword = words.get(1).filter(|word| word.eq_ignore_ascii_case("as")).cloned();
        let name = words.get(2).filter(|_| as_keyword.is_some()).cloned();
        match words.len() {
            1 => {}
            3 if as_keyword.is_some() => {}
            _ => {
                let span = if words.is_empty() { self.whole.keyword.span() } else { self.arguments.span() };
                self.problems.error(ProblemKind::FromArguments, span);
            }
        }
        if let Some(name) = name.as_ref().filter(|name| !is_stage_name(name)) {
            self.problems.error(ProblemKind::StageName { name: name.to_string() }, name.span());
        }
        let image = words.into_iter().next().unwrap_or_else(|| self.arguments.clone());
        From { platform, image, as_keyword, name }
    }

    fn run(&mut self) -> Option<Run> {
        let network = match self.choice("network", &["default", "none", "host"], "`default`, `none` and `host`") {
            Some("none") => Network::None,
            Some("host") => Network::Host,
            _ => Network::Default,
        };
        let security = match self.choice("security", &["sandbox", "insecure"], "`sandbox` and `insecure`") {
            Some("insecure") => Security::Insecure,
            _ => Security::Sandbox,
        };
        let devices = self.flags.values("device", self.problems);
        let devices = devices.into_iter().filter_map(|flag| flag.value.clone()).collect();
        let mounts = self.mounts();
        let command = self.command(self.arguments)?;
        match &command {
            CommandLine::Shell(text) if text.is_empty() => {
                self.problems.warning(ProblemKind::NoCommand { instruction: self.name }, self.whole.keyword.span());
            }
            CommandLine::Exec(words) if words.is_empty() => {
                self.problems.step(ProblemKind::NoCommand { instruction: self.name }, self.arguments.span());
            }
            _ => {}
        }
        Some(Run { command, mounts, network, security, devices })
    }

    fn mounts(&mut self) -> Vec<MountSpec> {
        let expander = Expander::new(self.escape);
        let mut mounts = Vec::new();
        for flag in self.flags.values("mount", self.problems) {
            let Some(value) = &flag.value else { continue };
            match MountSpec::parse(value) {
                Ok(mount) => {
                    for error in mount.check(expander) {
                        let span = error.span;
                        match error.kind {
                            // The others BuildKit meets when it comes to the step.
                            MountErrorKind::FromVariable => self.problems.error(error, span),
                            _ => self.problems.step(error, span),
                        }
                    }
                    mounts.push(mount);
                }
                Err(error) => {
                    let span = error.span;
                    self.problems.error(error, span);
                }
            }
        }
        mounts
    }

    /// The value of a flag that is one of a few words.
    fn choice(&mut self, flag: &'static str, among: &[&'static str], allowed: &'static str) -> Option<&'static str> {
        let value = self.flags.value(flag, self.problems)?;
        let found = among.iter().find(|choice| *value == **choice).copied();
        if found.is_none() {
            self.problems.error(ProblemKind::FlagValue { flag, value: value.to_string(), allowed }, value.span());
        }
        found
    }

    fn shell(&mut self) -> Option<Vec<Word>> {
        if self.arguments.is_empty() {
            self.no_argument();
            return None;
        }
        match json::parse(self.arguments) {
            Json::Strings(words) => self.some(words),
            Json::Other(element) => {
                self.problems.error(ProblemKind::JsonNotStrings, element);
                None
            }
            Json::Not(_) => {
                self.problems.error(ProblemKind::ShellNotJson, self.arguments.span());
                None
            }
        }
    }

    fn volume(&mut self) -> Option<Vec<Word>> {
        let words = self.strings(self.arguments).ok()?.unwrap_or_else(|| split::by_space(self.arguments));
        let words: Vec<Word> = self.some(words)?.iter().map(Word::trim).collect();
        for word in words.iter().filter(|word| word.is_empty()) {
            self.problems.error(ProblemKind::EmptyVolume, word.span());
        }
        Some(words)
    }

    fn onbuild(&mut self) -> Option<Onbuild> {
        let inner = self.arguments.trim();
        if inner.is_empty() {
            self.no_argument();
            return None;
        }
        let first = self.problems.len();
        let word = split::split(&inner, self.escape).keyword;
        if let Some(trigger @ ("ONBUILD" | "FROM" | "MAINTAINER")) = keyword(&word) {
            self.problems.error(ProblemKind::OnbuildTrigger { trigger }, word.span());
            return None;
        }
        let raw = Raw {
            text: inner,
            heredocs: self.heredocs.to_vec(),
            comments: self.whole.comments.clone(),
            end: self.whole.span.end,
        };
        let trigger = build(raw, self.escape, self.problems);
        // BuildKit looks at a trigger when it is pulled, and not before.
        self.problems.limit(first, Severity::Warning);
        Some(Onbuild { trigger: Box::new(trigger) })
    }
}

fn is_stage_name(name: &str) -> bool {
    let name = name.to_lowercase();
    let rest = name.strip_prefix(|c: char| c.is_ascii_lowercase());
    rest.is_some_and(|rest| rest.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_' | '.')))
}

/// Tries what expands.
fn check_words(instruction: &Instruction, escape: Escape, problems: &mut Problems<'_>) {
    // Mounts are checked with their options.
    if let InstructionKind::Run(_) = instruction.kind {
        return;
    }
    for (word, expands) in instruction.expandable() {
        let expander = if expands == Expands::Heredoc { Expander::heredoc() } else { Expander::new(escape) };
        match expander.check(word) {
            Err(error) => {
                let span = error.span_in(word);
                match instruction.kind {
                    // Every `FROM` is looked at before anything is built.
                    InstructionKind::From(_) => problems.error(error, span),
                    _ => problems.step(error, span),
                }
            }
            Ok(variables) if expands == Expands::Words && variables.is_empty() => {
                for port in expander.words(word, &()).map(|words| words.value).unwrap_or_default() {
                    if let Err(error) = port::parse(&port) {
                        problems.step(error, word.span());
                    }
                }
            }
            Ok(_) => {}
        }
    }
}
