use crate::finding::{Findings, Fix};
use crate::model::{Stage, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::InstructionKind;
use jettison_dockerfile::{Edit, Word};

pub(super) static RULE: Rule = Rule {
    code: "JET312",
    name: "source-stage-unknown",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &["DL3022"],
    docs: r#"
`COPY --from` or a mount names a stage that there is not, or not yet.

## Why

What is not the name of an earlier stage is taken for an image, and the build asks a registry for `docker.io/library/bulider`. A stage
that comes later cannot be meant either.

## Example

```dockerfile bad lines=3,4
FROM golang:1.23 AS builder
FROM debian:bookworm-slim
COPY --from=bulider /app /app
RUN --mount=type=bind,from=final,target=/x true
FROM scratch AS final
COPY --from=builder /app /app
```

```dockerfile fixed unsafe
FROM golang:1.23 AS builder
FROM debian:bookworm-slim
COPY --from=builder /app /app
RUN --mount=type=bind,from=final,target=/x true
FROM scratch AS final
COPY --from=builder /app /app
```

```dockerfile bad lines=2
FROM debian:bookworm-slim
COPY --from=2 /app /app
```

```dockerfile good
FROM golang:1.23 AS Builder
FROM debian:bookworm-slim
COPY --from=builder /app /app
COPY --from=0 /app /app
COPY --from=ghcr.io/astral-sh/uv:0.5 /uv /bin/
COPY --from=nginx:1.27 /etc/nginx /etc/nginx
```

A context that is named on the command line (`--build-context deps=…`) cannot be seen here; ignore the finding in a comment, which
tells the reader of the file where `deps` comes from.

## Fix

Unsafe: the name of an earlier stage that is nearly the same is written.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (stage, step) in subject.steps() {
        match &step.instruction.kind {
            InstructionKind::Copy(copy) => {
                if let Some(from) = &copy.from {
                    look(subject, stage, from, findings);
                }
            }
            InstructionKind::Run(run) => {
                let options = run.mounts.iter().flat_map(|mount| &mount.options);
                for option in options.filter(|option| option.key.eq_ignore_ascii_case("from")) {
                    if let Some(from) = &option.value {
                        look(subject, stage, from, findings);
                    }
                }
            }
            _ => {}
        }
    }
}

fn look(subject: &Subject<'_>, stage: &Stage<'_>, from: &Word, findings: &mut Findings<'_>) {
    let (name, index) = (from.as_str(), stage.syntax.index);
    let own = stage.syntax.name.as_deref() == Some(&*name.to_lowercase()) || name.parse() == Ok(index);
    let image = name.contains([':', '@', '$', '.']) || name == "scratch" || name.is_empty();
    if image || own || subject.stage(name, index).is_some() {
        return;
    }
    let later = subject.stages[index + 1..].iter().find(|later| {
        later.syntax.name.as_deref() == Some(&*name.to_lowercase()) || name.parse() == Ok(later.syntax.index)
    });
    let message = match (later, name.parse::<usize>()) {
        (Some(_), _) => format!("the stage `{name}` comes later"),
        (None, Ok(_)) => format!("there is no stage {name}"),
        (None, Err(_)) if name.contains('/') => format!("`{name}` is an image without a tag"),
        (None, Err(_)) => format!("no earlier stage is called `{name}`, so it is taken for an image"),
    };
    let earlier = subject.stages[..index].iter().filter_map(|stage| stage.syntax.from.name.as_ref());
    let distance = |other: &Word| strsim::damerau_levenshtein(&other.to_lowercase(), &name.to_lowercase());
    let similar = earlier.filter(|other| distance(other) * 3 <= other.len()).min_by_key(|other| distance(other));
    let finding = findings.report(from.span(), message);
    if let Some(later) = later {
        finding.label(later.head.span, "it begins here").help("move that stage above this one");
    } else if let Some(similar) = similar {
        let fix = Fix::unsafe_(format!("write `{similar}`"), [Edit::replace(from.span(), similar.as_str())]);
        finding.help(format!("did you mean `{similar}`?")).fix(fix);
    } else {
        finding.help("name a stage that stands above, or an image with its tag");
    }
}
