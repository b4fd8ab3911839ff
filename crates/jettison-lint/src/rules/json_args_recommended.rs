use crate::finding::{Findings, Fix};
use crate::model::{Inherited, Stage, Step, Subject, System};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::CommandLine;
use jettison_dockerfile::{Edit, InstructionKind};

pub(super) static RULE: Rule = Rule {
    code: "JET207",
    name: "json-args-recommended",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: Some("JSONArgsRecommended"),
    hadolint: &["DL3025"],
    docs: r#"
`CMD` or `ENTRYPOINT` is run by a shell, which keeps signals from the program.

## Why

Without brackets the command is given to `/bin/sh -c`, and the shell is process 1. It hands no signal on: `docker stop` waits ten
seconds for a program that never hears of it, and kills it in the middle of its work. With an array the program itself is process 1.
Behind a `SHELL` nothing is said, since then a shell is meant.

## Example

```dockerfile bad lines=2
FROM python:3.12-slim
CMD gunicorn --bind 0.0.0.0:8000 app:app
```

```dockerfile fixed
FROM python:3.12-slim
CMD ["gunicorn", "--bind", "0.0.0.0:8000", "app:app"]
```

```dockerfile good
FROM python:3.12-slim
CMD ["gunicorn", "--bind", "0.0.0.0:8000", "app:app"]
```

What needs a shell keeps it, and `exec` puts the program in its place:

```dockerfile bad lines=2
FROM python:3.12-slim
CMD gunicorn --bind 0.0.0.0:$PORT app:app
```

```dockerfile fixed
FROM python:3.12-slim
CMD ["/bin/sh", "-c", "exec gunicorn --bind 0.0.0.0:$PORT app:app"]
```

Of several commands only a person can tell which one is to hear signals:

```dockerfile bad lines=2
FROM python:3.12-slim
CMD python migrate.py && gunicorn app:app
```

```dockerfile good
FROM python:3.12-slim
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
CMD python migrate.py && exec gunicorn app:app
```

## Fix

Safe for one plain command: it is written as an array, or as an array of `/bin/sh`, `-c` and `exec …` where a shell expands something
in it. Unsafe where an `ENTRYPOINT` and a `CMD` meet, since what one is to the other changes with the form.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in &subject.stages {
        for (index, step) in stage.steps.iter().enumerate() {
            let (InstructionKind::Cmd(CommandLine::Shell(_)) | InstructionKind::Entrypoint(CommandLine::Shell(_))) =
                &step.instruction.kind
            else {
                continue;
            };
            if has_shell(subject, stage, index) {
                continue;
            }
            let keyword = step.name();
            let arguments = step.instruction.arguments.span();
            let said = format!("a shell runs the `{keyword}`, and keeps signals from the program");
            let finding = subject.point(findings, step.instruction, arguments, said);
            finding.help(format!("write `{keyword} [\"program\", \"argument\"]`"));
            let array = if stage.system() == System::Windows { None } else { array(step) };
            if let Some(array) = array {
                let title = format!("write `{keyword} {array}`");
                let edits = [Edit::replace(arguments, array)];
                finding.fix(if has_other(subject, stage, &keyword) { Fix::unsafe_(title, edits) } else { Fix::safe(title, edits) });
            }
        }
    }
}

/// Whether a `SHELL` is in force before the instruction at `index`.
fn has_shell(subject: &Subject<'_>, stage: &Stage<'_>, index: usize) -> bool {
    let sets = |step: &Step<'_>| matches!(step.instruction.kind, InstructionKind::Shell(_));
    let mut below = subject.chain(stage);
    below.pop();
    stage.steps[..index].iter().any(sets)
        || below.iter().any(|stage| stage.steps.iter().any(sets))
        || Inherited::of(subject, stage).has_shell
}

/// Whether the stage has an `ENTRYPOINT` for this `CMD`, or a `CMD` for this `ENTRYPOINT`.
fn has_other(subject: &Subject<'_>, stage: &Stage<'_>, keyword: &str) -> bool {
    let chain = subject.chain(stage);
    let mut steps = chain.iter().flat_map(|stage| &stage.steps);
    steps.any(|step| match step.instruction.kind {
        InstructionKind::Cmd(_) => keyword == "ENTRYPOINT",
        InstructionKind::Entrypoint(_) => keyword == "CMD",
        _ => false,
    })
}

/// What a shell does by itself, and no program of that name does.
const BUILTINS: [&str; 17] = [
    ".", ":", "alias", "bg", "cd", "eval", "exit", "export", "fg", "jobs", "read", "set", "source", "trap", "type",
    "ulimit", "umask",
];

/// The command as an array, if it is one command alone.
fn array(step: &Step<'_>) -> Option<String> {
    let text = step.shell.filter(|text| !text.is_exec && text.script.errors.is_empty())?;
    let [command] = step.commands.as_slice() else { return None };
    let written = text.text[command.range()].trim();
    let first = command.simple().words.first()?;
    let is_builtin = first.plain().is_none_or(|name| BUILTINS.contains(&name));
    if written != text.text.trim() || written.starts_with('[') || is_builtin || !command.assignments().is_empty() {
        return None;
    }
    let words = match first.plain() {
        Some("exec") => command.simple().words.get(1..).filter(|words| !words.is_empty())?,
        _ => &command.simple().words,
    };
    let is_plain = |text: &str| !text.starts_with('~');
    let literal: Option<Vec<String>> = words
        .iter()
        .map(|word| word.literal().filter(|text| !word.has_glob() && is_plain(text)).map(|text| text.into_owned()))
        .collect();
    let words = match literal {
        Some(words) if command.redirections().is_empty() => words,
        _ => {
            let exec = if first.plain() == Some("exec") { "" } else { "exec " };
            vec!["/bin/sh".to_owned(), "-c".to_owned(), format!("{exec}{written}")]
        }
    };
    let words: Option<Vec<String>> = words.iter().map(|word| serde_json::to_string(word).ok()).collect();
    Some(format!("[{}]", words?.join(", ")))
}
