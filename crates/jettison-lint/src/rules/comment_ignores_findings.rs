use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::TokenKind;

pub(super) static RULE: Rule = Rule {
    code: "JET301",
    name: "comment-ignores-findings",
    family: Family::General,
    severity: Severity::Info,
    default: false,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL1001"],
    docs: r#"
A comment in the Dockerfile hides findings.

## Why

A comment that ignores a finding is seen by nobody but the next reader of the file. Where one place has to say what is ignored and
why, it is the configuration, and this rule keeps it so.

## Example

```dockerfile bad lines=2
FROM python:3.12-slim
# hadolint ignore=DL3003
RUN cd /srv && make
```

```dockerfile bad lines=1,3
# check=skip=JSONArgsRecommended
FROM python:3.12-slim
# jettison: ignore=cd-instead-of-workdir
RUN cd /srv && make
CMD ./app
```

```dockerfile good
# syntax=docker/dockerfile:1
FROM python:3.12-slim
# make ignores what it does not know.
RUN cd /srv && make
```

## Fix

None: mend what is hidden, or ignore it in `[tool.jettison.lint]`.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for token in subject.file.tokens() {
        if !matches!(token.kind, TokenKind::Comment | TokenKind::Directive) {
            continue;
        }
        let text = subject.file.text(token.span).trim_start_matches('#').trim_start().to_ascii_lowercase();
        let hides = match token.kind {
            TokenKind::Directive => text.starts_with("check") && text.contains("skip="),
            _ => ["hadolint", "jettison:"].iter().any(|name| text.starts_with(name)) && text.contains("ignore"),
        };
        if hides {
            findings
                .report(token.span, "this comment hides findings")
                .help("mend what it hides, or ignore the rule in the configuration");
        }
    }
}
