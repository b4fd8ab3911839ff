use crate::finding::{Findings, Fix};
use crate::model::{Stage, Step, Subject, VariableKind, remove_line};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::InstructionKind;
use jettison_dockerfile::{Edit, Span, Word};
use jettison_python::secrets;
use jettison_tree::TreePath;

pub(super) static RULE: Rule = Rule {
    code: "JET123",
    name: "secret-in-build",
    family: Family::Python,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
A secret goes into the image, or into the history of its build.

## Why

Whatever `COPY` brings is in a layer for good, also when a later `RUN` removes it. The values of arguments and the text of each `RUN` are in the
history of the image, and `docker history` prints it. A secret that is mounted exists while the one `RUN` runs, and nowhere else.
Secrets that are named in `ARG` and `ENV` are found by `secrets-used-in-arg-or-env`; this rule finds the others.

## Example

```dockerfile bad lines=2,3
FROM python:3.12-slim
COPY .env /app/
COPY id_rsa /root/.ssh/id_rsa
```

```dockerfile good
FROM python:3.12-slim
COPY .env.example /app/
RUN --mount=type=ssh pip install git+ssh://git@github.com/example/private.git
```

An index that wants a token:

```dockerfile bad lines=3
FROM python:3.12-slim
ARG INDEX_TOKEN
RUN pip install --index-url https://ci:${INDEX_TOKEN}@pypi.example.com/simple private
```

```dockerfile fixed unsafe
FROM python:3.12-slim
RUN --mount=type=secret,id=INDEX_TOKEN,env=INDEX_TOKEN pip install --index-url https://ci:${INDEX_TOKEN}@pypi.example.com/simple private
```

```dockerfile bad lines=2,3
FROM python:3.12-slim
ENV PIP_INDEX_URL=https://ci:hX7s0Qd92lPq@pypi.example.com/simple
RUN curl -H "Authorization: Bearer ghp_0123456789abcdefghijABCDEFGHIJ012345" https://api.example.com
```

```dockerfile good
FROM python:3.12-slim
RUN --mount=type=secret,id=index,env=PIP_INDEX_URL pip install private
RUN --mount=type=secret,id=t pip install --index-url "https://ci:$(cat /run/secrets/t)@pypi.example.com/simple" private
```

## Fix

Unsafe, since the build has to be called in another way (`--secret id=INDEX_TOKEN` instead of `--build-arg`): an argument that is a part of a URL
in a `RUN` becomes a mounted secret of the same name. The others are yours to mount: `RUN --mount=type=secret,id=env,target=/app/.env …`.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    shapes(subject, findings);
    for (stage, step) in subject.steps() {
        files(subject, stage, step, findings);
        urls(subject, stage, step, findings);
    }
}

/// Tokens and passwords that stand in the file itself.
fn shapes(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let source = subject.file.source();
    // Nothing without one of these looks like a secret to the search.
    for suspicion in secrets::search("Dockerfile", source.as_bytes()) {
        // Values with names are those of BuildKit's check.
        if suspicion.kind == "high-entropy secret" {
            continue;
        }
        let Some(line) = source.split_inclusive('\n').nth(suspicion.place.line.saturating_sub(1)) else { continue };
        if line.trim_start().starts_with('#') {
            continue;
        }
        let start = line.as_ptr() as usize - source.as_ptr() as usize;
        let column = line.char_indices().nth(suspicion.place.column.saturating_sub(1)).map_or(0, |(at, _)| at);
        let ends = |c: char| c.is_whitespace() || "\"'`@,;)\\".contains(c);
        let length = line[column..].find(ends).unwrap_or(line.len() - column);
        let span = Span::new(start + column, start + column + length.max(1).min(line.len() - column));
        let message = format!("a {} stands in the Dockerfile", suspicion.kind);
        let article = if suspicion.kind.starts_with(['A', 'O']) { message.replacen("a ", "an ", 1) } else { message };
        findings.report(span, article).help("revoke it, and mount the next one with `RUN --mount=type=secret,…`");
    }
}

/// Files that are secrets by their name.
fn files(subject: &Subject<'_>, stage: &Stage<'_>, step: &Step<'_>, findings: &mut Findings<'_>) {
    for word in step.context_sources() {
        let Some(path) = step.expand(word) else { continue };
        let path = path.trim_start_matches("./").trim_matches('/');
        let Some(what) = secret(path).filter(|what| is_one(subject, path, what)) else { continue };
        let id = path.rsplit('/').next().unwrap_or(path).trim_matches('.').replace(['.', '*'], "_");
        let finding = findings
            .report(word.span(), format!("{path} {}", what.says))
            .help(format!("mount it where it is needed: `RUN --mount=type=secret,id={id},target=… …`; what the application needs comes when it starts"));
        if !stage.is_shipped {
            finding.severity(Severity::Warning);
        }
    }
}

/// What a name says of a file.
struct Secret {
    says: &'static str,
    /// It is one only if its text has one of these; any text will do if there are none.
    only_with: &'static [&'static str],
}

fn secret(path: &str) -> Option<Secret> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let lower = name.to_ascii_lowercase();
    let key = Secret { says: "is a private key", only_with: &["PRIVATE KEY"] };
    let logins = |only_with| Secret { says: "may hold a password", only_with };
    let always = Secret { says: "holds secrets", only_with: &[] };
    let harmless = ["example", "sample", "template", "dist", "public", "pub"];
    if lower.split(['.', '-', '_']).any(|part| harmless.contains(&part)) {
        return None;
    }
    match lower.as_str() {
        ".env" => Some(always),
        _ if lower.starts_with(".env.") => Some(always),
        "id_rsa" | "id_dsa" | "id_ecdsa" | "id_ed25519" => Some(key),
        ".netrc" | "_netrc" | ".git-credentials" | ".pgpass" | ".my.cnf" | ".htpasswd" | ".pypirc" => Some(always),
        ".npmrc" | ".yarnrc.yml" => Some(logins(&["_auth", "_password", "npmAuthToken"])),
        "pip.conf" | "pip.ini" | "uv.toml" => Some(logins(&["@"])),
        "credentials.json" | "client_secret.json" | "service-account.json" | "service_account.json" | "kubeconfig" => {
            Some(always)
        }
        "secrets.yml" | "secrets.yaml" | "secrets.json" | "secrets.toml" => Some(always),
        ".ssh" | ".aws" | ".gnupg" | ".kube" => Some(always),
        "credentials" if path.contains(".aws/") => Some(always),
        "config.json" if path.contains(".docker/") => Some(always),
        _ if lower.ends_with(".p12") || lower.ends_with(".pfx") => Some(key),
        _ if lower.ends_with(".pem") || lower.ends_with(".key") => {
            let certificate = ["ca", "cert", "certificate", "bundle", "chain", "fullchain", "root", "combined", "crt"];
            (!lower.split(['.', '-', '_']).any(|part| certificate.contains(&part))).then_some(key)
        }
        _ => None,
    }
}

/// Whether the file is one, as far as it can be read.
fn is_one(subject: &Subject<'_>, path: &str, what: &Secret) -> bool {
    let text = TreePath::parse(path).ok().and_then(|path| subject.context.read(&path));
    text.is_none_or(|text| what.only_with.is_empty() || what.only_with.iter().any(|part| text.contains(part)))
}

/// URLs whose user or password is a variable of the build.
fn urls(subject: &Subject<'_>, stage: &Stage<'_>, step: &Step<'_>, findings: &mut Findings<'_>) {
    let built = |name: &str| step.scope.variable(name).is_some();
    match &step.instruction.kind {
        InstructionKind::Run(_) => {
            let Some(shell) = step.shell else { return };
            for command in &step.commands {
                for word in command.arguments() {
                    let text = word.text();
                    let Some((range, names)) = credentials(&text) else { continue };
                    let names: Vec<&str> = names.into_iter().filter(|name| built(name)).collect();
                    let Some(first) = names.first() else { continue };
                    let finding = findings
                        .report(
                            shell.span(word.range_of(range.start, range.end)),
                            format!("`{first}` is in the history of the build"),
                        )
                        .help(format!("mount it: `RUN --mount=type=secret,id={first},env={first} …`"));
                    if let Some(fix) = fix(subject, stage, step, &names) {
                        finding.fix(fix);
                    }
                }
            }
        }
        InstructionKind::Env(pairs) => pairs.iter().for_each(|pair| value(step, &pair.value, findings)),
        InstructionKind::Arg(arguments) => {
            arguments
                .iter()
                .filter_map(|argument| argument.default.as_ref())
                .for_each(|word| value(step, word, findings));
        }
        InstructionKind::Add(add) => {
            for source in &add.transfer.sources {
                if let jettison_dockerfile::instruction::Source::Path(word) = source {
                    value(step, word, findings);
                }
            }
        }
        _ => {}
    }
}

/// A value that is kept with the image.
fn value(step: &Step<'_>, word: &Word, findings: &mut Findings<'_>) {
    if let Some((range, names)) = credentials(word)
        && let Some(name) = names.into_iter().find(|name| step.scope.variable(name).is_some())
    {
        findings
            .report(word.span_of(range), format!("`{name}` is kept with the image, in this URL"))
            .help("mount it in the `RUN` that needs it: `--mount=type=secret,…`");
    }
}

/// Where a URL has a user and a password, and the variables in the part that is secret: `https://ci:$TOKEN@host`, `https://$TOKEN@host`.
fn credentials(text: &str) -> Option<(std::ops::Range<usize>, Vec<&str>)> {
    let start = text.find("://")? + 3;
    let rest = &text[start..];
    let authority = &rest[..rest.find(['/', '?', ' ', '"', '\'']).unwrap_or(rest.len())];
    let (info, _) = authority.rsplit_once('@')?;
    if info.contains("$(") || info.contains('`') {
        return None;
    }
    // Of `$USER:$PASSWORD` the second is the secret; `${X:-y}` has a colon of its own.
    let secret = match info.rfind(':').filter(|at| info[..*at].matches('{').count() == info[..*at].matches('}').count())
    {
        Some(at) => &info[at + 1..],
        None => info,
    };
    let mut names = Vec::new();
    let mut rest = secret;
    while let Some(at) = rest.find('$') {
        rest = rest[at + 1..].trim_start_matches('{');
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end > 0 {
            names.push(&rest[..end]);
        }
        rest = &rest[end..];
    }
    (!names.is_empty()).then_some((start..start + info.len(), names))
}

/// The arguments become secrets.
fn fix(subject: &Subject<'_>, stage: &Stage<'_>, step: &Step<'_>, names: &[&str]) -> Option<Fix> {
    let mut edits = Vec::new();
    let end = step.instruction.keyword.span().end;
    let mut mounts = String::new();
    for name in names {
        if step.scope.variable(name).is_none_or(|variable| variable.kind != VariableKind::Arg) {
            return None;
        }
        mounts += &format!(" --mount=type=secret,id={name},env={name}");
        let mut declared = None;
        for other in &stage.steps {
            if std::ptr::eq(other.instruction, step.instruction) {
                continue;
            }
            let declares = match &other.instruction.kind {
                InstructionKind::Arg(arguments) => arguments.len() == 1 && arguments[0].name.as_str() == *name,
                _ => false,
            };
            // Declared twice, or used elsewhere, too.
            if declares && declared.is_some() || !declares && subject.file.text(other.instruction.span).contains(name) {
                return None;
            }
            if declares {
                declared = Some(other);
            }
        }
        edits.push(remove_line(subject.file, declared?.instruction.span));
    }
    edits.push(Edit { span: Span::new(end, end), text: mounts });
    Some(Fix::unsafe_("mount it as a secret", edits))
}

#[cfg(test)]
mod tests {
    use crate::{Config, Context, Selector, lint};
    use jettison_dockerfile::Dockerfile;

    /// The texts at which the rule finds something.
    fn found(text: &str) -> Vec<String> {
        let config = Config { select: Selector::parse("JET123").unwrap(), ..Config::default() };
        let file = Dockerfile::parse(text);
        let found = lint(&file, &Context::none(), &(), &config);
        let place = |finding: &crate::Finding| match finding.place {
            crate::Place::Dockerfile(span) => file.text(span).to_owned(),
            crate::Place::Context { .. } => String::new(),
        };
        found.iter().map(place).collect()
    }

    #[test]
    fn names_shapes_and_addresses() {
        for (text, expected) in [
            (r#"COPY .env.example .env.sample certs/ca.pem public.key id_rsa.pub /x/"#, &[] as &[&str]),
            (
                r#"COPY .env.production certs/server.key .netrc /x/"#,
                &[r#".env.production"#, r#"certs/server.key"#, r#".netrc"#] as &[&str],
            ),
            (r#"COPY --from=0 /root/.netrc /x"#, &[] as &[&str]),
            (r#"# ghp_0123456789abcdefghijABCDEFGHIJ012345"#, &[] as &[&str]),
            (r#"RUN git clone https://$TOKEN@github.com/x/y"#, &[] as &[&str]),
            (
                r#"ARG TOKEN
RUN git clone https://$TOKEN@github.com/x/y"#,
                &[r#"$TOKEN"#] as &[&str],
            ),
            (
                r#"ARG TOKEN
ENV UV_INDEX_URL=https://u:${TOKEN}@h/s"#,
                &[r#"u:${TOKEN}"#] as &[&str],
            ),
            (
                r#"ARG USER
RUN --mount=type=secret,id=P,env=P curl https://$USER:$P@h/"#,
                &[] as &[&str],
            ),
            (
                r#"ARG TOKEN
ADD https://$TOKEN@h/x.tgz /x"#,
                &[r#"$TOKEN"#] as &[&str],
            ),
            (r#"ENV DATABASE_URL=postgres://postgres:postgres@localhost/x"#, &[] as &[&str]),
        ] {
            assert_eq!(found(&format!("FROM python:3.12-slim\n{text}\n")), *expected, "{text}");
        }
    }
}
