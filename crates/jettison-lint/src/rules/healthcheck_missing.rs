use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::InstructionKind;

pub(super) static RULE: Rule = Rule {
    code: "JET126",
    name: "healthcheck-missing",
    family: Family::Python,
    severity: Severity::Info,
    default: false,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL3057"],
    docs: r#"
The image says nothing of how to tell whether the application is well.

## Why

Docker, Compose and Swarm take a container for healthy as long as its process lives, also when it answers nobody. Kubernetes has probes of its
own and does not look at `HEALTHCHECK`, which is why this is a pedantic rule.

## Example

```dockerfile bad lines=1
FROM python:3.12-slim
COPY . .
EXPOSE 8000
CMD ["uvicorn", "main:app", "--port", "8000"]
```

```dockerfile good
FROM python:3.12-slim
HEALTHCHECK CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=2)"]
CMD ["uvicorn", "main:app", "--port", "8000"]
```

```dockerfile good
FROM python:3.12-slim
COPY . /lib
```

## Fix

None: where the application answers is yours to say. No `curl` is needed for it: Python asks as well.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(last) = subject.last() else { return };
    let starts = subject.shipped().any(|step| matches!(&*step.name(), "CMD" | "ENTRYPOINT"));
    let starts = starts && subject.shipped().any(|step| step.destination().is_some());
    let checked = |kind: &InstructionKind| matches!(kind, InstructionKind::Healthcheck(_));
    if !starts || subject.shipped().any(|step| checked(&step.instruction.kind)) {
        return;
    }
    let ports = subject.shipped().filter_map(|step| match &step.instruction.kind {
        InstructionKind::Expose(ports) => ports.first().and_then(|port| step.expand(port)),
        _ => None,
    });
    let port = ports
        .last()
        .and_then(|port| port.split(['/', '-']).next().map(str::to_owned))
        .unwrap_or_else(|| "8000".to_owned());
    findings.report(last.head.span, "nothing tells whether the application is well").help(format!(
        "write `HEALTHCHECK CMD [\"python\", \"-c\", \"import urllib.request as r; r.urlopen('http://127.0.0.1:{port}/', timeout=2)\"]`"
    ));
}
