//! SARIF 2.1.0 (OASIS standard, 27 March 2020): what code scanning of GitHub and others read.

use crate::finding::{Finding, Fix, Safety};
use crate::pages;
use crate::report::{Report, Site};
use crate::rule::{Rule, Severity};
use jettison_dockerfile::Edit;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub(super) fn render(reports: &[Report]) -> String {
    let findings = || reports.iter().flat_map(|report| &report.findings);
    let rules: BTreeMap<&str, &'static Rule> = findings().map(|finding| (finding.rule.code, finding.rule)).collect();
    let index: BTreeMap<&str, usize> = rules.keys().enumerate().map(|(at, &code)| (code, at)).collect();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut results = Vec::new();
    for report in reports {
        for finding in &report.findings {
            let key = report.fingerprint(finding);
            let count = seen.entry(format!("{}\0{key}", report.path)).or_default();
            *count += 1;
            results.push(result(report, finding, index.get(finding.rule.code).copied(), &format!("{key}:{count}")));
        }
    }
    let artifacts: Vec<Value> =
        reports.iter().map(|report| json!({ "location": { "uri": uri(&report.path) } })).collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "jettison lint",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules.values().map(|rule| descriptor(rule)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "artifacts": artifacts,
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info | Severity::Style => "note",
    }
}

fn descriptor(rule: &Rule) -> Value {
    let page = pages::page(rule);
    json!({
        "id": rule.code,
        "name": rule.name,
        "shortDescription": { "text": rule.summary() },
        "help": { "text": page, "markdown": page },
        "defaultConfiguration": { "enabled": rule.default, "level": level(rule.severity) },
        "properties": { "tags": [rule.family.as_str()] },
    })
}

fn result(report: &Report, finding: &Finding, rule: Option<usize>, fingerprint: &str) -> Value {
    let text = match &finding.help {
        Some(help) => format!("{}. {help}", finding.message),
        None => finding.message.clone(),
    };
    let mut result = json!({
        "ruleId": finding.rule.code,
        "ruleIndex": rule,
        "level": level(finding.severity),
        "message": { "text": text },
        "locations": [location(&report.site(finding))],
        "partialFingerprints": { "jettisonLint/v1": fingerprint },
    });
    if !finding.labels.is_empty() {
        let related = finding.labels.iter().enumerate().map(|(id, (span, text))| {
            let mut place = location(&report.site_of(*span));
            place["id"] = json!(id);
            place["message"] = json!({ "text": text });
            place
        });
        result["relatedLocations"] = related.collect();
    }
    if let Some(fix) = finding.fix.as_ref().filter(|fix| fix.files.is_empty() && !fix.edits.is_empty()) {
        result["fixes"] = json!([change(report, fix)]);
    }
    let mut properties = serde_json::Map::new();
    if let Some(bytes) = finding.saves {
        properties.insert("savesBytes".into(), json!(bytes));
    }
    if let Some(code) = &finding.foreign_code {
        properties.insert("foreignCode".into(), json!(code));
    }
    if !properties.is_empty() {
        result["properties"] = Value::Object(properties);
    }
    result
}

fn location(site: &Site) -> Value {
    let mut physical = json!({ "artifactLocation": { "uri": uri(&site.path) } });
    if site.start.is_some() {
        physical["region"] = region(site);
    }
    json!({ "physicalLocation": physical })
}

/// Lines and columns from 1; the end is one past the last character.
fn region(site: &Site) -> Value {
    let mut region = json!({ "startLine": site.line() });
    if let (Some(start), Some(end)) = (site.start, site.end) {
        region["startColumn"] = json!(start.column);
        region["endLine"] = json!(end.line);
        region["endColumn"] = json!(end.column);
    }
    region
}

fn change(report: &Report, fix: &Fix) -> Value {
    let replacement = |edit: &Edit| {
        json!({
            "deletedRegion": region(&report.site_of(edit.span)),
            "insertedContent": { "text": edit.text },
        })
    };
    let title = match fix.safety {
        Safety::Safe => fix.title.clone(),
        Safety::Unsafe => format!("{} (unsafe: look at what it does)", fix.title),
    };
    json!({
        "description": { "text": title },
        "artifactChanges": [{
            "artifactLocation": { "uri": uri(&report.path) },
            "replacements": fix.edits.iter().map(replacement).collect::<Vec<_>>(),
        }],
    })
}

/// A path as a relative URI reference (RFC 3986), or as a `file:` URI if it is absolute.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    if path.starts_with('/') {
        out.push_str("file://");
    }
    let first = path.split('/').next().unwrap_or_default().len();
    for (at, byte) in path.bytes().enumerate() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'@' | b'+' | b'=' | b',' => {
                out.push(char::from(byte));
            }
            // A colon in the first segment would make it a scheme.
            b':' if at > first => out.push(':'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_become_uris() {
        for (path, expected) in [
            ("app/Dockerfile", "app/Dockerfile"),
            ("a b/ü#?%", "a%20b/%C3%BC%23%3F%25"),
            ("c:x/y:z", "c%3Ax/y:z"),
            ("/abs/x", "file:///abs/x"),
            ("../x", "../x"),
        ] {
            assert_eq!(uri(path), expected);
        }
    }
}
