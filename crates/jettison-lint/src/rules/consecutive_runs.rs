use crate::finding::{Findings, Fix};
use crate::model::{ShellText, Step, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Edit, Span};
use jettison_shell::Command;

pub(super) static RULE: Rule = Rule {
    code: "JET324",
    name: "consecutive-runs",
    family: Family::General,
    severity: Severity::Info,
    default: false,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &["DL3059"],
    docs: r#"
Two `RUN`s of one command each follow each other in the image.

## Why

Each `RUN` is a layer, and what the second changes of the first's files is stored twice. One `RUN` is one layer, but also one entry of
the cache: to keep steps apart that change at different times is good sense, so this rule is only applied on request.

## Example

```dockerfile bad lines=3,4
FROM python:3.12-slim
RUN mkdir -p /srv/data
RUN chown 1000 /srv/data
RUN --network=default chmod 700 /srv/data
```

```dockerfile fixed
FROM python:3.12-slim
RUN mkdir -p /srv/data && \
    chown 1000 /srv/data && \
    chmod 700 /srv/data
```

```dockerfile good
FROM python:3.12-slim AS builder
RUN mkdir /a
RUN mkdir /b
FROM python:3.12-slim
RUN mkdir /a && chown 1000 /a
RUN --mount=type=cache,target=/root/.cache/pip pip install flask
RUN mkdir /b
```

Nothing is said of stages that do not become the image, of steps with different mounts, and of those with several commands.

## Fix

Safe: the commands are joined with `&&`, where no comment stands between them.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in subject.stages.iter().filter(|stage| stage.is_shipped) {
        for pair in stage.steps.windows(2) {
            let (Some((first, _)), Some((second, shell))) = (single(&pair[0]), single(&pair[1])) else { continue };
            let same = pair[0].run().zip(pair[1].run()).is_some_and(|(a, b)| {
                let mounts = |run: &jettison_dockerfile::instruction::Run| {
                    let options = run.mounts.iter().flat_map(|mount| &mount.options);
                    options.map(|o| (o.key.to_string(), o.value.as_ref().map(ToString::to_string))).collect::<Vec<_>>()
                };
                mounts(a) == mounts(b) && a.network == b.network && a.security == b.security
            });
            if !same {
                continue;
            }
            let place = pair[1].instruction.keyword.span();
            let finding = findings.report(place, "a `RUN` of one command follows another");
            finding.label(pair[0].instruction.keyword.span(), "the other one").help("join them with `&&`");
            let between = Span::new(pair[0].instruction.span.end, pair[1].instruction.span.start);
            let only_space = subject.file.text(between).trim().is_empty();
            // What stays in force would be in force for the second, too.
            let stays = first.name().is_none_or(|name| {
                matches!(name, "cd" | "export" | "set" | "umask" | "exec" | "exit" | "ulimit" | "trap" | "." | "source")
            });
            let start = shell.text.locate(second.range().start);
            if only_space && !stays && start > between.end {
                let edit = Edit::replace(Span::new(between.start, start), " && \\\n    ");
                finding.fix(Fix::safe("join the commands with `&&`", [edit]));
            }
        }
    }
}

/// The one command of a `RUN`.
fn single<'s, 'a>(step: &'s Step<'a>) -> Option<(&'s Command<'a>, &'a ShellText)> {
    let shell = step.shell.filter(|shell| step.run().is_some() && !shell.is_exec)?;
    let [item] = &shell.script.list.items[..] else { return None };
    let [command] = &step.commands[..] else { return None };
    let plain = item.connector.is_none() && item.pipeline.negated.is_none() && step.instruction.heredocs.is_empty();
    (plain && command.range() == item.pipeline.range).then_some((command, shell))
}
