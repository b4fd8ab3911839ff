use crate::finding::{Findings, Fix};
use crate::model::{Step, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Edit;
use jettison_shell::packages::{Action, Manager};
use jettison_shell::{Command, PackageCall};

pub(super) static RULE: Rule = Rule {
    code: "JET112",
    name: "package-lists-left",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &["DL3009", "DL3019", "DL3032", "DL3036", "DL3040"],
    docs: r#"
The package manager of the system leaves its lists or its cache in the image.

## Why

`apt-get update` writes what the archive has to `/var/lib/apt/lists`; dnf, zypper and apk do the like. Nothing at run time reads it, and
a later `RUN` that removes it does not make the layer before it smaller. `apt-get clean` empties another directory.
Stages that are not shipped are let be.

## Example

```dockerfile bad lines=2
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libpq5
```

```dockerfile fixed
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libpq5 && rm -rf /var/lib/apt/lists/*
```

```dockerfile good
FROM debian:bookworm-slim
RUN --mount=type=cache,target=/var/lib/apt,sharing=locked --mount=type=cache,target=/var/cache/apt,sharing=locked \
    rm -f /etc/apt/apt.conf.d/docker-clean && apt-get update && apt-get install -y libpq5
```

The layout of the file is kept:

```dockerfile bad lines=2
FROM debian:bookworm-slim
RUN apt-get update && \
    apt-get install -y \
        libpq5 \
        tini && \
    apt-get clean
RUN echo done
```

```dockerfile fixed
FROM debian:bookworm-slim
RUN apt-get update && \
    apt-get install -y \
        libpq5 \
        tini && \
    apt-get clean && \
    rm -rf /var/lib/apt/lists/*
RUN echo done
```

Other package managers:

```dockerfile bad lines=2
FROM alpine:3.20
RUN apk update && apk add libpq
```

```dockerfile fixed
FROM alpine:3.20
RUN apk add --no-cache libpq
```

```dockerfile bad lines=2
FROM fedora:41
RUN dnf install -y libpq
```

```dockerfile fixed
FROM fedora:41
RUN dnf install -y libpq && dnf clean all
```

## Fix

Safe: the lists are removed at the end of the same `RUN`, or `apk add --no-cache` does without them. There is no fix while a later `RUN`
installs from these lists: see `package-lists-stale`.
"#,
    check,
};

const LISTS: &str = "/var/lib/apt/lists";

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let shipped: Vec<&Step<'_>> = subject.shipped().collect();
    for (at, step) in shipped.iter().enumerate() {
        apt(subject, step, &shipped[at + 1..], findings);
        apk(step, findings);
        for family in [&DNF, &ZYPPER] {
            others(subject, step, family, findings);
        }
    }
}

type Call<'s, 'a> = &'s (Command<'a>, PackageCall<'a>);

fn is_apt(manager: Manager) -> bool {
    matches!(manager, Manager::AptGet | Manager::Apt | Manager::Aptitude)
}

/// The commands behind `command`, by number.
fn behind(step: &Step<'_>, command: &Command<'_>) -> usize {
    let start = command.range().start;
    step.commands.iter().position(|other| other.range().start > start).unwrap_or(step.commands.len())
}

fn apt(subject: &Subject<'_>, step: &Step<'_>, later: &[&Step<'_>], findings: &mut Findings<'_>) {
    let Some(shell) = step.shell else { return };
    let calls: Vec<Call<'_, '_>> = step.packages.iter().filter(|(_, call)| is_apt(call.manager)).collect();
    let Some(first) = calls.iter().position(|(_, call)| call.action == Action::Update) else { return };
    let (command, call) = calls[first];
    let distclean = |word: &jettison_shell::Word| word.text() == "distclean";
    if step.keeps_out(LISTS)
        || step.removes(behind(step, command), LISTS)
        || calls[first..].iter().any(|(_, call)| call.arguments.iter().any(distclean))
    {
        return;
    }
    let verb = call.verb.clone().unwrap_or_else(|| call.program.clone());
    let finding = findings
        .report(shell.span(call.program.start..verb.end), "the package lists of apt stay in the image")
        .help("end the `RUN` with `rm -rf /var/lib/apt/lists/*`");
    let relied_on = later.iter().any(|step| {
        let mut calls = step.packages.iter().filter(|(_, call)| is_apt(call.manager));
        calls
            .find(|(_, call)| {
                matches!(call.action, Action::Install | Action::Update | Action::Upgrade | Action::BuildDep)
            })
            .is_some_and(|(_, call)| call.action != Action::Update)
    });
    let last = calls[first + 1..].iter().rev().find(|(other, _)| other.is_top_level() && other.function().is_none());
    let Some((last, _)) = last.filter(|_| !relied_on) else { return };
    let sudo = if last.wrappers().first().is_some_and(|word| word.text() == "sudo") { "sudo " } else { "" };
    let removal = format!("{sudo}rm -rf /var/lib/apt/lists/*");
    if let Some(edit) = shell.append(subject.file, last, &removal) {
        finding.fix(Fix::safe("remove the package lists in the same `RUN`", [edit]));
    }
}

fn apk(step: &Step<'_>, findings: &mut Findings<'_>) {
    const CACHE: &str = "/var/cache/apk";
    let Some(shell) = step.shell else { return };
    let calls = step.packages.iter().filter(|(_, call)| call.manager == Manager::Apk);
    let kept_out = step.keeps_out(CACHE) || step.keeps_out("/etc/apk/cache");
    for (command, call) in calls {
        let acts = matches!(call.action, Action::Install | Action::Upgrade | Action::Update);
        if !acts || kept_out || call.has(&["--no-cache"]) || step.removes(behind(step, command), CACHE) {
            continue;
        }
        let Some(verb) = call.verb.clone() else { continue };
        let finding = findings
            .report(shell.span(call.program.start..verb.end), "the index of apk stays in the image")
            .help("write `apk add --no-cache`, which needs no `apk update`");
        if call.action != Action::Update {
            if let Some(edit) = shell.add_word(verb, "--no-cache") {
                finding.fix(Fix::safe("write `--no-cache`", [edit]));
            }
        } else if let Some(cuts) = command.removal().filter(|_| !shell.is_exec && shell.script.errors.is_empty()) {
            let cuts = cuts.into_iter().map(|cut| Edit { span: shell.span(cut), text: String::new() });
            finding.fix(Fix::safe("leave `apk update` out", cuts));
        }
    }
}

/// Package managers that have a verb for it.
struct Others {
    managers: &'static [Manager],
    caches: &'static [&'static str],
    clean: &'static str,
}

const DNF: Others = Others {
    managers: &[Manager::Dnf, Manager::Yum, Manager::Microdnf],
    caches: &["/var/cache/dnf", "/var/cache/yum", "/var/cache/libdnf5"],
    clean: "clean all",
};
const ZYPPER: Others = Others { managers: &[Manager::Zypper], caches: &["/var/cache/zypp"], clean: "clean --all" };

fn others(subject: &Subject<'_>, step: &Step<'_>, family: &Others, findings: &mut Findings<'_>) {
    let Some(shell) = step.shell else { return };
    let calls: Vec<Call<'_, '_>> =
        step.packages.iter().filter(|(_, call)| family.managers.contains(&call.manager)).collect();
    let acts = |call: &PackageCall<'_>| {
        matches!(call.action, Action::Install | Action::Upgrade | Action::Update | Action::BuildDep)
    };
    let Some(last) = calls.iter().rposition(|(_, call)| acts(call)) else { return };
    let (command, call) = calls[last];
    let next = behind(step, command);
    let cleaned = calls[last..].iter().any(|(_, call)| call.action == Action::Clean);
    let gone = |cache: &str| step.keeps_out(cache) || step.removes(next, cache);
    if cleaned || family.caches.iter().any(|cache| gone(cache)) {
        return;
    }
    let verb = call.verb.clone().unwrap_or_else(|| call.program.clone());
    let program = command.name().unwrap_or_default();
    let sudo = if command.wrappers().first().is_some_and(|word| word.text() == "sudo") { "sudo " } else { "" };
    let clean = format!("{sudo}{program} {}", family.clean);
    let finding = findings
        .report(shell.span(call.program.start..verb.end), format!("the cache of {program} stays in the image"))
        .help(format!("end the `RUN` with `{clean}`"));
    if let Some(edit) = shell.append(subject.file, command, &clean).filter(|_| command.is_top_level()) {
        finding.fix(Fix::safe(format!("run `{clean}` in the same `RUN`"), [edit]));
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, Context, Selector, lint};
    use jettison_dockerfile::Dockerfile;

    /// The texts at which the rule finds something.
    fn found(text: &str) -> Vec<String> {
        let config = Config { select: Selector::parse("JET112").unwrap(), ..Config::default() };
        let file = Dockerfile::parse(text);
        let found = lint(&file, &Context::none(), &(), &config);
        let place = |finding: &crate::Finding| match finding.place {
            crate::Place::Dockerfile(span) => file.text(span).to_owned(),
            crate::Place::Context { .. } => String::new(),
        };
        found.iter().map(place).collect()
    }

    #[test]
    fn what_counts_as_clean() {
        for (text, expected) in [
            (r#"RUN apt-get update && apt-get install -y x && apt-get clean"#, &[r#"apt-get update"#] as &[&str]),
            (r#"RUN apt-get update && apt-get install -y x && rm -r /var/lib/apt/lists/*"#, &[] as &[&str]),
            (r#"RUN apt-get update && apt-get install -y x && rm -rf /var/lib/apt/lists"#, &[] as &[&str]),
            (
                r#"RUN apt-get update && apt-get install -y x && rm -rf /var/lib/{apt,dpkg}/lists/ /tmp/*"#,
                &[] as &[&str],
            ),
            (r#"RUN apt-get update; apt-get install -y x; cd /var/lib/apt && rm -rf lists/*"#, &[] as &[&str]),
            (
                r#"RUN apt-get update && apt-get install -y x && find /var/lib/apt/lists -type f -delete"#,
                &[] as &[&str],
            ),
            (
                r#"RUN rm -rf /var/lib/apt/lists/* && apt-get update && apt-get install -y x"#,
                &[r#"apt-get update"#] as &[&str],
            ),
            (
                r#"RUN --mount=type=cache,target=/var/lib/apt/lists apt-get update && apt-get install -y x"#,
                &[] as &[&str],
            ),
            (r#"RUN apk add -U x && rm -rf /var/cache/apk/*"#, &[] as &[&str]),
            (r#"RUN apk --no-cache add x"#, &[] as &[&str]),
            (r#"RUN --mount=type=cache,target=/var/cache/apk apk add x"#, &[] as &[&str]),
            (
                r#"RUN dnf install -y a && dnf install -y b && dnf -y clean all && rm -rf /var/cache/dnf"#,
                &[] as &[&str],
            ),
            (r#"RUN yum install -y a && rm -rf /var/cache/yum"#, &[] as &[&str]),
            (r#"RUN microdnf install a"#, &[r#"microdnf install"#] as &[&str]),
            (r#"RUN zypper install -y a"#, &[r#"zypper install"#] as &[&str]),
            (r#"RUN zypper install -y a && zypper clean -a"#, &[] as &[&str]),
        ] {
            assert_eq!(found(&format!("FROM debian:bookworm\n{text}\n")), *expected, "{text}");
        }
    }
}
