use crate::finding::{Findings, Fix};
use crate::model::variables::shell_value;
use crate::model::{Demands, Destination, Install, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_shell::packages::{Action, PackageCall};

pub(super) static RULE: Rule = Rule {
    code: "JET128",
    name: "wheels-without-dependencies",
    family: Family::Python,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
Wheels are made of the requirements alone, and installed where nothing else can be had.

## Why

`pip wheel --no-deps` leaves out what the requirements need in turn, and `pip install --no-index` looks nowhere else: the build ends with
"No matching distribution found", unless the requirements list every distribution, those behind them too, as a lock does.

## Example

```text file=requirements.txt
fastapi>=0.100
uvicorn
```

```dockerfile bad lines=3
FROM python:3.12 AS builder
COPY requirements.txt .
RUN pip wheel --no-deps --wheel-dir /wheels -r requirements.txt
RUN pip install --prefix=/install --no-index --find-links=/wheels -r requirements.txt
```

```dockerfile fixed
FROM python:3.12 AS builder
COPY requirements.txt .
RUN pip wheel --wheel-dir /wheels -r requirements.txt
RUN pip install --prefix=/install --no-index --find-links=/wheels -r requirements.txt
```

```dockerfile good
FROM python:3.12 AS builder
COPY requirements.txt .
RUN pip wheel --wheel-dir /wheels -r requirements.txt
RUN pip install --prefix=/install --no-index --find-links=/wheels -r requirements.txt
```

A list in which every version is exact is taken for a complete one:

## Example

```text file=requirements.txt
click==8.1.7
flask==3.1.0
```

```dockerfile good
FROM python:3.12
COPY requirements.txt .
RUN pip wheel --no-deps -w /wheels -r requirements.txt
RUN pip install --no-index --find-links=/wheels -r requirements.txt
```

## Fix

Safe: `--no-deps` is taken away.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in subject.stages.iter().filter(|stage| stage.is_needed) {
        for install in &subject.layout(stage).installs {
            let Destination::Wheels(directory) = &install.into else { continue };
            let (_, call) = subject.call(install.at);
            let Some(option) = call.option(&["--no-deps"]) else { continue };
            let demands = subject.demands(install);
            if is_complete(&demands) || !is_used(subject, install, directory) {
                continue;
            }
            let step = subject.step(install.at);
            let Some(shell) = step.shell else { continue };
            let range = option.word.range.clone();
            let finding = findings.report(shell.span(range.clone()), "what the requirements need in turn is left out");
            finding.help("leave `--no-deps` out, or list every distribution with its exact version");
            if let Some(edit) = step.remove_word(subject.file, range) {
                finding.fix(Fix::safe("leave `--no-deps` out", [edit]));
            }
        }
    }
}

/// Whether a list may hold all that is needed: it cannot be seen, or it has exact versions throughout.
fn is_complete(demands: &Demands) -> bool {
    let exact = |versions: &str| versions.starts_with("==") && !versions.contains([',', '*']);
    demands.all.iter().all(|demand| exact(&demand.versions))
}

/// Whether a later install takes wheels from this directory alone, and what they need, too.
fn is_used(subject: &Subject<'_>, wheels: &Install, directory: &str) -> bool {
    let from_there = |call: &PackageCall<'_>, install: &Install| {
        let step = subject.step(install.at);
        let named = call.value(&["-f", "--find-links"]).map(|value| {
            let text = shell_value(step, value.word).unwrap_or_else(|| value.text.clone().into_owned());
            let text = text.rsplit_once('=').map_or(text.clone(), |(_, path)| path.to_owned());
            crate::model::join(step.workdir.as_deref().or(Some("/")), &text)
        });
        named.flatten().is_some_and(|path| path == directory || path.rsplit('/').next() == directory.rsplit('/').next())
    };
    subject.layouts().iter().flat_map(|layout| &layout.installs).any(|install| {
        let (_, call) = subject.call(install.at);
        install.at > wheels.at
            && call.action == Action::Install
            && call.has(&["--no-index"])
            && !call.has(&["--no-deps"])
            && from_there(call, install)
    })
}

#[cfg(test)]
mod tests {
    use crate::examples::found;

    #[test]
    fn it_takes_both_halves_and_a_list_that_is_not_complete() {
        let floating = [("r.txt", "flask\n")];
        let run = |wheel: &str, install: &str| format!("FROM python:3.12\nCOPY r.txt .\nRUN {wheel}\nRUN {install}\n");
        let wheel = "pip wheel --no-deps -w /w -r r.txt";
        for (text, files, lines) in [
            (run(wheel, "pip install --no-index -f /w -r r.txt"), &floating[..], &[3][..]),
            (run(wheel, "pip install --no-index --find-links /w /w/*.whl"), &floating, &[3]),
            (run(wheel, "pip install --find-links=/w -r r.txt"), &floating, &[]),
            (run(wheel, "pip install --no-index --no-deps -f /w -r r.txt"), &floating, &[]),
            (run("pip wheel -w /w -r r.txt", "pip install --no-index -f /w -r r.txt"), &floating, &[]),
            (run("pip download --no-deps -d /w flask", "pip install --no-index -f /w flask"), &floating, &[3]),
            (run(wheel, "pip install --no-index -f /w -r r.txt"), &[], &[]),
        ] {
            assert_eq!(found("JET128", &text, files), lines, "{text}");
        }
    }
}
