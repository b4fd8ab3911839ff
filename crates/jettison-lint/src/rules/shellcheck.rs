use crate::catalog::{ShellcheckNote, ShellcheckScript};
use crate::finding::{Findings, Fix};
use crate::model::{ShellText, Stage, Step, Subject, System};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Edit, Span};
use jettison_shell::Dialect;

pub(super) static RULE: Rule = Rule {
    code: super::SHELLCHECK,
    name: "shellcheck",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
ShellCheck finds something wrong with the script of a `RUN`.

## Why

A `RUN` is a shell script, and ShellCheck knows the ways in which such scripts go wrong. It is run when it is installed, with the shell
and the variables that the script has at its place. Its own codes are taken where a rule is named: `SC2086` can be selected and
ignored, in the configuration and in comments.

Not listened to is what means nothing in a Dockerfile: `SC1090` and `SC1091` (files of the image that it cannot read), `SC2154`
(variables that the base image may set), `SC2187` (which shell `ash` is), and where the name of the image does not tell that `/bin/sh` is
dash, that POSIX lacks something (`SC3…`).

## Example

```dockerfile bad lines=4
FROM debian:bookworm-slim
ARG TARGET
RUN mkdir -p /srv && \
    echo $TARGET >/srv/target
```

```dockerfile fixed unsafe
FROM debian:bookworm-slim
ARG TARGET
RUN mkdir -p /srv && \
    echo "$TARGET" >/srv/target
```

```dockerfile good
FROM debian:bookworm-slim
ARG TARGET
RUN echo "$TARGET"
CMD echo $TARGET
RUN ["echo", "$TARGET"]
```

## Fix

Unsafe: what ShellCheck proposes. Quotes, for one, are wrong where a variable was meant to be several words.
"#,
    check,
};

/// What means nothing here; see the documentation.
const UNHEARD: [u32; 4] = [1090, 1091, 2154, 2187];

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let runs: Vec<_> = subject.runs().filter(|(_, _, shell)| !shell.is_exec).collect();
    let texts: Vec<(String, usize)> = runs.iter().map(|(stage, step, shell)| script(stage, step, shell)).collect();
    if texts.is_empty() {
        return;
    }
    let scripts: Vec<_> = texts.iter().map(|(text, _)| ShellcheckScript { text }).collect();
    let Some(notes) = subject.catalog.shellcheck(&scripts) else { return };
    for (((stage, _, shell), (_, above)), notes) in runs.iter().zip(&texts).zip(notes) {
        for note in notes {
            let lacks = (3000..4000).contains(&note.code) && !is_dash(stage);
            if note.range.start < *above || lacks || UNHEARD.contains(&note.code) || !subject.config.hears(note.code) {
                continue;
            }
            let code = format!("SC{}", note.code);
            let finding = findings.report(place(shell, &note, *above), note.message.trim_end_matches('.'));
            finding.help(format!("see https://www.shellcheck.net/wiki/{code}")).severity(note.severity);
            finding.fix = fix(shell, &note, *above);
            finding.foreign_code = Some(code);
        }
    }
}

/// A script with what it finds when it starts written above it: its shell, the options of that shell, variables that have values. The
/// number says how many bytes that is.
fn script(stage: &Stage<'_>, step: &Step<'_>, shell: &ShellText) -> (String, usize) {
    let program = match (shell.shell.dialect, stage.system()) {
        (Dialect::Bash, _) | (Dialect::Posix, System::RedHat | System::Suse) => "#!/bin/bash\n",
        (Dialect::Posix, _) => "#!/bin/dash\n",
    };
    let mut text = program.to_owned();
    if shell.shell.errexit {
        text.push_str("set -e\n");
    }
    if shell.shell.pipefail && program.contains("bash") {
        text.push_str("set -o pipefail\n");
    }
    let is_name = |name: &&str| {
        !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let names: Vec<_> = step.scope.names().filter(is_name).filter(|name| !name.is_empty()).collect();
    if !names.is_empty() {
        // Read from somewhere, so that they may be anything.
        let names = names.join(" ");
        text.push_str(&format!("export {names}\nread -r {names}\n"));
    }
    let above = text.len();
    text.push_str(&shell.text);
    (text, above)
}

/// Whether `/bin/sh` is dash, by the name of the image.
fn is_dash(stage: &Stage<'_>) -> bool {
    stage.system().has_apt()
}

fn place(shell: &ShellText, note: &ShellcheckNote, above: usize) -> Span {
    let end = (note.range.end - above).min(shell.text.len());
    shell.span((note.range.start - above).min(end)..end)
}

fn fix(shell: &ShellText, note: &ShellcheckNote, above: usize) -> Option<Fix> {
    if note.replacements.is_empty() {
        return None;
    }
    let edits: Option<Vec<_>> = note
        .replacements
        .iter()
        .map(|(range, text)| {
            let range = range.start.checked_sub(above)?..range.end.checked_sub(above)?;
            (range.start <= range.end && range.end <= shell.text.len())
                .then(|| Edit::replace(shell.span(range), text.as_str()))
        })
        .collect();
    Some(Fix::unsafe_("write what ShellCheck proposes", edits?))
}
