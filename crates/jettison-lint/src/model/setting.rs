//! What a program is told by its surroundings: variables, the home directory, the user.

use super::image::{BaseImage, System};
use super::{Stage, Step, Subject};
use jettison_shell::Command;

impl<'a> Step<'a> {
    /// The value that a variable has for a command: from `A=1` or `env A=1` before it, `export A=1` earlier in its script, `ENV` or
    /// `ARG`. A value that cannot be told is what was written, or nothing.
    pub fn setting(&self, command: &Command<'_>, name: &str) -> Option<String> {
        let assigned = |text: &str| Some(text.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        if let Some(assignment) = command.assignments().iter().rev().find(|assignment| assignment.name == name) {
            return Some(assignment.value.text().into_owned());
        }
        if let Some(value) = command.wrappers().iter().rev().find_map(|word| assigned(&word.text())) {
            return Some(value);
        }
        let start = command.range().start;
        let earlier = self.commands.iter().take_while(|other| other.range().start < start);
        let exports = earlier.filter(|other| other.is("export")).flat_map(|other| other.arguments());
        if let Some(value) = exports.filter_map(|word| assigned(&word.text())).last() {
            return Some(value);
        }
        self.scope.variable(name).map(|variable| variable.value.clone().unwrap_or_default())
    }

    /// As [`Step::setting`], for a switch: set, and neither empty, `0`, `false`, `no` nor `off`.
    pub fn is_on(&self, command: &Command<'_>, name: &str) -> bool {
        let off = ["0", "false", "no", "off", "n", "f"];
        self.setting(command, name).is_some_and(|value| !off.contains(&value.to_ascii_lowercase().as_str()))
    }

    /// Whether it runs as root, as far as a `USER` before it tells.
    pub fn is_root(&self) -> Option<bool> {
        self.user.as_deref().map(is_root)
    }

    /// The home directory of the user, if it can be told: `$HOME`, or that of root where no `USER` says otherwise.
    pub fn home(&self) -> Option<String> {
        let home = self.scope.variable("HOME").map(|variable| variable.value.clone());
        match home {
            Some(value) => value,
            None => self.is_root().unwrap_or(true).then(|| "/root".to_owned()),
        }
    }
}

/// Whether a `USER` is root.
pub fn is_root(user: &str) -> bool {
    matches!(user.split(':').next().unwrap_or(user), "root" | "0" | "")
}

impl BaseImage {
    /// Whether containers of it run as root; `None` for one of which that is not known.
    pub fn runs_as_root(&self) -> Option<bool> {
        let repository = self.reference.repository();
        let tag = self.reference.tag_or_default().unwrap_or_default();
        let other = tag.contains("nonroot")
            || tag.contains("rootless")
            || repository.contains("unprivileged")
            || repository.starts_with("bitnami")
            || repository.starts_with("jupyter/")
            || repository.starts_with("mambaorg/")
            || repository.starts_with("selenium/")
            || repository.starts_with("apache/airflow")
            || self.system == System::Wolfi && !repository.ends_with("wolfi-base")
            || self.system == System::RedHat && repository.contains("python-");
        let known = self.reference.registry() == "docker.io"
            || self.system == System::Distroless
            || self.python.as_ref().is_some_and(|python| python.official);
        match self.system {
            _ if other => Some(false),
            System::Unknown | System::Windows => None,
            _ => known.then_some(true),
        }
    }
}

impl<'a> Subject<'a> {
    /// Whether the steps of a stage up to `before` make a user of this name.
    pub fn makes_user(&self, stage: &Stage<'a>, before: usize, name: &str) -> bool {
        let made = |step: &Step<'_>| {
            step.commands.iter().any(|command| {
                matches!(command.name(), Some("useradd" | "adduser"))
                    && command.arguments().iter().any(|word| word.text() == name)
            })
        };
        let below = self.chain(stage);
        let below = below.iter().filter(|other| other.syntax.index != stage.syntax.index);
        below.flat_map(|stage| &stage.steps).chain(stage.steps.iter().take(before)).any(made)
    }
}
