use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use crate::suppress::Suppressions;
use jettison_dockerfile::Edit;

pub(super) static RULE: Rule = Rule {
    code: "JET331",
    name: "unknown-suppression",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
A comment says to ignore a rule that does not exist.

## Why

A misspelt name ignores nothing. Names are those of Jettison, of BuildKit's checks and of hadolint's rules; several stand behind one
`=`, with commas between.

## Example

```dockerfile bad lines=1
# jettison: ignore=unbufered-output-missing
FROM python:3.12-slim
CMD ["python", "main.py"]
```

```dockerfile fixed
# jettison: ignore=unbuffered-output-missing
FROM python:3.12-slim
CMD ["python", "main.py"]
```

```dockerfile good
# jettison: ignore=JET120,DL3006,SC2086 because
FROM python:3.12-slim
CMD ["python", "main.py"]
```

A comment of ours that cannot be read at all is found too:

```dockerfile bad lines=1
# jettison: ignore JET120
FROM python:3.12-slim
```

## Fix

Safe: the nearest name takes its place, where there is one.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let suppressions = Suppressions::read(subject.file);
    for span in suppressions.malformed() {
        findings
            .report(*span, "this comment ignores nothing")
            .help("write `# jettison: ignore=RULE`, or `ignore-file=RULE` for all of the file");
    }
    for unknown in suppressions.unknown() {
        let finding = findings.report(unknown.span, format!("there is no rule `{}`", unknown.word));
        if let Some(similar) = unknown.similar {
            let edit = Edit { span: unknown.span, text: similar.to_owned() };
            finding.help(format!("did you mean `{similar}`?")).fix(Fix::safe(format!("write `{similar}`"), [edit]));
        }
    }
}
