use crate::finding::{Findings, Fix};
use crate::model::{ShellText, Step, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Edit, Span};
use jettison_shell::Command;

pub(super) static RULE: Rule = Rule {
    code: "JET303",
    name: "cd-instead-of-workdir",
    family: Family::General,
    severity: Severity::Style,
    default: false,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &["DL3003"],
    docs: r#"
A `RUN` changes the directory with `cd` where `WORKDIR` would say it for all to see.

## Why

`cd` counts up to the end of its `RUN` and no further, which is easily forgotten in the next one, and a `cd` that fails before a `;`
lets the rest run in the wrong place. `WORKDIR` makes the directory when it is missing and stays in force.

## Example

```dockerfile bad lines=2
FROM python:3.12-slim
RUN cd /srv && make
WORKDIR /app
```

```dockerfile fixed
FROM python:3.12-slim
WORKDIR /srv
RUN make
WORKDIR /app
```

```dockerfile bad lines=2
FROM python:3.12-slim
RUN curl -fsSO https://example.com/a.tar.gz && cd /srv && make
```

```dockerfile good
FROM python:3.12-slim
WORKDIR /srv
RUN (cd vendor && make) && make
RUN for d in a b; do cd "$d" && make && cd ..; done
```

A `cd` in a subshell or a loop ends there, and is no fault. It is a matter of taste where a step fetches sources, builds them and
removes them again, so this rule is only applied on request.

## Fix

Safe: where the script begins with `cd` to an absolute path and the next `WORKDIR` is absolute, or nothing after it depends on the
directory, `WORKDIR` is written above it. Other places are left to you.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (stage, step, shell) in subject.runs() {
        for command in
            step.commands.iter().filter(|command| command.is("cd") && std::ptr::eq(command.list(), &shell.script.list))
        {
            let rest =
                stage.steps.iter().skip_while(|other| other.instruction.span.start <= step.instruction.span.start);
            let fix = fix(step, shell, command, rest);
            let finding = findings.report(shell.span(command.range()), "`cd` is in force for this `RUN` alone");
            finding.help("write `WORKDIR` above it");
            finding.fix = fix;
        }
    }
}

fn fix<'s, 'a: 's>(
    step: &Step<'_>,
    shell: &ShellText,
    command: &Command<'_>,
    mut rest: impl Iterator<Item = &'s Step<'a>>,
) -> Option<Fix> {
    let [target] = command.operands(&[])[..] else { return None };
    let target =
        target.literal().filter(|path| path.starts_with('/') && !path.contains([' ', '$', '\\', '"', '\'']))?;
    let alone = command.index() == 0 && shell.text.len() == step.run()?.command.shell_text().len() && !shell.is_exec;
    let once = step.commands.iter().filter(|command| command.is("cd")).count() == 1;
    // Whoever stands on this stage would start there.
    let ends_absolute = rest.find_map(|step| match &*step.name() {
        "WORKDIR" => Some(step.instruction.arguments.starts_with('/')),
        "RUN" | "CMD" | "ENTRYPOINT" | "COPY" | "ADD" | "ONBUILD" | "HEALTHCHECK" => Some(false),
        _ => None,
    });
    let same = step.workdir.as_deref() == Some(&*target);
    if !alone || !once || !step.instruction.heredocs.is_empty() || !(same || ends_absolute == Some(true)) {
        return None;
    }
    let cuts = command.removal()?;
    let [cut] = &cuts[..] else { return None };
    let start = step.instruction.span.start;
    let mut edits = vec![Edit::delete(whole(shell, cut.clone()))];
    if !same {
        edits.push(Edit::insert(start, format!("WORKDIR {target}\n")));
    }
    Some(Fix::safe(format!("write `WORKDIR {target}`"), edits))
}

/// All of the source from the first byte of a range to the byte behind it, a line continuation too.
fn whole(shell: &ShellText, range: std::ops::Range<usize>) -> Span {
    Span::new(shell.text.locate(range.start), shell.text.locate(range.end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Context, Safety, mend};

    #[test]
    fn a_directory_is_only_kept_where_nothing_else_sees_it() {
        for (before, after) in [
            ("RUN cd /a && make\nWORKDIR /b", Some("WORKDIR /a\nRUN make\nWORKDIR /b")),
            ("WORKDIR /a\nRUN cd /a && make\nCMD x", Some("WORKDIR /a\nRUN make\nCMD x")),
            ("RUN cd /a && \\\n    make\nENV A=1\nWORKDIR /b", Some("WORKDIR /a\nRUN make\nENV A=1\nWORKDIR /b")),
            // The next step, or whoever stands on the stage, would run elsewhere.
            ("RUN cd /a && make\nRUN ls\nWORKDIR /b", None),
            ("RUN cd /a && make", None),
            ("RUN cd /a && make\nWORKDIR b", None),
            ("RUN cd a && make\nWORKDIR /b", None),
            ("RUN cd $A && make\nWORKDIR /b", None),
            ("RUN cd /a && make && cd /c\nWORKDIR /b", None),
            ("RUN cd /a || make\nWORKDIR /b", None),
            ("RUN [\"sh\", \"-c\", \"cd /a && make\"]\nWORKDIR /b", None),
        ] {
            let text = |lines: &str| format!("FROM debian:12\n{lines}\n");
            let mended = mend(&text(before), &Context::none(), &(), &Config::only(&RULE), Safety::Safe);
            assert_eq!(mended.text, text(after.unwrap_or(before)));
        }
    }
}
