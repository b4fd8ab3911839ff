use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Edit, NodeKind, Span};

pub(super) static RULE: Rule = Rule {
    code: "JET203",
    name: "no-empty-continuation",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Always,
    buildkit: Some("NoEmptyContinuation"),
    hadolint: &[],
    docs: r#"
A blank line stands in the middle of an instruction.

## Why

A `\` at the end of a line goes on past blank lines, so the instruction is longer than it looks: a `\` that was left behind makes the
next instruction a part of this one. BuildKit says that it will be an error one day.

## Example

The finding is in the last line of the instruction, where BuildKit has it:

```dockerfile bad lines=4
FROM debian:bookworm
RUN apt-get update && \

    apt-get install -y curl
```

```dockerfile fixed
FROM debian:bookworm
RUN apt-get update && \
    apt-get install -y curl
```

```dockerfile good
FROM debian:bookworm
RUN apt-get update && \
    # a comment may stand here
    apt-get install -y curl

RUN <<EOF
echo a

echo b
EOF
```

## Fix

Safe: the blank lines are taken away.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for node in subject.file.nodes() {
        let NodeKind::Instruction(index) = node.kind else { continue };
        let instruction = &subject.file.instructions()[index];
        let end = instruction.heredocs.first().map_or(node.span.end, |heredoc| heredoc.body.start);
        let mut at = node.span.start;
        let mut blank = Vec::new();
        let mut last = instruction.keyword.span();
        for line in subject.file.text(Span::new(at, end)).split_inclusive('\n') {
            let text = line.trim();
            let start = at + line.len() - line.trim_start().len();
            if text.is_empty() {
                blank.push(Span::new(at, at + line.len()));
                last = Span::new(at, at + line.trim_end_matches(['\r', '\n']).len());
            } else {
                last = Span::new(start, start + text.len());
            }
            at += line.len();
        }
        let Some(first) = blank.first() else { continue };
        let finding = findings.report(last, "a blank line stands in the middle of the instruction that ends here");
        if first.start != last.start {
            finding.label(Span::new(first.start, first.start), "the blank line");
        }
        finding
            .help("take the blank line away, or put a `#` in it")
            .fix(Fix::safe("take the blank lines away", blank.iter().map(|line| Edit::delete(*line)).collect::<Vec<_>>()));
    }
}
