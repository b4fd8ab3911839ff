//! Edits of scripts that keep their layout: an option added or taken away, a command put behind another.

use super::Step;
use super::step::ShellText;
use jettison_dockerfile::instruction::{CommandLine, Healthcheck, InstructionKind};
use jettison_dockerfile::{Dockerfile, Edit, Span};
use jettison_shell::Command;
use jettison_shell::syntax::ConnectorKind;
use std::ops::Range;

impl ShellText {
    /// Whether it is a script that was understood to its end.
    fn is_editable(&self) -> bool {
        !self.is_exec && self.script.errors.is_empty()
    }

    /// Puts a word behind the one at `range`, in the same line.
    pub fn add_word(&self, range: Range<usize>, word: &str) -> Option<Edit> {
        let end = self.span(range).end;
        self.is_editable().then(|| Edit { span: Span::new(end, end), text: format!(" {word}") })
    }

    /// Puts another text in the place of the one at `range`. It must need no quotes, in a shell or in JSON.
    pub fn replace(&self, range: Range<usize>, text: &str) -> Edit {
        Edit { span: self.span(range), text: text.to_owned() }
    }

    /// Takes what is at `range` away, with the blanks and continuations of lines before it. A comment among them stays.
    pub fn remove(&self, file: &Dockerfile, range: Range<usize>) -> Option<Edit> {
        let before = self.text.get(..range.start)?.trim_end_matches([' ', '\t']).len();
        let span = self.span(range);
        let start = match before.checked_sub(1) {
            Some(_) => self.span(before - 1..before).end,
            None => span.start,
        };
        let comment = file.text(Span::new(start, span.start)).contains('#');
        let start = if comment { span.start } else { start };
        self.is_editable().then(|| Edit { span: Span::new(start, span.end), text: String::new() })
    }

    /// Puts `command` behind another, so that it runs if that one went well. It gets a line of its own where the commands around it
    /// have theirs, with the indentation and the side of `&&` that they have.
    pub fn append(&self, file: &Dockerfile, after: &Command<'_>, command: &str) -> Option<Edit> {
        // Behind the name of a heredoc nothing is what it seems.
        if !self.is_editable() || !self.script.heredocs().is_empty() {
            return None;
        }
        let insertion = after.insertion_after();
        let at = self.span(insertion.at.checked_sub(1)?..insertion.at).end;
        let span = Span::new(at, at);
        let start = self.text.get(..insertion.at)?;
        // A script of lines: a heredoc.
        if insertion.connector != ConnectorKind::And && start.contains('\n')
            || after.connector_after().is_some_and(|connector| connector.kind == ConnectorKind::Newline)
        {
            let here = self.text.get(..after.pipeline().range.start)?;
            let line = &here[here.rfind('\n').map_or(0, |at| at + 1)..];
            let indent = &line[..line.len() - line.trim_start().len()];
            return Some(Edit { span, text: format!("\n{indent}{command}") });
        }
        let connector = if insertion.connector == ConnectorKind::And { "&&" } else { ";" };
        let source = file.text(Span::new(self.span(0..1).start, at));
        let text = match Style::of(source, file.escape().char()) {
            _ if connector == ";" => format!("; {command}"),
            Some(Style { indent, leading: true }) => {
                format!(" {}\n{indent}{connector} {command}", file.escape().char())
            }
            Some(Style { indent, leading: false }) => {
                format!(" {connector} {}\n{indent}{command}", file.escape().char())
            }
            None => format!(" {connector} {command}"),
        };
        Some(Edit { span, text })
    }

    /// Puts `command &&` before another. Not where that would change what an operator before it means.
    pub fn prepend(&self, before: &Command<'_>, command: &str) -> Option<Edit> {
        let connected = before.connector_before().is_some_and(|connector| connector.kind == ConnectorKind::Or);
        let alone = before.pipeline().nodes.len() == 1 && before.pipeline().negated.is_none();
        let start = self.span(before.range()).start;
        let edit = Edit { span: Span::new(start, start), text: format!("{command} && ") };
        (self.is_editable() && !connected && alone).then_some(edit)
    }
}

/// How the commands of a script stand in lines.
struct Style<'s> {
    indent: &'s str,
    /// Whether `&&` is at the beginning of a line.
    leading: bool,
}

impl<'s> Style<'s> {
    /// That of the last line that begins or ends with `&&`; else that of the last one continued; `None` for a script in one line.
    fn of(source: &'s str, escape: char) -> Option<Self> {
        let indent = |line: &'s str| &line[..line.len() - line.trim_start().len()];
        let lines: Vec<&str> = source.lines().collect();
        let operator = |line: &str| {
            let line = line.trim_end().trim_end_matches(escape).trim_end();
            line.ends_with("&&")
        };
        for at in (1..lines.len()).rev() {
            if lines[at].trim_start().starts_with("&&") {
                return Some(Self { indent: indent(lines[at]), leading: true });
            }
            if operator(lines[at - 1]) {
                return Some(Self { indent: indent(lines[at]), leading: false });
            }
        }
        let last = lines.get(1..)?.iter().rev().find(|line| !line.trim_start().starts_with('#'))?;
        Some(Self { indent: indent(last), leading: true })
    }
}

impl Step<'_> {
    /// Takes a word of a command away, in either form of the instruction; see [`ShellText::remove`].
    pub fn remove_word(&self, file: &Dockerfile, range: Range<usize>) -> Option<Edit> {
        let shell = self.shell?;
        if !shell.is_exec {
            return shell.remove(file, range);
        }
        let line = match &self.instruction.kind {
            InstructionKind::Cmd(line) | InstructionKind::Entrypoint(line) => line,
            InstructionKind::Run(run) => &run.command,
            InstructionKind::Healthcheck(Healthcheck::Check(check)) => &check.command,
            _ => return None,
        };
        let CommandLine::Exec(words) = line else { return None };
        let start = shell.span(range).start;
        let at = words.iter().position(|word| word.span().start <= start && start < word.span().end)?;
        let before = words.get(at.checked_sub(1)?)?;
        Some(Edit { span: Span::new(before.span().end, words[at].span().end), text: String::new() })
    }
}

/// The instruction, gone with its line.
pub fn remove_line(file: &Dockerfile, span: Span) -> Edit {
    let rest = file.source().get(span.end..).unwrap_or_default();
    let end = span.end + rest.find('\n').map_or(rest.len(), |at| at + 1);
    Edit { span: Span::new(span.start, end), text: String::new() }
}
