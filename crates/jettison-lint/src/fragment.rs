//! Pieces of Dockerfiles: instructions without a `FROM`, as they are included or generated.
//!
//! A `FROM` of which nothing is known is put above them, the whole is looked at, and what was found is moved back to where it stands in the
//! piece. What is about the `FROM` itself is left out.

use crate::catalog::Catalog;
use crate::config::Config;
use crate::context::Context;
use crate::finding::{Finding, Place, Safety};
use crate::fix::{Mended, mend_with};
use crate::lint::lint;
use jettison_dockerfile::{Dockerfile, Edit, NodeKind, Span};

/// As [`lint()`](crate::lint()), for instructions without a `FROM`. A text that has one is looked at as it is.
pub fn lint_fragment(file: &Dockerfile, context: &Context, catalog: &dyn Catalog, config: &Config) -> Vec<Finding> {
    if !file.stages().is_empty() {
        return lint(file, context, catalog, config);
    }
    let head = Head::of(file);
    let whole = Dockerfile::parse(&head.above(file.source()));
    let found = lint(&whole, context, catalog, config);
    found.into_iter().filter_map(|finding| head.moved(finding)).collect()
}

/// As [`mend`](crate::mend), for instructions without a `FROM`.
pub fn mend_fragment(text: &str, context: &Context, catalog: &dyn Catalog, config: &Config, safety: Safety) -> Mended {
    mend_with(text, context, safety, &|file, context| lint_fragment(file, context, catalog, config))
}

/// The line that is put in.
struct Head {
    /// Below the directives.
    at: usize,
    text: &'static str,
}

impl Head {
    fn of(file: &Dockerfile) -> Self {
        let directives = file.nodes().iter().take_while(|node| matches!(node.kind, NodeKind::Directive(_)));
        let at = directives.last().map_or(0, |node| node.span.end);
        // In the case of the others: one that stands alone would be found.
        let is_lower = |keyword: &str| keyword.chars().all(char::is_lowercase);
        let text = match file.instructions().first().is_some_and(|first| is_lower(&first.keyword)) {
            true => "from $base\n",
            false => "FROM $base\n",
        };
        Self { at, text }
    }

    fn above(&self, text: &str) -> String {
        let (directives, rest) = text.split_at(self.at);
        [directives, self.text, rest].concat()
    }

    /// A place of the whole as one of the piece; `None` for one in the line that was put in.
    fn back(&self, span: Span) -> Option<Span> {
        let end = self.at + self.text.len();
        if span.start >= end {
            Some(Span::new(span.start - self.text.len(), span.end - self.text.len()))
        } else {
            (span.end <= self.at && span.start < self.at).then_some(span)
        }
    }

    fn moved(&self, mut finding: Finding) -> Option<Finding> {
        if let Place::Dockerfile(span) = &mut finding.place {
            *span = self.back(*span)?;
        }
        let labels = std::mem::take(&mut finding.labels);
        finding.labels = labels.into_iter().filter_map(|(span, text)| Some((self.back(span)?, text))).collect();
        if let Some(fix) = &mut finding.fix {
            let edits = std::mem::take(&mut fix.edits);
            let moved: Option<Vec<Edit>> =
                edits.into_iter().map(|edit| Some(Edit { span: self.back(edit.span)?, text: edit.text })).collect();
            match moved {
                Some(edits) => fix.edits = edits,
                None => finding.fix = None,
            }
        }
        Some(finding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_piece_is_found_where_it_stands() {
        let text = "# escape=`\n\nrun apt-get update && `\n    apt-get install -y gcc && rm -rf /var/lib/apt/lists/*\n";
        let file = Dockerfile::parse(text);
        let found = lint_fragment(&file, &Context::none(), &(), &Config::default());
        let places: Vec<_> = found
            .iter()
            .map(|finding| match finding.place {
                Place::Dockerfile(span) => (finding.rule.name, file.position(span.start).line),
                Place::Context { .. } => ("", 0),
            })
            .collect();
        assert!(places.contains(&("recommended-packages-installed", 4)), "{places:?}");
        assert!(places.iter().all(|(name, line)| *line >= 3 && *name != "root-user"), "{places:?}");
        let mended = mend_fragment(text, &Context::none(), &(), &Config::default(), Safety::Safe);
        assert!(
            mended.text.starts_with("# escape=`\n\n") && mended.text.contains("--no-install-recommends"),
            "{}",
            mended.text
        );
        assert!(!mended.text.contains("$base"));
    }

    #[test]
    fn a_whole_file_stays_whole() {
        let file = Dockerfile::parse("FROM python:3.12-slim\nCMD [\"python\", \"x.py\"]\n");
        let config = Config::default();
        assert_eq!(lint_fragment(&file, &Context::none(), &(), &config), lint(&file, &Context::none(), &(), &config));
        assert_eq!(lint_fragment(&Dockerfile::parse(""), &Context::none(), &(), &config), []);
    }
}
