use crate::finding::{Findings, Fix};
use crate::model::{Stage, Step, Subject, remove_line};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_shell::packages::{Action, Manager, OperandKind};
use jettison_shell::{Command, PackageCall};

pub(super) static RULE: Rule = Rule {
    code: "JET129",
    name: "package-lists-stale",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
apt installs from lists that another layer fetched.

## Why

A layer is made once and then taken from the cache. When a package is added to the install below it a month later, the lists are a month
old, and the versions in them are gone from the archive: the build fails, or installs packages with known holes. Where `apt-get update`
and `apt-get install` stand in one `RUN`, a change of the one runs the other again.

## Example

```dockerfile bad lines=2
FROM debian:bookworm-slim
RUN apt-get update
RUN apt-get install -y --no-install-recommends libpq5
```

```dockerfile fixed
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libpq5
```

```dockerfile good
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq5 \
    && rm -rf /var/lib/apt/lists/*
```

The lists of another `RUN` do no better when it installed something, too:

```dockerfile bad lines=3
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y tini
RUN apt-get install -y libpq5
```

```dockerfile fixed
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y tini
RUN apt-get update && apt-get install -y libpq5
```

## Fix

Safe: `apt-get update` is written before the install, and a `RUN` that did nothing else goes.
"#,
    check,
};

type Call<'s, 'a> = &'s (Command<'a>, PackageCall<'a>);

fn calls<'s, 'a>(step: &'s Step<'a>) -> Vec<Call<'s, 'a>> {
    let apt = |call: &PackageCall<'_>| matches!(call.manager, Manager::AptGet | Manager::Apt | Manager::Aptitude);
    step.packages.iter().filter(|(_, call)| apt(call)).collect()
}

/// Whether a call needs the lists.
fn needs(call: &PackageCall<'_>) -> bool {
    let files = !call.operands.is_empty() && call.operands.iter().all(|operand| operand.kind == OperandKind::Path);
    let offline = call.has(&["--download-only", "-d", "--no-download", "--help"]);
    matches!(call.action, Action::Install | Action::Upgrade | Action::BuildDep) && !files && !offline
}

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in subject.stages.iter().filter(|stage| stage.is_needed) {
        in_stage(subject, stage, findings);
    }
}

fn in_stage(subject: &Subject<'_>, stage: &Stage<'_>, findings: &mut Findings<'_>) {
    let chain = subject.chain(stage);
    let below = chain.iter().filter(|other| other.syntax.index != stage.syntax.index).flat_map(|stage| &stage.steps);
    let updated = |step: &Step<'_>| calls(step).iter().any(|(_, call)| call.action == Action::Update);
    // Whether a step before fetched lists in a layer of its own, which has been found by then.
    let mut apart = false;
    let mut fetched = below.into_iter().any(updated);
    for (at, step) in stage.steps.iter().enumerate() {
        let Some(shell) = step.shell else { continue };
        let calls = calls(step);
        let update = calls.iter().position(|(_, call)| call.action == Action::Update);
        let first = calls.iter().position(|(_, call)| needs(call));
        let lists_kept = step.keeps_out("/var/lib/apt/lists");
        match (update, first) {
            (Some(update), None) if !lists_kept => {
                fetched = true;
                let next = stage.steps[at + 1..].iter().find(|step| step.packages.iter().any(|(_, call)| needs(call)));
                let Some(next) = next.filter(|next| !updated(next)) else { continue };
                apart = true;
                let (command, call) = calls[update];
                let end = call.verb.clone().map_or(call.program.end, |verb| verb.end);
                let finding = findings
                    .report(shell.span(call.program.start..end), "the package lists go stale in a layer of their own")
                    .help("write `apt-get update` in the `RUN` that installs");
                let Some((target, install)) = next.packages.iter().find(|(_, call)| needs(call)) else { continue };
                let Some(other) = next.shell else { continue };
                finding.label(other.span(install.program.clone()), "installs from them");
                let alone = step.commands.len() == 1
                    && command.is_last()
                    && step.run().is_some_and(|run| run.mounts.is_empty());
                let written = sudo(target, "apt-get update");
                if let Some(edit) = other.prepend(target, &written).filter(|_| alone && target.is_top_level()) {
                    let gone = remove_line(subject.file, step.instruction.span);
                    finding.fix(Fix::safe("write `apt-get update` before the install", [gone, edit]));
                }
            }
            (Some(update), Some(first)) if update < first => fetched = true,
            (_, Some(_)) if lists_kept => {}
            (_, Some(first)) if fetched && !apart => {
                let (command, call) = calls[first];
                let end = call.verb.clone().map_or(call.program.end, |verb| verb.end);
                let finding = findings
                    .report(shell.span(call.program.start..end), "apt installs from the package lists of another layer")
                    .help("write `apt-get update &&` before it");
                if let Some(edit) =
                    shell.prepend(command, &sudo(command, "apt-get update")).filter(|_| command.is_top_level())
                {
                    finding.fix(Fix::safe("write `apt-get update` before the install", [edit]));
                }
            }
            _ => {}
        }
    }
}

/// `written`, with `sudo` before it if `command` has one.
fn sudo(command: &Command<'_>, written: &str) -> String {
    let has = command.wrappers().first().is_some_and(|word| word.text() == "sudo");
    if has { format!("sudo {written}") } else { written.to_owned() }
}

#[cfg(test)]
mod tests {
    use crate::{Config, Context, Selector, lint};
    use jettison_dockerfile::Dockerfile;

    /// The texts at which the rule finds something.
    fn found(text: &str) -> Vec<String> {
        let config = Config { select: Selector::parse("JET129").unwrap(), ..Config::default() };
        let file = Dockerfile::parse(text);
        let found = lint(&file, &Context::none(), &(), &config);
        let place = |finding: &crate::Finding| match finding.place {
            crate::Place::Dockerfile(span) => file.text(span).to_owned(),
            crate::Place::Context { .. } => String::new(),
        };
        found.iter().map(place).collect()
    }

    #[test]
    fn lists_are_fetched_where_they_are_used() {
        for (text, expected) in [
            (r#"RUN apt-get install -y x"#, &[] as &[&str]),
            (
                r#"RUN apt-get update && apt-get install -y ./x.deb
RUN apt-get install -y ./y.deb"#,
                &[] as &[&str],
            ),
            (
                r#"RUN --mount=type=cache,target=/var/lib/apt apt-get update
RUN --mount=type=cache,target=/var/lib/apt apt-get install -y x"#,
                &[] as &[&str],
            ),
            (
                r#"RUN apt-get update
RUN apt-get update && apt-get install -y x"#,
                &[] as &[&str],
            ),
            (
                r#"RUN apt-get update
RUN apt-get install -y x
RUN apt-get install -y y"#,
                &[r#"apt-get update"#] as &[&str],
            ),
        ] {
            assert_eq!(found(&format!("FROM debian:bookworm\n{text}\n")), *expected, "{text}");
        }
    }
}
