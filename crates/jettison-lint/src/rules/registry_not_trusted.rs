use crate::finding::Findings;
use crate::model::{Base, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Span;
use jettison_dockerfile::instruction::InstructionKind;
use jettison_oci::reference::Reference;

pub(super) static RULE: Rule = Rule {
    code: "JET314",
    name: "registry-not-trusted",
    family: Family::General,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL3026"],
    docs: r#"
An image comes from a registry that is not among the trusted ones.

## Why

Everything in a base image runs in yours. Where only some registries are looked after, by a mirror that scans or a team that answers,
`trusted-registries` in the configuration says which, and this rule keeps to it. Without that key it has nothing to say.

## Example

```toml configuration
[lint]
trusted-registries = ["docker.io/library", "*.example.com"]
```

```dockerfile bad lines=1,3
FROM quay.io/team/builder:1 AS builder
FROM python:3.12-slim
COPY --from=ghcr.io/astral-sh/uv:0.5 /uv /bin/
```

```dockerfile good
FROM mirror.example.com/golang:1.23 AS builder
FROM python:3.12-slim
COPY --from=builder /app /app
FROM scratch
```

A trusted registry is a host, `*` for one part of its name or all of them, and perhaps the beginning of a path.

## Fix

None.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let trusted = &subject.config.trusted_registries;
    if trusted.is_empty() {
        return;
    }
    let mut look = |image: &Reference, place: Span| {
        if !trusted.iter().any(|pattern| trusts(pattern, image)) {
            findings
                .report(place, format!("`{}` is not among the trusted registries", host(image)))
                .help(format!("trusted are {}", trusted.join(", ")));
        }
    };
    for (index, stage) in subject.stages.iter().enumerate() {
        if let Base::Image(image) = &stage.base {
            look(image, stage.syntax.from.image.span());
        }
        for step in &stage.steps {
            let InstructionKind::Copy(copy) = &step.instruction.kind else { continue };
            let Some(from) = copy.from.as_ref().filter(|from| subject.stage(from, index).is_none()) else { continue };
            // A plain word is a stage that is missing, or a named context.
            if let Some(image) = Reference::parse(from).ok().filter(|_| from.contains(['/', ':', '.'])) {
                look(&image, from.span());
            }
        }
    }
}

/// The host as people write it.
fn host(image: &Reference) -> &str {
    match image.registry() {
        "registry-1.docker.io" | "index.docker.io" => "docker.io",
        registry => registry,
    }
}

fn trusts(pattern: &str, image: &Reference) -> bool {
    let (registry, path) = match pattern.split_once('/') {
        Some((registry, path)) => (registry, Some(path.trim_end_matches(['/', '*']))),
        None => (pattern, None),
    };
    let below =
        |path: &str| image.repository().strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    is_match(registry, host(image)) && path.is_none_or(|path| path.is_empty() || below(path))
}

/// Whether `*` in the pattern can stand for something that makes it the text.
fn is_match(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_stars_and_paths() {
        for (pattern, image, expected) in [
            ("docker.io", "python", true),
            ("docker.io", "team/python", true),
            ("docker.io/library", "python", true),
            ("docker.io/library", "team/python", false),
            ("docker.io/team", "teams/python", false),
            ("*.example.com", "a.example.com/x", true),
            ("*.example.com", "example.com/x", false),
            ("*", "anything.example/x", true),
            ("registry.*.example", "registry.eu.example/x", true),
            ("registry.*.example", "registry.eu.example:5000/x", false),
            ("localhost:5000", "localhost:5000/x:1", true),
        ] {
            assert_eq!(trusts(pattern, &Reference::parse(image).unwrap()), expected, "{pattern} {image}");
        }
    }
}
