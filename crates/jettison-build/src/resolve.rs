//! From a project to the distributions it needs: as its lock says, or as a resolver says, whose answer is kept as a
//! lock.
//!
//! 1. A lock that the project has is followed. One that an earlier build had made is followed as long as what it was
//!    resolved from is the same.
//! 2. Otherwise a pinned `uv` runs in the sandbox, on the very interpreter of the image, and writes a `pylock.toml`
//!    (PEP 751) for every platform.
//! 3. The file is kept beside the project.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use jettison_engine::graph::StageGraph;
use jettison_engine::sandbox::Mount;
use jettison_engine::store::Snapshot;
use jettison_python::NormalizedName;
use jettison_python::direct::without_credentials;
use jettison_python::lock::{Lock, inputs};
use jettison_python::project::{DependencySource, LockKind, Project};
use jettison_python::requirements::Requirements;
use jettison_python::wheel::InstallLayout;
use jettison_tree::{Digest, TreePath};

use crate::base::Roots;
use crate::error::{BuildError, Context as _};
use crate::fetch::{Wanted, fetch_all};
use crate::git::{self, GitRoom};
use crate::index::{Indexes, page};
use crate::interpreter::Interpreter;
use crate::job::{Job, Progress};
use crate::lockfile::write_whole;
use crate::part::Part;
use crate::rootfs;
use crate::sdist::history;
use crate::settings::Trim;
use crate::tool::{Tool, bind};
use crate::unpack::{UnpackWheel, WheelFile};

/// The resolver: its wheels on the Python package index, by the machine that it runs on, with their digests.
const UV: [(&str, &str, &str); 2] = [
    (
        "x86_64",
        "uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    ),
    (
        "aarch64",
        "uv-0.13.9-py3-none-manylinux_2_28_aarch64.whl",
        "ecb6028d79dc96fbeafffe5c8af62a7099487ebc05a701e76714eebcffd06375",
    ),
];
/// The lock that a resolution leaves beside the project.
pub const PYLOCK: &str = "pylock.toml";

/// What uv says where it needs git and finds none.
const NO_GIT: &str = "Git executable not found";
/// What a backend says that writes into a local project, which it may only read.
const READ_ONLY: &str = "Read-only file system";
/// So much a backend may write there, for nobody to keep. Bytes.
const SCRATCH_SIZE: u64 = 1 << 30;

/// What uv is asked.
struct Question<'a> {
    /// Where it runs.
    directory: &'a Path,
    /// The files with requirements.
    sources: &'a [String],
    /// Flags.
    options: &'a [String],
    /// A lock whose versions are kept as far as that is possible.
    previous: Option<PathBuf>,
    /// Directories and pages with distributions.
    find_links: Vec<String>,
    /// Git repositories that are named.
    repositories: Vec<String>,
}

impl<'a> Question<'a> {
    fn new(directory: &'a Path, sources: &'a [String]) -> Self {
        Self { directory, sources, options: &[], previous: None, find_links: Vec::new(), repositories: Vec::new() }
    }
}

/// How to resolve.
pub struct Resolver<'a> {
    /// The interpreter of the image.
    pub interpreter: &'a Interpreter,
    /// Directories of a root file system in which that interpreter runs here, the topmost first.
    pub rootfs: &'a Roots,
    /// Where distributions come from.
    pub indexes: &'a Indexes,
    /// What fetches distributions from repositories.
    pub git: &'a GitRoom<'a>,
    /// Extras of the project.
    pub extras: &'a [String],
    /// Dependency groups.
    pub groups: &'a [String],
    /// A uv of the user's.
    pub uv: Option<&'a Path>,
    /// Refuse to resolve.
    pub locked: bool,
    /// Resolve although there is an answer.
    pub upgrade: bool,
}

impl Resolver<'_> {
    /// The lock of the project; `None` where it has no dependency at all.
    pub fn lock(&self, job: &Job<'_>, project: &Project) -> Result<Option<Lock>, BuildError> {
        let variable = |name: &str| job.machine.vars.get(name).cloned();
        let existing = Lock::read(project, &variable)?;
        if let Some(lock) = &existing
            && (lock.kind != LockKind::Pylock || lock.inputs.is_none())
        {
            return Ok(existing);
        }
        match &project.declared_source {
            DependencySource::None => return Ok(None),
            DependencySource::Lock(..) => return Ok(existing),
            DependencySource::Requirements(_) | DependencySource::Declared | DependencySource::Backend => {}
        }
        let requirements = requirements(job, project)?;
        let (major, minor) = self.interpreter.minor();
        let python = format!("{major}.{minor}");
        let inputs = inputs::digest(
            project,
            &inputs::Resolution {
                requirements: requirements.as_ref(),
                target: &python,
                indexes: &self.indexes.urls(),
                extras: self.extras,
                groups: self.groups,
                options: &[],
            },
        );
        if let Some(lock) = &existing
            && lock.inputs == Some(inputs)
            && !self.upgrade
        {
            return Ok(existing);
        }
        if self.locked {
            return Err(match existing {
                Some(lock) => inputs::stale(&lock.file).into(),
                None => BuildError::new("the project has no lock, and --locked refuses to resolve")
                    .hint(format!("build once without --locked and commit {PYLOCK}")),
            });
        }
        let progress = job.begin("resolve dependencies");
        let previous = Some(project.root.join(PYLOCK)).filter(|path| path.is_file() && !self.upgrade);
        let sources = self.sources(project);
        let mut options = Vec::new();
        self.extras.iter().for_each(|extra| options.extend(["--extra".to_owned(), extra.clone()]));
        self.groups.iter().for_each(|group| options.extend(["--group".to_owned(), group.clone()]));
        let find_links = requirements.iter().flat_map(|file| file.options.find_links.iter().cloned()).collect();
        let repositories = git::repositories(project, requirements.as_ref());
        let question = Question {
            directory: &project.root,
            sources: &sources,
            options: &options,
            previous,
            find_links,
            repositories,
        };
        let text = self.compile(job, &progress, question)?;
        drop(progress);
        let text = inputs::mark(&without_secrets(&text), inputs);
        let path = project.root.join(PYLOCK);
        if let Err(error) = write_whole(&path, text.as_bytes()) {
            job.warn(format!("the resolution is not kept: {error}"));
        }
        Ok(Some(Lock::parse_pylock(PYLOCK, &text, &project.root)?))
    }

    /// The lock of a build environment: what these requirements (PEP 508) come to.
    pub fn lock_of(&self, job: &Job<'_>, name: &str, requirements: &[String]) -> Result<Lock, BuildError> {
        let progress = job.begin(&format!("resolve what building {name} needs"));
        let scratch = job.store.scratch()?;
        std::fs::write(scratch.path().join("requirements.in"), requirements.join("\n") + "\n")?;
        let text = self
            .compile(job, &progress, Question::new(scratch.path(), &["requirements.in".to_owned()]))
            .context(format!("building {name} needs {}", requirements.join(", ")))?;
        Ok(Lock::parse_pylock(PYLOCK, &text, scratch.path())?)
    }

    /// Runs `uv pip compile`, and returns the lock that it writes.
    fn compile(&self, job: &Job<'_>, progress: &Progress<'_>, question: Question<'_>) -> Result<String, BuildError> {
        let Question { directory, sources, options, previous, find_links, repositories } = question;
        let scratch = job.store.scratch()?;
        let out = scratch.path().join("out");
        let cache = job.store.root().join("uv-cache");
        for directory in [&out, &cache] {
            std::fs::create_dir_all(directory)?;
        }
        if let Some(previous) = previous {
            std::fs::copy(previous, out.join(PYLOCK))?;
        }
        // Held until the program has ended: nobody prunes them meanwhile.
        let mut root = self.rootfs.clone();
        let mut mounts = vec![bind(&out, "/.jettison/out", false), bind(&cache, "/.jettison/cache", false)];
        let uv = match self.uv {
            Some(path) => {
                let path = path.canonicalize().context(path.display())?;
                mounts.push(bind(path, "/.jettison/uv", true));
                "/.jettison/uv"
            }
            None => {
                root = root.under(pinned_uv(job, self.indexes)?);
                "/usr/local/bin/uv"
            }
        };
        let top = enclosing_repository(directory);
        mounts.push(bind(&top, &top, true));
        let (major, minor) = self.interpreter.minor();
        let python = format!("{major}.{minor}");
        let fixed = [
            uv,
            "pip",
            "compile",
            "--universal",
            "--no-header",
            "--no-python-downloads",
            "--no-progress",
            "--python-version",
            &python,
            "--python",
            &self.interpreter.executable,
            "--format",
            "pylock.toml",
            "--output-file",
            "/.jettison/out/pylock.toml",
            "--cache-dir",
            "/.jettison/cache",
        ];
        let mut argv: Vec<String> = fixed.map(str::to_owned).to_vec();
        argv.extend_from_slice(sources);
        argv.extend_from_slice(options);
        if job.http.options().offline {
            argv.push("--offline".to_owned());
        }
        argv.extend(self.indexes.uv_arguments());
        for link in self.indexes.find_links.iter().chain(&find_links).filter(|link| Path::new(link.as_str()).is_dir()) {
            let link = Path::new(link).canonicalize().context(link)?;
            mounts.push(bind(&link, &link, true));
        }
        let (env, more) = environment(job, &repositories, scratch.path())?;
        mounts.extend(more);
        let network = !job.http.options().offline;
        let cwd = directory.to_owned();
        // It prints the lock that it writes.
        let run = |root: &Roots, mounts: &[Mount]| {
            let (lower, argv, env) = (root.paths.clone(), argv.clone(), env.clone());
            let (cwd, mounts) = (cwd.clone(), mounts.to_vec());
            let tool = Tool { lower, upper: None, argv, env, cwd, mounts, network, quiet: true };
            tool.run(|line| progress.log(concealed(line, &repositories)))
        };
        if !repositories.is_empty() {
            root = self.git.under(root, repositories.iter().any(|url| git::is_ssh(url)))?;
        }
        let mut done = run(&root, &mounts)?;
        let (mut has_git, mut is_writable) = (!repositories.is_empty(), false);
        while !done.status.success() {
            if !has_git && (done.output.contains(NO_GIT) || history::is_named_in(&done.output)) {
                // What is asked for asks for it: only uv knows.
                root = self.git.under(root, true)?;
                has_git = true;
            } else if !is_writable && done.output.contains(READ_ONLY) {
                // A backend writes into the directory that it is asked about.
                let (lower, dst) = (vec![top.clone()], top.clone());
                mounts.push(Mount::Overlay { lower, src: "/".into(), dst, writable: Some(SCRATCH_SIZE) });
                is_writable = true;
            } else {
                break;
            }
            done = run(&root, &mounts)?;
        }
        if !done.status.success() {
            return Err(failed(&concealed(&done.output, &repositories)));
        }
        Ok(rebase(&std::fs::read_to_string(out.join(PYLOCK))?, Path::new("/.jettison/out"), directory))
    }

    fn sources(&self, project: &Project) -> Vec<String> {
        match &project.declared_source {
            DependencySource::Requirements(files) => files.clone(),
            _ if project.root.join("pyproject.toml").is_file() => vec!["pyproject.toml".to_owned()],
            _ if project.root.join("setup.cfg").is_file() => vec!["setup.cfg".to_owned()],
            _ => vec!["setup.py".to_owned()],
        }
    }
}

/// The requirements files of a project, where it has some, locked or not.
pub fn requirements(job: &Job<'_>, project: &Project) -> Result<Option<Requirements>, BuildError> {
    let variable = |name: &str| job.machine.vars.get(name).cloned();
    match &project.declared_source {
        DependencySource::Requirements(files) => Ok(Some(Requirements::read(&project.root, files, &variable)?)),
        DependencySource::Lock(LockKind::Requirements, path) => {
            let file = path.strip_prefix(&project.root).unwrap_or(path).to_string_lossy().into_owned();
            Ok(Some(Requirements::read(&project.root, &[file], &variable)?))
        }
        _ => Ok(None),
    }
}

/// Whether the dependencies of the project will surely be resolved: it has some, and no lock of any kind.
pub fn is_needed(job: &Job<'_>, project: &Project) -> bool {
    let variable = |name: &str| job.machine.vars.get(name).cloned();
    let has_lock = !matches!(Lock::read(project, &variable), Ok(None));
    !has_lock && !matches!(project.declared_source, DependencySource::None | DependencySource::Lock(..))
}

/// Brings the resolver into the store, ahead of when it is needed. Whether that works out does not matter yet.
pub fn expect(job: &Job<'_>, indexes: &Indexes) -> Option<Snapshot> {
    pinned_uv(job, indexes).ok()
}

/// A directory with `usr/local/bin/uv`.
fn pinned_uv(job: &Job<'_>, indexes: &Indexes) -> Result<Snapshot, BuildError> {
    let (_, filename, hex) = UV.iter().find(|(machine, ..)| *machine == job.machine.machine).ok_or_else(|| {
        BuildError::new(format!("no resolver is known for {}", job.machine.machine))
            .hint("give a uv of your own with --uv, or lock the project elsewhere")
    })?;
    let digest = Digest::from_hex(hex).map_err(|error| BuildError::new(error.to_string()))?;
    if !job.store.has(digest)? {
        let files = page(job, indexes.default_url(), "uv")?;
        let file = files.iter().find(|file| file.filename == *filename);
        let url = file.map(|file| file.url.clone()).ok_or_else(|| {
            BuildError::new(format!("{} does not have {filename}, which resolves dependencies", indexes.default_url()))
                .hint("give a uv of your own with --uv, or commit a lock")
        })?;
        fetch_all(job, &[Wanted { name: (*filename).to_owned(), urls: vec![url], digest, size: None }])?;
    }
    // It is static, and no interpreter runs it.
    let layout = InstallLayout {
        site_packages: TreePath::parse("usr/local/share/uv")?,
        scripts: TreePath::parse("usr/local/bin")?,
        headers: TreePath::parse("usr/local/include")?,
        data: TreePath::parse("usr/local")?,
        python: "/usr/bin/python3".to_owned(),
    };
    let file = Some(WheelFile { filename: (*filename).to_owned(), digest });
    let mut graph = StageGraph::new();
    let unpack = UnpackWheel { name: "uv".to_owned(), file, layout, trim: Trim::None, direct_url: None };
    let id = graph.add("unpack uv", &[], unpack);
    let outputs = job.solve(&graph, &[id])?;
    let part = Part::open(job.store, outputs[0].get()?)?;
    rootfs::of_parts(job.store, [&part], &[])
}

/// What uv reads of the user's: its variables, its configuration, credentials, certificates, and what git reads.
fn environment(job: &Job<'_>, repositories: &[String], scratch: &Path) -> Result<git::Surroundings, BuildError> {
    let machine = job.machine;
    let (mut env, mut mounts) = git::environment(machine, repositories, scratch)?;
    env.push(("UV_NO_PROGRESS".to_owned(), "1".to_owned()));
    let passed = |name: &str| {
        let upper = name.to_uppercase();
        upper.starts_with("UV_") && upper != "UV_CACHE_DIR" && upper != "UV_PYTHON"
    };
    env.extend(machine.vars.iter().filter(|(name, _)| passed(name)).map(|(name, value)| (name.clone(), value.clone())));
    let mut give = |path: PathBuf, inside: String| {
        if let Ok(path) = path.canonicalize() {
            mounts.push(bind(path, inside, true));
        }
    };
    if let Some(home) = &machine.home {
        let config = machine.var("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
        give(config.join("uv"), format!("{}/.config/uv", git::HOME));
    }
    give("/etc/uv".into(), "/etc/uv".to_owned());
    if git::certificates(machine).is_some() {
        env.push(("SSL_CERT_FILE".to_owned(), git::CERTIFICATES.to_owned()));
    }
    Ok((env, mounts))
}

/// The outermost directory that a resolution may have to read: the repository that the project is part of.
fn enclosing_repository(root: &Path) -> PathBuf {
    root.ancestors().find(|path| path.join(".git").exists()).unwrap_or(root).to_owned()
}

/// A lock that was written in the directory `from` as if it had been written in `to`: paths in it are relative to where it is.
fn rebase(lock: &str, from: &Path, to: &Path) -> String {
    const KEY: &str = "path = \"";
    let mut rebased = String::with_capacity(lock.len());
    let mut rest = lock;
    while let Some(at) = rest.find(KEY) {
        let (before, tail) = rest.split_at(at + KEY.len());
        let end = tail.find('"').unwrap_or(tail.len());
        let absolute = lexical(&from.join(&tail[..end]));
        rebased += before;
        rebased += &absolute.strip_prefix(to).unwrap_or(&absolute).to_string_lossy();
        rest = &tail[end..];
    }
    rebased + rest
}

/// A lock without the credentials that URLs in it have: it is there to be committed.
fn without_secrets(lock: &str) -> String {
    let bare = |text: &str| if text.starts_with("http") { without_credentials(text) } else { text.to_owned() };
    lock.split('"').map(bare).collect::<Vec<_>>().join("\"")
}

/// The path without `.` and `..`, as far as the text tells.
fn lexical(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean
}

/// What a program said, without the passwords that URLs of repositories have.
fn concealed(said: &str, repositories: &[String]) -> String {
    let mut said = said.to_owned();
    for url in repositories.iter().filter(|url| url.starts_with("http")) {
        let (_, rest) = url.split_once("://").unwrap_or(("", ""));
        let authority = rest.split('/').next().unwrap_or(rest);
        let Some((who, _)) = authority.rsplit_once('@') else { continue };
        let secret = who.split_once(':').map_or(who, |(_, password)| password);
        if !secret.is_empty() {
            said = said.replace(&format!("{secret}@"), "****@");
        }
    }
    said
}

fn failed(output: &str) -> BuildError {
    let said: Vec<&str> = output.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let start = said.iter().position(|line| line.trim_start().starts_with(['×', 'e'])).unwrap_or(0);
    let told = said[start..].join("\n");
    let unreachable = ["error sending request", "dns error", "Connection refused", "timed out", "503 ", "502 ", "429 "];
    let transient = unreachable.iter().any(|sign| told.contains(sign));
    let error = BuildError::new(format!("the dependencies cannot be resolved:\n{told}")).transient(transient);
    if transient {
        error.hint("the package index could not be reached: try again, or build with a lock")
    } else if error.to_string().contains("Git operation failed") {
        error.hint("is the repository there, and may this machine read it? git's own configuration and netrc are used")
    } else {
        error
    }
}

/// The names in `extras` or `groups`, normalised.
pub fn names(words: &[String]) -> Result<BTreeSet<NormalizedName>, BuildError> {
    let parse = |word: &String| NormalizedName::parse(word).map_err(|error| BuildError::new(error.to_string()));
    words.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_lock_are_those_of_its_new_place() {
        let rebased = |path: &str| {
            let text = format!("[[packages]]\nname = \"x\"\narchive = {{ path = \"{path}\", size = 3 }}\n");
            let rebased = rebase(&text, Path::new("/.jettison/out"), Path::new("/home/me/app"));
            rebased.split("path = \"").nth(1).unwrap().split('"').next().unwrap().to_owned()
        };
        assert_eq!(rebased("../../home/me/app/wheels/x.whl"), "wheels/x.whl");
        assert_eq!(rebased("../../home/me/lib"), "/home/me/lib");
        assert_eq!(rebased("/home/me/app/x.whl"), "x.whl");
        let secret =
            "index = \"https://me:secret@h/simple\"\nvcs = { url = \"https://token@h/lib.git\", x = \"a@b\" }\n";
        let bare = "index = \"https://h/simple\"\nvcs = { url = \"https://h/lib.git\", x = \"a@b\" }\n";
        assert_eq!(without_secrets(secret), bare);
        assert_eq!(rebase("no such key", Path::new("/a"), Path::new("/b")), "no such key");
        let named =
            ["https://me:s3cret@h/lib.git".to_owned(), "ssh://git@h/x".to_owned(), "https://tok3n@h/y".to_owned()];
        let said = "fatal: 'https://me:s3cret@h/lib.git', 'https://tok3n@h/y', ssh://git@h/x";
        assert_eq!(concealed(said, &named), "fatal: 'https://me:****@h/lib.git', 'https://****@h/y', ssh://git@h/x");
    }
}
