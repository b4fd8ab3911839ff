//! The second stage: what runs.

use super::classify::Purpose;
use super::packages::{self, Packages};
use super::{Obstacle, Plan, start};
use crate::model::{Flavour, Step};
use jettison_dockerfile::instruction::InstructionKind;
use jettison_dockerfile::{Edit, Span};

/// The text of the stage.
pub(super) fn write(plan: &Plan<'_, '_>) -> Result<String, Obstacle> {
    let first = |wanted: fn(&(usize, &Step<'_>, Purpose)) -> bool| plan.steps().find(wanted).map(|(at, ..)| at);
    let install = plan.installs.iter().position(|installs| !installs.is_empty()).unwrap_or(plan.last);
    let copy_at = first(|(.., purpose)| *purpose == Purpose::Source).map_or(install, |at| at.min(install));
    // In front of what may run one of them, and as root.
    let latest = first(|(_, step, purpose)| {
        let runs = matches!(purpose, Purpose::Runtime | Purpose::Shared) && step.run().is_some();
        runs && !packages::sets_manager_up(step) || matches!(step.instruction.kind, InstructionKind::User(_))
    });
    let packages = Packages::new(plan, latest.map_or(copy_at, |at| at.min(copy_at)))?;
    let user = start::user(plan);

    let mut lines = vec![head(plan)?];
    let mut settings = Vec::new();
    for (number, step, purpose) in plan.steps() {
        if packages.at == number {
            lines.extend(packages.line.clone());
        }
        if number == copy_at {
            lines.push(format!("COPY --from={} {1} {1}", plan.builder, plan.venv));
            if !plan.has_search_path() {
                lines.push(format!("ENV {}", plan.search_path()));
            }
        }
        if let Some((at, text)) = &user
            && *at == number
        {
            lines.push(text.clone());
        }
        match purpose {
            Purpose::Tool | Purpose::Manifest | Purpose::System | Purpose::Install => {}
            Purpose::Setting => {
                settings.push((lines.len(), step));
                lines.push(String::new());
            }
            Purpose::Source => lines.push(plan.pieces.whole(step.instruction)),
            Purpose::Shared | Purpose::Runtime => lines.push(start::runtime(plan, step)?),
        }
    }
    lines.extend(user.filter(|(at, _)| *at == plan.stage.steps.len()).map(|(_, text)| text));
    // Settings that others go by stay, those of installers else go: from the last one up.
    for (at, step) in settings.into_iter().rev() {
        let rest = lines[at + 1..].join("\n");
        lines[at] = setting(plan, step, &rest).unwrap_or_default();
    }
    lines.retain(|line| !line.is_empty());
    Ok(lines.join("\n"))
}

/// An instruction that sets variables or the like, without the variables of installers; `None` if there are no others.
fn setting(plan: &Plan<'_, '_>, step: &Step<'_>, rest: &str) -> Option<String> {
    let goes = |name: &str| is_of_installers(name) && !names(rest, name);
    match &step.instruction.kind {
        InstructionKind::Arg(arguments) if arguments.iter().all(|argument| goes(&argument.name)) => None,
        InstructionKind::Env(pairs) => {
            // Variables of one instruction do not see each other.
            let going: Vec<bool> = pairs.iter().map(|pair| goes(&pair.key)).collect();
            let first = going.iter().position(|goes| !goes)?;
            let mut edits = Vec::new();
            for (at, pair) in pairs.iter().enumerate().filter(|(at, _)| going[*at]) {
                let span = match at.checked_sub(1).filter(|_| at > first) {
                    Some(before) => Span::new(pairs[before].value.span().end, pair.value.span().end),
                    None => Span::new(pair.key.span().start, pairs[at + 1].key.span().start),
                };
                edits.push(Edit { span, text: String::new() });
            }
            Some(plan.pieces.edited(step.instruction, &edits))
        }
        _ => Some(plan.pieces.whole(step.instruction)),
    }
}

/// Whether a variable is one that only installers look at.
fn is_of_installers(name: &str) -> bool {
    ["PIP_", "POETRY_", "UV_", "PIPENV_"].iter().any(|start| name.starts_with(start))
}

/// Whether a text has a variable in it.
fn names(text: &str, variable: &str) -> bool {
    text.match_indices(variable).any(|(at, _)| {
        let before = &text[..at];
        let after = text[at + variable.len()..].chars().next();
        (before.ends_with('$') || before.ends_with("${"))
            && after.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_')
    })
}

/// `FROM` with the slim form of the base.
fn head(plan: &Plan<'_, '_>) -> Result<String, Obstacle> {
    let (file, from) = (plan.subject.file, &plan.stage.syntax.from);
    let span = plan.stage.head.span;
    let image = from.image.span();
    let written = file.text(image);
    let name = if plan.is_full() {
        slim(written, plan)
            .ok_or_else(|| Obstacle { span: image, why: "the slim form of its tag is not known".to_owned() })?
    } else {
        written.to_owned()
    };
    let (before, after) = (file.text(Span::new(span.start, image.start)), file.text(Span::new(image.end, span.end)));
    let is_free = plan.subject.stages.iter().all(|stage| stage.syntax.name.as_deref() != Some("runtime"));
    let (stage, named) = match &plan.stage.syntax.from.name {
        Some(stage) => (stage.to_string(), String::new()),
        None if is_free => ("runtime".to_owned(), " AS runtime".to_owned()),
        None => ("This".to_owned(), String::new()),
    };
    Ok(format!("# {stage} is the image.\n{before}{name}{after}{named}"))
}

/// `python:3.12-bookworm` → `python:3.12-slim-bookworm`. A digest is one of another image, and goes.
fn slim(written: &str, plan: &Plan<'_, '_>) -> Option<String> {
    let name = written.split('@').next()?;
    if plan.stage.python()?.flavour != Flavour::Full {
        return None;
    }
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ if name.contains('$') => return None,
        _ => (name, "latest"),
    };
    let is_version = |text: &str| text.starts_with(|c: char| c.is_ascii_digit()) || text.starts_with('$');
    let tag = match tag.rsplit_once('-') {
        _ if tag == "latest" => "slim".to_owned(),
        Some((version, suite)) if is_version(version) => format!("{version}-slim-{suite}"),
        None if is_version(tag) => format!("{tag}-slim"),
        None => format!("slim-{tag}"),
        Some(_) => return None,
    };
    Some(format!("{repository}:{tag}"))
}
