use crate::finding::{Findings, Fix};
use crate::model::{CacheMount, Step, Subject, System, covers};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::InstructionKind;
use jettison_dockerfile::{Edit, Span};
use jettison_shell::packages::{Action, Manager};

pub(super) static RULE: Rule = Rule {
    code: "JET127",
    name: "cache-mount-misused",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
A cache mount is there, and the installer does not use it.

## Why

With a cache mount a changed requirement costs one download instead of all of them, and wheels that were compiled once are found again:
of an 18 seconds' `pip install` here, 8 were psycopg2's compilation. `--no-cache-dir` takes that away; so does a mount at a directory that
is not the tool's, and Debian's images tell apt to empty its cache after each install.

## Example

```dockerfile bad lines=3
FROM python:3.12-slim
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip pip install --no-cache-dir -r requirements.txt
```

```dockerfile fixed
FROM python:3.12-slim
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements.txt
```

```dockerfile good
FROM python:3.12-slim
ENV PIP_CACHE_DIR=/cache
COPY requirements.txt .
RUN --mount=type=cache,target=/cache pip install -r requirements.txt
```

A mount at another directory than the user's:

```dockerfile bad lines=3
FROM python:3.12-slim
USER app
RUN --mount=type=cache,target=/root/.cache/pip pip install flask
```

apt's cache has to be kept, and can be used by one build at a time:

```dockerfile bad lines=2
FROM debian:bookworm-slim
RUN --mount=type=cache,target=/var/cache/apt \
    apt-get update && apt-get install -y --no-install-recommends libpq5 && rm -rf /var/lib/apt/lists/*
```

```dockerfile fixed
FROM debian:bookworm-slim
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    rm -f /etc/apt/apt.conf.d/docker-clean && apt-get update && apt-get install -y --no-install-recommends libpq5 && rm -rf /var/lib/apt/lists/*
```

uv cannot make hard links out of a mount, and says so at every build:

```dockerfile bad lines=2
FROM ghcr.io/astral-sh/uv:0.8.3-python3.12-bookworm-slim
RUN --mount=type=cache,target=/root/.cache/uv uv pip install --system flask
```

```dockerfile fixed
FROM ghcr.io/astral-sh/uv:0.8.3-python3.12-bookworm-slim
ENV UV_LINK_MODE=copy
RUN --mount=type=cache,target=/root/.cache/uv uv pip install --system flask
```

## Fix

Safe: the option that switches the cache off goes, `sharing=locked` and `UV_LINK_MODE=copy` are written, and the configuration that empties
apt's cache is removed first. A mount at another directory is yours to move.
"#,
    check,
};

/// Tools with a cache below the home directory.
struct Tool {
    name: &'static str,
    managers: &'static [Manager],
    directory: &'static str,
    moved_by: &'static str,
    off: &'static [&'static str],
    off_variable: &'static str,
}

static TOOLS: [Tool; 3] = [
    Tool {
        name: "pip",
        managers: &[Manager::Pip],
        directory: ".cache/pip",
        moved_by: "PIP_CACHE_DIR",
        off: &["--no-cache-dir"],
        off_variable: "PIP_NO_CACHE_DIR",
    },
    Tool {
        name: "uv",
        managers: &[Manager::Uv, Manager::UvPip],
        directory: ".cache/uv",
        moved_by: "UV_CACHE_DIR",
        off: &["--no-cache", "--no-cache-dir"],
        off_variable: "UV_NO_CACHE",
    },
    Tool {
        name: "Poetry",
        managers: &[Manager::Poetry],
        directory: ".cache/pypoetry",
        moved_by: "POETRY_CACHE_DIR",
        off: &["--no-cache"],
        off_variable: "",
    },
];

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    // One line is enough for a stage.
    let mut linked: Option<usize> = None;
    for (stage, step) in subject.steps() {
        let mounts = step.cache_mounts();
        if mounts.is_empty() {
            continue;
        }
        for tool in &TOOLS {
            home(subject, step, tool, &mounts, findings);
        }
        apt(step, stage.system(), &kept(subject, stage.syntax.index, step), &mounts, findings);
        if linked != Some(stage.syntax.index) && links(subject, step, &mounts, findings) {
            linked = Some(stage.syntax.index);
        }
    }
}

fn acts(action: Action) -> bool {
    matches!(action, Action::Install | Action::Sync | Action::Wheel | Action::Download)
}

/// A tool whose cache is off, or elsewhere.
fn home(subject: &Subject<'_>, step: &Step<'_>, tool: &Tool, mounts: &[CacheMount<'_>], findings: &mut Findings<'_>) {
    let Some(shell) = step.shell else { return };
    for (command, call) in &step.packages {
        if !tool.managers.contains(&call.manager) || !acts(call.action) {
            continue;
        }
        let moved = call.value(&["--cache-dir"]).map(|value| value.text.to_string());
        let moved = moved.or_else(|| step.setting(command, tool.moved_by));
        let xdg = step.setting(command, "XDG_CACHE_HOME").map(|cache| format!("{cache}/{}", &tool.directory[7..]));
        let known = moved.or(xdg).or_else(|| Some(format!("{}/{}", step.home()?, tool.directory)));
        let meant = mounts.iter().find(|mount| match &known {
            Some(directory) => covers(&mount.target, directory),
            None => mount.target.ends_with(tool.directory) || mount.target.ends_with("/.cache"),
        });
        let Some(mount) = meant else {
            // A mount that is plainly for this tool, and at the wrong place.
            let lost = mounts.iter().find(|mount| mount.target.ends_with(tool.directory));
            if let (Some(mount), Some(directory)) = (lost, &known)
                && directory.starts_with('/')
            {
                let message = format!("{} has its cache in {directory}, not here", tool.name);
                findings.report(mount.spec.value.span(), message).help(format!("mount the cache at `{directory}`"));
            }
            continue;
        };
        if mount.target.starts_with("/root/") && step.is_root() == Some(false) && step.scope.variable("HOME").is_none()
        {
            let message = format!(
                "{} runs as {}, whose cache is not in /root",
                tool.name,
                step.user.as_deref().unwrap_or_default()
            );
            findings
                .report(mount.spec.value.span(), message)
                .help("mount the cache in the home directory of the user, with its `uid=`");
            continue;
        }
        if let Some(option) = call.option(tool.off) {
            let range = option.word.range.clone();
            let message = format!("`{}` switches off the cache that is mounted", option.name);
            let finding =
                findings.report(shell.span(range.clone()), message).help(format!("leave `{}` out", option.name));
            finding.label(mount.spec.value.span(), "mounted here");
            if option.word.text() == option.name
                && let Some(edit) = step.remove_word(subject.file, range)
            {
                finding.fix(Fix::safe(format!("leave `{}` out", option.name), [edit]));
            }
        } else if step.setting(command, tool.off_variable).is_some_and(|value| tool.name == "pip" || value != "0") {
            let message = format!("`{}` switches off the cache that is mounted", tool.off_variable);
            findings.report(mount.spec.value.span(), message).help(format!("leave `{}` out", tool.off_variable));
        }
    }
    // Said in words only: nothing expands `~` in a mount.
    if let Some(mount) =
        mounts.iter().find(|mount| mount.target.contains("/~/") && mount.target.ends_with(tool.directory))
    {
        findings
            .report(mount.spec.value.span(), "`~` means nothing in a mount")
            .help(format!("write `target=/root/{}`", tool.directory));
    }
}

/// Whether a step up to this one keeps apt from emptying its cache.
fn kept(subject: &Subject<'_>, stage: usize, step: &Step<'_>) -> bool {
    let end = step.instruction.span.end;
    let Some(stage) = subject.stages.get(stage) else { return true };
    let chain = subject.chain(stage);
    let steps = chain.iter().flat_map(|stage| &stage.steps).filter(|step| step.instruction.span.end <= end);
    steps.into_iter().any(|step| {
        let said = |text: &str| text.contains("docker-clean") || text.contains("Keep-Downloaded-Packages");
        let copied = step.destination().is_some_and(|path| covers("/etc/apt", path.trim_end_matches('/')));
        copied
            || matches!(step.instruction.kind, InstructionKind::Run(_))
                && step.shell.is_some_and(|shell| said(&shell.text))
    })
}

/// apt's cache that is emptied, or shared.
fn apt(step: &Step<'_>, system: System, kept: &bool, mounts: &[CacheMount<'_>], findings: &mut Findings<'_>) {
    let Some(shell) = step.shell else { return };
    let installs = |manager: Manager| matches!(manager, Manager::AptGet | Manager::Apt);
    let Some((command, _)) = step.packages.iter().find(|(_, call)| installs(call.manager)) else { return };
    for mount in mounts {
        let cache = covers(&mount.target, "/var/cache/apt/archives");
        if !cache && !covers(&mount.target, "/var/lib/apt/lists") {
            continue;
        }
        let emptied = cache && !kept && system.has_apt();
        let shared = mount.option("sharing").is_none_or(|sharing| sharing.eq_ignore_ascii_case("shared"));
        if !emptied && !shared {
            continue;
        }
        let message = match (emptied, shared) {
            (true, _) => "apt empties this cache after each install",
            _ => "two builds at once fail over the locks in this cache",
        };
        let finding = findings.report(mount.spec.value.span(), message);
        let mut edits = Vec::new();
        let mut help = Vec::new();
        if shared && mount.option("sharing").is_none() {
            let end = mount.spec.value.span().end;
            let closed = mount.spec.value.span().len() == mount.spec.value.len();
            help.push("write `sharing=locked`");
            if closed {
                edits.push(Edit { span: Span::new(end, end), text: ",sharing=locked".to_owned() });
            }
        }
        if emptied {
            help.push("remove `/etc/apt/apt.conf.d/docker-clean` first");
            let first = step.commands.first().filter(|first| first.is_top_level()).unwrap_or(command);
            edits.extend(shell.prepend(first, "rm -f /etc/apt/apt.conf.d/docker-clean"));
        }
        finding.help(help.join(", and "));
        if edits.len() == help.len() && !edits.is_empty() {
            finding.fix(Fix::safe(help.join(", and "), edits));
        }
    }
}

/// uv's cache that cannot be linked from.
fn links(subject: &Subject<'_>, step: &Step<'_>, mounts: &[CacheMount<'_>], findings: &mut Findings<'_>) -> bool {
    let uv = |manager: Manager| matches!(manager, Manager::Uv | Manager::UvPip);
    let call = step.packages.iter().find(|(_, call)| uv(call.manager) && acts(call.action));
    let Some((command, call)) = call else { return false };
    let mount = mounts.iter().find(|mount| mount.target.ends_with("/uv") || mount.target.ends_with("/.cache"));
    let Some(mount) = mount else { return false };
    let off = call.has(&["--no-cache", "--no-cache-dir", "--link-mode"]) || step.is_on(command, "UV_NO_CACHE");
    if off || step.setting(command, "UV_LINK_MODE").is_some() {
        return false;
    }
    let start = step.instruction.span.start;
    let line = subject.file.source()[..start].rfind('\n').map_or(0, |at| at + 1);
    let edit = Edit { span: Span::new(start, start), text: "ENV UV_LINK_MODE=copy\n".to_owned() };
    let finding = findings
        .report(mount.spec.value.span(), "uv cannot make hard links out of a cache mount")
        .severity(Severity::Info)
        .help("write `ENV UV_LINK_MODE=copy`");
    if line == start {
        finding.fix(Fix::safe("write `ENV UV_LINK_MODE=copy`", [edit]));
    }
    true
}

#[cfg(test)]
mod tests {
    use crate::{Config, Context, Selector, lint};
    use jettison_dockerfile::Dockerfile;

    /// The texts at which the rule finds something.
    fn found(text: &str) -> Vec<String> {
        let config = Config { select: Selector::parse("JET127").unwrap(), ..Config::default() };
        let file = Dockerfile::parse(text);
        let found = lint(&file, &Context::none(), &(), &config);
        let place = |finding: &crate::Finding| match finding.place {
            crate::Place::Dockerfile(span) => file.text(span).to_owned(),
            crate::Place::Context { .. } => String::new(),
        };
        found.iter().map(place).collect()
    }

    #[test]
    fn what_a_mount_is_for() {
        for (text, expected) in [
            (
                r#"ENV UV_LINK_MODE=copy
RUN --mount=type=cache,target=/root/.cache uv sync"#,
                &[] as &[&str],
            ),
            (r#"RUN --mount=type=cache,target=/root/.cache/uv uv sync --no-cache"#, &[r#"--no-cache"#] as &[&str]),
            (r#"RUN --mount=type=cache,target=/root/.cache/uv pip install --no-cache-dir x"#, &[] as &[&str]),
            (
                r#"RUN --mount=type=cache,target=/var/cache/apt,sharing=locked apt-get update"#,
                &[r#"type=cache,target=/var/cache/apt,sharing=locked"#] as &[&str],
            ),
            (
                r#"RUN rm -f /etc/apt/apt.conf.d/docker-clean
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked apt-get update"#,
                &[] as &[&str],
            ),
            (r#"RUN --mount=type=cache,target=/go/pkg go build"#, &[] as &[&str]),
        ] {
            assert_eq!(found(&format!("FROM python:3.12-slim\n{text}\n")), *expected, "{text}");
        }
    }
}
