use crate::finding::{Findings, Fix};
use crate::model::words::listed;
use crate::model::{Base, Brought, Stage, Subject, System, is_of_system, is_root};
use crate::rule::{Family, Fixable, Rule, Severity};
use crate::tables::libraries::{Release, has_library, is_same_library, runtime_packages};
use crate::tables::wheels::always_compiled;
use jettison_dockerfile::{Edit, Span};
use jettison_shell::packages::{Action, Manager, OperandKind};

pub(super) static RULE: Rule = Rule {
    code: "JET108",
    name: "runtime-library-missing",
    family: Family::Python,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
What the builder compiled is linked with a library that the image does not have.

## Why

The import fails when the container starts: `ImportError: libpq.so.5: cannot open shared object file`. The builder has the library along
with its headers; the stage that runs needs the library alone.

## Example

```text file=requirements.txt
fastapi==0.121.2
psycopg2==2.9.11
```

```dockerfile bad lines=7
FROM python:3.12 AS builder
WORKDIR /app
COPY requirements.txt .
RUN pip install --prefix=/install -r requirements.txt

FROM python:3.12-slim
COPY --from=builder /install /usr/local
CMD ["uvicorn", "main:app"]
```

```dockerfile fixed
FROM python:3.12 AS builder
WORKDIR /app
COPY requirements.txt .
RUN pip install --prefix=/install -r requirements.txt

FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends libpq5 && rm -rf /var/lib/apt/lists/*
COPY --from=builder /install /usr/local
CMD ["uvicorn", "main:app"]
```

```dockerfile bad lines=8
FROM python:3.12-slim AS builder
COPY requirements.txt .
RUN python -m venv /opt/venv && apt-get update && apt-get install -y gcc libpq-dev
RUN /opt/venv/bin/pip install -r requirements.txt

FROM python:3.12-slim
RUN apt-get update && apt-get install -y curl && rm -rf /var/lib/apt/lists/*
COPY --from=builder /opt/venv /opt/venv
```

```dockerfile fixed
FROM python:3.12-slim AS builder
COPY requirements.txt .
RUN python -m venv /opt/venv && apt-get update && apt-get install -y gcc libpq-dev
RUN /opt/venv/bin/pip install -r requirements.txt

FROM python:3.12-slim
RUN apt-get update && apt-get install -y curl libpq5 && rm -rf /var/lib/apt/lists/*
COPY --from=builder /opt/venv /opt/venv
```

```dockerfile good
FROM python:3.12-slim AS builder
COPY requirements.txt .
RUN python -m venv /opt/venv && apt-get update && apt-get install -y gcc libpq-dev
RUN /opt/venv/bin/pip install -r requirements.txt

FROM python:3.12-slim
RUN apt-get update && apt-get install -y libpq5 && rm -rf /var/lib/apt/lists/*
COPY --from=builder /opt/venv /opt/venv
```

```dockerfile good
FROM python:3.12-slim AS builder
RUN pip install --prefix=/install psycopg2-binary

FROM python:3.12-slim
COPY --from=builder /install /usr/local
```

Where the requirements cannot be seen, what the builder has for compiling tells as much:

## Example

```dockerfile bad lines=5
FROM python:3.12-alpine AS builder
RUN apk add --no-cache gcc musl-dev postgresql-dev
RUN pip install --prefix=/install -r requirements.txt
FROM python:3.12-alpine
COPY --from=builder /install /usr/local
```

```dockerfile fixed
FROM python:3.12-alpine AS builder
RUN apk add --no-cache gcc musl-dev postgresql-dev
RUN pip install --prefix=/install -r requirements.txt
FROM python:3.12-alpine
RUN apk add --no-cache libpq
COPY --from=builder /install /usr/local
```

## Fix

Safe: the package of the library is added to what the stage installs, or a `RUN` that installs it is written below its `FROM`. Of
distributions that have wheels nothing is said: these bring their libraries along.
"#,
    check,
};

/// Development packages (by Debian's names) that are there for distributions without wheels alone.
const TELLING: [&str; 4] = ["libpq-dev", "default-libmysqlclient-dev", "libldap-dev", "libcairo2-dev"];

/// A library that is needed.
struct Need {
    /// The development package that it is known by.
    development: &'static str,
    /// The distribution that is linked with it, or the development package as it was installed.
    by: String,
    /// Where it is asked for.
    label: Option<Span>,
}

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(last) = subject.last() else { return };
    let Some(image) = last.image.as_ref().filter(|image| !image.is_full_python()) else { return };
    // Without a package manager there is nobody to ask for a name.
    let (Some(release), false) = (Release::of(image), image.reference.repository().contains("buildpack-deps")) else {
        return;
    };
    if says_too_little(subject, last) {
        return;
    }
    let installed = subject.packages_of(last);
    let mut missing: Vec<(Need, Vec<&'static str>)> = Vec::new();
    let mut place = None;
    for (need, span) in needs(subject, last) {
        let known = missing.iter().any(|(other, _)| is_same_library(other.development, need.development));
        if known || installed.iter().any(|package| has_library(&package.name, need.development)) {
            continue;
        }
        let Some(packages) = runtime_packages(need.development, release).filter(|packages| !packages.is_empty()) else {
            continue;
        };
        place = place.or(Some(span));
        missing.push((need, packages));
    }
    let Some(span) = place else { return };
    let packages: Vec<&str> = missing.iter().flat_map(|(_, packages)| packages.iter().copied()).collect();
    let by: Vec<&str> = missing.iter().map(|(need, _)| need.by.as_str()).collect();
    let needs = if missing.len() == 1 { "needs" } else { "need" };
    let message = format!(
        "{} {needs} {} when it runs, and the image does not have {}",
        listed(&by),
        listed(&packages),
        if packages.len() == 1 { "it" } else { "them" }
    );
    let finding = findings.report(span, message);
    for (need, _) in &missing {
        if let Some(label) = need.label {
            finding.label(label, "compiled with it");
        }
    }
    if last.system() == System::Distroless {
        finding.help("copy the libraries, too, or take an image that has a package manager");
        return;
    }
    finding.help(format!("install {} in the last stage", listed(&packages)));
    if let Some((title, edit)) = edit(subject, last, release, &packages) {
        finding.fix(Fix::safe(title, [edit]));
    }
}

/// The libraries that what was built in other stages and copied to this one is linked with, each with the copy.
fn needs(subject: &Subject<'_>, last: &Stage<'_>) -> Vec<(Need, Span)> {
    let mut needs = Vec::new();
    for shipped in subject.ships(last) {
        let Some((stage, step)) = shipped.copied_by else { continue };
        let copy = subject.layouts()[stage].brought.iter().find(|brought| brought.step == step);
        let Some(span) = copy.and_then(|brought| brought.sources.first()).map(|(_, span)| *span) else { continue };
        let (command, _) = subject.call(shipped.install.at);
        let install = subject.step(shipped.install.at).shell.map(|shell| shell.span(command.range()));
        let demands = subject.demands(&shipped.install);
        for demand in &demands.all {
            let has_wheels =
                demand.wheels.as_ref().is_some_and(|wheels| wheels.iter().any(|wheel| wheel.contains("linux")));
            let libraries = always_compiled(demand.name.as_str()).filter(|_| !has_wheels).unwrap_or_default();
            needs.extend(
                libraries
                    .iter()
                    .map(|development| (Need { development, by: demand.name.to_string(), label: install }, span)),
            );
        }
        if demands.is_complete {
            continue;
        }
        let builder = &subject.stages[shipped.install.at.stage];
        let layouts = subject.layouts_of(builder);
        for package in layouts.into_iter().flat_map(|layout| &layout.packages) {
            if let Some(development) = TELLING.into_iter().find(|known| is_same_library(known, &package.name)) {
                needs.push((
                    Need {
                        development,
                        by: format!("what was compiled with {}", package.name),
                        label: Some(package.span),
                    },
                    span,
                ));
            }
        }
    }
    needs
}

/// Whether libraries may come to a stage in a way that cannot be seen: by variables, scripts, files that are copied.
fn says_too_little(subject: &Subject<'_>, last: &Stage<'_>) -> bool {
    subject.chain(last).into_iter().any(|stage| {
        let library = |brought: &Brought| {
            brought.sources.iter().any(|(source, _)| {
                (source.contains(".so")
                    || source.starts_with("/usr/lib")
                    || source.starts_with("/lib")
                    || source == "/"
                    || source == "/usr")
                    && !source.contains("python")
            })
        };
        let unknown = stage.steps.iter().flat_map(|step| &step.packages).any(|(_, call)| {
            is_of_system(call.manager)
                && call.action == Action::Install
                && call.operands.iter().any(|operand| operand.kind != OperandKind::Package)
        });
        // `xargs apt-get install < packages.txt`, `apt-get install ./x.deb`, `dpkg -i`
        let piped = stage.steps.iter().flat_map(|step| &step.commands).any(|command| {
            command.is("dpkg")
                || command.is("xargs") && command.arguments().iter().any(|word| word.text().contains("install"))
        });
        unknown || piped || subject.layout(stage).brought.iter().any(library)
    })
}

/// The packages, added to what the stage installs; else in a `RUN` below its `FROM`.
fn edit(subject: &Subject<'_>, last: &Stage<'_>, release: Release, packages: &[&str]) -> Option<(String, Edit)> {
    let words = packages.join(" ");
    let title = format!("install {}", listed(packages));
    let own = &subject.layout(last).packages;
    let suits = |manager: Manager| match release {
        Release::Alpine => manager == Manager::Apk,
        Release::RedHat => matches!(manager, Manager::Dnf | Manager::Yum | Manager::Microdnf),
        _ => matches!(manager, Manager::AptGet | Manager::Apt),
    };
    let mut beside = own.iter().rev().filter(|package| !package.is_removed && suits(package.manager));
    if let Some(package) = beside.next() {
        let (_, call) = subject.call(package.at);
        let shell = subject.step(package.at).shell?;
        let last = call.packages().last()?;
        return Some((title, shell.add_word(last.range.clone(), &words)?));
    }
    let begins_as_root = match last.base {
        Base::Stage(_) => last.steps.first().is_none_or(|step| step.user.as_deref().is_none_or(is_root)),
        _ => last.image.as_ref().and_then(|image| image.runs_as_root()) == Some(true),
    };
    let command = match release {
        Release::Alpine => format!("apk add --no-cache {words}"),
        Release::RedHat => return None,
        _ => format!(
            "apt-get update && apt-get install -y --no-install-recommends {words} && rm -rf /var/lib/apt/lists/*"
        ),
    };
    begins_as_root.then(|| (title, Edit::insert(last.head.span.end, format!("\nRUN {command}"))))
}

#[cfg(test)]
mod tests {
    use crate::examples::found;

    #[test]
    fn libraries_come_in_many_ways() {
        let image = |builder: &str, last: &str, steps: &str| {
            format!(
                "FROM {builder} AS b\nRUN apt-get install -y gcc libpq-dev\nCOPY requirements.txt .\n\
                 RUN pip install --prefix=/install -r requirements.txt\nFROM {last}\n{steps}COPY --from=b /install /usr/local\n"
            )
        };
        let slim = |steps: &str| image("python:3.12-slim", "python:3.12-slim", steps);
        let compiled = [("requirements.txt", "psycopg2==2.9\n")];
        let wheels = [("requirements.txt", "psycopg2-binary\nlxml\n")];
        for (text, files, lines) in [
            (slim(""), &compiled[..], &[6][..]),
            (slim("RUN apt-get install -y libpq5\n"), &compiled, &[]),
            (slim("RUN apt-get install -y postgresql-client\n"), &compiled, &[]),
            (slim("RUN apt-get install -y libpq-dev\n"), &compiled, &[]),
            (slim("RUN apt-get install -y $PACKAGES\n"), &compiled, &[]),
            (slim("RUN apt-get install -y ./x.deb\n"), &compiled, &[]),
            (slim("COPY --from=b /usr/lib/x86_64-linux-gnu/libpq.so.5 /usr/lib/x86_64-linux-gnu/\n"), &compiled, &[]),
            (slim("RUN apt-get install -y curl\n"), &compiled, &[7]),
            (slim(""), &wheels, &[]),
            // Nothing is known of the list, but who installs `libpq-dev` compiles against it.
            (slim(""), &[], &[6]),
            (image("python:3.12", "python:3.12", ""), &compiled, &[]),
            (image("python:3.12", "example.com/base", ""), &compiled, &[]),
            (image("python:3.12", "gcr.io/distroless/python3-debian12", ""), &compiled, &[6]),
        ] {
            assert_eq!(found("JET108", &text, files), lines, "{text}");
        }
    }
}
