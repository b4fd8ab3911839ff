//! What an instruction copies.

use std::collections::BTreeMap;

use jettison_dockerfile::Ignore;
use jettison_engine::CacheKey;
use jettison_tree::{Content, Entry, TreePath};

use super::glob::{Glob, has_wildcards};
use super::missing;
use super::{Request, Source};
use crate::dockerfile::context::memory::MemoryTree;
use crate::dockerfile::context::tree::{
    FileTree, Found, Kind, Loaded, Stat, clean, join, keeps_xattr, resolve_in, shown, split,
};
use crate::error::BuildError;

/// What an instruction copies, found and read, before it is known where to.
pub struct Selection {
    pub(super) parts: Vec<Part>,
    key: CacheKey,
}

/// What one source, or one match of a pattern, led to.
pub(super) struct Part {
    /// The name that a file gets in a directory.
    pub name: Vec<u8>,
    /// What the source is, links followed.
    pub root: Selected,
    /// What is in it, where it is a directory.
    pub below: Vec<Selected>,
    /// Whether a directory's contents go to the destination, which is then made as every directory is made; else it goes there itself.
    pub contents_only: bool,
    /// Whether a file is unpacked if it is an archive.
    pub unpack: bool,
}

/// One thing that is copied.
pub(super) struct Selected {
    pub found: Found,
    pub loaded: Loaded,
    /// A directory that is there only for what is in it: no pattern chose it.
    pub on_the_way: bool,
}

/// Finds what the request names in `tree`, which messages call `place`, such as "the build context".
pub fn select(tree: &dyn FileTree, place: &str, request: &Request) -> Result<Selection, BuildError> {
    let excludes = patterns("--exclude", &request.excludes)?;
    let mut parts = Vec::new();
    for source in &request.sources {
        match source {
            Source::Path(path) => select_path(tree, place, path, request, &excludes, &mut parts)?,
            Source::Inline { name, content } => parts.push(inline(name, content)?),
            Source::Fetched { tree, path, unpack } => {
                let scan = Scan { tree: &**tree, include: None, excludes: &excludes, scope: String::new() };
                let stat = scan.tree.lstat(path)?.ok_or_else(|| missing::fetched(path))?;
                parts.push(scan.part(path.clone(), path, stat, false, *unpack)?);
            }
        }
    }
    let key = key(&parts, request);
    Ok(Selection { parts, key })
}

impl Selection {
    /// The key of all that is copied and how: paths as they end up below the destination, types, modes, owners as written, targets, kept
    /// extended attributes, contents, the destination and the options. Left out: times, and where the files came from.
    pub fn key(&self) -> CacheKey {
        self.key
    }

    /// Each path that is copied with a key of what it is, to say later what has changed. Files of a directory are below the directory's
    /// name.
    pub fn fingerprints(&self) -> BTreeMap<String, CacheKey> {
        let mut all = BTreeMap::new();
        for part in &self.parts {
            for selected in std::iter::once(&part.root).chain(&part.below) {
                let path = shown(&join(&part.name, &selected.found.path));
                all.insert(path, fingerprint(CacheKey::builder("copied/1"), selected, true).finish());
            }
        }
        all
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        let all = self.parts.iter().flat_map(|part| std::iter::once(&part.root).chain(&part.below));
        all.filter_map(|selected| selected.loaded.content.as_ref()).map(Content::len).sum()
    }

    /// Whether nothing is copied: no pattern matched anything.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

/// Patterns as moby/patternmatcher takes them; `None` where there are none.
fn patterns(flag: &str, patterns: &[String]) -> Result<Option<Ignore>, BuildError> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let parsed = Ignore::from_patterns(patterns.iter().map(String::as_str));
    parsed.map(Some).map_err(|error| BuildError::with_hint(format!("{flag}: {error}"), error.hint()))
}

fn select_path(
    tree: &dyn FileTree,
    place: &str,
    written: &str,
    request: &Request,
    excludes: &Option<Ignore>,
    parts: &mut Vec<Part>,
) -> Result<(), BuildError> {
    let mut source = written;
    let mut kept = None;
    if request.parents {
        // What stands before a `/./` is not kept.
        (source, kept) = match written.split_once("/./") {
            Some((before, after)) => (before, Some(after)),
            None => ("/", Some(written)),
        };
    }
    let include = match kept {
        Some(kept) => {
            let pattern = String::from_utf8_lossy(&clean(kept.as_bytes())).into_owned();
            // All is out but the pattern: what matches stays, and directories in which nothing could match are not entered.
            if pattern.is_empty() { None } else { patterns("--parents", &["**".to_owned(), format!("!{pattern}")])? }
        }
        None => None,
    };
    let scope = format!("{written}\u{0}{}\u{0}{}", request.parents, request.excludes.join("\u{0}"));
    let scan = Scan { tree, include, excludes, scope };
    let before = parts.len();
    let (base, matched) = matches(tree, source)?;
    for path in matched {
        // What a wildcard names can be excluded; what is named itself cannot.
        if let (Some(base), Some(excludes)) = (&base, excludes)
            && excludes.matches(below(&path, base))
        {
            continue;
        }
        let followed = resolve_in(tree, &path)?;
        let Some(stat) = tree.lstat(&followed)? else {
            return Err(missing::source(tree, place, written, &path, &followed));
        };
        if stat.kind != Kind::Socket {
            parts.push(scan.part(path, &followed, stat, true, request.unpack)?);
        }
    }
    if let Some(kept) = kept.filter(|kept| !has_wildcards(source) && !has_wildcards(kept)) {
        let found = parts[before..].iter().any(|part| !part.below.is_empty() || scan.include.is_none());
        if !found {
            let path = clean(format!("{source}/{kept}").as_bytes());
            return Err(missing::source(tree, place, written, &path, &path));
        }
    }
    Ok(())
}

/// The directory that wildcards begin in, if there are any, and the paths.
type Matched = (Option<Vec<u8>>, Vec<Vec<u8>>);

/// The paths that a source names: itself, or what its wildcards match, in the order of their bytes. A pattern that matches nothing names nothing, as in BuildKit.
fn matches(tree: &dyn FileTree, source: &str) -> Result<Matched, BuildError> {
    let cleaned = String::from_utf8(clean(source.as_bytes())).unwrap_or_default();
    let components: Vec<&str> = cleaned.split('/').collect();
    let Some(first) = components.iter().position(|component| has_wildcards(component)) else {
        return Ok((None, vec![cleaned.into_bytes()]));
    };
    let parse = |component: &&str| {
        Glob::parse(component).map_err(|why| {
            BuildError::new(format!("`{source}` is no pattern: `{component}` {why}"))
                .hint("write `[[]` for a `[` that stands for itself")
        })
    };
    let globs = components[first..].iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let base = resolve_in(tree, components[..first].join("/").as_bytes())?;
    let mut found = vec![base.clone()];
    for glob in &globs {
        let mut next = Vec::new();
        for directory in &found {
            if !tree.lstat(directory)?.is_some_and(|stat| stat.is_directory()) {
                continue;
            }
            let names = tree.read_dir(directory)?;
            next.extend(names.iter().filter(|name| glob.matches(name)).map(|name| join(directory, name)));
        }
        found = next;
    }
    Ok((Some(base), found))
}

/// `path` as it is called in the directory `base` above it.
fn below<'a>(path: &'a [u8], base: &[u8]) -> &'a [u8] {
    let rest = path.strip_prefix(base).unwrap_or(path);
    rest.strip_prefix(b"/").unwrap_or(rest)
}

/// How directories are searched.
struct Scan<'a> {
    tree: &'a dyn FileTree,
    /// What `--parents` chooses, turned round: what matches is out.
    include: Option<Ignore>,
    excludes: &'a Option<Ignore>,
    scope: String,
}

impl Scan<'_> {
    /// What stands at `followed`, to which the source `path` led.
    fn part(
        &self,
        path: Vec<u8>,
        followed: &[u8],
        stat: Stat,
        contents_only: bool,
        unpack: bool,
    ) -> Result<Part, BuildError> {
        let name = split(&path).1.to_vec();
        let (base, own) = split(followed);
        let mut below = Vec::new();
        let root = Found { path: own.to_vec(), stat, target: None, meta: None };
        let root = if stat.is_directory() {
            let kept = self.below(followed)?;
            let scope = if self.scope.is_empty() { String::new() } else { format!("{}\u{0}{name:?}", self.scope) };
            let (flags, found): (Vec<bool>, Vec<Found>) = kept.into_iter().unzip();
            let loaded = self.tree.load(followed, &found, &scope)?;
            let all = found.into_iter().zip(loaded).zip(flags);
            below = all.map(|((found, loaded), on_the_way)| Selected { found, loaded, on_the_way }).collect();
            Selected { found: Found { path: Vec::new(), ..root }, loaded: Loaded::default(), on_the_way: false }
        } else {
            let loaded = self.tree.load(base, std::slice::from_ref(&root), "")?.into_iter().next().unwrap_or_default();
            Selected { found: Found { path: Vec::new(), ..root }, loaded, on_the_way: false }
        };
        Ok(Part { name, root, below, contents_only, unpack })
    }

    /// What is copied of a directory, and whether each is there only for what is in it.
    fn below(&self, directory: &[u8]) -> Result<Vec<(bool, Found)>, BuildError> {
        let prunes = |rules: &Option<Ignore>, path: &[u8]| rules.as_ref().is_some_and(|rules| rules.prunes(path));
        let matches = |rules: &Option<Ignore>, path: &[u8]| rules.as_ref().is_some_and(|rules| rules.matches(path));
        let enter = |path: &[u8]| !prunes(&self.include, path) && !prunes(self.excludes, path);
        let found = self.tree.walk(directory, &enter)?;
        if self.include.is_none() && self.excludes.is_none() {
            return Ok(found.into_iter().map(|found| (false, found)).collect());
        }
        let mut kept: Vec<(bool, Found)> = Vec::new();
        for found in found.into_iter().rev() {
            let left_out = matches(&self.include, &found.path) || matches(self.excludes, &found.path);
            // Seen from the end, what is in a directory comes before it.
            let holds_last = || {
                let inside = kept.last().and_then(|(_, last)| last.path.strip_prefix(found.path.as_slice()));
                inside.is_some_and(|rest| rest.starts_with(b"/"))
            };
            if !left_out || (found.stat.is_directory() && holds_last()) {
                kept.push((left_out, found));
            }
        }
        kept.reverse();
        Ok(kept)
    }
}

/// A heredoc: a file `0644` of root's.
fn inline(name: &str, content: &[u8]) -> Result<Part, BuildError> {
    let path = TreePath::parse(name)?;
    let mut tree = MemoryTree::new();
    tree.insert(Entry::file(path.clone(), Content::from_bytes(content), false));
    let excludes = None;
    let scan = Scan { tree: &tree, include: None, excludes: &excludes, scope: String::new() };
    let stat = tree.lstat(path.as_bytes())?.ok_or_else(|| missing::fetched(path.as_bytes()))?;
    scan.part(path.as_bytes().to_vec(), path.as_bytes(), stat, false, false)
}

fn key(parts: &[Part], request: &Request) -> CacheKey {
    let (destination, is_directory) = request.destination();
    let mut key = CacheKey::builder("copy/1")
        .field("destination", destination)
        .flag("directory", is_directory)
        .flag("link", request.stands_alone())
        .field("chown", request.chown.as_deref().unwrap_or_default())
        .field("chmod", request.chmod.as_ref().map(|chmod| format!("{chmod:?}")).unwrap_or_default());
    for part in parts {
        key = key.flag("contents", part.contents_only).flag("unpack", part.unpack);
        if !part.root.found.stat.is_directory() {
            key = key.field("name", &part.name);
        }
        let mut links = BTreeMap::new();
        for selected in std::iter::once(&part.root).chain(&part.below) {
            key = fingerprint(key, selected, request.chown.is_none());
            if selected.found.stat.links != 0 {
                let first = *links.entry(selected.found.stat.links).or_insert_with_key(|_| &selected.found.path);
                key = key.field("links", first);
            }
        }
    }
    key.finish()
}

fn fingerprint(
    mut key: jettison_engine::CacheKeyBuilder,
    selected: &Selected,
    with_owner: bool,
) -> jettison_engine::CacheKeyBuilder {
    let Selected { found, loaded, on_the_way } = selected;
    let stat = &found.stat;
    let (kind, numbers) = match stat.kind {
        Kind::Directory => (0, 0),
        Kind::File => (1, 0),
        Kind::Symlink => (2, 0),
        Kind::CharacterDevice(device) => (3, u64::from(device.major) << 32 | u64::from(device.minor)),
        Kind::BlockDevice(device) => (4, u64::from(device.major) << 32 | u64::from(device.minor)),
        Kind::Fifo => (5, 0),
        Kind::Socket => (6, 0),
    };
    let numbers = [kind | u64::from(*on_the_way) << 8, numbers, stat.mode.into()];
    let owner = if with_owner { u64::from(stat.uid) << 32 | u64::from(stat.gid) } else { 0 };
    let mut fixed = [0; 32];
    for (place, number) in fixed.chunks_exact_mut(8).zip(numbers.into_iter().chain([owner])) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    key = key.field("path", &found.path).field("stat", fixed);
    if let Some(target) = &found.target {
        key = key.field("target", target);
    }
    if let Some(content) = &loaded.content {
        key = key.digest("content", content.digest());
    }
    for (name, value) in loaded.xattrs.iter().filter(|(name, _)| keeps_xattr(name)) {
        key = key.field("xattr", name).field("value", value);
    }
    key
}
