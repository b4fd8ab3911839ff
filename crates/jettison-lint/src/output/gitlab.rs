//! A Code Quality report of GitLab, a part of Code Climate's format.

use crate::report::Report;
use crate::rule::Severity;
use jettison_tree::Digest;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn render(reports: &[Report]) -> String {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut issues: Vec<Value> = Vec::new();
    for report in reports {
        for finding in &report.findings {
            let site = report.site(finding);
            let key = format!("{}\0{}", site.path, report.fingerprint(finding));
            // GitLab wants each fingerprint once: the second finding of the same kind in the same words is told apart by number.
            let count = seen.entry(key.clone()).or_default();
            *count += 1;
            let fingerprint = Digest::of(format!("{key}\0{count}").as_bytes()).hex()[..32].to_owned();
            let description = match &finding.help {
                Some(help) => format!("{}: {help}", finding.message),
                None => finding.message.clone(),
            };
            issues.push(json!({
                "type": "issue",
                "description": description,
                "check_name": finding.rule.name,
                "fingerprint": fingerprint,
                "severity": match finding.severity {
                    Severity::Error => "critical",
                    Severity::Warning => "major",
                    Severity::Info => "minor",
                    Severity::Style => "info",
                },
                "location": { "path": site.path, "lines": { "begin": site.line(), "end": site.last_line() } },
            }));
        }
    }
    format!("{:#}\n", Value::from(issues))
}
