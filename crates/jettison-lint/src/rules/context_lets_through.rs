use super::dockerignore_missing::tell;
use crate::clutter::{Clutter, reaches};
use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};

pub(super) static RULE: Rule = Rule {
    code: "JET402",
    name: "context-lets-through",
    family: Family::Context,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
The ignore file lets things through that the image has no need of.

## Why

What is copied with the rest of the context makes the image larger and its layer new whenever it changes; a private key or an
environment file in a layer is public. The bytes that are named are those of this very context.

## Example

```text file=.dockerignore
.git
```

```text file=.env
TOKEN=1
```

```text file=pkg/__pycache__/a.cpython-312.pyc
bytecode
```

```dockerfile bad lines=2
FROM python:3.12-slim
COPY . /app
```

```dockerfile fixed
FROM python:3.12-slim
COPY . /app
```

```text file=.dockerignore fixed
.git
**/__pycache__
.env*
```

### What an instruction names is wanted

```text file=.dockerignore
.git
```

```text file=tests/test_app.py
def test(): pass
```

```dockerfile good
FROM python:3.12-slim AS test
COPY tests /tests
FROM python:3.12-slim
COPY . /app
```

### Left out by the instruction

```text file=.dockerignore
.git
```

```text file=tests/test_app.py
def test(): pass
```

```dockerfile good
FROM python:3.12-slim
COPY --exclude=tests . /app
```

### Left out

```text file=.dockerignore
*
!src
```

```text file=.env
TOKEN=1
```

```dockerfile good
FROM python:3.12-slim
COPY . /app
```

## Fix

Safe: lines are added at the end of the ignore file. What the Dockerfile names by itself is never left out.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(ignore) = subject.context.ignore() else { return };
    let reaches = reaches(subject);
    let Some(widest) = reaches.first() else { return };
    let found = Clutter::find(subject, &reaches);
    if found.is_empty() {
        return;
    }
    let bytes: u64 = found.iter().map(|clutter| clutter.bytes).sum();
    let name = String::from_utf8_lossy(ignore.path.as_bytes());
    let finding = findings.report(widest.span, format!("`{name}` lets through {}", tell(&found)));
    if found.iter().any(Clutter::is_secret) {
        finding.severity(Severity::Error);
    }
    let patterns = Clutter::patterns(&found);
    let list: Vec<String> = patterns.iter().map(|pattern| format!("`{pattern}`")).collect();
    finding.saves(bytes).help(format!("add {} to `{name}`", list.join(", ")));
    let gap = if ignore.text.is_empty() || ignore.text.ends_with('\n') { "" } else { "\n" };
    let text = format!("{}{gap}{}\n", ignore.text, patterns.join("\n"));
    finding.fix(Fix::safe(format!("add {} to `{name}`", list.join(", ")), []).write(ignore.path.clone(), text));
}
