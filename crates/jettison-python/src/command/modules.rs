//! The project's Python files, parsed when they are asked for, and the names under which they can be imported.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{CommandError, SourceTree};
use crate::place::Place;
use crate::project::Looked;
use crate::syntax::Module;

/// Larger files are data.
const MAX_BYTES: usize = 4 << 20;

/// Names of files that applications are usually in, the likeliest first.
pub(super) const LIKELY: [&str; 11] = [
    "main.py",
    "app.py",
    "asgi.py",
    "wsgi.py",
    "application.py",
    "server.py",
    "api.py",
    "web.py",
    "run.py",
    "__init__.py",
    "service.py",
];

/// Directories whose files are never what an image starts.
const ASIDE: [&str; 14] = [
    "tests",
    "test",
    "testing",
    "docs",
    "doc",
    "examples",
    "example",
    "migrations",
    "alembic",
    "scripts",
    "bench",
    "benchmarks",
    "node_modules",
    "site-packages",
];

pub(super) struct Modules<'a> {
    source: &'a dyn SourceTree,
    files: Vec<String>,
    parsed: BTreeMap<String, Rc<Parsed>>,
    pub(super) looked_at: Vec<Looked>,
}

/// A parsed file.
pub(super) struct Parsed {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) module: Module,
}

impl<'a> Modules<'a> {
    pub(super) fn new(source: &'a dyn SourceTree) -> Self {
        Self { source, files: source.files(), parsed: BTreeMap::new(), looked_at: Vec::new() }
    }

    pub(super) fn looked(&mut self, path: &str, verdict: impl Into<String>) {
        self.looked_at.push(Looked { path: path.to_owned(), verdict: verdict.into() });
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.files.binary_search_by(|file| file.as_str().cmp(path)).is_ok()
    }

    pub(super) fn has_directory(&self, path: &str) -> bool {
        let below = format!("{path}/");
        let at = self.files.partition_point(|file| *file < below);
        self.files.get(at).is_some_and(|file| file.starts_with(&below))
    }

    pub(super) fn text(&self, path: &str) -> Result<Option<String>, CommandError> {
        if !self.has(path) {
            return Ok(None);
        }
        let bytes = self.source.read(path).map_err(|source| CommandError::Io { path: path.to_owned(), source })?;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        Ok((bytes.len() <= MAX_BYTES).then(|| String::from_utf8_lossy(bytes).into_owned()))
    }

    /// The Python files that an image could start, the likeliest first: by name, then by depth.
    pub(super) fn candidates(&self) -> Vec<String> {
        let rank = |path: &str| {
            let name = path.rsplit('/').next().unwrap_or_default();
            LIKELY.iter().position(|likely| *likely == name).unwrap_or(LIKELY.len())
        };
        let mut paths: Vec<&String> = self.files.iter().filter(|path| is_startable(path)).collect();
        paths.sort_by_key(|path| (rank(path), path.matches('/').count(), path.as_str()));
        paths.into_iter().cloned().collect()
    }

    pub(super) fn python_files(&self) -> Vec<&str> {
        self.files.iter().map(|path| &**path).filter(|path| is_startable(path)).collect()
    }

    /// The file at `path`, parsed; `None` where it is not there or too large.
    pub(super) fn parse(&mut self, path: &str) -> Result<Option<Rc<Parsed>>, CommandError> {
        if let Some(parsed) = self.parsed.get(path) {
            return Ok(Some(parsed.clone()));
        }
        let Some(text) = self.text(path)? else { return Ok(None) };
        let module = Module::parse(&text);
        let parsed = Rc::new(Parsed { path: path.to_owned(), text, module });
        self.parsed.insert(path.to_owned(), parsed.clone());
        Ok(Some(parsed))
    }

    /// Refuses a file with a syntax error.
    pub(super) fn check(&mut self, path: &str) -> Result<(), CommandError> {
        match self.parse(path)? {
            Some(parsed) => parsed.check(),
            None => Ok(()),
        }
    }

    /// Refuses a syntax error in the files that applications are usually in.
    pub(super) fn check_likely(&mut self) -> Result<(), CommandError> {
        for path in self.candidates() {
            let name = path.rsplit('/').next().unwrap_or_default();
            if LIKELY.contains(&name) && name != "__init__.py" {
                self.check(&path)?;
            }
        }
        Ok(())
    }

    /// The file of the module `name`, below `root`.
    pub(super) fn file_of(&self, root: &str, name: &str) -> Option<String> {
        let path = name.replace('.', "/");
        let path = if root.is_empty() { path } else { format!("{root}/{path}") };
        [format!("{path}.py"), format!("{path}/__init__.py")].into_iter().find(|file| self.has(file))
    }

    /// The file that an absolute or relative module name means in the file at `path`.
    pub(super) fn resolve(&self, path: &str, name: &str) -> Option<String> {
        let dots = name.len() - name.trim_start_matches('.').len();
        let rest = &name[dots..];
        if dots == 0 {
            let (root, _) = self.place(path, &Module::default());
            return self.file_of(&root, rest).or_else(|| self.file_of("", rest)).or_else(|| self.file_of("src", rest));
        }
        let mut directory: Vec<&str> = path.split('/').collect();
        directory.truncate(directory.len().saturating_sub(dots));
        let directory = directory.join("/");
        if rest.is_empty() {
            Some(format!("{directory}/__init__.py")).filter(|file| self.has(file))
        } else {
            self.file_of(&directory, rest)
        }
    }

    /// The directory that the file at `path` is imported from, and the module's name there. Of the directories above it, the one
    /// from which most of its own imports are found; else the one above its outermost package; else `src`, or the project.
    pub(super) fn place(&self, path: &str, module: &Module) -> (String, String) {
        let components: Vec<&str> = path.split('/').collect();
        let (file, directories) = components.split_last().unwrap_or((&"", &[]));
        let roots: Vec<String> = (0..=directories.len()).map(|depth| directories[..depth].join("/")).collect();
        let found = |root: &String| {
            let tops = module.imports.values().filter(|origin| !origin.starts_with('.'));
            tops.filter(|origin| {
                let top = origin.split('.').next().unwrap_or_default();
                // A module that imports itself by name proves nothing about a root that it is not below.
                self.file_of(root, top).is_some()
                    || self.has_directory(&if root.is_empty() { top.to_owned() } else { format!("{root}/{top}") })
            })
            .count()
        };
        let by_imports = roots.iter().rev().map(|root| (found(root), root)).max_by_key(|(count, _)| *count);
        let packaged = directories
            .iter()
            .enumerate()
            .rev()
            .take_while(|(depth, _)| self.has(&format!("{}/__init__.py", directories[..=*depth].join("/"))));
        let outermost = packaged.last().map(|(depth, _)| directories[..depth].join("/"));
        let root = match (by_imports, outermost) {
            (Some((count, root)), _) if count > 0 => root.clone(),
            (_, Some(root)) => root,
            _ if directories.first() == Some(&"src") => "src".to_owned(),
            _ => String::new(),
        };
        let below = if root.is_empty() { path } else { &path[root.len() + 1..] };
        let stem =
            if *file == "__init__.py" { below.trim_end_matches("/__init__.py") } else { below.trim_end_matches(".py") };
        (root, stem.replace('/', "."))
    }
}

impl Parsed {
    pub(super) fn check(&self) -> Result<(), CommandError> {
        let Some((line, column)) = self.module.syntax_error else { return Ok(()) };
        let text = self.text.lines().nth(line - 1).unwrap_or_default().trim().to_owned();
        Err(CommandError::Syntax { place: Place { file: self.path.clone(), line, column }, line: text })
    }
}

fn is_startable(path: &str) -> bool {
    let Some((directories, file)) = path.rsplit_once('/').or(Some(("", path))) else { return false };
    let is_test = file.starts_with("test_")
        || file.ends_with("_test.py")
        || matches!(file, "conftest.py" | "setup.py" | "noxfile.py" | "tasks.py");
    let is_aside = directories.split('/').any(|directory| ASIDE.contains(&directory) || directory.starts_with('.'));
    file.ends_with(".py") && !is_test && !is_aside
}
