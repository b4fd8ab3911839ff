//! Mends what can be mended.
//!
//! 1. [`mend`] lints, makes the fixes that do not touch each other, and does so again with what came out, since one fix may make
//!    room for the next.
//! 2. A fix is kept only if the text still parses as well as before. No edit is made more often than its rule had findings.
//! 3. It ends when there is nothing left to make.

use crate::catalog::Catalog;
use crate::config::Config;
use crate::context::Context;
use crate::finding::{Finding, Fix, Safety};
use crate::lint::lint;
use crate::rule::Rule;
use jettison_dockerfile::{Dockerfile, Edit, Severity, Span, apply};
use jettison_tree::{Digest, TreePath};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// More rounds than this are not made; a file that needs as many has fixes that undo each other.
const MAX_ROUNDS: usize = 64;

/// Fixes that replace less are made in the order of the file.
const FAR: usize = 60;

/// What became of a Dockerfile and its context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// The Dockerfile.
    pub text: String,
    /// Files of the context that were written, whole.
    pub files: BTreeMap<TreePath, String>,
    /// What was done, in order.
    pub done: Vec<Done>,
    /// What is still wrong with it.
    pub left: Vec<Finding>,
}

/// A fix that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Of which rule.
    pub rule: &'static Rule,
    /// What it did.
    pub title: String,
    /// Whether it was a safe one.
    pub safety: Safety,
}

/// Makes all fixes that are at most as daring as `safety`.
pub fn mend(text: &str, context: &Context, catalog: &dyn Catalog, config: &Config, safety: Safety) -> Mended {
    mend_with(text, context, safety, &|file, context| lint(file, context, catalog, config))
}

/// The same with what `find` finds.
pub(crate) fn mend_with(
    text: &str,
    context: &Context,
    safety: Safety,
    find: &dyn Fn(&Dockerfile, &Context) -> Vec<Finding>,
) -> Mended {
    let mut mended = Mended { text: text.to_owned(), files: BTreeMap::new(), done: Vec::new(), left: Vec::new() };
    let mut refused: BTreeSet<(&'static str, String)> = BTreeSet::new();
    let mut made_before: BTreeMap<(&'static str, String), usize> = BTreeMap::new();
    let mut most: BTreeMap<&'static str, usize> = BTreeMap::new();
    for _ in 0..MAX_ROUNDS {
        let file = Dockerfile::parse(&mended.text);
        let around = context.with(mended.files.clone());
        let found = find(&file, &around);
        let key = |finding: &Finding, fix: &Fix| {
            // The same place may hold another text by the next round, and be another place of the Dockerfile.
            let edits: Vec<_> = fix.edits.iter().map(|edit| (edit, file.text(edit.span))).collect();
            let first = fix.edits.iter().map(|edit| edit.span.start).min().unwrap_or(0);
            let above = Digest::of(file.text(Span::new(0, first)).as_bytes());
            (finding.rule.code, format!("{edits:?}{:?}{above}", fix.files))
        };
        let mut count: BTreeMap<&'static str, usize> = BTreeMap::new();
        found.iter().for_each(|finding| *count.entry(finding.rule.code).or_default() += 1);
        for (rule, count) in count {
            most.entry(rule).and_modify(|most| *most = count.max(*most)).or_insert(count);
        }
        // The same edit once more is not the cure, unless it is that of another finding which stands there by now.
        let is_spent =
            |key: &(&'static str, String)| made_before.get(key).is_some_and(|made| Some(made) >= most.get(key.0));
        let mut candidates = Vec::new();
        // The farthest reaching first: what lies within it may be gone or stand elsewhere afterwards.
        let mut ordered: Vec<&Finding> = found.iter().collect();
        ordered.sort_by_key(|finding| Reverse(finding.fix.as_ref().map_or(0, reach)));
        for finding in ordered {
            let Some(fix) = finding.fix.as_ref().filter(|fix| fix.safety <= safety) else { continue };
            let key = key(finding, fix);
            if !refused.contains(&key) && !is_spent(&key) && is_free(fix, &candidates) {
                candidates.push((finding, fix));
            }
        }
        if candidates.is_empty() {
            mended.left = found;
            return mended;
        }
        let all: Vec<Edit> = candidates.iter().flat_map(|(_, fix)| fix.edits.iter().cloned()).collect();
        let attempt = apply(&mended.text, &all).ok().filter(|text| is_as_sound(&file, text));
        let made = match attempt {
            Some(text) => {
                mended.text = text;
                candidates
            }
            // One of them is bad: take the first that is good by itself.
            None => {
                let mut good = Vec::new();
                for (finding, fix) in candidates {
                    match apply(&mended.text, &fix.edits).ok().filter(|text| is_as_sound(&file, text)) {
                        Some(text) => {
                            mended.text = text;
                            good.push((finding, fix));
                            break;
                        }
                        None => drop(refused.insert(key(finding, fix))),
                    }
                }
                good
            }
        };
        for (finding, fix) in made {
            mended.files.extend(fix.files.iter().cloned());
            mended.done.push(Done { rule: finding.rule, title: fix.title.clone(), safety: fix.safety });
            *made_before.entry(key(finding, fix)).or_default() += 1;
        }
    }
    let file = Dockerfile::parse(&mended.text);
    mended.left = find(&file, &context.with(mended.files.clone()));
    mended
}

/// The longest stretch of text that a fix replaces; nothing where it is short.
fn reach(fix: &Fix) -> usize {
    let longest = fix.edits.iter().map(|edit| edit.span.end - edit.span.start).max().unwrap_or(0);
    if longest < FAR { 0 } else { longest }
}

/// Whether a fix touches nothing that the others do.
fn is_free(fix: &Fix, others: &[(&Finding, &Fix)]) -> bool {
    let touches = |a: &Edit, b: &Edit| a.span.start <= b.span.end && b.span.start <= a.span.end;
    others.iter().all(|(_, other)| {
        let edits = fix.edits.iter().any(|a| other.edits.iter().any(|b| touches(a, b)));
        let files = fix.files.iter().any(|(a, _)| other.files.iter().any(|(b, _)| a == b));
        !edits && !files
    })
}

/// Whether `text` has no more errors than `file`.
fn is_as_sound(file: &Dockerfile, text: &str) -> bool {
    let errors =
        |file: &Dockerfile| file.problems().iter().filter(|problem| problem.severity > Severity::Warning).count();
    errors(&Dockerfile::parse(text)) <= errors(file)
}
