//! What a Dockerfile takes from its context that no image has a need of, and the lines of `.dockerignore` that would keep it out.
//!
//! 1. [`Clutter::find`] goes over the files that the instructions of a Dockerfile reach and its ignore file lets through. What does not
//!    belong is what the native build leaves out ([`jettison_python::application::rules`]), but for locks, which a Dockerfile needs.
//! 2. A directory that does not belong is one find, with all that is below it.
//! 3. [`Clutter::patterns`] writes a pattern for each find; [`default_ignore_file`] is what to begin with.

use crate::context::{Context, FileKind};
use crate::model::Subject;
use jettison_dockerfile::instruction::MountKind;
use jettison_dockerfile::{Ignore, Span};
use jettison_python::application::{Reason, rules};
use jettison_tree::TreePath;
use std::collections::BTreeMap;

/// Something that the instructions take and that does not belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clutter {
    /// The file, or the directory with all that is in it.
    pub path: TreePath,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Why it does not belong.
    pub reason: Reason,
    /// The bytes of its files that are let through.
    pub bytes: u64,
}

/// An instruction's reach into the context.
#[derive(Debug, Clone)]
pub struct Reach {
    /// The word that names it.
    pub span: Span,
    /// The directory that is taken, from the root of the context; empty for all of it.
    pub directory: String,
    /// What it leaves out by itself: `--exclude`, from its directory.
    excluded: Ignore,
}

impl Reach {
    fn takes(&self, path: &TreePath) -> bool {
        let below = match self.directory.as_str() {
            "" => path.as_bytes(),
            directory => match path.as_bytes().strip_prefix(directory.as_bytes()) {
                Some([b'/', below @ ..]) => below,
                _ => return false,
            },
        };
        !self.excluded.matches(below)
    }
}

/// The directories of the context that needed stages take whole, by `COPY` or `ADD`, the widest first.
pub fn reaches(subject: &Subject<'_>) -> Vec<Reach> {
    let mut reaches = Vec::new();
    for (_, step) in subject.steps().filter(|(stage, _)| stage.is_needed) {
        for word in step.context_sources() {
            let Some(path) = step.expand(word) else { continue };
            let trimmed = path.trim_start_matches("./").trim_start_matches('/').trim_end_matches(['/', '.']);
            let directory = if matches!(trimmed, "*" | "**") { "" } else { trimmed };
            let is_directory = |path: &str| {
                let file = TreePath::parse(path).ok().and_then(|path| subject.context.file(&path));
                file.is_some_and(|file| file.kind == FileKind::Directory)
            };
            if directory.is_empty() || is_directory(directory) {
                let excluded = Ignore::parse(&step.excludes().join("\n")).unwrap_or_default();
                reaches.push(Reach { span: word.span(), directory: directory.to_owned(), excluded });
            }
        }
    }
    reaches.sort_by_key(|reach| reach.directory.len());
    reaches
}

impl Clutter {
    /// What of `reaches` does not belong, the largest first. What an instruction names by itself is wanted.
    pub fn find(subject: &Subject<'_>, reaches: &[Reach]) -> Vec<Self> {
        let Some(root) = subject.context.root() else { return Vec::new() };
        let nothing = Ignore::default();
        let ignore = subject.context.ignore().map_or(&nothing, |file| &file.patterns);
        let wanted = wanted(subject);
        let is_wanted =
            |path: &TreePath| wanted.iter().any(|wanted| wanted.as_slice() == path.as_bytes() || path.is_below(wanted));
        let is_reached = |path: &TreePath| reaches.iter().any(|reach| reach.takes(path));
        let mut found: BTreeMap<TreePath, Self> = BTreeMap::new();
        let mut files: Vec<_> = subject.context.files().iter().collect();
        // A directory before all that is below it.
        files.sort_by_key(|file| file.path.as_bytes().iter().filter(|&&byte| byte == b'/').count());
        for file in files {
            if let Some(above) = ancestor(&file.path, &found) {
                if !ignore.matches(file.path.as_bytes())
                    && let Some(clutter) = found.get_mut(&above)
                {
                    clutter.bytes += file.bytes;
                }
                continue;
            }
            if !is_reached(&file.path) || is_wanted(&file.path) {
                continue;
            }
            let is_directory = file.kind == FileKind::Directory;
            // An ignored directory may still hold what `!` lets through again.
            if ignore.matches(file.path.as_bytes()) && (!is_directory || ignore.prunes(file.path.as_bytes())) {
                continue;
            }
            let absolute = root.join(file.path.as_path());
            let reason = if is_directory {
                rules::directory(&file.path, &absolute)
            } else {
                let content = || Ok(subject.context.read(&file.path).unwrap_or_default().into_bytes());
                rules::file(&file.path, content).ok().flatten()
            };
            let Some(reason) = reason.filter(|&reason| matters(reason, &file.path)) else { continue };
            let clutter = Self { path: file.path.clone(), is_directory, reason, bytes: file.bytes };
            found.insert(file.path.clone(), clutter);
        }
        let mut found: Vec<_> = found.into_values().filter(|found| !found.is_directory || found.bytes > 0).collect();
        found.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
        found
    }

    /// Whether it gives a secret away.
    pub fn is_secret(&self) -> bool {
        matches!(self.reason, Reason::Environment | Reason::PrivateKey | Reason::Credentials)
    }

    /// The patterns of `.dockerignore` that keep all of `found` out, one for each kind of thing.
    pub fn patterns(found: &[Self]) -> Vec<String> {
        let mut patterns: Vec<String> = found.iter().filter_map(Self::pattern).collect();
        patterns.sort();
        patterns.dedup();
        patterns
    }

    fn pattern(&self) -> Option<String> {
        let (path, name) = (self.path.as_str()?, std::str::from_utf8(self.path.file_name()).ok()?);
        let escaped = |text: &str| text.replace('\\', r"\\").replace(['*', '?', '['], "?");
        Some(match self.reason {
            Reason::Bytecode if self.is_directory => "**/__pycache__".to_owned(),
            Reason::Bytecode => "**/*.py[co]".to_owned(),
            Reason::Cache | Reason::NodeModules if self.path.parent().is_some() => format!("**/{}", escaped(name)),
            Reason::BuildOutput if name.ends_with(".egg-info") => "**/*.egg-info".to_owned(),
            Reason::Environment if name.starts_with(".env") && self.path.parent().is_none() => ".env*".to_owned(),
            _ => escaped(path),
        })
    }
}

/// The nearest directory above `path` that was found.
fn ancestor(path: &TreePath, found: &BTreeMap<TreePath, Clutter>) -> Option<TreePath> {
    let mut above = path.parent();
    while let Some(directory) = above {
        if found.contains_key(&directory) {
            return Some(directory);
        }
        above = directory.parent();
    }
    None
}

/// Whether it is worth a line: what weighs nothing and tells nothing is not.
fn matters(reason: Reason, path: &TreePath) -> bool {
    let name = path.file_name();
    match reason {
        Reason::Lock
        | Reason::LeadsOut
        | Reason::Special
        | Reason::Dockerignore
        | Reason::Excluded
        | Reason::ImageBuild => false,
        Reason::Tooling => name == b".github" || name == b".idea" || name == b".vscode",
        // Templates hold no secrets.
        Reason::Environment => {
            ![&b".example"[..], b".sample", b".template", b".dist"].iter().any(|end| name.ends_with(end))
        }
        _ => true,
    }
}

/// The paths that instructions name by themselves, other than whole directories that they merely reach through.
fn wanted(subject: &Subject<'_>) -> Vec<Vec<u8>> {
    let mut wanted = Vec::new();
    let mut add = |path: String| {
        let trimmed = path.trim_start_matches("./").trim_matches('/');
        if !trimmed.is_empty() && !matches!(trimmed, "." | "*" | "**") {
            wanted.push(trimmed.as_bytes().to_vec());
        }
    };
    for (_, step) in subject.steps() {
        step.context_sources().into_iter().filter_map(|word| step.expand(word)).for_each(&mut add);
        let mounts = step.mounts().into_iter().filter(|mount| mount.kind == MountKind::Bind && mount.from.is_none());
        mounts.filter_map(|mount| mount.source).for_each(&mut add);
    }
    wanted
}

/// What to begin a `.dockerignore` with, for a Python project. `kept` are paths that the Dockerfile names and that must stay.
pub fn default_ignore_file(kept: &[String]) -> String {
    const GROUPS: &[(&str, &[&str])] = &[
        ("Version control", &[".git", ".gitignore", ".gitattributes", ".github"]),
        ("Virtual environments: the image makes its own", &[".venv", "venv", "env"]),
        (
            "What Python and its tools leave behind",
            &[
                "**/__pycache__",
                "**/*.py[co]",
                "**/*.egg-info",
                "**/.*_cache",
                ".tox",
                ".nox",
                ".coverage*",
                "htmlcov",
                "build",
                "dist",
            ],
        ),
        (
            "Secrets: they have no place in an image",
            &[".env*", "!.env.example", "**/*.pem", "**/*.key", ".netrc", ".pypirc"],
        ),
        ("Not needed at run time", &["tests", "docs", "*.md", "!README.md", ".idea", ".vscode"]),
        (
            "How the image is made",
            &["Dockerfile*", "*.Dockerfile", ".dockerignore", "compose*.y*ml", "docker-compose*.y*ml"],
        ),
    ];
    let is_kept = |pattern: &str| {
        let patterns = Ignore::parse(pattern).unwrap_or_default();
        kept.iter().any(|path| patterns.matches(path.as_bytes()))
    };
    let mut text = String::new();
    for (title, patterns) in GROUPS {
        let lines: Vec<&str> = patterns.iter().copied().filter(|pattern| !is_kept(pattern)).collect();
        if !lines.is_empty() {
            text += &format!("{}# {title}\n{}\n", if text.is_empty() { "" } else { "\n" }, lines.join("\n"));
        }
    }
    text
}

/// The paths that [`default_ignore_file`] is to keep: those that the Dockerfile names, and packages of the project.
pub fn kept_paths(subject: &Subject<'_>) -> Vec<String> {
    let named = wanted(subject).into_iter().filter_map(|path| String::from_utf8(path).ok());
    named.chain(packages(subject.context)).collect()
}

/// The directories at the top of a context that Python imports: a package may be called `build`, `docs` or `env`.
pub fn packages(context: &Context) -> Vec<String> {
    let files = context.files().iter().filter_map(|file| file.path.as_str());
    let packages = files.filter_map(|path| path.strip_suffix("/__init__.py"));
    packages.filter(|path| !path.contains('/') && !matches!(*path, "tests" | "test")).map(str::to_owned).collect()
}

/// `402 MB`: bytes as people read them, in powers of ten.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} kB", (bytes + 500) / 1_000),
        1_000_000..10_000_000 => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
        1_000_000_000.. => format!("{}.{:02} GB", bytes / 1_000_000_000, bytes % 1_000_000_000 / 10_000_000),
        _ => format!("{} MB", (bytes + 500_000) / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_the_project_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("docs/api")).unwrap();
        std::fs::write(dir.path().join("docs/__init__.py"), "").unwrap();
        std::fs::write(dir.path().join("docs/api/__init__.py"), "").unwrap();
        let kept = packages(&Context::directory(dir.path(), None));
        assert_eq!(kept, ["docs"]);
        let text = default_ignore_file(&kept);
        assert!(!text.contains("\ndocs\n") && text.contains("\ntests\n"), "{text}");
    }

    #[test]
    fn sizes_are_told_in_powers_of_ten() {
        let told = [0, 999, 1_500, 4_250_000, 402_000_000, 1_234_000_000].map(size);
        assert_eq!(told, ["0 bytes", "999 bytes", "2 kB", "4.2 MB", "402 MB", "1.23 GB"]);
    }
}
