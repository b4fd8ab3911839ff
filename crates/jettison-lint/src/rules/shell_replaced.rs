use crate::finding::{Findings, Fix};
use crate::model::{Step, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Edit;

pub(super) static RULE: Rule = Rule {
    code: "JET328",
    name: "shell-replaced",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &["DL4005"],
    docs: r#"
A step puts another shell in the place of `/bin/sh`.

## Why

Every script of the system that begins with `#!/bin/sh` gets that shell from then on, in the image too, and an update of the package
`dash` brings the old one back. `SHELL` changes the shell of the build, and nothing else.

## Example

```dockerfile bad lines=2
FROM debian:bookworm-slim
RUN rm /bin/sh && ln -s /bin/bash /bin/sh
RUN source /etc/profile
```

```dockerfile fixed unsafe
FROM debian:bookworm-slim
SHELL ["/bin/bash", "-c"]
RUN source /etc/profile
```

```dockerfile good
FROM debian:bookworm-slim
SHELL ["/bin/bash", "-c"]
RUN ln -s /bin/bash /usr/local/bin/sh5 && ls -l /bin/sh
```

## Fix

Unsafe, since scripts of the image may rely on the link: where a `RUN` does nothing else, `SHELL` is written in its place.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (_, step, shell) in subject.runs() {
        for command in step.commands.iter().filter(|command| matches!(command.name(), Some("ln" | "cp" | "mv"))) {
            let operands = command.operands(&["-S", "-t", "--suffix", "--target-directory"]);
            let [.., source, target] = operands[..] else { continue };
            let target = target.literal();
            if !matches!(target.as_deref(), Some("/bin/sh" | "/usr/bin/sh")) {
                continue;
            }
            let finding = findings.report(shell.span(command.range()), "this replaces `/bin/sh` for the whole image");
            finding.help("write `SHELL [\"/bin/bash\", \"-c\"]`");
            let program = source.literal().filter(|path| path.ends_with("bash"));
            if let Some(program) = program.filter(|_| does_nothing_else(step)) {
                let path = if program.starts_with('/') { program.to_string() } else { "/bin/bash".to_owned() };
                let line = format!("SHELL [\"{path}\", \"-c\"]");
                let edit = Edit::replace(step.instruction.span, line);
                finding.fix(Fix::unsafe_("write `SHELL`", [edit]));
            }
        }
    }
}

/// Whether all its commands are about `/bin/sh`.
fn does_nothing_else(step: &Step<'_>) -> bool {
    let about = |command: &jettison_shell::Command<'_>| {
        matches!(command.name(), Some("ln" | "rm" | "mv"))
            && command.arguments().iter().any(|word| matches!(&*word.text(), "/bin/sh" | "/usr/bin/sh"))
    };
    step.commands.iter().all(about)
}
