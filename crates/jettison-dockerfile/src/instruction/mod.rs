//! Instructions as values, after the Dockerfile reference (docker/dockerfile:1 and its labs channel).
//!
//! 1. [`Instruction`]: one of them with all its places; [`InstructionKind`] says which, with typed arguments.
//! 2. `build` makes the kind from keyword, flags and arguments, and names what is wrong. One file each for what has a grammar
//!    of its own: [`flag`], [`mount`], [`duration`], [`port`], `healthcheck`, `transfer`, `onbuild`.
//! 3. Arguments stay as they were written: [`Instruction::expandable`] says which words expand.

mod build;
pub mod duration;
pub mod flag;
mod healthcheck;
pub mod mount;
mod onbuild;
pub mod port;
mod script;
mod transfer;

pub use flag::Flag;
pub use mount::{Mount, MountError, MountErrorKind, MountKind, MountOption, MountSpec, Sharing};
pub use onbuild::Onbuild;
pub use port::{Port, PortError, Protocol};
pub use script::Script;

pub(crate) use build::{Raw, build, keyword};

use crate::heredoc::Heredoc;
use crate::source::Span;
use crate::word::Word;
use std::fmt;
use std::time::Duration;

/// An instruction of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// From the keyword to the end of its last line, heredocs included, without the line's end.
    pub span: Span,
    /// The keyword as it was written.
    pub keyword: Word,
    /// `--name=value` behind the keyword, in order, known or not.
    pub flags: Vec<Flag>,
    /// All that follows the keyword and the flags, continuation lines joined, without white space around it.
    pub arguments: Word,
    /// The whole of it, continuation lines joined, without heredocs: what BuildKit shows as the name of the step.
    pub text: Word,
    /// The heredocs, in order.
    pub heredocs: Vec<Heredoc>,
    /// The lines of the comments right above it, without `#`.
    pub comments: Vec<String>,
    /// What it says.
    pub kind: InstructionKind,
}

/// What an instruction says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstructionKind {
    /// `ADD`.
    Add(Add),
    /// `ARG name[=default]…`.
    Arg(Vec<Argument>),
    /// `CMD`.
    Cmd(CommandLine),
    /// `COPY`.
    Copy(Copy),
    /// `ENTRYPOINT`.
    Entrypoint(CommandLine),
    /// `ENV key=value…`.
    Env(Vec<Pair>),
    /// `EXPOSE port[-port][/protocol]…`; each word may expand to several ([`port::parse`]).
    Expose(Vec<Word>),
    /// `FROM`.
    From(From),
    /// `HEALTHCHECK`.
    Healthcheck(Healthcheck),
    /// `LABEL key=value…`.
    Label(Vec<Pair>),
    /// `MAINTAINER name`.
    Maintainer(Word),
    /// `ONBUILD instruction`.
    Onbuild(Onbuild),
    /// `RUN`.
    Run(Run),
    /// `SHELL ["program", "argument"…]`.
    Shell(Vec<Word>),
    /// `STOPSIGNAL signal`.
    Stopsignal(Word),
    /// `USER user[:group]`.
    User(Word),
    /// `VOLUME path…`.
    Volume(Vec<Word>),
    /// `WORKDIR path`.
    Workdir(Word),
    /// None of them, or too little is right to say more: a [`Problem`](crate::Problem) tells why.
    Invalid,
}

/// `FROM [--platform=…] image [AS name]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// `--platform`.
    pub platform: Option<Word>,
    /// The image, an earlier stage, a named context or `scratch`.
    pub image: Word,
    /// The word `AS`, as it was written.
    pub as_keyword: Option<Word>,
    /// The name of the stage as it was written; [`Stage::name`](crate::Stage::name) has it in lower case.
    pub name: Option<Word>,
}

/// `RUN [--mount=…] [--network=…] [--security=…] [--device=…] command`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What is run. [`Instruction::script`] puts heredocs in.
    pub command: CommandLine,
    /// `--mount`, in order.
    pub mounts: Vec<MountSpec>,
    /// `--network`.
    pub network: Network,
    /// `--security`.
    pub security: Security,
    /// `--device`, in order.
    pub devices: Vec<Word>,
}

/// `RUN --network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Network {
    /// What the build has.
    #[default]
    Default,
    /// Loopback alone.
    None,
    /// The host's own; the build must allow `network.host`.
    Host,
}

/// `RUN --security`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Security {
    /// Confined.
    #[default]
    Sandbox,
    /// With all privileges; the build must allow `security.insecure`.
    Insecure,
}

/// `COPY [--from=…] [--chown=…] [--chmod=…] [--link] [--parents] [--exclude=…] source… destination`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The sources and the destination.
    pub transfer: Transfer,
    /// `--from`: a stage, an image or a named context. It does not expand.
    pub from: Option<Word>,
    /// `--parents`.
    pub parents: bool,
}

/// `ADD [--chown=…] [--chmod=…] [--link] [--exclude=…] [--checksum=…] [--keep-git-dir] [--unpack] source… destination`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// The sources and the destination.
    pub transfer: Transfer,
    /// `--checksum`.
    pub checksum: Option<Word>,
    /// `--keep-git-dir`, when it is there.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`, when it is there; otherwise local archives are unpacked and downloaded ones are not.
    pub unpack: Option<bool>,
}

/// What `COPY` and `ADD` have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// What is copied, in order.
    pub sources: Vec<Source>,
    /// Where to.
    pub destination: Word,
    /// `--chown=user[:group]`.
    pub chown: Option<Word>,
    /// `--chmod`.
    pub chmod: Option<Word>,
    /// `--link`.
    pub link: bool,
    /// `--exclude`, in order. They do not expand.
    pub excludes: Vec<Word>,
}

/// A source of `COPY` or `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path, a pattern or a URL.
    Path(Word),
    /// A file that stands in the Dockerfile: its heredoc in [`Instruction::heredocs`].
    Heredoc(usize),
}

/// A command in one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// Text for the shell. It may be empty.
    Shell(Word),
    /// `["program", "argument"…]`. It may be empty.
    Exec(Vec<Word>),
}

/// `key=value` of `ENV` and `LABEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: Word,
    /// The value, quotes and escapes included.
    pub value: Word,
    /// Whether it was written the old way, `ENV key value`.
    pub legacy: bool,
}

/// `name[=default]` of `ARG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// The name.
    pub name: Word,
    /// The default, quotes and escapes included.
    pub default: Option<Word>,
}

/// `HEALTHCHECK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// `HEALTHCHECK NONE`: that of the base image is taken away.
    None,
    /// `HEALTHCHECK [options] CMD command`.
    Check(Check),
}

/// A health check. An option that is absent or zero means the default of whoever runs the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// `--interval`.
    pub interval: Option<Duration>,
    /// `--timeout`.
    pub timeout: Option<Duration>,
    /// `--start-period`.
    pub start_period: Option<Duration>,
    /// `--start-interval`.
    pub start_interval: Option<Duration>,
    /// `--retries`.
    pub retries: Option<u32>,
    /// What tells health.
    pub command: CommandLine,
}

/// How a word expands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expands {
    /// To one word: [`Expander::word`](crate::Expander::word).
    Word,
    /// To as many as its white space makes: [`Expander::words`](crate::Expander::words).
    Words,
    /// As [`Expands::Word`], with quotes that mean nothing: [`Expander::heredoc`](crate::Expander::heredoc).
    Heredoc,
}

impl Instruction {
    /// The keyword in capitals.
    pub fn name(&self) -> String {
        self.keyword.to_ascii_uppercase()
    }

    /// What the comment above says of `name`, as in `# name what it is for` (BuildKit's `--call=outline`).
    pub fn doc_comment(&self, name: &str) -> Option<&str> {
        self.comments.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).filter(|_| !name.is_empty())
    }

    /// The words of it that expand, in order, and how. The words of `FROM` see global arguments alone; those of an `ONBUILD`
    /// trigger expand when it is pulled, and are not among them.
    pub fn expandable(&self) -> Vec<(&Word, Expands)> {
        let mut words = Vec::new();
        match &self.kind {
            InstructionKind::Add(add) => {
                words.extend(add.checksum.as_ref());
                words.extend(add.transfer.words());
            }
            InstructionKind::Copy(copy) => words.extend(copy.transfer.words()),
            InstructionKind::Arg(arguments) => {
                words.extend(
                    arguments.iter().flat_map(|argument| [Some(&argument.name), argument.default.as_ref()]).flatten(),
                );
            }
            InstructionKind::Env(pairs) | InstructionKind::Label(pairs) => {
                words.extend(pairs.iter().flat_map(|pair| [&pair.key, &pair.value]));
            }
            InstructionKind::From(from) => {
                words.extend(from.platform.as_ref());
                words.push(&from.image);
            }
            InstructionKind::Run(run) => {
                words.extend(
                    run.mounts.iter().flat_map(|mount| &mount.options).filter_map(|option| option.value.as_ref()),
                );
            }
            InstructionKind::Volume(list) => words.extend(list),
            InstructionKind::Stopsignal(word) | InstructionKind::User(word) | InstructionKind::Workdir(word) => {
                words.push(word)
            }
            InstructionKind::Expose(ports) => return ports.iter().map(|port| (port, Expands::Words)).collect(),
            InstructionKind::Cmd(_)
            | InstructionKind::Entrypoint(_)
            | InstructionKind::Healthcheck(_)
            | InstructionKind::Maintainer(_)
            | InstructionKind::Onbuild(_)
            | InstructionKind::Shell(_)
            | InstructionKind::Invalid => {}
        }
        let mut words: Vec<_> = words.into_iter().map(|word| (word, Expands::Word)).collect();
        if let InstructionKind::Add(Add { transfer, .. }) | InstructionKind::Copy(Copy { transfer, .. }) = &self.kind {
            let documents = transfer.sources.iter().filter_map(|source| match source {
                Source::Heredoc(index) => self.heredocs.get(*index),
                Source::Path(_) => None,
            });
            words
                .extend(documents.filter(|heredoc| heredoc.expand).map(|heredoc| (&heredoc.content, Expands::Heredoc)));
        }
        words
    }
}

impl Transfer {
    fn words(&self) -> impl Iterator<Item = &Word> {
        let paths = self.sources.iter().filter_map(|source| match source {
            Source::Path(path) => Some(path),
            Source::Heredoc(_) => None,
        });
        self.chown.iter().chain(&self.chmod).chain(paths).chain([&self.destination])
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::None => "none",
            Self::Host => "host",
        })
    }
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sandbox => "sandbox",
            Self::Insecure => "insecure",
        })
    }
}
