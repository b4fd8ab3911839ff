use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_shell::packages::{Action, Manager, Operand};

pub(super) static RULE: Rule = Rule {
    code: "JET306",
    name: "package-version-missing",
    family: Family::General,
    severity: Severity::Info,
    default: false,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL3008", "DL3018", "DL3033", "DL3037", "DL3041"],
    docs: r#"
A package of the distribution is installed without its version.

## Why

The same Dockerfile gives another image tomorrow. Versions make that visible. But Debian, Ubuntu and Alpine keep only the newest
version of a package in a release: a pinned one is gone with the next security update, and then the build fails. A base image by its
digest and a snapshot of the archive hold all packages at once; where you pin package by package all the same, select this rule.

## Example

```dockerfile bad lines=2,4
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y curl=7.88.1-10+deb12u12 jq
RUN apt-get install -y \
    tini
```

```dockerfile bad lines=2
FROM alpine:3.20
RUN apk add --no-cache --virtual .build gcc
```

```dockerfile bad lines=2
FROM fedora:41
RUN dnf install -y make && dnf clean all
```

```dockerfile good
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y curl=7.88.1-10+deb12u12 jq/bookworm ./own.deb $PACKAGES
```

```dockerfile good
FROM alpine:3.20
RUN apk add --no-cache gcc=~13 "make>4" py3-pip@edge
```

## Fix

None.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (_, step, shell) in subject.runs() {
        for (_, call) in &step.packages {
            let is_system = matches!(
                call.manager,
                Manager::Apt
                    | Manager::AptGet
                    | Manager::Aptitude
                    | Manager::Apk
                    | Manager::Dnf
                    | Manager::Yum
                    | Manager::Microdnf
                    | Manager::Zypper
            );
            if !is_system || call.action != Action::Install {
                continue;
            }
            let floating: Vec<_> = call.packages().filter(|package| floats(call.manager, package)).collect();
            let Some(first) = floating.first() else { continue };
            let message = match floating.len() {
                1 => format!("`{}` is installed in whatever version there is", first.name),
                2 => format!("`{}` and one more package are installed in whatever version there is", first.name),
                n => format!("`{}` and {} more packages are installed in whatever version there is", first.name, n - 1),
            };
            let example = match call.manager {
                Manager::Dnf | Manager::Yum | Manager::Microdnf => format!("{}-VERSION", first.name),
                _ => format!("{}=VERSION", first.name),
            };
            findings.report(shell.span(first.range.clone()), message).help(format!("write `{example}`"));
        }
    }
}

/// Whether nothing is said of the version: neither exactly nor by a bound, a release or a repository.
fn floats(manager: Manager, package: &Operand) -> bool {
    let said = match manager {
        Manager::Apk => package.text.contains(['=', '<', '>', '~', '@']),
        Manager::Apt | Manager::AptGet | Manager::Aptitude => package.text.contains(['=', '/']),
        Manager::Zypper => package.text.contains(['=', '<', '>']),
        // `name-1.2`: the version follows the last hyphen before a digit.
        _ => package.version.is_some() || package.text.contains(['=', '<', '>']),
    };
    !said
}
