//! Looks for what is wrong.

use crate::catalog::Catalog;
use crate::config::Config;
use crate::context::Context;
use crate::finding::{Finding, Findings, Place};
use crate::model::{Scripts, Subject};
use crate::rule::Severity;
use crate::rules;
use crate::suppress::{self, Suppressions};
use jettison_dockerfile::Dockerfile;

/// What is wrong with a Dockerfile, in the order of the file; what is wrong with its context comes last. What its comments say is to
/// be ignored is left out.
pub fn lint(file: &Dockerfile, context: &Context, catalog: &dyn Catalog, config: &Config) -> Vec<Finding> {
    let scripts = Scripts::default();
    let subject = Subject::new(file, &scripts, context, catalog, config);
    let suppressions = Suppressions::read(file);
    let mut found = Vec::new();
    let is_enabled = |rule| {
        config.is_enabled(rule) || config.select.is_empty() && suppressions.asks_for(rule) && !config.is_ignored(rule)
    };
    for rule in rules::all().filter(|rule| is_enabled(rule)) {
        let first = found.len();
        (rule.check)(&subject, &mut Findings::new(rule, &mut found));
        let severity = config.severity.get(rule.code).copied();
        if let Some(severity) = severity.or_else(|| suppressions.is_error(rule).then_some(Severity::Error)) {
            found[first..].iter_mut().for_each(|finding| finding.severity = severity);
        }
    }
    found.retain(|finding| !suppressions.covers(finding));
    if let Some(rule) = rules::all().find(|rule| rule.code == rules::UNUSED_SUPPRESSION && config.is_enabled(rule)) {
        // Whether a word is of use does not depend on what is looked for.
        for named in suppressions.named().filter(|rule| !is_enabled(rule)) {
            let mut hidden = Vec::new();
            (named.check)(&subject, &mut Findings::new(named, &mut hidden));
            hidden.retain(|finding| !suppressions.covers(finding));
        }
        let first = found.len();
        let has_context = context.root().is_some();
        suppressions.unused(&mut Findings::new(rule, &mut found), |rule| suppress::can_tell(rule, has_context));
        if let Some(severity) = config.severity.get(rule.code) {
            found[first..].iter_mut().for_each(|finding| finding.severity = *severity);
        }
        found.retain(|finding| finding.rule != rule || !suppressions.covers(finding));
    }
    found.sort_by(|a, b| order(a).cmp(&order(b)));
    found
}

/// Findings of the Dockerfile by place, then those of the context by path.
fn order(finding: &Finding) -> (bool, usize, &[u8], usize, &str) {
    match &finding.place {
        Place::Dockerfile(span) => (false, span.start, b"", span.end, finding.rule.code),
        Place::Context { path, line } => (true, 0, path.as_bytes(), line.unwrap_or(0), finding.rule.code),
    }
}
