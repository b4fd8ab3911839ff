use crate::finding::Findings;
use crate::model::{Step, Subject, covers};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Span;
use jettison_dockerfile::instruction::InstructionKind;
use jettison_shell::packages::{Action, Manager};
use jettison_shell::{Command, PackageCall};

pub(super) static RULE: Rule = Rule {
    code: "JET114",
    name: "removed-in-later-layer",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &[],
    docs: r#"
Something is removed in a later layer than the one that holds it.

## Why

Layers are stored and pulled one by one. A file that one layer brings and a later one removes is still in the first: the removal adds a
marker that hides it. Only what is made and removed by one `RUN` is in no layer.

## Example

```dockerfile bad lines=3
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y libpq5
RUN rm -rf /var/lib/apt/lists/*
```

```dockerfile good
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y libpq5 && rm -rf /var/lib/apt/lists/*
```

```dockerfile bad lines=4
FROM python:3.12-slim
RUN apt-get update && apt-get install -y gcc libpq-dev && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir psycopg2
RUN apt-get purge -y gcc && apt-get autoremove -y
```

```dockerfile good
FROM python:3.13-alpine
RUN apk add --no-cache --virtual .build gcc musl-dev && pip install --no-cache-dir psycopg2 && apk del .build
```

What is copied can be mounted for the one step that needs it:

```dockerfile bad lines=5
FROM python:3.12-slim AS builder
RUN pip wheel --wheel-dir /wheels flask
FROM python:3.12-slim
COPY --from=builder /wheels /wheels
RUN pip install --no-cache-dir /wheels/*.whl && rm -rf /wheels
```

```dockerfile good
FROM python:3.12-slim AS builder
RUN pip wheel --wheel-dir /wheels flask
FROM python:3.12-slim
RUN --mount=type=bind,from=builder,source=/wheels,target=/wheels pip install --no-cache-dir /wheels/*.whl
```

## Fix

None. Remove it where it is made, mount it instead of copying it, or leave it in a stage of its own.
"#,
    check,
};

/// Smaller things are not worth a word.
const SMALL: u64 = 64 << 10;

/// What an earlier layer holds.
struct Brought {
    path: String,
    span: Span,
    /// Whether it came from the context or a stage, so that it could be mounted.
    copied: bool,
}

/// What an earlier layer installed.
struct Installed {
    manager: Manager,
    names: Vec<String>,
    span: Span,
}

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let mut brought: Vec<Brought> = Vec::new();
    let mut installed: Vec<Installed> = Vec::new();
    for step in subject.shipped() {
        if let Some(shell) = step.shell.filter(|_| step.run().is_some()) {
            for command in &step.commands {
                for (path, range) in step.removed(command) {
                    if step.keeps_out(&path) {
                        continue;
                    }
                    let held = brought.iter().find(|held| is_held(subject, held, &path));
                    let Some(held) = held else { continue };
                    let what = format!("{path} stays in the layer that brought it");
                    let help = match held.copied {
                        true => "mount it in the `RUN` that needs it, with `--mount=type=bind`",
                        false => "remove it in the `RUN` that makes it",
                    };
                    findings.report(shell.span(range), what).help(help).label(held.span, "brought here");
                }
            }
            for (command, call) in &step.packages {
                removed_packages(step, command, call, &installed, findings);
            }
        }
        bring(subject, step, &mut brought, &mut installed);
    }
}

/// Whether the removal of `path` takes away what an earlier layer holds.
fn is_held(subject: &Subject<'_>, held: &Brought, path: &str) -> bool {
    if covers(path, &held.path) {
        return true;
    }
    // A part of a directory: only if it is known to be there, and to be large.
    let Some(rest) = path.strip_prefix(&held.path).and_then(|rest| rest.strip_prefix('/')) else { return false };
    let below = subject.context.files().iter().filter(|file| {
        let ignored = || subject.context.ignore().is_some_and(|ignore| ignore.patterns.matches(file.path.as_bytes()));
        file.path.as_str().is_some_and(|path| covers(rest, path)) && !ignored()
    });
    held.copied && below.map(|file| file.bytes).sum::<u64>() >= SMALL
}

/// Adds what a step leaves in its layer.
fn bring(subject: &Subject<'_>, step: &Step<'_>, brought: &mut Vec<Brought>, installed: &mut Vec<Installed>) {
    if let Some(destination) = step.destination() {
        copied(subject, step, &destination, brought);
    }
    let Some(shell) = step.shell.filter(|_| step.run().is_some()) else { return };
    let mut hold = |path: String, span: Span, after: usize| {
        if !step.keeps_out(&path) && !step.removes(after, &path) {
            brought.push(Brought { path, span, copied: false });
        }
    };
    for (at, command) in step.commands.iter().enumerate() {
        let file = match command.name() {
            Some("curl") => command.flag_value(&["-o", "--output"]).map(|value| value.text.into_owned()),
            Some("wget") => command.flag_value(&["-O", "--output-document"]).map(|value| value.text.into_owned()),
            Some("git") if command.arguments().first().is_some_and(|word| word.text() == "clone") => {
                let operands = command.operands(&["-b", "--branch", "--depth", "-c", "--config", "-o", "--origin"]);
                operands.get(2).map(|word| word.text().into_owned())
            }
            _ => None,
        };
        if let Some(path) =
            file.filter(|file| file.starts_with('/') && !file.starts_with("/dev/") && !file.contains('$'))
        {
            hold(path.trim_end_matches('/').to_owned(), shell.span(command.range()), at + 1);
        }
    }
    for (command, call) in &step.packages {
        let start = command.range().start;
        let next = step.commands.iter().position(|other| other.range().start > start).unwrap_or(step.commands.len());
        let span = shell.span(call.program.start..call.verb.clone().map_or(call.program.end, |verb| verb.end));
        let apt = matches!(call.manager, Manager::AptGet | Manager::Apt | Manager::Aptitude);
        match call.action {
            Action::Update if apt => hold("/var/lib/apt/lists".to_owned(), span, next),
            Action::Install if call.manager == Manager::Pip => {
                let off = call.has(&["--no-cache-dir"]) || step.setting(command, "PIP_NO_CACHE_DIR").is_some();
                if let Some(home) = step.home().filter(|_| !off) {
                    hold(format!("{home}/.cache/pip"), span, next);
                }
            }
            _ => {}
        }
        if call.action == Action::Install {
            let mut names: Vec<String> = call.packages().map(|operand| operand.name.clone()).collect();
            names.extend(call.value(&["--virtual", "-t"]).map(|value| value.text.to_string()));
            installed.push(Installed { manager: call.manager, names, span });
        }
    }
}

/// Adds what `COPY` or `ADD` brings, if it is of a size.
fn copied(subject: &Subject<'_>, step: &Step<'_>, destination: &str, brought: &mut Vec<Brought>) {
    let plain = destination.trim_end_matches('/');
    let (sources, copied) = match &step.instruction.kind {
        InstructionKind::Copy(copy) => (&copy.transfer.sources, true),
        InstructionKind::Add(add) => (&add.transfer.sources, false),
        _ => return,
    };
    let mut paths = Vec::new();
    for source in sources {
        let jettison_dockerfile::instruction::Source::Path(source) = source else { continue };
        let Some(source) = step.expand(source) else { continue };
        let name = source.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let small = match subject
            .context
            .files()
            .iter()
            .find(|file| file.path.as_str() == Some(source.trim_start_matches("./")))
        {
            Some(file) => file.kind == crate::context::FileKind::Regular && file.bytes < SMALL,
            None => is_text(name),
        };
        if small || name.contains('*') && is_text(name) {
            continue;
        }
        let into = destination.ends_with('/') || sources.len() > 1;
        let is_file = name.contains('.') && !matches!(name, "." | "..") && !name.contains('*');
        paths.push(if into && is_file { format!("{plain}/{name}") } else { plain.to_owned() });
    }
    paths.retain(|path| !path.is_empty());
    brought.extend(paths.into_iter().map(|path| Brought { path, span: step.instruction.keyword.span(), copied }));
}

/// Whether a file of this name is a page of text.
fn is_text(name: &str) -> bool {
    [".txt", ".toml", ".lock", ".cfg", ".ini", ".sh", ".yml", ".yaml", ".json", ".md", ".py", ".conf", ".in"]
        .iter()
        .any(|end| name.ends_with(end))
        || name == "Pipfile"
}

/// Finds packages of an earlier layer that are removed.
fn removed_packages(
    step: &Step<'_>,
    command: &Command<'_>,
    call: &PackageCall<'_>,
    installed: &[Installed],
    findings: &mut Findings<'_>,
) {
    let Some(shell) = step.shell else { return };
    let family = |manager: Manager| match manager {
        Manager::AptGet | Manager::Apt | Manager::Aptitude | Manager::Dpkg => Manager::AptGet,
        Manager::Dnf | Manager::Yum | Manager::Microdnf => Manager::Dnf,
        Manager::Uv | Manager::UvPip | Manager::Pip => Manager::Pip,
        Manager::Conda | Manager::Mamba | Manager::Micromamba => Manager::Conda,
        other => other,
    };
    let ours = family(call.manager);
    // What this very `RUN` installed may go in it.
    let here = step.packages.iter().any(|(other, call)| {
        other.range().start < command.range().start
            && family(call.manager) == ours
            && matches!(call.action, Action::Install | Action::Sync | Action::Upgrade | Action::BuildDep)
    });
    let mut earlier = installed.iter().rev().filter(|earlier| family(earlier.manager) == ours);
    let span = || shell.span(call.program.start..call.verb.clone().map_or(call.program.end, |verb| verb.end));
    let (span, message, from) = match call.action {
        Action::Remove => {
            let hit = call.operands.iter().find_map(|operand| {
                let from = installed
                    .iter()
                    .rev()
                    .find(|earlier| family(earlier.manager) == ours && earlier.names.contains(&operand.name))?;
                Some((operand, from))
            });
            let Some((operand, from)) = hit else { return };
            (shell.span(operand.range.clone()), format!("{} stays in the layer that installed it", operand.name), from)
        }
        Action::Autoremove | Action::Clean if !here => {
            // A removal in the same script has been told of.
            let told =
                step.packages.iter().any(|(_, call)| call.action == Action::Remove && family(call.manager) == ours);
            let Some(from) = earlier.next().filter(|_| !told) else { return };
            (span(), "this frees nothing of an earlier layer".to_owned(), from)
        }
        _ => return,
    };
    findings
        .report(span, message)
        .help("do it in the `RUN` that installs, or install in a stage that is not shipped")
        .label(from.span, "installed here");
}

#[cfg(test)]
mod tests {
    use crate::{Config, Context, Selector, lint};
    use jettison_dockerfile::Dockerfile;
    use jettison_tree::TreePath;

    fn found(text: &str, context: &Context) -> Vec<String> {
        let config = Config { select: Selector::parse("JET114").unwrap(), ..Config::default() };
        lint(&Dockerfile::parse(text), context, &(), &config).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn small_and_unknown_things_are_let_be() {
        let none = Context::none();
        assert_eq!(
            found(
                "FROM a\nCOPY requirements.txt /tmp/\nRUN pip install -r /tmp/requirements.txt && rm -r /tmp/*\n",
                &none
            ),
            Vec::<String>::new()
        );
        assert_eq!(found("FROM a\nCOPY . /app\nRUN rm -rf /app/node_modules\n", &none), Vec::<String>::new());
        assert_eq!(
            found("FROM a\nADD https://x.example/x.tgz /tmp/\nRUN tar xf /tmp/x.tgz && rm /tmp/x.tgz\n", &none).len(),
            1
        );
        assert_eq!(found("FROM a\nRUN curl -o /tmp/x y && rm /tmp/x\nRUN rm -f /tmp/x\n", &none), Vec::<String>::new());
        let big = Context::none().with([(TreePath::parse("data/x.bin").unwrap(), "x".repeat(70_000))]);
        assert_eq!(found("FROM a\nCOPY . /app\nRUN rm -rf /app/data\n", &big).len(), 1);
    }

    #[test]
    fn what_is_installed_in_the_same_run_may_go_in_it() {
        let none = Context::none();
        assert_eq!(
            found("FROM a\nRUN apt-get install -y gcc && make && apt-get purge -y gcc && apt-get autoremove\n", &none),
            Vec::<String>::new()
        );
        assert_eq!(
            found("FROM a\nRUN apk add --virtual .b gcc\nRUN apk del .b\n", &none),
            [".b stays in the layer that installed it"]
        );
        assert_eq!(
            found("FROM a\nRUN apt-get install -y gcc\nRUN apt-get clean\n", &none),
            ["this frees nothing of an earlier layer"]
        );
        assert_eq!(
            found(
                "FROM a AS b\nRUN apt-get install -y gcc\nRUN apt-get purge -y gcc\nFROM a\nCOPY --from=b /x /x\n",
                &none
            ),
            Vec::<String>::new()
        );
    }
}
