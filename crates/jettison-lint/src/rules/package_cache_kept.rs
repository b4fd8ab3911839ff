use crate::finding::{Findings, Fix};
use crate::model::{Step, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_shell::packages::{Action, Manager, OperandKind};
use jettison_shell::{Command, PackageCall};

pub(super) static RULE: Rule = Rule {
    code: "JET111",
    name: "package-cache-kept",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &["DL3042", "DL3060"],
    docs: r#"
An installer leaves its cache in the image.

## Why

pip, uv, Poetry, conda and npm keep what they download for the next time. In a layer there is no next time: the bytes are stored,
pushed and pulled, and never read. A cache mount keeps them outside of the image, where the next build finds them; without one,
the cache is best switched off. Stages that are not shipped are let be.

## Example

```dockerfile bad lines=3
FROM python:3.12-slim
COPY requirements.txt .
RUN pip install -r requirements.txt
```

```dockerfile fixed
FROM python:3.12-slim
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
```

```dockerfile good
FROM python:3.12-slim
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements.txt
```

What is removed in the same `RUN` is in no layer:

```dockerfile good
FROM python:3.12-slim
ENV POETRY_CACHE_DIR=/tmp/poetry
COPY pyproject.toml poetry.lock ./
RUN pip install --no-cache-dir poetry && poetry install --only main && rm -rf $POETRY_CACHE_DIR
RUN pip install flask && rm -rf ~/.cache
```

Other installers:

```dockerfile bad lines=2,3,4
FROM continuumio/miniconda3:24.1.2-0
RUN conda install -y numpy
RUN uv pip install --system fastapi
RUN npm ci
```

```dockerfile fixed
FROM continuumio/miniconda3:24.1.2-0
RUN conda install -y numpy && conda clean -afy
RUN uv pip install --no-cache --system fastapi
RUN npm ci && npm cache clean --force
```

## Fix

Safe: `--no-cache-dir` is written for pip and `--no-cache` for uv, and conda, npm and Yarn are told to clean up in the same `RUN`.
Unsafe for Poetry: `--no-cache` needs 1.2 or later.
"#,
    check,
};

/// An installer and its cache.
struct Tool {
    name: &'static str,
    managers: &'static [Manager],
    /// Below the home directory, or absolute.
    directory: &'static str,
    /// The variable that moves it, and the option.
    moved_by: (&'static str, &'static str),
    /// The options that switch it off.
    off: &'static [&'static str],
    /// The variable that does, and whether any value will do.
    off_variable: (&'static str, bool),
    cure: Cure,
}

/// What keeps the cache out.
enum Cure {
    /// An option behind the verb.
    Option(&'static str),
    /// The same, where a recent version of the tool can be assumed.
    NewOption(&'static str),
    /// A command in the same script.
    Command(&'static str),
    /// A variable or a mount, by hand.
    Hand(&'static str),
}

static TOOLS: &[Tool] = &[
    Tool {
        name: "pip",
        managers: &[Manager::Pip],
        directory: ".cache/pip",
        moved_by: ("PIP_CACHE_DIR", "--cache-dir"),
        off: &["--no-cache-dir"],
        // pip takes `PIP_NO_CACHE_DIR=0` for a yes, too.
        off_variable: ("PIP_NO_CACHE_DIR", true),
        cure: Cure::Option("--no-cache-dir"),
    },
    Tool {
        name: "uv",
        managers: &[Manager::Uv, Manager::UvPip],
        directory: ".cache/uv",
        moved_by: ("UV_CACHE_DIR", "--cache-dir"),
        off: &["--no-cache", "-n", "--no-cache-dir"],
        off_variable: ("UV_NO_CACHE", false),
        cure: Cure::Option("--no-cache"),
    },
    Tool {
        name: "Poetry",
        managers: &[Manager::Poetry],
        directory: ".cache/pypoetry",
        moved_by: ("POETRY_CACHE_DIR", ""),
        off: &["--no-cache"],
        off_variable: ("", false),
        cure: Cure::NewOption("--no-cache"),
    },
    Tool {
        name: "Pipenv",
        managers: &[Manager::Pipenv],
        directory: ".cache/pipenv",
        moved_by: ("PIPENV_CACHE_DIR", ""),
        off: &[],
        off_variable: ("PIP_NO_CACHE_DIR", true),
        cure: Cure::Hand("write `ENV PIP_NO_CACHE_DIR=1`, or mount a cache at `/root/.cache`"),
    },
    Tool {
        name: "conda",
        managers: &[Manager::Conda, Manager::Mamba, Manager::Micromamba],
        directory: "/opt/conda/pkgs",
        moved_by: ("CONDA_PKGS_DIRS", ""),
        off: &[],
        off_variable: ("", false),
        cure: Cure::Command("conda clean -afy"),
    },
    Tool {
        name: "npm",
        managers: &[Manager::Npm],
        directory: ".npm",
        moved_by: ("npm_config_cache", "--cache"),
        off: &[],
        off_variable: ("", false),
        cure: Cure::Command("npm cache clean --force"),
    },
    Tool {
        name: "Yarn",
        managers: &[Manager::Yarn],
        directory: "/usr/local/share/.cache/yarn",
        moved_by: ("YARN_CACHE_FOLDER", "--cache-folder"),
        off: &[],
        off_variable: ("", false),
        cure: Cure::Command("yarn cache clean"),
    },
];

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for step in subject.shipped() {
        let Some(shell) = step.shell else { continue };
        // One finding a tool: what cleans up after one call does so after all.
        let mut told: Vec<&str> = Vec::new();
        for (command, call) in step.packages.iter().rev() {
            let Some(tool) = TOOLS.iter().find(|tool| tool.managers.contains(&call.manager)) else { continue };
            let by_command = matches!(tool.cure, Cure::Command(_));
            if by_command && told.contains(&tool.name) || !fills(call) || is_kept_out(step, command, call, tool) {
                continue;
            }
            told.push(tool.name);
            let verb = call.verb.clone().unwrap_or_else(|| call.program.clone());
            let span = shell.span(call.program.start..verb.end.max(call.program.end));
            let finding = findings.report(span, format!("{} leaves its cache in the image", tool.name));
            let fix = |edit| Fix::safe(String::new(), [edit]);
            match &tool.cure {
                Cure::Option(option) | Cure::NewOption(option) => {
                    let title = format!("write `{option}`");
                    finding.help(format!("{title}, or mount a cache at `{}`", home(step, tool)));
                    // Links into a cache that is gone lead nowhere.
                    let linked = step.setting(command, "UV_LINK_MODE").is_some_and(|mode| mode == "symlink")
                        || call.value(&["--link-mode"]).is_some_and(|mode| mode.text == "symlink");
                    if let Some(edit) = shell.add_word(verb, option).filter(|_| !linked) {
                        let fix = match tool.cure {
                            Cure::Option(_) => Fix::safe(title, [edit]),
                            _ => Fix::unsafe_(title, [edit]),
                        };
                        finding.fix(fix);
                    }
                }
                Cure::Command(clean) => {
                    let clean = match call.manager {
                        Manager::Mamba => "mamba clean -afy",
                        Manager::Micromamba => "micromamba clean --all --yes",
                        _ => clean,
                    };
                    let title = format!("run `{clean}` in the same `RUN`");
                    finding.help(title.clone());
                    if let Some(edit) = shell.append(subject.file, command, clean) {
                        finding.fix(Fix { title, ..fix(edit) });
                    }
                }
                Cure::Hand(help) => drop(finding.help(*help)),
            }
        }
    }
}

/// Whether the call writes to a cache at all.
fn fills(call: &PackageCall<'_>) -> bool {
    let conda = matches!(call.manager, Manager::Conda | Manager::Mamba | Manager::Micromamba);
    let acts = match call.action {
        Action::Install | Action::Sync | Action::Download | Action::Wheel | Action::Upgrade => true,
        Action::Create => conda,
        _ => false,
    };
    let help = call.has(&["--help", "-h", "--version", "--dry-run"]);
    let local = call.has(&["--no-index"])
        || call.has(&["--no-deps"])
            && !call.operands.is_empty()
            && call.operands.iter().all(|operand| operand.kind == OperandKind::Path && operand.name.ends_with(".whl"));
    acts && !help && !local
}

/// Whether the cache is off, outside of the image or removed.
fn is_kept_out(step: &Step<'_>, command: &Command<'_>, call: &PackageCall<'_>, tool: &Tool) -> bool {
    let (variable, any) = tool.off_variable;
    if call.has(tool.off) || step.is_on(command, variable) || any && step.setting(command, variable).is_some() {
        return true;
    }
    let start = command.range().start;
    let later = step.packages.iter().filter(|(other, _)| other.range().start > start);
    if later.into_iter().any(|(_, other)| tool.managers.contains(&other.manager) && other.action == Action::Clean) {
        return true;
    }
    let next = step.commands.iter().position(|other| other.range().start > start).unwrap_or(step.commands.len());
    let moved = call.value(&[tool.moved_by.1]).map(|value| value.text.to_string());
    let directory = moved.or_else(|| step.setting(command, tool.moved_by.0));
    if let Some(directory) = directory.filter(|directory| directory.starts_with('/')) {
        let named = |word: &jettison_shell::Word| word.text().contains(tool.moved_by.0);
        let mut removals = step.commands[next..].iter().filter(|command| command.is("rm"));
        return step.keeps_out(&directory)
            || step.removes(next, &directory)
            || removals.any(|removal| removal.arguments().iter().any(named));
    }
    match cache(step, tool) {
        Some(directory) => step.keeps_out(&directory) || step.removes(next, &directory),
        // Whose home it is cannot be told: one that looks like it will do.
        None => {
            let is_it =
                |path: &str| path.ends_with(tool.directory) || path.ends_with("/.cache") || path.ends_with("/.npm");
            let mut removals = step.commands[next..].iter().flat_map(|command| step.removed(command));
            step.cache_mounts().iter().any(|mount| is_it(&mount.target)) || removals.any(|(path, _)| is_it(&path))
        }
    }
}

fn cache(step: &Step<'_>, tool: &Tool) -> Option<String> {
    if tool.directory.starts_with('/') {
        return Some(tool.directory.to_owned());
    }
    match step.scope.value("XDG_CACHE_HOME").zip(tool.directory.strip_prefix(".cache/")) {
        Some((cache, rest)) => Some(format!("{cache}/{rest}")),
        None => Some(format!("{}/{}", step.home()?, tool.directory)),
    }
}

fn home(step: &Step<'_>, tool: &Tool) -> String {
    cache(step, tool).unwrap_or_else(|| format!("~/{}", tool.directory))
}

#[cfg(test)]
mod tests {
    use crate::{Config, Context, Selector, lint};
    use jettison_dockerfile::Dockerfile;

    /// The texts at which the rule finds something.
    fn found(text: &str) -> Vec<String> {
        let config = Config { select: Selector::parse("JET111").unwrap(), ..Config::default() };
        let file = Dockerfile::parse(text);
        let found = lint(&file, &Context::none(), &(), &config);
        let place = |finding: &crate::Finding| match finding.place {
            crate::Place::Dockerfile(span) => file.text(span).to_owned(),
            crate::Place::Context { .. } => String::new(),
        };
        found.iter().map(place).collect()
    }

    #[test]
    fn each_tool_has_its_ways_to_keep_it_out() {
        for (text, expected) in [
            (
                r#"ENV PIP_NO_CACHE_DIR=0
RUN pip install x"#,
                &[] as &[&str],
            ),
            (
                r#"ENV PIP_NO_CACHE_DIR=1
RUN python3 -m pip install x"#,
                &[] as &[&str],
            ),
            (r#"RUN PIP_NO_CACHE_DIR=1 pip install x && pip install y"#, &[r#"pip install"#] as &[&str]),
            (r#"RUN export PIP_NO_CACHE_DIR=1; pip install x"#, &[] as &[&str]),
            (r#"RUN --mount=type=cache,target=/root/.cache pip install x"#, &[] as &[&str]),
            (r#"RUN --mount=type=cache,target=/cache pip install x"#, &[r#"pip install"#] as &[&str]),
            (r#"RUN --mount=type=cache,target=/cache pip install --cache-dir /cache x"#, &[] as &[&str]),
            (r#"RUN --mount=type=tmpfs,target=/root/.cache pip install x"#, &[] as &[&str]),
            (r#"RUN pip install x && pip cache purge"#, &[] as &[&str]),
            (r#"RUN pip install x && rm -rf /root/.cache/*"#, &[] as &[&str]),
            (r#"RUN rm -rf /root/.cache && pip install x"#, &[r#"pip install"#] as &[&str]),
            (
                r#"USER app
RUN --mount=type=cache,target=/home/app/.cache/pip,uid=1000 pip install x"#,
                &[] as &[&str],
            ),
            (r#"RUN pip install --no-index --find-links=/wheels x"#, &[] as &[&str]),
            (r#"RUN pip --version && pip list"#, &[] as &[&str]),
            (
                r#"ENV UV_NO_CACHE=1
RUN uv sync"#,
                &[] as &[&str],
            ),
            (r#"RUN uv sync --no-cache && uv pip install -n --system x"#, &[] as &[&str]),
            (r#"RUN uv sync"#, &[r#"uv sync"#] as &[&str]),
            (r#"RUN conda install -y x && conda install -y y && conda clean --all -y"#, &[] as &[&str]),
            (r#"RUN npm ci && rm -rf /root/.npm"#, &[] as &[&str]),
            (
                r#"FROM python:3.12-slim
COPY --from=0 / /"#,
                &[] as &[&str],
            ),
        ] {
            assert_eq!(found(&format!("FROM python:3.12-slim\n{text}\n")), *expected, "{text}");
        }
    }
}
