//! The Debian packages of a builder, as directories above the base: the tools that all builds share in one, what a single build needs
//! besides in another.
//!
//! Nothing of them is linked, scanned or counted, so they become no parts: they are unpacked where they are used, once, on all cores, without
//! what no build reads ([`trim::builder`]).

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jettison_debian::deb;
use jettison_engine::CacheKey;
use jettison_engine::graph::{BoxError, Context, Operation, Output};
use jettison_engine::snapshot::SafeDir;
use jettison_engine::store::{Snapshot, Store};
use jettison_tree::{Entry, Node, TreePath};

use crate::error::{BuildError, Context as _};
use crate::lockfile::LockedPackage;
use crate::trim;

/// What every builder has, besides the headers of its Python.
pub(super) const TOOLS: [&str; 16] = [
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
/// What a compiler comes with and builds of extensions do without: runtimes of sanitizers, of transactional memory, of a profiler; texts.
pub(super) const NOT_NEEDED: [&str; 15] = [
    "binutils-common",
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
/// The links that maintainer scripts of a compiler would have made.
const LINKS: [(&str, &str); 4] =
    [("usr/bin/cc", "gcc"), ("usr/bin/c++", "g++"), ("usr/bin/awk", "mawk"), ("usr/bin/sh", "dash")];

/// Packages that are unpacked into one directory.
#[derive(Debug, Clone)]
pub(crate) struct Packages {
    /// Each with its digest; of two that have one path the first one's counts.
    packages: Arc<[LockedPackage]>,
    /// On how many threads. It changes nothing of the result.
    threads: usize,
}

impl Packages {
    pub(crate) fn new(packages: &[LockedPackage], threads: usize) -> Self {
        Self { packages: packages.into(), threads }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    /// How progress names it.
    pub(super) fn title(&self) -> String {
        match &self.packages[..] {
            [one] => format!("unpack {}", one.name),
            many => format!("unpack {} packages to build with", many.len()),
        }
    }

    /// The directory, unpacked where it is not there yet.
    pub(crate) fn unpack(&self, store: &Store) -> Result<Snapshot, BuildError> {
        let key = self.key();
        let clash = AtomicBool::new(false);
        let together = store.snapshot_or(&key, |dir| self.fill(store, dir, self.threads, &clash));
        match together {
            Err(_) if clash.load(Ordering::Relaxed) => store.snapshot_or(&key, |dir| self.fill(store, dir, 1, &clash)),
            done => done,
        }
    }

    /// Unpacks all into `dir`. On several threads two packages that bring one path are an error, with `clash` set; on one thread the first
    /// package's counts.
    fn fill(&self, store: &Store, dir: &mut SafeDir, threads: usize, clash: &AtomicBool) -> Result<(), BuildError> {
        let mut taken = HashMap::new();
        for (link, target) in LINKS {
            let link = TreePath::parse(link)?;
            dir.write(&Entry::symlink(link.clone(), target))?;
            taken.insert(link, Taken::Made);
        }
        let taken = Mutex::new(taken);
        let alone = threads <= 1;
        let mut order: Vec<&LockedPackage> = self.packages.iter().collect();
        if !alone {
            // The longest first: no thread is left with it at the end.
            order.sort_by_key(|package| std::cmp::Reverse(package.size));
        }
        let next = AtomicUsize::new(0);
        let work = |dir: SafeDir| -> Result<SafeDir, BuildError> {
            let mut hand = Hand { dir, taken: &taken, clash: (!alone).then_some(clash) };
            while let Some(package) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                let done = unpack_into(store, package, &mut hand);
                if done.is_err() {
                    next.store(order.len(), Ordering::Relaxed);
                }
                done.context(format!("{} {}", package.name, package.version))?;
            }
            Ok(hand.dir)
        };
        let hands = (0..threads.clamp(1, order.len().max(1))).map(|_| dir.another()).collect::<io::Result<Vec<_>>>()?;
        let filled: Vec<Result<SafeDir, BuildError>> = std::thread::scope(|scope| {
            let running: Vec<_> = hands.into_iter().map(|hand| scope.spawn(|| work(hand))).collect();
            let joined = running.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined.map(|done| done.unwrap_or_else(|_| Err(BuildError::new("unpacking broke off")))).collect()
        });
        for hand in filled {
            dir.join(hand?);
        }
        Ok(())
    }
}

fn unpack_into(store: &Store, package: &LockedPackage, hand: &mut Hand<'_>) -> Result<(), BuildError> {
    deb::unpack(store.open_blob(package.digest)?, true, &mut Judge, hand, &deb::Limits::default())?;
    Ok(())
}

/// As a step, its result is the key of the snapshot. It is not kept: snapshots do not outlive a start of the machine, and one that is there is
/// found at once.
impl Operation for Packages {
    fn key(&self) -> CacheKey {
        let mut key = CacheKey::builder("snapshot/builder/1");
        for package in &*self.packages {
            key = key.digest("deb", package.digest);
        }
        key.finish()
    }

    fn run(&self, context: &Context<'_>, _: &[Arc<Output>]) -> Result<Output, BoxError> {
        self.unpack(context.store())?;
        Output::new(&self.key())
    }

    fn is_cached(&self) -> bool {
        false
    }
}

/// Leaves out what no build reads.
struct Judge;

impl deb::Trim for Judge {
    fn keep(&mut self, path: &TreePath, _: u64) -> bool {
        trim::builder(path).is_none()
    }
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// A link of ours, in place of what any package has there.
    Made,
    /// A directory with this mode, which packages share.
    Directory(u32),
    /// Anything else of some package's.
    Other,
}

/// Writes packages into a directory, beside other hands.
struct Hand<'a> {
    dir: SafeDir,
    taken: &'a Mutex<HashMap<TreePath, Taken>>,
    /// Set when another package has a path already; `None` where that one simply counts.
    clash: Option<&'a AtomicBool>,
}

impl Hand<'_> {
    /// Whether an entry is to be written.
    fn take(&self, path: &TreePath, what: Taken) -> io::Result<bool> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match (taken.get(path), self.clash) {
            (None, _) => {
                taken.insert(path.clone(), what);
                Ok(true)
            }
            (Some(there), _) if *there == Taken::Made || *there == what && what != Taken::Other => Ok(false),
            (Some(_), None) => Ok(false),
            (Some(_), Some(clash)) => {
                clash.store(true, Ordering::Relaxed);
                Err(io::Error::other(format!("another package brings `{path}` too")))
            }
        }
    }
}

impl deb::Sink for Hand<'_> {
    fn push(&mut self, entry: &Entry) -> io::Result<()> {
        let what = match entry.node {
            Node::Directory => Taken::Directory(entry.mode),
            _ => Taken::Other,
        };
        if self.take(&entry.path, what)? { self.dir.write(entry).map_err(io::Error::other) } else { Ok(()) }
    }

    fn push_stream(&mut self, path: TreePath, mode: u32, data: &mut dyn Read) -> io::Result<()> {
        if !self.take(&path, Taken::Other)? {
            return Ok(());
        }
        self.dir.write_file(&Entry::new(path, mode, (0, 0), Node::Directory), data).map_err(io::Error::other)
    }

    /// All are: nobody asks for their digests.
    fn streams_from(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jettison_testkit::DebBuilder;

    use super::*;

    fn room(debs: &[DebBuilder], threads: usize) -> (tempfile::TempDir, Snapshot) {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path().join("store")).unwrap();
        let locked = |deb: &DebBuilder| {
            let bytes = deb.build();
            LockedPackage {
                name: deb.package().to_owned(),
                version: "1".to_owned(),
                filename: String::new(),
                security: false,
                size: bytes.len() as u64,
                digest: store.put_bytes(&bytes).unwrap(),
            }
        };
        let packages: Vec<_> = debs.iter().map(locked).collect();
        let snapshot = Packages::new(&packages, threads).unpack(&store).unwrap();
        (home, snapshot)
    }

    #[test]
    fn packages_share_one_directory_without_what_no_build_reads() {
        let debs: Vec<DebBuilder> = (0..20)
            .map(|number| {
                DebBuilder::new(&format!("p{number}"), "1")
                    .file(&format!("usr/include/p/{number}.h"), format!("header {number}"))
                    .file(&format!("usr/share/man/man3/p{number}.3.gz"), "no")
                    .executable(&format!("bin/p{number}"), "#!/bin/sh")
                    .symlink(&format!("usr/lib/p{number}.so"), "p.so.1")
            })
            .collect();
        let (_home, snapshot) = room(&debs, 4);
        assert_eq!(fs::read_dir(snapshot.path.join("usr/include/p")).unwrap().count(), 20);
        assert_eq!(fs::read_to_string(snapshot.path.join("usr/include/p/7.h")).unwrap(), "header 7");
        assert!(snapshot.path.join("usr/bin/p19").is_file(), "/bin is a link of the base");
        assert_eq!(fs::read_link(snapshot.path.join("usr/lib/p3.so")).unwrap().to_str(), Some("p.so.1"));
        assert_eq!(fs::read_link(snapshot.path.join("usr/bin/cc")).unwrap().to_str(), Some("gcc"));
        assert!(!snapshot.path.join("usr/share/man").exists());
    }

    #[test]
    fn of_two_packages_with_one_path_the_first_counts_and_our_links_before_all() {
        let deb = |name: &str| {
            DebBuilder::new(name, "1")
                .file("usr/include/x.h", format!("of {name}"))
                .file(&format!("usr/include/{name}.h"), "mine")
                .symlink("usr/bin/sh", "bash")
        };
        for threads in [1, 3] {
            let (_home, snapshot) = room(&[deb("b"), deb("a"), deb("c")], threads);
            assert_eq!(fs::read_to_string(snapshot.path.join("usr/include/x.h")).unwrap(), "of b");
            assert!(["a", "b", "c"].iter().all(|name| snapshot.path.join(format!("usr/include/{name}.h")).is_file()));
            assert_eq!(fs::read_link(snapshot.path.join("usr/bin/sh")).unwrap().to_str(), Some("dash"));
        }
    }
}
