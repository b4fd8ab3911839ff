//! Findings that are known, so that only new ones count: a file that is kept with the project.
//!
//! A finding is known by its file, its rule and the text of its lines ([`Report::fingerprint`]), and by how many there are of it. Lines that
//! move change nothing; a line that changes makes its findings new.

use crate::report::Report;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A change of what a fingerprint is made of changes this.
const VERSION: u32 = 1;

/// Findings that are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Baseline {
    known: BTreeMap<Key, usize>,
}

/// A kind of finding: its file, its rule, its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    file: String,
    rule: String,
    fingerprint: String,
}

/// A baseline that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// It is no JSON of the right form.
    #[error("this is no baseline: {0}")]
    Form(#[from] serde_json::Error),
    /// It is of another version.
    #[error("this baseline has version {0}")]
    Version(u32),
}

impl BaselineError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some("write it again with --write-baseline".to_owned())
    }
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    findings: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    file: String,
    /// The name of the rule, for who reads it.
    rule: String,
    fingerprint: String,
    count: usize,
}

impl Baseline {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, BaselineError> {
        let document: Document = serde_json::from_str(text)?;
        if document.version != VERSION {
            return Err(BaselineError::Version(document.version));
        }
        let mut known = BTreeMap::new();
        for Entry { file, rule, fingerprint, count } in document.findings {
            *known.entry(Key { file, rule, fingerprint }).or_default() += count;
        }
        Ok(Self { known })
    }

    /// What was found. `name` is what the baseline calls a file, by the path that a report has.
    pub fn of(reports: &[Report], name: impl Fn(&str) -> String) -> Self {
        let mut known = BTreeMap::new();
        for report in reports {
            for finding in &report.findings {
                *known.entry(Self::key(report, finding, &name)).or_default() += 1;
            }
        }
        Self { known }
    }

    /// The text of its file: one line for each kind of finding, in order, so that changes of it read well.
    pub fn print(&self) -> String {
        let mut lines = Vec::new();
        for (Key { file, rule, fingerprint }, count) in &self.known {
            let entry = serde_json::json!({ "file": file, "rule": rule, "fingerprint": fingerprint, "count": count });
            lines.push(format!("    {entry}"));
        }
        let list = if lines.is_empty() { String::new() } else { format!("\n{}\n  ", lines.join(",\n")) };
        format!("{{\n  \"version\": {VERSION},\n  \"findings\": [{list}]\n}}\n")
    }

    /// Takes the known findings out of `reports`, and returns how many those were. Of more than are known of a kind the last are new.
    pub fn subtract(&self, reports: &mut [Report], name: impl Fn(&str) -> String) -> usize {
        let mut left = self.known.clone();
        let mut taken = 0;
        for report in reports {
            let findings = std::mem::take(&mut report.findings);
            for finding in findings {
                match left.get_mut(&Self::key(report, &finding, &name)).filter(|count| **count > 0) {
                    Some(count) => {
                        *count -= 1;
                        taken += 1;
                    }
                    None => report.findings.push(finding),
                }
            }
        }
        taken
    }

    fn key(report: &Report, finding: &crate::Finding, name: &impl Fn(&str) -> String) -> Key {
        Key { file: name(&report.path), rule: finding.rule.name.to_owned(), fingerprint: report.fingerprint(finding) }
    }
}
