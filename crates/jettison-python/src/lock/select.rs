//! From a lock to the distributions for one target.

use std::collections::{BTreeMap, BTreeSet};

use super::artifact::choose;
use super::platform::check_platform;
use super::{Edge, Lock, LockError, Locked, NoArtifact, Origin, Package, Roots, Selection, Source};
use crate::direct::{archive_direct_url, vcs_direct_url};
use crate::marker::MarkerEnvironment;
use crate::name::NormalizedName;
use crate::project::LockKind;

type Names = BTreeSet<NormalizedName>;

impl Lock {
    /// The distributions to install, by name: each package that markers, extras, groups and forks select, with the file that
    /// fits the target best. The project itself is not among them.
    pub fn select(&self, selection: &Selection<'_>) -> Result<Vec<Locked>, LockError> {
        let target = selection.tags.target();
        let environment = MarkerEnvironment::for_target(target);
        self.check_target(selection, &environment)?;
        let groups = selection.groups.as_ref().unwrap_or(&self.default_groups);
        self.check_known("extra", self.extras.as_ref(), &selection.extras)?;
        self.check_known("dependency group", self.groups.as_ref(), groups)?;
        let mut walk = Walk {
            lock: self,
            environment: &environment,
            // A package's own marker, and the forks of uv, ask for the project's extras and groups.
            extras: self.marker_extras(&selection.extras, groups),
            groups,
            seen: BTreeSet::new(),
            queue: Vec::new(),
        };
        let selected = match &self.roots {
            Roots::Everything => (0..self.packages.len()).filter(|&index| walk.holds(&self.packages[index])).collect(),
            Roots::Packages(roots) => {
                for &root in roots {
                    walk.project(&self.packages[root], root, &selection.extras, groups)?;
                }
                walk.finish(roots)?
            }
            Roots::Edges { main, extras, groups: of_groups } => {
                walk.edges(main, "the project", &selection.extras)?;
                for edges in selection.extras.iter().filter_map(|extra| extras.get(extra)) {
                    walk.edges(edges, "the project", &selection.extras)?;
                }
                for edges in groups.iter().filter_map(|group| of_groups.get(group)) {
                    walk.edges(edges, "the project", &selection.extras)?;
                }
                walk.finish(&[])?
            }
        };
        self.locked(&selected, selection)
    }

    fn check_target(&self, selection: &Selection<'_>, environment: &MarkerEnvironment) -> Result<(), LockError> {
        let target = selection.tags.target();
        if let Some(wanted) = self.requires_python.as_ref().filter(|wanted| !wanted.contains(&target.python)) {
            let (file, wanted) = (self.file.clone(), wanted.to_string());
            return Err(LockError::Python { file, wanted, python: target.python.clone() });
        }
        if !self.environments.is_empty() && !self.environments.iter().any(|marker| marker.applies(environment)) {
            let environments: Vec<_> = self.environments.iter().map(|marker| format!("`{marker}`")).collect();
            return Err(LockError::Environment {
                file: self.file.clone(),
                environments: environments.join(" or "),
                target: format!("CPython {} on Linux {}", target.python, target.arch),
            });
        }
        Ok(())
    }

    fn check_known(&self, what: &'static str, known: Option<&Names>, asked: &Names) -> Result<(), LockError> {
        let Some(known) = known else { return Ok(()) };
        match asked.difference(known).next() {
            None => Ok(()),
            Some(name) => Err(LockError::Unknown {
                file: self.file.clone(),
                what,
                name: name.clone(),
                known: known.iter().map(ToString::to_string).collect(),
            }),
        }
    }

    /// The extras that markers see. uv writes conflicts between extras and groups of a project as extras with encoded names:
    /// `extra-3-app-cpu`, the number being the length of the project's name.
    fn marker_extras(&self, extras: &Names, groups: &Names) -> Names {
        let mut names = extras.clone();
        if let (LockKind::Uv, Roots::Packages(roots)) = (self.kind, &self.roots) {
            for root in roots {
                let project = &self.packages[*root].name;
                let length = project.as_str().len();
                let of_extras = extras.iter().map(|extra| format!("extra-{length}-{project}-{extra}"));
                let of_groups = groups.iter().map(|group| format!("group-{length}-{project}-{group}"));
                let encoded = of_extras.chain(of_groups).chain([format!("project-{length}-{project}")]);
                names.extend(encoded.filter_map(|name| NormalizedName::parse(&name).ok()));
            }
        }
        names
    }

    fn locked(&self, selected: &BTreeSet<usize>, selection: &Selection<'_>) -> Result<Vec<Locked>, LockError> {
        let mut by_name: BTreeMap<&NormalizedName, &Package> = BTreeMap::new();
        for package in selected.iter().map(|&index| &self.packages[index]) {
            if let Some(other) = by_name.insert(&package.name, package) {
                let shown = |package: &Package| {
                    package.version.as_ref().map_or("a direct reference".to_owned(), ToString::to_string)
                };
                return Err(LockError::Ambiguous {
                    file: self.file.clone(),
                    name: package.name.clone(),
                    first: shown(other),
                    second: shown(package),
                });
            }
        }
        if !selection.no_binary.all {
            check_platform(by_name.values().copied(), selection.tags)?;
        }
        by_name.values().filter_map(|package| package.locked(selection).transpose()).collect()
    }

    /// The command that makes the lock anew.
    pub(super) fn renew(&self) -> &'static str {
        match self.kind {
            LockKind::Uv => "uv lock",
            LockKind::Poetry => "poetry lock",
            LockKind::Pipfile => "pipenv lock",
            LockKind::Pylock | LockKind::Requirements => "uv pip compile",
        }
    }
}

impl Package {
    /// What to install of it; `None` for what is not to be installed.
    fn locked(&self, selection: &Selection<'_>) -> Result<Option<Locked>, LockError> {
        let python = &selection.tags.target().python;
        if let Some(wanted) = self.requires_python.as_ref().filter(|wanted| !wanted.contains(python)) {
            let why = format!("it needs Python {wanted}, and the image has Python {python}");
            return Err(
                self.no_artifact(why, "choose a Python that it supports, or lock again for this one".to_owned())
            );
        }
        let from_file = |subdirectory: &Option<String>| {
            let Selection { tags, no_binary, only_binary, .. } = selection;
            let index = choose(&self.files, &self.name, tags, no_binary, only_binary)
                .map_err(|(why, hint)| self.no_artifact(why, hint))?;
            let artifact = self.files[index].clone();
            Ok::<_, LockError>(match artifact.is_wheel() {
                true => Source::Wheel(artifact),
                false => Source::Sdist { artifact, subdirectory: subdirectory.clone(), no_wheel: self.why_built(tags) },
            })
        };
        let mut index = None;
        let mut direct_url = None;
        let source = match &self.origin {
            Origin::Index(url) => {
                index = url.clone();
                from_file(&None)?
            }
            Origin::Archive { url, subdirectory } => {
                let source = from_file(subdirectory)?;
                if let Source::Wheel(artifact) | Source::Sdist { artifact, .. } = &source {
                    let hashes = artifact.hashes.iter().map(|(algorithm, hex)| (algorithm.as_str(), hex.as_str()));
                    direct_url = Some(archive_direct_url(url, hashes, subdirectory.as_deref()));
                }
                source
            }
            Origin::File { subdirectory } => from_file(subdirectory)?,
            Origin::Directory { path, editable, subdirectory } => {
                let path = subdirectory.as_ref().map_or(path.clone(), |below| path.join(below));
                Source::Directory { path, editable: *editable }
            }
            Origin::Virtual => return Ok(None),
            Origin::Git(git) => {
                let (requested, subdirectory) = (git.requested.as_deref(), git.subdirectory.as_deref());
                direct_url = Some(vcs_direct_url("git", &git.url, requested, &git.commit, subdirectory));
                Source::Git(git.clone())
            }
            Origin::Listed { index: url, hashes } => {
                index = url.clone();
                Source::Listed { hashes: hashes.clone() }
            }
        };
        Ok(Some(Locked { name: self.name.clone(), version: self.version.clone(), source, index, direct_url }))
    }
}

impl Package {
    fn no_artifact(&self, why: String, hint: String) -> LockError {
        let version = self.version.as_ref().map_or(String::new(), ToString::to_string);
        Box::new(NoArtifact { place: self.place.clone(), name: self.name.clone(), version, why, hint }).into()
    }
}

/// Follows the edges of a lock.
struct Walk<'a> {
    lock: &'a Lock,
    environment: &'a MarkerEnvironment,
    /// What `extra` means in the marker of a package, and in uv's forks.
    extras: Names,
    groups: &'a Names,
    /// Packages, alone and with each extra asked of them.
    seen: BTreeSet<(usize, Option<NormalizedName>)>,
    queue: Vec<(usize, Option<NormalizedName>)>,
}

impl Walk<'_> {
    fn holds(&self, package: &Package) -> bool {
        package.markers.is_empty()
            || package.markers.iter().any(|marker| marker.evaluate(self.environment, &self.extras, self.groups))
    }

    /// The project itself: its dependencies, and those of the extras and groups asked for.
    fn project(&mut self, root: &Package, index: usize, extras: &Names, groups: &Names) -> Result<(), LockError> {
        self.seen.insert((index, None));
        let by = root.name.as_str();
        self.edges(&root.dependencies, by, extras)?;
        for edges in extras.iter().filter_map(|extra| root.extras.get(extra)) {
            self.edges(edges, by, extras)?;
        }
        for edges in groups.iter().filter_map(|group| root.groups.get(group)) {
            self.edges(edges, by, extras)?;
        }
        Ok(())
    }

    /// Everything that was reached, without `roots`.
    fn finish(&mut self, roots: &[usize]) -> Result<BTreeSet<usize>, LockError> {
        let lock = self.lock;
        while let Some((index, extra)) = self.queue.pop() {
            let package = &lock.packages[index];
            let by =
                format!("{} {}", package.name, package.version.as_ref().map_or(String::new(), ToString::to_string));
            let asked: Names = extra.iter().cloned().collect();
            self.edges(&package.dependencies, by.trim_end(), &asked)?;
            if let Some(edges) = extra.as_ref().and_then(|extra| package.extras.get(extra)) {
                self.edges(edges, by.trim_end(), &asked)?;
            }
        }
        let reached: BTreeSet<usize> = self.seen.iter().map(|(index, _)| *index).collect();
        Ok(reached.into_iter().filter(|index| !roots.contains(index)).collect())
    }

    /// Queues what `edges` lead to; `asked` are the extras asked of the package that they start from.
    fn edges(&mut self, edges: &[Edge], by: &str, asked: &Names) -> Result<(), LockError> {
        for edge in edges {
            let extras: Names = asked.union(&self.extras).cloned().collect();
            let wanted = edge.for_extras.is_empty() || edge.for_extras.iter().any(|extra| asked.contains(extra));
            if !wanted || !edge.marker.evaluate(self.environment, &extras, self.groups) {
                continue;
            }
            let target = self.target(edge, by)?;
            self.reach(target, None);
            for extra in &edge.extras {
                self.reach(target, Some(extra.clone()));
            }
        }
        Ok(())
    }

    fn reach(&mut self, index: usize, extra: Option<NormalizedName>) {
        if self.seen.insert((index, extra.clone())) {
            self.queue.push((index, extra));
        }
    }

    /// The package that an edge leads to.
    fn target(&self, edge: &Edge, by: &str) -> Result<usize, LockError> {
        let fits = |package: &Package| {
            let version = package.version.as_ref();
            let exact = edge.version.as_ref().is_none_or(|wanted| version == Some(wanted));
            let within = version.is_none_or(|version| {
                edge.versions.is_empty() || edge.versions.iter().any(|specifiers| specifiers.contains(version))
            });
            let source = edge.source.as_ref().is_none_or(|source| *source == package.source_key);
            package.name == edge.name && exact && within && source
        };
        let packages = self.lock.packages.iter().enumerate();
        let candidates: Vec<usize> = packages.filter(|(_, package)| fits(package)).map(|(index, _)| index).collect();
        // Forks: of several, the one that was resolved for an environment like this. A package alone may have a narrower marker
        // than the edges that lead to it, and is meant all the same.
        let chosen = match candidates[..] {
            [only] => Some(only),
            _ => candidates
                .iter()
                .copied()
                .filter(|&index| self.holds(&self.lock.packages[index]))
                .max_by_key(|&index| self.lock.packages[index].version.clone()),
        };
        chosen.ok_or_else(|| LockError::Missing {
            file: self.lock.file.clone(),
            name: edge.name.clone(),
            by: by.to_owned(),
            renew: self.lock.renew(),
        })
    }
}
