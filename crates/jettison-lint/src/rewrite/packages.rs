//! The packages of the distribution that the image runs with, and the instruction that installs them.

use super::classify::Purpose;
use super::{Obstacle, Plan, start};
use crate::model::{OsPackage, Step, System};
use crate::rules::needed_beside;
use crate::tables::build_packages::is_build_only;
use crate::tables::libraries::{Release, has_library, runtime_packages};
use crate::tables::wheels::{always_compiled, loaded_libraries};
use jettison_dockerfile::instruction::InstructionKind;
use jettison_shell::packages::{Action, Manager};

/// Programs that the full image has and the slim one has not, with the package that has them.
const OF_THE_FULL_IMAGE: [(&str, &str); 8] = [
    ("curl", "curl"),
    ("wget", "wget"),
    ("git", "git"),
    ("unzip", "unzip"),
    ("file", "file"),
    ("ssh", "openssh-client"),
    ("gpg", "gnupg"),
    ("patch", "patch"),
];

/// The same of images on Debian 13, where apt does without it.
const SINCE_TRIXIE: [(&str, &str); 2] = [("adduser", "adduser"), ("addgroup", "adduser")];

/// What is installed, and in front of which step.
pub(super) struct Packages {
    pub(super) at: usize,
    pub(super) line: Option<String>,
}

impl Packages {
    /// All that the image runs with, in one instruction at `latest` or before it.
    pub(super) fn new(plan: &Plan<'_, '_>, latest: usize) -> Result<Self, Obstacle> {
        let mut names: Vec<String> = Vec::new();
        let mut steps = Vec::new();
        for (number, step, _) in plan.steps() {
            let kept = kept(plan, number)?;
            if !kept.is_empty() {
                steps.push((number, step));
                names.extend(kept);
            }
        }
        let at = steps.first().map_or(latest, |(number, _)| latest.min(*number));
        let more: Vec<String> = more(plan).into_iter().filter(|name| !names.contains(name)).collect();
        if let ([(number, step)], true) = (&steps[..], more.is_empty())
            && is_complete(plan, *number, step, &names)
        {
            return Ok(Self { at, line: Some(plan.pieces.whole(step.instruction)) });
        }
        for (number, step) in &steps {
            for (command, call) in &step.packages {
                if call.has(&["-t", "--target-release", "--default-release", "-X", "--repository"])
                    && call.manager != Manager::Apk
                {
                    let span = step.shell.map_or(step.instruction.span, |shell| shell.span(command.range()));
                    return Err(Obstacle { span, why: "it takes packages from another release".to_owned() });
                }
            }
            let between = plan.stage.steps.get(at..*number).unwrap_or_default();
            if let Some(other) = between.iter().find(|step| sets_manager_up(step)) {
                let why = "the packages behind it depend on it".to_owned();
                return Err(Obstacle { span: other.instruction.span, why });
            }
        }
        names.extend(more);
        let is_lean = is_lean(plan);
        if is_lean && plan.stage.system().has_apt() {
            let beside: Vec<&str> = names.iter().filter_map(|name| needed_beside(name)).flatten().copied().collect();
            names.extend(beside.into_iter().filter(|name| !is_build_only(name)).map(str::to_owned));
        }
        let mut seen: Vec<String> = Vec::new();
        names.retain(|name| {
            !seen.contains(name) && {
                seen.push(name.clone());
                true
            }
        });
        Ok(Self { at, line: (!names.is_empty()).then(|| install(plan, &names, is_lean)) })
    }
}

/// The packages that an instruction installs, and does not remove again.
fn packages<'p>(plan: &'p Plan<'_, '_>, number: usize) -> impl Iterator<Item = &'p OsPackage> {
    let all = plan.subject.layout(plan.stage).packages.iter();
    all.filter(move |package| package.at.step == number && !package.is_removed)
}

/// What the image runs with of the packages that an instruction installs, as they are written.
fn kept(plan: &Plan<'_, '_>, number: usize) -> Result<Vec<String>, Obstacle> {
    let mut names: Vec<String> = Vec::new();
    for package in packages(plan, number) {
        let name = package.name.as_str();
        if is_of_python(name) {
            if plan.has_system_python() {
                names.push("python3".to_owned());
            }
            // It came with pip.
            if plan.stage.system().has_apt() && name == "python3-pip" && plan.has_system_python() {
                names.push("ca-certificates".to_owned());
            }
        } else if is_build_only(name) {
            match runtime_packages(name, plan.release) {
                Some(libraries) => {
                    names.extend(libraries.into_iter().map(str::to_owned));
                    names.extend(runtime_of_compiler(name, plan.stage.system()).map(str::to_owned));
                }
                None => {
                    let why = format!("which package has what programs built with {name} need is not known");
                    return Err(Obstacle { span: package.span, why });
                }
            }
        } else {
            names.push(plan.subject.file.text(package.span).to_owned());
        }
    }
    Ok(names)
}

/// What programs need that a compiler made, where images have it not anyway.
fn runtime_of_compiler(name: &str, system: System) -> Option<&'static str> {
    match (name, system) {
        ("g++" | "build-base", System::Alpine | System::Wolfi) => Some("libstdc++"),
        ("gfortran", System::Alpine | System::Wolfi) => Some("libgfortran"),
        _ if name.starts_with("gfortran") && system.has_apt() => Some("libgfortran5"),
        _ => None,
    }
}

/// Whether a package is there to install distributions.
fn is_of_python(name: &str) -> bool {
    matches!(
        name,
        "python3-pip"
            | "python3-venv"
            | "python3-full"
            | "python3-dev"
            | "python3-setuptools"
            | "python3-wheel"
            | "python3-virtualenv"
            | "python3-poetry"
            | "pipx"
            | "py3-pip"
            | "py3-setuptools"
            | "py3-wheel"
            | "py3-virtualenv"
            | "pipenv"
            | "uv"
            | "poetry"
    )
}

/// What distributions and programs need that the full image had without being asked.
fn more(plan: &Plan<'_, '_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let installed = &plan.subject.layout(plan.stage).packages;
    let mut developments: Vec<&str> = Vec::new();
    for install in plan.installs.iter().flatten() {
        for demand in plan.subject.demands(install).all {
            let has_wheels =
                demand.wheels.as_ref().is_some_and(|wheels| wheels.iter().any(|wheel| wheel.contains("linux")));
            let name = demand.name.as_str();
            developments.extend(always_compiled(name).filter(|_| !has_wheels).unwrap_or_default());
            if plan.is_full() {
                developments.extend(loaded_libraries(name));
                names.extend((name == "gitpython").then(|| "git".to_owned()));
            }
        }
    }
    for development in developments {
        if !installed.iter().any(|package| !package.is_removed && has_library(&package.name, development)) {
            let libraries = runtime_packages(development, plan.release).unwrap_or_default();
            names.extend(libraries.into_iter().map(str::to_owned));
        }
    }
    let runs = plan.steps().filter(|(.., purpose)| matches!(purpose, Purpose::Runtime | Purpose::Shared));
    for (_, step, _) in runs.filter(|_| plan.is_full()) {
        let scripts = start::scripts(plan, step);
        let words = scripts
            .iter()
            .filter_map(|(_, text)| text.as_ref())
            .flat_map(|text| text.split(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c))));
        for name in step.commands.iter().filter_map(|command| command.name()).chain(words) {
            let more = OF_THE_FULL_IMAGE.iter().chain(SINCE_TRIXIE.iter().filter(|_| plan.release == Release::Trixie));
            let package = more.into_iter().find(|(program, _)| *program == name);
            names.extend(package.map(|(_, package)| (*package).to_owned()));
        }
    }
    names.sort();
    names.dedup();
    names
}

/// Whether an instruction installs all that the image runs with, nothing else, and by itself.
fn is_complete(plan: &Plan<'_, '_>, number: usize, step: &Step<'_>, names: &[String]) -> bool {
    let all: Vec<&OsPackage> = packages(plan, number).collect();
    let updates = step.packages.iter().any(|(_, call)| call.action == Action::Update || call.manager == Manager::Apk);
    let written = all.iter().all(|package| names.contains(&plan.subject.file.text(package.span).to_owned()));
    plan.purposes[number] == Purpose::System && updates && written && names.len() == all.len()
}

/// Whether an instruction tells apt or apk where packages are from.
pub(super) fn sets_manager_up(step: &Step<'_>) -> bool {
    let told = ["/etc/apt", "apt-key", "add-apt-repository", "/etc/apk", "dpkg"];
    match &step.instruction.kind {
        InstructionKind::Run(_) | InstructionKind::Copy(_) | InstructionKind::Add(_) => {
            let installs = step.packages.iter().any(|(_, call)| call.action == Action::Install);
            !installs && told.iter().any(|word| step.instruction.text.contains(word))
        }
        _ => false,
    }
}

/// Whether the packages do without those that they recommend: it is asked for, or known of them.
fn is_lean(plan: &Plan<'_, '_>) -> bool {
    plan.steps().all(|(number, step, _)| {
        packages(plan, number).all(|package| {
            let call = step.packages.get(package.at.call).map(|(_, call)| call);
            let told =
                call.is_none_or(|call| call.arguments.iter().any(|word| word.text().contains("nstall-recommends")));
            let own = is_of_python(&package.name) || is_build_only(&package.name) || package.name == "python3";
            told || own || needed_beside(&package.name).is_some()
        })
    })
}

/// `RUN` that installs packages of the distribution.
fn install(plan: &Plan<'_, '_>, names: &[String], is_lean: bool) -> String {
    let names = names.join(" ");
    let flag = if is_lean { "--no-install-recommends " } else { "" };
    match plan.stage.system() {
        System::Alpine | System::Wolfi => format!("RUN apk add --no-cache {names}"),
        _ => format!(
            "RUN apt-get update \\\n    && apt-get install -y {flag}{names} \\\n    && rm -rf /var/lib/apt/lists/*"
        ),
    }
}
