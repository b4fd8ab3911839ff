use crate::finding::Findings;
use crate::model::words::listed;
use crate::model::{Demand, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use crate::tables::wheels::has_no_musl_wheel;

pub(super) static RULE: Rule = Rule {
    code: "JET109",
    name: "musl-without-wheels",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &[],
    docs: r#"
Requirements without wheels for musl are compiled on Alpine.

## Why

Most distributions have wheels for both C libraries today: of 34 with extensions in C that are asked for often, 25 do. On Alpine the others
are compiled with every build, which takes minutes, a compiler and headers, or they do not build at all, like `torch`. They are the reason to
take the slim image of Debian, and if there are none, Alpine is as good.

## Example

```text file=requirements.txt
flask==3.1.0
scikit-learn==1.7.0
torch
```

```dockerfile bad lines=1
FROM python:3.12-alpine
COPY requirements.txt .
RUN pip install -r requirements.txt
```

```dockerfile good
FROM python:3.12-slim
COPY requirements.txt .
RUN pip install -r requirements.txt
```

```dockerfile good
FROM python:3.12-alpine
RUN pip install flask numpy
```

A lock says itself which wheels there are:

## Example

```text file=uv.lock
[[package]]
name = "cffi"
version = "1.17.1"
wheels = [{ url = "https://files.example/cffi-1.17.1-cp312-cp312-manylinux_2_17_x86_64.whl" }]

[[package]]
name = "numpy"
version = "2.3.0"
wheels = [{ url = "https://files.example/numpy-2.3.0-cp312-cp312-musllinux_1_2_x86_64.whl" }]

[[package]]
name = "flask"
version = "3.1.0"
wheels = [{ url = "https://files.example/flask-3.1.0-py3-none-any.whl" }]
```

```dockerfile bad lines=1
FROM python:3.12-alpine
WORKDIR /app
COPY uv.lock pyproject.toml ./
RUN pip install uv && uv sync --frozen
```

## Fix

None. Take the slim image, or another distribution: `psycopg2-binary` in place of `psycopg2`.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in subject.stages.iter().filter(|stage| stage.is_needed && stage.system().is_musl()) {
        let layout = subject.layout(stage);
        let mut blocking: Vec<String> = Vec::new();
        let mut calls = Vec::new();
        for install in &layout.installs {
            let demands = subject.demands(install);
            let before = blocking.len();
            for demand in &demands.all {
                let name = demand.name.to_string();
                if !blocking.contains(&name) && blocks(subject, demand) {
                    blocking.push(name);
                }
            }
            if blocking.len() > before {
                calls.push(install.at);
            }
        }
        if blocking.is_empty() {
            continue;
        }
        let (has, is) = if blocking.len() == 1 { ("has", "is") } else { ("have", "are") };
        let message = format!("{} {has} no wheel for musl and {is} compiled on Alpine", listed(&blocking));
        let finding = findings.report(stage.syntax.from.image.span(), message);
        for at in calls {
            let (command, _) = subject.call(at);
            if let Some(shell) = subject.step(at).shell {
                finding.label(shell.span(command.range()), "compiled here");
            }
        }
        finding.help(match blocking.iter().find_map(|name| binary(name)) {
            Some(binary) => format!("take the slim image, for which there are more wheels, and `{binary}`"),
            None => "take the slim image, for which there are wheels".to_owned(),
        });
    }
}

/// Whether a distribution is known to have no wheel that runs with musl: its lock, the index or a table says so.
fn blocks(subject: &Subject<'_>, demand: &Demand) -> bool {
    if let Some(wheels) = &demand.wheels {
        return !wheels.iter().any(|wheel| wheel.ends_with("-any.whl") || wheel.contains("musllinux"));
    }
    match subject.catalog.has_musl_wheel(&demand.name, &demand.versions) {
        Some(has) => !has,
        None => has_no_musl_wheel(demand.name.as_str()),
    }
}

/// The distribution of the same that has wheels.
fn binary(name: &str) -> Option<&'static str> {
    match name {
        "psycopg2" => Some("psycopg2-binary"),
        "psycopg-c" => Some("psycopg-binary"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::examples::found;

    #[test]
    fn only_musl_and_only_what_is_known_to_block() {
        for (text, lines) in [
            ("FROM python:3.12-alpine\nRUN pip install psycopg2 numpy\n", &[1][..]),
            ("FROM python:3.12-alpine\nRUN pip install psycopg2-binary numpy pandas\n", &[]),
            ("FROM python:3.12\nRUN pip install psycopg2\n", &[]),
            (
                "FROM python:3.12-alpine AS b\nRUN pip wheel -w /w torch\nFROM python:3.12-alpine\nCOPY --from=b /w /w\n",
                &[1],
            ),
            ("FROM python:3.12-alpine AS unused\nRUN pip install torch\nFROM python:3.12-slim\n", &[]),
            ("FROM python:3.12-alpine\nRUN pip install $PACKAGES\n", &[]),
        ] {
            assert_eq!(found("JET109", text, &[]), lines, "{text}");
        }
    }
}
