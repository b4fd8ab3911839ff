//! Lints or mends Dockerfiles, each in its context, several at once.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jettison_build::{BuildError, Context as _};
use jettison_dockerfile::Dockerfile;
use jettison_dockerfile::instruction::{InstructionKind, Source};
use jettison_lint::{
    Catalog, Config, Context, Directory, Mended, Report, Safety, lint, lint_fragment, mend, mend_fragment,
};
use jettison_tree::TreePath;

use super::find::{Target, shown};

/// A longer file is no Dockerfile.
const MAX_BYTES: u64 = 16 << 20;

/// A Dockerfile to look at, and how.
pub struct Job {
    pub target: Target,
    pub config: Config,
    /// The build context, where the user names one.
    pub context: Option<PathBuf>,
    /// Whether it is a piece that has no `FROM`.
    pub fragment: bool,
    /// How daring fixes may be; `None` if none are wanted.
    pub safety: Option<Safety>,
}

/// What became of it.
pub struct Inspected {
    /// Where it is; `None` for standard input.
    pub path: Option<PathBuf>,
    /// What is wrong with it, after what was mended.
    pub report: Report,
    /// Its text as it was.
    pub before: String,
    /// The directory of its context.
    pub context: Option<PathBuf>,
    /// What was mended, where that was wanted.
    pub mended: Option<Mended>,
}

/// The contexts of this run, each read once.
#[derive(Default)]
struct Directories(Mutex<BTreeMap<PathBuf, Arc<Directory>>>);

impl Directories {
    fn of(&self, path: &Path) -> Arc<Directory> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(path.to_owned()).or_insert_with(|| Directory::new(path)).clone()
    }
}

/// Does all jobs, and returns what became of each in their order.
pub fn all(jobs: &[Job], catalog: &(dyn Catalog + Sync)) -> Vec<Result<Inspected, BuildError>> {
    let threads = match jobs.len() {
        0 | 1 => 1,
        jobs => std::thread::available_parallelism().map_or(1, usize::from).min(jobs),
    };
    let directories = Directories::default();
    if threads == 1 {
        return jobs.iter().map(|job| inspect(job, &directories, catalog)).collect();
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(jobs.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, job)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    jobs.get(at).map(|job| (at, job))
                } {
                    let inspected = inspect(job, &directories, catalog);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, inspected));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, inspected)| inspected).collect()
}

/// Lints a Dockerfile, or mends it and lints what came out.
fn inspect(job: &Job, directories: &Directories, catalog: &(dyn Catalog + Sync)) -> Result<Inspected, BuildError> {
    let target = &job.target;
    let before = read(target)?;
    let file = Dockerfile::parse(&before);
    let directory = match &job.context {
        Some(directory) => Some(directory.clone()),
        None if target.has_place() && !job.fragment => Some(context_of(&file, target)),
        None => None,
    };
    let context = match &directory {
        Some(directory) => Context::within(directories.of(directory), path_below(target.place(), directory).as_ref()),
        None => Context::none(),
    };
    let prefix = directory.as_deref().map(prefix).unwrap_or_default();
    let mut report = Report { path: target.shown.clone(), context: prefix, file, findings: Vec::new() };
    let mut mended = None;
    match job.safety {
        Some(safety) => {
            let mend = if job.fragment { mend_fragment } else { mend };
            let mut done = mend(&before, &context, catalog, &job.config, safety);
            report.findings = std::mem::take(&mut done.left);
            report.file = Dockerfile::parse(&done.text);
            mended = Some(done);
        }
        None => {
            let lint = if job.fragment { lint_fragment } else { lint };
            report.findings = lint(&report.file, &context, catalog, &job.config);
        }
    }
    Ok(Inspected { path: target.path.clone(), report, before, context: directory, mended })
}

fn read(target: &Target) -> Result<String, BuildError> {
    let read = |reader: &mut dyn std::io::Read| -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        reader.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = match &target.path {
        Some(path) => fs::File::open(path).and_then(|mut file| read(&mut file)),
        None => read(&mut std::io::stdin().lock()),
    };
    let bytes = bytes.map_err(BuildError::from).context(&target.shown)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(BuildError::new(format!("{}: this is too long for a Dockerfile", target.shown)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count();
        let last = good.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
        let column = 1 + String::from_utf8_lossy(last).chars().count();
        BuildError::new(format!("{}:{line}:{column}: this is not UTF-8", target.shown)).hint("save the file as UTF-8")
    })
}

/// The build context: the directory of the Dockerfile; or the directory that was named, or the current one, if more of what the file
/// copies is found there.
fn context_of(file: &Dockerfile, target: &Target) -> PathBuf {
    let parent = target.place().parent().filter(|parent| !parent.as_os_str().is_empty());
    let beside = parent.unwrap_or(Path::new(".")).to_owned();
    let named = &target.named;
    let is_above = match (beside.canonicalize(), named.canonicalize()) {
        (Ok(beside), Ok(named)) => beside != named && beside.starts_with(named),
        _ => false,
    };
    if !is_above {
        return beside;
    }
    let copied = copied(file);
    let there = |directory: &Path| copied.iter().filter(|path| directory.join(path).exists()).count();
    if there(named) > there(&beside) { named.clone() } else { beside }
}

/// The paths of the context that a Dockerfile plainly copies.
fn copied(file: &Dockerfile) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for instruction in file.instructions() {
        let transfer = match &instruction.kind {
            InstructionKind::Copy(copy) if copy.from.is_none() => &copy.transfer,
            InstructionKind::Add(add) => &add.transfer,
            _ => continue,
        };
        for source in &transfer.sources {
            let Source::Path(word) = source else { continue };
            let is_plain = !word.contains(['$', '*', '?', '[', '\\', '"', '\'']) && !word.contains("://");
            let relative = word.trim_start_matches(['/', '.']);
            if is_plain && !relative.is_empty() && !word.contains("..") {
                paths.push(PathBuf::from(word.trim_start_matches("./").trim_start_matches('/')));
            }
        }
    }
    paths
}

/// The path of a Dockerfile in its context, if it is in it.
fn path_below(file: &Path, directory: &Path) -> Option<TreePath> {
    let file = std::path::absolute(file).ok()?;
    let file = file.parent()?.canonicalize().ok()?.join(file.file_name()?);
    let below = file.strip_prefix(directory.canonicalize().ok()?).ok()?.to_owned();
    TreePath::parse(below.as_os_str().as_encoded_bytes()).ok()
}

/// What stands in front of paths of a context.
fn prefix(directory: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    match shown(directory, &here) {
        path if path.is_empty() || path.ends_with('/') => path,
        path => path + "/",
    }
}
