use crate::finding::{Findings, Fix};
use crate::model::{Step, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_shell::packages::{Action, Manager};
use jettison_shell::{Command, PackageCall};

pub(super) static RULE: Rule = Rule {
    code: "JET119",
    name: "timestamped-bytecode",
    family: Family::Python,
    severity: Severity::Info,
    default: false,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
Bytecode is compiled into the image with the times of its sources in it.

## Why

A `.pyc` holds the time at which its source was written, and the interpreter compiles again when that does not fit. The times are those of
the build, so that no two builds give the same layer; and a tool that sets them all to one date makes every `.pyc` useless, without a word. A
`.pyc` with the hash of its source (PEP 552) has neither trouble. This is a pedantic rule: it is for those who want the same digest twice.

## Example

```dockerfile bad lines=2,3,4
FROM python:3.12-slim
RUN pip install --no-cache-dir flask==3.1.0
RUN uv pip install --system --compile-bytecode flask==3.1.0
RUN python -m compileall /app
```

```dockerfile fixed
FROM python:3.12-slim
RUN pip install --no-cache-dir flask==3.1.0
RUN uv pip install --system --compile-bytecode flask==3.1.0
RUN python -m compileall --invalidation-mode unchecked-hash /app
```

```dockerfile good
FROM python:3.12-slim
ENV PYC_INVALIDATION_MODE=unchecked-hash
RUN pip install --no-cache-dir --no-compile flask==3.1.0
RUN UV_COMPILE_BYTECODE=1 uv pip install --system flask==3.1.0
```

`SOURCE_DATE_EPOCH` makes Python write hashes:

```dockerfile good
FROM python:3.12-slim
ARG SOURCE_DATE_EPOCH=0
RUN pip install --no-cache-dir flask==3.1.0
```

## Fix

Safe for `compileall`, since nobody changes the sources of an image: `--invalidation-mode unchecked-hash` is written. For pip and uv there
is a choice to make: no bytecode (`--no-compile`) starts more slowly.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in subject.stages.iter().filter(|stage| stage.is_needed) {
        for step in &stage.steps {
            let Some(shell) = step.shell.filter(|_| step.run().is_some()) else { continue };
            for (command, call) in &step.packages {
                // A tool of a builder stays behind.
                if !stage.is_shipped && is_tool(call) {
                    continue;
                }
                if let Some(help) = compiles(step, command, call) {
                    let end = call.verb.clone().map_or(call.program.end, |verb| verb.end);
                    let span = shell.span(call.program.start..end);
                    findings.report(span, "the bytecode has the times of this build in it").help(help);
                }
            }
            for command in step.commands.iter().filter(|command| compileall(command)) {
                let dated = command.flag_value(&["--invalidation-mode"]).is_none_or(|mode| mode.text == "timestamp");
                if !dated || has_epoch(step, command) {
                    continue;
                }
                let finding = findings
                    .report(shell.span(command.range()), "the bytecode has the times of this build in it")
                    .help("write `--invalidation-mode unchecked-hash`");
                let module = command.arguments().iter().find(|word| word.text() == "compileall");
                if let Some(word) = module.filter(|_| !command.has_flag(&["--invalidation-mode"]))
                    && let Some(edit) = shell.add_word(word.range.clone(), "--invalidation-mode unchecked-hash")
                {
                    finding.fix(Fix::safe("write `--invalidation-mode unchecked-hash`", [edit]));
                }
            }
        }
    }
}

fn compileall(command: &Command<'_>) -> bool {
    command.name().is_some_and(|name| name.starts_with("python"))
        && command.arguments().windows(2).any(|pair| pair[0].text() == "-m" && pair[1].text() == "compileall")
}

/// Python writes hashes when it is there (`py_compile`).
fn has_epoch(step: &Step<'_>, command: &Command<'_>) -> bool {
    step.setting(command, "SOURCE_DATE_EPOCH").is_some()
}

/// Whether installers are all that it installs.
fn is_tool(call: &PackageCall<'_>) -> bool {
    let tool = |name: &str| {
        name.starts_with("poetry")
            || matches!(name, "pip" | "setuptools" | "wheel" | "build" | "uv" | "pipenv" | "pdm" | "pip-tools")
    };
    !call.operands.is_empty() && call.operands.iter().all(|operand| tool(&operand.name))
}

/// What to do about a call that compiles.
fn compiles(step: &Step<'_>, command: &Command<'_>, call: &PackageCall<'_>) -> Option<&'static str> {
    if !matches!(call.action, Action::Install | Action::Sync) || has_epoch(step, command) {
        return None;
    }
    match call.manager {
        Manager::Pip => {
            let off = call.has(&["--no-compile"]) || step.is_on(command, "PIP_NO_COMPILE");
            (!off).then_some("write `--no-compile`, or `ARG SOURCE_DATE_EPOCH` above it")
        }
        Manager::Uv | Manager::UvPip => {
            let on = call.has(&["--compile-bytecode"]) || step.is_on(command, "UV_COMPILE_BYTECODE");
            let hashed = step
                .setting(command, "PYC_INVALIDATION_MODE")
                .is_some_and(|mode| !mode.eq_ignore_ascii_case("timestamp"));
            (on && !hashed).then_some("write `ENV PYC_INVALIDATION_MODE=unchecked-hash`")
        }
        _ => None,
    }
}
