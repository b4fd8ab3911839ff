//! A wheel becomes the files of an installation.
//!
//! 1. Every member gets its place by the scheme it belongs to; two for one place are an error.
//! 2. What the trim plan leaves out is set aside. The rest is unpacked member by member, checked against `RECORD`, shown to
//!    the [`Transform`] and written.
//! 3. Tests that were set aside but that something written imports are written after all.
//! 4. Then come the scripts of the entry points, the installer's own files, and `RECORD` with the hashes of what was really
//!    written.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use jettison_tree::{FragmentWriter, TreePath};
use pep440_rs::Version;
use serde::{Deserialize, Serialize};

use super::archive::Member;
use super::error::Fault;
use super::layout::InstallLayout;
use super::modules::{TopLevelModule, top_level};
use super::record::NewRecord;
use super::script::{launcher, shebang};
use super::trim::{Reason, Trim, TrimPlan};
use super::write::{Run, Sink};
use super::{Wheel, WheelError};
use crate::name::NormalizedName;

/// What a wheel cannot know of its installation, and signatures of a `RECORD` that is no longer its own.
const INSTALLER_FILES: [&str; 4] = ["RECORD.jws", "RECORD.p7s", "REQUESTED", "direct_url.json"];

/// How to install, beside where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstallOptions {
    /// What to leave out.
    pub trim: Trim,
    /// Whether somebody asked for this distribution by name (`REQUESTED`, PEP 376).
    pub requested: bool,
    /// The text of `direct_url.json` for a distribution that did not come from an index (PEP 610).
    pub direct_url: Option<String>,
}

/// Sees the files of a wheel on their way into an installation, and may change them. `RECORD` is written for what it returns.
pub trait Transform {
    /// Whether it wants this file, of which `head` is the beginning. A large file that it does not want is streamed.
    fn wants(&mut self, path: &TreePath, size: u64, head: &[u8]) -> bool;

    /// What becomes of a file that it wanted.
    fn transform(&mut self, path: &TreePath, bytes: Vec<u8>) -> Transformed;
}

/// What becomes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transformed {
    /// It is installed with this content.
    Keep(Vec<u8>),
    /// It is left out.
    Drop(Reason),
}

/// The transform that wants nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unchanged;

impl Transform for Unchanged {
    fn wants(&mut self, _: &TreePath, _: u64, _: &[u8]) -> bool {
        false
    }

    fn transform(&mut self, _: &TreePath, bytes: Vec<u8>) -> Transformed {
        Transformed::Keep(bytes)
    }
}

/// What was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The distribution.
    pub name: NormalizedName,
    /// Its version.
    pub version: Version,
    /// The modules that importing it begins with.
    pub top_level: Vec<TopLevelModule>,
    /// The programs, by path.
    pub scripts: Vec<TreePath>,
    /// The number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What was left out.
    pub dropped: Vec<Dropped>,
    /// `Requires-Dist`, word for word.
    pub requires_dist: Vec<String>,
    /// The licence, in one line.
    pub license: Option<String>,
}

/// A file that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Where it would stand.
    pub path: TreePath,
    /// Its bytes.
    pub bytes: u64,
    /// Why.
    pub reason: Reason,
}

/// Where a member goes.
pub(super) struct Placed {
    pub member: Member,
    pub scheme: Scheme,
    /// Its path inside the directory of its scheme.
    pub inside: String,
}

impl Placed {
    fn is_module(&self) -> bool {
        self.scheme == Scheme::SitePackages && self.inside.ends_with(".py")
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    SitePackages,
    Scripts,
    Headers,
    Data,
}

impl Wheel {
    /// Writes the files of the installation to `out`: files only, in a fixed order, owned by root; directories follow from
    /// their paths. On an error `out` holds half of a wheel and must be thrown away.
    pub fn install<W: Write>(
        &mut self,
        layout: &InstallLayout,
        options: &InstallOptions,
        transform: &mut dyn Transform,
        out: &mut FragmentWriter<W>,
    ) -> Result<Installed, WheelError> {
        let installed = self.install_to(layout, options, transform, out);
        installed.map_err(|fault| WheelError { wheel: self.filename.to_string(), fault })
    }

    fn install_to<W: Write>(
        &mut self,
        layout: &InstallLayout,
        options: &InstallOptions,
        transform: &mut dyn Transform,
        out: &mut FragmentWriter<W>,
    ) -> Result<Installed, Fault> {
        let shebang = shebang(&layout.python)?;
        let launchers = self.launchers(layout, &shebang)?;
        let placed = self.place(layout)?;
        check_parents(&placed, &launchers)?;
        let mut sink = Sink::default();
        let (kept, mut aside) = self.sort_out(placed, options.trim, &launchers, &mut sink.dropped);

        let mut run = Run { layout, shebang: &shebang, transform, out, record: NewRecord::default(), sink };
        let mut wanted = BTreeSet::new();
        wanted.extend(
            self.entry_points.iter().filter_map(|point| point.value.split([':', '[', ' ']).next()).map(str::to_owned),
        );
        let mut queue: Vec<_> = kept.into_iter().collect();
        while !queue.is_empty() {
            for (path, placed) in std::mem::take(&mut queue) {
                let imports = (!aside.is_empty() && placed.is_module()).then_some(&mut wanted);
                self.install_member(&mut run, &path, &placed, imports)?;
            }
            for name in std::mem::take(&mut wanted) {
                queue.extend(take_module(&mut aside, &name));
            }
        }
        run.sink.dropped.extend(aside.into_values().map(|(dropped, _)| dropped));
        for (path, text) in launchers {
            run.write(&path, text.into_bytes(), true)?;
            run.sink.scripts.insert(path);
        }
        self.write_dist_info(&mut run, options)?;
        Ok(self.installed(run))
    }

    fn installed<W: Write>(&self, run: Run<'_, W>) -> Installed {
        let mut dropped = run.sink.dropped;
        dropped.sort_by(|a, b| a.path.cmp(&b.path));
        Installed {
            name: self.metadata.name.clone(),
            version: self.metadata.version.clone(),
            top_level: top_level(run.sink.modules.iter().map(String::as_str)),
            scripts: run.sink.scripts.into_iter().collect(),
            files: run.sink.files,
            bytes: run.sink.bytes,
            dropped,
            requires_dist: self.metadata.requires_dist.clone(),
            license: self.metadata.license.clone(),
        }
    }

    /// The programs for the entry points, by path.
    fn launchers(&self, layout: &InstallLayout, shebang: &str) -> Result<BTreeMap<TreePath, String>, Fault> {
        let mut launchers = BTreeMap::new();
        for point in self.entry_points.iter().filter(|point| point.is_script()) {
            let text = launcher(shebang, &point.script()?);
            let path = inside(&layout.scripts, &point.name)?;
            if launchers.insert(path, text.clone()).is_some_and(|old| old != text) {
                return Err(Fault::Collision(point.name.clone()));
            }
        }
        Ok(launchers)
    }

    /// Every member with its place.
    fn place(&self, layout: &InstallLayout) -> Result<BTreeMap<TreePath, Placed>, Fault> {
        let mut all = BTreeMap::new();
        for (name, member) in &self.archive.members {
            let below_data = self.data.as_ref().and_then(|data| name.strip_prefix(data.as_str())?.strip_prefix('/'));
            let (scheme, within) = match below_data {
                None => (Scheme::SitePackages, name.as_str()),
                Some(rest) => {
                    let unknown =
                        || Fault::Member { member: name.clone(), why: "belongs to no install scheme".to_owned() };
                    let (scheme, within) = rest.split_once('/').ok_or_else(unknown)?;
                    let scheme = match scheme {
                        "purelib" | "platlib" => Scheme::SitePackages,
                        "scripts" => Scheme::Scripts,
                        "headers" => Scheme::Headers,
                        "data" => Scheme::Data,
                        _ => return Err(unknown()),
                    };
                    (scheme, within)
                }
            };
            let path = match scheme {
                Scheme::SitePackages => inside(&layout.site_packages, within)?,
                Scheme::Scripts => inside(&layout.scripts, within)?,
                Scheme::Headers => inside(&layout.headers, &format!("{}/{within}", self.metadata.name))?,
                Scheme::Data => inside(&layout.data, within)?,
            };
            let placed = Placed { member: member.clone(), scheme, inside: within.to_owned() };
            if all.insert(path.clone(), placed).is_some() {
                return Err(Fault::Collision(path.to_string()));
            }
        }
        Ok(all)
    }

    /// What is installed, and what is left out unless something imports it. What is left out in any case goes to `dropped`.
    fn sort_out(
        &self,
        placed: BTreeMap<TreePath, Placed>,
        trim: Trim,
        launchers: &BTreeMap<TreePath, String>,
        dropped: &mut Vec<Dropped>,
    ) -> (BTreeMap<TreePath, Placed>, Aside) {
        let site = placed.values().filter(|placed| placed.scheme == Scheme::SitePackages);
        let site = site.map(|placed| placed.inside.as_str());
        let plan = TrimPlan::new(trim, &self.metadata.name, site, &self.metadata.requires_dist);
        let (mut kept, mut aside) = (BTreeMap::new(), Aside::new());
        for (path, placed) in placed {
            let in_dist_info = self.dist_info_file(&placed.inside).filter(|_| placed.scheme == Scheme::SitePackages);
            let reason = match placed.scheme {
                _ if launchers.contains_key(&path) => Some(Reason::Replaced),
                // These are not left out: they are written anew.
                _ if matches!(in_dist_info, Some("RECORD" | "INSTALLER")) => continue,
                _ if in_dist_info.is_some_and(|file| INSTALLER_FILES.contains(&file)) => Some(Reason::InstallerFiles),
                Scheme::SitePackages => plan.reason(&placed.inside),
                Scheme::Scripts => None,
                Scheme::Headers => plan.header_reason(),
                Scheme::Data => plan.data_reason(&placed.inside),
            };
            let Some(reason) = reason else {
                kept.insert(path, placed);
                continue;
            };
            let drop = Dropped { path, bytes: placed.member.size, reason };
            if placed.scheme == Scheme::SitePackages && reason.yields_to_imports() {
                aside.insert(placed.inside.clone(), (drop, placed));
            } else {
                dropped.push(drop);
            }
        }
        (kept, aside)
    }

    /// The name of a file of the wheel's own `.dist-info` directory.
    fn dist_info_file<'a>(&self, inside: &'a str) -> Option<&'a str> {
        inside.strip_prefix(self.dist_info.as_str())?.strip_prefix('/')
    }

    fn install_member<W: Write>(
        &mut self,
        run: &mut Run<'_, W>,
        path: &TreePath,
        placed: &Placed,
        imports: Option<&mut BTreeSet<String>>,
    ) -> Result<(), Fault> {
        let row = self.record.rows.get(&placed.member.name);
        let row = row.cloned().ok_or_else(|| Fault::Unrecorded(placed.member.name.clone()))?;
        let written = self.archive.read(&placed.member, |data| run.member(path, placed, &row, imports, data))?;
        match (written, placed.scheme) {
            (true, Scheme::Scripts) => _ = run.sink.scripts.insert(path.clone()),
            (true, Scheme::SitePackages) => run.sink.modules.push(placed.inside.clone()),
            _ => {}
        }
        Ok(())
    }

    fn write_dist_info<W: Write>(&self, run: &mut Run<'_, W>, options: &InstallOptions) -> Result<(), Fault> {
        let directory = inside(&run.layout.site_packages, &self.dist_info)?;
        run.write(&inside(&directory, "INSTALLER")?, b"jettison\n".to_vec(), false)?;
        if options.requested {
            run.write(&inside(&directory, "REQUESTED")?, Vec::new(), false)?;
        }
        if let Some(json) = &options.direct_url {
            run.write(&inside(&directory, "direct_url.json")?, json.clone().into_bytes(), false)?;
        }
        let path = inside(&directory, "RECORD")?;
        let record = std::mem::take(&mut run.record).finish(run.layout.record_path(&path));
        run.write(&path, record.into_bytes(), false)
    }
}

/// What stays out unless something imports it, by its path inside `site-packages`.
type Aside = BTreeMap<String, (Dropped, Placed)>;

/// Takes out of `aside` the files that importing `name` loads: each package on the way, and the module itself.
fn take_module(aside: &mut Aside, name: &str) -> Vec<(TreePath, Placed)> {
    let path = name.replace('.', "/");
    let prefixes = path.match_indices('/').map(|(at, _)| &path[..at]).chain([path.as_str()]);
    let mut files = Vec::new();
    for stem in prefixes.flat_map(|prefix| [format!("{prefix}."), format!("{prefix}/__init__.")]) {
        let modules = aside.range(stem.clone()..).map(|(file, _)| file).take_while(|file| file.starts_with(&stem));
        files.extend(modules.filter(|file| file[stem.len()..] == *"py" || file.ends_with(".so")).cloned());
    }
    files.iter().filter_map(|file| aside.remove(file)).map(|(dropped, placed)| (dropped.path, placed)).collect()
}

/// No file stands where another needs a directory. Schemes lie inside each other, so that the archive alone does not show it.
fn check_parents(placed: &BTreeMap<TreePath, Placed>, launchers: &BTreeMap<TreePath, String>) -> Result<(), Fault> {
    for path in placed.keys().chain(launchers.keys()) {
        let mut above = std::iter::successors(path.parent(), TreePath::parent);
        if let Some(file) = above.find(|above| placed.contains_key(above) || launchers.contains_key(above)) {
            return Err(Fault::Collision(file.to_string()));
        }
    }
    Ok(())
}

fn inside(directory: &TreePath, relative: &str) -> Result<TreePath, Fault> {
    let refuse = |e: jettison_tree::PathError| Fault::Member { member: relative.to_owned(), why: e.to_string() };
    directory.join(relative).map_err(refuse)
}
