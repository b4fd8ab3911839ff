use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Edit, Escape, InstructionKind, Span};

pub(super) static RULE: Rule = Rule {
    code: "JET208",
    name: "maintainer-deprecated",
    family: Family::General,
    severity: Severity::Style,
    default: true,
    fixable: Fixable::Always,
    buildkit: Some("MaintainerDeprecated"),
    hadolint: &["DL4000"],
    docs: r#"
`MAINTAINER` is deprecated.

## Why

It sets a field of the image that few programs show. A label can be read by all of them, and `org.opencontainers.image.authors` is the
one that the image specification has for it.

## Example

```dockerfile bad lines=2
FROM debian:bookworm
MAINTAINER Ada <ada@example.com>
```

```dockerfile fixed
FROM debian:bookworm
LABEL org.opencontainers.image.authors="Ada <ada@example.com>"
```

```dockerfile good
FROM debian:bookworm
LABEL org.opencontainers.image.authors="Ada <ada@example.com>"
```

## Fix

Safe: the label is written in its place.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for instruction in subject.file.instructions() {
        let InstructionKind::Maintainer(name) = &instruction.kind else { continue };
        let keyword = if instruction.keyword.contains(|c: char| c.is_ascii_lowercase()) { "label" } else { "LABEL" };
        // Quotes around all of it were a part of the name.
        let bare = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(name);
        let text = format!("{keyword} org.opencontainers.image.authors=\"{}\"", quoted(bare, subject.file.escape()));
        let span = Span::new(instruction.keyword.span().start, name.span().end);
        findings
            .report(instruction.keyword.span(), "`MAINTAINER` is deprecated")
            .help("write `LABEL org.opencontainers.image.authors=\"…\"`")
            .fix(Fix::safe("write the label", [Edit::replace(span, text)]));
    }
}

/// `text` as it is written between double quotes.
fn quoted(text: &str, escape: Escape) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '"' || c == '$' || c == escape.char() {
            quoted.push(escape.char());
        }
        quoted.push(c);
    }
    quoted
}
