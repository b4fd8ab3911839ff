use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::{InstructionKind, Pair};
use jettison_dockerfile::{Edit, Expander, Span, Word};

pub(super) static RULE: Rule = Rule {
    code: "JET316",
    name: "variable-not-yet-set",
    family: Family::General,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &["DL3044"],
    docs: r#"
A value of `ENV` refers to a variable that the same instruction sets.

## Why

All values of one `ENV` are expanded before any of them is set. `ENV HOME_DIR=/srv DATA=$HOME_DIR/data` makes `DATA` `/data`.

## Example

```dockerfile bad lines=3
FROM python:3.12-slim
ENV VIRTUAL_ENV=/opt/venv \
    PATH=$VIRTUAL_ENV/bin:$PATH
```

```dockerfile fixed
FROM python:3.12-slim
ENV VIRTUAL_ENV=/opt/venv
ENV PATH=$VIRTUAL_ENV/bin:$PATH
```

```dockerfile good
FROM python:3.12-slim
ENV VIRTUAL_ENV=/opt/venv
ENV PATH=$VIRTUAL_ENV/bin:$PATH A=1 B='$A'
ARG MODE
ENV MODE=$MODE LEVEL=${MODE:-1}
```

## Fix

Safe: the instruction is cut in two before the value, where the variable stands above it.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (_, step) in subject.steps() {
        let InstructionKind::Env(pairs) = &step.instruction.kind else { continue };
        let mut cut_from = 0;
        for (at, pair) in pairs.iter().enumerate() {
            let names = names(&pair.value, subject);
            // What was set before, by another instruction, is there. What the base image has cannot be seen, but for `PATH`.
            let fresh = |name: &str| step.scope.variable(name).is_none() && name != "PATH";
            let set_here = |name: &String| {
                let other = pairs.iter().enumerate().find(|(other, pair)| *other != at && pair.key.as_str() == *name);
                other.filter(|_| fresh(name))
            };
            let Some((other, setter)) = names.iter().find_map(set_here) else { continue };
            let name = setter.key.as_str();
            // A cut further up has made it right already.
            let finding = findings
                .report(pair.value.span(), format!("`{name}` is set by this very `ENV`, so it is not set here yet"));
            finding.label(setter.key.span(), "set here").help(format!("set `{name}` by an `ENV` of its own, above"));
            if other < at && other >= cut_from && pairs.iter().all(|pair| !pair.legacy) {
                finding.fix = cut(pairs, at, step.instruction.span);
                cut_from = at;
            }
        }
    }
}

/// The variables that a value refers to.
fn names(value: &Word, subject: &Subject<'_>) -> Vec<String> {
    let expansion = Expander::new(subject.file.escape()).word(value, &());
    expansion.map(|e| e.variables.into_iter().map(|variable| variable.name).collect()).unwrap_or_default()
}

/// Ends the instruction before a pair, and begins another.
fn cut(pairs: &[Pair], at: usize, whole: Span) -> Option<Fix> {
    let start = pairs.get(at.checked_sub(1)?)?.value.span().end;
    let end = pairs[at].key.span().start;
    let between = Span::new(start, end);
    whole.contains(between).then(|| Fix::safe("begin another `ENV`", [Edit::replace(between, "\nENV ")]))
}
