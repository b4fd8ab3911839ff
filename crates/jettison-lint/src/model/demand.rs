//! Which Python distributions an installer is asked for: in words, in requirements files, in locks, by the project itself. The files are
//! those of the build context, found through the copies and mounts that put them where the installer reads them.

use super::variables::{absolute, shell_value};
use super::{Install, Stage, Subject};
use jettison_python::NormalizedName;
use jettison_python::requirements::{Line, Wanted, parse};
use jettison_python::{Constraint, Requirement};
use jettison_shell::packages::{Manager, OperandKind, PackageCall};
use jettison_tree::TreePath;
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// Files of requirements are followed no deeper than this.
const MAX_DEPTH: usize = 8;

/// A distribution that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// Its name.
    pub name: NormalizedName,
    /// Which versions will do, as PEP 440 writes it; perhaps empty.
    pub versions: String,
    /// The file and the line (from 1) that name it; `None` for a word of the Dockerfile.
    pub file: Option<(TreePath, usize)>,
    /// The names of its wheels, where a lock lists them; empty if there are none.
    pub wheels: Option<Vec<String>>,
}

/// What an installer is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demands {
    /// What is known of it.
    pub all: Vec<Demand>,
    /// Whether that is all: no file is missing, and no word is a variable. What distributions need in turn is in it only if a lock says so.
    pub is_complete: bool,
    /// The files that were read.
    pub files: BTreeSet<TreePath>,
}

impl Demands {
    /// Whether a distribution is asked for by name.
    pub fn has(&self, name: &str) -> bool {
        self.all.iter().any(|demand| demand.name.as_str() == name)
    }

    fn add(&mut self, requirement: &str, file: Option<(TreePath, usize)>) {
        match Requirement::parse(requirement) {
            Ok(requirement) => {
                let versions = match &requirement.constraint {
                    Constraint::Versions(versions) => versions.to_string(),
                    // A file behind an address decides by itself.
                    Constraint::Url(_) => return,
                };
                self.all.push(Demand { name: requirement.name, versions, file, wheels: None });
            }
            Err(_) => self.is_complete = false,
        }
    }
}

impl<'a> Subject<'a> {
    /// What a call of an installer asks for.
    pub fn demands(&self, install: &Install) -> Demands {
        let mut demands = Demands { is_complete: true, ..Demands::default() };
        let (stage, step) = (&self.stages[install.at.stage], self.step(install.at));
        let (command, call) = self.call(install.at);
        let here = |path: &str| absolute(step, command, path);
        match call.manager {
            Manager::Pip | Manager::UvPip | Manager::Pipx | Manager::EasyInstall => {
                for operand in &call.operands {
                    match operand.kind {
                        OperandKind::Package => demands.add(&operand.text, None),
                        OperandKind::Requirements => {
                            let path = written(step, call, &operand.text).and_then(|path| here(&path));
                            match path.and_then(|path| self.origin(stage, install.at.step, &path)) {
                                Some(file) => self.requirements(&file, &mut demands, 0),
                                None => demands.is_complete = false,
                            }
                        }
                        OperandKind::Path | OperandKind::Editable => {
                            let project = operand.name.split('[').next().unwrap_or_default();
                            let path = here(&format!("{project}/pyproject.toml"));
                            match path.and_then(|path| self.origin(stage, install.at.step, &path)) {
                                Some(file) => self.project(&file, &mut demands),
                                None => demands.is_complete = false,
                            }
                        }
                        OperandKind::Constraints => {}
                        OperandKind::Group | OperandKind::Url | OperandKind::Unknown => demands.is_complete = false,
                    }
                }
            }
            manager => {
                for operand in call.packages() {
                    demands.add(&operand.text, None);
                }
                let lock = match manager {
                    Manager::Uv => "uv.lock",
                    Manager::Poetry => "poetry.lock",
                    Manager::Pipenv => "Pipfile.lock",
                    Manager::Pdm => "pdm.lock",
                    _ => {
                        demands.is_complete = false;
                        return demands;
                    }
                };
                let directory = call.value(&["--directory", "--project", "-C"]).map_or(".", |value| &value.text);
                let path = here(&format!("{directory}/{lock}"));
                match path.and_then(|path| self.origin(stage, install.at.step, &path)) {
                    Some(file) => self.lock(&file, &mut demands),
                    None => demands.is_complete = false,
                }
            }
        }
        demands
    }

    /// What an image is made of, as far as it can be told: the demands of all that a stage ships.
    pub fn demands_of(&self, stage: &Stage<'a>) -> Demands {
        let mut all = Demands { is_complete: true, ..Demands::default() };
        for shipped in self.ships(stage) {
            let demands = self.demands(&shipped.install);
            all.is_complete &= demands.is_complete;
            all.files.extend(demands.files);
            for demand in demands.all {
                if !all.all.contains(&demand) {
                    all.all.push(demand);
                }
            }
        }
        all
    }

    fn requirements(&self, file: &TreePath, demands: &mut Demands, depth: usize) {
        let text = match self.context.read(file) {
            Some(text) if depth < MAX_DEPTH && demands.files.insert(file.clone()) => text,
            Some(_) => return,
            None => {
                demands.is_complete = false;
                return;
            }
        };
        let shown = file.to_string();
        let Ok(lines) = parse(&shown, &text, &|_| None) else {
            demands.is_complete = false;
            return;
        };
        for line in lines {
            match line {
                Line::Requirement(entry) => match (&entry.name, &entry.wanted) {
                    (Some(name), Wanted::Versions(versions)) => demands.all.push(Demand {
                        name: name.clone(),
                        versions: versions.to_string(),
                        file: Some((file.clone(), entry.place.line.max(1))),
                        wheels: None,
                    }),
                    _ => demands.is_complete = false,
                },
                Line::Include(other, _) => {
                    let other = file.parent().map_or_else(|| TreePath::parse(&other), |parent| parent.join(&other));
                    match other {
                        Ok(other) => self.requirements(&other, demands, depth + 1),
                        Err(_) => demands.is_complete = false,
                    }
                }
                Line::Constraint(..) | Line::Option(..) => {}
            }
        }
    }

    /// The dependencies of a `pyproject.toml`.
    fn project(&self, file: &TreePath, demands: &mut Demands) {
        let table = self.context.read(file).and_then(|text| text.parse::<toml::Table>().ok());
        demands.files.insert(file.clone());
        let Some(project) = table.as_ref().and_then(|table| table.get("project")?.as_table()) else {
            demands.is_complete = false;
            return;
        };
        let dynamic = project.get("dynamic").and_then(|dynamic| dynamic.as_array());
        demands.is_complete &=
            !dynamic.is_some_and(|dynamic| dynamic.iter().any(|field| field.as_str() == Some("dependencies")));
        for dependency in project.get("dependencies").and_then(|list| list.as_array()).into_iter().flatten() {
            if let Some(text) = dependency.as_str() {
                demands.add(text, Some((file.clone(), 1)));
            }
        }
    }

    fn lock(&self, file: &TreePath, demands: &mut Demands) {
        let Some(text) = self.context.read(file) else { return };
        demands.files.insert(file.clone());
        let read = match file.file_name() {
            b"Pipfile.lock" => pipfile_lock(&text, file, demands),
            _ => toml_lock(&text, file, demands),
        };
        demands.is_complete &= read.is_some();
    }
}

/// The path of a file of requirements, its variables replaced; `None` where they cannot be told.
fn written(step: &super::Step<'_>, call: &PackageCall<'_>, text: &str) -> Option<String> {
    let word = call.arguments.iter().find(|word| word.text() == text || word.text().ends_with(text));
    match word {
        Some(word) if word.is_expanded() => {
            let value = shell_value(step, word)?;
            Some(value.rsplit_once('=').map_or(value.clone(), |(_, path)| path.to_owned()))
        }
        _ => Some(text.to_owned()),
    }
}

/// The packages of `uv.lock`, `poetry.lock` and `pdm.lock` that a production image has.
fn toml_lock(text: &str, file: &TreePath, demands: &mut Demands) -> Option<()> {
    let table: toml::Table = text.parse().ok()?;
    let packages = table.get("package").or(table.get("packages"))?.as_array()?;
    // Lines are told apart by the name, which stands in the lines of a package only once.
    for package in packages {
        let field = |key: &str| package.get(key).and_then(toml::Value::as_str);
        let (Some(name), version) = (field("name"), field("version").unwrap_or_default()) else { continue };
        let groups = package.get("groups").and_then(|groups| groups.as_array());
        let is_development = groups
            .is_some_and(|groups| !groups.iter().any(|group| matches!(group.as_str(), Some("main" | "default"))))
            || field("category") == Some("dev");
        let source = package.get("source").and_then(|source| source.as_table());
        let is_local = source.is_some_and(|source| {
            ["virtual", "editable", "directory", "path"].iter().any(|kind| source.contains_key(*kind))
        });
        let Ok(name) = NormalizedName::parse(name) else { continue };
        if is_development || is_local {
            continue;
        }
        let listed = package.get("wheels").or(package.get("files"));
        let wheels = listed.and_then(|listed| listed.as_array()).map(|files| {
            let name = |file: &toml::Value| {
                let name = ["file", "name", "url", "path"].iter().find_map(|key| file.get(*key)?.as_str())?;
                Some(name.rsplit('/').next().unwrap_or(name).to_owned())
            };
            files.iter().filter_map(name).filter(|name| name.ends_with(".whl")).collect()
        });
        // Without wheels uv writes an sdist alone.
        let wheels = wheels.or_else(|| package.get("sdist").map(|_| Vec::new()));
        let line = line_of(text, name.as_str());
        let versions = if version.is_empty() { String::new() } else { format!("=={version}") };
        demands.all.push(Demand { name, versions, file: Some((file.clone(), line)), wheels });
    }
    Some(())
}

fn pipfile_lock(text: &str, file: &TreePath, demands: &mut Demands) -> Option<()> {
    let lock: Json = serde_json::from_str(text).ok()?;
    for (name, package) in lock.get("default")?.as_object()? {
        let versions = package.get("version").and_then(Json::as_str).unwrap_or_default().to_owned();
        let line =
            text.lines().position(|line| line.trim_start().starts_with(&format!("\"{name}\":"))).map_or(1, |at| at + 1);
        if let Ok(name) = NormalizedName::parse(name) {
            demands.all.push(Demand { name, versions, file: Some((file.clone(), line)), wheels: None });
        }
    }
    Some(())
}

fn line_of(text: &str, name: &str) -> usize {
    let wanted = format!("name = \"{name}\"");
    text.lines().position(|line| line.trim() == wanted).map_or(1, |at| at + 1)
}
