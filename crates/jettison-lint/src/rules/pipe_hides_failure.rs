use crate::finding::{Findings, Fix};
use crate::model::{ShellText, Stage, Subject, System};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Edit;
use jettison_shell::{Command, Dialect};
use std::collections::BTreeSet;

pub(super) static RULE: Rule = Rule {
    code: "JET329",
    name: "pipe-hides-failure",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &["DL4006"],
    docs: r#"
A command fails in the middle of a pipe, and the build goes on.

## Why

The status of a pipe is that of its last command. `curl … | tar x` of an address that is gone ends well enough for `sh` in many cases,
and an empty directory goes into the layer and into the cache. With `pipefail` the step fails.

## Example

```dockerfile bad lines=2,3
FROM debian:bookworm-slim
RUN curl -fsSL https://example.com/a.sh | sh
RUN wget -qO- https://example.com/b | tr a b >/b
```

```dockerfile fixed unsafe
FROM debian:bookworm-slim
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN curl -fsSL https://example.com/a.sh | sh
RUN wget -qO- https://example.com/b | tr a b >/b
```

```dockerfile bad lines=2
FROM alpine:3.20
RUN wget -qO- https://example.com/b | tr a b >/b
```

```dockerfile fixed unsafe
FROM alpine:3.20
SHELL ["/bin/ash", "-o", "pipefail", "-c"]
RUN wget -qO- https://example.com/b | tr a b >/b
```

```dockerfile good
FROM debian:bookworm-slim
RUN echo '#!/bin/sh' | tee /x && printf 'a\n' | sort && yes | make config
RUN find /usr/local -name '*.so' | xargs ldd | awk '{ print $1 }' | sort -u | xargs -r dpkg-query --search
RUN set -o pipefail && curl -fsSL https://example.com/a.sh | sh
SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
RUN curl -fsSL https://example.com/a.sh | sh
```

```dockerfile good
FROM mcr.microsoft.com/windows/servercore:ltsc2022
SHELL ["powershell", "-Command"]
RUN Get-Content a | Select-String b
```

A pipe of programs that write words, list what is there or pick from it (`echo`, `find`, `grep`, `sort`) has nothing to hide, and with
`pipefail` it would break where nothing is found.

## Fix

Unsafe, since `pipefail` also hears of a program that was cut off on purpose (`… | head -1`): `SHELL` is written above the first such
`RUN` of a stage, with bash, or ash on Alpine.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let mut mended = BTreeSet::new();
    for (stage, step, shell) in subject.runs() {
        let pipes = shell.script.pipelines_in(&shell.shell);
        let Some(pipe) = pipes.iter().find(|pipe| {
            // The last one is heard; compound commands are not in the list.
            let heard = pipe.commands.len() == pipe.pipeline.nodes.len();
            let before =
                if heard { pipe.commands.split_last().map_or(&[][..], |(_, rest)| rest) } else { &pipe.commands[..] };
            !pipe.pipefail && !(heard && before.iter().all(cannot_fail))
        }) else {
            continue;
        };
        let place = pipe.pipeline.pipes.first().map_or(pipe.pipeline.range.clone(), |pipe| pipe.range.clone());
        let finding = findings.report(shell.span(place), "nobody hears of a failure before this pipe");
        let line = shell_line(stage, shell);
        finding.help(match &line {
            Some(line) => format!("write `{line}` above"),
            None => "set `pipefail` with `SHELL`, or use a file in between".to_owned(),
        });
        let below = subject.chain(stage).iter().any(|stage| mended.contains(&stage.syntax.index));
        if let Some(line) = line.filter(|_| !below) {
            let edit = Edit::insert(step.instruction.span.start, format!("{line}\n"));
            finding.fix(Fix::unsafe_("set `pipefail`", [edit]));
            mended.insert(stage.syntax.index);
        }
    }
}

/// The shell that a stage has, with `pipefail`.
fn shell_line(stage: &Stage<'_>, shell: &ShellText) -> Option<String> {
    let program = match (stage.system(), shell.shell.dialect) {
        _ if shell.is_exec => return None,
        (System::Alpine, Dialect::Posix) => "/bin/ash",
        (_, Dialect::Bash) | (System::Debian | System::Ubuntu | System::RedHat | System::Suse, _) => "/bin/bash",
        _ => return None,
    };
    let options = if shell.shell.errexit { "-eo" } else { "-o" };
    Some(format!("SHELL [\"{program}\", \"{options}\", \"pipefail\", \"-c\"]"))
}

/// What writes words, lists what is there, or picks from what it is given: it has no work to fail at, or fails where nothing is found.
#[rustfmt::skip]
const HARMLESS: [&str; 38] = [
    ":", "apt-cache", "apt-mark", "arch", "awk", "basename", "cat", "cut", "date", "dirname", "dpkg", "dpkg-architecture",
    "dpkg-query", "echo", "egrep", "find", "fgrep", "getconf", "getent", "grep", "head", "id", "ldconfig", "ldd", "ls", "lsb_release",
    "printf", "rev", "scanelf", "sed", "seq", "sort", "tail", "tr", "true", "uname", "uniq", "yes",
];

fn cannot_fail(command: &Command<'_>) -> bool {
    let lists = |command: &Command<'_>| command.name().is_some_and(|name| HARMLESS.contains(&name));
    // `xargs` does what the program that it starts does.
    let launches = command.launches();
    match command.is("xargs") {
        true => !launches.is_empty() && launches.iter().all(lists),
        false => lists(command),
    }
}
