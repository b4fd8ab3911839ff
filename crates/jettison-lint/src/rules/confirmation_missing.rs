use crate::finding::{Findings, Fix};
use crate::model::{Step, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Edit;
use jettison_shell::Command;
use jettison_shell::packages::{Action, Manager, PackageCall};

pub(super) static RULE: Rule = Rule {
    code: "JET308",
    name: "confirmation-missing",
    family: Family::General,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &["DL3014", "DL3030", "DL3034", "DL3038"],
    docs: r#"
A package manager is called without the option that answers its questions.

## Why

`apt-get install` asks before it installs more than what was named, and `dnf`, `yum` and `zypper` always ask. Nobody is there to
answer in a build, so they give up and the step fails.

## Example

```dockerfile bad lines=2,4
FROM debian:bookworm-slim
RUN apt-get update && apt-get install --no-install-recommends gcc
RUN apt-get install -qy make && \
    apt-get purge gcc
```

```dockerfile fixed
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends gcc
RUN apt-get install -qy make && \
    apt-get purge -y gcc
```

```dockerfile bad lines=2
FROM fedora:41
RUN dnf install gcc
```

```dockerfile fixed
FROM fedora:41
RUN dnf install -y gcc
```

```dockerfile bad lines=2
FROM opensuse/leap:15.6
RUN zypper install gcc
```

```dockerfile fixed
FROM opensuse/leap:15.6
RUN zypper install -y gcc
```

```dockerfile good
FROM debian:bookworm-slim
RUN apt-get -y install gcc && apt-get install -qq make && yes | apt-get install vim && apt-get -q -o APT::Get::Assume-Yes=1 install jq
RUN dnf -y install gcc && zypper -n install gcc && yum update --assumeyes && apt-get clean
```

```dockerfile good
FROM debian:bookworm-slim
RUN echo 'APT::Get::Assume-Yes "true";' >/etc/apt/apt.conf.d/90yes
RUN apt-get update && apt-get install gcc
```

## Fix

Safe: `-y` is written behind the verb.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in &subject.stages {
        let chain = subject.chain(stage);
        let texts = chain.iter().flat_map(|stage| &stage.steps).filter_map(|step| Some((step, &step.shell?.text)));
        // A step that tells the manager for good: `APT::Get::Assume-Yes`, `assumeyes=True`.
        let tells = |text: &str| text.contains("Assume-Yes") || text.contains("assumeyes");
        let told = texts.filter(|(_, text)| tells(text)).map(|(step, _)| step.instruction.span.start).min();
        for step in &stage.steps {
            let Some(shell) = step.shell.filter(|_| step.run().is_some()) else { continue };
            if told.is_some_and(|told| told <= step.instruction.span.start) {
                continue;
            }
            for (command, call) in &step.packages {
                if !asks(call) || answers(call) || is_answered(step, command) {
                    continue;
                }
                let Some(verb) = &call.verb else { continue };
                let text = &shell.text[call.program.start..verb.end];
                let place = shell.span(verb.clone());
                findings
                    .report(place, format!("`{text}` asks a question that nobody answers"))
                    .help(format!("write `{text} -y`"))
                    .fix(Fix::safe("write `-y`", [Edit::insert(place.end, " -y")]));
            }
        }
    }
}

/// Whether the manager asks before it does what it is called for.
fn asks(call: &PackageCall<'_>) -> bool {
    let changes = matches!(
        call.action,
        Action::Install | Action::Upgrade | Action::Remove | Action::Autoremove | Action::BuildDep
    );
    let asks = match call.manager {
        Manager::AptGet | Manager::Apt | Manager::Aptitude | Manager::Yum | Manager::Dnf | Manager::Zypper => changes,
        Manager::Microdnf => matches!(call.action, Action::Install | Action::Upgrade | Action::Remove),
        Manager::Conda | Manager::Mamba | Manager::Micromamba => changes || call.action == Action::Create,
        _ => false,
    };
    asks && !call.has(&["--help", "-h", "--download-only", "--dry-run", "-s", "--simulate", "--print-uris"])
}

fn answers(call: &PackageCall<'_>) -> bool {
    let yes = match call.manager {
        Manager::AptGet | Manager::Apt | Manager::Aptitude => {
            call.has(&["-y", "--yes", "--assume-yes"])
                || call.options.iter().filter(|option| option.name == "-q" || option.name == "--quiet").count() > 1
                || call.value(&["-q"]).is_some_and(|level| level.text.trim_start_matches('=') == "2")
        }
        Manager::Zypper => call.has(&["-y", "-n", "--no-confirm", "--non-interactive"]),
        Manager::Conda | Manager::Mamba | Manager::Micromamba => call.has(&["-y", "--yes", "-q"]),
        _ => call.has(&["-y", "--assumeyes", "--assumeno"]),
    };
    let told = |option: &jettison_shell::packages::PackageOption<'_>| {
        option.value.as_ref().is_some_and(|value| {
            let text = value.text.to_ascii_lowercase();
            text.contains("assume-yes") || text.contains("assumeyes")
        })
    };
    yes || call.options.iter().any(told)
}

/// Whether something is piped to it, or put before it as a file.
fn is_answered(step: &Step<'_>, command: &Command<'_>) -> bool {
    let conda = |name: &str| name == "CONDA_ALWAYS_YES" || name == "MAMBA_ALWAYS_YES";
    command.stage() > 0
        || command.redirections().iter().any(|redirection| {
            use jettison_shell::syntax::Operator::{HereString, Heredoc, HeredocTabs, Input};
            matches!(redirection.operator, Input | Heredoc | HeredocTabs | HereString)
        })
        || command.assignments().iter().any(|assignment| conda(&assignment.name))
        || ["CONDA_ALWAYS_YES", "MAMBA_ALWAYS_YES"].iter().any(|name| step.scope.variable(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Context, lint};
    use jettison_dockerfile::Dockerfile;

    #[test]
    fn questions_are_answered_in_many_ways() {
        for (script, asks) in [
            ("apt-get install x", true),
            ("apt-get -q install x", true),
            ("apt-get remove x", true),
            ("apt-get dist-upgrade", true),
            ("sudo -E apt-get install x", true),
            ("apt-get install -q -q x", false),
            ("apt-get -q=2 install x", false),
            ("apt-get --yes --force-yes install x", false),
            ("apt-get -o APT::Get::Assume-Yes=true install x", false),
            ("apt-get install --help", false),
            ("apt-get -s install x", false),
            ("apt-get update && apt-get clean && apt-get download x", false),
            ("yes | apt-get install x", false),
            ("apt-get install x <answers", false),
            ("dnf -yq install x", false),
            ("dnf makecache", false),
            ("yum remove x", true),
            ("zypper --non-interactive install x", false),
            ("zypper refresh", false),
            ("conda install x", true),
            ("CONDA_ALWAYS_YES=true conda install x", false),
            ("conda create -yn env x", false),
            ("pip install x && npm install x && apk add x", false),
        ] {
            let file = Dockerfile::parse(&format!("FROM debian:12\nRUN {script}\n"));
            let found = lint(&file, &Context::none(), &(), &Config::only(&RULE));
            assert_eq!(!found.is_empty(), asks, "{script}");
        }
    }
}
