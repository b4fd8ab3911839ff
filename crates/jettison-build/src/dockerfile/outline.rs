//! `--call=outline` and `--call=targets`: what a Dockerfile offers, without building it.

use std::collections::BTreeMap;

use jettison_dockerfile::{InstructionKind, instruction::MountKind};
use serde::Serialize;

use super::place::Source;
use super::stages;
use crate::error::BuildError;

/// What one target takes (BuildKit's `frontend.outline`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outline {
    /// The stage.
    pub name: String,
    /// What the comment above it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its arguments, and those above the first `FROM`.
    pub args: Vec<OutlineArgument>,
    /// The secrets that its steps mount.
    pub secrets: Vec<OutlineMount>,
    /// The agents that its steps mount.
    pub ssh: Vec<OutlineMount>,
}

/// An argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutlineArgument {
    /// Its name.
    pub name: String,
    /// What the comment above it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The value that is given, or else its default as it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// A secret or an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutlineMount {
    /// Its id.
    pub name: String,
    /// Whether the build fails without it.
    pub required: bool,
}

/// A stage that can be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Its name; its number where it has none.
    pub name: String,
    /// What the comment above it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it is built where no target is named.
    pub default: bool,
    /// What it stands on, as it is written.
    pub base: String,
}

/// The stages that can be built.
pub fn targets(source: &Source) -> Vec<Target> {
    let stages = source.dockerfile.stages();
    let target = |stage: &jettison_dockerfile::Stage| Target {
        name: stage.name.clone().unwrap_or_else(|| stage.index.to_string()),
        description: description(source, stage),
        default: stage.index + 1 == stages.len(),
        base: stage.from.image.to_string(),
    };
    stages.iter().map(target).collect()
}

fn description(source: &Source, stage: &jettison_dockerfile::Stage) -> Option<String> {
    let name = stage.name.as_deref()?;
    source.dockerfile.head(stage).doc_comment(name).map(str::to_owned)
}

/// What a target takes, with all the stages that it needs.
pub fn outline(source: &Source, target: Option<&str>, given: &BTreeMap<String, String>) -> Result<Outline, BuildError> {
    let index = stages::target(source, target)?;
    let dockerfile = &source.dockerfile;
    let stage = &dockerfile.stages()[index];
    let mut needed = vec![index];
    let mut at = 0;
    while at < needed.len() {
        for other in named(source, needed[at]) {
            if !needed.contains(&other) {
                needed.push(other);
            }
        }
        at += 1;
    }
    needed.sort_unstable();
    let mut outline = Outline {
        name: stage.name.clone().unwrap_or_else(|| index.to_string()),
        description: description(source, stage),
        args: Vec::new(),
        secrets: Vec::new(),
        ssh: Vec::new(),
    };
    let bodies = needed.iter().flat_map(|index| dockerfile.body(&dockerfile.stages()[*index]));
    for instruction in dockerfile.preamble().iter().chain(bodies) {
        match &instruction.kind {
            InstructionKind::Arg(arguments) => {
                for argument in arguments {
                    let name = argument.name.to_string();
                    let default = argument.default.as_ref().map(ToString::to_string);
                    let description = instruction.doc_comment(&name).map(str::to_owned);
                    match outline.args.iter_mut().find(|known| known.name == name) {
                        Some(known) => {
                            known.description = known.description.take().or(description);
                            known.value = known.value.take().or(default);
                        }
                        None => {
                            let value = given.get(&name).cloned().or(default);
                            outline.args.push(OutlineArgument { name, description, value });
                        }
                    }
                }
            }
            InstructionKind::Run(run) => {
                for spec in &run.mounts {
                    // A mount whose words cannot be resolved yet is named as it is written.
                    let expander = jettison_dockerfile::Expander::new(dockerfile.escape()).keep_unset();
                    let Ok(mount) = spec.resolve(expander, given) else { continue };
                    let of_target =
                        || mount.target.as_deref().and_then(|target| target.rsplit('/').next()).map(str::to_owned);
                    let (list, id) = match mount.kind {
                        MountKind::Secret => (&mut outline.secrets, mount.id.clone().or_else(of_target)),
                        MountKind::Ssh => {
                            (&mut outline.ssh, Some(mount.id.clone().unwrap_or_else(|| "default".to_owned())))
                        }
                        _ => continue,
                    };
                    let Some(name) = id else { continue };
                    match list.iter_mut().find(|known| known.name == name) {
                        Some(known) => known.required |= mount.required,
                        None => list.push(OutlineMount { name, required: mount.required }),
                    }
                }
            }
            _ => {}
        }
    }
    Ok(outline)
}

/// The stages that one names: what it stands on, copies from and mounts.
fn named(source: &Source, index: usize) -> Vec<usize> {
    let stages = source.dockerfile.stages();
    let find = |name: &str| -> Option<usize> {
        let by_number = name.parse::<usize>().ok().filter(|number| *number < index);
        let lower = name.to_lowercase();
        let by_name = stages[..index].iter().rev().find(|stage| stage.name.as_ref() == Some(&lower));
        by_number.or(by_name.map(|stage| stage.index))
    };
    let mut named: Vec<usize> = find(&stages[index].from.image).into_iter().collect();
    for instruction in source.dockerfile.body(&stages[index]) {
        match &instruction.kind {
            InstructionKind::Copy(copy) => named.extend(copy.from.as_ref().and_then(|from| find(from))),
            InstructionKind::Run(run) => {
                let options = run.mounts.iter().flat_map(|mount| &mount.options);
                let from = options.filter(|option| option.key.eq_ignore_ascii_case("from"));
                named.extend(from.filter_map(|option| find(option.value.as_ref()?)));
            }
            _ => {}
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# VERSION which Python\nARG VERSION=3.12\nFROM python:${VERSION} AS base\n\n# builder compiles\n\
                        FROM base AS builder\n# JOBS how many at once\nARG JOBS\nRUN --mount=type=secret,id=token,required \
                        --mount=type=ssh x\nFROM scratch AS unused\nARG NEVER=1\nFROM base\nARG VERSION\nCOPY --from=builder /x /x\n";

    #[test]
    fn an_outline_has_what_the_target_needs() {
        let source = Source::parse("Dockerfile", TEXT);
        let given = BTreeMap::from([("JOBS".to_owned(), "4".to_owned())]);
        let outline = outline(&source, None, &given).unwrap();
        let args: Vec<_> = outline
            .args
            .iter()
            .map(|arg| {
                format!(
                    "{}={} {}",
                    arg.name,
                    arg.value.as_deref().unwrap_or("-"),
                    arg.description.as_deref().unwrap_or("-")
                )
            })
            .collect();
        assert_eq!(args, ["VERSION=3.12 which Python", "JOBS=4 how many at once"]);
        assert_eq!(outline.secrets, [OutlineMount { name: "token".to_owned(), required: true }]);
        assert_eq!(outline.ssh, [OutlineMount { name: "default".to_owned(), required: false }]);
        assert!(super::outline(&source, Some("none"), &given).is_err());
    }

    #[test]
    fn targets_are_stages() {
        let source = Source::parse("Dockerfile", TEXT);
        let targets: Vec<_> = targets(&source)
            .into_iter()
            .map(|target| format!("{} on {} {} {:?}", target.name, target.base, target.default, target.description))
            .collect();
        assert_eq!(
            targets,
            [
                "base on python:${VERSION} false None",
                "builder on base false Some(\"compiles\")",
                "unused on scratch false None",
                "3 on base true None"
            ]
        );
    }
}
