use crate::finding::{Findings, Fix};
use crate::model::{Step, Subject, covers};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Dockerfile, Edit, Span};
use jettison_shell::PackageCall;
use jettison_shell::packages::{Action, Manager, OperandKind};

pub(super) static RULE: Rule = Rule {
    code: "JET113",
    name: "recommended-packages-installed",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &["DL3015"],
    docs: r#"
apt installs packages that nobody asked for.

## Why

apt takes every package that one of the wanted ones recommends, and what those need in turn. In an image that is documentation, fonts,
a mail server, a Perl; seldom what the application runs on. In Debian 12 `gcc libc6-dev libpq-dev` recommend 39 more packages, which take
59 MB. Stages that are not shipped are let be, and so are packages that recommend nothing.

## Example

```dockerfile bad lines=2
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y libpq5 && rm -rf /var/lib/apt/lists/*
```

```dockerfile fixed
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libpq5 && rm -rf /var/lib/apt/lists/*
```

```dockerfile good
FROM debian:bookworm-slim
RUN echo 'APT::Install-Recommends "false";' >/etc/apt/apt.conf.d/lean
RUN apt-get update && apt-get install -y libpq5 && rm -rf /var/lib/apt/lists/*
```

```dockerfile good
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y tini libgomp1 && rm -rf /var/lib/apt/lists/*
```

A few packages do not work without what they recommend; it is then written down:

```dockerfile bad lines=2
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y \
        gcc \
        libpq-dev \
    && rm -rf /var/lib/apt/lists/*
```

```dockerfile fixed
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
        gcc \
        libc6-dev \
        libpq-dev \
    && rm -rf /var/lib/apt/lists/*
```

## Fix

`--no-install-recommends` is written. Safe where all packages are known to do without what they recommend in Debian 12 and 13, but for what
the fix adds: `libc6-dev` for `gcc`, `ca-certificates` for `git`, `curl` and `wget`. Unsafe for others, and for `git` where SSH is used.
"#,
    check,
};

/// Packages of Debian 12 and 13 that recommend nothing an image needs, and what the others need beside them.
const KNOWN: &[(&str, &[&str])] = &[
    ("adduser", &[]),
    ("build-essential", &[]),
    ("bzip2", &[]),
    ("ca-certificates", &[]),
    ("curl", &["ca-certificates"]),
    ("default-libmysqlclient-dev", &[]),
    ("dumb-init", &[]),
    ("g++", &[]),
    ("gcc", &["libc6-dev"]),
    ("gfortran", &[]),
    ("git", &["ca-certificates"]),
    ("gosu", &[]),
    ("jq", &[]),
    ("libbz2-dev", &[]),
    ("libc-dev", &[]),
    ("libc6-dev", &[]),
    ("libcairo2", &[]),
    ("libcairo2-dev", &[]),
    ("libffi-dev", &[]),
    ("libffi8", &[]),
    ("libgeos-dev", &[]),
    ("libgl1", &[]),
    ("libgomp1", &[]),
    ("libjpeg-dev", &[]),
    ("libjpeg62-turbo-dev", &[]),
    ("liblzma-dev", &[]),
    ("libmagic1", &[]),
    ("libmariadb-dev", &[]),
    ("libmariadb3", &[]),
    ("libopenblas-dev", &[]),
    ("libpq-dev", &[]),
    ("libpq5", &[]),
    ("libreadline-dev", &[]),
    ("libsm6", &[]),
    ("libsnappy-dev", &[]),
    ("libsqlite3-dev", &[]),
    ("libssl-dev", &[]),
    ("libxext6", &[]),
    ("libxml2", &[]),
    ("libxml2-dev", &[]),
    ("libxrender1", &[]),
    ("libxslt1-dev", &[]),
    ("libxslt1.1", &[]),
    ("make", &[]),
    ("netcat-openbsd", &[]),
    ("pkg-config", &[]),
    ("pkgconf", &[]),
    ("procps", &[]),
    ("tini", &[]),
    ("tzdata", &[]),
    ("unixodbc", &[]),
    ("unixodbc-dev", &[]),
    ("unzip", &[]),
    ("wget", &["ca-certificates"]),
    ("xz-utils", &[]),
    ("zlib1g-dev", &[]),
];

/// Packages that bring nothing more with their recommendations, nor with those of what they need, in Debian 12 and 13.
const ALONE: &[&str] = &[
    "bzip2",
    "ca-certificates",
    "dumb-init",
    "gosu",
    "jq",
    "libcairo2",
    "libffi-dev",
    "libffi8",
    "libgeos-dev",
    "libgomp1",
    "liblzma-dev",
    "libmagic1",
    "libmariadb3",
    "libopenblas-dev",
    "libsm6",
    "libsnappy-dev",
    "libssl-dev",
    "libxext6",
    "libxml2",
    "libxrender1",
    "make",
    "netcat-openbsd",
    "pkg-config",
    "pkgconf",
    "tini",
    "tzdata",
    "unixodbc-dev",
    "unzip",
    "xz-utils",
];

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    // A configuration of apt's may have come with any step before, or be there from the base.
    for step in subject.shipped() {
        if configures(step) {
            return;
        }
        let Some(shell) = step.shell else { continue };
        for (_, call) in &step.packages {
            let apt = matches!(call.manager, Manager::AptGet | Manager::Apt);
            let told = call.arguments.iter().any(|word| word.text().contains("nstall-"));
            let alone = call.operands.iter().all(|operand| ALONE.contains(&&*operand.name));
            if !apt || call.action != Action::Install || told || alone {
                continue;
            }
            let Some(verb) = call.verb.clone() else { continue };
            let finding = findings
                .report(shell.span(verb.clone()), "apt installs what the packages recommend, too")
                .help("write `--no-install-recommends`");
            // Behind the flags that follow the verb.
            let flags = call.arguments.iter().skip_while(|word| word.range.start < verb.end);
            let flags =
                flags.take_while(|word| word.text().starts_with('-') && !matches!(&*word.text(), "-o" | "-t" | "--"));
            let last = flags.last().map_or(verb, |word| word.range.clone());
            let Some(edit) = shell.add_word(last, "--no-install-recommends") else { continue };
            let title = "write `--no-install-recommends`";
            let over_ssh =
                call.operands.iter().any(|operand| operand.name == "git") && subject.file.source().contains("ssh");
            match additions(call).filter(|_| !over_ssh) {
                Some(additions) => {
                    let additions = additions.into_iter().map(|(at, name)| beside(subject.file, shell.span(at), name));
                    finding.fix(Fix::safe(title, std::iter::once(edit).chain(additions)));
                }
                None => drop(finding.fix(Fix::unsafe_(title, [edit]))),
            }
        }
    }
}

/// What a package needs to be of use when nothing is recommended; `None` if it is not known.
pub(crate) fn needed_beside(package: &str) -> Option<&'static [&'static str]> {
    KNOWN.iter().find(|(name, _)| *name == package).map(|(_, needs)| *needs)
}

fn configures(step: &Step<'_>) -> bool {
    let written = step.shell.is_some_and(|shell| shell.text.contains("Install-Recommends"));
    written && step.packages.iter().all(|(_, call)| call.action != Action::Install)
        || step.destination().is_some_and(|path| covers("/etc/apt", path.trim_end_matches('/')))
}

/// What has to be named once nothing is recommended, and behind which package; `None` if it is not known.
fn additions(call: &PackageCall<'_>) -> Option<Vec<(std::ops::Range<usize>, &'static str)>> {
    let mut wanted: Vec<(std::ops::Range<usize>, &'static str)> = Vec::new();
    for operand in &call.operands {
        if operand.kind != OperandKind::Package {
            return None;
        }
        for need in needed_beside(&operand.name)? {
            let named = call.operands.iter().any(|other| {
                other.name == *need
                    || *need == "libc6-dev" && matches!(&*other.name, "build-essential" | "g++" | "libc-dev")
            });
            if !named && !wanted.iter().any(|(_, other)| other == need) {
                wanted.push((operand.range.clone(), need));
            }
        }
    }
    Some(wanted)
}

/// Writes a package behind another, in a line of its own if that one has one.
fn beside(file: &Dockerfile, package: Span, name: &str) -> Edit {
    let span = Span::new(package.end, package.end);
    let source = file.source();
    let start = source[..package.start].rfind('\n').map_or(0, |at| at + 1);
    let indent = &source[start..package.start];
    let escape = file.escape().char();
    let rest = source[package.end..].lines().next().unwrap_or_default();
    let alone = indent.trim().is_empty() && start > 0 && rest.trim_end_matches(escape).trim().is_empty();
    let text = if alone { format!(" {escape}\n{indent}{name}") } else { format!(" {name}") };
    Edit { span, text }
}
