use crate::finding::{Findings, Fix};
use crate::model::{Stage, Step, Subject, covers};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::{InstructionKind, Transfer};
use jettison_dockerfile::{Edit, Span};
use jettison_shell::packages::OperandKind;
use jettison_shell::syntax::ConnectorKind;
use jettison_shell::{Command, Word};

pub(super) static RULE: Rule = Rule {
    code: "JET115",
    name: "owner-changed-in-later-layer",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
`chown -R` or `chmod -R` stores files of an earlier layer a second time.

## Why

A layer holds whole files. One whose owner or mode changes is stored again with all its bytes, and the first copy stays where it is: nine
gigabytes of a model become eighteen. `COPY --chown=` and `--chmod=` set both while the file is written.

## Example

```dockerfile bad lines=5
FROM python:3.12-slim
RUN useradd --create-home app
WORKDIR /app
COPY . .
RUN chown -R app:app /app
USER app
```

```dockerfile fixed
FROM python:3.12-slim
RUN useradd --create-home app
WORKDIR /app
COPY --chown=app:app . .
RUN chown app:app /app
USER app
```

```dockerfile good
FROM python:3.12-slim
RUN useradd --create-home app
WORKDIR /app
COPY --chown=app:app . .
USER app
```

A user that is made too late is made earlier:

```dockerfile bad lines=4
FROM python:3.12-slim
WORKDIR /app
COPY . .
RUN useradd --create-home app && chown -R app /app
USER app
```

```dockerfile fixed
FROM python:3.12-slim
WORKDIR /app
RUN useradd --create-home app
COPY --chown=app . .
RUN chown app /app
USER app
```

```dockerfile bad lines=3
FROM python:3.12-slim
COPY bin /opt/bin
RUN chmod -R 755 /opt/bin
```

## Fix

`--chown=` is written into each `COPY`, and the directory itself is all that is left for `chown`. Safe where no other `RUN` can have made
files in it; unsafe otherwise. There is none where the user does not exist before the `COPY`, nor for `chmod`, whose letters have no
`--chmod=`.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in subject.stages.iter().filter(|stage| stage.is_shipped) {
        for (at, step) in stage.steps.iter().enumerate() {
            let Some(shell) = step.shell.filter(|_| step.run().is_some()) else { continue };
            for command in &step.commands {
                let Some(change) = Change::of(step, command) else { continue };
                let before = earlier(subject, stage, at);
                let hits: Vec<&Step<'_>> = before.into_iter().filter(|step| change.touches(step)).collect();
                let Some(first) = hits.first() else { continue };
                let message = format!("`{} -R` stores the files of an earlier layer again", change.program);
                let finding = findings.report(shell.span(command.range()), message);
                finding.label(first.instruction.keyword.span(), "they come from here");
                let option = if change.program == "chown" { "--chown=" } else { "--chmod=" };
                finding.help(format!("write `{option}{}` in the `{}`", change.value, first.name()));
                let saves: u64 = hits.iter().map(|step| bytes(subject, step)).sum();
                if saves > 0 {
                    finding.saves(saves);
                }
                if let Some(fix) = fix(subject, stage, at, command, &change, &hits) {
                    finding.fix(fix);
                }
            }
        }
    }
}

/// A `chown -R` or `chmod -R`.
struct Change<'c> {
    program: &'c str,
    /// The owner, or the mode.
    value: String,
    /// Absolute, without `/` at the end.
    paths: Vec<String>,
    flag: &'c Word,
}

impl<'c> Change<'c> {
    fn of(step: &Step<'_>, command: &'c Command<'_>) -> Option<Self> {
        let program = command.name().filter(|name| matches!(*name, "chown" | "chmod" | "chgrp"))?;
        let flag = command.flag(&["-R", "--recursive"])?;
        if command.has_flag(&["--reference", "--from"]) {
            return None;
        }
        let operands = command.operands(&[]);
        let (value, paths) = operands.split_first()?;
        let directory = command.directory().filter(|directory| directory.starts_with('/'));
        let directory = directory.or(step.workdir.as_deref()).unwrap_or("/");
        let mut absolute = Vec::new();
        for path in paths {
            let text = path.literal()?;
            let text = text.strip_suffix("/*").unwrap_or(&text);
            absolute.push(crate::model::join(Some(directory), text)?);
        }
        Some(Self { program, value: value.literal()?.into_owned(), paths: absolute, flag })
    }

    /// Whether it changes what a `COPY` or `ADD` wrote, which has not set the same already.
    fn touches(&self, step: &Step<'_>) -> bool {
        let Some(transfer) = transfer(step) else { return false };
        let is_set = match self.program {
            "chmod" => transfer.chmod.is_some(),
            _ => transfer.chown.as_ref().and_then(|owner| step.expand(owner)).is_some_and(|owner| owner == self.value),
        };
        let Some(destination) = step.destination() else { return false };
        let destination = destination.trim_end_matches('/');
        let hit = |path: &String| covers(path, destination) || !destination.is_empty() && covers(destination, path);
        !is_set && self.paths.iter().any(hit)
    }
}

fn transfer<'a>(step: &Step<'a>) -> Option<&'a Transfer> {
    match &step.instruction.kind {
        InstructionKind::Copy(copy) => Some(&copy.transfer),
        InstructionKind::Add(add) => Some(&add.transfer),
        _ => None,
    }
}

/// The steps before step `at` of `stage`, from the bottom up.
fn earlier<'s, 'a>(subject: &'s Subject<'a>, stage: &'s Stage<'a>, at: usize) -> Vec<&'s Step<'a>> {
    let chain = subject.chain(stage);
    let below = chain.into_iter().filter(|other| other.syntax.index != stage.syntax.index);
    below.flat_map(|stage| &stage.steps).chain(&stage.steps[..at]).collect()
}

/// The bytes that a step copies from the context, as far as it is known.
fn bytes(subject: &Subject<'_>, step: &Step<'_>) -> u64 {
    let sources: Vec<String> = step
        .context_sources()
        .into_iter()
        .filter_map(|source| crate::model::join(Some("/"), &step.expand(source)?))
        .collect();
    if sources.is_empty() {
        return 0;
    }
    let ignore = subject.context.ignore();
    let files = subject.context.files().iter().filter(|file| {
        let ignored = ignore.is_some_and(|ignore| ignore.patterns.matches(file.path.as_bytes()));
        !ignored
            && file.path.as_str().is_some_and(|path| sources.iter().any(|source| covers(source, &format!("/{path}"))))
    });
    files.map(|file| file.bytes).sum()
}

fn fix(
    subject: &Subject<'_>,
    stage: &Stage<'_>,
    at: usize,
    command: &Command<'_>,
    change: &Change<'_>,
    hits: &[&Step<'_>],
) -> Option<Fix> {
    let step = &stage.steps[at];
    let shell = step.shell?;
    let (user, group) = change.value.split_once(':').unwrap_or((&change.value, ""));
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    let is_simple =
        change.program == "chown" && !user.is_empty() && plain(user) && plain(group) && !change.value.ends_with(':');
    let is_whole = matches!(&*change.flag.text(), "-R" | "--recursive");
    if !is_simple || !is_whole || !command.is_top_level() || command.range().end > shell.text.len() {
        return None;
    }
    // Every file of it is from a `COPY` of this stage.
    let first = stage.steps.iter().position(|step| hits.first().is_some_and(|hit| std::ptr::eq(*hit, step)))?;
    let covered = |path: &String| {
        hits.iter().any(|hit| hit.destination().is_some_and(|to| covers(path, to.trim_end_matches('/'))))
    };
    let within = |hit: &&Step<'_>| {
        hit.destination().is_some_and(|to| change.paths.iter().any(|path| covers(path, to.trim_end_matches('/'))))
    };
    let in_stage = |hit: &&Step<'_>| stage.steps.iter().any(|step| std::ptr::eq(*hit, step));
    if !change.paths.iter().all(covered)
        || !hits.iter().all(|hit| within(hit) && in_stage(hit) && transfer(hit).is_some_and(|t| t.chown.is_none()))
    {
        return None;
    }
    let mut edits: Vec<Edit> = Vec::new();
    for hit in hits {
        let end = hit.instruction.keyword.span().end;
        edits.push(Edit { span: Span::new(end, end), text: format!(" --chown={}", change.value) });
    }
    let number = |name: &str| name.is_empty() || name.bytes().all(|b| b.is_ascii_digit());
    let known = |name: &str| {
        number(name) || matches!(name, "root" | "nobody" | "www-data") || subject.makes_user(stage, first, name)
    };
    let makes_group = |name: &str| {
        subject.chain(stage).iter().flat_map(|stage| &stage.steps).take_while(|step| !std::ptr::eq(*step, hits[0])).any(
            |step| {
                step.commands.iter().any(|c| {
                    matches!(c.name(), Some("groupadd" | "addgroup")) && c.arguments().iter().any(|w| w.text() == name)
                })
            },
        )
    };
    // A linked copy sees no `/etc/passwd` to look a name up in.
    let linked = hits.iter().any(|hit| transfer(hit).is_some_and(|transfer| transfer.link));
    if linked && !(number(user) && number(group)) {
        return None;
    }
    if known(user) && (known(group) || makes_group(group)) {
        edits.push(shell.remove(subject.file, change.flag.range.clone())?);
    } else {
        // The user is made in this very `RUN`, and nothing else is done in it: that goes above the first `COPY`.
        let makers = &step.commands[..step.commands.iter().position(|other| other.range() == command.range())?];
        let last = makers.last()?;
        let makes = |command: &Command<'_>| {
            matches!(command.name(), Some("useradd" | "adduser" | "groupadd" | "addgroup"))
                && command.connector_after().is_some_and(|connector| connector.kind == ConnectorKind::And)
                && command.is_top_level()
        };
        let made = |name: &str| {
            number(name) || makers.iter().any(|maker| maker.arguments().iter().any(|word| word.text() == name))
        };
        let runs_first = step.run().is_some_and(|run| run.mounts.is_empty()) && step.instruction.flags.is_empty();
        if !makers.iter().all(makes) || !made(user) || !made(group) || !runs_first || makers.first()?.range().start != 0
        {
            return None;
        }
        let text = subject.file.text(shell.span(0..last.range().end));
        let above = hits[0].instruction.span.start;
        edits.insert(0, Edit { span: Span::new(above, above), text: format!("RUN {text}\n") });
        let gone = shell.span(0..command.range().start);
        edits.push(Edit { span: gone, text: String::new() });
        edits.push(Edit { span: shell.span(change.flag.range.clone()), text: String::new() });
        // The blank behind the flag.
        let end = change.flag.range.end;
        if shell.text.get(end..end + 1) == Some(" ") {
            let span = Span::new(edits.last()?.span.start, shell.span(end..end + 1).end);
            edits.last_mut()?.span = span;
        }
    }
    let title = format!("write `--chown={}` in the `COPY`", change.value);
    let others = stage.steps[..=at].iter().flat_map(|step| step.commands.iter().map(move |command| (step, command)));
    let clean = others.into_iter().all(|(step, other)| {
        std::ptr::eq(step, &stage.steps[at]) && other.range().start >= command.range().start
            || is_harmless(step, other, &change.paths)
    });
    Some(if clean { Fix::safe(title, edits) } else { Fix::unsafe_(title, edits) })
}

/// Whether a command makes no files below `paths`.
fn is_harmless(step: &Step<'_>, command: &Command<'_>, paths: &[String]) -> bool {
    if let Some((_, call)) = step.packages.iter().find(|(other, _)| other.range() == command.range()) {
        let builds =
            call.operands.iter().any(|operand| matches!(operand.kind, OperandKind::Path | OperandKind::Editable));
        return !builds && !call.has(&["--target", "-t", "--prefix", "--root"]);
    }
    let below = |word: &Word| {
        paths.iter().any(|path| {
            word.text().strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
        })
    };
    match command.name() {
        Some(
            "useradd" | "adduser" | "groupadd" | "addgroup" | "usermod" | "chown" | "chmod" | "rm" | "set" | "echo"
            | "true" | "cd" | "export" | "ls" | "locale-gen" | "ldconfig",
        ) => true,
        Some("mkdir" | "install") => {
            !command.arguments().iter().any(below)
                && command.arguments().iter().all(|word| word.text().starts_with(['/', '-']))
        }
        Some(name) if name.starts_with("python") => {
            command.arguments().iter().any(|word| matches!(&*word.text(), "venv" | "pip"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, Context, Selector, lint};
    use jettison_dockerfile::Dockerfile;

    /// The texts at which the rule finds something.
    fn found(text: &str) -> Vec<String> {
        let config = Config { select: Selector::parse("JET115").unwrap(), ..Config::default() };
        let file = Dockerfile::parse(text);
        let found = lint(&file, &Context::none(), &(), &config);
        let place = |finding: &crate::Finding| match finding.place {
            crate::Place::Dockerfile(span) => file.text(span).to_owned(),
            crate::Place::Context { .. } => String::new(),
        };
        found.iter().map(place).collect()
    }

    #[test]
    fn what_is_stored_twice() {
        for (text, expected) in [
            (
                r#"WORKDIR /app
RUN chown -R 1000 ."#,
                &[] as &[&str],
            ),
            (
                r#"COPY a /app/a
RUN chown 1000 /app"#,
                &[] as &[&str],
            ),
            (
                r#"COPY . /app
RUN chown -R 1000 /app /data"#,
                &[r#"chown -R 1000 /app /data"#] as &[&str],
            ),
            (
                r#"COPY --chown=1000:1000 . /app
RUN chown -R 1000:1000 /app"#,
                &[] as &[&str],
            ),
            (
                r#"COPY . /app
RUN cd /app && chmod -R a+rX ."#,
                &[r#"chmod -R a+rX ."#] as &[&str],
            ),
            (
                r#"COPY . /app
RUN chown -R $WHO /app"#,
                &[] as &[&str],
            ),
            (
                r#"COPY . /app
RUN chown -R app $WHERE"#,
                &[] as &[&str],
            ),
            (
                r#"RUN chown -R app /app
COPY . /app"#,
                &[] as &[&str],
            ),
        ] {
            assert_eq!(found(&format!("FROM python:3.12-slim\n{text}\n")), *expected, "{text}");
        }
    }
}
