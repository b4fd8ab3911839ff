//! The native build: a project in, a small image that provably works out.
//!
//! 1. [`Project::read`] and [`Settings`]: what is there, what is wanted.
//! 2. [`Base`]: the interpreter and what it needs.
//! 3. [`Resolver`]: the lock.
//! 4. [`distributions::install`]: wheels to parts, sdists through the builder.
//! 5. [`system::libraries`]: what the dynamic loader would miss.
//! 6. [`Application`]: the project's own files and start command.
//! 7. Layers, each a step that is cached for good.
//! 8. [`verify`](crate::verify): the image runs; what it loads becomes its bytecode.
//! 9. [`Report`].
//!
//! Everything that was chosen on the way is in [`LockFile`] at the end.

mod foundation;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jettison_debian::made::Account;
use jettison_engine::CacheKey;
use jettison_engine::events::Events;
use jettison_engine::graph::StageGraph;
use jettison_engine::store::{Ref, Store};
use jettison_http::Client;
use jettison_oci::image::Image;
use jettison_oci::layer::Compression as LayerCompression;
use jettison_oci::registry::{Registry, RegistryOptions};
use jettison_oci::types::Platform;
use jettison_python::Tags;
use jettison_python::lock::{Locked, Selection, Source as LockedSource};
use jettison_python::project::Project;
use jettison_tree::{Digest, Entry, Node, TreePath};

use crate::application::{self, Application, ApplicationRequest};
use crate::base::{self, Choosing, Roots};
use crate::bytecode;
use crate::choices;
use crate::distributions::{self, Before};
use crate::error::BuildError;
use crate::git::{self, GitRoom};
use crate::image::{self, Launch};
use crate::index::{self, Indexes};
use crate::interpreter::{Interpreter, Machine as Target};
use crate::job::Job;
use crate::layers::{MadeLayer, OWN_LAYER_BYTES, OWN_LAYERS, PlannedLayer};
use crate::lockfile::{LockFile, Profile};
use crate::machine::Machine;
use crate::optional;
use crate::part::{Cut, Owner, Part};
use crate::profile;
use crate::report::*;
use crate::resolve::{self, Resolver};
use crate::rootfs;
use crate::sdist::{Builder, ahead};
use crate::settings::{Bytecode, Compression, Settings, Trim};
use crate::summary::Summary;
use crate::system;
use crate::verify::{self, Verification};

pub use foundation::Foundation;
use foundation::{Kept, Needs};

/// The time of everything in an image, unless `SOURCE_DATE_EPOCH` says otherwise: the first that zip files can hold,
/// 1980-01-01. Changing this changes every layer digest.
pub const DEFAULT_EPOCH: u64 = 315_532_800;
/// Of the 121 MB of an image with pandas, level 6 leaves 43.3 MB, and 7 leaves 43.1 in 1.3 times the time, which is a sixth of a second on
/// two cores; 8 takes twice as long for as much again. Changing this changes every layer digest.
const GZIP_LEVEL: u8 = 7;
const WORKDIR: &str = "/app";

/// What to build, and how.
#[derive(Debug, Clone, Default)]
pub struct BuildRequest {
    /// The project, an absolute path.
    pub root: PathBuf,
    /// The settings: those of the project under those of the command line.
    pub settings: Settings,
    /// The Python package index, where one is asked for.
    pub index_url: Option<String>,
    /// Indices in addition.
    pub extra_index_urls: Vec<String>,
    /// Directories and pages with distributions.
    pub find_links: Vec<String>,
    /// Refuse to resolve or choose.
    pub locked: bool,
    /// Resolve and choose anew.
    pub upgrade: bool,
    /// A uv of the user's.
    pub uv: Option<PathBuf>,
    /// `SOURCE_DATE_EPOCH`.
    pub epoch: Option<u64>,
    /// How registries are reached, for a base that is in one.
    pub registry: RegistryOptions,
}

/// An image that was built.
#[derive(Debug)]
pub struct Built {
    /// The image, in the store.
    pub image: Image,
    /// What there is to say about it.
    pub report: Report,
}

/// Builds the image of one platform and names it in the store.
pub fn build(
    store: &Arc<Store>,
    http: &Client,
    machine: &Machine,
    events: &dyn Events,
    request: &BuildRequest,
    platform: &Platform,
) -> Result<Built, BuildError> {
    let job = Job::new(store, http, machine, events);
    Flow { job: &job, store, request, platform }.run()
}

struct Flow<'a> {
    job: &'a Job<'a>,
    store: &'a Arc<Store>,
    request: &'a BuildRequest,
    platform: &'a Platform,
}

/// A foundation that was just made, its layers with whether each was there before, and the project on top.
type Found = (Foundation, Vec<(MadeLayer, bool)>, Application);

impl Flow<'_> {
    fn run(&self) -> Result<Built, BuildError> {
        let (job, request) = (self.job, self.request);
        let settings = &request.settings;
        let project = job.stop("read the project", || Project::read(&request.root).map_err(BuildError::from))?;
        let account = choices::account(settings)?;
        let key = self.foundation_key(&project)?;
        if let Some(key) = key.filter(|_| !request.upgrade)
            && let Some(kept) = job.store.memo_get::<Kept>(&key)?
        {
            let names: Vec<String> = kept.foundation.modules.iter().map(|(name, _)| name.clone()).collect();
            let application = self.application(&project, &names, &kept.foundation.interpreter)?;
            if kept.needs.answer(&Needs::of(&application)) {
                kept.warnings.iter().for_each(|warning| job.warn(warning.clone()));
                let layers = kept.foundation.layers.iter().map(|layer| (layer.clone(), true)).collect();
                return self.finish(&project, &account, &kept.foundation, layers, &application);
            }
        }
        let (foundation, layers, application) = self.found(&project, &account)?;
        let warnings = job.warnings();
        let built = self.finish(&project, &account, &foundation, layers, &application)?;
        // The lock is another one now.
        if let Some(key) = self.foundation_key(&project)? {
            let mut refs: Vec<Ref> = foundation.layers.iter().map(|layer| Ref::Blob(layer.blob.digest)).collect();
            if let Some(base) = &foundation.base {
                refs.extend(base.refs(job.store)?);
            }
            let kept = Kept { needs: Needs::of(&application), foundation, warnings };
            job.store.memo_put(&key, &kept, &refs)?;
        }
        Ok(built)
    }

    fn application(
        &self,
        project: &Project,
        distributions: &[String],
        interpreter: &Interpreter,
    ) -> Result<Application, BuildError> {
        let settings = &self.request.settings;
        let workdir = settings.workdir.as_deref().unwrap_or(WORKDIR);
        let request = ApplicationRequest { project, settings, distributions, workdir, interpreter };
        self.job.stop("application", || Application::read(self.job, &request))
    }

    /// Makes everything of the image but the project's layer, and locks what was chosen on the way.
    fn found(&self, project: &Project, account: &Account) -> Result<Found, BuildError> {
        let (job, request) = (self.job, self.request);
        let settings = &request.settings;
        let target = Target::of_oci(&self.platform.architecture)?;
        let before = LockFile::read(&request.root)?;
        let mut lock = before.clone();
        let trim = settings.trim.unwrap_or_default();
        let platform_name = self.platform.to_string();
        let kept = |map: &BTreeMap<String, crate::lockfile::LockedPackages>| {
            map.get(&platform_name).filter(|_| !request.upgrade).cloned()
        };

        let source = base::Source::of(settings, &request.root)?;
        let registry = Registry::new(job.http.clone(), request.registry.clone());
        let choosing = Choosing {
            job,
            project,
            settings,
            registry: &registry,
            machine: target,
            platform: self.platform,
            before: &before,
            locked_only: request.locked,
            upgrade: request.upgrade,
        };
        let indexes = Indexes::new(
            job.machine,
            request.index_url.clone(),
            request.extra_index_urls.clone(),
            request.find_links.clone(),
        );
        let requirements = resolve::requirements(job, project)?;
        index::log_in(job, project, requirements.as_ref(), &indexes);
        let repositories = git::repositories(project, requirements.as_ref());
        let will_resolve = !request.locked && resolve::is_needed(job, project);
        let expect_resolver =
            || (will_resolve && request.uv.is_none()).then(|| resolve::expect(job, &indexes)).flatten();
        let (chosen, _held) =
            job.stop("base", || Ok(job.both(|| base::choose(&choosing, &source), expect_resolver)))?;
        let (base, archives) = chosen?;
        match &base.image {
            None => {
                lock.base.insert(platform_name.clone(), base.packages.clone());
                lock.image.remove(&platform_name);
            }
            Some(below) => {
                lock.base.remove(&platform_name);
                lock.image.insert(platform_name.clone(), below.image.locked());
            }
        }
        let (base_plan, unreached) = base.layer(account, trim)?;
        let base_plans = if base_plan.is_empty() { Vec::new() } else { vec![base_plan.clone()] };
        let native = target.arch.as_str() == job.machine.machine;
        let tools_root = match native {
            true => base.root(job)?,
            false => base::native_root(&choosing, &source, &base.interpreter)?,
        };
        let native_archives = match native {
            true => None,
            false => Some(archives.of_machine(Target::of_linux(&job.machine.machine)?)),
        };
        let below = native.then_some(&base.packages);
        let git = GitRoom::new(job, native_archives.as_ref().unwrap_or(&archives), below, &tools_root, &repositories);
        let resolver = Resolver {
            interpreter: &base.interpreter,
            rootfs: &tools_root,
            indexes: &indexes,
            git: &git,
            extras: settings.extras.as_deref().unwrap_or_default(),
            groups: settings.groups.as_deref().unwrap_or_default(),
            uv: request.uv.as_deref(),
            locked: request.locked,
            upgrade: request.upgrade,
        };
        let tags = Tags::for_target(&base.interpreter.target(target.arch));
        let no_builds = BTreeMap::new();
        let builder = Builder {
            job,
            base: &base,
            root: &tools_root,
            archives: &archives,
            resolver: &resolver,
            asked: settings.build_packages.as_ref().unwrap_or(&no_builds),
            locked_only: request.locked,
            git: &git,
            epoch: self.epoch(),
            ready: Mutex::default(),
        };
        let tools_before = kept(&before.builder);
        let before_sdists = Before {
            sdists: before.sdist.get(&platform_name).filter(|_| !request.upgrade),
            tools: tools_before.as_ref(),
        };
        let resolve_and_install = || {
            let locked = job.stop("resolve", || self.locked(project, &resolver, &tags))?;
            job.stop("distributions", || {
                distributions::install(job, &locked, &tags, &indexes, &builder, &before_sdists, trim)
            })
        };
        // Neither waits for what is resolved.
        let expect_builds = || {
            if will_resolve && native && before_sdists.sdists.is_none() {
                let names = ahead::without_wheels(job, project, requirements.as_ref(), &indexes, &tags);
                builder.expect(before_sdists.tools, &names);
            }
        };
        let (installed, (base_layers, ())) = job.both(
            || resolve_and_install().inspect_err(|_| job.give_up()),
            || job.both(|| self.make_layers(base_plans), expect_builds),
        );
        let (installed, base_layers) = (installed?, base_layers?);
        set(&mut lock.sdist, &platform_name, installed.sdists.clone(), BTreeMap::is_empty);
        match installed.tools.clone() {
            Some(tools) => drop(lock.builder.insert(platform_name.clone(), tools)),
            None => drop(lock.builder.remove(&platform_name)),
        }

        let names: Vec<String> = installed.parts.iter().map(|part| part.facts.owner.name.clone()).collect();
        let application = self.application(project, &names, &base.interpreter)?;

        let libraries = job.stop("libraries", || {
            let with = settings.with.as_deref().unwrap_or_default();
            let locked_before = kept(&before.libraries);
            let libraries = system::libraries(
                job,
                &archives,
                &base,
                &installed,
                &application,
                with,
                locked_before.as_ref(),
                request.locked,
                trim,
            )?;
            system::check_links(&libraries.linked)?;
            Ok(libraries)
        })?;
        set(&mut lock.libraries, &platform_name, libraries.packages.clone(), |packages| packages.package.is_empty());

        let (plans, sources, mut foundation, mut layers) = job.stop("layers", || {
            let library_plan = system::libraries_layer(&base, &base_plan, &libraries, trim)?;
            let mut plans = vec![library_plan];
            plans.extend(self.distribution_layers(&installed.parts)?);
            plans.retain(|plan| !plan.is_empty());
            let mut sources = sources_of(&base_plan, &base.interpreter);
            plans.iter().for_each(|plan| sources.extend(sources_of(plan, &base.interpreter)));
            let mut layers = base_layers;
            layers.extend(self.make_layers(plans.clone())?);
            plans.insert(0, base_plan);
            plans.retain(|plan| !plan.is_empty());
            let mut cuts: Vec<CutReport> =
                base.parts.iter().chain(&libraries.parts).chain(&installed.parts).flat_map(Part::cuts).collect();
            let mut unnamed = Cut::default();
            for entry in base.parts.iter().flat_map(Part::entries).filter(|_| trim != Trim::None) {
                let module = optional::module_of(&entry.path, &base.interpreter.stdlib);
                if let (Some(module), Some(content)) = (module, entry.content())
                    && !libraries.named.contains(module)
                {
                    unnamed.add(content.len());
                }
            }
            for (reason, sum) in [(system::UNREACHED, unreached), (optional::REASON, unnamed)] {
                if sum.files > 0 {
                    cuts.push(cut("base", reason, sum));
                }
            }
            let modules =
                installed.parts.iter().map(|part| (part.facts.owner.name.clone(), part.facts.modules.clone()));
            let modules = modules.collect();
            let foundation = Foundation {
                interpreter: base.interpreter.clone(),
                base: base.image.as_ref().map(|below| below.image.clone()),
                layers: layers.iter().map(|(layer, _)| layer.clone()).collect(),
                modules,
                cuts,
            };
            Ok((plans, sources, foundation, layers))
        })?;

        let bytecode = settings.bytecode.unwrap_or_default();
        let mut sources = sources;
        if bytecode != Bytecode::Only {
            sources.extend(base.sources().into_iter().filter(|(path, _)| is_imported(path, &base.interpreter)));
        }
        let identity = identity(&base.interpreter, &installed.parts);
        let mut profile = before.profile.clone().filter(|profile| profile.of == identity);

        let imports = &application.findings.imports;
        let is_outdated = |profile: &Profile| profile.is_outdated(imports, &sources, &base.interpreter);
        let wants_profile = profile.as_ref().is_none_or(|profile| !request.locked && is_outdated(profile));

        // Without a profile that holds, the image is verified once as it is, to see what it loads.
        if self.verifying() && native && bytecode == Bytecode::Profiled && wants_profile {
            let application_layer = self.make_layers(vec![application.layer.clone()])?.remove(0);
            let launch = self.launch(project, &application, account, &foundation);
            let all: Vec<MadeLayer> = foundation.layers.iter().chain([&application_layer.0]).cloned().collect();
            let verified = job.stop("profile", || self.verify(&foundation, &application, &launch, &all, true))?;
            let known = |path: &String| TreePath::parse(path).is_ok_and(|path| sources.contains_key(&path));
            let loaded: Vec<String> = verified.opened.into_iter().filter(known).collect();
            let not_loaded = profile::not_loaded(imports, &loaded, &sources, &base.interpreter);
            profile = Some(Profile { of: identity, not_loaded, sources: loaded });
        }
        let wanted: BTreeSet<TreePath> = match (bytecode, &profile) {
            (Bytecode::None, _) | (Bytecode::Profiled, None) => BTreeSet::new(),
            (Bytecode::Profiled, Some(profile)) => {
                profile.sources.iter().filter_map(|path| TreePath::parse(path).ok()).collect()
            }
            (Bytecode::Compiled | Bytecode::Only, _) => sources.keys().cloned().collect(),
        };
        let wanted = sources.into_iter().filter(|(path, _)| wanted.contains(path)).collect();
        let compiled = job.stop("bytecode", || self.compile(&foundation, wanted, &tools_root, native))?;
        if bytecode == Bytecode::Only {
            // Each source gives way to its bytecode.
            let replaced: BTreeSet<&TreePath> = compiled.iter().map(|(source, _)| source).collect();
            let mut plans = plans;
            plans.iter_mut().for_each(|plan| plan.retain(|entry| !replaced.contains(&entry.path)));
            layers = self.make_layers(plans)?;
        }
        let mut plan = PlannedLayer::new("bytecode");
        let name = format!("bytecode of {} modules", compiled.len());
        let owner = Owner { kind: OwnerKind::Bytecode, name, version: String::new() };
        for (source, entry) in compiled {
            let sourceless = || jettison_python::bytecode::sourceless_path(&source);
            match (bytecode == Bytecode::Only).then(sourceless).flatten() {
                Some(path) => plan.replace(Entry { path, ..entry }, &owner),
                None => plan.replace(entry, &owner),
            }
        }
        if !plan.is_empty() {
            layers.extend(self.make_layers(vec![plan])?);
        }
        foundation.layers = layers.iter().map(|(layer, _)| layer.clone()).collect();
        lock.profile = profile.or(before.profile.clone());
        if lock != before {
            lock.write(&request.root)
                .map(drop)
                .unwrap_or_else(|error| job.warn(format!("what was chosen is not kept: {error}")));
        }
        Ok((foundation, layers, application))
    }

    /// Adds the project's layer, assembles the image, verifies it, names it.
    fn finish(
        &self,
        project: &Project,
        account: &Account,
        foundation: &Foundation,
        mut layers: Vec<(MadeLayer, bool)>,
        application: &Application,
    ) -> Result<Built, BuildError> {
        let job = self.job;
        layers.extend(self.make_layers(vec![application.layer.clone()])?);
        let launch = self.launch(project, application, account, foundation);
        let made: Vec<MadeLayer> = layers.iter().map(|(layer, _)| layer.clone()).collect();
        let below = foundation.base.as_ref().map(|base| base.open(job)).transpose()?;
        let interpreter = &foundation.interpreter;
        let image =
            image::assemble(self.store, self.platform, below.as_ref(), interpreter, &launch, &made, self.epoch())?;
        if let Some(base) = &foundation.base {
            layers.splice(0..0, base.layers.iter().map(|layer| (layer.clone(), true)));
        }
        let native = Target::of_oci(&self.platform.architecture)?.arch.as_str() == job.machine.machine;
        let verify = match (self.verifying(), native) {
            (false, _) => Err("it was switched off".to_owned()),
            (true, false) => Err(format!("{} does not run on this machine", self.platform)),
            (true, true) => Ok(job.stop("verify", || self.verified(foundation, application, &launch, &made, &image))?),
        };
        let names = names_of(project, &self.request.settings, &self.request.root);
        image::keep(self.store, &image, &names)?;
        let summary = Summary {
            job,
            platform: self.platform.to_string(),
            foundation,
            launch: &launch,
            reason: &application.findings.reason,
            left_out: &application.left_out,
            layers: &layers,
            image: &image,
            verify,
            names,
        };
        Ok(Built { report: summary.report(), image })
    }

    fn verifying(&self) -> bool {
        self.request.settings.verify.as_ref().and_then(|verify| verify.enabled).unwrap_or(true)
    }

    fn epoch(&self) -> u64 {
        self.request.epoch.unwrap_or(DEFAULT_EPOCH)
    }

    /// The distributions to install.
    fn locked(&self, project: &Project, resolver: &Resolver<'_>, tags: &Tags) -> Result<Vec<Locked>, BuildError> {
        let Some(lock) = resolver.lock(self.job, project)? else { return Ok(Vec::new()) };
        let groups = self.request.settings.groups.as_deref();
        // What Jettison had resolved holds the extras and groups that were asked for, and no others.
        let ours = lock.inputs.is_some();
        let selection = Selection {
            extras: if ours { BTreeSet::new() } else { resolve::names(resolver.extras)? },
            groups: groups.filter(|_| !ours).map(resolve::names).transpose()?,
            ..Selection::for_tags(tags)
        };
        let mut locked = lock.select(&selection)?;
        if !application::is_plain(project)
            && let Some(name) = &project.name
        {
            locked.push(Locked {
                name: name.clone(),
                version: None,
                source: LockedSource::Directory { path: project.root.clone(), editable: false },
                index: None,
                direct_url: None,
            });
        }
        Ok(locked)
    }

    /// Makes layers, and says of each whether it was there already.
    fn make_layers(&self, plans: Vec<PlannedLayer>) -> Result<Vec<(MadeLayer, bool)>, BuildError> {
        let compression = match self.request.settings.compression.unwrap_or_default() {
            Compression::Gzip => LayerCompression::Gzip { level: GZIP_LEVEL },
            Compression::Zstd => LayerCompression::ZSTD,
            Compression::None => LayerCompression::None,
        };
        let threads = NonZeroUsize::new(self.job.machine.threads).unwrap_or(NonZeroUsize::MIN);
        let mut graph = StageGraph::new();
        let mut steps = Vec::new();
        for plan in plans {
            let name = format!("layer: {}", plan.created_by);
            steps.push(graph.add(name, &[], plan.into_step(self.epoch(), compression, threads)?));
        }
        let made = self.job.solve_noting_cached(&graph, &steps)?;
        made.into_iter().map(|(output, cached)| Ok((output.get()?, cached))).collect()
    }

    /// One layer for each of the biggest distributions, one for the rest.
    fn distribution_layers(&self, parts: &[Part]) -> Result<Vec<PlannedLayer>, BuildError> {
        let mut big: Vec<&Part> = parts.iter().filter(|part| part.bytes() >= OWN_LAYER_BYTES).collect();
        big.sort_by_key(|part| std::cmp::Reverse(part.bytes()));
        big.truncate(OWN_LAYERS);
        let mut big: Vec<_> = big.into_iter().map(|part| part.key).collect();
        big.sort();
        let mut layers = Vec::new();
        let mut rest = PlannedLayer::new("distributions");
        let mut all = PlannedLayer::new("");
        for part in parts {
            // Two distributions that want one path are told apart wherever their layers are.
            if let Err(clash) = all.add_part(part) {
                self.job.warn(format!("{clash}; the first one's is taken"));
            }
            if big.binary_search(&part.key).is_ok() {
                let mut layer = PlannedLayer::new(part.facts.owner.to_string());
                let _ = layer.add_part(part);
                layers.push(layer);
            } else {
                for entry in part.entries() {
                    let _ = rest.add(entry.clone(), &part.facts.owner);
                }
            }
        }
        layers.push(rest);
        Ok(layers)
    }

    fn launch(
        &self,
        project: &Project,
        application: &Application,
        account: &Account,
        foundation: &Foundation,
    ) -> Launch {
        let settings = &self.request.settings;
        let mut env: BTreeMap<String, String> = application.findings.env.iter().cloned().collect();
        env.extend(settings.env.clone().unwrap_or_default());
        Launch {
            argv: application.findings.argv.clone(),
            port: application.findings.port,
            user: format!("{}:{}", account.uid, account.gid),
            workdir: settings.workdir.clone().unwrap_or_else(|| WORKDIR.to_owned()),
            home: account.home.clone(),
            python_path: application.python_path.clone(),
            env,
            labels: settings.labels.clone().unwrap_or_default(),
            title: project.name.as_ref().map(ToString::to_string),
            version: project.version.clone(),
            base: foundation.base.clone(),
        }
    }

    /// The bytecode of these sources, each with the source that it is of.
    fn compile(
        &self,
        foundation: &Foundation,
        sources: Vec<(TreePath, Digest)>,
        tools_root: &Roots,
        native: bool,
    ) -> Result<Vec<(TreePath, Entry)>, BuildError> {
        if sources.is_empty() {
            return Ok(Vec::new());
        }
        let mut snapshots = Vec::new();
        for layer in foundation.layers.iter().rev() {
            snapshots.push(rootfs::of_layer(self.job.store, layer)?);
        }
        let below = foundation.base.as_ref().map(|base| base.unpack(self.job)).transpose()?;
        let mut lower: Vec<PathBuf> = snapshots.iter().map(|snapshot| snapshot.path.clone()).collect();
        lower.extend(below.iter().flat_map(|below| below.lower.iter().cloned()));
        if !native {
            // The sources are the target's; what runs is this machine's.
            lower.splice(0..0, tools_root.paths.iter().cloned());
        }
        let settings = &self.request.settings;
        let whole = settings.trim.unwrap_or_default() == Trim::None;
        let wanted = bytecode::Wanted {
            interpreter: &foundation.interpreter,
            lower: &lower,
            sources,
            columns: whole,
            text: whole || settings.bytecode.unwrap_or_default() != Bytecode::Profiled,
        };
        bytecode::compile(self.job, &wanted)
    }

    /// The result of verifying this very image, from before where there is one.
    fn verified(
        &self,
        foundation: &Foundation,
        application: &Application,
        launch: &Launch,
        layers: &[MadeLayer],
        image: &Image,
    ) -> Result<VerifyReport, BuildError> {
        let settings = self.request.settings.verify.clone().unwrap_or_default();
        let key = CacheKey::builder("verify/1")
            .digest("image", image.descriptor().digest)
            .field("settings", format!("{settings:?}"))
            .finish();
        if let Some(report) = self.job.store.memo_get::<VerifyReport>(&key)? {
            return Ok(VerifyReport { cached: true, ..report });
        }
        let report = self.verify(foundation, application, launch, layers, false)?.report;
        self.job.store.memo_put(&key, &report, &[Ref::Blob(image.descriptor().digest)])?;
        Ok(report)
    }

    fn verify(
        &self,
        foundation: &Foundation,
        application: &Application,
        launch: &Launch,
        layers: &[MadeLayer],
        record: bool,
    ) -> Result<verify::Verified, BuildError> {
        let settings = self.request.settings.verify.clone().unwrap_or_default();
        let mut snapshots = Vec::new();
        for layer in layers.iter().rev() {
            snapshots.push(rootfs::of_layer(self.job.store, layer)?);
        }
        let below = foundation.base.as_ref().map(|base| base.unpack(self.job)).transpose()?;
        let mut lower: Vec<PathBuf> = snapshots.iter().map(|snapshot| snapshot.path.clone()).collect();
        lower.extend(below.iter().flat_map(|below| below.lower.iter().cloned()));
        let owners = below.iter().flat_map(|below| &below.owners);
        let owners = owners.chain(snapshots.iter().rev().flat_map(|snapshot| &snapshot.owners));
        let owners: Vec<_> = owners.cloned().collect();
        let provided = foundation.modules.iter().flat_map(|(_, modules)| modules.iter().cloned()).collect();
        let (uid, gid) = choices::ids(&launch.user)?;
        let env = launch.environment(&foundation.interpreter);
        let extra_env: Vec<(String, String)> = settings.env.clone().unwrap_or_default().into_iter().collect();
        verify::verify(
            self.job,
            &Verification {
                lower: &lower,
                owners: &owners,
                interpreter: &foundation.interpreter,
                modules: &foundation.modules,
                provided: &provided,
                argv: &launch.argv,
                env: &env,
                workdir: &launch.workdir,
                uid,
                gid,
                port: launch.port,
                path: settings.path.as_deref().unwrap_or("/"),
                timeout: Duration::from_secs(settings.timeout.unwrap_or(30).into()),
                skip_imports: settings.skip_imports.as_deref().unwrap_or_default(),
                extra_env: &extra_env,
                record,
            },
        )
        .map_err(|error| match &application.findings.reason[..] {
            "" => error,
            reason => error.context(format!("the image does not work ({reason})")),
        })
    }
}

fn cut(owner: &str, reason: &str, cut: Cut) -> CutReport {
    CutReport { owner: owner.to_owned(), reason: reason.to_owned(), files: cut.files, bytes: cut.bytes }
}

fn set<V>(map: &mut BTreeMap<String, V>, key: &str, value: V, is_empty: impl Fn(&V) -> bool) {
    if is_empty(&value) {
        map.remove(key);
    } else {
        map.insert(key.to_owned(), value);
    }
}

/// The Python sources of a layer that the interpreter imports: its own and those of distributions.
fn sources_of(plan: &PlannedLayer, interpreter: &Interpreter) -> BTreeMap<TreePath, Digest> {
    let is_source = |entry: &&Entry| entry.path.as_bytes().ends_with(b".py") && is_imported(&entry.path, interpreter);
    let sources = plan.tree().iter().filter(is_source);
    sources
        .filter_map(|entry| match &entry.node {
            Node::File(content) => Some((entry.path.clone(), content.digest())),
            _ => None,
        })
        .collect()
}

fn is_imported(path: &TreePath, interpreter: &Interpreter) -> bool {
    path.is_below(interpreter.stdlib.as_bytes()) || path.is_below(interpreter.site_packages.as_bytes())
}

/// What a profile was taken of: the interpreter's minor version and the distributions. Not the platform: a profile of one serves for
/// all.
fn identity(interpreter: &Interpreter, distributions: &[Part]) -> Digest {
    let (major, minor) = interpreter.minor();
    let mut key = CacheKey::builder("profile/2").number("major", major).number("minor", minor);
    for part in distributions {
        key = key.field("distribution", part.facts.owner.to_string());
    }
    Digest::from_bytes(*key.finish().as_bytes())
}

/// The names that the store keeps an image under: those asked for, else the project's; and always the project's directory.
fn names_of(project: &Project, settings: &Settings, root: &Path) -> Vec<String> {
    let mut names: Vec<String> = settings.tag.clone().unwrap_or_default();
    if names.is_empty() {
        let directory = root.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = project.name.as_ref().map(ToString::to_string).or(directory);
        names.push(format!("{}:latest", name.unwrap_or_else(|| "image".to_owned()).to_lowercase()));
    }
    names.push(directory_name(root));
    names
}

/// The name under which the store keeps the latest image of the project at `root`, an absolute path.
pub fn directory_name(root: &Path) -> String {
    format!("dir:{}", root.display())
}
