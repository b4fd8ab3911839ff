use crate::finding::{Findings, Fix};
use crate::model::{Subject, VariableKind};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Edit, Span};

pub(super) static RULE: Rule = Rule {
    code: "JET120",
    name: "unbuffered-output-missing",
    family: Family::Python,
    severity: Severity::Info,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
Python's output is kept in a buffer when it does not go to a terminal.

## Why

In a container standard output is a pipe. Python then writes it in blocks of 8 KiB: logs come late, and what is in the buffer is lost
when the process is killed. `PYTHONUNBUFFERED=1` writes each line as it comes.

## Example

```dockerfile bad lines=1
FROM python:3.12-slim
CMD ["python", "main.py"]
```

```dockerfile fixed
FROM python:3.12-slim
ENV PYTHONUNBUFFERED=1
CMD ["python", "main.py"]
```

```dockerfile good
FROM python:3.12-slim
CMD ["python", "-u", "main.py"]
```

## Fix

Safe: `ENV PYTHONUNBUFFERED=1` is written below the `FROM` of the last stage.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(last) = subject.last() else { return };
    if last.python().is_none() || last.scope.variable("PYTHONUNBUFFERED").is_some_and(|v| v.kind == VariableKind::Env) {
        return;
    }
    let mut commands = subject.shipped().filter(|step| matches!(&*step.name(), "CMD" | "ENTRYPOINT")).flat_map(|step| &step.commands);
    if commands.any(|command| command.name().is_some_and(|name| name.starts_with("python")) && command.has_flag(&["-u"])) {
        return;
    }
    let end = Span::new(last.head.span.end, last.head.span.end);
    findings
        .report(last.head.span, "Python keeps its output in a buffer here")
        .help("write `ENV PYTHONUNBUFFERED=1`")
        .fix(Fix::safe("write `ENV PYTHONUNBUFFERED=1`", [Edit { span: end, text: "\nENV PYTHONUNBUFFERED=1".to_owned() }]));
}
