use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Span;

pub(super) static RULE: Rule = Rule {
    code: "JET327",
    name: "curl-and-wget",
    family: Family::General,
    severity: Severity::Info,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL4001"],
    docs: r#"
A stage uses both `curl` and `wget`.

## Why

Either does what the other does. Both have to be installed, kept and updated.

## Example

```dockerfile bad lines=3
FROM debian:bookworm-slim
RUN wget -q https://example.com/a
RUN curl -fsSO https://example.com/b
```

```dockerfile good
FROM debian:bookworm-slim AS fetch
RUN wget -q https://example.com/a
FROM debian:bookworm-slim
RUN curl -fsSO https://example.com/b
```

## Fix

None.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in &subject.stages {
        let mut seen: Option<(&'static str, Span)> = None;
        'stage: for step in stage.steps.iter().filter(|step| step.run().is_some()) {
            let Some(shell) = step.shell else { continue };
            for command in &step.commands {
                let tool = match command.name() {
                    Some("curl") => "curl",
                    Some("wget") => "wget",
                    _ => continue,
                };
                let Some(place) = command.program().map(|word| shell.span(word.range.clone())) else { continue };
                match seen {
                    None => seen = Some((tool, place)),
                    Some((first, _)) if first == tool => {}
                    Some((first, before)) => {
                        findings
                            .report(place, format!("`{tool}` is used here, and `{first}` above"))
                            .label(before, format!("`{first}` here"))
                            .help(format!("use `{first}` for both"));
                        break 'stage;
                    }
                }
            }
        }
    }
}
