//! What has to be unpacked so that some packages work: the closure of `Depends` and `Pre-Depends`.
//!
//! 1. What leaves no choice is settled first, so that a choice is made in the light of all that is there anyway.
//! 2. Of alternatives, one that is chosen already wins; then the first that can be had. A virtual name means its providers in the
//!    order of [`Universe::providers`].
//! 3. A dead end (nothing satisfies a relation, or only what conflicts with what is chosen) goes back to the last choice that
//!    had a part in it.
//!
//! `Essential` means nothing here: an image has what it needs. The outcome depends on the universe and the request alone.

mod error;

use std::collections::{BTreeMap, BTreeSet};

pub use self::error::{Link, SolveError, Unsatisfied};
use crate::relation::{self, Alternatives, Relation, RelationError};
use crate::universe::{PackageId, Universe};

/// Steps that a search may take. A closure of a thousand packages takes a few thousand.
const STEP_LIMIT: usize = 200_000;

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// Relations that have to hold, such as those of `relation::parse("libpq5, libc6 (>= 2.36)")`.
    pub wanted: Vec<Alternatives<'a>>,
    /// Packages that count as present and are not brought in, and neither is what only they need. Those that are wanted by name
    /// are brought in all the same, with all that they need.
    pub exclude: BTreeSet<String>,
    /// The one version that a package may have.
    pub pins: BTreeMap<String, String>,
}

/// Packages that satisfy a request, and each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closure {
    /// By name.
    pub packages: Vec<Chosen>,
}

/// A package of a closure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Which one.
    pub id: PackageId,
    /// The package that first needed it; `None` for what was asked for.
    pub needed_by: Option<PackageId>,
}

/// Finds the closure of a request.
pub fn solve(universe: &Universe, request: &Request<'_>) -> Result<Closure, SolveError> {
    let is_excluded =
        |group: &&Alternatives<'_>| group.0.iter().any(|relation| request.exclude.contains(relation.name));
    let wanted_anyway: Vec<_> = request.wanted.iter().filter(is_excluded).cloned().collect();
    if wanted_anyway.is_empty() {
        return search(universe, request);
    }
    let anyway = Request { wanted: wanted_anyway, exclude: BTreeSet::new(), pins: request.pins.clone() };
    let mut request = request.clone();
    for one in search(universe, &anyway)?.packages {
        request.exclude.remove(universe.package(one.id).name());
    }
    search(universe, &request)
}

fn search(universe: &Universe, request: &Request<'_>) -> Result<Closure, SolveError> {
    let mut search = Search { universe, request, state: State::default(), choices: Vec::new(), first_failure: None };
    for group in &request.wanted {
        search.require(None, group.clone());
    }
    search.run()?;
    let mut packages: Vec<_> =
        search.state.chosen.iter().map(|one| (universe.package(one.id).name(), one.chosen(&search))).collect();
    packages.sort_unstable_by_key(|(name, _)| *name);
    Ok(Closure { packages: packages.into_iter().map(|(_, chosen)| chosen).collect() })
}

/// Grows at its ends alone, so that going back is cutting off.
#[derive(Default)]
struct State<'a> {
    chosen: Vec<Node<'a>>,
    /// Relations to settle. Those before `next` have been looked at; what left a choice then waits in `open`.
    agenda: Vec<Need<'a>>,
    next: usize,
    open: Vec<usize>,
    next_open: usize,
}

struct Node<'a> {
    id: PackageId,
    /// The need that it was chosen for.
    need: usize,
    refuses: Vec<Relation<'a>>,
    /// The earlier packages but for which it would not be here: who needs it, and who stood in the way of others.
    because: BTreeSet<usize>,
}

impl Node<'_> {
    fn chosen(&self, search: &Search<'_>) -> Chosen {
        let needed_by = search.state.agenda[self.need].by.map(|by| search.state.chosen[by].id);
        Chosen { id: self.id, needed_by }
    }
}

#[derive(Clone)]
struct Need<'a> {
    /// The place in `chosen` of who needs it.
    by: Option<usize>,
    group: Alternatives<'a>,
}

/// A need for which one candidate was taken and others are left.
struct Choice {
    need: usize,
    left: Vec<PackageId>,
    lengths: [usize; 5],
    /// The earlier packages that have a part in the failures of the candidates tried so far.
    blame: BTreeSet<usize>,
}

struct Search<'a> {
    universe: &'a Universe,
    request: &'a Request<'a>,
    state: State<'a>,
    choices: Vec<Choice>,
    first_failure: Option<SolveError>,
}

impl<'a> Search<'a> {
    fn run(&mut self) -> Result<(), SolveError> {
        for _ in 0..STEP_LIMIT {
            let (need, is_open) = if self.state.next < self.state.agenda.len() {
                self.state.next += 1;
                (self.state.next - 1, false)
            } else if self.state.next_open < self.state.open.len() {
                self.state.next_open += 1;
                (self.state.open[self.state.next_open - 1], true)
            } else {
                return Ok(());
            };
            if self.is_satisfied(&self.state.agenda[need].group) {
                continue;
            }
            let (mut fitting, blame) = self.candidates(need);
            match fitting.len() {
                0 => self.go_back(need, blame)?,
                1 => self.choose(need, fitting[0], blame)?,
                _ if !is_open => self.state.open.push(need),
                _ => {
                    let first = fitting.remove(0);
                    let state = &self.state;
                    let lengths =
                        [state.chosen.len(), state.agenda.len(), state.next, state.open.len(), state.next_open];
                    self.choices.push(Choice { need, left: fitting, lengths, blame: blame.clone() });
                    self.choose(need, first, blame)?;
                }
            }
        }
        Err(self.first_failure.take().unwrap_or(SolveError::TooHard))
    }

    /// Adds a relation to the agenda, as far as it counts here.
    fn require(&mut self, by: Option<usize>, mut group: Alternatives<'a>) {
        group.0.retain(|relation| relation.applies(self.universe.architecture(), &[]));
        if !group.0.is_empty() {
            self.state.agenda.push(Need { by, group });
        }
    }

    fn is_satisfied(&self, group: &Alternatives<'_>) -> bool {
        let excluded = |relation: &Relation<'_>| {
            let exclude = &self.request.exclude;
            exclude.contains(relation.name)
                || self.providing(relation).any(|id| exclude.contains(self.universe.package(id).name()))
        };
        group
            .0
            .iter()
            .any(|relation| excluded(relation) || self.state.chosen.iter().any(|node| self.is_meant(relation, node.id)))
    }

    /// Whether a relation is satisfied by a package, by its name or by what it provides.
    fn is_meant(&self, relation: &Relation<'_>, id: PackageId) -> bool {
        let package = self.universe.package(id);
        if package.name() == relation.name {
            self.is_native(relation) && relation.accepts(package.version())
        } else {
            !package.provides().is_empty() && self.providing(relation).any(|provider| provider == id)
        }
    }

    /// Who provides what a relation asks for. A version is satisfied by versioned provides alone (Policy 7.5).
    fn providing<'b>(&'b self, relation: &'b Relation<'_>) -> impl Iterator<Item = PackageId> + 'b {
        let fits = |version: Option<&str>| match (relation.version, version) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(_), Some(version)) => relation.accepts(version),
        };
        let providers = self.universe.providers(relation.name).filter(move |(_, version)| fits(*version));
        providers.map(|(id, _)| id).filter(|_| self.is_native(relation))
    }

    /// Only one architecture is unpacked, so that `:any` and `:native` mean it as well.
    fn is_native(&self, relation: &Relation<'_>) -> bool {
        relation.qualifier.is_none_or(|q| matches!(q, "any" | "native") || self.universe.architecture().name() == q)
    }

    /// What can satisfy a need beside what is chosen, in order of preference; and whose fault it is that there is no more.
    fn candidates(&self, need: usize) -> (Vec<PackageId>, BTreeSet<usize>) {
        let mut fitting = Vec::new();
        let mut blame: BTreeSet<_> = self.state.agenda[need].by.into_iter().collect();
        for id in self.possible(&self.state.agenda[need].group) {
            match self.in_the_way_of(id) {
                Some(node) => _ = blame.insert(node),
                None => fitting.push(id),
            }
        }
        (fitting, blame)
    }

    /// What can satisfy alternatives at all.
    fn possible(&self, group: &Alternatives<'_>) -> Vec<PackageId> {
        let mut found = Vec::new();
        for relation in &group.0 {
            let named = self.universe.versions(relation.name).iter().copied().filter(|&id| self.is_meant(relation, id));
            for id in named.chain(self.providing(relation)) {
                let package = self.universe.package(id);
                let pinned = self.request.pins.get(package.name()).is_none_or(|version| version == package.version());
                if pinned && !found.contains(&id) {
                    found.push(id);
                }
            }
        }
        found
    }

    /// The chosen package that a candidate cannot stand beside: another version of it, or one of the two refuses the other.
    fn in_the_way_of(&self, id: PackageId) -> Option<usize> {
        let candidate = self.universe.package(id);
        let refuses = refusals(self.universe, id).unwrap_or_default();
        self.state.chosen.iter().position(|node| {
            self.universe.package(node.id).name() == candidate.name()
                || refuses.iter().any(|relation| self.is_meant(relation, node.id))
                || node.refuses.iter().any(|relation| self.is_meant(relation, id))
        })
    }

    fn choose(&mut self, need: usize, id: PackageId, because: BTreeSet<usize>) -> Result<(), SolveError> {
        let place = self.state.chosen.len();
        let package = self.universe.package(id);
        let bad = |error| SolveError::Relation { package: package.name().to_owned(), error };
        let refuses = refusals(self.universe, id).map_err(bad)?;
        self.state.chosen.push(Node { id, need, refuses, because });
        for text in [package.pre_depends(), package.depends()] {
            for group in relation::parse(text).map_err(bad)? {
                self.require(Some(place), group);
            }
        }
        Ok(())
    }

    /// Takes up the last choice that has a part in a failure, or reports the first failure of all.
    fn go_back(&mut self, need: usize, mut blame: BTreeSet<usize>) -> Result<(), SolveError> {
        if self.first_failure.is_none() {
            self.first_failure = Some(self.explain(need));
        }
        while let Some(mut choice) = self.choices.pop() {
            let [chosen, agenda, next, open, next_open] = choice.lengths;
            // Whoever came after the choice is there because of others: they take the blame.
            let mut guilty = false;
            while let Some(last) = blame.last().copied().filter(|&last| last >= chosen) {
                blame.remove(&last);
                if last == chosen {
                    guilty = true;
                } else {
                    blame.extend(&self.state.chosen[last].because);
                }
            }
            self.state.chosen.truncate(chosen);
            self.state.agenda.truncate(agenda);
            self.state.open.truncate(open);
            (self.state.next, self.state.next_open) = (next, next_open);
            if !guilty {
                continue;
            }
            choice.blame.append(&mut blame);
            if choice.left.is_empty() {
                blame = choice.blame;
                continue;
            }
            let (need, candidate, because) = (choice.need, choice.left.remove(0), choice.blame.clone());
            self.choices.push(choice);
            return self.choose(need, candidate, because);
        }
        Err(self.first_failure.take().unwrap_or(SolveError::TooHard))
    }

    /// Why a need cannot be satisfied, and how it came up.
    fn explain(&self, need: usize) -> SolveError {
        let need = &self.state.agenda[need];
        let mut chain = vec![Link { package: None, needs: need.group.to_string() }];
        let mut by = need.by;
        while let Some(place) = by {
            let node = &self.state.chosen[place];
            let last = chain.len() - 1;
            chain[last].package = Some(self.universe.package(node.id).name().to_owned());
            let above = &self.state.agenda[node.need];
            chain.push(Link { package: None, needs: above.group.to_string() });
            by = above.by;
        }
        chain.reverse();
        let relation = &need.group.0[0];
        let name = relation.name.to_owned();
        let why = match self.possible(&need.group).first() {
            Some(&id) => {
                let other = self.in_the_way_of(id).map(|place| self.universe.package(self.state.chosen[place].id));
                let print = |package: crate::packages::Package<'_>| format!("{} {}", package.name(), package.version());
                let other = other.map(print).unwrap_or_default();
                Unsatisfied::Conflict { package: print(self.universe.package(id)), other }
            }
            None => match (self.universe.newest(relation.name), self.request.pins.get(relation.name)) {
                (Some(_), Some(pin)) => Unsatisfied::Pinned { name, version: pin.clone() },
                (Some(id), None) => {
                    Unsatisfied::Version { name, version: self.universe.package(id).version().to_owned() }
                }
                (None, _) => Unsatisfied::NotFound { similar: self.universe.similar(&name).map(str::to_owned), name },
            },
        };
        SolveError::Unsatisfied { chain, why }
    }
}

/// `Conflicts` and `Breaks`. A package does not refuse itself, even where it provides what it refuses (Policy 7.4).
fn refusals(universe: &Universe, id: PackageId) -> Result<Vec<Relation<'_>>, RelationError> {
    let package = universe.package(id);
    let mut refused = Vec::new();
    for text in [package.conflicts(), package.breaks()] {
        refused.extend(relation::parse(text)?.into_iter().flat_map(|group| group.0));
    }
    Ok(refused)
}

#[cfg(test)]
mod tests;
