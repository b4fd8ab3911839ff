//! Variables as a command of a script sees them, and words as it gets them.

use super::Step;
use super::step::join;
use jettison_shell::{Command, Part, PartKind, Word};

/// A word as the shell hands it on, where its variables are those of the Dockerfile; `None` where only a run can tell.
pub fn shell_value(step: &Step<'_>, word: &Word) -> Option<String> {
    let mut value = String::new();
    parts(step, &word.parts, &mut value)?;
    Some(value)
}

fn parts(step: &Step<'_>, parts_: &[Part], value: &mut String) -> Option<()> {
    for part in parts_ {
        match &part.kind {
            PartKind::Parameter(parameter) if parameter.operator.is_empty() => {
                value.push_str(step.scope.value(&parameter.name)?);
            }
            PartKind::DoubleQuoted(inner) if inner.iter().any(Part::is_expansion) => parts(step, inner, value)?,
            _ if part.is_expansion() => return None,
            _ => value.push_str(&part.text),
        }
    }
    Some(())
}

/// The variable `name` as `command` sees it: what is assigned before it, what `ENV` and `ARG` say. `None` where it is not set, or
/// its value cannot be told.
pub fn variable(step: &Step<'_>, command: &Command<'_>, name: &str) -> Option<String> {
    let assigned = command.assignments().iter().rev().find(|assignment| assignment.name == name);
    if let Some(assignment) = assigned {
        return shell_value(step, &assignment.value);
    }
    let exported = step.commands.iter().take_while(|other| other.range().start < command.range().start);
    let exported = exported.filter(|other| other.is("export")).flat_map(|other| other.arguments());
    let prefix = format!("{name}=");
    if let Some(value) = exported
        .filter_map(|word| shell_value(step, word))
        .filter_map(|text| Some(text.strip_prefix(&prefix)?.to_owned()))
        .last()
    {
        return Some(value);
    }
    // An argument is a variable of a `RUN`, too.
    step.scope.value(name).map(str::to_owned)
}

/// Whether a variable is set to something that pip, uv and Poetry take for "yes".
pub fn is_on(step: &Step<'_>, command: &Command<'_>, name: &str) -> bool {
    variable(step, command, name)
        .is_some_and(|value| matches!(&*value.to_ascii_lowercase(), "1" | "true" | "yes" | "on" | "y" | "t"))
}

/// Whether a variable is set to something that they take for "no".
pub fn is_off(step: &Step<'_>, command: &Command<'_>, name: &str) -> bool {
    variable(step, command, name)
        .is_some_and(|value| matches!(&*value.to_ascii_lowercase(), "0" | "false" | "no" | "off" | "n" | "f"))
}

/// A path as `command` means it, absolute. Where no directory was set, it is seen from the root, as in the official images.
pub fn absolute(step: &Step<'_>, command: &Command<'_>, path: &str) -> Option<String> {
    let path = match path.strip_prefix("~/") {
        Some(rest) => format!("{}/{rest}", home(step)),
        None => path.to_owned(),
    };
    if path.starts_with('/') {
        return join(None, &path);
    }
    let directory = command.directory()?;
    let directory = if directory.starts_with('/') { directory.to_owned() } else { join(Some("/"), directory)? };
    join(Some(&directory), &path)
}

/// The home directory of the user of a step, as `HOME` says or as users are usually made.
pub fn home(step: &Step<'_>) -> String {
    let user = step.user.as_deref().map(|user| user.split(':').next().unwrap_or(user));
    match (step.scope.value("HOME"), user) {
        (Some(home), _) => home.to_owned(),
        (None, None | Some("root" | "0")) => "/root".to_owned(),
        (None, Some(user)) => format!("/home/{user}"),
    }
}
