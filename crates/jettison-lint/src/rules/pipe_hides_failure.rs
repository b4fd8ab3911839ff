use crate::finding::{Findings, Fix};
use crate::model::{ShellText, Stage, Subject, System};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Edit;
use jettison_shell::syntax::Node;
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
            let before = pipe.pipeline.nodes.split_last().map_or(&[][..], |(_, before)| before);
            // Of a compound command nothing is known; the last one is heard.
            let simple = before.iter().all(|node| matches!(node, Node::Simple(_)));
            !(pipe.pipefail || simple && pipe.commands.iter().take(before.len()).all(cannot_fail))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Context, lint};
    use jettison_dockerfile::Dockerfile;

    #[test]
    fn some_pipes_have_nothing_to_hide() {
        for (script, hides) in [
            ("curl -fsSL x | sh", true),
            ("echo a | curl -T - x | cat", true),
            ("(curl x; ls) | cat", true),
            ("curl x | while read -r line; do make $line; done", true),
            ("find / | while read -r line; do make $line; done", false),
            ("x=$(curl x | jq .)", true),
            ("x=$(dpkg --print-architecture | cut -d- -f1)", false),
            ("find . | xargs -r rm | cat", true),
            ("find . | xargs -r ls | cat", false),
            ("set -o pipefail; curl x | sh", false),
            ("bash -o pipefail -c 'curl x | sh'", false),
            ("bash -c 'curl x | sh'", true),
            ("curl x || sh", false),
            ("curl x '|' sh", false),
        ] {
            let file = Dockerfile::parse(&format!("FROM debian:12\nRUN {script}\n"));
            let found = lint(&file, &Context::none(), &(), &Config::only(&RULE));
            assert_eq!(!found.is_empty(), hides, "{script}");
        }
    }
}
