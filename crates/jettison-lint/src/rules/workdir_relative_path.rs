use crate::finding::{Findings, Fix};
use crate::model::{Inherited, PLATFORM_ARGUMENTS, Scope, Subject, System, VariableKind};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Edit, Environment, Expander, InstructionKind};

pub(super) static RULE: Rule = Rule {
    code: "JET210",
    name: "workdir-relative-path",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: Some("WorkdirRelativePath"),
    hadolint: &["DL3000"],
    docs: r#"
`WORKDIR` is relative to a directory that only the base image tells.

## Why

The first relative `WORKDIR` goes on from the directory of the base image. Another base, or a new version of it, and the application
stands elsewhere. A relative one below an absolute one is fine.

## Example

```dockerfile bad lines=2
FROM python:3.12-slim
WORKDIR app
```

```dockerfile fixed
FROM python:3.12-slim
WORKDIR /app
```

```dockerfile good
FROM example.com/base
WORKDIR /srv
WORKDIR app
```

```dockerfile bad lines=2
FROM example.com/base
WORKDIR app
```

## Fix

Safe where the directory of the base image is known, as it is for the official ones: the path is written in full.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let expander = Expander::new(subject.file.escape());
    for stage in &subject.stages {
        let chain = subject.chain(stage);
        let is_workdir = |kind: &InstructionKind| matches!(kind, InstructionKind::Workdir(_));
        let below = &chain[..chain.len() - 1];
        if stage.system() == System::Windows
            || below.iter().any(|stage| stage.steps.iter().any(|step| is_workdir(&step.instruction.kind)))
        {
            continue;
        }
        let Some(step) = stage.steps.iter().find(|step| is_workdir(&step.instruction.kind)) else { continue };
        let InstructionKind::Workdir(path) = &step.instruction.kind else { continue };
        let inherited = Inherited::of(subject, stage);
        let known = Known { scope: &step.scope, inherited: &inherited };
        let Ok(expanded) = expander.word(path, &known).map(|expansion| expansion.value) else { continue };
        if expanded.starts_with('/') {
            continue;
        }
        let finding = subject.point(
            findings,
            step.instruction,
            path.span(),
            format!("`WORKDIR {path}` goes on from the directory of the base image"),
        );
        finding.help("write an absolute path");
        if let (Some(workdir), true) = (inherited.workdir, *path == expanded.as_str() && !path.is_empty()) {
            let full = format!("{}/{}", workdir.trim_end_matches('/'), path.trim_start_matches("./"));
            finding.fix(Fix::safe(format!("write `WORKDIR {full}`"), [Edit::replace(path.span(), full.clone())]));
        }
    }
}

/// Variables as a build without flags has them, as far as an absolute path is to be told from a relative one: a value that only a build
/// can tell is taken for an absolute path.
struct Known<'k> {
    scope: &'k Scope,
    inherited: &'k Inherited,
}

impl Environment for Known<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        const UNKNOWN: &str = "/unknown";
        match self.scope.variable(name) {
            Some(variable) if variable.value.is_some() => variable.value.as_deref(),
            // Without a default it is empty.
            Some(variable) if variable.kind == VariableKind::Arg && !PLATFORM_ARGUMENTS.contains(&name) => None,
            Some(variable) if variable.kind == VariableKind::Arg => Some("linux"),
            Some(_) => Some(UNKNOWN),
            None => (self.inherited.has(name) != Some(false)).then_some(UNKNOWN),
        }
    }
}
