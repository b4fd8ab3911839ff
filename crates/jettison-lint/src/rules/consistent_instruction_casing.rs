use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Edit;

pub(super) static RULE: Rule = Rule {
    code: "JET204",
    name: "consistent-instruction-casing",
    family: Family::General,
    severity: Severity::Style,
    default: true,
    fixable: Fixable::Always,
    buildkit: Some("ConsistentInstructionCasing"),
    hadolint: &[],
    docs: r#"
A keyword is not in the case that most keywords of the file are in.

## Why

Keywords are the same in any case, but a reader looks for them in one.

## Example

```dockerfile bad lines=2,3
FROM debian:bookworm
run apt-get update
Copy . /app
CMD ["sh"]
```

```dockerfile fixed
FROM debian:bookworm
RUN apt-get update
COPY . /app
CMD ["sh"]
```

```dockerfile good
from debian:bookworm
run apt-get update
```

## Fix

Safe: the keyword is written as most are.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let keywords = || {
        let stages = subject.stages.iter();
        stages.flat_map(|stage| std::iter::once(stage.head).chain(stage.steps.iter().map(|step| step.instruction)))
    };
    let is_lower = |word: &str| !word.contains(|c: char| c.is_ascii_uppercase());
    let is_upper = |word: &str| !word.contains(|c: char| c.is_ascii_lowercase());
    let lower = keywords().filter(|instruction| is_lower(&instruction.keyword)).count();
    let upper = keywords().filter(|instruction| is_upper(&instruction.keyword)).count();
    let all_lower = lower > upper;
    for instruction in keywords() {
        let word = &instruction.keyword;
        let (fits, right, case) = match all_lower {
            true => (is_lower(word), word.to_ascii_lowercase(), "small"),
            false => (is_upper(word), word.to_ascii_uppercase(), "capital"),
        };
        if !fits {
            findings
                .report(word.span(), format!("`{word}` is not in {case} letters, as most keywords here are"))
                .help(format!("write `{right}`"))
                .fix(Fix::safe(format!("write `{right}`"), [Edit::replace(word.span(), right.clone())]));
        }
    }
}
