//! What never belongs into an image, by name. `include` patterns of the settings overrule every one of these.

use std::fmt;
use std::io;
use std::path::Path;

use jettison_tree::TreePath;

/// Why a path does not go into the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// An `exclude` pattern of the settings.
    Excluded,
    /// A line of `.dockerignore`.
    Dockerignore,
    /// Version control.
    VersionControl,
    /// A virtual environment: the image has its own.
    VirtualEnvironment,
    /// Bytecode: it is made anew for the image's Python.
    Bytecode,
    /// The cache of a tool.
    Cache,
    /// What a build left.
    BuildOutput,
    /// JavaScript packages.
    NodeModules,
    /// Tests of the project; those inside its packages stay.
    Tests,
    /// Settings of editors, CI and version control.
    Tooling,
    /// How images are built.
    ImageBuild,
    /// A lock: what it says is in the image already, and it would change the layer with every dependency.
    Lock,
    /// Settings for one machine, secrets often among them.
    Environment,
    /// A private key.
    PrivateKey,
    /// Credentials.
    Credentials,
    /// A symbolic link that leads out of the project.
    LeadsOut,
    /// A socket, pipe or device.
    Special,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Excluded => "excluded by the settings",
            Self::Dockerignore => "in .dockerignore",
            Self::VersionControl => "version control",
            Self::VirtualEnvironment => "virtual environment",
            Self::Bytecode => "bytecode",
            Self::Cache => "cache",
            Self::BuildOutput => "build output",
            Self::NodeModules => "JavaScript packages",
            Self::Tests => "tests",
            Self::Tooling => "settings of tools",
            Self::ImageBuild => "image build files",
            Self::Lock => "lock file",
            Self::Environment => "environment file",
            Self::PrivateKey => "private key",
            Self::Credentials => "credentials",
            Self::LeadsOut => "link that leads out of the project",
            Self::Special => "not a regular file",
        })
    }
}

/// Directories by name, wherever they stand.
const DIRECTORIES: &[(&str, Reason)] = &[
    (".git", Reason::VersionControl),
    (".hg", Reason::VersionControl),
    (".svn", Reason::VersionControl),
    (".bzr", Reason::VersionControl),
    (".jj", Reason::VersionControl),
    (".venv", Reason::VirtualEnvironment),
    ("__pypackages__", Reason::VirtualEnvironment),
    ("__pycache__", Reason::Bytecode),
    (".pytest_cache", Reason::Cache),
    (".mypy_cache", Reason::Cache),
    (".ruff_cache", Reason::Cache),
    (".hypothesis", Reason::Cache),
    (".ipynb_checkpoints", Reason::Cache),
    (".cache", Reason::Cache),
    (".uv-cache", Reason::Cache),
    (".tox", Reason::Cache),
    (".nox", Reason::Cache),
    (".eggs", Reason::Cache),
    (".pixi", Reason::Cache),
    (".terraform", Reason::Cache),
    ("htmlcov", Reason::Cache),
    ("node_modules", Reason::NodeModules),
    (".idea", Reason::Tooling),
    (".vscode", Reason::Tooling),
    (".fleet", Reason::Tooling),
    (".devcontainer", Reason::Tooling),
    (".github", Reason::Tooling),
    (".gitlab", Reason::Tooling),
    (".circleci", Reason::Tooling),
    (".ssh", Reason::Credentials),
    (".aws", Reason::Credentials),
    (".gnupg", Reason::Credentials),
    (".kube", Reason::Credentials),
    (".jettison", Reason::ImageBuild),
];

/// Directories of the project's own directory only.
const TOP_DIRECTORIES: &[(&str, Reason)] =
    &[("dist", Reason::BuildOutput), ("build", Reason::BuildOutput), ("tests", Reason::Tests), ("test", Reason::Tests)];

/// Files by name, wherever they stand.
const FILES: &[(&str, Reason)] = &[
    (".git", Reason::VersionControl),
    (".gitignore", Reason::Tooling),
    (".gitattributes", Reason::Tooling),
    (".gitmodules", Reason::Tooling),
    (".editorconfig", Reason::Tooling),
    (".pre-commit-config.yaml", Reason::Tooling),
    (".python-version", Reason::Tooling),
    (".tool-versions", Reason::Tooling),
    (".gitlab-ci.yml", Reason::Tooling),
    (".DS_Store", Reason::Cache),
    ("Thumbs.db", Reason::Cache),
    (".coverage", Reason::Cache),
    ("coverage.xml", Reason::Cache),
    (".dockerignore", Reason::ImageBuild),
    ("jettison.toml", Reason::ImageBuild),
    ("Procfile", Reason::ImageBuild),
    ("jettison.lock", Reason::Lock),
    ("pylock.toml", Reason::Lock),
    ("uv.lock", Reason::Lock),
    ("poetry.lock", Reason::Lock),
    ("Pipfile.lock", Reason::Lock),
    ("pdm.lock", Reason::Lock),
    ("id_rsa", Reason::PrivateKey),
    ("id_dsa", Reason::PrivateKey),
    ("id_ecdsa", Reason::PrivateKey),
    ("id_ed25519", Reason::PrivateKey),
    (".netrc", Reason::Credentials),
    ("_netrc", Reason::Credentials),
    (".pypirc", Reason::Credentials),
    (".npmrc", Reason::Credentials),
    (".pgpass", Reason::Credentials),
    (".git-credentials", Reason::Credentials),
    (".htpasswd", Reason::Credentials),
];

/// Files by how their names begin and end.
const PATTERNS: &[(&str, &str, Reason)] = &[
    ("", ".pyc", Reason::Bytecode),
    ("", ".pyo", Reason::Bytecode),
    ("", ".swp", Reason::Cache),
    ("", "~", Reason::Cache),
    (".coverage.", "", Reason::Cache),
    (".env", "", Reason::Environment),
    ("", ".env", Reason::Environment),
    ("Dockerfile", "", Reason::ImageBuild),
    ("", ".Dockerfile", Reason::ImageBuild),
    ("", ".dockerfile", Reason::ImageBuild),
    ("Containerfile", "", Reason::ImageBuild),
    ("docker-compose", ".yml", Reason::ImageBuild),
    ("docker-compose", ".yaml", Reason::ImageBuild),
    ("compose", ".yml", Reason::ImageBuild),
    ("compose", ".yaml", Reason::ImageBuild),
    ("pylock.", ".toml", Reason::Lock),
    ("", ".p12", Reason::PrivateKey),
    ("", ".pfx", Reason::PrivateKey),
];

/// Why the directory at `path`, which is `absolute` on disk, does not go in.
pub fn directory(path: &TreePath, absolute: &Path) -> Option<Reason> {
    let name = std::str::from_utf8(path.file_name()).ok()?;
    if let Some((_, reason)) = DIRECTORIES.iter().find(|(known, _)| *known == name) {
        return Some(*reason);
    }
    if path.parent().is_none()
        && let Some((_, reason)) = TOP_DIRECTORIES.iter().find(|(known, _)| *known == name)
    {
        // A package of the project may be called so; a package of tests has no business in an image.
        let is_package = *reason == Reason::BuildOutput && absolute.join("__init__.py").exists();
        return (!is_package).then_some(*reason);
    }
    if name.ends_with(".egg-info") {
        return Some(Reason::BuildOutput);
    }
    absolute.join("pyvenv.cfg").exists().then_some(Reason::VirtualEnvironment)
}

/// Why the file at `path` does not go in. `content` gives its first 64 KiB, for the few names that alone do not tell.
pub fn file(path: &TreePath, content: impl FnOnce() -> io::Result<Vec<u8>>) -> io::Result<Option<Reason>> {
    let Ok(name) = std::str::from_utf8(path.file_name()) else { return Ok(None) };
    if let Some((_, reason)) = FILES.iter().find(|(known, _)| *known == name) {
        return Ok(Some(*reason));
    }
    let fits = |start: &str, end: &str| {
        name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
    };
    if let Some((_, _, reason)) = PATTERNS.iter().find(|(start, end, _)| fits(start, end)) {
        return Ok(Some(*reason));
    }
    if path.parent().is_none() && (name == "conftest.py" || (name.starts_with("test_") && name.ends_with(".py"))) {
        return Ok(Some(Reason::Tests));
    }
    // Certificates are public and often needed; keys are neither.
    if [".pem", ".key", ".ppk"].iter().any(|end| name.ends_with(end)) {
        let content = content()?;
        let has = |text: &[u8]| content.windows(text.len()).any(|window| window == text);
        return Ok((has(b"PRIVATE KEY-----") || has(b"PuTTY-User-Key-File")).then_some(Reason::PrivateKey));
    }
    Ok(None)
}
