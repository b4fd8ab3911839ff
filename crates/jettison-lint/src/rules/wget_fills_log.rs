use crate::finding::{Findings, Fix};
use crate::model::{Subject, System};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Edit;

pub(super) static RULE: Rule = Rule {
    code: "JET319",
    name: "wget-fills-log",
    family: Family::General,
    severity: Severity::Style,
    default: false,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &["DL3047"],
    docs: r#"
`wget` writes its progress into the log of the build.

## Why

Where its output is no terminal, `wget` writes a line for each 50 KB: 20,000 lines for a download of 1 GB.

## Example

```dockerfile bad lines=2
FROM debian:bookworm-slim
RUN wget https://example.com/data.tar
```

```dockerfile fixed
FROM debian:bookworm-slim
RUN wget --progress=dot:giga https://example.com/data.tar
```

```dockerfile bad lines=2
FROM alpine:3.20
RUN wget https://example.com/data.tar
```

```dockerfile good
FROM debian:bookworm-slim
RUN wget -nv https://example.com/a && wget -qO- https://example.com/b && wget --progress=bar:force https://example.com/c
RUN wget -o log https://example.com/d && wget --version && apt-get install -y wget
```

## Fix

Safe: `--progress=dot:giga` is written, a line for each 32 MB. The `wget` of Alpine does not know it; there `-q` is left to you.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (stage, step, shell) in subject.runs() {
        for command in step.commands.iter().filter(|command| command.is("wget")) {
            let quiet = [
                "-q",
                "--quiet",
                "-nv",
                "--no-verbose",
                "--progress",
                "--report-speed",
                "-o",
                "--output-file",
                "-a",
                "--append-output",
                "--version",
                "-V",
                "--help",
                "-h",
                "-b",
                "--background",
                "--spider",
            ];
            let to_file = command.redirections().iter().any(|r| r.descriptor.as_deref() == Some("2"));
            let Some(program) = command.program().filter(|_| !command.has_flag(&quiet) && !to_file) else { continue };
            let place = shell.span(program.range.clone());
            let finding = findings.report(place, "`wget` writes its progress into the log");
            if stage.system() == System::Alpine {
                finding.help("write `wget -q`");
            } else {
                let fix = Fix::safe("write `--progress=dot:giga`", [Edit::insert(place.end, " --progress=dot:giga")]);
                finding.help("write `wget --progress=dot:giga`, `-nv` or `-q`").fix(fix);
            }
        }
    }
}
