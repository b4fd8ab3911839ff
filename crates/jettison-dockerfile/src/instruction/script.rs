//! What a `RUN` runs when it has heredocs, and commands as text of a shell that knows its places.

use super::{CommandLine, Instruction, InstructionKind, Run};
use crate::heredoc::{Heredoc, Opening};
use crate::source::Span;
use crate::word::Word;
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

impl Instruction {
    /// The command of a `RUN` as text of its shell, each byte with its place: the line with its heredocs, the script that a heredoc
    /// alone is, or the words of an exec form quoted as a shell would need them. `None` for any other instruction, and for a
    /// heredoc that is a file with an interpreter of its own.
    pub fn shell_text(&self) -> Option<Word> {
        let InstructionKind::Run(run) = &self.kind else { return None };
        let text = match &run.command {
            CommandLine::Shell(text) => text,
            command => return Some(command.shell_text()),
        };
        let Some(first) = self.heredocs.first() else { return Some(text.clone()) };
        if Opening::parse(text).is_some() {
            return (!first.content.starts_with("#!")).then(|| first.content.clone());
        }
        let mut whole = text.clone();
        for heredoc in &self.heredocs {
            whole.push_str("\n", heredoc.body.start.saturating_sub(1));
            whole.push_str(&heredoc.written, heredoc.body.start);
            whole.push_str(&heredoc.name, heredoc.terminator.unwrap_or(heredoc.body).start);
        }
        Some(whole)
    }
}

impl CommandLine {
    /// The command as text of a shell, each byte with its place; the words of an exec form are quoted where a shell would take them
    /// apart.
    pub fn shell_text(&self) -> Word {
        let words = match self {
            Self::Shell(text) => return text.clone(),
            Self::Exec(words) => words,
        };
        let mut text = Word::default();
        for (index, word) in words.iter().enumerate() {
            let (start, end) = (word.span().start, word.span().end);
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
            let quote = word.is_empty() || !word.chars().all(plain);
            if index > 0 {
                text.push(' ', Span::new(start, start));
            }
            if quote {
                text.push('\'', Span::new(start, start));
            }
            for (at, c) in word.char_indices() {
                let place = word.span_of(at..at + c.len_utf8());
                match c {
                    '\'' => "'\\''".chars().for_each(|c| text.push(c, place)),
                    c => text.push(c, place),
                }
            }
            if quote {
                text.push('\'', Span::new(end, end));
            }
        }
        text
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

#[cfg(test)]
mod tests {
    use crate::{Dockerfile, InstructionKind};

    #[test]
    fn the_text_of_a_shell_knows_its_places() {
        let source = "FROM a\nRUN cat <<A >x && \\\n  ls\none\nA\nRUN <<B\npip x\nB\nRUN [\"sh\", \"-c\", \"it's\"]\nRUN <<C\n#!/bin/x\nC\n";
        let file = Dockerfile::parse(source);
        let texts: Vec<_> = file.instructions().iter().filter_map(|run| run.shell_text()).collect();
        assert_eq!(
            texts.iter().map(|text| text.as_str()).collect::<Vec<_>>(),
            ["cat <<A >x &&   ls\none\nA", "pip x\n", r"sh -c 'it'\''s'"]
        );
        for (text, part) in
            [(&texts[0], "ls"), (&texts[0], "one"), (&texts[1], "pip"), (&texts[2], "-c"), (&texts[2], "it")]
        {
            let at = text.find(part).unwrap();
            assert_eq!(file.text(text.span_of(at..at + part.len())), part);
        }
        assert!(
            matches!(file.instructions()[0].kind, InstructionKind::From(_))
                && file.instructions()[0].shell_text().is_none()
        );
    }
}
