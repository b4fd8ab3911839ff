//! What the rules say about themselves.

use std::fs;
use std::path::Path;

use jettison_build::{BuildError, Context as _};
use jettison_lint::{Fixable, Rule, Selector, pages, rules};

use crate::cli::print;
use crate::exit::Exit;
use crate::ui::{Align, table};

/// `--explain RULE`: the page of a rule, or of several that one alias means.
pub fn explain(word: &str) -> Result<Exit, BuildError> {
    let named = Selector::parse(word).map_err(|error| BuildError::with_hint(error.to_string(), error.hint()))?;
    let pages: Vec<String> =
        rules::all().filter(|rule| named.contains(&Selector::Rule(rule))).map(pages::page).collect();
    if pages.is_empty() {
        return Err(BuildError::new(format!("`{word}` is not one rule")).hint("--list-rules lists them"));
    }
    print(pages.join("\n").trim_end())?;
    Ok(Exit::Fine)
}

/// `--list-rules`.
pub fn list(json: bool) -> Result<Exit, BuildError> {
    if json {
        let objects: Vec<_> = rules::all().map(object).collect();
        print(&format!("{:#}", serde_json::Value::from(objects)))?;
        return Ok(Exit::Fine);
    }
    let mut rows = vec![["CODE", "NAME", "SEVERITY", "DEFAULT", "FIX", "ALIASES"].map(str::to_owned).to_vec()];
    rows.extend(rules::all().map(|rule| {
        vec![
            rule.code.to_owned(),
            rule.name.to_owned(),
            rule.severity.to_string(),
            if rule.default { "on" } else { "off" }.to_owned(),
            fixable(rule).to_owned(),
            aliases(rule).join(" "),
        ]
    }));
    print(&table(&[Align::Left; 6], &rows).join("\n"))?;
    Ok(Exit::Fine)
}

/// `--write-docs DIR`: the pages of `docs/rules`, and no others.
pub fn write(directory: &Path) -> Result<Exit, BuildError> {
    fs::create_dir_all(directory).map_err(BuildError::from).context(directory.display())?;
    let pages = pages::pages();
    for (name, text) in &pages {
        super::write_file(&directory.join(name), text.as_bytes())?;
    }
    let entries = fs::read_dir(directory).map_err(BuildError::from).context(directory.display())?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !pages.iter().any(|(page, _)| name == page.as_str()) && name.to_string_lossy().ends_with(".md") {
            fs::remove_file(entry.path()).map_err(BuildError::from).context(entry.path().display())?;
        }
    }
    Ok(Exit::Fine)
}

fn fixable(rule: &Rule) -> &'static str {
    match rule.fixable {
        Fixable::No => "no",
        Fixable::Sometimes => "sometimes",
        Fixable::Always => "always",
    }
}

fn aliases(rule: &Rule) -> Vec<&'static str> {
    rule.buildkit.iter().chain(rule.hadolint).copied().collect()
}

fn object(rule: &'static Rule) -> serde_json::Value {
    serde_json::json!({
        "code": rule.code,
        "name": rule.name,
        "family": rule.family.as_str(),
        "severity": rule.severity,
        "default": rule.default,
        "fix": fixable(rule),
        "aliases": aliases(rule),
        "summary": rule.summary().split_whitespace().collect::<Vec<_>>().join(" "),
    })
}
