//! What a Python file imports, read line by line: enough to see whether something that stays needs something that was to go.
//! It errs to the side of finding too much.

/// A statement that runs over more lines than this is not one.
const CONTINUATION_LIMIT: usize = 500;

/// The dotted names that `source` may import. `package` is the package that relative imports start from, as path components.
/// A string that is a dotted name counts, since it may be handed to `import_module`.
pub(super) fn imported(source: &[u8], package: &[&str]) -> Vec<String> {
    let text = String::from_utf8_lossy(source);
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let statement = line.trim_start();
        if statement.starts_with("from ") || statement.starts_with("import ") {
            statement_imports(&whole_statement(statement, &mut lines), package, &mut found);
        }
    }
    found.extend(text.split(['"', '\'']).filter(|text| text.len() < 200 && is_dotted(text)).map(str::to_owned));
    found
}

/// The statement on one line, without comments, parentheses and continuation marks.
fn whole_statement<'a>(first: &str, lines: &mut impl Iterator<Item = &'a str>) -> String {
    let code = |line: &str| line.split('#').next().unwrap_or(line).trim_end().to_owned();
    let mut statement = code(first);
    for _ in 0..CONTINUATION_LIMIT {
        let open = statement.contains('(') && !statement.contains(')');
        if !open && !statement.ends_with('\\') {
            break;
        }
        let Some(line) = lines.next() else { break };
        statement.truncate(statement.trim_end_matches('\\').len());
        statement.push(' ');
        statement.push_str(&code(line));
    }
    statement.replace(['(', ')'], " ")
}

fn statement_imports(statement: &str, package: &[&str], found: &mut Vec<String>) {
    let first_word = |text: &str| text.split_whitespace().next().unwrap_or_default().to_owned();
    if let Some(names) = statement.strip_prefix("import ") {
        found.extend(names.split([',', ';']).map(first_word));
        return;
    }
    let Some((module, names)) = statement.strip_prefix("from ").and_then(|rest| rest.split_once(" import ")) else {
        return;
    };
    let module = module.trim();
    let name = module.trim_start_matches('.');
    let level = module.len() - name.len();
    let mut parts: Vec<&str> = match level {
        0 => Vec::new(),
        _ if level > package.len() => return,
        _ => package[..package.len() - (level - 1)].to_vec(),
    };
    parts.extend(name.split('.').filter(|part| !part.is_empty()));
    let base = parts.join(".");
    for name in names.split([',', ';']).map(first_word).filter(|name| !name.is_empty() && name != "*") {
        found.push(format!("{base}.{name}"));
    }
    found.push(base);
}

fn is_dotted(text: &str) -> bool {
    text.contains('.') && text.split('.').all(super::entry_points::is_identifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_import_is_seen() {
        let source = br#"
import a.tests as t, b
from c.tests import (
    x,  # one
    y as z,
)
    from . import tests
from .tests.util \
    import helper
from ..other import *
from .... import beyond
run("d.tests.runner", 'not dotted')
"#;
        let mut found = imported(source, &["p", "q"]);
        found.sort();
        let expected = [
            "a.tests",
            "b",
            "c.tests",
            "c.tests.x",
            "c.tests.y",
            "d.tests.runner",
            "p.other",
            "p.q",
            "p.q.tests",
            "p.q.tests.util",
            "p.q.tests.util.helper",
        ];
        assert_eq!(found, expected);
    }
}
