//! What an image stands on: an interpreter with its C library, from one of three places behind one interface.
//!
//! 1. [`Source::parse`] reads `--base`.
//! 2. [`choose`] makes the [`Base`]: of Debian packages ([`debian`]), of an archive with an interpreter and the Debian
//!    libraries below it ([`archive`]), or of an image that stays as it is ([`image`]).
//! 3. [`Base::layer`] is the layer that is the same for every project on it.

pub mod archive;
mod debian;
pub mod image;
pub mod records;
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jettison_debian::made::{self, Account, Alternative};
use jettison_engine::store::Snapshot;
use jettison_oci::transport::Transport;
use jettison_python::Version;
use jettison_python::project::Project;
use jettison_tree::{Content, Digest, Entry, TreePath};

use crate::archive::Mirrors;
use crate::choices;
use crate::error::BuildError;
use crate::interpreter::{Interpreter, Machine};
use crate::job::Job;
use crate::layers::PlannedLayer;
use crate::link::{Linked, Present, link};
use crate::lockfile::{LockFile, LockedImage, LockedPackages};
use crate::optional;
use crate::part::{Cut, Owner, Part};
use crate::rootfs;
use crate::settings::{Settings, Trim};
use crate::system::{self, Archives};

pub use archive::ArchiveFile;
pub use image::BaseImage;

/// Where a base comes from: the value of `--base`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `debian[:suite]`
    Debian(Option<String>),
    /// `archive:URL#sha256=HEX`, `archive:PATH`
    Archive(ArchiveFile),
    /// `oci:PATH[:tag]`, `docker://REFERENCE` and the other places of images, or a bare reference.
    Image(Transport),
}

impl Source {
    /// Parses the value of `--base`. Paths are relative to `root`.
    pub fn parse(text: &str, root: &std::path::Path) -> Result<Self, BuildError> {
        const HINT: &str = "such as debian:trixie, python:3.12-slim, oci:DIRECTORY:TAG or archive:URL#sha256=DIGEST";
        let (kind, rest) = text.split_once(':').map_or((text, None), |(kind, rest)| (kind, Some(rest)));
        match (kind, rest) {
            ("debian", None) => Ok(Self::Debian(None)),
            // `debian:trixie-slim` is the name of an image, and one without an interpreter.
            ("debian", Some(suite)) => Ok(Self::Debian(Some(suite.to_owned()))),
            ("archive", Some(place)) => ArchiveFile::parse(place, root).map(Self::Archive),
            ("oci" | "oci-archive" | "docker-archive" | "docker" | "docker-daemon" | "dir", Some(_)) => {
                let place = match Transport::parse(text)? {
                    Transport::Oci { path, name } => Transport::Oci { path: root.join(path), name },
                    Transport::OciArchive { path, name } => Transport::OciArchive { path: root.join(path), name },
                    Transport::DockerArchive { path, name } => Transport::DockerArchive { path: root.join(path), name },
                    Transport::Dir(path) => Transport::Dir(root.join(path)),
                    elsewhere => elsewhere,
                };
                Ok(Self::Image(place))
            }
            _ => match jettison_oci::reference::Reference::parse(text) {
                Ok(reference) => Ok(Self::Image(Transport::Registry(reference))),
                Err(error) => Err(BuildError::new(format!("`{text}` is no base: {error}")).hint(HINT)),
            },
        }
    }

    /// The source that the settings of the project at `root` name.
    pub fn of(settings: &Settings, root: &std::path::Path) -> Result<Self, BuildError> {
        let text = settings.base.as_deref().unwrap_or("debian");
        let source = Self::parse(text, root)?;
        match source.path().filter(|path| !path.exists()) {
            None => Ok(source),
            Some(path) => Err(BuildError::new(format!("base {text}: there is no `{}`", path.display())).hint(
                "a path given by --base is relative to the directory you are in, one in a settings file to the project",
            )),
        }
    }

    /// The value of `--base` as if it had been written in the directory `root`, and not in `here`: a path in it is relative.
    pub fn seen_from(text: &str, here: &std::path::Path, root: &std::path::Path) -> String {
        let is_url = |place: &str| place.starts_with("http://") || place.starts_with("https://");
        let place = match text.split_once(':') {
            Some(("archive", place)) if !is_url(place) => place.strip_prefix("file://").unwrap_or(place),
            Some(("oci" | "oci-archive" | "docker-archive" | "dir", place)) => place,
            _ => return text.to_owned(),
        };
        if place.is_empty() {
            return text.to_owned();
        }
        let kind = text.split(':').next().unwrap_or_default();
        let path = here.join(place);
        // What lies in the project is named as the project's own settings would name it, wherever the project is.
        format!("{kind}:{}", path.strip_prefix(root).unwrap_or(&path).display())
    }

    /// Where it lies on this machine.
    fn path(&self) -> Option<&std::path::Path> {
        match self {
            Self::Archive(file) => file.path(),
            Self::Image(
                Transport::Oci { path, .. }
                | Transport::OciArchive { path, .. }
                | Transport::DockerArchive { path, .. }
                | Transport::Dir(path),
            ) => Some(path),
            Self::Debian(_) | Self::Image(_) => None,
        }
    }

    /// The digest of what now is at a place of this machine, since its name says nothing about it. `None` for other places,
    /// of which the lock says the digest.
    pub fn local_digest(&self) -> Result<Option<Digest>, BuildError> {
        match self {
            Self::Archive(file) => file.local_digest(),
            Self::Image(Transport::Oci { path, name } | Transport::OciArchive { path, name }) => {
                let layout = jettison_oci::media::layout::Layout::open(path)?;
                Ok(Some(layout.read(name.as_deref())?.descriptor().digest))
            }
            Self::Image(Transport::DockerArchive { path, .. }) => archive::digest_of_file(path).map(Some),
            Self::Image(Transport::Dir(path)) => {
                let content = jettison_oci::media::dir::read_dir(path)?;
                Ok(Some(content.descriptor().digest))
            }
            Self::Debian(_) | Self::Image(_) => Ok(None),
        }
    }
}

/// What every project with one interpreter stands on.
pub struct Base {
    /// The machine.
    pub machine: Machine,
    /// The interpreter.
    pub interpreter: Interpreter,
    /// The Debian packages: those that were put in, or those that the image has.
    pub packages: LockedPackages,
    /// What is put in, unpacked.
    pub parts: Vec<Part>,
    /// What maintainer scripts would have made.
    pub made: Vec<Entry>,
    /// The image below, where there is one.
    pub image: Option<image::Below>,
    /// The package with the headers of the interpreter; `None` where it has them itself.
    pub headers: Option<String>,
    /// What the history says of the layer.
    created_by: String,
}

/// The surroundings in which a base is chosen.
pub struct Choosing<'a> {
    /// The surroundings of the build.
    pub job: &'a Job<'a>,
    /// What the base must suit.
    pub project: &'a Project,
    /// See `project`.
    pub settings: &'a Settings,
    /// Where registries are, and who may read there.
    pub registry: &'a jettison_oci::registry::Registry,
    /// What the image is for.
    pub machine: Machine,
    /// See `machine`.
    pub platform: &'a jettison_oci::types::Platform,
    /// What was chosen before.
    pub before: &'a LockFile,
    /// Refuse to choose.
    pub locked_only: bool,
    /// Choose anew.
    pub upgrade: bool,
}

impl Choosing<'_> {
    fn trim(&self) -> Trim {
        self.settings.trim.unwrap_or_default()
    }

    fn locked_packages(&self) -> Option<&LockedPackages> {
        self.before.base.get(&self.platform.to_string()).filter(|_| !self.upgrade)
    }

    fn locked_image(&self) -> Option<&LockedImage> {
        self.before.image.get(&self.platform.to_string()).filter(|_| !self.upgrade)
    }
}

/// The base, and the Debian archive that fits it.
pub fn choose<'a>(choosing: &Choosing<'a>, source: &Source) -> Result<(Base, Archives<'a>), BuildError> {
    let job = choosing.job;
    let mirrors = Mirrors::of(job.machine);
    match source {
        Source::Debian(suite) => {
            let python = choices::python_version(choosing.project, choosing.settings)?;
            let suite = system::suite_for(&python, suite.as_deref())?.codename;
            let archives = Archives::new(job, mirrors, suite, choosing.machine);
            let locked = choosing.locked_packages();
            let base = Base::debian(job, &archives, &python, locked, choosing.locked_only, choosing.trim())?;
            Ok((base, archives))
        }
        Source::Archive(file) => {
            let suite = jettison_debian::suite::Suite::stable().codename;
            let archives = Archives::new(job, mirrors, suite, choosing.machine);
            let base = Base::archive(choosing, &archives, file)?;
            Ok((base, archives))
        }
        Source::Image(place) => {
            let base = Base::of_image(choosing, place)?;
            let archives = match base.image.as_ref().map(|below| &below.scan.system) {
                Some(scan::System::Debian(_)) | None => {
                    Archives::new(job, mirrors, &base.packages.suite, choosing.machine)
                }
                Some(scan::System::Other(name)) => Archives::none(job, name, choosing.machine),
            };
            Ok((base, archives))
        }
    }
}

/// The base of this machine with the same Python, for what has to run while an image for another machine is built.
pub fn native_root(choosing: &Choosing<'_>, source: &Source, python: &Interpreter) -> Result<Roots, BuildError> {
    let architecture = match choosing.job.machine.machine.as_str() {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    if let Source::Archive(file) = source {
        return Err(BuildError::new(format!(
            "`{file}` holds an interpreter for {} alone, and something of the build has to run on {architecture}",
            choosing.machine.arch
        ))
        .hint("build on a machine of the target's kind, or on a base for several: --base debian or an image"));
    }
    let platform = jettison_oci::types::Platform::linux(architecture);
    let native = Choosing {
        machine: Machine::of_oci(architecture)?,
        platform: &platform,
        locked_only: false,
        upgrade: false,
        ..*choosing
    };
    let (base, _) = choose(&native, source)?;
    if base.interpreter.minor() != python.minor() {
        return Err(BuildError::new(format!(
            "the base has Python {} for {architecture} and {} for {}",
            base.interpreter.version, python.version, choosing.machine.arch
        )));
    }
    base.root(choosing.job)
}

/// Directories for the sandbox, the topmost first, there as long as somebody has this.
#[derive(Clone, Default)]
pub struct Roots {
    /// The directories.
    pub paths: Vec<PathBuf>,
    held: Vec<Snapshot>,
    _image: Option<std::sync::Arc<rootfs::Unpacked>>,
}

impl Roots {
    /// One directory.
    pub fn of(snapshot: Snapshot) -> Self {
        Self { paths: vec![snapshot.path.clone()], held: vec![snapshot], _image: None }
    }

    /// With another directory on top.
    pub fn under(mut self, snapshot: Snapshot) -> Self {
        self.paths.insert(0, snapshot.path.clone());
        self.held.push(snapshot);
        self
    }
}

impl Base {
    /// The layer, and the bytes of libraries that were left out of it.
    pub fn layer(&self, account: &Account, trim: Trim) -> Result<(PlannedLayer, Cut), BuildError> {
        let mut layer = PlannedLayer::new(self.created_by.clone());
        if let Some(below) = &self.image {
            let links = below.scan.links_to(&self.interpreter, below.image.path())?;
            for entry in below.scan.account_entries(account)?.into_iter().chain(links) {
                layer.replace(entry, &Owner::image());
            }
            return Ok((layer, Cut::default()));
        }
        for part in &self.parts {
            layer.add_part(part).map_err(|clash| BuildError::new(clash.to_string()))?;
        }
        let accounts = made::accounts(Some(account)).map_err(|error| BuildError::new(error.to_string()))?;
        for entry in self.made.iter().cloned().chain(accounts) {
            layer.replace(entry, &Owner::image());
        }
        let mut cut = Cut::default();
        if trim != Trim::None {
            let stdlib = &self.interpreter.stdlib;
            let is_optional = |path: &TreePath| optional::module_of(path, stdlib).is_some();
            layer.retain(|entry| !is_optional(&entry.path) && !entry.path.is_below(archive::HEADERS));
            let present = Present::default();
            let linked = link(self.machine, &self.interpreter, &present, &self.parts, &[], &self.made, &is_optional)?;
            drop_unreached(&mut layer, &linked, &mut cut);
            layer.retain(|entry| !is_embeddable(&entry.path) || linked.is_needed(&entry.path));
            // Their bundle is in.
            layer.retain(|entry| !entry.path.is_below("usr/share/ca-certificates"));
            let parts: Vec<&Part> = self.parts.iter().collect();
            records::settle(&mut layer, None, &parts, &self.packages.roots)?;
        }
        let directories: BTreeSet<TreePath> = self.made.iter().map(|entry| entry.path.clone()).collect();
        let home = TreePath::parse(&account.home)?;
        layer.drop_empty_directories(|entry| directories.contains(&entry.path) || entry.path == home);
        Ok((layer, cut))
    }

    /// What of the image below counts as there.
    pub fn present(&self) -> Present {
        self.image.as_ref().map(|below| below.scan.present.clone()).unwrap_or_default()
    }

    /// Whether the image below has a way to find libraries by name.
    pub fn has_ldconfig(&self) -> bool {
        self.image.as_ref().is_some_and(|below| below.scan.has_ldconfig)
    }

    /// The Python sources of the image below that the interpreter imports.
    pub fn sources(&self) -> BTreeMap<TreePath, Digest> {
        self.image.as_ref().map(|below| below.scan.sources.clone()).unwrap_or_default()
    }

    /// All of it as directories for the sandbox.
    pub fn root(&self, job: &Job<'_>) -> Result<Roots, BuildError> {
        self.root_with(job.store, &[], &[])
    }

    /// All of it and `parts`, with `made` on top.
    pub fn root_with(
        &self,
        store: &jettison_engine::store::Store,
        parts: &[Part],
        made: &[Entry],
    ) -> Result<Roots, BuildError> {
        let below = self.image.as_ref().map(image::Below::roots);
        stack(store, below, self.parts.iter().chain(parts), &self.made, made)
    }
}

/// Whether this is the library for programs that embed the interpreter of an archive. The interpreter itself may be such a one, and may
/// hold all of it.
pub fn is_embeddable(path: &TreePath) -> bool {
    path.strip_prefix("usr/local/lib").is_some_and(|rest| rest.as_bytes().starts_with(b"libpython"))
}

/// Parts and what was made, over the directories of an image where there is one.
pub fn stack<'p>(
    store: &jettison_engine::store::Store,
    below: Option<Roots>,
    parts: impl IntoIterator<Item = &'p Part>,
    base_made: &[Entry],
    made: &[Entry],
) -> Result<Roots, BuildError> {
    let parts: Vec<&Part> = parts.into_iter().collect();
    let made: Vec<Entry> = base_made.iter().chain(made).cloned().collect();
    match below {
        Some(below) if parts.is_empty() && made.is_empty() => Ok(below),
        Some(below) => Ok(below.under(rootfs::of_parts(store, parts, &made)?)),
        None => Ok(Roots::of(rootfs::of_parts(store, parts, &made)?)),
    }
}

/// Refuses an interpreter that the project, or whoever builds it, does not want.
fn check_version(choosing: &Choosing<'_>, version: &Version, place: &str) -> Result<(), BuildError> {
    match unwanted(choosing.project, choosing.settings, version)? {
        None => Ok(()),
        Some(why) => Err(BuildError::new(format!("`{place}` has Python {version}, and {why}"))
            .hint("take a base with such a Python, or leave --base out for Debian's")),
    }
}

/// Why a version does not do: `--python` asks for another.
fn unwanted(project: &Project, settings: &Settings, version: &Version) -> Result<Option<String>, BuildError> {
    let (major, minor) = match version.release() {
        [major, minor, ..] => (*major, *minor),
        _ => return Ok(Some("that is no version of it".to_owned())),
    };
    if let Some(asked) = &settings.python {
        let python = choices::python_version(project, settings)?;
        return Ok((python != format!("{major}.{minor}")).then(|| format!("--python asks for {asked}")));
    }
    if let Some(range) = &project.requires_python
        && !range.allows(version)
    {
        return Ok(Some(format!("the project asks for {}", range.text)));
    }
    if let Some(pin) = &project.python_pin
        && let [pinned_major, pinned_minor, ..] = pin.version.release()
        && (*pinned_major, *pinned_minor) != (major, minor)
    {
        return Ok(Some(format!("{} asks for {}", pin.place, pin.text)));
    }
    Ok(None)
}

fn drop_unreached(layer: &mut PlannedLayer, linked: &Linked, cut: &mut Cut) {
    for entry in layer.tree().iter().filter(|entry| linked.unreached.contains(&entry.path)) {
        cut.add(entry.content().map_or(0, Content::len));
    }
    layer.retain(|entry| !linked.unreached.contains(&entry.path));
}

/// What nobody ships and programs count on, but for the links to the interpreter.
fn made_entries(machine: Machine, interpreter: &Interpreter, parts: &[Part]) -> Result<Vec<Entry>, BuildError> {
    let entries = || parts.iter().flat_map(Part::entries);
    let mut made = made::usr_merge(machine.debian);
    made.extend(made::directories());
    made.extend(made::name_service());
    let certificates = made::ca_certificates(entries(), &[]);
    made.extend(certificates.map_err(|error| BuildError::with_hint(error.to_string(), error.hint()))?);
    made.extend(made_alternatives(parts));
    let (major, minor) = interpreter.minor();
    let bin = TreePath::parse(&interpreter.executable)?.parent();
    for name in ["python3", "python"] {
        let link = bin.as_ref().map(|bin| bin.join(name)).transpose()?;
        made.extend(link.map(|link| Entry::symlink(link, format!("python{major}.{minor}"))));
    }
    for directory in [&interpreter.site_packages, &interpreter.prefix.join("bin")?] {
        made.push(Entry::directory(directory.clone()));
    }
    Ok(made)
}

/// The links that the packages ask `update-alternatives` for.
pub fn made_alternatives(parts: &[Part]) -> Vec<Entry> {
    let there: BTreeSet<&TreePath> = parts.iter().flat_map(Part::entries).map(|entry| &entry.path).collect();
    let asked = parts.iter().flat_map(|part| &part.facts.alternatives).map(|asked| Alternative {
        link: asked.link.clone(),
        name: asked.name.clone(),
        target: asked.target.clone(),
        priority: asked.priority,
    });
    made::alternatives(asked, |path| there.contains(path))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_base_is_a_suite_an_archive_or_an_image() {
        let parse = |text: &str| match Source::parse(text, Path::new("/p")) {
            Ok(Source::Debian(suite)) => format!("debian {suite:?}"),
            Ok(Source::Archive(file)) => format!("archive {file}"),
            Ok(Source::Image(place)) => format!("image {place}"),
            Err(error) => format!("{error} | {}", error.hint_text().unwrap_or("-")),
        };
        assert_eq!(parse("debian"), "debian None");
        assert_eq!(parse("debian:trixie"), "debian Some(\"trixie\")");
        assert_eq!(parse("archive:python.tar.gz"), "archive /p/python.tar.gz");
        assert_eq!(parse("oci:base:v1"), "image oci:/p/base:v1");
        assert_eq!(parse("docker://ghcr.io/a/b"), "image docker://ghcr.io/a/b");
        assert_eq!(parse("python:3.12-slim"), "image docker://docker.io/library/python:3.12-slim");
        assert_eq!(parse("gcr.io/distroless/python3"), "image docker://gcr.io/distroless/python3");
        assert_eq!(parse("oci:/b:v1"), "image oci:/b:v1");
        assert!(parse("UPPER case").contains("| such as debian:trixie"), "{}", parse("UPPER case"));
    }

    #[test]
    fn paths_of_the_command_line_are_relative_to_where_it_is_typed() {
        let (here, root) = (Path::new("/home/me"), Path::new("/home/me/app"));
        for (typed, seen) in [
            ("oci:bases/a:v1", "oci:/home/me/bases/a:v1"),
            ("oci:app/base:v1", "oci:base:v1"),
            ("oci:/srv/base", "oci:/srv/base"),
            ("archive:python.tar.gz#sha256=00", "archive:/home/me/python.tar.gz#sha256=00"),
            ("archive:https://h/p.tar.gz#sha256=00", "archive:https://h/p.tar.gz#sha256=00"),
            ("docker-archive:a.tar", "docker-archive:/home/me/a.tar"),
            ("docker://python:3.12-slim", "docker://python:3.12-slim"),
            ("python:3.12-slim", "python:3.12-slim"),
            ("debian:trixie", "debian:trixie"),
            ("debian", "debian"),
        ] {
            assert_eq!(Source::seen_from(typed, here, root), seen);
        }
    }
}
