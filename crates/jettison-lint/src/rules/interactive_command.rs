use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::MountKind;
use jettison_shell::{Command, PackageCall};

pub(super) static RULE: Rule = Rule {
    code: "JET302",
    name: "interactive-command",
    family: Family::General,
    severity: Severity::Info,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL3001"],
    docs: r#"
A step of the build runs a command that is of use to a person at a machine, and of none to a build.

## Why

What `service`, `mount`, `ifconfig` or `kill` change is gone when the step ends: a layer keeps files, not processes, mounts or
interfaces. What `ps`, `top` or `vim` show, nobody looks at.

## Example

```dockerfile bad lines=2,3
FROM debian:bookworm-slim
RUN service postgresql start
RUN make && top
```

```dockerfile good
FROM debian:bookworm-slim
RUN --mount=type=ssh ssh -T git@example.com
RUN service postgresql start && createdb app && service postgresql stop
RUN apt-get update && apt-get install -y vim procps
```

`ssh` is no fault where the step has a mount of an SSH agent. A service that other commands of the same step use is at work there, and
so is a `kill` that ends what the step began.

## Fix

None: the command can go, or belongs into the start of the container.
"#,
    check,
};

/// What leaves nothing behind in a layer.
const COMMANDS: [&str; 10] = ["free", "ifconfig", "kill", "mount", "ps", "service", "shutdown", "ssh", "top", "vim"];

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (_, step, shell) in subject.runs() {
        let is_other = |command: &Command<'_>| command.name().is_some_and(|name| !COMMANDS.contains(&name));
        for command in &step.commands {
            let Some(name) = command.name().filter(|name| COMMANDS.contains(name)) else { continue };
            let at_work = match name {
                // The service is used by what follows it; a process that the step began is ended by it.
                "service" => step.commands.iter().any(|other| is_other(other) && PackageCall::of(other).is_none()),
                "kill" => step.commands.iter().any(|other| other.is_background() || other.is("service")),
                "ssh" => step.mounts().iter().any(|mount| mount.kind == MountKind::Ssh) || command.has_flag(&["-V"]),
                "mount" | "ps" | "free" => command.is_piped() || command.is_conditional(),
                _ => command.has_flag(&["--version"]),
            };
            let Some(program) = command.program().filter(|_| !at_work) else { continue };
            findings
                .report(shell.span(program.range.clone()), format!("`{name}` does nothing for an image"))
                .help("leave it out, or run it when the container starts");
        }
    }
}
