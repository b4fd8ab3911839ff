//! A whole Dockerfile: its text, its instructions, its stages and what is wrong with it.

use crate::expand::Escape;
use crate::instruction::{From, Instruction, InstructionKind};
use crate::problem::{Problem, ProblemKind, Problems, Severity};
use crate::source::{LineIndex, Position, Span};
use crate::syntax::{Directive, DirectiveName, Node, Reader, Syntax};
use crate::token::Token;
use std::ops::Range;

/// A Dockerfile. It holds its text, byte for byte, so that [`Dockerfile::print`] gives back what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    source: String,
    lines: LineIndex,
    syntax: Syntax,
    stages: Vec<Stage>,
    problems: Vec<Problem>,
}

/// A build stage: a `FROM` and what follows it up to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its number, from 0.
    pub index: usize,
    /// Its name in lower case. Names are the same whatever their case.
    pub name: Option<String>,
    /// Its `FROM`.
    pub from: From,
    /// The instructions behind `FROM`, as indices into [`Dockerfile::instructions`].
    pub body: Range<usize>,
    /// From its `FROM` to the end of its last instruction.
    pub span: Span,
}

impl Dockerfile {
    /// Reads a Dockerfile. This never fails: what is wrong is in [`Dockerfile::problems`].
    pub fn parse(text: &str) -> Self {
        let lines = LineIndex::new(text);
        let mut problems = Problems::new(text, &lines);
        let syntax = Reader::new(text, &mut problems).read();
        let stages = stages(&syntax.instructions);
        let above = stages.first().map_or(syntax.instructions.len(), |stage| stage.body.start - 1);
        for instruction in &syntax.instructions[..above] {
            if let Some(keyword) = crate::instruction::keyword(&instruction.keyword).filter(|&keyword| keyword != "ARG")
            {
                problems.error(ProblemKind::BeforeFrom { instruction: keyword }, instruction.keyword.span());
            }
        }
        if stages.is_empty() {
            problems.error(ProblemKind::NoStage, Span::new(text.len(), text.len()));
        }
        let problems = problems.finish();
        Self { source: text.to_owned(), lines, syntax, stages, problems }
    }

    /// Reads an `ONBUILD` trigger from the configuration of an image: one instruction, with no `FROM` above it.
    pub fn parse_trigger(text: &str) -> Result<Instruction, Box<Problem>> {
        let lines = LineIndex::new(text);
        let mut problems = Problems::new(text, &lines);
        let instructions = Reader::new(text, &mut problems).read().instructions;
        let Ok([instruction]) = <[Instruction; 1]>::try_from(instructions) else {
            let whole = Span::new(0, text.len());
            return Err(Box::new(problems.problem(ProblemKind::NotOneTrigger, Severity::Error, whole)));
        };
        let error = problems.finish().into_iter().find(|problem| problem.severity == Severity::Error);
        error.map_or(Ok(instruction), |error| Err(Box::new(error)))
    }

    /// The text that was read.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text, put together from its tokens.
    pub fn print(&self) -> String {
        self.tokens().iter().map(|token| &self.source[token.span.range()]).collect()
    }

    /// The bytes of `span`.
    pub fn text(&self, span: Span) -> &str {
        self.source.get(span.start..span.end).unwrap_or_default()
    }

    /// The escape character.
    pub fn escape(&self) -> Escape {
        self.syntax.escape
    }

    /// The directives at the top, in order.
    pub fn directives(&self) -> &[Directive] {
        &self.syntax.directives
    }

    /// The directive of this name.
    pub fn directive(&self, name: DirectiveName) -> Option<&Directive> {
        self.directives().iter().find(|directive| directive.name == name)
    }

    /// The instructions, in order.
    pub fn instructions(&self) -> &[Instruction] {
        &self.syntax.instructions
    }

    /// The stages, in order.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The stage of this name, whatever its case. Of two with one name the last counts.
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        let name = name.to_lowercase();
        self.stages.iter().rev().find(|stage| stage.name.as_ref() == Some(&name))
    }

    /// The `FROM` of a stage, as an instruction.
    pub fn head(&self, stage: &Stage) -> &Instruction {
        &self.instructions()[stage.body.start - 1]
    }

    /// The instructions of a stage behind its `FROM`.
    pub fn body(&self, stage: &Stage) -> &[Instruction] {
        &self.instructions()[stage.body.clone()]
    }

    /// The instructions above the first `FROM`, which are all `ARG` in a file without errors.
    pub fn preamble(&self) -> &[Instruction] {
        &self.instructions()[..self.stages.first().map_or(self.instructions().len(), |stage| stage.body.start - 1)]
    }

    /// What is wrong with it, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The first problem that keeps anything from being built.
    pub fn error(&self) -> Option<&Problem> {
        self.problems.iter().find(|problem| problem.severity == Severity::Error)
    }

    /// Its lines: directives, comments, blank lines and instructions.
    pub fn nodes(&self) -> &[Node] {
        &self.syntax.nodes
    }

    /// Its bytes, each in one token.
    pub fn tokens(&self) -> &[Token] {
        &self.syntax.tokens
    }

    /// The line and column of the byte at `offset`.
    pub fn position(&self, offset: usize) -> Position {
        self.lines.position(&self.source, offset)
    }

    /// The text of a line (from 1), without its end.
    pub fn line(&self, line: usize) -> Option<&str> {
        self.lines.line(&self.source, line)
    }
}

fn stages(instructions: &[Instruction]) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for (at, instruction) in instructions.iter().enumerate() {
        if let InstructionKind::From(from) = &instruction.kind {
            stages.push(Stage {
                index: stages.len(),
                name: from.name.as_ref().map(|name| name.to_lowercase()),
                from: from.clone(),
                body: at + 1..at + 1,
                span: instruction.span,
            });
        } else if let Some(stage) = stages.last_mut() {
            stage.body.end = at + 1;
            stage.span.end = instruction.span.end;
        }
    }
    stages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Edit, apply};

    const TWO_STAGES: &str =
        "ARG V=1\n# build makes it\nFROM a:$V AS Build\nRUN make\n\nFROM scratch\nCOPY --from=build /a /a\nUSER 1\n";

    #[test]
    fn stages_hold_their_instructions() {
        let file = Dockerfile::parse(TWO_STAGES);
        assert_eq!(file.problems(), []);
        let names =
            |instructions: &[Instruction]| instructions.iter().map(Instruction::name).collect::<Vec<_>>().join(" ");
        assert_eq!(names(file.preamble()), "ARG");
        let bodies: Vec<_> = file.stages().iter().map(|stage| names(file.body(stage))).collect();
        assert_eq!(bodies, ["RUN", "COPY USER"]);
        let build = file.stage("BUILD").unwrap();
        assert_eq!((build.index, build.name.as_deref()), (0, Some("build")));
        assert_eq!(file.head(build).doc_comment("build"), Some("makes it"));
        assert_eq!(file.text(build.span), "FROM a:$V AS Build\nRUN make");
        assert_eq!(file.line(7), Some("COPY --from=build /a /a"));
    }

    #[test]
    fn words_can_be_edited_in_place() {
        let file = Dockerfile::parse(TWO_STAGES);
        let edits = file.stages().iter().map(|stage| Edit { span: stage.from.image.span(), text: "b".to_owned() });
        let edited = apply(file.source(), &edits.collect::<Vec<_>>()).unwrap();
        assert_eq!(edited, TWO_STAGES.replace("a:$V", "b").replace("scratch", "b"));
    }

    #[test]
    fn a_trigger_is_one_instruction() {
        let trigger = Dockerfile::parse_trigger("COPY <<A /x\nline\nA").unwrap();
        assert_eq!((trigger.name().as_str(), trigger.heredocs[0].content.as_str()), ("COPY", "line\n"));
        for (text, message) in [
            ("", "an `ONBUILD` trigger is one instruction"),
            ("RUN a\nRUN b", "an `ONBUILD` trigger is one instruction"),
            ("RUNN a", "unknown instruction `RUNN`"),
            ("COPY a", "`COPY` needs a source and a destination"),
        ] {
            assert_eq!(Dockerfile::parse_trigger(text).unwrap_err().message(), message, "{text:?}");
        }
    }
}
