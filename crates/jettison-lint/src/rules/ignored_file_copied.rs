use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};

pub(super) static RULE: Rule = Rule {
    code: "JET403",
    name: "copy-ignored-file",
    family: Family::Context,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::No,
    buildkit: Some("CopyIgnoredFile"),
    hadolint: &[],
    docs: r#"
`COPY` or `ADD` takes a file that the ignore file leaves out.

## Why

What the ignore file leaves out is not in the context, so the build stops with "not found", however plainly the file is there.
Where the ignore file has exceptions (`!`), nothing is said, as BuildKit says nothing then.

## Example

```text file=.dockerignore
*.md
secrets/
```

```dockerfile bad lines=2,3
FROM debian:bookworm
COPY README.md /doc/
ADD main.py secrets/key.pem /app/
```

```dockerfile good
FROM debian:bookworm
COPY main.py /app/
COPY --from=other README.md /doc/
COPY . /app/
```
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(ignore) = subject.context.ignore() else { return };
    let lines = || ignore.text.lines().filter(|line| !line.starts_with('#')).map(str::trim);
    if lines().any(|line| line.starts_with('!')) {
        return;
    }
    let ignores_all = lines().any(|line| matches!(line.trim_matches('/'), "*" | "**" | "**/*"));
    for (_, step) in subject.steps() {
        for word in step.context_sources() {
            let Some(path) = step.expand(word).map(|path| clean(&path)) else { continue };
            if matches!(path.as_str(), "." | "/") && !ignores_all || !ignore.patterns.matches(&path) {
                continue;
            }
            let file = ignore.path.as_str().unwrap_or(".dockerignore");
            subject
                .point(findings, step.instruction, word.span(), format!("`{path}` is not in the context: {file} leaves it out"))
                .help(format!("take its pattern out of {file}, or copy something else"));
        }
    }
}

/// Go's `filepath.Clean`, by which BuildKit looks sources up: a `/` at the beginning stays.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if path.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (path.starts_with('/'), joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_are_cleaned_as_go_cleans_them() {
        for (path, cleaned) in
            [("a/./b//", "a/b"), ("./", "."), ("a/..", "."), ("../a", "../a"), ("/a/../..", "/"), ("/a", "/a"), ("", ".")]
        {
            assert_eq!(super::clean(path), cleaned, "{path}");
        }
    }
}
