use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_tree::TreePath;

pub(super) static RULE: Rule = Rule {
    code: "JET404",
    name: "copied-file-missing",
    family: Family::Context,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &[],
    docs: r#"
A file that is copied from the build context is not there.

## Why

The build ends at this instruction, perhaps after minutes of work above it. Often the context is another directory than the one that the
author had in mind: say which with `--context`.

## Example

```text file=requirements.txt
flask
```

```dockerfile bad lines=2
FROM python:3.12-slim
COPY requirement.txt .
```

```dockerfile good
FROM python:3.12-slim AS builder
COPY requirements.txt ./
FROM python:3.12-slim
COPY --from=builder /install /usr/local
COPY poetry.loc[k] $FILES ./
```
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    if subject.context.root().is_none() {
        return;
    }
    for (_, step) in subject.steps() {
        for word in step.context_sources() {
            let Some(path) = step.expand(word) else { continue };
            if path.contains(['*', '?', '[', '\\']) {
                continue;
            }
            let Some(parsed) = parse(&path) else { continue };
            if subject.context.exists(&parsed) {
                continue;
            }
            let finding = findings.report(word.span(), format!("`{path}` is not in the build context"));
            let names = subject.context.files().iter().filter_map(|file| file.path.as_str());
            let near = |name: &str| strsim::damerau_levenshtein(name, parsed.as_str().unwrap_or_default());
            let similar = names.map(|name| (near(name), name)).filter(|&(distance, name)| distance * 4 <= name.len()).min();
            match similar {
                Some((_, name)) => finding.help(format!("did you mean `{name}`?")),
                None => finding.help("say with `--context` which directory it is built in, if it is not this one"),
            };
        }
    }
}

/// The path from the root of the context, as `COPY` cleans it; `None` for the root itself.
fn parse(path: &str) -> Option<TreePath> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    TreePath::parse(parts.join("/")).ok()
}
