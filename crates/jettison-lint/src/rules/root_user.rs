use crate::finding::{Findings, Fix};
use crate::model::{Base, Stage, Step, Subject, System, is_root, join};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::InstructionKind;
use jettison_dockerfile::{Edit, Span};

pub(super) static RULE: Rule = Rule {
    code: "JET122",
    name: "root-user",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &["DL3002"],
    docs: r#"
The application runs as root.

## Why

Without `USER` a container runs as root, with the same number as root of the machine. A hole in the application is then a hole in all that
the container can write, and one in the kernel or the runtime a hole in the machine. Clusters that forbid root (`runAsNonRoot`) want to see the
number of the user, not its name. Images that are known to have a user of their own are let be, and so are bases without files of their own
and programs that step down by themselves (`gosu`, `su-exec`, `setpriv`).

## Example

```dockerfile bad lines=1
FROM python:3.12-slim
COPY . .
# Start it.
CMD ["python", "main.py"]
```

```dockerfile fixed unsafe
FROM python:3.12-slim
COPY . .
RUN useradd --uid 65532 --user-group --create-home --shell /usr/sbin/nologin app
USER 65532:65532
# Start it.
CMD ["python", "main.py"]
```

```dockerfile good
FROM python:3.12-slim
RUN useradd --create-home app
USER app
CMD ["python", "main.py"]
```

```dockerfile bad lines=4
FROM python:3.13-alpine
RUN adduser -D app
USER app
USER root
CMD ["python", "main.py"]
```

```dockerfile fixed unsafe
FROM python:3.13-alpine
RUN adduser -D app
USER app
USER root
USER app
CMD ["python", "main.py"]
```

```dockerfile good
FROM gcr.io/distroless/python3-debian12:nonroot
CMD ["main.py"]
```

```dockerfile good
FROM python:3.12-slim
ENTRYPOINT ["gosu", "nobody", "python", "main.py"]
```

## Fix

Unsafe: files that the application writes have to belong to the user, and ports below 1024 may be out of its reach. A user is made in the way
of the system, or the one that the Dockerfile made is taken.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(last) = subject.last() else { return };
    let command = |name: &str| subject.shipped().filter(|step| step.name() == name).last();
    let (start, entry) = (command("CMD"), command("ENTRYPOINT"));
    // What starts nothing, or nothing of its own, is a base, or files to take out.
    let has_files = subject.shipped().any(|step| step.destination().is_some());
    let starts = start.is_some() || entry.is_some();
    let explicit = subject.shipped().filter(|step| matches!(step.instruction.kind, InstructionKind::User(_))).last();
    let (span, message) = match (&last.user, explicit) {
        (Some(user), Some(step)) if is_root(user) => {
            let InstructionKind::User(word) = &step.instruction.kind else { return };
            (word.span(), "the application runs as root")
        }
        (Some(_), _) => return,
        (None, _) if !has_files => return,
        (None, _) => {
            let root = match (&last.image, &last.base) {
                (Some(image), _) => image.runs_as_root() == Some(true),
                (None, base) => *base == Base::Scratch,
            };
            if !root {
                return;
            }
            (last.syntax.from.image.span(), "the application runs as root, since no `USER` says otherwise")
        }
    };
    if !starts || steps_down(subject, last) {
        return;
    }
    let finding = findings.report(span, message).help("make a user, and name it with `USER` above the command");
    if let Some(edit) = edit(subject, last) {
        finding.fix(Fix::unsafe_("run it as a user of its own", [edit]));
    }
}

/// Whether what is started changes the user by itself.
pub(crate) fn steps_down(subject: &Subject<'_>, last: &Stage<'_>) -> bool {
    let steps = ["gosu", "su-exec", "setpriv", "runuser", "chpst", "s6-setuidgid", "setuidgid"];
    let starts = subject.shipped().filter(|step| matches!(&*step.name(), "CMD" | "ENTRYPOINT"));
    starts.into_iter().any(|step| {
        step.commands.iter().any(|command| {
            let words = command.wrappers().iter().chain(command.program());
            if words.into_iter().any(|word| steps.contains(&word.text().rsplit('/').next().unwrap_or_default())) {
                return true;
            }
            // A script of the project may do it.
            let script =
                command.program().map(|word| word.text()).filter(|text| text.contains('/') || text.ends_with(".sh"));
            let Some(path) = script.and_then(|script| join(last.workdir.as_deref().or(Some("/")), &script)) else {
                return false;
            };
            let text = subject.origin(last, last.steps.len(), &path).and_then(|path| subject.context.read(&path));
            text.is_some_and(|text| steps.iter().any(|step| text.contains(step)))
        })
    })
}

/// A user, above what ends the last stage.
fn edit(subject: &Subject<'_>, last: &Stage<'_>) -> Option<Edit> {
    let ends = |name: &str| matches!(name, "CMD" | "ENTRYPOINT" | "EXPOSE" | "HEALTHCHECK" | "STOPSIGNAL");
    let end = last.steps.iter().rev().take_while(|step| ends(&step.name())).last();
    let user = match made(subject) {
        Some(name) => format!("USER {name}\n"),
        None => new_user(last.system())?.to_owned(),
    };
    Some(match end {
        Some(step) => {
            let at = above(subject.file.source(), step.instruction.span.start, step.instruction.comments.len());
            Edit { span: Span::new(at, at), text: user }
        }
        None => {
            let end = last.steps.last().map_or(last.head, |step| step.instruction);
            // What follows a heredoc without an end is in it.
            if end.heredocs.iter().any(|heredoc| heredoc.terminator.is_none()) {
                return None;
            }
            let at = end.span.end;
            Edit { span: Span::new(at, at), text: format!("\n{}", user.trim_end()) }
        }
    })
}

/// The lines that make a user and name it; `None` where it is not known how.
pub(crate) fn new_user(system: System) -> Option<&'static str> {
    match system {
        System::Debian | System::Ubuntu | System::RedHat | System::Suse => {
            Some("RUN useradd --uid 65532 --user-group --create-home --shell /usr/sbin/nologin app\nUSER 65532:65532\n")
        }
        System::Alpine => Some("RUN adduser -D -u 65532 app\nUSER 65532:65532\n"),
        System::Distroless | System::Scratch => Some("USER 65532:65532\n"),
        _ => None,
    }
}

/// The place above the comments of an instruction.
fn above(source: &str, start: usize, comments: usize) -> usize {
    let mut at = source[..start].rfind('\n').map_or(0, |at| at + 1);
    for _ in 0..comments {
        let Some(end) = at.checked_sub(1) else { break };
        let line = source[..end].rfind('\n').map_or(0, |at| at + 1);
        if !source[line..end].trim_start().starts_with('#') {
            break;
        }
        at = line;
    }
    at
}

/// The last user that the image's stages made, or gave files to.
pub(crate) fn made(subject: &Subject<'_>) -> Option<String> {
    let owner = |step: &Step<'_>| {
        let owner = match &step.instruction.kind {
            InstructionKind::Copy(copy) => copy.transfer.chown.as_ref(),
            InstructionKind::Add(add) => add.transfer.chown.as_ref(),
            _ => None,
        };
        let owner = step.expand(owner?)?;
        let numbers = owner.split(':').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
        (numbers && !is_root(&owner)).then_some(owner)
    };
    if let Some(owner) = subject.shipped().filter_map(owner).last() {
        return Some(owner);
    }
    let makers = subject.shipped().flat_map(|step| &step.commands).filter_map(|command| {
        let name = match command.name()? {
            "useradd" => {
                let values = [
                    "-u",
                    "--uid",
                    "-g",
                    "--gid",
                    "-G",
                    "--groups",
                    "-d",
                    "--home-dir",
                    "-s",
                    "--shell",
                    "-c",
                    "--comment",
                    "-b",
                    "-k",
                    "-K",
                    "-p",
                    "-e",
                    "-f",
                ];
                command.operands(&values).last().copied()
            }
            "adduser" => {
                let values = [
                    "-u",
                    "--uid",
                    "-G",
                    "--ingroup",
                    "--gid",
                    "-g",
                    "--gecos",
                    "-h",
                    "--home",
                    "-s",
                    "--shell",
                    "-k",
                    "--comment",
                ];
                command.operands(&values).first().copied()
            }
            _ => None,
        }?;
        Some(name.literal()?.into_owned())
    });
    makers.last().filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)))
}

#[cfg(test)]
mod tests {
    use crate::{Config, Context, Selector, lint};
    use jettison_dockerfile::Dockerfile;

    /// The texts at which the rule finds something.
    fn found(text: &str) -> Vec<String> {
        let config = Config { select: Selector::parse("JET122").unwrap(), ..Config::default() };
        let file = Dockerfile::parse(text);
        let found = lint(&file, &Context::none(), &(), &config);
        let place = |finding: &crate::Finding| match finding.place {
            crate::Place::Dockerfile(span) => file.text(span).to_owned(),
            crate::Place::Context { .. } => String::new(),
        };
        found.iter().map(place).collect()
    }

    #[test]
    fn who_runs_it() {
        for (text, expected) in [
            (
                r#"COPY . .
CMD x"#,
                &[r#"python:3.12-slim"#] as &[&str],
            ),
            (
                r#"COPY . .
USER 0:0
CMD x"#,
                &[r#"0:0"#] as &[&str],
            ),
            (
                r#"COPY . .
USER 1000
CMD x"#,
                &[] as &[&str],
            ),
            (
                r#"COPY . .
USER $WHO
CMD x"#,
                &[] as &[&str],
            ),
            (r#"CMD x"#, &[] as &[&str]),
            (r#"COPY . ."#, &[] as &[&str]),
            (
                r#"COPY . .
ENTRYPOINT ["setpriv", "--reuid=1", "x"]"#,
                &[] as &[&str],
            ),
            (
                r#"FROM bitnami/python:3.12
COPY . .
CMD x"#,
                &[] as &[&str],
            ),
            (
                r#"FROM example.com/team/base:1
COPY . .
CMD x"#,
                &[] as &[&str],
            ),
            (
                r#"FROM scratch
COPY x /x
CMD ["/x"]"#,
                &[r#"scratch"#] as &[&str],
            ),
        ] {
            assert_eq!(found(&format!("FROM python:3.12-slim\n{text}\n")), *expected, "{text}");
        }
    }
}
