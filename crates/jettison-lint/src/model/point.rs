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
}
