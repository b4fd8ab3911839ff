use crate::finding::{Findings, Fix};
use crate::model::{Base, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::InstructionKind;
use jettison_dockerfile::{Edit, Span, Word};
use jettison_oci::reference::Reference;

pub(super) static RULE: Rule = Rule {
    code: "JET118",
    name: "base-without-digest",
    family: Family::Python,
    severity: Severity::Info,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
A base image is named by a tag alone.

## Why

A tag is a pointer that its owner moves: `python:3.12-slim` is rebuilt whenever Debian or Python is. Two builds of one commit stand on two
bases, and nobody can say afterwards which. With a digest the base is these very bytes, checked, and a bot can propose the next one as a
change that is tested.

## Example

```dockerfile bad lines=1
FROM python:3.12-slim
CMD ["python"]
```

```dockerfile fixed
FROM python:3.12-slim@sha256:abababababababababababababababababababababababababababababababab
CMD ["python"]
```

```dockerfile good
FROM python:3.12-slim@sha256:abababababababababababababababababababababababababababababababab AS base
FROM base
FROM scratch
COPY --from=base /x /x
```

A name that an argument holds is pinned where it is written:

```dockerfile bad lines=2
ARG BASE=python:3.12-slim
FROM ${BASE}
CMD ["python"]
```

```dockerfile fixed
ARG BASE=python:3.12-slim@sha256:abababababababababababababababababababababababababababababababab
FROM ${BASE}
CMD ["python"]
```

## Fix

Safe: the digest that the tag stands for now is looked up at the registry and written behind it. Without a registry at hand (`--offline`) there
is no fix, and neither is there one for a name that is put together from arguments.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in &subject.stages {
        if let Base::Image(reference) = &stage.base {
            look(subject, &stage.syntax.from.image, reference, findings);
        }
        for step in &stage.steps {
            if let InstructionKind::Copy(copy) = &step.instruction.kind
                && let Some(from) = &copy.from
                && subject.stage(from, stage.syntax.index).is_none()
                && from.contains('/')
                && let Ok(reference) = Reference::parse(from)
            {
                look(subject, from, &reference, findings);
            }
        }
    }
}

fn look(subject: &Subject<'_>, word: &Word, reference: &Reference, findings: &mut Findings<'_>) {
    if reference.digest().is_some() {
        return;
    }
    let finding = findings
        .report(word.span(), format!("{} is a tag that may move", reference.familiar()))
        .help("write the digest behind it, `image:tag@sha256:…`");
    let Some(place) = place(subject, word) else { return };
    if let Some(digest) = subject.catalog.digest(reference) {
        let tag = if reference.tag().is_none() { ":latest" } else { "" };
        finding.fix(Fix::safe("write the digest of today", [Edit { span: place, text: format!("{tag}@{digest}") }]));
    }
}

/// Behind the name of the image, where it is written in one piece.
fn place(subject: &Subject<'_>, word: &Word) -> Option<Span> {
    let end = |word: &Word| {
        let span = word.span();
        let is_plain = subject.file.text(span) == word.as_str() && !word.contains(['$', '"', '\'', '\\']);
        is_plain.then(|| Span::new(span.end, span.end))
    };
    let Some(name) = word.strip_prefix('$') else { return end(word) };
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    let arguments = subject.file.preamble().iter().filter_map(|instruction| match &instruction.kind {
        InstructionKind::Arg(arguments) => Some(arguments),
        _ => None,
    });
    let argument = arguments.flatten().rfind(|argument| argument.name.as_str() == name)?;
    end(argument.default.as_ref()?)
}
