//! JUnit's XML: a suite for each file; a failed case for each finding, or one that passed.

use super::xml::escape;
use crate::report::Report;
use std::fmt::Write as _;

pub(super) fn render(reports: &[Report]) -> String {
    let count = |report: &Report| report.findings.len().max(1);
    let tests: usize = reports.iter().map(count).sum();
    let failures: usize = reports.iter().map(|report| report.findings.len()).sum();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"jettison lint\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\">\n"
    );
    for report in reports {
        let path = escape(&report.path);
        let _ = writeln!(
            out,
            "  <testsuite name=\"{path}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"0\" time=\"0\">",
            count(report),
            report.findings.len()
        );
        if report.findings.is_empty() {
            let _ = writeln!(out, "    <testcase name=\"no findings\" classname=\"{path}\" time=\"0\"/>");
        }
        for finding in &report.findings {
            let site = report.site(finding);
            let place = format!("{}:{}", site.path, site.line());
            let (rule, message) = (finding.rule, escape(&finding.message));
            let help = finding.help.as_ref().map(|help| format!("\n{help}")).unwrap_or_default();
            let body = escape(&format!("{place}: {}{help}", finding.message));
            let _ = writeln!(
                out,
                "    <testcase name=\"{} {} at {}\" classname=\"{path}\" file=\"{}\" line=\"{}\" time=\"0\">",
                rule.code,
                rule.name,
                escape(&place),
                escape(&site.path),
                site.line()
            );
            let _ = writeln!(
                out,
                "      <failure type=\"{}\" message=\"{message}\">{body}</failure>\n    </testcase>",
                finding.severity
            );
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}
