use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Edit;

pub(super) static RULE: Rule = Rule {
    code: "JET318",
    name: "useradd-fills-logs",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Always,
    buildkit: None,
    hadolint: &["DL3046"],
    docs: r#"
`useradd` makes a user with a high number without `--no-log-init`.

## Why

`useradd` resets the user's place in `/var/log/lastlog` and `/var/log/faillog`, files that have one place per number. With the number
4000000000 they are a terabyte of nothing, which a layer does not leave out. `-l` leaves both files alone.

## Example

```dockerfile bad lines=2,3
FROM debian:bookworm-slim
RUN useradd -m -u 1234567 app
RUN useradd --uid=99999999 other
```

```dockerfile fixed
FROM debian:bookworm-slim
RUN useradd -l -m -u 1234567 app
RUN useradd -l --uid=99999999 other
```

```dockerfile good
FROM debian:bookworm-slim
RUN useradd -m -u 10001 app
RUN useradd -lu 1234567 other && useradd --no-log-init --uid 99999999 third
```

Numbers of up to five digits cost 30 MB at most, and nothing is said of them.

## Fix

Safe: `-l` is written.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (_, step, shell) in subject.runs() {
        for command in step.commands.iter().filter(|command| command.is("useradd")) {
            let Some(uid) = command.flag_value(&["-u", "--uid"]) else { continue };
            let Some(program) = command.program() else { continue };
            let high = uid.literal().is_some_and(|uid| uid.len() > 5 && uid.bytes().all(|byte| byte.is_ascii_digit()));
            if !high || command.has_flag(&["-l", "--no-log-init"]) {
                continue;
            }
            findings
                .report(
                    shell.span(uid.range.clone()),
                    format!("a log is made as long as the number {} is high", uid.text),
                )
                .help("write `useradd -l`")
                .fix(Fix::safe("write `-l`", [Edit::insert(shell.span(program.range.clone()).end, " -l")]));
        }
    }
}
