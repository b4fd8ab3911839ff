//! What the shell of a `RUN` gets when it has heredocs.

use super::{CommandLine, Instruction, InstructionKind, Run};
use crate::heredoc::{Heredoc, Opening};
use std::borrow::Cow;

/// What a `RUN` runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script<'i> {
    /// A program and its arguments.
    Exec(Vec<&'i str>),
    /// Text for the shell (`SHELL`, or `/bin/sh -c`).
    Shell(Cow<'i, str>),
    /// `RUN <<EOF` whose first line names an interpreter: a file to make and run.
    File {
        /// The name of the file.
        name: &'i str,
        /// What is in it.
        content: &'i str,
    },
}

impl Instruction {
    /// What a `RUN` runs; `None` for any other instruction.
    ///
    /// A heredoc alone is the script itself. With more in the line the shell gets the line with its heredocs below, as they
    /// were written, and does with them what it does.
    pub fn script(&self) -> Option<Script<'_>> {
        match &self.kind {
            InstructionKind::Run(Run { command: CommandLine::Exec(words), .. }) => {
                Some(Script::Exec(words.iter().map(|word| word.as_str()).collect()))
            }
            InstructionKind::Run(Run { command: CommandLine::Shell(text), .. }) => Some(script(text, &self.heredocs)),
            _ => None,
        }
    }
}

fn script<'i>(text: &'i str, heredocs: &'i [Heredoc]) -> Script<'i> {
    let Some(first) = heredocs.first() else { return Script::Shell(Cow::Borrowed(text)) };
    if Opening::parse(text).is_some() {
        return match first.content.starts_with("#!") {
            true => Script::File { name: &first.name, content: &first.content },
            false => Script::Shell(Cow::Borrowed(&first.content)),
        };
    }
    let mut whole = text.to_owned();
    for heredoc in heredocs {
        whole.push('\n');
        whole.push_str(&heredoc.written);
        whole.push_str(&heredoc.name);
    }
    Script::Shell(Cow::Owned(whole))
}
