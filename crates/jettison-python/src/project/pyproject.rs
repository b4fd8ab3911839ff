//! `pyproject.toml`: PEP 621 (`[project]`), PEP 518 and 517 (`[build-system]`), PEP 735 (`[dependency-groups]`),
//! `[tool.poetry]` and `[tool.uv]`.
//!
//! Only what bears on an image is read; other keys and tools are passed over. A value of the wrong shape, a requirement that does
//! not parse and a group that includes itself are errors with their place.

use std::collections::BTreeMap;

use pep440_rs::VersionSpecifiers;
use serde::Deserialize;
use toml::Spanned;

use super::poetry::{self, Dependency};
use super::{ProjectError, PythonRange};
use crate::name::NormalizedName;
use crate::place::Place;
use crate::requirement::Requirement;
use crate::toml_file;

/// What a pyproject.toml says.
#[derive(Debug, Clone, Default)]
pub struct Pyproject {
    /// `[project]`, where it is there.
    pub project: Option<ProjectTable>,
    /// `[build-system]`.
    pub build_system: Option<BuildSystem>,
    /// `[dependency-groups]`, includes followed; `[tool.uv] dev-dependencies` is the group `dev`.
    pub groups: BTreeMap<NormalizedName, Vec<Requirement>>,
    /// `[tool.poetry]`.
    pub poetry: Option<Poetry>,
    /// `[tool.uv]`.
    pub uv: Uv,
    /// The tables below `[tool]` that were seen.
    pub tools: Vec<String>,
}

/// `[project]`.
#[derive(Debug, Clone, Default)]
pub struct ProjectTable {
    /// `name`.
    pub name: Option<NormalizedName>,
    /// `version`.
    pub version: Option<String>,
    /// `dynamic`.
    pub dynamic: Vec<String>,
    /// `requires-python`.
    pub requires_python: Option<PythonRange>,
    /// `dependencies`; `None` where the key is not there.
    pub dependencies: Option<Vec<Requirement>>,
    /// `optional-dependencies`.
    pub extras: BTreeMap<NormalizedName, Vec<Requirement>>,
    /// `scripts`.
    pub scripts: BTreeMap<String, String>,
    /// `gui-scripts`.
    pub gui_scripts: BTreeMap<String, String>,
    /// `entry-points`.
    pub entry_points: BTreeMap<String, BTreeMap<String, String>>,
}

/// `[build-system]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSystem {
    /// What the build needs.
    pub requires: Vec<Requirement>,
    /// The backend object; setuptools' legacy one where none is given.
    pub backend: Option<String>,
    /// Directories of the project that the backend is imported from.
    pub backend_path: Vec<String>,
}

/// `[tool.poetry]`.
#[derive(Debug, Clone, Default)]
pub struct Poetry {
    /// `name`.
    pub name: Option<NormalizedName>,
    /// `version`.
    pub version: Option<String>,
    /// `package-mode`, true unless it is set.
    pub package_mode: bool,
    /// Whether `packages` lists what to install.
    pub has_packages: bool,
    /// `dependencies.python`.
    pub python: Option<PythonRange>,
    /// Whether `[tool.poetry.dependencies]` is there.
    pub has_dependencies: bool,
    /// `dependencies`, without `python` and what only an extra brings in.
    pub dependencies: Vec<Requirement>,
    /// `dependencies` that only an extra brings in.
    pub optional_dependencies: Vec<Requirement>,
    /// `extras`: names of optional dependencies.
    pub extras: BTreeMap<NormalizedName, Vec<NormalizedName>>,
    /// `group.*`, and `dev-dependencies` as the group `dev`.
    pub groups: BTreeMap<NormalizedName, Vec<Requirement>>,
    /// Groups that are not installed unless asked for.
    pub optional_groups: Vec<NormalizedName>,
    /// `scripts`.
    pub scripts: BTreeMap<String, String>,
    /// `source`.
    pub sources: Vec<Index>,
}

/// A package index that a project names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Index {
    /// Its name, by which dependencies choose it.
    pub name: Option<String>,
    /// Its URL; a path for a local one.
    pub url: String,
    /// It takes the place of PyPI.
    pub is_default: bool,
    /// Only dependencies that choose it look there.
    pub is_explicit: bool,
    /// It is a flat list of files rather than a simple index.
    pub is_flat: bool,
}

/// What of `[tool.uv]` bears on an image.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Uv {
    /// `package`.
    pub package: Option<bool>,
    /// `default-groups`; `None` stands for uv's own default (`dev`).
    pub default_groups: Option<Vec<NormalizedName>>,
    /// `index`, `index-url`, `extra-index-url` and `find-links`.
    pub indexes: Vec<Index>,
    /// `workspace.members`, where this is the root of a workspace.
    pub workspace_members: Option<Vec<String>>,
    /// `workspace.exclude`.
    pub workspace_exclude: Vec<String>,
    /// `no-binary-package`.
    pub no_binary: Vec<NormalizedName>,
    /// `no-build-package`.
    pub no_build: Vec<NormalizedName>,
    /// `sources`: names that do not come from the index that they would.
    pub sources: BTreeMap<NormalizedName, toml::Value>,
    /// The whole table.
    pub table: toml::Table,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct File {
    project: Option<RawProject>,
    build_system: Option<RawBuildSystem>,
    dependency_groups: BTreeMap<String, Spanned<Vec<Spanned<GroupItem>>>>,
    tool: RawTool,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct RawProject {
    name: Option<Spanned<String>>,
    version: Option<String>,
    dynamic: Vec<String>,
    requires_python: Option<Spanned<String>>,
    dependencies: Option<Vec<Spanned<String>>>,
    optional_dependencies: BTreeMap<String, Vec<Spanned<String>>>,
    scripts: BTreeMap<String, String>,
    gui_scripts: BTreeMap<String, String>,
    entry_points: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct RawBuildSystem {
    requires: Vec<Spanned<String>>,
    build_backend: Option<String>,
    backend_path: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum GroupItem {
    Requirement(String),
    #[serde(rename_all = "kebab-case")]
    Include {
        include_group: String,
    },
    /// PEP 735 leaves room for other tables.
    Unknown {},
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawTool {
    poetry: Option<Spanned<RawPoetry>>,
    uv: Option<Spanned<toml::Table>>,
    #[serde(flatten)]
    others: BTreeMap<String, serde::de::IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct RawPoetry {
    name: Option<String>,
    version: Option<String>,
    package_mode: Option<bool>,
    packages: Vec<toml::Value>,
    dependencies: Option<BTreeMap<String, Dependency>>,
    dev_dependencies: BTreeMap<String, Dependency>,
    extras: BTreeMap<String, Vec<String>>,
    group: BTreeMap<String, RawPoetryGroup>,
    scripts: BTreeMap<String, toml::Value>,
    source: Vec<RawPoetrySource>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawPoetryGroup {
    optional: bool,
    dependencies: BTreeMap<String, Dependency>,
}

#[derive(Deserialize, Default)]
#[serde(default, expecting = "a table")]
struct RawPoetrySource {
    name: String,
    url: Option<String>,
    default: bool,
    priority: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct RawUv {
    package: Option<bool>,
    default_groups: Option<toml::Value>,
    dev_dependencies: Vec<String>,
    index: Vec<RawUvIndex>,
    index_url: Option<String>,
    extra_index_url: Vec<String>,
    find_links: Vec<String>,
    workspace: Option<RawWorkspace>,
    no_binary_package: Vec<String>,
    no_build_package: Vec<String>,
    sources: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize, Default)]
#[serde(default, expecting = "a table")]
struct RawUvIndex {
    name: Option<String>,
    url: String,
    default: bool,
    explicit: bool,
    format: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawWorkspace {
    members: Vec<String>,
    exclude: Vec<String>,
}

/// Parses the text of `file`.
pub fn parse(file: &str, text: &str) -> Result<Pyproject, ProjectError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let raw: File = toml_file::parse(file, text)?;
    let source = Source { file, text };
    let mut groups = Groups { raw: &raw.dependency_groups, source: &source, done: BTreeMap::new(), open: Vec::new() };
    for name in raw.dependency_groups.keys() {
        groups.resolve(name, None)?;
    }
    let mut groups = groups.done;
    let mut tools: Vec<String> = raw.tool.others.keys().cloned().collect();
    let uv = match &raw.tool.uv {
        Some(table) => {
            tools.push("uv".to_owned());
            source.uv(table, &mut groups)?
        }
        None => Uv::default(),
    };
    let poetry = match &raw.tool.poetry {
        Some(table) => {
            tools.push("poetry".to_owned());
            Some(source.poetry(table)?)
        }
        None => None,
    };
    Ok(Pyproject {
        project: raw.project.map(|project| source.project(project)).transpose()?,
        build_system: raw.build_system.map(|build| source.build_system(build)).transpose()?,
        groups,
        poetry,
        uv,
        tools,
    })
}

struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn place<T>(&self, spanned: &Spanned<T>) -> Place {
        Place::at(self.file, self.text, spanned.span().start)
    }

    fn invalid<T>(&self, at: &Spanned<T>, what: impl Into<String>) -> ProjectError {
        ProjectError::invalid(self.place(at), what)
    }

    fn name(&self, name: &Spanned<String>) -> Result<NormalizedName, ProjectError> {
        NormalizedName::parse(name.get_ref()).map_err(|e| self.invalid(name, e.to_string()))
    }

    fn requirement(&self, text: &Spanned<String>) -> Result<Requirement, ProjectError> {
        Requirement::parse(text.get_ref()).map_err(|e| self.invalid(text, e.to_string()))
    }

    fn requirements(&self, texts: &[Spanned<String>]) -> Result<Vec<Requirement>, ProjectError> {
        texts.iter().map(|text| self.requirement(text)).collect()
    }

    fn project(&self, raw: RawProject) -> Result<ProjectTable, ProjectError> {
        let mut extras = BTreeMap::new();
        for (extra, requirements) in &raw.optional_dependencies {
            let name = NormalizedName::parse(extra)
                .map_err(|e| ProjectError::invalid(Place::file(self.file), format!("optional-dependencies: {e}")))?;
            extras.insert(name, self.requirements(requirements)?);
        }
        let requires_python = raw.requires_python.as_ref().map(|text| {
            let specifiers = text.get_ref().parse::<VersionSpecifiers>().map_err(|_| ProjectError::Invalid {
                place: self.place(text),
                what: format!("`{}` is no set of version specifiers", text.get_ref()),
                hint: Some("write something like `>=3.11`".to_owned()),
            })?;
            let alternatives = vec![specifiers];
            Ok::<_, ProjectError>(PythonRange { text: text.get_ref().clone(), place: self.place(text), alternatives })
        });
        Ok(ProjectTable {
            name: raw.name.as_ref().map(|name| self.name(name)).transpose()?,
            version: raw.version,
            dynamic: raw.dynamic,
            requires_python: requires_python.transpose()?,
            dependencies: raw.dependencies.as_deref().map(|texts| self.requirements(texts)).transpose()?,
            extras,
            scripts: raw.scripts,
            gui_scripts: raw.gui_scripts,
            entry_points: raw.entry_points,
        })
    }

    fn build_system(&self, raw: RawBuildSystem) -> Result<BuildSystem, ProjectError> {
        Ok(BuildSystem {
            requires: self.requirements(&raw.requires)?,
            backend: raw.build_backend,
            backend_path: raw.backend_path,
        })
    }

    fn poetry(&self, table: &Spanned<RawPoetry>) -> Result<Poetry, ProjectError> {
        let raw = table.get_ref();
        let invalid = |(name, what): (String, String)| self.invalid(table, format!("[tool.poetry] `{name}`: {what}"));
        let name =
            |text: &str| NormalizedName::parse(text).map_err(|e| self.invalid(table, format!("[tool.poetry] {e}")));
        let empty = BTreeMap::new();
        let main = raw.dependencies.as_ref().unwrap_or(&empty);
        let python = main.get("python").and_then(|dependency| dependency.tables().first()?.version.clone());
        let python = python.map(|text| {
            let alternatives = poetry::parse_constraint(&text).map_err(|what| invalid(("python".to_owned(), what)))?;
            Ok::<_, ProjectError>(PythonRange { text, place: self.place(table), alternatives })
        });
        let mut groups = BTreeMap::new();
        let mut optional_groups = Vec::new();
        for (group, raw) in &raw.group {
            let group = name(group)?;
            if raw.optional {
                optional_groups.push(group.clone());
            }
            groups.insert(group, poetry::requirements(&raw.dependencies, false).map_err(invalid)?);
        }
        if !raw.dev_dependencies.is_empty() {
            let dev = poetry::requirements(&raw.dev_dependencies, false).map_err(invalid)?;
            groups.entry(name("dev")?).or_default().extend(dev);
        }
        let mut extras = BTreeMap::new();
        for (extra, names) in &raw.extras {
            // An entry may carry extras or a version of its own, as in `psycopg2[binary]`.
            let head = |text: &String| {
                text.split(['[', ' ', '>', '<', '=', '~', '!', '(']).next().unwrap_or_default().to_owned()
            };
            let names = names.iter().map(|text| name(&head(text))).collect::<Result<_, _>>()?;
            extras.insert(name(extra)?, names);
        }
        let script = |(name, value): (&String, &toml::Value)| {
            let target =
                value.as_str().or_else(|| value.get("callable")?.as_str()).or_else(|| value.get("reference")?.as_str());
            target.map(|target| (name.clone(), target.to_owned()))
        };
        Ok(Poetry {
            name: raw.name.as_deref().map(name).transpose()?,
            version: raw.version.clone(),
            package_mode: raw.package_mode.unwrap_or(true),
            has_packages: !raw.packages.is_empty(),
            python: python.transpose()?,
            has_dependencies: raw.dependencies.is_some(),
            dependencies: poetry::requirements(main, false).map_err(invalid)?,
            optional_dependencies: poetry::requirements(main, true).map_err(invalid)?,
            extras,
            groups,
            optional_groups,
            scripts: raw.scripts.iter().filter_map(script).collect(),
            sources: raw.source.iter().filter_map(poetry_source).collect(),
        })
    }

    fn uv(
        &self,
        table: &Spanned<toml::Table>,
        groups: &mut BTreeMap<NormalizedName, Vec<Requirement>>,
    ) -> Result<Uv, ProjectError> {
        let whole = table.get_ref();
        let raw: RawUv = whole.clone().try_into().map_err(|e: toml::de::Error| {
            self.invalid(table, format!("[tool.uv] {}", e.message().trim().replace('\n', ", ")))
        })?;
        let invalid = |what: String| self.invalid(table, format!("[tool.uv] {what}"));
        let name = |text: &String| NormalizedName::parse(text).map_err(|e| invalid(e.to_string()));
        let names = |texts: &[String]| texts.iter().map(name).collect::<Result<Vec<_>, _>>();
        if !raw.dev_dependencies.is_empty() {
            let dev =
                raw.dev_dependencies.iter().map(|text| Requirement::parse(text).map_err(|e| invalid(e.to_string())));
            let dev = dev.collect::<Result<Vec<_>, _>>()?;
            groups.entry(name(&"dev".to_owned())?).or_default().extend(dev);
        }
        let default_groups = match &raw.default_groups {
            None => None,
            // `"all"` stands for every group.
            Some(toml::Value::String(all)) if all == "all" => Some(groups.keys().cloned().collect()),
            Some(toml::Value::Array(items)) => {
                let texts: Vec<String> = items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect();
                Some(names(&texts)?)
            }
            Some(_) => return Err(invalid("`default-groups` is neither a list nor \"all\"".to_owned())),
        };
        let mut indexes: Vec<Index> = raw
            .index
            .iter()
            .map(|index| Index {
                name: index.name.clone(),
                url: index.url.clone(),
                is_default: index.default,
                is_explicit: index.explicit,
                is_flat: index.format == "flat",
            })
            .collect();
        let plain = |url: &String| Index { url: url.clone(), ..Index::default() };
        indexes.extend(raw.extra_index_url.iter().map(plain));
        indexes.extend(raw.index_url.iter().map(|url| Index { is_default: true, ..plain(url) }));
        indexes.extend(raw.find_links.iter().map(|url| Index { is_flat: true, ..plain(url) }));
        let mut sources = BTreeMap::new();
        for (key, value) in raw.sources {
            sources.insert(name(&key)?, value);
        }
        Ok(Uv {
            package: raw.package,
            default_groups,
            indexes,
            workspace_exclude: raw.workspace.as_ref().map(|workspace| workspace.exclude.clone()).unwrap_or_default(),
            workspace_members: raw.workspace.map(|workspace| workspace.members),
            no_binary: names(&raw.no_binary_package)?,
            no_build: names(&raw.no_build_package)?,
            sources,
            table: whole.clone(),
        })
    }
}

fn poetry_source(raw: &RawPoetrySource) -> Option<Index> {
    let is_pypi = raw.name.eq_ignore_ascii_case("pypi");
    let url = raw.url.clone().or_else(|| is_pypi.then(|| jettison_endpoints::PYTHON_INDEX.to_owned()))?;
    Some(Index {
        name: Some(raw.name.clone()),
        url,
        is_default: raw.default || raw.priority == "default" || (is_pypi && raw.priority.is_empty()),
        is_explicit: raw.priority == "explicit",
        is_flat: false,
    })
}

/// Follows `include-group` (PEP 735).
struct Groups<'a> {
    raw: &'a BTreeMap<String, Spanned<Vec<Spanned<GroupItem>>>>,
    source: &'a Source<'a>,
    done: BTreeMap<NormalizedName, Vec<Requirement>>,
    open: Vec<NormalizedName>,
}

impl Groups<'_> {
    fn resolve(&mut self, name: &str, asked: Option<Place>) -> Result<Vec<Requirement>, ProjectError> {
        let place = || asked.clone().unwrap_or_else(|| Place::file(self.source.file));
        let normalized = NormalizedName::parse(name)
            .map_err(|e| ProjectError::invalid(place(), format!("[dependency-groups] {e}")))?;
        if let Some(done) = self.done.get(&normalized) {
            return Ok(done.clone());
        }
        let found = self.raw.iter().find(|(key, _)| NormalizedName::parse(key).is_ok_and(|key| key == normalized));
        let Some((_, items)) = found else {
            return Err(ProjectError::invalid(place(), format!("there is no dependency group `{name}`")));
        };
        if self.open.contains(&normalized) {
            return Err(ProjectError::invalid(place(), format!("the dependency group `{name}` includes itself")));
        }
        self.open.push(normalized.clone());
        let mut requirements = Vec::new();
        for item in items.get_ref() {
            match item.get_ref() {
                GroupItem::Requirement(text) => {
                    let parsed = Requirement::parse(text);
                    requirements.push(parsed.map_err(|e| self.source.invalid(item, e.to_string()))?);
                }
                GroupItem::Include { include_group } => {
                    requirements.extend(self.resolve(include_group, Some(self.source.place(item)))?);
                }
                GroupItem::Unknown {} => {
                    let what = "a dependency group holds requirements and `{include-group = \"…\"}` only";
                    return Err(self.source.invalid(item, what));
                }
            }
        }
        self.open.pop();
        self.done.insert(normalized, requirements.clone());
        Ok(requirements)
    }
}
