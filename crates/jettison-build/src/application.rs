//! The project's own part of an image: its files, its start command, and what makes it an installed distribution.
//!
//! The files go in as they are, readable by everybody and writable by nobody. A project that declares scripts or a name gets the
//! metadata and the scripts that an installation would have given it, without being built: a change of its code changes this layer and
//! nothing else. Only what a compiler has to see is built as a wheel instead ([`is_plain`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::time::SystemTime;

use jettison_elf::ElfFacts;
use jettison_engine::CacheKey;
use jettison_python::NormalizedName;
use jettison_python::application::{AppFile, AppKind, Application as Tree, Filter};
use jettison_python::command::procfile::parse_line;
use jettison_python::command::{DEFAULT_PORT, StartCommand, libraries};
use jettison_python::project::{Layout, Project};
use jettison_tree::{Content, Digest, Entry, TreePath};
use serde::{Deserialize, Serialize};

use crate::error::{BuildError, Context as _};
use crate::interpreter::Interpreter;
use crate::job::Job;
use crate::layers::PlannedLayer;
use crate::link::LooseObject;
use crate::optional;
use crate::part::Owner;
use crate::profile;
use crate::report::LeftOut;
use crate::settings::{Command, Settings};

/// Backends whose projects hold Python modules that work as they lie there.
const PLAIN_BACKENDS: [&str; 10] = [
    "flit_core",
    "flit",
    "hatchling",
    "pdm",
    "poetry",
    "poetry_core",
    "setuptools",
    "uv_build",
    "whey",
    "jupyter_packaging",
];

/// What the project's layer is made from.
pub struct ApplicationRequest<'a> {
    /// The project.
    pub project: &'a Project,
    /// The settings.
    pub settings: &'a Settings,
    /// The distributions that will be installed.
    pub distributions: &'a [String],
    /// Where the files go, an absolute path.
    pub workdir: &'a str,
    /// The interpreter.
    pub interpreter: &'a Interpreter,
}

/// The project's own part of an image.
#[derive(Debug)]
pub struct Application {
    /// The files.
    pub layer: PlannedLayer,
    /// What was found by reading them.
    pub findings: Findings,
    /// Directories of the image that modules are imported from.
    pub python_path: Vec<String>,
    /// ELF files of the project.
    pub objects: Vec<LooseObject>,
    /// What was left out.
    pub left_out: Vec<LeftOut>,
}

/// What reading the sources of a project tells.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Findings {
    /// The start command.
    pub argv: Vec<String>,
    /// The port that it listens on.
    pub port: Option<u16>,
    /// Variables that the start command wants.
    pub env: Vec<(String, String)>,
    /// How the start command was found.
    pub reason: String,
    /// The directory of the project that modules are imported from, where it is not the project itself.
    import_root: String,
    /// Sonames that the source loads by name.
    pub sonames: Vec<String>,
    /// Modules of the standard library that the sources name.
    pub named: BTreeSet<String>,
    /// Modules that the sources import.
    #[serde(default)]
    pub imports: BTreeSet<String>,
    /// What the user should know.
    warnings: Vec<String>,
    /// Files that are ELF.
    elf: Vec<TreePath>,
}

/// Whether the project's modules can be imported from where they lie, without being built.
pub fn is_plain(project: &Project) -> bool {
    if !project.is_package {
        return true;
    }
    let backend = project.build_system.as_ref().and_then(|system| system.backend.as_deref()).unwrap_or("setuptools");
    let package = backend.split(['.', ':']).next().unwrap_or(backend);
    PLAIN_BACKENDS.contains(&package)
}

impl Application {
    /// Reads the project's files and finds its start command. Files that have not changed since the last build are not read.
    pub fn read(job: &Job<'_>, request: &ApplicationRequest<'_>) -> Result<Self, BuildError> {
        let (project, settings) = (request.project, request.settings);
        let filter = Filter {
            include: settings.include.clone().unwrap_or_default(),
            exclude: settings.exclude.clone().unwrap_or_default(),
            measure: false,
        };
        let tree = Tree::read(&project.root, &filter)
            .map_err(|error| BuildError::with_hint(error.to_string(), error.hint()))?;
        let digests = digests(job, project, &tree)?;
        let findings = findings(job, request, &tree, &digests)?;
        findings.warnings.iter().for_each(|warning| job.warn(warning.clone()));

        let owner = Owner::application(project.name.as_ref().map_or("application", NormalizedName::as_str));
        let workdir = TreePath::parse(request.workdir)?;
        let mut layer = PlannedLayer::new("application");
        layer.replace(Entry::directory(workdir.clone()), &owner);
        for file in &tree.files {
            let path = workdir.join(file.path.as_bytes())?;
            let entry = match &file.kind {
                AppKind::File { executable, len } => {
                    let source = project.root.join(file.path.as_path());
                    let digest = digests.get(&file.path).copied().unwrap_or_else(|| Digest::of(b""));
                    Entry::file(path, Content::at_path(source, *len, digest), *executable)
                }
                AppKind::Symlink(target) => Entry::symlink(path, target.clone()),
                AppKind::EmptyDirectory => Entry::directory(path),
            };
            layer.replace(entry, &owner);
        }
        for entry in install(project, request.interpreter)? {
            layer.replace(entry, &owner);
        }
        let mut objects = Vec::new();
        for path in &findings.elf {
            if let Ok(Some(facts)) = ElfFacts::parse(&fs::read(project.root.join(path.as_path()))?) {
                objects.push(LooseObject { path: workdir.join(path.as_bytes())?, facts });
            }
        }
        let mut python_path = vec![request.workdir.to_owned()];
        let source_root = if project.layout == Layout::Src { "src" } else { "" };
        for directory in [source_root, &findings.import_root] {
            let path = format!("{}/{directory}", request.workdir.trim_end_matches('/'));
            if !directory.is_empty() && !python_path.contains(&path) {
                python_path.push(path);
            }
        }
        let left_out =
            tree.left_out.iter().map(|left| LeftOut { path: left.path.to_string(), reason: left.reason.to_string() });
        Ok(Self { layer, findings, python_path, objects, left_out: left_out.collect() })
    }
}

/// The digests of the files, remembered from build to build.
fn digests(job: &Job<'_>, project: &Project, tree: &Tree) -> Result<BTreeMap<TreePath, Digest>, BuildError> {
    let mut cache = job.store.stat_cache(&project.root)?;
    let mut digests = BTreeMap::new();
    for AppFile { path, kind } in &tree.files {
        if !matches!(kind, AppKind::File { .. }) {
            continue;
        }
        let full = project.root.join(path.as_path());
        let read_at = SystemTime::now();
        let meta = fs::metadata(&full).context(path)?;
        let digest = match cache.get(path, &meta) {
            Some(digest) => digest,
            None => {
                let (digest, _) = File::open(&full).and_then(Digest::of_reader).context(path)?;
                cache.record(path, &meta, digest, read_at);
                digest
            }
        };
        digests.insert(path.clone(), digest);
    }
    cache.save()?;
    Ok(digests)
}

/// What the sources tell: from the last time where nothing of it changed.
fn findings(
    job: &Job<'_>,
    request: &ApplicationRequest<'_>,
    tree: &Tree,
    digests: &BTreeMap<TreePath, Digest>,
) -> Result<Findings, BuildError> {
    let mut key = CacheKey::builder("application-findings/3")
        .field(
            "project",
            format!("{:?}", (&request.project.scripts, &request.project.dependencies, request.project.layout)),
        )
        .field("settings", format!("{:?}", (&request.settings.command, request.settings.port)))
        .field("distributions", request.distributions.join(" "));
    for (path, digest) in digests {
        key = key.field("path", path.as_bytes()).digest("content", *digest);
    }
    let key = key.finish();
    if let Some(findings) = job.store.memo_get(&key)? {
        return Ok(findings);
    }
    let mut findings = start(request, tree)?;
    for path in digests.keys() {
        let file = request.project.root.join(path.as_path());
        let mut magic = [0; 4];
        let read = File::open(&file).and_then(|mut file| file.read(&mut magic)).context(path)?;
        if read == 4 && magic == *b"\x7fELF" {
            findings.elf.push(path.clone());
            optional::note_object(&fs::read(&file).context(path)?, &mut findings.named);
        } else if path.as_bytes().ends_with(b".py") {
            let source = fs::read(&file).context(path)?;
            optional::note(&source, &mut findings.named);
            profile::note_imports(&source, &mut findings.imports);
        }
    }
    for suspicion in tree.suspicions().map_err(|error| BuildError::with_hint(error.to_string(), error.hint()))? {
        findings.warnings.push(format!(
            "{}: this looks like a secret ({}, `{}`), and it goes into the image",
            suspicion.place, suspicion.kind, suspicion.excerpt
        ));
    }
    let loaded = libraries::of_tree(tree).map_err(|error| BuildError::with_hint(error.to_string(), error.hint()))?;
    for library in loaded {
        if library.is_soname {
            findings.sonames.push(library.name);
        } else {
            findings.warnings.push(format!(
                "{}: the library `{}` is looked for by name; if it is not found in the image, add its package with `with`",
                library.place, library.name
            ));
        }
    }
    job.store.memo_put(&key, &findings, &[])?;
    Ok(findings)
}

/// The start command.
fn start(request: &ApplicationRequest<'_>, tree: &Tree) -> Result<Findings, BuildError> {
    let settings = request.settings;
    let wanted = settings.port.filter(|&port| port != 0);
    let port = |found: Option<u16>| match settings.port {
        Some(0) => None,
        Some(port) => Some(port),
        None => found,
    };
    if let Some(command) = &settings.command {
        let (argv, env) = match command {
            Command::Words(words) => (words.clone(), Vec::new()),
            Command::Line(line) => {
                let parsed = parse_line(line, wanted.unwrap_or(DEFAULT_PORT)).map_err(|why| {
                    BuildError::new(format!("`{line}` cannot be started without a shell: {why}"))
                        .hint("say it as a list of words; a shell is in the image with --with bash")
                })?;
                (parsed.argv, parsed.env)
            }
        };
        let reason = "the start command is set".to_owned();
        return Ok(Findings { argv, env, port: port(Some(DEFAULT_PORT)), reason, ..Findings::default() });
    }
    let names: Vec<_> = request.distributions.iter().filter_map(|name| NormalizedName::parse(name).ok()).collect();
    let found = StartCommand::detect(request.project, &names, tree, wanted.unwrap_or(DEFAULT_PORT));
    match found.map_err(|error| BuildError::with_hint(error.to_string(), error.hint()))? {
        StartCommand::Detected(detected) => Ok(Findings {
            port: port(detected.port),
            argv: detected.argv,
            env: detected.env,
            reason: detected.reason,
            import_root: detected.import_root,
            warnings: detected.warnings,
            ..Findings::default()
        }),
        StartCommand::Unclear(unclear) => {
            let looked: Vec<String> =
                unclear.looked_at.iter().map(|looked| format!("\n  {}: {}", looked.path, looked.verdict)).collect();
            let error = BuildError::new(format!("no start command was found: {}{}", unclear.why, looked.concat()));
            Err(error.hint(unclear.hint))
        }
    }
}

/// What installing the project would have left: metadata, and a script for each entry point.
fn install(project: &Project, interpreter: &Interpreter) -> Result<Vec<Entry>, BuildError> {
    let (Some(name), true) = (&project.name, project.is_package && is_plain(project)) else { return Ok(Vec::new()) };
    let version = project.version.clone().unwrap_or_else(|| "0".to_owned());
    let info = interpreter.site_packages.join(format!("{}-{version}.dist-info", name.escaped()))?;
    let file = |path: TreePath, text: String| Entry::file(path, Content::from_bytes(text.into_bytes()), false);
    let mut metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
    for requirement in &project.dependencies {
        metadata += &format!("Requires-Dist: {requirement}\n");
    }
    let mut points = String::new();
    let mut group = |name: &str, entries: &BTreeMap<String, String>| {
        if !entries.is_empty() {
            points += &format!("[{name}]\n");
            entries.iter().for_each(|(name, value)| points += &format!("{name} = {value}\n"));
            points.push('\n');
        }
    };
    group("console_scripts", &project.scripts);
    group("gui_scripts", &project.gui_scripts);
    project.entry_points.iter().for_each(|(name, entries)| group(name, entries));
    let mut entries =
        vec![file(info.join("METADATA")?, metadata), file(info.join("INSTALLER")?, "jettison\n".to_owned())];
    if !points.is_empty() {
        entries.push(file(info.join("entry_points.txt")?, points));
    }
    let bin = interpreter.prefix.join("bin")?;
    for (script, reference) in project.scripts.iter().chain(&project.gui_scripts) {
        let text = launcher(&interpreter.executable, reference).ok_or_else(|| {
            BuildError::new(format!("script `{script}`: `{reference}` is not of the form `module:function`"))
        })?;
        entries.push(Entry::file(bin.join(script)?, Content::from_bytes(text.into_bytes()), true));
    }
    Ok(entries)
}

/// The program for an entry point. Without the guard, worker processes that are spawned would run it again.
fn launcher(python: &str, reference: &str) -> Option<String> {
    let (module, function) = reference.split('[').next()?.trim().split_once(':')?;
    let imported = function.split('.').next()?;
    let is_path = |path: &str| {
        path.split('.').all(|name| !name.is_empty() && name.chars().all(|c| c == '_' || c.is_alphanumeric()))
    };
    (is_path(module) && is_path(function)).then(|| {
        format!("#!{python}\nimport sys\n\nfrom {module} import {imported}\n\nif __name__ == \"__main__\":\n    sys.exit({function}())\n")
    })
}
