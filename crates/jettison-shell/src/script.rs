//! A script that was read.

use crate::command::Command;
use crate::error::ParseError;
use crate::parse;
use crate::shell::{Dialect, Shell};
use crate::syntax::{Heredoc, List, Pipeline, Redirection};
use crate::walk::Walk;

/// A script: its commands as a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What it says.
    pub list: List,
    /// What could not be read, in the order of the text.
    pub errors: Vec<ParseError>,
    pub(crate) text: String,
    pub(crate) dialect: Dialect,
    pub(crate) heredocs: Vec<Heredoc>,
}

/// A pipeline of more than one command.
#[derive(Debug, Clone)]
pub struct Piped<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// Its simple commands in order; a compound command has none here.
    pub commands: Vec<Command<'a>>,
    /// Is `pipefail` in force?
    pub pipefail: bool,
}

impl Script {
    /// Reads `text`, whatever it is.
    pub fn parse(text: &str, dialect: Dialect) -> Self {
        parse::script(text, dialect)
    }

    /// The text that was read, which all ranges are of.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The grammar that it was read by.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The heredoc of a redirection of this script.
    pub fn heredoc(&self, redirection: &Redirection) -> Option<&Heredoc> {
        self.heredocs.get(redirection.heredoc?.0)
    }

    /// All heredocs in the order of their bodies' redirections.
    pub fn heredocs(&self) -> &[Heredoc] {
        &self.heredocs
    }

    /// Every simple command at any depth, each before those that are written in its words, as a shell runs them that was
    /// given no options.
    pub fn commands(&self) -> Vec<Command<'_>> {
        self.commands_in(&Shell::default())
    }

    /// As [`Script::commands`], run by a shell that was given options.
    pub fn commands_in(&self, shell: &Shell) -> Vec<Command<'_>> {
        Walk::new(self, shell).commands()
    }

    /// Does it say `set` with this: `-e`, `-x`, or the name of an option as in `set -o pipefail`?
    pub fn sets(&self, option: &str) -> bool {
        let name = match option {
            "-e" => "errexit",
            "-x" => "xtrace",
            "-u" => "nounset",
            "-f" => "noglob",
            "-n" => "noexec",
            "-v" => "verbose",
            other => other,
        };
        self.commands().iter().any(|command| {
            command.is("set")
                && (option.starts_with('-') && command.has_flag(&[option])
                    || crate::flags::scan(command.arguments(), &["-o"]).iter().any(|token| match token {
                        crate::flags::Token::Option { name: flag, value: Some(value), .. } => {
                            flag == "-o" && value.text == name
                        }
                        _ => false,
                    }))
        })
    }

    /// Does it say `set -o pipefail`?
    pub fn sets_pipefail(&self) -> bool {
        self.sets("pipefail")
    }

    /// The pipelines of more than one command, at any depth.
    pub fn pipelines(&self) -> Vec<Piped<'_>> {
        self.pipelines_in(&Shell::default())
    }

    /// As [`Script::pipelines`], run by a shell that was given options.
    pub fn pipelines_in(&self, shell: &Shell) -> Vec<Piped<'_>> {
        Walk::new(self, shell).pipelines()
    }
}
