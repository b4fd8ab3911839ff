use crate::finding::{Findings, Fix};
use crate::model::{Stage, Subject, Venv, below};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::InstructionKind;
use jettison_dockerfile::{Edit, Span};

pub(super) static RULE: Rule = Rule {
    code: "JET105",
    name: "venv-moved",
    family: Family::Python,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
A virtual environment is copied to another path than it was made at.

## Why

Its programs begin with the path of its interpreter, `#!/opt/venv/bin/python`, and so do its activation scripts. At another path `uvicorn`
and `gunicorn` fail with "no such file or directory", or run with whatever interpreter is at the old path.

## Example

```dockerfile bad lines=7
FROM python:3.12-slim AS builder
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
RUN pip install flask

FROM python:3.12-slim
COPY --from=builder /opt/venv /venv
ENV PATH=/venv/bin:$PATH
CMD ["/venv/bin/flask", "run"]
```

```dockerfile fixed unsafe
FROM python:3.12-slim AS builder
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
RUN pip install flask

FROM python:3.12-slim
COPY --from=builder /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
CMD ["/opt/venv/bin/flask", "run"]
```

```dockerfile good
FROM python:3.12-slim AS builder
WORKDIR /app
RUN python -m venv .venv && .venv/bin/pip install flask

FROM python:3.12-slim
COPY --from=builder /app/.venv /app/.venv
```

One that was made to be moved:

```dockerfile good
FROM python:3.12-slim AS builder
RUN pip install uv && uv venv --relocatable /opt/venv

FROM python:3.12-slim
COPY --from=builder /opt/venv /venv
```

## Fix

Unsafe: the environment is copied to the path that it was made at, and that path is written wherever the stage names the other one. Scripts and
files that are copied may name it, too.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(last) = subject.last() else { return };
    for stage in subject.chain(last) {
        for venv in &subject.layout(stage).venvs {
            let Some(number) = venv.copied_by else { continue };
            let Some(step) = stage.steps.get(number).filter(|_| venv.path != venv.made_at && !venv.is_relocatable)
            else {
                continue;
            };
            let InstructionKind::Copy(copy) = &step.instruction.kind else { continue };
            let destination = copy.transfer.destination.span();
            let finding = findings.report(
                destination,
                format!("the virtual environment was made at {}, and does not work at {}", venv.made_at, venv.path),
            );
            finding
                .label(venv.span, "made here")
                .help(format!("copy it to {}, or make it at {}", venv.made_at, venv.path));
            if let Some(edits) = edits(subject, stage, number, venv) {
                finding.fix(Fix::unsafe_(format!("copy the environment to {}", venv.made_at), edits));
            }
        }
    }
}

/// Writes the path that the environment was made at in place of the other, in the copy and below it.
fn edits(subject: &Subject<'_>, stage: &Stage<'_>, number: usize, venv: &Venv) -> Option<Vec<Edit>> {
    let step = &stage.steps[number];
    let InstructionKind::Copy(copy) = &step.instruction.kind else { return None };
    let brought = subject.layout(stage).brought.iter().find(|brought| brought.step == number)?;
    // It is copied by itself, and not along with other things.
    let [(source, _)] = &brought.sources[..] else { return None };
    if below(&venv.made_at, source) != Some("") {
        return None;
    }
    let slash = if brought.destination.ends_with('/') { "/" } else { "" };
    let mut edits = vec![Edit::replace(copy.transfer.destination.span(), format!("{}{slash}", venv.made_at))];
    for step in &stage.steps[number + 1..] {
        let span = step.instruction.span;
        let text = subject.file.text(span);
        let ends = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
        for (at, _) in text.match_indices(&venv.path) {
            let (before, after) = (&text[..at], &text[at + venv.path.len()..]);
            // A path of its own, and not the end or the beginning of another.
            if before.chars().next_back().is_none_or(|c| ends(c) && c != '/') && after.chars().next().is_none_or(ends) {
                let start = span.start + at;
                edits.push(Edit::replace(Span::new(start, start + venv.path.len()), venv.made_at.clone()));
            }
        }
    }
    Some(edits)
}

#[cfg(test)]
mod tests {
    use crate::examples::found;

    #[test]
    fn environments_that_stay_where_they_were_made_are_fine() {
        let copied = |copy: &str| {
            format!(
                "FROM python:3.12 AS b\nWORKDIR /app\nRUN python -m venv .venv\nFROM python:3.12-slim\nWORKDIR /app\n{copy}\n"
            )
        };
        for (copy, lines) in [
            ("COPY --from=b /app/.venv ./.venv", &[][..]),
            ("COPY --from=b /app/.venv /venv", &[6]),
            ("COPY --from=b /app /app", &[]),
            ("COPY --from=b /app /srv", &[6]),
            ("COPY --from=b /app/.venv/lib /usr/local/lib", &[]),
        ] {
            assert_eq!(found("JET105", &copied(copy), &[]), lines, "{copy}");
        }
    }
}
