use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Edit, InstructionKind};

pub(super) static RULE: Rule = Rule {
    code: "JET219",
    name: "expose-proto-casing",
    family: Family::General,
    severity: Severity::Style,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: Some("ExposeProtoCasing"),
    hadolint: &[],
    docs: r#"
The protocol of a port is not in small letters.

## Why

The image says `80/TCP` then, as it was written, and not every program takes it for the same as `80/tcp`.

## Example

```dockerfile bad lines=2
FROM debian:bookworm
EXPOSE 80/TCP 53/Udp
```

```dockerfile fixed
FROM debian:bookworm
EXPOSE 80/tcp 53/udp
```

```dockerfile good
FROM debian:bookworm
EXPOSE 80/tcp 8000 53/udp
```

## Fix

Safe: the protocol is written in small letters.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (_, step) in subject.steps() {
        let InstructionKind::Expose(words) = &step.instruction.kind else { continue };
        for word in words {
            let Some(ports) = step.expand_all(word) else { continue };
            for port in &ports {
                // The port is what follows the last colon.
                let Some((_, protocol)) = port.rsplit(':').next().and_then(|port| port.split_once('/')) else { continue };
                let right = protocol.to_lowercase();
                if protocol == right {
                    continue;
                }
                let said = format!("the protocol of `{port}` is not in small letters");
                let finding = subject.point(findings, step.instruction, word.span(), said);
                finding.help(format!("write `{right}`"));
                if *word == port.as_str() {
                    let place = word.span_of(word.len() - protocol.len()..word.len());
                    finding.fix(Fix::safe(format!("write `{right}`"), [Edit::replace(place, right)]));
                }
            }
        }
    }
}
