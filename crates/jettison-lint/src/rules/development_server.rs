use crate::finding::{Findings, Fix};
use crate::model::{Step, Subject, VariableKind, join};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::InstructionKind;
use jettison_shell::{Command, Word};

pub(super) static RULE: Rule = Rule {
    code: "JET125",
    name: "development-server",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
The image starts a server that is made for development.

## Why

A server that reloads watches every file with a second process, for changes that an image never sees. The servers of Flask and Django say
themselves that they are not for production: they take one kind of load, and in debug mode they run what a visitor types.

## Example

```dockerfile bad lines=2
FROM python:3.12-slim
CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--reload"]
```

```dockerfile fixed
FROM python:3.12-slim
CMD ["uvicorn", "main:app", "--host", "0.0.0.0"]
```

```dockerfile bad lines=2
FROM python:3.12-slim
CMD fastapi dev main.py --port 8000
```

```dockerfile fixed
FROM python:3.12-slim
CMD fastapi run main.py --port 8000
```

```dockerfile bad lines=2
FROM python:3.12-slim
CMD ["python", "manage.py", "runserver", "0.0.0.0:8000"]
```

```dockerfile bad lines=2,3
FROM python:3.12-slim
ENV FLASK_DEBUG=1
CMD flask --app main run --host 0.0.0.0
```

```dockerfile good
FROM python:3.12-slim AS development
CMD ["uvicorn", "main:app", "--reload"]
FROM python:3.12-slim
CMD ["gunicorn", "--bind", "0.0.0.0:8000", "main:app"]
```

```text file=app.py
from flask import Flask
app = Flask(__name__)
app.run(host="0.0.0.0", debug=True)
```

```dockerfile bad lines=4
FROM python:3.12-slim
WORKDIR /app
COPY . .
CMD ["python", "app.py"]
```

## Fix

Safe: `--reload` goes, and `fastapi dev` becomes `fastapi run`. Another server is yours to choose: gunicorn, uvicorn, waitress.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(last) = subject.last() else { return };
    for name in ["ENTRYPOINT", "CMD"] {
        let Some(step) = subject.shipped().filter(|step| step.name() == name).last() else { continue };
        for command in &step.commands {
            look(subject, step, command, findings);
        }
    }
    let debugs = |name: &str, value: Option<&str>| match name {
        "FLASK_DEBUG" => {
            value.is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on"))
        }
        "FLASK_ENV" => value == Some("development"),
        _ => false,
    };
    for name in ["FLASK_DEBUG", "FLASK_ENV"] {
        let variable = last.scope.variable(name).filter(|variable| variable.kind == VariableKind::Env);
        if !variable.is_some_and(|variable| debugs(name, variable.value.as_deref())) {
            continue;
        }
        let pairs = subject.shipped().filter_map(|step| match &step.instruction.kind {
            InstructionKind::Env(pairs) => pairs.iter().rev().find(|pair| pair.key.as_str() == name),
            _ => None,
        });
        if let Some(pair) = pairs.last() {
            findings
                .report(pair.key.span(), format!("`{name}` switches Flask's debugger on"))
                .severity(Severity::Error)
                .help("set it where you develop: in a stage of its own, or with `docker run --env`");
        }
    }
}

fn look(subject: &Subject<'_>, step: &Step<'_>, command: &Command<'_>, findings: &mut Findings<'_>) {
    let Some(shell) = step.shell else { return };
    let python = command.name().is_some_and(|name| name.starts_with("python"));
    let words = command.arguments();
    // `python -m uvicorn …` is `uvicorn …`.
    let (name, words) = match words.iter().position(|word| word.text() == "-m").filter(|_| python) {
        Some(at) => match words.get(at + 1) {
            Some(module) => (module.text(), &words[at + 2..]),
            None => return,
        },
        None => (command.name().unwrap_or_default().into(), words),
    };
    let has = |text: &str| words.iter().find(|word| word.text() == text);
    let mut report = |word: &Word, message: String, help: &str| {
        findings.report(shell.span(word.range.clone()), message).help(help);
    };
    match &*name {
        "uvicorn" | "hypercorn" | "gunicorn" | "granian" | "sanic" | "daphne" | "fastapi" => {
            if let Some(word) = has("--reload") {
                let finding = findings
                    .report(
                        shell.span(word.range.clone()),
                        format!("{name} watches for changes that an image never sees"),
                    )
                    .help("leave `--reload` out");
                if let Some(edit) = step.remove_word(subject.file, word.range.clone()) {
                    finding.fix(Fix::safe("leave `--reload` out", [edit]));
                }
            }
            if let Some(word) = words.first().filter(|word| name == "fastapi" && word.text() == "dev") {
                findings
                    .report(shell.span(word.range.clone()), "`fastapi dev` is for development")
                    .help("write `fastapi run`")
                    .fix(Fix::safe("write `fastapi run`", [shell.replace(word.range.clone(), "run")]));
            }
        }
        "flask" => {
            if let Some(word) = has("run") {
                report(word, "Flask's own server is for development".to_owned(), "start gunicorn or waitress");
            }
        }
        _ => {
            let manage = words.iter().any(|word| word.text().ends_with("manage.py"))
                || name.ends_with("manage.py")
                || name == "django-admin"
                || name == "django";
            if let Some(word) = has("runserver").filter(|_| manage) {
                report(
                    word,
                    "Django's own server is for development".to_owned(),
                    "start gunicorn or uvicorn with the project's `wsgi` or `asgi`",
                );
            } else if let Some(word) = words.iter().find(|word| word.text().ends_with(".py")).filter(|_| python) {
                script(subject, step, word, findings);
            }
        }
    }
}

/// A script of the project that starts such a server.
fn script(subject: &Subject<'_>, step: &Step<'_>, word: &Word, findings: &mut Findings<'_>) {
    let (Some(shell), Some(last)) = (step.shell, subject.last()) else { return };
    let Some(path) = join(last.workdir.as_deref().or(Some("/")), &word.text()) else { return };
    let Some(path) = subject.origin(last, last.steps.len(), &path) else { return };
    let Some(text) = subject.context.read(&path) else { return };
    let flask = text.contains("Flask(");
    let line = text.lines().enumerate().find_map(|(number, line)| {
        let code = line.split('#').next().unwrap_or_default();
        let what = if code.contains("uvicorn.run(") {
            code.contains("reload=True").then_some("watches for changes that an image never sees")
        } else if code.contains("app.run(") && flask {
            Some("starts Flask's own server, which is for development")
        } else {
            None
        };
        Some((number + 1, what?))
    });
    let Some((line, what)) = line else { return };
    let name = path.as_str().unwrap_or_default();
    findings
        .report(shell.span(word.range.clone()), format!("{name} {what} (line {line})"))
        .help("start gunicorn, uvicorn or waitress with the application instead");
}

#[cfg(test)]
mod tests {
    use crate::{Config, Context, Selector, lint};
    use jettison_dockerfile::Dockerfile;

    /// The texts at which the rule finds something.
    fn found(text: &str) -> Vec<String> {
        let config = Config { select: Selector::parse("JET125").unwrap(), ..Config::default() };
        let file = Dockerfile::parse(text);
        let found = lint(&file, &Context::none(), &(), &config);
        let place = |finding: &crate::Finding| match finding.place {
            crate::Place::Dockerfile(span) => file.text(span).to_owned(),
            crate::Place::Context { .. } => String::new(),
        };
        found.iter().map(place).collect()
    }

    #[test]
    fn what_is_started_last_counts() {
        for (text, expected) in [
            (
                r#"CMD uvicorn --reload a:b
CMD uvicorn a:b"#,
                &[] as &[&str],
            ),
            (r#"CMD ["python", "-m", "flask", "--app", "x", "run"]"#, &[r#"run"#] as &[&str]),
            (r#"CMD exec gunicorn --reload a:b"#, &[r#"--reload"#] as &[&str]),
            (r#"CMD ["uvicorn", "a:b", "--reload-dir", "x"]"#, &[] as &[&str]),
            (r#"CMD python -m django runserver && echo"#, &[r#"runserver"#] as &[&str]),
            (
                r#"ENTRYPOINT ["/app/manage.py"]
CMD ["runserver"]"#,
                &[] as &[&str],
            ),
            (
                r#"RUN flask run
ENV FLASK_ENV=production FLASK_DEBUG=0"#,
                &[] as &[&str],
            ),
        ] {
            assert_eq!(found(&format!("FROM python:3.12-slim\n{text}\n")), *expected, "{text}");
        }
    }
}
