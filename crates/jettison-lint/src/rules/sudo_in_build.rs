use crate::finding::{Findings, Fix};
use crate::model::{ShellText, Step, Subject, System};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Edit, Span};
use jettison_shell::Command;

pub(super) static RULE: Rule = Rule {
    code: "JET304",
    name: "sudo-in-build",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &["DL3004"],
    docs: r#"
A step of the build calls `sudo`.

## Why

A build is root until `USER` says otherwise, so `sudo` has nothing to give: it has to be installed, clears the environment that `ENV`
has set, and stays in the image, where it is a way to become root.

## Example

```dockerfile bad lines=2,3
FROM debian:bookworm-slim
RUN sudo apt-get update && sudo -E apt-get install -y --no-install-recommends curl
RUN mkdir /srv/app && sudo chown 1000 /srv/app
```

```dockerfile fixed
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends curl
RUN mkdir /srv/app && chown 1000 /srv/app
```

```dockerfile good
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends gosu
USER app
```

```dockerfile bad lines=3
FROM debian:bookworm-slim
USER app
RUN sudo apt-get update
```

## Fix

Safe where the step is root's: `sudo` is taken away. Behind a `USER`, and on images that may have one, it is left to you: write
`USER root` above the step and the user below it.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (stage, step, shell) in subject.runs() {
        let is_root = match step.user.as_deref() {
            Some(user) => matches!(user.split(':').next(), Some("root" | "0")),
            None => !matches!(stage.system(), System::Unknown | System::Distroless | System::Wolfi | System::Windows),
        };
        for command in &step.commands {
            let Some(span) = sudo(command, shell) else { continue };
            let finding = findings.report(span, "`sudo` in a build");
            finding.help(if is_root { "leave it out: the build is root here" } else { "write `USER root` above" });
            finding.fix = is_root.then(|| fix(step, shell, command)).flatten();
        }
    }
}

/// The word `sudo` that leads to a command, or is one.
fn sudo(command: &Command<'_>, shell: &ShellText) -> Option<Span> {
    let words = command.wrappers().iter().chain(command.program());
    let is_sudo = |text: &str| text.rsplit('/').next() == Some("sudo");
    let word = words.into_iter().find(|word| word.literal().is_some_and(|text| is_sudo(&text)))?;
    Some(shell.span(word.range.clone()))
}

/// Takes `sudo` away where it stands first and changes nothing but the user.
fn fix(step: &Step<'_>, shell: &ShellText, command: &Command<'_>) -> Option<Fix> {
    let (first, options) = command.wrappers().split_first()?;
    let plain = |text: &str| matches!(text, "-E" | "-n" | "-H" | "-S" | "--preserve-env" | "--");
    if first.literal()? != "sudo" || !options.iter().all(|word| plain(&word.text())) || step.run().is_none() {
        return None;
    }
    let start = shell.text.locate(first.range.start);
    let end = shell.text.locate(command.program()?.range.start);
    Some(Fix::safe("leave out `sudo`", [Edit::delete(Span::new(start, end))]))
}
