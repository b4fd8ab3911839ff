//! The project's own part of an image: its files, its start command, and what makes it an installed distribution.
//!
//! The files go in as they are, readable by everybody and writable by nobody. A project that declares scripts or a name gets the
//! metadata and the scripts that an installation would have given it, without being built: a change of its code changes this layer and
//! nothing else. Only what a compiler has to see is built as a wheel instead ([`is_plain`]).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jettison_elf::ElfFacts;
use jettison_python::NormalizedName;
use jettison_python::command::procfile::parse_line;
use jettison_python::command::{DEFAULT_PORT, SourceTree, StartCommand};
use jettison_python::project::{Layout, Project};
use jettison_tree::{Content, Digest, Entry, TreePath};

use crate::error::{BuildError, Context as _};
use crate::interpreter::Interpreter;
use crate::job::Job;
use crate::layers::PlannedLayer;
use crate::link::LooseObject;
use crate::part::Owner;
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
    /// The start command; empty where there is none.
    pub argv: Vec<String>,
    /// The port that it listens on.
    pub port: Option<u16>,
    /// Variables that the start command wants.
    pub env: Vec<(String, String)>,
    /// How the start command was found.
    pub reason: String,
    /// Directories of the image that modules are imported from.
    pub python_path: Vec<String>,
    /// ELF files of the project.
    pub objects: Vec<LooseObject>,
    /// What was left out.
    pub left_out: Vec<LeftOut>,
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
    /// Reads the project's files and finds its start command.
    pub fn read(job: &Job<'_>, request: &ApplicationRequest<'_>) -> Result<Self, BuildError> {
        let project = request.project;
        let files = Files::read(job, &project.root, request.settings)?;
        let name = project.name.as_ref().map_or("application", NormalizedName::as_str);
        let owner = Owner::application(name);
        let workdir = TreePath::parse(request.workdir)?;
        let mut layer = PlannedLayer::new("application");
        layer.replace(Entry::directory(workdir.clone()), &owner);
        let mut objects = Vec::new();
        for (path, file) in &files.files {
            let target = workdir.join(path)?;
            let entry = match &file.link {
                Some(link) => Entry::symlink(target, link.clone()),
                None => {
                    let source = project.root.join(path);
                    if file.is_elf
                        && let Ok(Some(facts)) = ElfFacts::parse(&fs::read(&source)?)
                    {
                        objects.push(LooseObject { path: target.clone(), facts });
                    }
                    Entry::file(target, Content::at_path(source, file.len, file.digest), file.executable)
                }
            };
            layer.replace(entry, &owner);
        }
        let installed = install(project, request.interpreter)?;
        installed.into_iter().for_each(|entry| layer.replace(entry, &owner));
        let (argv, env, port, reason, root) = start(job, request, &files)?;
        let mut python_path = vec![request.workdir.to_owned()];
        let mut add = |directory: &str| {
            let path = format!("{}/{directory}", request.workdir.trim_end_matches('/'));
            if !directory.is_empty() && !python_path.contains(&path) {
                python_path.push(path);
            }
        };
        if project.layout == Layout::Src {
            add("src");
        }
        add(&root);
        Ok(Self { layer, argv, port, env, reason, python_path, objects, left_out: files.left_out })
    }
}

type Start = (Vec<String>, Vec<(String, String)>, Option<u16>, String, String);

fn start(job: &Job<'_>, request: &ApplicationRequest<'_>, files: &Files) -> Result<Start, BuildError> {
    let settings = request.settings;
    let port = settings.port.filter(|&port| port != 0);
    if let Some(command) = &settings.command {
        let (argv, env) = match command {
            Command::Words(words) => (words.clone(), Vec::new()),
            Command::Line(line) => {
                let parsed = parse_line(line, port.unwrap_or(DEFAULT_PORT)).map_err(|why| {
                    BuildError::new(format!("`{line}` cannot be started without a shell: {why}"))
                        .hint("say it as a list of words; a shell is in the image with --with bash")
                })?;
                (parsed.argv, parsed.env)
            }
        };
        let port = match settings.port {
            Some(0) => None,
            Some(port) => Some(port),
            None => Some(DEFAULT_PORT),
        };
        return Ok((argv, env, port, "the start command is set".to_owned(), String::new()));
    }
    let names = request.distributions.iter().filter_map(|name| NormalizedName::parse(name).ok()).collect::<Vec<_>>();
    let found = StartCommand::detect(request.project, &names, files, port.unwrap_or(DEFAULT_PORT));
    match found.map_err(|error| BuildError::with_hint(error.to_string(), error.hint()))? {
        StartCommand::Detected(detected) => {
            detected.warnings.iter().for_each(|warning| job.warn(warning.clone()));
            let port = match settings.port {
                Some(0) => None,
                Some(port) => Some(port),
                None => detected.port,
            };
            Ok((detected.argv, detected.env, port, detected.reason, detected.import_root))
        }
        StartCommand::Unclear(unclear) => {
            let looked: Vec<String> =
                unclear.looked_at.iter().map(|looked| format!("\n  {}: {}", looked.path, looked.verdict)).collect();
            Err(BuildError::new(format!("no start command was found: {}{}", unclear.why, looked.concat()))
                .hint(unclear.hint))
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

/// The files of the project that go into the image.
struct Files {
    root: PathBuf,
    files: BTreeMap<String, File>,
    left_out: Vec<LeftOut>,
}

struct File {
    len: u64,
    digest: Digest,
    executable: bool,
    is_elf: bool,
    link: Option<Vec<u8>>,
}

impl Files {
    fn read(job: &Job<'_>, root: &Path, _settings: &Settings) -> Result<Self, BuildError> {
        let mut cache = job.store.stat_cache(root)?;
        let mut files = BTreeMap::new();
        let mut left_out = Vec::new();
        let mut open = vec![PathBuf::new()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(root.join(&directory)).context(directory.display())? {
                let entry = entry?;
                let relative = directory.join(entry.file_name());
                let Some(text) = relative.to_str().map(str::to_owned) else { continue };
                if [".git", ".venv", "venv", "__pycache__", "jettison.lock", "pylock.toml", "node_modules"]
                    .iter()
                    .any(|n| entry.file_name() == *n)
                {
                    left_out.push(LeftOut { path: text, reason: "default".into() });
                    continue;
                }
                let read_at = SystemTime::now();
                let meta = entry.path().symlink_metadata()?;
                if meta.is_dir() {
                    open.push(relative);
                } else if meta.is_file() {
                    use std::os::unix::fs::PermissionsExt as _;
                    let path = TreePath::parse(&text)?;
                    let digest = match cache.get(&path, &meta) {
                        Some(digest) => digest,
                        None => {
                            let (digest, _) = Digest::of_reader(fs::File::open(entry.path())?)?;
                            cache.record(&path, &meta, digest, read_at);
                            digest
                        }
                    };
                    let executable = meta.permissions().mode() & 0o111 != 0;
                    let is_elf = text.ends_with(".so") || text.contains(".so.");
                    files.insert(text, File { len: meta.len(), digest, executable, is_elf, link: None });
                }
            }
        }
        cache.save()?;
        Ok(Self { root: root.to_owned(), files, left_out })
    }
}

impl SourceTree for Files {
    fn files(&self) -> Vec<String> {
        self.files.keys().cloned().collect()
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(self.root.join(path))
    }
}
