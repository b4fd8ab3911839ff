//! The distributions of an image: from what is locked to installed files.
//!
//! 1. Every file is brought into the store: by its URL, from its path, or found on the pages of an index by its hash.
//! 2. Where something has no wheel, what builds take ([`Builder`]) is fetched and unpacked meanwhile.
//! 3. One graph builds what has no wheel and installs each wheel into a part of its own.

use std::collections::BTreeMap;
use std::fs;

use jettison_engine::graph::{StageGraph, StepId};
use jettison_python::lock::{Artifact, Location, Locked, Source as LockedSource};
use jettison_python::requirements::FormatControl;
use jettison_python::sdist::SdistFilename;
use jettison_python::{NormalizedName, Tags, simple};

use crate::error::{BuildError, Context as _};
use crate::fetch::{Wanted, fetch_all};
use crate::git::GitRoom;
use crate::index::{Indexes, page};
use crate::job::Job;
use crate::lockfile::{LockedPackage, LockedPackages, LockedSdist};
use crate::part::Part;
use crate::sdist::source::Source;
use crate::sdist::{Builder, Environment, Prepared, solve_with_retries};
use crate::settings::Trim;
use crate::unpack::{UnpackWheel, WheelFile};

/// A distribution whose file is in the store.
enum Ready {
    Wheel(WheelFile),
    Source(Source),
}

/// The distributions with their files, and what those that are built are built in.
type Files<'l> = (Vec<(&'l Locked, Ready)>, Vec<(&'l str, Environment)>);

/// What is installed, and what of it is to be locked.
pub struct Installed {
    /// The distributions, by name.
    pub parts: Vec<Part>,
    /// What was built from source, by `name version`.
    pub sdists: BTreeMap<String, LockedSdist>,
    /// The builder, where something was built.
    pub tools: Option<LockedPackages>,
    /// The Debian packages that the builds were given, the builder's own last.
    pub built_with: Vec<LockedPackage>,
}

/// What was locked of earlier builds from source.
pub struct Before<'a> {
    /// By `name version`.
    pub sdists: Option<&'a BTreeMap<String, LockedSdist>>,
    /// The builder.
    pub tools: Option<&'a LockedPackages>,
}

/// Installs what is locked.
pub fn install(
    job: &Job<'_>,
    locked: &[Locked],
    tags: &Tags,
    indexes: &Indexes,
    builder: &Builder<'_>,
    before: &Before<'_>,
    trim: Trim,
) -> Result<Installed, BuildError> {
    let scratch = job.store.scratch()?;
    let chosen = choose_files(job, locked, tags, indexes)?;
    let label = |one: &Locked| match &one.version {
        Some(version) => format!("{} {version}", one.name),
        None => one.name.to_string(),
    };
    let built: Vec<&Locked> = chosen.iter().filter(|(_, file)| is_built(file.as_ref())).map(|(one, _)| *one).collect();
    if !built.is_empty() && builder.base.machine.arch.as_str() != job.machine.machine {
        return Err(BuildError::new(format!(
            "{} must be built from source, which takes a machine of the target's kind ({})",
            built.iter().map(|one| label(one)).collect::<Vec<_>>().join(", "),
            builder.base.machine.arch
        ))
        .hint("build on such a machine, or take distributions that have wheels for it"));
    }
    let locked_build = |one: &Locked| before.sdists.and_then(|sdists| sdists.get(&label(one)));
    let builds: Vec<_> = built.iter().map(|one| (one.name.as_str(), locked_build(one))).collect();
    let files = || -> Result<Files<'_>, BuildError> {
        let wanted: Vec<Wanted> = chosen.iter().filter_map(|(_, file)| file.as_ref()?.wanted.clone()).collect();
        fetch_all(job, &wanted)?;
        let (mut ready, mut environments) = (Vec::new(), Vec::new());
        for (one, file) in &chosen {
            let file = make_ready(job, builder.git, one, file.as_ref(), scratch.path())?;
            if let Ready::Source(source) = &file {
                let version = one.version.as_ref().map(ToString::to_string);
                let name = one.name.as_str();
                let environment = builder.environment(name, source.clone(), version.as_deref(), locked_build(one))?;
                environments.push((one.name.as_str(), environment));
            }
            ready.push((*one, file));
        }
        Ok((ready, environments))
    };
    let (files, rooms) = if builds.is_empty() {
        (files(), None)
    } else {
        let (files, rooms) = job.both(files, || builder.rooms(before.tools, &builds));
        (files, Some(rooms))
    };
    let (ready, environments) = files?;
    let rooms = rooms.transpose()?;
    let mut prepared: Vec<Prepared> = Vec::new();
    for (name, environment) in environments {
        if let Some(rooms) = &rooms {
            prepared.push(builder.prepare(name, environment, rooms)?);
        }
    }
    let layout = builder.base.interpreter.layout()?;
    let rebuild = |prepared: &[Prepared]| -> (StageGraph, Vec<StepId>) {
        let mut graph = StageGraph::new();
        let mut targets = Vec::new();
        // What is built takes longest: its steps come first.
        let mut order: Vec<usize> = (0..ready.len()).collect();
        order.sort_by_key(|&at| matches!(ready[at].1, Ready::Wheel(_)));
        for at in order {
            let (one, file) = &ready[at];
            let unpack = |file| UnpackWheel {
                name: one.name.to_string(),
                file,
                layout: layout.clone(),
                trim,
                direct_url: one.direct_url.as_ref().map(ToString::to_string),
            };
            let step = match file {
                Ready::Wheel(file) => graph.add(format!("install {}", one.name), &[], unpack(Some(file.clone()))),
                Ready::Source(_) => {
                    let prepared = prepared.iter().find(|prepared| prepared.name == one.name.as_str());
                    let Some(prepared) = prepared else { continue };
                    let Some(rooms) = &rooms else { continue };
                    let built = builder.add_steps(&mut graph, prepared, &rooms.tools);
                    graph.add(format!("install {}", one.name), &[built], unpack(None))
                }
            };
            targets.push(step);
        }
        (graph, targets)
    };
    let outputs = match &rooms {
        Some(rooms) => solve_with_retries(builder, &mut prepared, &rooms.tools, rebuild)?,
        None => {
            let (graph, targets) = rebuild(&[]);
            job.solve(&graph, &targets)?
        }
    };
    let mut parts =
        outputs.iter().map(|output| Part::open(job.store, output.get()?)).collect::<Result<Vec<_>, BuildError>>()?;
    parts.sort_by(|a, b| a.facts.owner.cmp(&b.facts.owner));
    let mut sdists = BTreeMap::new();
    for one in built {
        if let Some(prepared) = prepared.iter().find(|prepared| prepared.name == one.name.as_str()) {
            sdists.insert(label(one), prepared.locked());
        }
    }
    let tools = rooms.map(|rooms| rooms.tools);
    let built_with = prepared.iter().flat_map(Prepared::packages).chain(tools.iter().flat_map(|tools| &tools.package));
    let built_with = built_with.cloned().collect();
    Ok(Installed { parts, sdists, tools, built_with })
}

/// A file of a distribution, chosen.
struct Chosen {
    artifact: Artifact,
    subdirectory: Option<String>,
    /// What to fetch; `None` for what is on this machine.
    wanted: Option<Wanted>,
}

/// Whether a distribution is built from source: it has no file, or one that is no wheel.
fn is_built(file: Option<&Chosen>) -> bool {
    file.is_none_or(|file| !file.artifact.is_wheel())
}

/// Finds out where the file of each distribution is. Directories and repositories have none.
fn choose_files<'l>(
    job: &Job<'_>,
    locked: &'l [Locked],
    tags: &Tags,
    indexes: &Indexes,
) -> Result<Vec<(&'l Locked, Option<Chosen>)>, BuildError> {
    job.each(8, locked, |one| {
        let (artifact, subdirectory) = match &one.source {
            LockedSource::Wheel(artifact) => (artifact.clone(), None),
            LockedSource::Sdist { artifact, subdirectory, no_wheel } => {
                if let Some(why) = no_wheel {
                    job.warn(format!("{} is built from source: {why}", one.name));
                }
                (artifact.clone(), subdirectory.clone())
            }
            LockedSource::Listed { hashes } => {
                (on_index(job, one, &one.name, simple::Wanted::Listed(hashes), tags, indexes)?, None)
            }
            LockedSource::Directory { .. } | LockedSource::Git(_) => return Ok((one, None)),
        };
        let artifact = match artifact.location {
            Location::Index => {
                let there = job.store.has(artifact.sha256)?;
                if there {
                    artifact
                } else {
                    on_index(job, one, &one.name, simple::Wanted::File(&artifact), tags, indexes)?
                }
            }
            _ => artifact,
        };
        let wanted = match &artifact.location {
            Location::Url(url) => Some(Wanted {
                name: artifact.filename.clone(),
                urls: vec![url.clone()],
                digest: artifact.sha256,
                size: artifact.size,
            }),
            Location::Path(_) | Location::Index => None,
        };
        Ok((one, Some(Chosen { artifact, subdirectory, wanted })))
    })
}

fn on_index(
    job: &Job<'_>,
    one: &Locked,
    name: &NormalizedName,
    wanted: simple::Wanted<'_>,
    tags: &Tags,
    indexes: &Indexes,
) -> Result<Artifact, BuildError> {
    let urls = one.index.clone().map_or_else(|| indexes.urls(), |index| vec![index]);
    let all = FormatControl::default;
    let mut last = None;
    for url in &urls {
        match simple::choose(&page(job, url, name.as_str())?, name, wanted, tags, &all(), &all()) {
            Ok(artifact) => return Ok(artifact),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(BuildError::from(error)).context(urls.join(", ")),
        None => Err(BuildError::new(format!("there is no index to look for {name} on"))),
    }
}

fn make_ready(
    job: &Job<'_>,
    room: &GitRoom<'_>,
    one: &Locked,
    chosen: Option<&Chosen>,
    scratch: &std::path::Path,
) -> Result<Ready, BuildError> {
    let Some(Chosen { artifact, subdirectory, .. }) = chosen else {
        return Ok(Ready::Source(match &one.source {
            LockedSource::Directory { path, .. } => Source::local(job, room, path, &scratch.join(one.name.as_str()))?,
            LockedSource::Git(git) => Source::git(job, room, git, &scratch.join(one.name.as_str()))?,
            _ => return Err(BuildError::new(format!("nothing says where {} is", one.name))),
        }));
    };
    if let Location::Path(path) = &artifact.location {
        let file = fs::File::open(path).context(path.display())?;
        job.store.put(file, Some(artifact.sha256)).context(path.display())?;
    }
    if artifact.is_wheel() {
        return Ok(Ready::Wheel(WheelFile { filename: artifact.filename.clone(), digest: artifact.sha256 }));
    }
    let filename =
        SdistFilename::parse_for(&artifact.filename, &one.name).map_err(|error| BuildError::new(error.to_string()))?;
    Ok(Ready::Source(Source::sdist(filename, artifact.sha256, subdirectory.clone())))
}
