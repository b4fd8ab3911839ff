use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Edit, InstructionKind};

pub(super) static RULE: Rule = Rule {
    code: "JET220",
    name: "expose-invalid-format",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: Some("ExposeInvalidFormat"),
    hadolint: &[],
    docs: r#"
`EXPOSE` has an address or a port of the host.

## Why

Which port of the host a container gets is for `docker run --publish` to say. What stands before the colon goes nowhere, and BuildKit
says that it will be an error one day.

## Example

```dockerfile bad lines=2
FROM debian:bookworm
EXPOSE 127.0.0.1:8080:80/tcp 5000:5000
```

```dockerfile fixed
FROM debian:bookworm
EXPOSE 80/tcp 5000
```

```dockerfile good
FROM debian:bookworm
EXPOSE 80/tcp 5000
```

## Fix

Safe: the port of the container is all that the image had, and all that is left.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (_, step) in subject.steps() {
        let InstructionKind::Expose(words) = &step.instruction.kind else { continue };
        for word in words {
            let Some(ports) = step.expand_all(word) else { continue };
            for port in &ports {
                let Some((host, own)) = port.rsplit_once(':').filter(|(host, _)| !host.is_empty()) else { continue };
                let said = format!("`{host}` in `EXPOSE {port}` goes nowhere");
                let finding = subject.point(findings, step.instruction, word.span(), said);
                finding.help(format!("write `EXPOSE {own}`"));
                if *word == port.as_str() {
                    let place = word.span_of(0..host.len() + 1);
                    finding.fix(Fix::safe(format!("write `EXPOSE {own}`"), [Edit::delete(place)]));
                }
            }
        }
    }
}
