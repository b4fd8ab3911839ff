//! The native build: a project in, a small image that provably works out.
//!
//! 1. [`Project::read`] and [`Settings`]: what is there, what is wanted. 2. [`Base`]: the interpreter and what it needs. 3. [`Resolver`]:
//! the lock. 4. [`distributions::install`]: wheels to parts, sdists through the builder. 5. [`system::libraries`]: what the dynamic loader
//! would miss. 6. [`Application`]: the project's own files and start command. 7. Layers, each a step that is cached for good. 8.
//! [`verify`](crate::verify): the image runs; what it loads becomes its bytecode. 9. [`Report`].
//!
//! Everything that was chosen on the way is in [`LockFile`] at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jettison_debian::made::Account;
use jettison_engine::CacheKey;
use jettison_engine::events::Events;
use jettison_engine::graph::StageGraph;
use jettison_engine::store::{Ref, Snapshot, Store};
use jettison_http::Client;
use jettison_oci::image::Image;
use jettison_oci::layer::Compression as LayerCompression;
use jettison_oci::types::Platform;
use jettison_python::lock::{Locked, Selection, Source as LockedSource};
use jettison_python::project::Project;
use jettison_python::{Tags, Version};
use jettison_tree::{Digest, Entry, Node, TreePath};

use crate::application::{Application, ApplicationRequest};
use crate::archive::Mirrors;
use crate::bytecode;
use crate::distributions::{self, Before};
use crate::error::BuildError;
use crate::image::{self, Launch};
use crate::index::Indexes;
use crate::interpreter::{Interpreter, Machine as Target};
use crate::job::Job;
use crate::layers::{MadeLayer, OWN_LAYER_BYTES, OWN_LAYERS, PlannedLayer};
use crate::lockfile::{LockFile, Profile};
use crate::machine::Machine;
use crate::optional;
use crate::part::{Cut, Owner, Part};
use crate::report::*;
use crate::resolve::{self, Resolver};
use crate::rootfs;
use crate::sdist::Builder;
use crate::settings::{Bytecode, Compression, Settings, Trim};
use crate::system::{self, Archives, Base};
use crate::verify::{self, Verification};

/// The time of everything in an image, unless `SOURCE_DATE_EPOCH` says otherwise: the first that zip files can hold,
/// 1980-01-01. Changing this changes every layer digest.
pub const DEFAULT_EPOCH: u64 = 315_532_800;
/// The user that an image runs as, and its group.
const USER: u32 = 65_532;
const USER_NAME: &str = "nonroot";
const WORKDIR: &str = "/app";
/// What the full `python` image weighs unpacked, by the article that this project grew from: 1.02 GB.
const FULL_PYTHON_BYTES: u64 = 1_020_000_000;

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

/// Everything of an image but the project: it stays the same when only the project's own files change.
struct Foundation {
    interpreter: Interpreter,
    layers: Vec<(MadeLayer, bool)>,
    /// Distributions with their importable modules.
    modules: Vec<(String, Vec<String>)>,
    /// Sources that bytecode can be made of, with their digests.
    sources: BTreeMap<TreePath, Digest>,
    cuts: Vec<CutReport>,
    /// Identity of interpreter and distributions, for the profile.
    identity: Digest,
}

impl Flow<'_> {
    fn run(&self) -> Result<Built, BuildError> {
        let (job, request) = (self.job, self.request);
        let settings = &request.settings;
        let project = job.stop("read the project", || Project::read(&request.root).map_err(BuildError::from))?;
        let target = Target::of_oci(&self.platform.architecture)?;
        let python = python_version(&project, settings)?;
        let suite = base_suite(settings, &python)?;
        let archives = Archives::new(job, Mirrors::of(job.machine), suite, target);
        let before = LockFile::read(&request.root)?;
        let mut lock = before.clone();
        let account = account(settings)?;
        let trim = settings.trim.unwrap_or_default();
        let platform_name = self.platform.to_string();
        let kept = |map: &BTreeMap<String, crate::lockfile::LockedPackages>| {
            map.get(&platform_name).filter(|_| !request.upgrade).cloned()
        };

        let base = job.stop("base", || {
            Base::choose(job, &archives, &python, kept(&before.base).as_ref(), request.locked, trim)
        })?;
        lock.base.insert(platform_name.clone(), base.packages.clone());
        let (base_plan, unreached) = base.layer(&account, trim)?;
        let base_layer = self.make_layers(vec![base_plan.clone()])?.remove(0);

        let indexes = Indexes::new(
            job.machine,
            request.index_url.clone(),
            request.extra_index_urls.clone(),
            request.find_links.clone(),
        );
        let native = target.arch.as_str() == job.machine.machine;
        let tools_root = match native {
            true => rootfs::of_parts(job.store, &base.parts, &base.made)?,
            false => self.native_base(&python, suite, &before, trim)?,
        };
        let resolver = Resolver {
            interpreter: &base.interpreter,
            rootfs: std::slice::from_ref(&tools_root),
            indexes: &indexes,
            extras: settings.extras.as_deref().unwrap_or_default(),
            groups: settings.groups.as_deref().unwrap_or_default(),
            uv: request.uv.as_deref(),
            locked: request.locked,
            upgrade: request.upgrade,
        };
        let tags = Tags::for_target(&base.interpreter.target(target.arch));
        let locked = job.stop("resolve", || self.locked(&project, &resolver, &tags))?;

        let no_builds = BTreeMap::new();
        let builder = Builder {
            job,
            base: &base,
            archives: &archives,
            resolver: &resolver,
            asked: settings.build_packages.as_ref().unwrap_or(&no_builds),
            locked_only: request.locked,
            epoch: self.epoch(),
        };
        let tools_before = kept(&before.builder);
        let before_sdists = Before {
            sdists: before.sdist.get(&platform_name).filter(|_| !request.upgrade),
            tools: tools_before.as_ref(),
        };
        let installed = job.stop("distributions", || {
            distributions::install(job, &locked, &tags, &indexes, &builder, &before_sdists, trim)
        })?;
        set(&mut lock.sdist, &platform_name, installed.sdists.clone(), BTreeMap::is_empty);
        match installed.tools.clone() {
            Some(tools) => drop(lock.builder.insert(platform_name.clone(), tools)),
            None => drop(lock.builder.remove(&platform_name)),
        }

        let names: Vec<String> = installed.parts.iter().map(|part| part.facts.owner.name.clone()).collect();
        let workdir = settings.workdir.clone().unwrap_or_else(|| WORKDIR.to_owned());
        let application = job.stop("application", || {
            let wanted = ApplicationRequest {
                project: &project,
                settings,
                distributions: &names,
                workdir: &workdir,
                interpreter: &base.interpreter,
            };
            Application::read(job, &wanted)
        })?;

        let libraries = job.stop("libraries", || {
            let with = settings.with.as_deref().unwrap_or_default();
            let locked_before = kept(&before.libraries);
            let libraries = system::libraries(
                job,
                &archives,
                &base,
                &installed.parts,
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

        let foundation = job.stop("layers", || {
            let library_plan = system::libraries_layer(&base, &base_plan, &libraries, trim)?;
            let mut plans = vec![library_plan];
            plans.extend(self.distribution_layers(&installed.parts)?);
            plans.retain(|plan| !plan.is_empty());
            let mut sources = sources_of(&base_plan, &base.interpreter);
            plans.iter().for_each(|plan| sources.extend(sources_of(plan, &base.interpreter)));
            let mut layers = vec![base_layer];
            layers.extend(self.make_layers(plans)?);
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
            let identity = identity(&base.interpreter, &sources);
            Ok(Foundation { interpreter: base.interpreter.clone(), layers, modules, sources, cuts, identity })
        })?;

        let application_layer = self.make_layers(vec![application.layer.clone()])?.remove(0);
        let launch = self.launch(&project, &application, &account, &workdir);
        let bytecode = settings.bytecode.unwrap_or_default();
        let mut profile = before.profile.clone().filter(|profile| profile.of == foundation.identity);
        let verifying = settings.verify.as_ref().and_then(|verify| verify.enabled).unwrap_or(true);

        // Without a profile the image is verified once as it is, to see what it loads.
        if verifying && native && bytecode == Bytecode::Profiled && profile.is_none() {
            let layers: Vec<_> =
                foundation.layers.iter().chain([&application_layer]).map(|(layer, _)| layer.clone()).collect();
            let verified = job.stop("profile", || self.verify(&foundation, &application, &launch, &layers, true))?;
            let known = |path: &String| TreePath::parse(path).is_ok_and(|path| foundation.sources.contains_key(&path));
            let sources = verified.opened.into_iter().filter(known).collect();
            profile = Some(Profile { of: foundation.identity, sources });
        }
        let wanted: BTreeSet<TreePath> = match (bytecode, &profile) {
            (Bytecode::None, _) | (Bytecode::Profiled, None) => BTreeSet::new(),
            (Bytecode::Profiled, Some(profile)) => {
                profile.sources.iter().filter_map(|path| TreePath::parse(path).ok()).collect()
            }
            (Bytecode::Compiled | Bytecode::Only, _) => foundation.sources.keys().cloned().collect(),
        };
        let compiled = job.stop("bytecode", || self.bytecode_layer(&foundation, &wanted, &tools_root, native))?;
        let mut layers = foundation.layers.clone();
        layers.extend(compiled);
        layers.push(application_layer);
        lock.profile = profile.or(before.profile.clone());

        let made: Vec<MadeLayer> = layers.iter().map(|(layer, _)| layer.clone()).collect();
        let image = image::assemble(self.store, self.platform, &foundation.interpreter, &launch, &made, self.epoch())?;
        let mut not_verified = None;
        let verify = match (verifying, native) {
            (false, _) => {
                not_verified = Some("it was switched off".to_owned());
                None
            }
            (true, false) => {
                not_verified = Some(format!("{} does not run on this machine", self.platform));
                None
            }
            (true, true) => {
                Some(job.stop("verify", || self.verified(&foundation, &application, &launch, &made, &image))?)
            }
        };
        if lock != before {
            lock.write(&request.root)
                .map(drop)
                .unwrap_or_else(|error| job.warn(format!("what was chosen is not kept: {error}")));
        }
        let names = names_of(&project, settings, &request.root);
        image::keep(self.store, &image, &names)?;
        let report = self.report(&foundation, &application, &launch, &layers, &image, verify, not_verified, names);
        Ok(Built { image, report })
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
        if !crate::application::is_plain(project)
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

    /// The base of this machine with the same Python, for what has to run while an image for another machine is built.
    fn native_base(&self, python: &str, suite: &str, before: &LockFile, trim: Trim) -> Result<Snapshot, BuildError> {
        let architecture = match self.job.machine.machine.as_str() {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let target = Target::of_oci(architecture)?;
        let archives = Archives::new(self.job, Mirrors::of(self.job.machine), suite, target);
        let locked = before.base.get(&format!("linux/{architecture}"));
        let base = Base::choose(self.job, &archives, python, locked, false, trim)?;
        rootfs::of_parts(self.job.store, &base.parts, &base.made)
    }

    /// Makes layers, and says of each whether it was there already.
    fn make_layers(&self, plans: Vec<PlannedLayer>) -> Result<Vec<(MadeLayer, bool)>, BuildError> {
        let compression = match self.request.settings.compression.unwrap_or_default() {
            Compression::Gzip => LayerCompression::GZIP,
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

    fn launch(&self, project: &Project, application: &Application, account: &Account, workdir: &str) -> Launch {
        let settings = &self.request.settings;
        let mut env: BTreeMap<String, String> = application.findings.env.iter().cloned().collect();
        env.extend(settings.env.clone().unwrap_or_default());
        Launch {
            argv: application.findings.argv.clone(),
            port: application.findings.port,
            user: format!("{}:{}", account.uid, account.gid),
            workdir: workdir.to_owned(),
            home: account.home.clone(),
            python_path: application.python_path.clone(),
            env,
            labels: settings.labels.clone().unwrap_or_default(),
            title: project.name.as_ref().map(ToString::to_string),
            version: project.version.clone(),
        }
    }

    fn bytecode_layer(
        &self,
        foundation: &Foundation,
        wanted: &BTreeSet<TreePath>,
        tools_root: &Snapshot,
        native: bool,
    ) -> Result<Option<(MadeLayer, bool)>, BuildError> {
        if wanted.is_empty() {
            return Ok(None);
        }
        let mut snapshots = Vec::new();
        for (layer, _) in foundation.layers.iter().rev() {
            snapshots.push(rootfs::of_layer(self.job.store, layer)?);
        }
        if !native {
            // The sources are the target's; what runs is this machine's.
            snapshots.insert(0, tools_root.clone());
        }
        let lower: Vec<PathBuf> = snapshots.iter().map(|snapshot| snapshot.path.clone()).collect();
        let sources = foundation.sources.iter().filter(|(path, _)| wanted.contains(*path));
        let sources = sources.map(|(path, digest)| (path.clone(), *digest)).collect();
        let compiled = bytecode::compile(
            self.job,
            &bytecode::Wanted { interpreter: &foundation.interpreter, lower: &lower, sources },
        )?;
        let owner = Owner {
            kind: OwnerKind::Bytecode,
            name: format!("bytecode of {} modules", compiled.len()),
            version: String::new(),
        };
        let mut plan = PlannedLayer::new("bytecode");
        for (_, entry) in compiled {
            plan.replace(entry, &owner);
        }
        if plan.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.make_layers(vec![plan])?.remove(0)))
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
        let lower: Vec<PathBuf> = snapshots.iter().map(|snapshot| snapshot.path.clone()).collect();
        let owners: Vec<_> = snapshots.iter().rev().flat_map(|snapshot| snapshot.owners.iter().cloned()).collect();
        let provided = foundation.modules.iter().flat_map(|(_, modules)| modules.iter().cloned()).collect();
        let (uid, gid) = ids(&launch.user)?;
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

    #[expect(clippy::too_many_arguments, reason = "each is a section of the report")]
    fn report(
        &self,
        foundation: &Foundation,
        application: &Application,
        launch: &Launch,
        layers: &[(MadeLayer, bool)],
        image: &Image,
        verify: Option<VerifyReport>,
        not_verified: Option<String>,
        names: Vec<String>,
    ) -> Report {
        let mut owners: BTreeMap<Owner, (u64, u64)> = BTreeMap::new();
        for (layer, _) in layers {
            for ((owner, bytes), compressed) in layer.owners.iter().zip(shares(layer)) {
                let sum = owners.entry(owner.clone()).or_default();
                sum.0 += bytes;
                sum.1 += compressed;
            }
        }
        let mut owners: Vec<OwnerReport> = owners
            .into_iter()
            .map(|(owner, (bytes, compressed_bytes))| OwnerReport {
                kind: owner.kind,
                name: owner.name,
                version: owner.version,
                bytes,
                compressed_bytes,
            })
            .collect();
        owners.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        let of = |kinds: &[OwnerKind]| -> u64 {
            owners.iter().filter(|owner| kinds.contains(&owner.kind)).map(|owner| owner.bytes).sum()
        };
        let cut_of_distributions: u64 = foundation
            .cuts
            .iter()
            .filter(|cut| foundation.modules.iter().any(|(name, _)| *name == cut.owner))
            .map(|cut| cut.bytes)
            .sum();
        // pip compiles every module, which takes about as much again as the sources.
        let distributions = of(&[OwnerKind::Distribution]);
        let (major, minor) = foundation.interpreter.minor();
        let naive = NaiveEstimate {
            base: format!("python:{major}.{minor}"),
            unpacked_bytes: FULL_PYTHON_BYTES
                + distributions
                + cut_of_distributions
                + distributions / 3
                + of(&[OwnerKind::Application]),
            estimate: true,
        };
        Report {
            digest: image.descriptor().digest,
            names,
            platform: self.platform.to_string(),
            command: StartReport {
                argv: launch.argv.clone(),
                port: launch.port,
                reason: application.findings.reason.clone(),
            },
            compressed_bytes: layers.iter().map(|(layer, _)| layer.blob.compressed_bytes).sum(),
            unpacked_bytes: layers.iter().map(|(layer, _)| layer.content_bytes).sum(),
            layers: layers
                .iter()
                .map(|(layer, cached)| LayerReport {
                    digest: layer.blob.digest,
                    diff_id: layer.blob.diff_id.tar_digest(),
                    compressed_bytes: layer.blob.compressed_bytes,
                    unpacked_bytes: layer.content_bytes,
                    tar_bytes: layer.blob.unpacked_bytes,
                    created_by: layer.created_by.clone(),
                    cached: *cached,
                })
                .collect(),
            owners,
            cuts: foundation.cuts.clone(),
            left_out: application.left_out.clone(),
            naive,
            verify,
            not_verified,
            warnings: self.job.warnings(),
            timings: self.job.timings(),
        }
    }
}

/// What of a layer's blob belongs to each of its owners, by their bytes; the sum is that of the blob.
fn shares(layer: &MadeLayer) -> Vec<u64> {
    let total: u64 = layer.owners.iter().map(|(_, bytes)| bytes).sum();
    let mut left = layer.blob.compressed_bytes;
    let mut left_bytes = total;
    let share = |(_, bytes): &(Owner, u64)| {
        let share =
            if left_bytes == 0 { 0 } else { (u128::from(left) * u128::from(*bytes) / u128::from(left_bytes)) as u64 };
        left -= share;
        left_bytes -= bytes;
        share
    };
    layer.owners.iter().map(share).collect()
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
    let is_source = |entry: &&Entry| {
        entry.path.as_bytes().ends_with(b".py")
            && (entry.path.is_below(interpreter.stdlib.as_bytes())
                || entry.path.is_below(interpreter.site_packages.as_bytes()))
    };
    let sources = plan.tree().iter().filter(is_source);
    sources
        .filter_map(|entry| match &entry.node {
            Node::File(content) => Some((entry.path.clone(), content.digest())),
            _ => None,
        })
        .collect()
}

fn identity(interpreter: &Interpreter, sources: &BTreeMap<TreePath, Digest>) -> Digest {
    let mut key = CacheKey::builder("profile/1").field("python", interpreter.version.to_string());
    for (path, digest) in sources {
        key = key.field("path", path.as_bytes()).digest("source", *digest);
    }
    Digest::from_bytes(*key.finish().as_bytes())
}

/// `3.13`: as asked for, as the project pins it, or the newest stable one that it allows.
fn python_version(project: &Project, settings: &Settings) -> Result<String, BuildError> {
    let minor = |text: &str| -> Option<String> {
        let version: Version = text.parse().ok()?;
        let (major, minor) = (version.release().first()?, version.release().get(1)?);
        Some(format!("{major}.{minor}"))
    };
    if let Some(asked) = &settings.python {
        return minor(asked).ok_or_else(|| {
            BuildError::new(format!("`{asked}` is no version of Python"))
                .hint("give two or three numbers, such as 3.13")
        });
    }
    let allows = |python: &str| {
        let newest: Option<Version> = format!("{python}.99").parse().ok();
        let range = project.requires_python.as_ref();
        range.is_none_or(|range| newest.is_some_and(|version| range.allows(&version)))
    };
    if let Some(pin) = &project.python_pin
        && let [major, minor, ..] = pin.version.release()
    {
        if pin.free_threaded {
            return Err(BuildError::new(format!("{}: free-threaded Python is not in Debian", pin.place)));
        }
        return Ok(format!("{major}.{minor}"));
    }
    let stable = jettison_debian::suite::Suite::stable();
    let older =
        jettison_debian::suite::SUITES.iter().rev().filter(|suite| suite.number.is_some()).map(|suite| suite.python);
    let newer = jettison_debian::suite::SUITES
        .iter()
        .filter(|suite| suite.number.is_none())
        .flat_map(|suite| std::iter::once(suite.python).chain(suite.other_pythons.iter().copied()));
    let mut candidates = std::iter::once(stable.python).chain(older).chain(newer);
    candidates.find(|python| allows(python)).map(str::to_owned).ok_or_else(|| {
        let range = project.requires_python.as_ref().map_or("", |range| &range.text);
        BuildError::new(format!("no Debian suite has a Python that the project allows ({range})"))
            .hint("give an interpreter with --base docker://python:3.12-slim or --base archive:URL#sha256=DIGEST")
    })
}

fn base_suite(settings: &Settings, python: &str) -> Result<&'static str, BuildError> {
    let base = settings.base.as_deref().unwrap_or("debian");
    let asked = match base.split_once(':') {
        None if base == "debian" => None,
        Some(("debian", suite)) => Some(suite),
        _ => {
            return Err(BuildError::new(format!("`{base}` is no base that this version builds on"))
                .hint("leave --base out, or give debian:SUITE"));
        }
    };
    Ok(system::suite_for(python, asked)?.codename)
}

fn account(settings: &Settings) -> Result<Account, BuildError> {
    let (uid, gid) = match &settings.user {
        None => (USER, USER),
        Some(user) => ids(user)?,
    };
    let (name, home) = if uid == 0 { ("root", "/root") } else { (USER_NAME, "/home/nonroot") };
    Ok(Account { name: name.to_owned(), uid, gid, home: home.to_owned() })
}

fn ids(user: &str) -> Result<(u32, u32), BuildError> {
    let (uid, gid) = user.split_once(':').unwrap_or((user, user));
    match (uid.parse(), gid.parse()) {
        (Ok(uid), Ok(gid)) => Ok((uid, gid)),
        _ => Err(BuildError::new(format!("`{user}` is no user")).hint("give numbers, such as 65532 or 65532:65532")),
    }
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
