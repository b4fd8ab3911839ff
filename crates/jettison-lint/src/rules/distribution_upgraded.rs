use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_shell::packages::Manager;

pub(super) static RULE: Rule = Rule {
    code: "JET315",
    name: "distribution-upgraded",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL3035"],
    docs: r#"
A step upgrades the whole distribution.

## Why

`dist-upgrade` replaces whatever it wants, removes packages that are in its way, and stores each replaced file a second time, since
the base image keeps the old one. A newer tag of the base image is smaller and says what it is.

## Example

```dockerfile bad lines=2
FROM opensuse/leap:15.5
RUN zypper --non-interactive dist-upgrade
```

```dockerfile bad lines=2
FROM debian:bookworm-slim
RUN apt-get update && apt-get dist-upgrade -y
```

```dockerfile good
FROM opensuse/leap:15.6
RUN zypper --non-interactive update && zypper --non-interactive install gcc
```

## Fix

None: take a newer base image.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (_, step, shell) in subject.runs() {
        for (_, call) in &step.packages {
            let Some(verb) = call.verb.clone() else { continue };
            let upgrades = matches!(
                (call.manager, &shell.text[verb.clone()]),
                (Manager::Zypper, "dist-upgrade" | "dup")
                    | (Manager::AptGet | Manager::Apt | Manager::Aptitude, "dist-upgrade" | "full-upgrade")
                    | (Manager::Dnf | Manager::Yum, "distro-sync" | "distribution-synchronization" | "system-upgrade")
            );
            if upgrades {
                findings
                    .report(
                        shell.span(call.program.start..verb.end),
                        "this replaces the distribution of the base image",
                    )
                    .help("take a newer base image");
            }
        }
    }
}
