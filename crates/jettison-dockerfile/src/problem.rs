//! What is wrong with a Dockerfile, where, and what to do about it.

use crate::expand::ExpandError;
use crate::instruction::{MountError, PortError};
use crate::source::{LineIndex, Position, Span};
use std::fmt;

/// Something that is wrong with a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub kind: ProblemKind,
    /// How much it matters.
    pub severity: Severity,
    /// Where.
    pub span: Span,
    /// Where the span starts.
    pub position: Position,
}

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// It builds; it may not do what it seems to.
    Warning,
    /// The step fails when its turn comes. A build that does not need the step is fine.
    Step,
    /// Nothing of the file can be built.
    Error,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The same directive twice.
    #[error("the directive `{name}` is given twice")]
    DuplicateDirective {
        /// Which.
        name: &'static str,
    },
    /// `# escape=` with something else than `\` or `` ` ``.
    #[error("`{value}` cannot be the escape character")]
    InvalidEscape {
        /// The value.
        value: String,
    },
    /// A blank line in the middle of an instruction.
    #[error("a blank line inside of an instruction")]
    EmptyContinuation,
    /// A continuation with nothing to continue.
    #[error("a line continuation with no instruction")]
    EmptyInstruction,
    /// A keyword that is none.
    #[error("unknown instruction `{keyword}`")]
    UnknownInstruction {
        /// The keyword as it was written.
        keyword: String,
        /// The instruction that was meant, perhaps.
        similar: Option<&'static str>,
    },
    /// The file has no `FROM`.
    #[error("no `FROM`: there is nothing to build")]
    NoStage,
    /// An instruction that is not `ARG` above the first `FROM`.
    #[error("`{instruction}` comes before the first `FROM`")]
    BeforeFrom {
        /// The instruction.
        instruction: &'static str,
    },
    /// A heredoc without its end.
    #[error("the heredoc `{delimiter}` is never closed")]
    OpenHeredoc {
        /// Its delimiter.
        delimiter: String,
        /// A line that would close it but for the white space around it.
        near: Option<usize>,
    },
    /// `COPY <<EOF`, with a quote elsewhere that is never closed: BuildKit then sees no heredoc at all.
    #[error("the heredoc `{word}` is not seen as one")]
    LostHeredoc {
        /// The word.
        word: String,
    },
    /// A heredoc in the place of a destination.
    #[error("`{instruction}` cannot write to a heredoc")]
    HeredocDestination {
        /// The instruction.
        instruction: &'static str,
    },
    /// A flag that the instruction does not know.
    #[error("`{instruction}` has no flag `--{flag}`")]
    UnknownFlag {
        /// The instruction.
        instruction: &'static str,
        /// The flag.
        flag: String,
        /// The flag that was meant, perhaps.
        similar: Option<&'static str>,
    },
    /// A flag twice that may be there once.
    #[error("`--{flag}` is given twice")]
    DuplicateFlag {
        /// The flag.
        flag: &'static str,
    },
    /// A flag without its value.
    #[error("`--{flag}` needs a value")]
    FlagWithoutValue {
        /// The flag.
        flag: &'static str,
    },
    /// A flag that is neither true nor false.
    #[error("`--{flag}` is `true` or `false`, not `{value}`")]
    FlagNotBoolean {
        /// The flag.
        flag: &'static str,
        /// The value.
        value: String,
    },
    /// A value that is none of a few.
    #[error("`{value}` is no value of `--{flag}`")]
    FlagValue {
        /// The flag.
        flag: &'static str,
        /// The value.
        value: String,
        /// What it can be.
        allowed: &'static str,
    },
    /// A flag's time that is none.
    #[error("`--{flag}={value}` {why}")]
    FlagDuration {
        /// The flag.
        flag: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An instruction with nothing behind it.
    #[error("`{instruction}` needs an argument")]
    NoArgument {
        /// The instruction.
        instruction: &'static str,
    },
    /// `COPY` or `ADD` with fewer than two arguments.
    #[error("`{instruction}` needs a source and a destination")]
    NoDestination {
        /// The instruction.
        instruction: &'static str,
    },
    /// `FROM` with neither one nor three arguments.
    #[error("`FROM` takes an image, or an image, `AS` and a name")]
    FromArguments,
    /// A stage name that cannot be one.
    #[error("`{name}` cannot be the name of a stage")]
    StageName {
        /// The name.
        name: String,
    },
    /// A word without `=` where there must be one.
    #[error("`{word}` in `{instruction}` has no `=`")]
    NoEquals {
        /// The instruction.
        instruction: &'static str,
        /// The word.
        word: String,
    },
    /// `ENV key` without a value.
    #[error("`{instruction} {key}` has no value")]
    NoValue {
        /// The instruction.
        instruction: &'static str,
        /// The key.
        key: String,
    },
    /// `=value` without a name.
    #[error("`{instruction}` has a value without a name")]
    NoName {
        /// The instruction.
        instruction: &'static str,
    },
    /// `VOLUME [""]`.
    #[error("a volume needs a path")]
    EmptyVolume,
    /// A JSON array with something else than strings in it.
    #[error("the array holds something else than strings")]
    JsonNotStrings,
    /// It looks like a JSON array, but is none: the shell gets it as it is.
    #[error("this is no JSON array, so the shell gets it as text: {why}")]
    JsonMalformed {
        /// What JSON has against it.
        why: &'static str,
    },
    /// `SHELL` in shell form.
    #[error("`SHELL` takes a JSON array")]
    ShellNotJson,
    /// A command with no program.
    #[error("`{instruction}` has no command")]
    NoCommand {
        /// The instruction.
        instruction: &'static str,
    },
    /// `HEALTHCHECK` with neither `CMD` nor `NONE`.
    #[error("`HEALTHCHECK {word}` is neither `CMD` nor `NONE`")]
    HealthcheckType {
        /// The word in their place.
        word: String,
    },
    /// `HEALTHCHECK NONE` with more.
    #[error("`HEALTHCHECK NONE` takes no arguments")]
    HealthcheckNone,
    /// An instruction that `ONBUILD` may not hold.
    #[error("`{trigger}` cannot be an `ONBUILD` trigger")]
    OnbuildTrigger {
        /// The instruction.
        trigger: &'static str,
    },
    /// A trigger of an image that is not one instruction.
    #[error("an `ONBUILD` trigger is one instruction")]
    NotOneTrigger,
    /// A variable where none expands.
    #[error("`{place}` does not expand variables")]
    NoExpansion {
        /// Where.
        place: &'static str,
    },
    /// A mount that is none.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// A word that cannot be expanded.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// A port that is none.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Problem {
    /// What is wrong, in a sentence without a full stop.
    pub fn message(&self) -> String {
        self.kind.to_string()
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        self.kind.hint()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.position.line, self.position.column, self.kind)
    }
}

impl std::error::Error for Problem {}

impl ProblemKind {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::DuplicateDirective { .. } => "the first one counts; take the other away".to_owned(),
            Self::InvalidEscape { .. } => r"write `# escape=\` or ``# escape=` ``".to_owned(),
            Self::EmptyContinuation => "take the blank line away, or put a `#` in it".to_owned(),
            Self::EmptyInstruction => "take the line away".to_owned(),
            Self::UnknownInstruction { similar: Some(similar), .. } => format!("did you mean `{similar}`?"),
            Self::UnknownInstruction { keyword, .. } => return unknown_instruction(keyword),
            Self::NoStage => "begin with `FROM image`, or `FROM scratch`".to_owned(),
            Self::BeforeFrom { .. } => "only `ARG` may stand above the first `FROM`".to_owned(),
            Self::OpenHeredoc { delimiter, near: Some(line) } => {
                format!("line {line} has `{delimiter}` with white space around it; it must stand alone in its line")
            }
            Self::OpenHeredoc { delimiter, near: None } => format!("end it with a line that is `{delimiter}` alone"),
            Self::LostHeredoc { .. } => "close the quotes in the line, or escape them".to_owned(),
            Self::HeredocDestination { .. } => "end the line with the path to write".to_owned(),
            Self::UnknownFlag { similar: Some(similar), .. } => format!("did you mean `--{similar}`?"),
            Self::UnknownFlag { .. } => return None,
            Self::DuplicateFlag { .. } => "take one of them away".to_owned(),
            Self::FlagWithoutValue { flag } => format!("write `--{flag}=…`"),
            Self::FlagNotBoolean { flag, .. } => format!("`--{flag}` alone means true"),
            Self::FlagValue { allowed, .. } => format!("it is one of {allowed}"),
            Self::FlagDuration { .. } => "write a number and a unit, as `30s` or `1m30s`".to_owned(),
            Self::NoArgument { .. } => return None,
            Self::NoDestination { instruction } => format!("write `{instruction} source destination`"),
            Self::FromArguments => "write `FROM image AS name`".to_owned(),
            Self::StageName { .. } => {
                "a name begins with a letter and goes on with letters, digits, `-`, `_` and `.`".to_owned()
            }
            Self::NoEquals { .. } => "write `name=value`, and quotes around a value with spaces".to_owned(),
            Self::NoValue { instruction, key } => format!("write `{instruction} {key}=value`"),
            Self::NoName { .. } => "write `name=value`, without space around the `=`".to_owned(),
            Self::EmptyVolume => return None,
            Self::JsonNotStrings => "put double quotes around each element".to_owned(),
            Self::JsonMalformed { .. } => "write `[\"program\", \"argument\"]`, with double quotes".to_owned(),
            Self::ShellNotJson => "write `SHELL [\"/bin/bash\", \"-c\"]`".to_owned(),
            Self::NoCommand { .. } => return None,
            Self::HealthcheckType { .. } => "write `HEALTHCHECK CMD command`".to_owned(),
            Self::HealthcheckNone => return None,
            Self::OnbuildTrigger { .. } => {
                "a trigger is any instruction but `FROM`, `MAINTAINER` and `ONBUILD`".to_owned()
            }
            Self::NotOneTrigger => return None,
            Self::NoExpansion { .. } => {
                "give the image a stage of its own, `FROM $image AS name`, and take that".to_owned()
            }
            Self::Mount(error) => return error.hint(),
            Self::Expand(error) => return error.hint(),
            Self::Port(error) => return error.hint(),
        })
    }
}

fn unknown_instruction(keyword: &str) -> Option<String> {
    if let Some(strange) = keyword.chars().find(|c| c.is_whitespace() || c.is_control()) {
        return Some(format!("the keyword holds the character U+{:04X}; type the space anew", strange as u32));
    }
    let command = keyword.chars().any(|c| c.is_ascii_lowercase()) || keyword.contains(['&', '|', '-']);
    command.then(|| r"if it belongs to the line above, end that one with `\`".to_owned())
}

/// The one of `known` that `word` is most like, if it is much like it.
pub(crate) fn similar<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&word, &name.to_lowercase()), name))
        .filter(|&(distance, name)| distance <= 2 && distance * 2 < name.len())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// The problems of a file while it is read.
pub(crate) struct Problems<'s> {
    source: &'s str,
    lines: &'s LineIndex,
    found: Vec<Problem>,
}

impl<'s> Problems<'s> {
    pub(crate) fn new(source: &'s str, lines: &'s LineIndex) -> Self {
        Self { source, lines, found: Vec::new() }
    }

    pub(crate) fn error(&mut self, kind: impl Into<ProblemKind>, span: Span) {
        self.push(kind.into(), Severity::Error, span);
    }

    pub(crate) fn step(&mut self, kind: impl Into<ProblemKind>, span: Span) {
        self.push(kind.into(), Severity::Step, span);
    }

    pub(crate) fn warning(&mut self, kind: impl Into<ProblemKind>, span: Span) {
        self.push(kind.into(), Severity::Warning, span);
    }

    fn push(&mut self, kind: ProblemKind, severity: Severity, span: Span) {
        self.found.push(self.problem(kind, severity, span));
    }

    /// The problem, with its place.
    pub(crate) fn problem(&self, kind: ProblemKind, severity: Severity, span: Span) -> Problem {
        Problem { kind, severity, span, position: self.lines.position(self.source, span.start) }
    }

    /// The line of the byte at `offset`.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.lines.position(self.source, offset).line
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// Lets those from `first` on be no worse than `severity`.
    pub(crate) fn limit(&mut self, first: usize, severity: Severity) {
        for problem in self.found.iter_mut().skip(first) {
            problem.severity = problem.severity.min(severity);
        }
    }

    /// All of them, in the order of the file.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|problem| problem.span);
        self.found
    }
}
