//! Workflow commands of GitHub Actions: `::warning file=…,line=…::message`. They become annotations of a change.

use super::visible;
use crate::report::Report;
use crate::rule::Severity;
use std::fmt::Write as _;

pub(super) fn render(reports: &[Report]) -> String {
    let mut out = String::new();
    for report in reports {
        for finding in &report.findings {
            let site = report.site(finding);
            let command = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Info | Severity::Style => "notice",
            };
            let title = property(&format!("{} {}", finding.rule.code, finding.rule.name));
            // Writing to a string cannot fail.
            let _ = write!(out, "::{command} title={title},file={},line={}", property(&site.path), site.line());
            if let (Some(start), Some(end)) = (site.start, site.end) {
                let _ = write!(out, ",endLine={}", site.last_line());
                // GitHub takes columns only where both are in one line.
                if start.line == end.line {
                    let _ = write!(out, ",col={},endColumn={}", start.column, end.column);
                }
            }
            let mut message = finding.message.clone();
            if let Some(help) = &finding.help {
                let _ = write!(message, "\n{help}");
            }
            let _ = writeln!(out, "::{}", data(&visible(&message)));
        }
    }
    out
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
