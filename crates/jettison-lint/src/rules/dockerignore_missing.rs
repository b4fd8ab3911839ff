use crate::clutter::{Clutter, default_ignore_file, kept_paths, reaches, size};
use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_tree::TreePath;

pub(super) static RULE: Rule = Rule {
    code: "JET401",
    name: "dockerignore-missing",
    family: Family::Context,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
A directory of the build context is copied as a whole, and no `.dockerignore` says what to leave out.

## Why

Everything that lies there goes along: `.git`, virtual environments, caches, `.env`. It makes the image larger, hands out secrets, and
makes the layer new whenever one of these files changes. A context with a virtual environment of 16,000 files and 400 MB costs docker 5.7 s
for each change of one line; with one line in `.dockerignore` it is 0.14 s.

## Example

```text file=main.py
print("hello")
```

```text file=.env
TOKEN=1
```

```dockerfile bad lines=2
FROM python:3.12-slim
COPY . /app
```

```dockerfile fixed
FROM python:3.12-slim
COPY . /app
```

```text file=.dockerignore fixed
# Version control
.git
.gitignore
.gitattributes
.github

# Virtual environments: the image makes its own
.venv
venv
env

# What Python and its tools leave behind
**/__pycache__
**/*.py[co]
**/*.egg-info
**/.*_cache
.tox
.nox
.coverage*
htmlcov
build
dist

# Secrets: they have no place in an image
.env*
!.env.example
**/*.pem
**/*.key
.netrc
.pypirc

# Not needed at run time
tests
docs
*.md
!README.md
.idea
.vscode

# How the image is made
Dockerfile*
*.Dockerfile
.dockerignore
compose*.y*ml
docker-compose*.y*ml
```

### A package that is called like something else

```text file=docs/__init__.py
```

```text file=.git/HEAD
ref: refs/heads/main
```

```dockerfile bad lines=2
FROM python:3.12-slim
COPY . /app
```

```dockerfile good
FROM python:3.12-slim
COPY docs /app/docs
```

### Files by name

```text file=main.py
print("hello")
```

```dockerfile good
FROM python:3.12-slim
COPY main.py /app/
```

### With an ignore file

```text file=.dockerignore
.git
```

```dockerfile good
FROM python:3.12-slim
COPY . /app
```

## Fix

Safe: a `.dockerignore` is written. Paths that the Dockerfile names by themselves are not in it.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    if subject.context.root().is_none() || subject.context.ignore().is_some() {
        return;
    }
    let reaches = reaches(subject);
    let Some(widest) = reaches.first().filter(|reach| reach.directory.is_empty()) else { return };
    let found = Clutter::find(subject, &reaches);
    let bytes: u64 = found.iter().map(|clutter| clutter.bytes).sum();
    let message = match found.is_empty() {
        true => "all of the build context is copied, and there is no `.dockerignore`".to_owned(),
        false => format!("there is no `.dockerignore`, and the image gets {}", tell(&found)),
    };
    let finding = findings.report(widest.span, message);
    if found.is_empty() {
        finding.severity(Severity::Info);
    } else if found.iter().any(Clutter::is_secret) {
        finding.severity(Severity::Error);
    }
    if bytes > 0 {
        finding.saves(bytes);
    }
    finding.help("write a `.dockerignore` beside the Dockerfile's context, with what the image has no need of");
    if let Ok(path) = TreePath::parse(".dockerignore") {
        let text = default_ignore_file(&kept_paths(subject));
        finding.fix(Fix::safe("write `.dockerignore`", []).write(path, text));
    }
}

/// The largest of what was found, and the secrets: "`.venv` (390 MB), `.env` (environment file) and 3 more".
pub(super) fn tell(found: &[Clutter]) -> String {
    const NAMED: usize = 4;
    let mut named: Vec<&Clutter> = found.iter().filter(|clutter| clutter.is_secret()).take(NAMED).collect();
    let others = found.iter().filter(|clutter| !clutter.is_secret()).take(NAMED.saturating_sub(named.len()).max(2));
    named.extend(others);
    let mut texts: Vec<String> = named
        .iter()
        .map(|clutter| {
            let path = String::from_utf8_lossy(clutter.path.as_bytes());
            match clutter.is_secret() {
                true => format!("`{path}` ({})", clutter.reason),
                false => format!("`{path}` ({})", size(clutter.bytes)),
            }
        })
        .collect();
    if found.len() > named.len() {
        texts.push(format!("{} more", found.len() - named.len()));
    }
    let last = texts.pop().unwrap_or_default();
    if texts.is_empty() { last } else { format!("{} and {last}", texts.join(", ")) }
}
