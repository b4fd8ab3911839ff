//! Checkstyle's XML, which most servers for continuous integration read.

use super::xml::escape;
use crate::report::Report;
use crate::rule::Severity;
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub(super) fn render(reports: &[Report]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<checkstyle version=\"4.3\">\n");
    for report in reports {
        // A finding may be in another file of the context.
        let mut files: BTreeMap<(bool, String), String> = BTreeMap::new();
        files.insert((false, report.path.clone()), String::new());
        for finding in &report.findings {
            let site = report.site(finding);
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Info | Severity::Style => "info",
            };
            let lines = files.entry((site.path != report.path, site.path.clone())).or_default();
            let _ = writeln!(
                lines,
                "    <error line=\"{}\" column=\"{}\" severity=\"{severity}\" message=\"{}\" source=\"jettison.{}\"/>",
                site.line(),
                site.start.map_or(1, |start| start.column),
                escape(&finding.message),
                finding.rule.name,
            );
        }
        for ((_, path), lines) in files {
            let _ = writeln!(out, "  <file name=\"{}\">\n{lines}  </file>", escape(&path));
        }
    }
    out.push_str("</checkstyle>\n");
    out
}
