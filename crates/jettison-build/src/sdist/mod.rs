//! Wheels from source: in a builder with a compiler, without network, each from a build environment of its own. The
//! builder never gets near the image: its one product is the wheel.
//!
//! 1. [`Builder::expect`] begins with the next while the resolver runs, for what [`ahead`] knows will be built.
//! 2. [`Builder::rooms`] settles the Debian packages: what all builds have, and by [`needs`] what one needs besides. It fetches them, and
//!    unpacks them ([`room`]) where a wheel will surely have to be built.
//! 3. [`Builder::environment`], at the same time, settles the build requirements (PEP 517, 518) by the resolver. Both are as locked,
//!    where they were settled before.
//! 4. [`wheel::BuildWheel`] is the step: it asks the backend what else it needs, unless that is locked, and builds.
//! 5. When the backend asks for more, or fails for something that a Debian package has, [`solve_with_retries`] adds it.
//! 6. Where a project has its version from git, [`history`] is in its source, and git in its builder.
//! 7. [`linked`] tells which of the packages have the libraries that a wheel was linked with.

pub mod ahead;
pub mod history;
pub mod linked;
pub mod needs;
mod room;
pub mod source;
mod wheel;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use jettison_debian::compression;
use jettison_debian::contents::find_paths;
use jettison_engine::CacheKey;
use jettison_engine::graph::{Operation as _, Output, SolveError, StageGraph, StepId};
use jettison_python::lock::{Location, Selection, Source as Locked};
use jettison_python::wheel::InstallLayout;
use jettison_python::{Tags, Target};
use jettison_tree::{Digest, TreePath};

use crate::base::{Base, Roots};
use crate::choose;
use crate::error::{BuildError, Context as _};
use crate::fetch::{Wanted, fetch_all};
use crate::git::GitRoom;
use crate::job::Job;
use crate::lockfile::{LockedPackage, LockedPackages, LockedSdist, LockedWheel};
use crate::part::entry_digest;
use crate::resolve::Resolver;
use crate::settings::Trim;
use crate::system::Archives;
use crate::unpack::{UnpackWheel, WheelFile};

use needs::Need;
pub(crate) use room::Packages;
use room::{NOT_NEEDED, TOOLS};
use source::{BuildSystem, Source};
use wheel::{BuildFault, BuildWheel};

/// A build is tried again so often with what it missed.
const ROUNDS: usize = 6;

/// Builds wheels for one base.
pub struct Builder<'a> {
    /// The surroundings.
    pub job: &'a Job<'a>,
    /// The base of the image: the builder has the very same interpreter.
    pub base: &'a Base,
    /// The base, unpacked.
    pub root: &'a Roots,
    /// Where Debian packages come from.
    pub archives: &'a Archives<'a>,
    /// Where build requirements come from.
    pub resolver: &'a Resolver<'a>,
    /// Packages that the user says a distribution needs, by its name.
    pub asked: &'a BTreeMap<String, Vec<String>>,
    /// Refuse to choose.
    pub locked_only: bool,
    /// What fetches sources from repositories.
    pub git: &'a GitRoom<'a>,
    /// Seconds since 1970, for what a build stamps into its wheel.
    pub epoch: u64,
    /// The packages that are unpacked. Held by whoever unpacks more.
    pub ready: Mutex<Vec<CacheKey>>,
}

/// The Debian packages of builds.
pub struct Rooms {
    /// What all builds have.
    pub tools: LockedPackages,
    /// What a distribution needs besides, by its name.
    besides: BTreeMap<String, LockedPackages>,
}

/// What a backend is called in.
pub struct Environment {
    source: Source,
    system: BuildSystem,
    /// What the backend is told besides: the version that it would ask git for.
    variables: BTreeMap<String, String>,
    wheels: Vec<LockedWheel>,
    /// Whether the wheels are all that the backend asks for.
    is_settled: bool,
}

/// A build that is ready to run.
pub struct Prepared {
    /// The distribution.
    pub name: String,
    environment: Environment,
    packages: LockedPackages,
}

impl Prepared {
    /// What is to be locked.
    pub fn locked(&self) -> LockedSdist {
        LockedSdist {
            build_packages: self.packages.roots.clone(),
            requires: self.environment.wheels.clone(),
            package: self.packages.package.clone(),
        }
    }

    /// The Debian packages that it is given besides the builder's.
    pub fn packages(&self) -> &[LockedPackage] {
        &self.packages.package
    }
}

impl Builder<'_> {
    /// Makes ready what building these distributions takes, ahead of [`rooms`](Self::rooms), which waits for it. Whether that works out does
    /// not matter yet.
    pub fn expect(&self, tools: Option<&LockedPackages>, names: &[String]) {
        let builds: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
        if !builds.is_empty() {
            let _ = self.rooms(tools, &builds);
        }
    }

    /// The packages for building these distributions, each with what was locked for it, in the store.
    pub fn rooms(
        &self,
        tools: Option<&LockedPackages>,
        builds: &[(&str, Option<&LockedSdist>)],
    ) -> Result<Rooms, BuildError> {
        // What another thread is bringing is not to be brought twice.
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let mut roots: Vec<String> = TOOLS.iter().map(|tool| (*tool).to_owned()).collect();
        roots.extend(self.base.headers.clone());
        roots.sort();
        let tools = self.choose(&roots, &self.base.packages, tools, "the packages of the builder")?;
        let mut besides = BTreeMap::new();
        for (name, locked) in builds {
            let mut packages: BTreeSet<String> = self.asked.get(*name).into_iter().flatten().cloned().collect();
            packages.extend(needs::known(name).into_iter().flatten().map(|package| (*package).to_owned()));
            packages.extend(locked.iter().flat_map(|locked| locked.build_packages.iter().cloned()));
            besides.insert((*name).to_owned(), self.besides(name, &tools, packages, *locked)?);
        }
        let all: Vec<_> = tools.package.iter().chain(besides.values().flat_map(|one| &one.package)).cloned().collect();
        choose::fetch(self.job, self.archives.mirrors(), &all)?;
        // What was never built is built now, so it can begin with what it takes longest for.
        if builds.iter().any(|(_, locked)| locked.is_none()) {
            let mut graph = StageGraph::new();
            let mut steps: Vec<StepId> = Vec::new();
            let fresh = builds.iter().filter(|(_, locked)| locked.is_none());
            for packages in [&tools].into_iter().chain(fresh.filter_map(|(name, _)| besides.get(*name))) {
                let packages = Packages::new(&packages.package, self.job.machine.threads);
                if !packages.is_empty() && !ready.contains(&packages.key()) {
                    ready.push(packages.key());
                    steps.push(graph.add(packages.title(), &[], packages));
                }
            }
            self.job.solve(&graph, &steps)?;
        }
        Ok(Rooms { tools, besides })
    }

    /// The closure of `packages`, without the base and the tools.
    fn besides(
        &self,
        name: &str,
        tools: &LockedPackages,
        packages: BTreeSet<String>,
        locked: Option<&LockedSdist>,
    ) -> Result<LockedPackages, BuildError> {
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
        let chosen = self.choose(&roots, &below, before.as_ref(), &format!("the packages for building {name}"));
        chosen.context(format!("building {name}"))
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
            None => {
                // Where git is all that is added, nothing else can need what it would talk to others with.
                let alone = roots == [history::PACKAGE];
                let not_needed = [&NOT_NEEDED[..], if alone { &history::NOT_NEEDED } else { &[] }].concat();
                choose::choose(self.archives.get()?, roots, Some(below), locked, &not_needed)
            }
        }
    }

    /// Settles what the backend of `source` is called in, and brings it into the store. `version` is what a lock says of it.
    pub fn environment(
        &self,
        name: &str,
        source: Source,
        version: Option<&str>,
        locked: Option<&LockedSdist>,
    ) -> Result<Environment, BuildError> {
        let key = CacheKey::builder("build-system/2").digest("source", source.digest()).finish();
        let system: BuildSystem = match self.job.store.memo_get(&key)? {
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
            None => self.lock_requirements(name, &system.requires)?,
        };
        self.fetch_wheels(&wheels)?;
        let variables = match system.reads_history && !source.is_release() {
            true => history::variables(self.job.machine, version),
            false => BTreeMap::new(),
        };
        Ok(Environment { source, system, variables, wheels, is_settled: locked.is_some() })
    }

    /// A build, of both halves of what it needs.
    pub fn prepare(&self, name: &str, environment: Environment, rooms: &Rooms) -> Result<Prepared, BuildError> {
        let packages = rooms.besides.get(name).cloned();
        let mut packages = packages.ok_or_else(|| BuildError::new(format!("no packages were chosen for {name}")))?;
        if environment.source.has_history() && !packages.roots.iter().any(|root| root == history::PACKAGE) {
            let roots = packages.roots.iter().cloned().chain([history::PACKAGE.to_owned()]).collect();
            packages = self.besides(name, &rooms.tools, roots, None)?;
            choose::fetch(self.job, self.archives.mirrors(), &packages.package)?;
        }
        Ok(Prepared { name: name.to_owned(), environment, packages })
    }

    /// Adds what a build missed. `false` where nothing was recognised, or all of it is there.
    fn more(&self, prepared: &mut Prepared, tools: &LockedPackages, fault: &BuildFault) -> Result<bool, BuildError> {
        match fault {
            BuildFault::Failed { output, .. } => self.more_packages(prepared, tools, output),
            BuildFault::Asks { requires, .. } => {
                let environment = &mut prepared.environment;
                let before = environment.system.requires.len();
                for requirement in requires {
                    if !environment.system.requires.contains(requirement) {
                        environment.system.requires.push(requirement.clone());
                    }
                }
                environment.wheels = self.lock_requirements(&prepared.name, &environment.system.requires)?;
                self.fetch_wheels(&environment.wheels)?;
                Ok(environment.system.requires.len() > before)
            }
        }
    }

    fn more_packages(&self, prepared: &mut Prepared, tools: &LockedPackages, output: &str) -> Result<bool, BuildError> {
        let missed = needs::missed(output);
        let mut packages: BTreeSet<String> = prepared.packages.roots.iter().cloned().collect();
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
        prepared.packages = self.besides(&prepared.name, tools, packages, None)?;
        choose::fetch(self.job, self.archives.mirrors(), &prepared.packages.package)?;
        Ok(true)
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
    pub fn add_steps(&self, graph: &mut StageGraph, prepared: &Prepared, tools: &LockedPackages) -> StepId {
        let mut steps = Vec::new();
        let threads = self.job.machine.threads;
        let packages: Vec<Packages> = [tools, &prepared.packages]
            .map(|packages| Packages::new(&packages.package, threads))
            .into_iter()
            .filter(|packages| !packages.is_empty())
            .collect();
        for packages in &packages {
            steps.push(graph.add(packages.title(), &[], packages.clone()));
        }
        let layout = environment_layout(&self.base.interpreter.executable);
        for wheel in &prepared.environment.wheels {
            let unpack = UnpackWheel {
                name: wheel.filename.clone(),
                file: Some(WheelFile { filename: wheel.filename.clone(), digest: wheel.digest }),
                layout: layout.clone(),
                trim: Trim::Safe,
                direct_url: None,
            };
            steps.push(graph.add(format!("unpack {}", wheel.filename), &[], unpack));
        }
        let build = BuildWheel {
            name: prepared.name.clone(),
            source: prepared.environment.source.clone(),
            system: prepared.environment.system.clone(),
            variables: prepared.environment.variables.clone(),
            ask: !prepared.environment.is_settled,
            packages,
            base: self.base_digest(),
            root: self.root.clone(),
            python: self.base.interpreter.executable.clone(),
            epoch: self.epoch,
        };
        graph.add(format!("build {}", prepared.name), &steps, build)
    }

    /// A digest over all that the base brings.
    fn base_digest(&self) -> Digest {
        let mut key = CacheKey::builder("base/1");
        for part in &self.base.parts {
            key = key.input("part", part.key);
        }
        for entry in &self.base.made {
            key = key.digest("made", entry_digest(entry));
        }
        if let Some(below) = &self.base.image {
            key = key.digest("image", below.image.digest);
        }
        Digest::from_bytes(*key.finish().as_bytes())
    }
}

/// Solves `graph`, adding what builds miss until they work or nothing more can be thought of. `rebuild` makes the graph anew
/// from the prepared builds.
pub fn solve_with_retries(
    builder: &Builder<'_>,
    prepared: &mut [Prepared],
    tools: &LockedPackages,
    rebuild: impl Fn(&[Prepared]) -> (StageGraph, Vec<StepId>),
) -> Result<Vec<Arc<Output>>, BuildError> {
    for _ in 0..ROUNDS {
        let (graph, targets) = rebuild(prepared);
        let fault = match builder.job.try_solve(&graph, &targets) {
            Ok(outputs) => return Ok(outputs),
            Err(SolveError::Step { name, source }) => match source.downcast::<BuildFault>() {
                Ok(fault) => *fault,
                Err(source) => return Err(SolveError::Step { name, source }.into()),
            },
            Err(error) => return Err(error.into()),
        };
        let one = prepared.iter_mut().find(|one| one.name == fault.name());
        let Some(one) = one else { return Err(fault.into()) };
        if !builder.more(one, tools, &fault)? {
            let Environment { source, system, variables, .. } = &one.environment;
            let unversioned = !source.is_release() && !source.has_history() && variables.is_empty();
            let hint = history::hint(&one.name, system).filter(|_| unversioned);
            let error = BuildError::from(fault);
            return Err(match hint {
                Some(hint) => error.hint(hint),
                None => error,
            });
        }
    }
    Err(BuildError::new("building from source needs one package after the other, without an end"))
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
