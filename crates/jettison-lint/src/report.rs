//! What was found in one Dockerfile, with what it takes to show it: names of files and their lines.

use crate::finding::{Finding, Place};
use jettison_dockerfile::{Dockerfile, Position, Span};
use jettison_tree::Digest;

/// What was found in a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What to call the file: its path from the current directory, with `/`.
    pub path: String,
    /// What to put in front of paths in the context: nothing, or a path that ends in `/`.
    pub context: String,
    /// The file.
    pub file: Dockerfile,
    /// What was found, in the order of [`lint`](crate::lint()).
    pub findings: Vec<Finding>,
}

/// Where something is, as people and programs say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The file.
    pub path: String,
    /// The first character; `None` for a file as a whole.
    pub start: Option<Position>,
    /// One past the last character; `None` where only a line is known.
    pub end: Option<Position>,
}

impl Site {
    /// The line, 1 for a file as a whole.
    pub fn line(&self) -> usize {
        self.start.map_or(1, |start| start.line)
    }

    /// The line of the last character.
    pub fn last_line(&self) -> usize {
        match (self.start, self.end) {
            // A span that ends with a line's end ends in that line.
            (Some(start), Some(end)) if end.column == 1 && end.line > start.line => end.line - 1,
            (_, Some(end)) => end.line,
            _ => self.line(),
        }
    }
}

impl Report {
    /// Where a finding is.
    pub fn site(&self, finding: &Finding) -> Site {
        match &finding.place {
            Place::Dockerfile(span) => self.site_of(*span),
            Place::Context { path, line } => Site {
                path: format!("{}{path}", self.context),
                start: line.map(|line| Position { line, column: 1 }),
                end: None,
            },
        }
    }

    /// Where some bytes of the Dockerfile are.
    pub fn site_of(&self, span: Span) -> Site {
        Site {
            path: self.path.clone(),
            start: Some(self.file.position(span.start)),
            end: Some(self.file.position(span.end.max(span.start))),
        }
    }

    /// What makes a finding the same after lines moved, in 16 hex digits: its rule, and the lines in which it is, without what white
    /// space they have. The name of the file is not in it.
    pub fn fingerprint(&self, finding: &Finding) -> String {
        let mut key = finding.foreign_code.clone().unwrap_or_else(|| finding.rule.code.to_owned());
        key.push('\0');
        match &finding.place {
            Place::Dockerfile(span) => {
                let site = self.site_of(*span);
                for line in (site.line()..=site.last_line()).filter_map(|line| self.file.line(line)) {
                    line.split_whitespace().for_each(|word| {
                        key.push_str(word);
                        key.push(' ');
                    });
                }
            }
            Place::Context { path, .. } => key.push_str(&path.to_string()),
        }
        Digest::of(key.as_bytes()).hex()[..16].to_owned()
    }
}
