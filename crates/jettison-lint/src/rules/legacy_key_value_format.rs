use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::Pair;
use jettison_dockerfile::{Edit, InstructionKind, Span};

pub(super) static RULE: Rule = Rule {
    code: "JET213",
    name: "legacy-key-value-format",
    family: Family::General,
    severity: Severity::Style,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: Some("LegacyKeyValueFormat"),
    hadolint: &[],
    docs: r#"
`ENV` or `LABEL` has a space in the place of `=`.

## Why

With the old form all of the line is the value, so `ENV A 1 B=2` sets `A` alone, to `1 B=2`.

## Example

```dockerfile bad lines=2,3
FROM python:3.12-slim
ENV PYTHONUNBUFFERED 1
ENV GREETING good morning, $USER
```

```dockerfile fixed
FROM python:3.12-slim
ENV PYTHONUNBUFFERED=1
ENV GREETING="good morning, $USER"
```

```dockerfile good
FROM python:3.12-slim
ENV PYTHONUNBUFFERED=1 GREETING="good morning"
```

## Fix

Safe: `=` is written, and quotes around a value with spaces. A value that mixes spaces and quotes is left to a person.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (_, step) in subject.steps() {
        let (InstructionKind::Env(pairs) | InstructionKind::Label(pairs)) = &step.instruction.kind else { continue };
        let Some(pair) = pairs.iter().find(|pair| pair.legacy) else { continue };
        let keyword = step.name();
        let span = Span::new(pair.key.span().start, pair.value.span().end);
        let finding = subject.point(
            findings,
            step.instruction,
            span,
            format!("`{keyword} {}` has a space in the place of `=`", pair.key),
        );
        finding.help(format!("write `{keyword} {}=…`", pair.key));
        finding.fix = fix(pair, subject.file.escape().char());
    }
}

fn fix(pair: &Pair, escape: char) -> Option<Fix> {
    let (key, value) = (pair.key.span(), pair.value.span());
    let gap = Edit::replace(Span::new(key.end, value.start), "=");
    let title = format!("write `{}=`", pair.key);
    if !is_cut(&pair.value, escape) {
        return Some(Fix::safe(title, [gap]));
    }
    // Between double quotes variables expand as they did without any.
    let is_plain = !pair.value.contains(['"', '\'', escape]);
    is_plain.then(|| {
        let gap = Edit { text: "=\"".to_owned(), ..gap };
        Fix::safe(title, [gap, Edit::insert(value.end, "\"")])
    })
}

/// Whether a value has white space that is neither quoted nor escaped, or quotes that never close.
fn is_cut(value: &str, escape: char) -> bool {
    let mut quote = None;
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match quote {
            None if c.is_whitespace() => return true,
            None if c == '"' || c == '\'' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ if c == escape && quote != Some('\'') => drop(characters.next()),
            _ => {}
        }
    }
    quote.is_some()
}

#[cfg(test)]
mod tests {
    use crate::{Config, Context, Safety, mend};

    #[test]
    fn the_value_is_what_it_was() {
        for (written, expected) in [
            ("A b", "A=b"),
            ("A   b", "A=b"),
            ("A \\\n  b", "A=b"),
            ("A b c", "A=\"b c\""),
            ("A \"b c\"", "A=\"b c\""),
            ("A b\\ c", "A=b\\ c"),
            ("A b \"c d\"", "A b \"c d\""),
            ("A it's me", "A it's me"),
            ("A $B c", "A=\"$B c\""),
        ] {
            let mended =
                mend(&format!("FROM a\nENV {written}\n"), &Context::none(), &(), &Config::only(&super::RULE), Safety::Safe);
            assert_eq!(mended.text, format!("FROM a\nENV {expected}\n"), "{written}");
        }
    }
}
