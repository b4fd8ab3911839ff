use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Edit, Problem, ProblemKind, Severity as Weight};

pub(super) static RULE: Rule = Rule {
    code: "JET200",
    name: "invalid-instruction",
    family: Family::General,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &["DL3011", "DL3043", "DL3061", "DL1000"],
    docs: r#"
An instruction cannot be read, or cannot be built as it is written.

## Why

The build stops there: at once where the file cannot be read, and when its turn comes where the step cannot be done. What builds in
spite of it, and hardly as it was meant, is a warning: `CMD ['python']` is no JSON, so a shell looks for a program `[python]`.

## Example

```dockerfile bad lines=2,3
FROM debian:bookworm
RUNN apt-get update
COPY --chwon=1000 . /app
```

```dockerfile fixed
FROM debian:bookworm
RUN apt-get update
COPY --chown=1000 . /app
```

```dockerfile good
FROM debian:bookworm
RUN apt-get update
COPY --chown=1000 . /app
```

Ports, and instructions where they do not belong:

```dockerfile bad lines=1,3,4
RUN true
FROM debian:bookworm
EXPOSE 80000
ONBUILD FROM debian
```

```dockerfile bad lines=2
FROM debian:bookworm
CMD ['python', 'main.py']
```

```dockerfile fixed
FROM debian:bookworm
CMD ["python", "main.py"]
```

## Fix

Safe: a keyword or flag that is one or two letters away from the right one is set right, and so are the quotes of an array, which are
double ones in JSON.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for problem in subject.file.problems().iter().filter(|problem| problem.kind != ProblemKind::EmptyContinuation) {
        let finding = findings.report(problem.span, problem.message());
        if problem.severity == Weight::Warning {
            finding.severity(Severity::Warning);
        }
        finding.help = problem.hint();
        finding.fix = fix(subject, problem);
    }
}

fn fix(subject: &Subject<'_>, problem: &Problem) -> Option<Fix> {
    match &problem.kind {
        ProblemKind::UnknownInstruction { keyword, similar: Some(similar) } => {
            let is_lower = !keyword.contains(|c: char| c.is_ascii_uppercase());
            let right = if is_lower { similar.to_ascii_lowercase() } else { (*similar).to_owned() };
            let title = format!("write `{right}`");
            Some(Fix::safe(title, [Edit::replace(problem.span, right)]))
        }
        ProblemKind::UnknownFlag { similar: Some(similar), .. } => {
            let mut flags = subject.file.instructions().iter().flat_map(|instruction| &instruction.flags);
            let flag = flags.find(|flag| flag.span == problem.span)?;
            Some(Fix::safe(format!("write `--{similar}`"), [Edit::replace(flag.name.span(), *similar)]))
        }
        ProblemKind::JsonMalformed { .. } => {
            let written = subject.file.text(problem.span);
            let right = written.replace('\'', "\"");
            let words: Vec<String> = serde_json::from_str(&right).ok()?;
            let is_plain = !written.contains(['"', '\\']) && !words.is_empty();
            is_plain.then(|| Fix::safe("write the array with double quotes", [Edit::replace(problem.span, right)]))
        }
        _ => None,
    }
}
