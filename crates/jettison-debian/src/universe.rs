//! All packages that can be had: several indices, merged.

use std::cmp::Reverse;

use crate::packages::{Package, PackageIndex};
use crate::{Architecture, relation, version};

/// Where an index comes from, as needed to fetch what it lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The root of the archive: `http://deb.debian.org/debian`.
    pub uri: String,
    /// `trixie`, `trixie-security`.
    pub suite: String,
    /// `main`.
    pub component: String,
}

impl Origin {
    /// Where to fetch a package of this archive.
    pub fn url(&self, package: Package<'_>) -> String {
        format!("{}/{}", self.uri.trim_end_matches('/'), package.filename())
    }
}

/// A package of a [`Universe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId {
    index: u32,
    place: u32,
}

/// The packages of one architecture, and of `all`, from several indices. Where several have a package, the newest version comes
/// first, whichever suite it is in: a security suite can be behind a point release.
#[derive(Debug, Clone)]
pub struct Universe {
    architecture: Architecture,
    indices: Vec<(Origin, PackageIndex)>,
    /// By name, newest first; of equal versions, the one of the earlier index.
    by_name: Vec<PackageId>,
    /// By name; those of the newest versions alone.
    provided: Vec<Provided>,
}

#[derive(Debug, Clone)]
struct Provided {
    name: Box<str>,
    version: Option<Box<str>>,
    by: PackageId,
}

impl Universe {
    /// Merges indices. Packages of other architectures are left out.
    pub fn new(architecture: Architecture, indices: Vec<(Origin, PackageIndex)>) -> Self {
        let mut by_name = Vec::with_capacity(indices.iter().map(|(_, index)| index.len()).sum());
        for (i, (_, index)) in indices.iter().enumerate() {
            let here = |package: &Package<'_>| architecture.matches(package.architecture());
            let places = index.packages().enumerate().filter(|(_, package)| here(package));
            by_name.extend(places.map(|(place, _)| PackageId { index: i as u32, place: place as u32 }));
        }
        let mut universe = Self { architecture, indices, by_name: Vec::new(), provided: Vec::new() };
        by_name.sort_by(|&left, &right| {
            let (l, r) = (universe.package(left), universe.package(right));
            l.name().cmp(r.name()).then_with(|| version::compare(r.version(), l.version())).then(left.cmp(&right))
        });
        by_name.dedup_by(|later, earlier| {
            let (l, e) = (universe.package(*later), universe.package(*earlier));
            l.name() == e.name() && l.version() == e.version()
        });
        universe.by_name = by_name;
        universe.provided = universe.collect_provided();
        universe
    }

    fn collect_provided(&self) -> Vec<Provided> {
        let mut provided = Vec::new();
        let mut last = "";
        for &by in &self.by_name {
            let package = self.package(by);
            let newest = std::mem::replace(&mut last, package.name()) != package.name();
            if !newest || package.provides().is_empty() {
                continue;
            }
            // What cannot be parsed provides nothing: one bad package must not take the archive down.
            for group in relation::parse(package.provides()).unwrap_or_default() {
                for one in group.0 {
                    let version = one.version.map(|(_, version)| version.into());
                    provided.push(Provided { name: one.name.into(), version, by });
                }
            }
        }
        let rank = |by| {
            let package = self.package(by);
            (priority_rank(package.priority()), package.name())
        };
        provided.sort_by(|l, r| l.name.cmp(&r.name).then_with(|| rank(l.by).cmp(&rank(r.by))));
        provided
    }

    /// The architecture that it is for.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// The package with an id that this universe gave.
    pub fn package(&self, id: PackageId) -> Package<'_> {
        self.indices[id.index as usize].1.at(id.place as usize)
    }

    /// Where it comes from.
    pub fn origin(&self, id: PackageId) -> &Origin {
        &self.indices[id.index as usize].0
    }

    /// The indices it was made from, in order.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.indices.iter().map(|(origin, _)| origin)
    }

    /// All versions of a package, newest first.
    pub fn versions(&self, name: &str) -> &[PackageId] {
        let start = self.by_name.partition_point(|&id| self.package(id).name() < name);
        let rest = &self.by_name[start..];
        &rest[..rest.partition_point(|&id| self.package(id).name() == name)]
    }

    /// The newest version of a package.
    pub fn newest(&self, name: &str) -> Option<PackageId> {
        self.versions(name).first().copied()
    }

    /// The package with exactly this version.
    pub fn exact(&self, name: &str, version: &str) -> Option<PackageId> {
        self.versions(name).iter().copied().find(|&id| self.package(id).version() == version)
    }

    /// Who provides a name (Policy 7.5), with the version that it is provided in: the more important priority first, then by name.
    pub fn providers(&self, name: &str) -> impl Iterator<Item = (PackageId, Option<&str>)> {
        let start = self.provided.partition_point(|provided| &*provided.name < name);
        let same = self.provided[start..].iter().take_while(move |provided| &*provided.name == name);
        same.map(|provided| (provided.by, provided.version.as_deref()))
    }

    /// The number of names.
    pub fn names(&self) -> usize {
        let mut last = "";
        self.by_name.iter().filter(|&&id| std::mem::replace(&mut last, self.package(id).name()) != last).count()
    }

    /// A name that there is, and that is spelled much like this one.
    pub fn similar(&self, name: &str) -> Option<&str> {
        let first = name.get(..1)?;
        let start = self.by_name.partition_point(|&id| self.package(id).name() < first);
        let near = self.by_name[start..]
            .iter()
            .map(|&id| self.package(id).name())
            .take_while(|other| other.starts_with(first));
        let distance = |other: &str| strsim::damerau_levenshtein(name, other);
        let limit = 1 + name.len() / 5;
        near.filter(|other| other.len().abs_diff(name.len()) <= limit)
            .map(|other| (distance(other), other))
            .filter(|&(distance, _)| distance <= limit)
            .min()
            .map(|(_, other)| other)
    }
}

fn priority_rank(priority: &str) -> Reverse<u8> {
    Reverse(match priority {
        "required" => 4,
        "important" => 3,
        "standard" => 2,
        "extra" => 0,
        _ => 1,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A universe of indices, each lines of `name version[ Field: value]…` with the fields separated by `; `.
    pub(crate) fn universe(suites: &[&str]) -> Universe {
        let indices = suites.iter().enumerate().map(|(i, suite)| {
            let mut text = String::new();
            for line in suite.lines().map(str::trim).filter(|line| !line.is_empty()) {
                let mut parts = line.split("; ");
                let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
                text += &format!("Package: {name}\nVersion: {version}\nFilename: pool/{name}_{version}.deb\nSize: 1\n");
                text += &format!("SHA256: {}\n", "0".repeat(64));
                let fields: Vec<_> = parts.collect();
                if !fields.iter().any(|field| field.starts_with("Architecture")) {
                    text += "Architecture: amd64\n";
                }
                fields.iter().for_each(|field| text += &format!("{field}\n"));
                text.push('\n');
            }
            let origin =
                Origin { uri: "http://deb.test/debian/".into(), suite: format!("suite{i}"), component: "main".into() };
            (origin, PackageIndex::parse(text.as_bytes()).unwrap())
        });
        Universe::new(Architecture::Amd64, indices.collect())
    }

    #[test]
    fn the_newest_comes_first_whichever_suite_has_it() {
        let universe = universe(&[
            "libc6 2.36-9+deb12u10\nopenssl 3.0.15-1\nzlib 1.2\narm 1; Architecture: arm64\nany 1; Architecture: all",
            "libc6 2.36-9+deb12u7\nopenssl 3.0.16-1\nzlib 1.2",
        ]);
        let newest = |name| {
            let id = universe.newest(name)?;
            Some((universe.package(id).version(), universe.origin(id).suite.as_str()))
        };
        assert_eq!(newest("libc6"), Some(("2.36-9+deb12u10", "suite0")));
        assert_eq!(newest("openssl"), Some(("3.0.16-1", "suite1")));
        assert_eq!(newest("zlib"), Some(("1.2", "suite0")));
        assert_eq!(newest("any"), Some(("1", "suite0")));
        assert_eq!(newest("arm"), None);
        assert_eq!(universe.versions("zlib").len(), 1);
        assert!(universe.exact("libc6", "2.36-9+deb12u7").is_some() && universe.exact("libc6", "2.36").is_none());
        let url = |name| universe.newest(name).map(|id| universe.origin(id).url(universe.package(id)));
        assert_eq!(url("zlib").unwrap(), "http://deb.test/debian/pool/zlib_1.2.deb");
        assert_eq!((universe.names(), universe.similar("opnessl"), universe.similar("qt")), (4, Some("openssl"), None));
    }

    #[test]
    fn providers_are_those_of_the_newest_versions_in_order() {
        let universe = universe(&[
            "exim 1; Provides: mta, smtp (= 3)\nb 1; Priority: important; Provides: mta\nold 1; Provides: mta",
            "old 2",
        ]);
        let providers: Vec<_> = universe.providers("mta").map(|(id, _)| universe.package(id).name()).collect();
        assert_eq!(providers, ["b", "exim"]);
        assert_eq!(universe.providers("smtp").next().unwrap().1, Some("3"));
        assert_eq!(universe.providers("none").count(), 0);
    }
}
