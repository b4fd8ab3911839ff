//! Where a finding points. BuildKit names the first line of an instruction whatever is wrong further down, and so do the rules that are
//! its checks: people compare the lines of both.

use super::Subject;
use crate::finding::{Finding, Findings};
use jettison_dockerfile::{Instruction, Span};

impl Subject<'_> {
    /// Reports a fault at `exact`, a place in `instruction`, in the first line of the instruction. A label shows the place if it is in
    /// another line.
    pub(crate) fn point<'f>(
        &self,
        findings: &'f mut Findings<'_>,
        instruction: &Instruction,
        exact: Span,
        message: impl Into<String>,
    ) -> &'f mut Finding {
        if self.line(exact.start) == self.line(instruction.span.start) {
            return findings.report(exact, message);
        }
        let finding = findings.report(instruction.keyword.span(), message);
        finding.label(exact, "here")
    }

    /// Where a flag of an instruction stands.
    pub(crate) fn flag(&self, instruction: &Instruction, name: &str) -> Option<Span> {
        instruction.flags.iter().find(|flag| flag.name == name).map(|flag| flag.span)
    }

    /// A word and the spaces behind it, as they are to go together.
    pub(crate) fn with_space(&self, span: Span) -> Span {
        let rest = &self.file.source()[span.end..];
        Span::new(span.start, span.end + rest.len() - rest.trim_start_matches([' ', '\t']).len())
    }
}
