use crate::finding::{Findings, Fix};
use crate::model::{Inherited, Step, Subject, similar};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::expand::Variable;
use jettison_dockerfile::instruction::Expands;
use jettison_dockerfile::{Edit, Expander, InstructionKind, Word};
use std::collections::BTreeSet;

pub(super) static RULE: Rule = Rule {
    code: "JET211",
    name: "undefined-var",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: Some("UndefinedVar"),
    hadolint: &[],
    docs: r#"
A variable is used that nothing defines.

## Why

It is empty: `COPY . $APP_DIR` copies to `/` when `APP_DIR` is misspelt, and the build says nothing. An `ARG` above the first `FROM` is
no variable of a stage before the stage declares it, too. In `RUN`, `CMD` and `ENTRYPOINT` the shell expands variables, and nothing is
said of them.

## Example

```dockerfile bad lines=3
FROM python:3.12-slim
ENV APP_HOME=/srv
WORKDIR $APP_HOM
```

```dockerfile fixed unsafe
FROM python:3.12-slim
ENV APP_HOME=/srv
WORKDIR $APP_HOME
```

```dockerfile bad lines=3
ARG APP=/srv
FROM python:3.12-slim
COPY main.py $APP/
```

```dockerfile good
FROM python:3.12-slim
ARG APP=/srv
ENV PATH=$APP/bin:$PATH TAG=$PYTHON_VERSION
COPY main.py $APP/
RUN echo $NOBODY_KNOWS
```

Of an image that is not known, variables are not known either, so only what looks misspelt is said:

```dockerfile good
FROM example.com/base
COPY main.py $BASE_DIR/
```

## Fix

Unsafe: a name that is one or two letters away from a defined one is written like it.
"#,
    check,
};

/// Settings of BuildKit's that it never takes for variables.
const SETTINGS: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in &subject.stages {
        let mut inherited = None;
        for step in &stage.steps {
            let mut seen = BTreeSet::new();
            for (word, variable, own) in unset(subject, step) {
                let name = &variable.name;
                if own.contains(&name.as_str()) || SETTINGS.contains(&name.as_str()) || !seen.insert(name.clone()) {
                    continue;
                }
                let inherited = inherited.get_or_insert_with(|| Inherited::of(subject, stage));
                let names = step.scope.names().chain(own.iter().copied());
                let meant = match inherited.has(name) {
                    Some(true) => continue,
                    Some(false) => similar(name, names.chain(inherited.variables.iter().map(String::as_str))),
                    // The image may have it, unless it is a slip for another.
                    None => match similar(name, names).filter(|_| name.len() > 3) {
                        Some(meant) => Some(meant),
                        None => continue,
                    },
                };
                let span = word.span_of(variable.range.clone());
                let finding = subject.point(findings, step.instruction, span, format!("nothing defines `{name}`"));
                if let Some(meant) = meant {
                    let at = variable.range.start + word[variable.range.clone()].find(name.as_str()).unwrap_or(1);
                    let place = word.span_of(at..at + name.len());
                    finding
                        .help(format!("did you mean `{meant}`?"))
                        .fix(Fix::unsafe_(format!("write `{meant}`"), [Edit::replace(place, meant)]));
                } else if subject.globals.variable(name).is_some() {
                    finding.help(format!("write `ARG {name}` in this stage: those above the first `FROM` are for `FROM`"));
                } else {
                    finding.help(format!("define it with `ARG {name}` or `ENV {name}=…` before, or write `\\${name}`"));
                }
            }
        }
    }
}

/// The variables of an instruction that nothing in the file defines before it, each with its word, and the arguments that the same
/// instruction declared before.
fn unset<'s>(subject: &Subject<'_>, step: &Step<'s>) -> Vec<(&'s Word, Variable, Vec<&'s str>)> {
    let mut found = Vec::new();
    let mut look = |word: &'s Word, expander: Expander, own: &[&'s str]| {
        if word.contains('$') {
            let variables = expander.check(word).unwrap_or_default().into_iter();
            let unset = variables.filter(|variable| step.scope.variable(&variable.name).is_none());
            found.extend(unset.map(|variable| (word, variable, own.to_vec())));
        }
    };
    let expander = Expander::new(subject.file.escape());
    if let InstructionKind::Arg(arguments) = &step.instruction.kind {
        let mut own = Vec::new();
        for argument in arguments {
            let is_given = subject.config.build_args.contains_key(argument.name.as_str());
            if let Some(default) = argument.default.as_ref().filter(|_| !is_given) {
                look(default, expander, &own);
            }
            own.push(argument.name.as_str());
        }
        return found;
    }
    for (word, expands) in step.instruction.expandable() {
        match expands {
            Expands::Word => look(word, expander, &[]),
            Expands::Heredoc => look(word, Expander::heredoc(), &[]),
            // BuildKit says nothing of `EXPOSE`, which fails where its words are no ports.
            Expands::Words => {}
        }
    }
    found
}
