use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{InstructionKind, Span};

pub(super) static RULE: Rule = Rule {
    code: "JET215",
    name: "secrets-used-in-arg-or-env",
    family: Family::General,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::No,
    buildkit: Some("SecretsUsedInArgOrEnv"),
    hadolint: &["DL3064"],
    docs: r#"
A variable is named like a secret.

## Why

`ENV` is in the configuration of the image and `ARG` in its history, where everyone who can pull the image reads them. A secret that
was in either has to be changed; to take it out of the Dockerfile is not enough.

## Example

```dockerfile bad lines=2,3
FROM python:3.12-slim
ARG PIP_INDEX_PASSWORD
ENV API_TOKEN=abc
RUN pip install --index-url https://me:$PIP_INDEX_PASSWORD@pypi.example.com/simple app
```

```dockerfile good
FROM python:3.12-slim
ENV API_TOKEN_FILE=/run/secrets/api-token SSH_PUBLIC_KEY=abc KEYCLOAK_URL=http://id.example.com
RUN --mount=type=secret,id=netrc,target=/root/.netrc pip install --index-url https://pypi.example.com/simple app
```

Give a step a secret with `RUN --mount=type=secret,id=…` and the build its value with `--secret`. What a container needs it is given
when it starts.
"#,
    check,
};

/// Words between `_` that name secrets.
const SECRET: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
/// Words that say that it is none after all.
const OPEN: [&str; 3] = ["public", "file", "version"];

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (_, step) in subject.steps() {
        let keyword = step.name();
        let mut report = |name: &str, span: Span| {
            if is_secret(name) {
                let reader = if keyword == "ENV" { "the configuration" } else { "the history" };
                subject
                    .point(findings, step.instruction, span, format!("`{keyword} {name}` looks like a secret"))
                    .help(format!("it can be read in {reader} of the image; use `RUN --mount=type=secret`"));
            }
        };
        match &step.instruction.kind {
            InstructionKind::Arg(arguments) => {
                arguments.iter().for_each(|argument| report(&argument.name, argument.name.span()));
            }
            InstructionKind::Env(pairs) => {
                for pair in pairs {
                    let name = step.expand(&pair.key).unwrap_or_else(|| pair.key.to_string());
                    report(&name, pair.key.span());
                }
            }
            _ => {}
        }
    }
}

/// Whether a variable of this name holds a secret.
fn is_secret(name: &str) -> bool {
    let has = |list: &[&str]| name.split('_').any(|word| list.iter().any(|known| word.eq_ignore_ascii_case(known)));
    has(&SECRET) && !has(&OPEN)
}

#[cfg(test)]
mod tests {
    use super::is_secret;

    #[test]
    fn whole_words_tell_a_secret() {
        for name in ["API_KEY", "apikey", "GITHUB_TOKEN", "secret_MESSAGE", "AUTH", "MY_PASSWD_1", "TOKEN_"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["KEYBOARD", "TOKENIZERS", "PUBLIC_KEY", "PASSWORD_FILE", "KEY_VERSION", "AUTHOR", "", "A_KEYS"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
