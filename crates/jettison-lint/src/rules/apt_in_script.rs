use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Edit;

pub(super) static RULE: Rule = Rule {
    code: "JET309",
    name: "apt-in-script",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &["DL3027"],
    docs: r#"
A script calls `apt`, which is made for people.

## Why

`apt` says so itself, on each run: "WARNING: apt does not have a stable CLI interface. Use with caution in scripts." `apt-get` and
`apt-cache` do the same, and keep to their options and their output.

## Example

```dockerfile bad lines=2,3
FROM debian:bookworm-slim
RUN apt update && \
    apt install -y --no-install-recommends curl && apt list --installed
```

```dockerfile fixed
FROM debian:bookworm-slim
RUN apt-get update && \
    apt-get install -y --no-install-recommends curl && apt list --installed
```

```dockerfile good
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends curl && apt-cache policy curl
```

## Fix

Safe: `apt-get` is written where it has the same verb, `apt-cache` for `show`, `search` and `policy`. `apt list` has no such twin.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (_, step, shell) in subject.runs() {
        for command in step.commands.iter().filter(|command| command.is("apt")) {
            let Some(program) = command.program() else { continue };
            let verb = command.operands(&["-o", "-t", "-c", "--option", "--target-release", "--default-release"]);
            let better = match verb.first().map(|verb| verb.text()).as_deref() {
                Some(
                    "update" | "upgrade" | "install" | "reinstall" | "remove" | "purge" | "autoremove" | "autopurge"
                    | "clean" | "autoclean" | "build-dep" | "source" | "download",
                ) => "apt-get",
                Some("show" | "search" | "policy" | "depends" | "rdepends" | "madison") => "apt-cache",
                _ => "",
            };
            let place = shell.span(program.range.clone());
            let finding = findings.report(place, "`apt` is not made for scripts");
            finding.help(if better.is_empty() {
                "use `apt-get`, `apt-cache` or `dpkg-query`".to_owned()
            } else {
                format!("write `{better}`")
            });
            if !better.is_empty() && program.plain() == Some("apt") {
                finding.fix(Fix::safe(format!("write `{better}`"), [Edit::replace(place, better)]));
            }
        }
    }
}
