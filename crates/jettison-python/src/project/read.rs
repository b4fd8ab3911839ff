//! A project's directory: which of its files say what.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::pyproject::{self, Index, Pyproject};
use super::{
    DependencySource, Layout, LockKind, Looked, Project, ProjectError, PythonPin, PythonRange, pin, pipfile, poetry,
    setup,
};
use crate::name::NormalizedName;
use crate::place::Place;
use crate::requirements::{Requirements, decode};

/// Larger files are none that a person wrote for a project.
const MAX_BYTES: u64 = 16 << 20;
/// How far up a workspace's root is looked for.
const MAX_ANCESTORS: usize = 16;

/// Requirements files by name, the likeliest first; those of development and tests are never chosen.
const REQUIREMENTS: [&str; 12] = [
    "requirements.txt",
    "requirements/production.txt",
    "requirements/prod.txt",
    "requirements/main.txt",
    "requirements/base.txt",
    "requirements/requirements.txt",
    "requirements-prod.txt",
    "requirements-production.txt",
    "requirements.prod.txt",
    "requirements_prod.txt",
    "requirements/requirements-prod.txt",
    "requirements.in",
];

impl Project {
    /// Reads the project in the directory `root`. Of the world outside it, only a uv workspace that it is a member of is looked
    /// at. A project without any file that this knows is a project without dependencies.
    pub fn read(root: &Path) -> Result<Self, ProjectError> {
        if !root.is_dir() {
            return Err(ProjectError::NotADirectory(root.display().to_string()));
        }
        let mut reader = Reader { root, looked_at: Vec::new() };
        let mut project = reader.declared()?;
        project.python_pin = reader.pin(project.python_pin.take())?;
        let sources = reader.sources(&project)?;
        let mut declared =
            sources.iter().filter(|(_, source)| !matches!(source, DependencySource::Lock(LockKind::Pylock, _)));
        project.declared_source = declared.next().map_or(DependencySource::None, |(_, source)| source.clone());
        if let Some((_, first)) = sources.first() {
            project.dependency_source = first.clone();
        }
        for (index, (path, source)) in sources.iter().enumerate() {
            let verdict = match (index, source) {
                (0, DependencySource::Lock(_, _)) => "a lock: followed exactly".to_owned(),
                (0, DependencySource::Backend) => {
                    "its dependencies are computed: its build backend is asked".to_owned()
                }
                (0, _) => "its dependencies are resolved".to_owned(),
                _ => format!("not used for dependencies: {} goes before it", sources[0].0),
            };
            reader.looked(path, verdict);
        }
        project.looked_at = reader.looked_at;
        Ok(project)
    }
}

struct Reader<'a> {
    root: &'a Path,
    looked_at: Vec<Looked>,
}

impl Reader<'_> {
    fn looked(&mut self, path: &str, verdict: impl Into<String>) {
        self.looked_at.push(Looked { path: path.to_owned(), verdict: verdict.into() });
    }

    /// The text of a file of the project; `None` where there is none.
    fn text(&self, relative: &str) -> Result<Option<String>, ProjectError> {
        read_text(&self.root.join(relative), relative)
    }

    /// What the project's files declare, without its locks.
    fn declared(&mut self) -> Result<Project, ProjectError> {
        let pyproject = match self.text("pyproject.toml")? {
            Some(text) => Some(pyproject::parse("pyproject.toml", &text)?),
            None => None,
        };
        let cfg = self.text("setup.cfg")?.map(|text| setup::parse_cfg("setup.cfg", &text));
        let py = self.text("setup.py")?.and_then(|text| setup::parse_py("setup.py", &text));
        let has_setup =
            py.is_some() || cfg.as_ref().is_some_and(|cfg| cfg.name.is_some() || !cfg.dependencies.is_empty());
        let from_setup = py.unwrap_or_default().or(cfg.unwrap_or_default());
        let pipfile = match self.text("Pipfile")? {
            Some(text) => Some(pipfile::parse("Pipfile", &text)?),
            None => None,
        };
        let has_pyproject = pyproject.is_some();
        let Pyproject { project: table, build_system, groups, poetry, uv, .. } = pyproject.unwrap_or_default();
        let has_table = table.is_some();
        let table = table.unwrap_or_default();
        let has_poetry = poetry.is_some();
        let poetry = poetry.unwrap_or_default();

        let mut project = Project {
            root: self.root.to_owned(),
            name: table.name.or(poetry.name),
            version: table.version.or(poetry.version),
            dynamic: table.dynamic,
            requires_python: table.requires_python.or(poetry.python),
            python_pin: None,
            dependency_source: DependencySource::None,
            declared_source: DependencySource::None,
            dependencies: Vec::new(),
            extras: table.extras,
            groups,
            scripts: table.scripts,
            gui_scripts: table.gui_scripts,
            entry_points: table.entry_points,
            build_system,
            is_package: false,
            layout: Layout::Modules,
            indexes: uv.indexes.iter().cloned().chain(poetry.sources).collect(),
            uv,
            looked_at: Vec::new(),
        };
        for (group, requirements) in poetry.groups {
            project.groups.entry(group).or_default().extend(requirements);
        }
        if project.scripts.is_empty() {
            project.scripts = poetry.scripts;
        }
        if project.extras.is_empty() {
            for (extra, names) in &poetry.extras {
                let wanted =
                    poetry.optional_dependencies.iter().filter(|requirement| names.contains(&requirement.name));
                project.extras.insert(extra.clone(), wanted.cloned().collect());
            }
        }
        project.dependencies = match table.dependencies {
            Some(dependencies) => dependencies,
            None => poetry.dependencies,
        };
        let own_setup = has_setup && (!has_table || project.dynamic.iter().any(|key| key == "dependencies"));
        if own_setup {
            project.name = project.name.or(from_setup.name);
            project.version = project.version.or(from_setup.version);
            project.requires_python = project.requires_python.or(from_setup.requires_python);
            project.dynamic.extend(from_setup.dynamic);
            if project.dependencies.is_empty() {
                project.dependencies = from_setup.dependencies;
            }
            if project.extras.is_empty() {
                project.extras = from_setup.extras;
            }
            let mut points = from_setup.entry_points;
            if project.scripts.is_empty() {
                project.scripts = points.remove("console_scripts").unwrap_or_default();
            }
            if project.gui_scripts.is_empty() {
                project.gui_scripts = points.remove("gui_scripts").unwrap_or_default();
            }
            if project.entry_points.is_empty() {
                project.entry_points = points;
            }
        }
        if let Some(pipfile) = pipfile {
            self.pipfile(pipfile, &mut project)?;
        }
        project.layout = self.layout(project.name.as_ref(), from_setup.is_src);
        project.is_package = match project.uv.package {
            Some(package) => package,
            None if has_poetry && !has_table => {
                poetry.package_mode && (poetry.has_packages || project.layout != Layout::Modules)
            }
            None if has_poetry && !poetry.package_mode => false,
            None => (has_table && project.build_system.is_some()) || own_setup,
        };
        if has_pyproject {
            let what = match (has_table, has_poetry) {
                (true, _) => "has [project]",
                (false, true) => "has [tool.poetry]",
                (false, false) => "sets tools only: no [project]",
            };
            self.looked("pyproject.toml", what);
        }
        if has_setup && !own_setup {
            self.looked("setup.py", "not used: pyproject.toml has [project]");
        }
        Ok(project)
    }

    fn pipfile(&mut self, pipfile: pipfile::Pipfile, project: &mut Project) -> Result<(), ProjectError> {
        let invalid =
            |(name, what): (String, String)| ProjectError::invalid(Place::file("Pipfile"), format!("`{name}`: {what}"));
        project.indexes.extend(pipfile.source.into_iter().enumerate().map(|(at, source)| Index {
            name: Some(source.name),
            url: source.url,
            is_default: at == 0,
            ..Index::default()
        }));
        if project.dependencies.is_empty() {
            project.dependencies = poetry::requirements(&pipfile.packages, false).map_err(invalid)?;
        }
        if let Ok(dev) = NormalizedName::parse("dev")
            && !pipfile.dev_packages.is_empty()
        {
            let requirements = poetry::requirements(&pipfile.dev_packages, false).map_err(invalid)?;
            project.groups.entry(dev).or_default().extend(requirements);
        }
        if let Some(version) = pipfile.requires.python_full_version.or(pipfile.requires.python_version) {
            match pin::parse_requires("Pipfile", &version) {
                Ok(pin) => project.python_pin = Some(pin),
                Err(why) => self.looked("Pipfile", format!("[requires] {why}")),
            }
        }
        Ok(())
    }

    /// The pin of the first of these files that has one, or else `fallback`.
    fn pin(&mut self, fallback: Option<PythonPin>) -> Result<Option<PythonPin>, ProjectError> {
        type Parse = fn(&str, &str) -> Result<PythonPin, String>;
        let files: [(&str, Parse); 3] = [
            (".python-version", pin::parse_python_version),
            ("runtime.txt", pin::parse_runtime_txt),
            (".tool-versions", pin::parse_tool_versions),
        ];
        let mut found: Option<PythonPin> = None;
        for (file, parse) in files {
            let Some(text) = self.text(file)? else { continue };
            match (parse(file, &text), &found) {
                (Ok(pin), None) => {
                    self.looked(file, format!("wants Python {}", pin.text));
                    found = Some(pin);
                }
                (Ok(_), Some(first)) => {
                    let verdict = format!("not used: {} goes before it", first.place.file);
                    self.looked(file, verdict);
                }
                (Err(why), _) => self.looked(file, format!("not used: {why}")),
            }
        }
        Ok(found.or(fallback))
    }

    /// Every source of dependencies that is there, by precedence.
    fn sources(&mut self, project: &Project) -> Result<Vec<(String, DependencySource)>, ProjectError> {
        let mut sources = Vec::new();
        let mut add = |path: String, source| sources.push((path, source));
        if self.root.join("pylock.toml").is_file() {
            add("pylock.toml".to_owned(), DependencySource::Lock(LockKind::Pylock, self.root.join("pylock.toml")));
        }
        match self.root.join("uv.lock") {
            path if path.is_file() => add("uv.lock".to_owned(), DependencySource::Lock(LockKind::Uv, path)),
            _ => {
                if let Some(path) = self.workspace_lock(project)? {
                    add(path.display().to_string(), DependencySource::Lock(LockKind::Uv, path));
                }
            }
        }
        for kind in [LockKind::Poetry, LockKind::Pipfile] {
            let path = self.root.join(kind.file_name());
            if path.is_file() {
                add(kind.file_name().to_owned(), DependencySource::Lock(kind, path));
            }
        }
        // With another lock before it the file is not opened: its mistakes are not this build's.
        let is_needed = sources.iter().all(|(_, source)| matches!(source, DependencySource::Lock(LockKind::Pylock, _)));
        sources.extend(self.requirements(is_needed)?);
        let is_dynamic = ["dependencies", "install_requires", "**kwargs"];
        let is_dynamic = project.dynamic.iter().any(|key| is_dynamic.contains(&key.as_str()));
        let has_table =
            self.looked_at.iter().any(|looked| looked.path == "pyproject.toml" && looked.verdict.starts_with("has "));
        let mut declared = Vec::new();
        if has_table {
            declared.push("pyproject.toml");
        }
        declared.extend(["Pipfile", "setup.py", "setup.cfg"].iter().filter(|file| self.root.join(file).is_file()));
        // A setup.cfg for tools alone declares nothing.
        if let Some(&first) = declared.first()
            && (first != "setup.cfg" || project.is_package)
        {
            let source = match is_dynamic {
                true => DependencySource::Backend,
                false if project.dependencies.is_empty() => DependencySource::None,
                false => DependencySource::Declared,
            };
            sources.push((first.to_owned(), source));
        }
        Ok(sources)
    }

    /// The `uv.lock` of the workspace that this project is a member of.
    fn workspace_lock(&mut self, project: &Project) -> Result<Option<PathBuf>, ProjectError> {
        if project.name.is_none() {
            return Ok(None);
        }
        let Ok(root) = self.root.canonicalize() else { return Ok(None) };
        for ancestor in root.ancestors().skip(1).take(MAX_ANCESTORS) {
            let lock = ancestor.join("uv.lock");
            if !lock.is_file() {
                continue;
            }
            let path = ancestor.join("pyproject.toml");
            let shown = path.display().to_string();
            let Some(text) = read_text(&path, &shown)? else { continue };
            let workspace = pyproject::parse(&shown, &text)?.uv;
            let Some(members) = workspace.workspace_members else { continue };
            let matches = |globs: &[String]| {
                let relative = root.strip_prefix(ancestor).ok().and_then(Path::to_str).unwrap_or_default();
                jettison_dockerfile::Ignore::parse(&globs.join("\n")).is_ok_and(|globs| globs.matches(relative))
            };
            if matches(&members) && !matches(&workspace.workspace_exclude) {
                return Ok(Some(lock));
            }
            self.looked(&shown, "a workspace that this project is no member of");
        }
        Ok(None)
    }

    /// The requirements file to use, read where it `is_needed`.
    fn requirements(&mut self, is_needed: bool) -> Result<Option<(String, DependencySource)>, ProjectError> {
        let there: Vec<&str> = REQUIREMENTS.iter().copied().filter(|file| self.root.join(file).is_file()).collect();
        let Some(&chosen) = there.first() else {
            for name in self.names(".")?.into_iter().filter(|name| name.starts_with("requirements")) {
                self.looked(&name, "not used: its name says that it is for something else");
            }
            return Ok(None);
        };
        for &other in &there[1..] {
            // What `requirements.txt` includes or was compiled from is no rival of it.
            self.looked(other, format!("not used by itself: {chosen} goes before it"));
        }
        if !is_needed {
            return Ok(Some((chosen.to_owned(), DependencySource::Requirements(vec![chosen.to_owned()]))));
        }
        let requirements = Requirements::read(self.root, &[chosen.to_owned()], &|_| None)?;
        let source = match requirements.is_locked() {
            true => DependencySource::Lock(LockKind::Requirements, self.root.join(chosen)),
            false if requirements.entries.is_empty() => DependencySource::None,
            false => DependencySource::Requirements(vec![chosen.to_owned()]),
        };
        Ok(Some((chosen.to_owned(), source)))
    }

    fn layout(&self, name: Option<&NormalizedName>, is_src: bool) -> Layout {
        let package = |directory: &str, name: &str| self.root.join(directory).join(name).join("__init__.py").is_file();
        let own = name.map(NormalizedName::escaped).unwrap_or_default();
        let any = |directory: &str| {
            let never = ["tests", "test", "docs", "examples", "scripts", "migrations"];
            let names = self.names(directory).unwrap_or_default();
            names.iter().any(|name| !never.contains(&name.as_str()) && package(directory, name))
        };
        let has_own =
            |directory: &str| !own.is_empty() && (package(directory, &own) || self.is_module(directory, &own));
        if is_src || has_own("src") {
            Layout::Src
        } else if has_own(".") {
            Layout::Flat
        } else if any("src") {
            Layout::Src
        } else if any(".") {
            Layout::Flat
        } else {
            Layout::Modules
        }
    }

    fn is_module(&self, directory: &str, name: &str) -> bool {
        self.root.join(directory).join(format!("{name}.py")).is_file()
    }

    /// The names in a directory, sorted; none where there is no such directory.
    fn names(&self, directory: &str) -> Result<BTreeSet<String>, ProjectError> {
        let entries = match std::fs::read_dir(self.root.join(directory)) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(source) => return Err(ProjectError::Io { path: directory.to_owned(), source }),
        };
        Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }
}

impl Project {
    /// What the Python version must be, for a message: the pin or the range, and where it is written.
    pub fn python_wish(&self) -> Option<String> {
        let pin = self.python_pin.as_ref().map(|pin| format!("Python {} ({})", pin.text, pin.place));
        let range = |range: &PythonRange| format!("Python {} ({})", range.text, range.place);
        pin.or_else(|| self.requires_python.as_ref().map(range))
    }
}

fn read_text(path: &Path, shown: &str) -> Result<Option<String>, ProjectError> {
    let io = |source| ProjectError::Io { path: shown.to_owned(), source };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAX_BYTES => Err(io(std::io::Error::other("it is larger than 16 MiB"))),
        Ok(metadata) if metadata.is_file() => {
            let bytes = std::fs::read(path).map_err(io)?;
            let text = decode(shown, &bytes).map_err(|e| ProjectError::Requirements(e.into()))?;
            Ok(Some(text))
        }
        Ok(_) => Ok(None),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(io(e)),
    }
}
