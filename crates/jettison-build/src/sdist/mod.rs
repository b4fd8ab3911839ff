//! Wheels from source: in a builder with a compiler, without network, each from a build environment of its own. The
//! builder never gets near the image: its one product is the wheel.
//!
//! 1. [`Builder::prepare`] settles what a build needs: Debian packages by [`needs`], the build requirements (PEP 517,
//!    518) by the resolver; as locked, where that was settled before.
//! 2. [`BuildWheel`] is the step: it unpacks builder, environment and source, and calls the backend.
//! 3. When the backend fails for something that a Debian package has, [`Builder::more`] adds it.

pub mod needs;
pub mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jettison_debian::compression;
use jettison_debian::contents::find_paths;
use jettison_engine::CacheKey;
use jettison_engine::graph::{BoxError, Context, Operation, Output, StageGraph};
use jettison_engine::store::{Ref, Snapshot, Store};
use jettison_python::lock::{Location, Selection, Source as Locked};
use jettison_python::wheel::InstallLayout;
use jettison_python::{Tags, Target};
use jettison_tree::{Digest, Entry, TreePath};
use serde_json::json;

use crate::base::{self, Base, Roots};
use crate::choose;
use crate::error::{BuildError, Context as _};
use crate::fetch::{Wanted, fetch_all};
use crate::job::Job;
use crate::lockfile::{LockedPackages, LockedSdist, LockedWheel};
use crate::part::Part;
use crate::resolve::Resolver;
use crate::rootfs;
use crate::settings::Trim;
use crate::system::Archives;
use crate::tool::{Tool, bind};
use crate::unpack::{UnpackDeb, UnpackWheel, Use, WheelFile};

use needs::Need;
use source::Source;

/// What every builder has, besides the headers of its Python.
const TOOLS: [&str; 16] = [
    "bash",
    "binutils",
    "coreutils",
    "dash",
    "diffutils",
    "findutils",
    "gcc",
    "grep",
    "gzip",
    "libc6-dev",
    "make",
    "mawk",
    "patch",
    "perl-base",
    "sed",
    "tar",
];
/// What a compiler comes with and builds of extensions do without: runtimes of sanitizers, of transactional memory, of a profiler.
const NOT_NEEDED: [&str; 14] = [
    "libasan6",
    "libasan8",
    "libcc1-0",
    "libgprofng0",
    "libhwasan0",
    "libitm1",
    "liblsan0",
    "libquadmath0",
    "libtsan0",
    "libtsan2",
    "libubsan1",
    "libc-dev-bin",
    "manpages",
    "manpages-dev",
];
/// A build is tried again so often with packages that it missed.
const ROUNDS: usize = 6;
const SCRIPT: &str = include_str!("../scripts/backend.py");
/// How much of a compiler's output an error shows. Lines.
const SHOWN: usize = 30;

/// Builds wheels for one base.
pub struct Builder<'a> {
    /// The surroundings.
    pub job: &'a Job<'a>,
    /// The base of the image: the builder has the very same interpreter.
    pub base: &'a Base,
    /// Where Debian packages come from.
    pub archives: &'a Archives<'a>,
    /// Where build requirements come from.
    pub resolver: &'a Resolver<'a>,
    /// Packages that the user says a distribution needs, by its name.
    pub asked: &'a BTreeMap<String, Vec<String>>,
    /// Refuse to choose.
    pub locked_only: bool,
    /// Seconds since 1970, for what a build stamps into its wheel.
    pub epoch: u64,
}

/// A build that is ready to run.
#[derive(Clone)]
pub struct Prepared {
    /// The distribution.
    pub name: String,
    source: Source,
    backend: String,
    backend_path: Vec<String>,
    /// What is to be locked.
    pub locked: LockedSdist,
    environment: Vec<WheelFile>,
    packages: LockedPackages,
}

impl Builder<'_> {
    /// The packages that every build has.
    pub fn tools(&self, locked: Option<&LockedPackages>) -> Result<LockedPackages, BuildError> {
        let mut roots: Vec<String> = TOOLS.iter().map(|tool| (*tool).to_owned()).collect();
        roots.extend(self.base.headers.clone());
        roots.sort();
        self.choose(&roots, &self.base.packages, locked, "the packages of the builder")
    }

    fn choose(
        &self,
        roots: &[String],
        below: &LockedPackages,
        locked: Option<&LockedPackages>,
        what: &str,
    ) -> Result<LockedPackages, BuildError> {
        match locked.filter(|locked| locked.roots == roots && locked.suite == below.suite) {
            Some(locked) => Ok(locked.clone()),
            None if roots.is_empty() => {
                Ok(LockedPackages { roots: Vec::new(), sonames: BTreeMap::new(), package: Vec::new(), ..below.clone() })
            }
            None if self.locked_only => {
                Err(BuildError::new(format!("{what} are not locked, and --locked refuses to choose")))
            }
            None => choose::choose(self.archives.get()?, roots, Some(below), locked, &NOT_NEEDED),
        }
    }

    /// Settles what building `source` takes.
    pub fn prepare(
        &self,
        name: &str,
        source: Source,
        tools: &LockedPackages,
        locked: Option<&LockedSdist>,
    ) -> Result<Prepared, BuildError> {
        let key = CacheKey::builder("build-system/1").digest("source", source.digest()).finish();
        let system = match self.job.store.memo_get(&key)? {
            Some(system) => system,
            None => {
                let scratch = self.job.store.scratch()?;
                let tree = source.unpack(self.job.store, scratch.path()).context(name)?;
                let system = source::build_system(&tree).context(name)?;
                self.job.store.memo_put(&key, &system, &[])?;
                system
            }
        };
        let wheels = match locked {
            Some(locked) => locked.requires.clone(),
            None if self.locked_only => {
                return Err(BuildError::new(format!(
                    "what building {name} needs is not locked, and --locked refuses to resolve"
                )));
            }
            None => self.environment(name, &source, &system)?,
        };
        self.fetch_wheels(&wheels)?;
        let mut packages: BTreeSet<String> = self.asked.get(name).into_iter().flatten().cloned().collect();
        packages.extend(needs::known(name).into_iter().flatten().map(|package| (*package).to_owned()));
        packages.extend(locked.into_iter().flat_map(|locked| locked.build_packages.iter().cloned()));
        let mut prepared = Prepared {
            name: name.to_owned(),
            source,
            backend: system.backend.clone(),
            backend_path: system.backend_path.clone(),
            environment: wheels
                .iter()
                .map(|wheel| WheelFile { filename: wheel.filename.clone(), digest: wheel.digest })
                .collect(),
            locked: LockedSdist { build_packages: Vec::new(), requires: wheels, package: Vec::new() },
            packages: tools.clone(),
        };
        self.set_packages(&mut prepared, tools, packages, locked)?;
        Ok(prepared)
    }

    fn set_packages(
        &self,
        prepared: &mut Prepared,
        tools: &LockedPackages,
        packages: BTreeSet<String>,
        locked: Option<&LockedSdist>,
    ) -> Result<(), BuildError> {
        let roots: Vec<String> = packages.into_iter().collect();
        let mut below = self.base.packages.clone();
        below.roots.extend(tools.roots.iter().cloned());
        below.package.extend(tools.package.iter().cloned());
        let before = locked.map(|locked| LockedPackages {
            suite: below.suite.clone(),
            roots: locked.build_packages.clone(),
            sonames: BTreeMap::new(),
            package: locked.package.clone(),
        });
        let chosen =
            self.choose(&roots, &below, before.as_ref(), &format!("the packages for building {}", prepared.name));
        let chosen = chosen.context(format!("building {}", prepared.name))?;
        choose::fetch(self.job, self.archives.mirrors(), &chosen.package)?;
        prepared.locked.build_packages = roots;
        prepared.locked.package = chosen.package.clone();
        prepared.packages =
            LockedPackages { package: tools.package.iter().chain(&chosen.package).cloned().collect(), ..tools.clone() };
        Ok(())
    }

    /// Adds what a failed build missed. `false` where nothing was recognised, or all of it is there.
    pub fn more(&self, prepared: &mut Prepared, tools: &LockedPackages, output: &str) -> Result<bool, BuildError> {
        let missed = needs::missed(output);
        let mut packages: BTreeSet<String> = prepared.locked.build_packages.iter().cloned().collect();
        let before = packages.len();
        let mut patterns = Vec::new();
        for need in missed {
            match need {
                Need::Package(package) => drop(packages.insert(package.to_owned())),
                Need::File(pattern) => patterns.push(pattern),
            }
        }
        if !patterns.is_empty() && !self.locked_only {
            let contents = compression::decompress(self.archives.get()?.contents_reader(self.job)?)?;
            let hits = find_paths(contents, self.base.machine.debian, &patterns)?;
            packages.extend(hits.iter().filter_map(|hits| hits.first()?.packages.first().cloned()));
        }
        if packages.len() == before {
            return Ok(false);
        }
        self.set_packages(prepared, tools, packages, None)?;
        Ok(true)
    }

    /// The wheels of the build environment: of the static requirements, and of those that the backend asks for.
    fn environment(
        &self,
        name: &str,
        source: &Source,
        system: &source::BuildSystem,
    ) -> Result<Vec<LockedWheel>, BuildError> {
        let wheels = self.lock_requirements(name, &system.requires)?;
        self.fetch_wheels(&wheels)?;
        let files: Vec<WheelFile> =
            wheels.iter().map(|wheel| WheelFile { filename: wheel.filename.clone(), digest: wheel.digest }).collect();
        let environment = unpack_environment(self.job, &self.base.interpreter.executable, &files)?;
        let call = Call {
            store: self.job.store,
            root: self.base.root(self.job)?,
            environment,
            source,
            backend: &system.backend,
            backend_path: &system.backend_path,
            hook: "get_requires_for_build_wheel",
            arguments: json!([]),
            python: &self.base.interpreter.executable,
            epoch: self.epoch,
        };
        // A backend whose hook needs more than the interpreter says so again when it builds.
        let more: Vec<String> = match call.run(|_| {})? {
            Ok((value, _)) => serde_json::from_value::<Option<Vec<String>>>(value)?.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        if more.iter().all(|requirement| system.requires.contains(requirement)) {
            return Ok(wheels);
        }
        let all: Vec<String> = system.requires.iter().chain(&more).cloned().collect();
        self.lock_requirements(name, &all)
    }

    fn lock_requirements(&self, name: &str, requirements: &[String]) -> Result<Vec<LockedWheel>, BuildError> {
        if requirements.is_empty() {
            return Ok(Vec::new());
        }
        let lock = self.resolver.lock_of(self.job, name, requirements)?;
        let target: Target = self.base.interpreter.target(self.base.machine.arch);
        let tags = Tags::for_target(&target);
        let selected = lock.select(&Selection::for_tags(&tags))?;
        let wheel = |locked: jettison_python::lock::Locked| match locked.source {
            Locked::Wheel(artifact) => match artifact.location {
                Location::Url(url) => Ok(LockedWheel { filename: artifact.filename, url, digest: artifact.sha256 }),
                Location::Path(path) => {
                    self.job.store.put(fs::File::open(&path).context(path.display())?, Some(artifact.sha256))?;
                    let url = format!("file://{}", path.display());
                    Ok(LockedWheel { filename: artifact.filename, url, digest: artifact.sha256 })
                }
                Location::Index => Err(BuildError::new(format!("nothing says where {} is", artifact.filename))),
            },
            _ => Err(BuildError::new(format!("{name} is built with {}, which has no wheel itself", locked.name))
                .hint("lock a version of it that has one")),
        };
        selected.into_iter().map(wheel).collect()
    }

    fn fetch_wheels(&self, wheels: &[LockedWheel]) -> Result<(), BuildError> {
        let wanted = |wheel: &LockedWheel| Wanted {
            name: wheel.filename.clone(),
            urls: vec![wheel.url.clone()],
            digest: wheel.digest,
            size: None,
        };
        fetch_all(self.job, &wheels.iter().map(wanted).collect::<Vec<_>>())
    }

    /// Adds the steps of a build to a graph, the last of which yields a [`WheelFile`].
    pub fn add_steps(&self, graph: &mut StageGraph, prepared: &Prepared) -> jettison_engine::graph::StepId {
        let mut steps = Vec::new();
        for package in &prepared.packages.package {
            let unpack = UnpackDeb { owner: choose::owner(package), digest: package.digest, use_of: Use::Builder };
            steps.push(graph.add(format!("unpack {}", package.name), &[], unpack));
        }
        let layout = environment_layout(&self.base.interpreter.executable);
        for file in &prepared.environment {
            let unpack = UnpackWheel {
                name: file.filename.clone(),
                file: Some(file.clone()),
                layout: layout.clone(),
                trim: Trim::Safe,
                direct_url: None,
            };
            steps.push(graph.add(format!("unpack {}", file.filename), &[], unpack));
        }
        let build = BuildWheel {
            name: prepared.name.clone(),
            packages: prepared.packages.package.len(),
            base: self.base.parts.clone(),
            image: self.base.image.as_ref().map(|below| below.image.digest),
            below: self.base.image.as_ref().map(base::image::Below::roots),
            made: self.base.made.iter().cloned().chain(builder_links()).collect(),
            source: prepared.source.clone(),
            backend: prepared.backend.clone(),
            backend_path: prepared.backend_path.clone(),
            python: self.base.interpreter.executable.clone(),
            epoch: self.epoch,
        };
        graph.add(format!("build {}", prepared.name), &steps, build)
    }
}

/// Solves `graph`, adding what builds miss until they work or nothing more can be thought of. `rebuild` makes the graph anew
/// from the prepared builds.
pub fn solve_with_retries(
    builder: &Builder<'_>,
    prepared: &mut [Prepared],
    tools: &LockedPackages,
    rebuild: impl Fn(&[Prepared]) -> (StageGraph, Vec<jettison_engine::graph::StepId>),
) -> Result<Vec<Arc<Output>>, BuildError> {
    for _ in 0..ROUNDS {
        let (graph, targets) = rebuild(prepared);
        let failed = match builder.job.try_solve(&graph, &targets) {
            Ok(outputs) => return Ok(outputs),
            Err(jettison_engine::graph::SolveError::Step { name, source }) => match source.downcast::<BuildFailed>() {
                Ok(failed) => *failed,
                Err(source) => return Err(jettison_engine::graph::SolveError::Step { name, source }.into()),
            },
            Err(error) => return Err(error.into()),
        };
        let one = prepared.iter_mut().find(|one| one.name == failed.name);
        let Some(one) = one else { return Err(failed.into()) };
        if !builder.more(one, tools, &failed.output)? {
            return Err(failed.into());
        }
    }
    Err(BuildError::new("building from source needs one package after the other, without an end"))
}

/// The links that maintainer scripts of a compiler would have made.
fn builder_links() -> Vec<Entry> {
    [("usr/bin/cc", "gcc"), ("usr/bin/c++", "g++"), ("usr/bin/awk", "mawk"), ("usr/bin/sh", "dash")]
        .into_iter()
        .filter_map(|(link, target)| Some(Entry::symlink(TreePath::parse(link).ok()?, target)))
        .collect()
}

fn environment_layout(python: &str) -> InstallLayout {
    let path = |text: &str| {
        #[expect(clippy::expect_used, reason = "constants that are paths")]
        TreePath::parse(text).expect("a path")
    };
    InstallLayout {
        site_packages: path("site"),
        scripts: path("bin"),
        headers: path("include"),
        data: path("data"),
        python: python.to_owned(),
    }
}

fn unpack_environment(job: &Job<'_>, python: &str, wheels: &[WheelFile]) -> Result<Snapshot, BuildError> {
    let mut graph = StageGraph::new();
    let layout = environment_layout(python);
    let unpack = |file: &WheelFile| UnpackWheel {
        name: file.filename.clone(),
        file: Some(file.clone()),
        layout: layout.clone(),
        trim: Trim::Safe,
        direct_url: None,
    };
    let steps: Vec<_> =
        wheels.iter().map(|file| graph.add(format!("unpack {}", file.filename), &[], unpack(file))).collect();
    let outputs = job.solve(&graph, &steps)?;
    let parts =
        outputs.iter().map(|output| Part::open(job.store, output.get()?)).collect::<Result<Vec<_>, BuildError>>()?;
    rootfs::of_parts(job.store, &parts, &[])
}

/// Builds a wheel. Its inputs are the fragments of the builder's packages, then those of the build environment.
struct BuildWheel {
    name: String,
    packages: usize,
    base: Vec<Part>,
    /// The digest of the image below.
    image: Option<Digest>,
    below: Option<Roots>,
    made: Vec<Entry>,
    source: Source,
    backend: String,
    backend_path: Vec<String>,
    python: String,
    epoch: u64,
}

impl Operation for BuildWheel {
    /// The source, the interpreter's packages, the backend and the time. The builder's packages and the environment are inputs.
    fn key(&self) -> CacheKey {
        let mut key = CacheKey::builder("build-wheel/1")
            .digest("source", self.source.digest())
            .field("backend", &self.backend)
            .number("epoch", self.epoch);
        for path in &self.backend_path {
            key = key.field("backend-path", path);
        }
        for part in &self.base {
            key = key.input("base", part.key);
        }
        if let Some(image) = self.image {
            key = key.digest("image", image);
        }
        key.finish()
    }

    fn run(&self, context: &Context<'_>, inputs: &[Arc<Output>]) -> Result<Output, BoxError> {
        let store = context.store();
        let keys = inputs.iter().map(|input| input.get()).collect::<Result<Vec<CacheKey>, _>>()?;
        let parts = keys.into_iter().map(|key| Part::open(store, key)).collect::<Result<Vec<_>, _>>()?;
        let (packages, environment) = parts.split_at(self.packages);
        let call = Call {
            store,
            root: base::stack(store, self.below.clone(), self.base.iter().chain(packages), &self.made, &[])?,
            environment: rootfs::of_parts(store, environment, &[])?,
            source: &self.source,
            backend: &self.backend,
            backend_path: &self.backend_path,
            hook: "build_wheel",
            arguments: json!(["/build/out"]),
            python: &self.python,
            epoch: self.epoch,
        };
        match call.run(|line| context.log(line))? {
            Ok((_, Some(file))) => {
                let digest = file.digest;
                Ok(Output::new(&file)?.with(Ref::Blob(digest)))
            }
            Ok((_, None)) => {
                Err(format!("the backend of {} says that it built a wheel, and there is none", self.name).into())
            }
            Err(output) => Err(Box::new(BuildFailed { name: self.name.clone(), output })),
        }
    }
}

/// A backend failed.
#[derive(Debug, thiserror::Error)]
#[error("{name} cannot be built from source:\n{}", last_lines(output))]
struct BuildFailed {
    name: String,
    output: String,
}

impl From<BuildFailed> for BuildError {
    fn from(failed: BuildFailed) -> Self {
        Self::new(failed.to_string()).hint(format!(
            "name the Debian packages that it needs: [tool.jettison.build-packages] {} = [\"libfoo-dev\"]",
            failed.name
        ))
    }
}

fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

/// One call of a hook of a backend.
struct Call<'a> {
    store: &'a Store,
    root: Roots,
    environment: Snapshot,
    source: &'a Source,
    backend: &'a str,
    backend_path: &'a [String],
    hook: &'a str,
    arguments: serde_json::Value,
    python: &'a str,
    epoch: u64,
}

/// What a hook returned, and the wheel that it left; or what it wrote when it failed.
type Called = Result<(serde_json::Value, Option<WheelFile>), String>;

impl Call<'_> {
    fn run(&self, log: impl FnMut(&str)) -> Result<Called, BuildError> {
        let scratch = self.store.scratch()?;
        let at = |name: &str| -> Result<PathBuf, BuildError> {
            let path = scratch.path().join(name);
            fs::create_dir_all(&path)?;
            Ok(path)
        };
        let (tree, out, control) = (at("source")?, at("out")?, at("control")?);
        let unpacked = self.source.unpack(self.store, &tree)?;
        let inside = Path::new("/build/source").join(unpacked.strip_prefix(&tree).unwrap_or(Path::new("")));
        fs::write(control.join("backend.py"), SCRIPT)?;
        let call = json!({
            "hook": self.hook,
            "arguments": self.arguments,
            "backend": self.backend,
            "backend_path": self.backend_path,
            "environment": "/build/environment/site",
            "source": inside,
            "result": "/build/out/.result.json",
        });
        fs::write(control.join("call.json"), serde_json::to_vec(&call)?)?;
        let epoch = self.epoch.to_string();
        let env = [
            ("HOME", "/tmp"),
            ("PATH", "/build/environment/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
            ("PYTHONPATH", "/build/environment/site"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("PYTHONHASHSEED", "0"),
            ("LANG", "C.UTF-8"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
            ("SOURCE_DATE_EPOCH", &epoch),
            // The symbols would be stripped anyway.
            ("CFLAGS", "-g0"),
            ("CXXFLAGS", "-g0"),
        ];
        let tool = Tool {
            lower: self.root.paths.clone(),
            upper: None,
            argv: [self.python, "/build/control/backend.py", "/build/control/call.json"].map(str::to_owned).to_vec(),
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            cwd: inside,
            mounts: vec![
                bind(&tree, "/build/source", false),
                bind(&self.environment.path, "/build/environment", true),
                bind(&out, "/build/out", false),
                bind(&control, "/build/control", true),
            ],
            network: false,
        };
        let done = tool.run(log)?;
        if !done.status.success() {
            return Ok(Err(done.output));
        }
        let value = serde_json::from_slice(&fs::read(out.join(".result.json"))?)?;
        let mut wheel = None;
        for entry in fs::read_dir(&out)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "whl")
                && let Some(filename) = path.file_name().and_then(|name| name.to_str())
            {
                let (digest, _) = self.store.put(fs::File::open(&path)?, None)?;
                wheel = Some(WheelFile { filename: filename.to_owned(), digest });
            }
        }
        Ok(Ok((value, wheel)))
    }
}
