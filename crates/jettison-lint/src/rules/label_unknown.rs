use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::InstructionKind;

pub(super) static RULE: Rule = Rule {
    code: "JET322",
    name: "label-unknown",
    family: Family::General,
    severity: Severity::Info,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL3050"],
    docs: r#"
A label is not among those that the configuration knows.

## Why

With `strict-labels = true` the labels of `label-schema` are the only ones that an image may have, so that a misspelt key does not go
unnoticed. Without that key this rule has nothing to say.

## Example

```toml configuration
[lint]
strict-labels = true
[lint.label-schema]
maintainer = "text"
```

```dockerfile bad lines=2
FROM python:3.12-slim
LABEL maintainer="me" maintaner="me"
```

```dockerfile good
FROM python:3.12-slim
LABEL maintainer="me"
```

## Fix

None.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    if !subject.config.strict_labels {
        return;
    }
    let schema = &subject.config.label_schema;
    for (_, step) in subject.steps() {
        let InstructionKind::Label(pairs) = &step.instruction.kind else { continue };
        for pair in pairs {
            if let Some(key) = step.expand(&pair.key).filter(|key| !schema.contains_key(key)) {
                let distance = |known: &String| strsim::damerau_levenshtein(known, &key);
                let near = schema.keys().filter(|known| distance(known) * 3 <= known.len());
                let help = match near.min_by_key(|known| distance(known)) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => "add it to `label-schema`, or leave it out".to_owned(),
                };
                findings.report(pair.key.span(), format!("`{key}` is no label of the schema")).help(help);
            }
        }
    }
}
