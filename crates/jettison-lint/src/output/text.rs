//! For people: each finding under a line that says what is wrong, with the piece of the file that it is about.

use super::{size, visible};
use crate::finding::{Finding, Place, Safety};
use crate::report::Report;
use crate::rule::Severity;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use jettison_dockerfile::Span;
use std::borrow::Cow;

pub(super) fn render(reports: &[Report], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for report in reports {
        for finding in &report.findings {
            text.push_str(&renderer.render(&[group(report, finding)]));
            text.push_str("\n\n");
        }
    }
    text
}

fn group<'r>(report: &'r Report, finding: &'r Finding) -> Group<'r> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Info => Level::INFO,
        Severity::Style => Level::INFO.with_name("style"),
    };
    let code = finding.foreign_code.as_deref().unwrap_or(finding.rule.code);
    let title = level.primary_title(visible(&finding.message)).id(format!("{code} {}", finding.rule.name));
    let site = report.site(finding);
    let mut group = match &finding.place {
        Place::Dockerfile(span) => {
            let source = report.file.source();
            let mut snippet = Snippet::source(visible_lines(source)).path(visible(&report.path)).fold(true);
            snippet = snippet.annotation(AnnotationKind::Primary.span(first_line(source, *span)));
            for (span, label) in &finding.labels {
                let place = first_line(source, *span);
                snippet = snippet.annotation(AnnotationKind::Context.span(place).label(visible(label)));
            }
            title.element(snippet)
        }
        Place::Context { .. } => {
            let mut origin = Origin::path(visible(&site.path).into_owned());
            if let Some(start) = site.start {
                origin = origin.line(start.line);
            }
            title.element(origin)
        }
    };
    let does_so = |help: &str| finding.fix.as_ref().is_some_and(|fix| fix.title == help);
    if let Some(help) = finding.help.as_deref().filter(|help| !does_so(help)) {
        group = group.element(Level::HELP.message(visible(help)));
    }
    if let Some(fix) = &finding.fix {
        let how = match fix.safety {
            Safety::Safe => "--fix",
            Safety::Unsafe => "--unsafe-fixes",
        };
        group = group.element(Level::NOTE.with_name("fix").message(format!("{} ({how})", visible(&fix.title))));
    }
    if let Some(bytes) = finding.saves {
        group = group.element(Level::NOTE.with_name("saves").message(size(bytes)));
    }
    group
}

/// The part of a span in its first line: what spans many lines is known by where it begins.
fn first_line(source: &str, span: Span) -> std::ops::Range<usize> {
    let text = source.get(span.range()).unwrap_or_default();
    let line = text.split('\n').next().unwrap_or_default().trim_end_matches('\r');
    let start = span.start.min(source.len());
    start..start + line.len()
}

/// The same as [`visible`] for a source whose places have to stay: control characters become as many `?`.
fn visible_lines(source: &str) -> Cow<'_, str> {
    let is_harmless = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    if source.chars().all(is_harmless) {
        return Cow::Borrowed(source);
    }
    let replaced = source.chars().map(|c| if is_harmless(c) { c.to_string() } else { "?".repeat(c.len_utf8()) });
    replaced.collect()
}
