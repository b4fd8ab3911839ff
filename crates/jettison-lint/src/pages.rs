//! The documentation of the rules as Markdown pages for people: one a rule, and one that lists them.

use crate::aliases;
use crate::rule::{Family, Fixable, Rule};
use crate::rules;
use std::fmt::Write as _;

/// The files of `docs/rules/`, by name.
pub fn pages() -> Vec<(String, String)> {
    let mut pages = vec![("README.md".to_owned(), index()), ("hadolint.md".to_owned(), aliases::page())];
    pages.extend(rules::all().map(|rule| (format!("{}.md", rule.name), page(rule))));
    pages
}

/// The page of a rule: its documentation under a heading, with examples as any Markdown reader shows them.
pub fn page(rule: &Rule) -> String {
    let mut page = format!("# {} ({})\n\n", rule.name, rule.code);
    let mut open: Option<&str> = None;
    for line in rule.docs.trim().lines() {
        let fence = line.trim_start().starts_with("```").then(|| line.trim());
        match (open, fence) {
            (None, Some(information)) => {
                let ticks = &information[..information.len() - information.trim_start_matches('`').len()];
                let words: Vec<&str> = information[ticks.len()..].split_whitespace().collect();
                if let Some(caption) = caption(&words) {
                    let _ = writeln!(page, "{caption}\n");
                }
                let _ = writeln!(page, "{ticks}{}", words.first().copied().unwrap_or_default().trim_start_matches('.'));
                open = Some(ticks);
            }
            (Some(ticks), Some(end)) if end == ticks => {
                let _ = writeln!(page, "{line}");
                open = None;
            }
            _ => {
                let _ = writeln!(page, "{line}");
            }
        }
    }
    let _ = write!(page, "\n## About\n\n{}", about(rule));
    page
}

/// What stands above an example.
fn caption(words: &[&str]) -> Option<String> {
    let file = words.iter().find_map(|word| word.strip_prefix("file="));
    let fixed = words.contains(&"fixed");
    let how = if words.contains(&"unsafe") { "--fix --unsafe-fixes" } else { "--fix" };
    match (file, words) {
        (Some(path), _) if fixed => Some(format!("`{path}` after `{how}`:")),
        (Some(path), _) => Some(format!("`{path}`:")),
        (None, ["toml", "configuration"]) => Some("With this in `jettison.toml`:".to_owned()),
        (None, ["dockerfile", "bad", ..]) => Some("Found in:".to_owned()),
        (None, ["dockerfile", "good", ..]) => Some("Nothing to say about:".to_owned()),
        (None, ["dockerfile", ..]) if fixed => Some(format!("After `{how}`:")),
        _ => None,
    }
}

fn about(rule: &Rule) -> String {
    let default = if rule.default { "on" } else { "off; select it by name, or with `pedantic`" };
    let fixable = match rule.fixable {
        Fixable::No => "no",
        Fixable::Sometimes => "sometimes",
        Fixable::Always => "always",
    };
    let mut about = format!("- severity: {}\n- by default: {default}\n- can be mended: {fixable}\n", rule.severity);
    if let Some(name) = rule.buildkit {
        let _ = writeln!(about, "- BuildKit's name: `{name}`");
    }
    if !rule.hadolint.is_empty() {
        let _ = writeln!(about, "- hadolint's codes: {}", codes(rule.hadolint));
    }
    let _ = writeln!(about, "- ignore it: `# jettison: ignore={}` above the instruction", rule.name);
    about
}

fn codes(codes: &[&str]) -> String {
    codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ")
}

fn index() -> String {
    let mut index = "# Rules\n\nEach has a code and a name, both for good. What other linters call it is understood too, in comments and in the configuration.\n".to_owned();
    for (family, title) in
        [(Family::Python, "Python and size"), (Family::General, "General"), (Family::Context, "The build context")]
    {
        let mut rows = rules::all().filter(|rule| rule.family == family).peekable();
        if rows.peek().is_none() {
            continue;
        }
        let _ = write!(
            index,
            "\n## {title}\n\n| code | name | what | severity | fix | also |\n|---|---|---|---|---|---|\n"
        );
        for rule in rows {
            let aliases: Vec<&str> = rule.buildkit.iter().chain(rule.hadolint).copied().collect();
            let severity = format!("{}{}", rule.severity, if rule.default { "" } else { ", off" });
            let fix = match rule.fixable {
                Fixable::No => "",
                Fixable::Sometimes => "sometimes",
                Fixable::Always => "yes",
            };
            let summary = rule.summary().split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
            let _ = writeln!(
                index,
                "| {} | [{}]({}.md) | {summary} | {severity} | {fix} | {} |",
                rule.code,
                rule.name,
                rule.name,
                codes(&aliases)
            );
        }
    }
    index
}
