//! `jettison build --check` as people read it, in the form of `docker build --check`.

use super::{escape, plural};
use crate::commands::dockerfile::Checks;

/// The words of `--check`.
pub fn checks_text(name: &str, text: &str, checks: &Checks) -> String {
    let count = checks.warnings.len();
    let mut said = match count {
        0 => "Check complete, no warnings found.".to_owned(),
        1 => "Check complete, 1 warning has been found!".to_owned(),
        _ => format!("Check complete, {} have been found!", plural(count, "warning")),
    };
    for warning in &checks.warnings {
        let (first, last) = (warning.location.first(), warning.location.last());
        said += &format!("\n\nWARNING: {}\n{}\n", warning.rule_name, warning.detail);
        said += &excerpt(name, text, first, last);
    }
    if let Some(error) = &checks.build_error {
        said += &format!("\n\nERROR: {}", error.message);
        if !error.location.is_empty() {
            said.push('\n');
            said += &excerpt(name, text, error.location.first(), error.location.last());
        }
    }
    escape(&said)
}

/// The lines, marked, with those around them: two around a single one, one around several.
fn excerpt(name: &str, text: &str, first: usize, last: usize) -> String {
    const RULER: &str = "--------------------";
    let around = if first == last { 2 } else { 1 };
    let mut said = format!("{name}:{first}\n{RULER}\n");
    let lines = text.split('\n').enumerate().map(|(index, line)| (index + 1, line.trim_end_matches('\r')));
    for (number, line) in
        lines.skip_while(|(number, _)| number + around < first).take_while(|(n, _)| *n <= last + around)
    {
        let mark = if (first..=last).contains(&number) { ">>>" } else { "   " };
        said += &format!(" {number:3} | {mark} {line}\n");
    }
    said + RULER
}
