//! One JSON object. Its shape is for good: `docs/lint.md` describes it, fields are only ever added.

use crate::finding::{Finding, Safety};
use crate::report::{Report, Site};
use jettison_dockerfile::Edit;
use serde_json::{Map, Value, json};

/// A change of the meaning of a field changes this.
const VERSION: u32 = 1;

pub(super) fn render(reports: &[Report]) -> String {
    let findings: Vec<Value> =
        reports.iter().flat_map(|report| report.findings.iter().map(|finding| object(report, finding))).collect();
    let files: Vec<&str> = reports.iter().map(|report| report.path.as_str()).collect();
    format!("{:#}\n", json!({ "version": VERSION, "files": files, "findings": findings }))
}

fn object(report: &Report, finding: &Finding) -> Value {
    let site = report.site(finding);
    let rule = finding.rule;
    let mut aliases: Vec<&str> = rule.buildkit.iter().chain(rule.hadolint).copied().collect();
    aliases.extend(finding.foreign_code.as_deref());
    let mut object = place(&site);
    object.insert("code".into(), json!(rule.code));
    object.insert("name".into(), json!(rule.name));
    object.insert("aliases".into(), json!(aliases));
    object.insert("severity".into(), json!(finding.severity));
    object.insert("message".into(), json!(finding.message));
    object.insert("help".into(), json!(finding.help));
    object.insert("saves_bytes".into(), json!(finding.saves));
    let labels = finding.labels.iter().map(|(span, text)| {
        let mut label = place(&report.site_of(*span));
        label.insert("text".into(), json!(text));
        label
    });
    object.insert("labels".into(), json!(labels.collect::<Vec<_>>()));
    let fix = finding.fix.as_ref().map(|fix| {
        let edit = |edit: &Edit| {
            let mut object = place(&report.site_of(edit.span));
            object.insert("text".into(), json!(edit.text));
            object
        };
        let files =
            fix.files.iter().map(|(path, text)| json!({ "path": format!("{}{path}", report.context), "text": text }));
        json!({
            "safety": match fix.safety { Safety::Safe => "safe", Safety::Unsafe => "unsafe" },
            "title": fix.title,
            "edits": fix.edits.iter().map(edit).collect::<Vec<_>>(),
            "files": files.collect::<Vec<_>>(),
        })
    });
    object.insert("fix".into(), fix.unwrap_or(Value::Null));
    object.insert("fingerprint".into(), json!(report.fingerprint(finding)));
    Value::Object(object)
}

/// File, and line and column (in characters, from 1) of the first and one past the last character; null where they are not known.
fn place(site: &Site) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("file".into(), json!(site.path));
    object.insert("line".into(), json!(site.start.map(|start| start.line)));
    object.insert("column".into(), json!(site.start.map(|start| start.column)));
    object.insert("end_line".into(), json!(site.end.map(|end| end.line)));
    object.insert("end_column".into(), json!(site.end.map(|end| end.column)));
    object
}
