use crate::finding::Findings;
use crate::model::{Step, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::InstructionKind;

pub(super) static RULE: Rule = Rule {
    code: "JET305",
    name: "archive-unpacked-by-run",
    family: Family::General,
    severity: Severity::Info,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL3010"],
    docs: r#"
An archive is copied into the image, and a later `RUN` unpacks it.

## Why

The layer of `COPY` holds the archive for good, whatever is removed later, and that of `RUN` holds the files once more. `ADD` unpacks
a tar archive of the context by itself, and `RUN --mount=type=bind` lets a step see an archive that no layer keeps.

## Example

```dockerfile bad lines=2
FROM debian:bookworm-slim
COPY data.tar.gz /tmp/
RUN tar -xzf /tmp/data.tar.gz -C /srv && rm /tmp/data.tar.gz
```

```dockerfile good
FROM debian:bookworm-slim
ADD data.tar.gz /srv/
RUN --mount=type=bind,source=more.zip,target=/tmp/more.zip unzip /tmp/more.zip -d /srv
COPY unrelated.tar.gz /srv/
```

## Fix

None: write `ADD archive directory/`, or a bind mount where the archive is no tar.
"#,
    check,
};

/// What unpacks, and what it unpacks.
const TOOLS: [&str; 9] = ["tar", "bsdtar", "gunzip", "bunzip2", "unxz", "unlzma", "uncompress", "unzip", "unpigz"];
const ENDINGS: [&str; 15] = [
    ".tar",
    ".tar.gz",
    ".tgz",
    ".tar.bz2",
    ".tbz",
    ".tbz2",
    ".tar.xz",
    ".txz",
    ".tar.zst",
    ".tar.lzma",
    ".gz",
    ".bz2",
    ".xz",
    ".Z",
    ".zip",
];

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in &subject.stages {
        for (at, step) in stage.steps.iter().enumerate() {
            let InstructionKind::Copy(copy) = &step.instruction.kind else { continue };
            for source in step.context_sources() {
                let Some(name) = step.expand(source).filter(|path| ENDINGS.iter().any(|end| path.ends_with(end)))
                else {
                    continue;
                };
                let base = name.rsplit('/').next().unwrap_or(&name);
                let target = step.destination().unwrap_or_else(|| copy.transfer.destination.to_string());
                // Under the name that it has in the image.
                let base = if target.ends_with('/') || copy.transfer.sources.len() > 1 || !is_archive(&target) {
                    base
                } else {
                    target.rsplit('/').next().unwrap_or(base)
                };
                let Some(by) = stage.steps[at + 1..].iter().find(|later| unpacks(later, base)) else { continue };
                let how = if base.ends_with(".zip") {
                    "mount it instead: `RUN --mount=type=bind,source=…`"
                } else {
                    "write `ADD` instead, which unpacks it, or mount it: `RUN --mount=type=bind,source=…`"
                };
                findings
                    .report(source.span(), format!("a layer keeps `{base}`, which is unpacked into another"))
                    .label(by.instruction.keyword.span(), "unpacked here")
                    .help(how);
            }
        }
    }
}

fn is_archive(path: &str) -> bool {
    ENDINGS.iter().any(|end| path.ends_with(end))
}

/// Whether a step takes apart a file of this name.
fn unpacks(step: &Step<'_>, name: &str) -> bool {
    step.run().is_some()
        && step.commands.iter().any(|command| {
            let unpacks = command.name().is_some_and(|tool| TOOLS.contains(&tool))
                || command.is("gzip") && command.has_flag(&["-d", "--decompress"]);
            let packs = command.has_flag(&["-c", "--create"]) && command.is("tar")
                || command.arguments().first().is_some_and(|word| {
                    let text = word.text();
                    command.is("tar") && !text.starts_with('-') && text.contains('c') && !text.contains('.')
                });
            let names = |word: &jettison_shell::Word| {
                let text = word.text();
                text.rsplit(['/', '=']).next() == Some(name)
                    || word.has_glob()
                        && text.rsplit('/').next().is_some_and(|glob| {
                            glob.strip_prefix('*').is_some_and(|ending| !ending.is_empty() && name.ends_with(ending))
                        })
            };
            unpacks && !packs && command.arguments().iter().any(names)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Context, lint};
    use jettison_dockerfile::Dockerfile;

    #[test]
    fn the_archive_is_known_by_the_name_that_it_has_in_the_image() {
        for (lines, unpacked) in [
            ("COPY a.tgz /tmp/\nRUN tar xzf /tmp/a.tgz", true),
            ("COPY a.tgz /tmp/b.tgz\nRUN tar -x -f /tmp/b.tgz", true),
            ("COPY a.tgz /tmp/b.tgz\nRUN tar -x -f /tmp/a.tgz", false),
            ("COPY a.tgz b.tgz /tmp/\nRUN tar --extract --file=/tmp/b.tgz", true),
            ("COPY a.zip /tmp/\nRUN unzip -q /tmp/a.zip", true),
            ("COPY a.tar.xz /tmp/\nRUN cd /tmp && unxz *.tar.xz", true),
            ("COPY a.tar.gz /tmp/\nRUN tar -czf /tmp/a.tar.gz /srv", false),
            ("COPY a.tar.gz /tmp/\nRUN sha256sum /tmp/a.tar.gz", false),
            ("RUN tar xf a.tgz\nCOPY a.tgz /tmp/", false),
            ("COPY --from=x /a.tgz /tmp/\nRUN tar xf /tmp/a.tgz", false),
            ("ADD https://example.com/a.tgz /tmp/\nRUN tar xf /tmp/a.tgz", false),
        ] {
            let file = Dockerfile::parse(&format!("FROM debian:12\n{lines}\n"));
            let found = lint(&file, &Context::none(), &(), &Config::only(&RULE));
            assert_eq!(!found.is_empty(), unpacked, "{lines}");
        }
    }
}
