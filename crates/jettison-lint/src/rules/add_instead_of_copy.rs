use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Edit;
use jettison_dockerfile::instruction::{InstructionKind, Source};

pub(super) static RULE: Rule = Rule {
    code: "JET310",
    name: "add-instead-of-copy",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &["DL3020"],
    docs: r#"
`ADD` copies files of the context, which `COPY` does without surprises.

## Why

`ADD` looks into each file and unpacks it if it is an archive, and fetches what looks like an address. Where files are only copied,
`COPY` says so, and does nothing else if one of them happens to be a tar one day.

## Example

```dockerfile bad lines=2,3
FROM python:3.12-slim
ADD requirements.txt /app/
ADD --chown=app . /app
```

```dockerfile fixed
FROM python:3.12-slim
COPY requirements.txt /app/
COPY --chown=app . /app
```

```dockerfile bad lines=2
FROM python:3.12-slim
ADD vendor/* /app/vendor/
```

```dockerfile good
FROM python:3.12-slim
ARG SOURCE
ADD rootfs.tar.xz /
ADD https://example.com/data.json /data/
ADD --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d https://example.com/a.tgz /a.tgz
ADD git@github.com:example/app.git#v1 /src
ADD $SOURCE /src
```

## Fix

Safe where no pattern could name an archive: `COPY` is written for `ADD`.
"#,
    check,
};

/// How archives end that `ADD` unpacks.
const ARCHIVES: [&str; 12] =
    [".tar", ".gz", ".tgz", ".bz2", ".tbz", ".tbz2", ".xz", ".txz", ".zst", ".tzst", ".lzma", ".Z"];

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (_, step) in subject.steps() {
        let InstructionKind::Add(add) = &step.instruction.kind else { continue };
        let special = add.checksum.is_some() || add.keep_git_dir.is_some() || add.unpack.is_some();
        let paths: Vec<_> = add
            .transfer
            .sources
            .iter()
            .map(|source| match source {
                Source::Path(path) => step.expand(path),
                Source::Heredoc(_) => Some(String::new()),
            })
            .collect();
        let plain = |path: &Option<String>| {
            path.as_ref().is_some_and(|path| {
                let remote = path.contains("://") || path.starts_with("git@") || path.ends_with(".git");
                !remote && !ARCHIVES.iter().any(|end| path.ends_with(end))
            })
        };
        if special || paths.is_empty() || !paths.iter().all(plain) {
            continue;
        }
        let open = paths.iter().flatten().any(|path| path.ends_with('*'));
        let keyword = &step.instruction.keyword;
        let copy = if keyword.as_str() == "add" { "copy" } else { "COPY" };
        let finding = findings.report(keyword.span(), "`ADD` is used where files are only copied");
        finding.help("write `COPY`");
        if !open {
            finding.fix(Fix::safe("write `COPY`", [Edit::replace(keyword.span(), copy)]));
        }
    }
}
