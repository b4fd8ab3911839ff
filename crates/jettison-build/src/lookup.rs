//! What registries and package indices say when a single thing is asked: the digest behind a tag, whether a distribution has a wheel.
//!
//! Each thing is asked once. A client that is offline gives no answer, and nor does a server that fails: none is "not known". A server that
//! failed is not asked again; [`Lookup::failures`] tells of it.

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::sync::{Mutex, PoisonError};

use jettison_http::{Client, redact};
use jettison_oci::reference::Reference;
use jettison_oci::registry::Registry;
use jettison_python::sdist::SdistFilename;
use jettison_python::simple::IndexFile;
use jettison_python::wheel::WheelFilename;
use jettison_python::{NormalizedName, Version, VersionSpecifiers};
use jettison_tree::Digest;

use crate::error::BuildError;
use crate::index::{Indexes, page_over};

/// The ways to ask, and what was answered. Threads may share one.
pub struct Lookup {
    http: Client,
    registry: Registry,
    indexes: Vec<String>,
    digests: Mutex<BTreeMap<String, Option<Digest>>>,
    wheels: Mutex<BTreeMap<(String, String), Option<bool>>>,
    failures: Mutex<BTreeMap<String, String>>,
}

impl Lookup {
    /// Asks through these. Credentials in the URLs of indices are used and not shown.
    pub fn new(http: Client, registry: Registry, indexes: &Indexes) -> Self {
        let indexes = indexes.urls();
        indexes.iter().for_each(|url| http.log_in(url, None));
        Self {
            http,
            registry,
            indexes,
            digests: Mutex::default(),
            wheels: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// The digest that a tag stands for now: that of the index where there is one, so that it stands for every platform.
    pub fn digest(&self, image: &Reference) -> Option<Digest> {
        let ask = || {
            let tag = image.tag_or_default()?;
            let head = || self.registry.repository(image).head_manifest(tag).map_err(BuildError::from);
            Some(self.ask(image.registry(), &image.familiar(), head)??.digest)
        };
        once(&self.digests, image.to_string(), ask)
    }

    /// Whether the newest release that `versions` (PEP 440 specifiers, perhaps empty) allows has a wheel that runs with musl.
    pub fn has_musl_wheel(&self, name: &NormalizedName, versions: &str) -> Option<bool> {
        let ask = || {
            let versions = VersionSpecifiers::from_str(versions).ok()?;
            // The first index that has it is the one that counts, as with uv.
            for index in &self.indexes {
                let files = self.ask(&redact(index), name.as_str(), || page_over(&self.http, index, name.as_str()))?;
                if !files.is_empty() {
                    return has_musl_wheel(&files, name, &versions);
                }
            }
            None
        };
        once(&self.wheels, (name.to_string(), versions.to_owned()), ask)
    }

    /// What got no answer, servers that cannot be reached or images, and why.
    pub fn failures(&self) -> Vec<(String, String)> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.iter().map(|(what, why)| (what.clone(), why.clone())).collect()
    }

    /// Asks a server about a thing, unless it was down before.
    fn ask<T>(&self, server: &str, thing: &str, ask: impl FnOnce() -> Result<T, BuildError>) -> Option<T> {
        let failures = || self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures().contains_key(server) {
            return None;
        }
        let failed = |error: BuildError| {
            let what = if error.is_transient() { server } else { thing };
            failures().insert(what.to_owned(), error.to_string());
        };
        ask().map_err(failed).ok()
    }
}

/// What was answered before, or is answered now.
fn once<K: Ord, V: Copy>(known: &Mutex<BTreeMap<K, V>>, key: K, ask: impl FnOnce() -> V) -> V {
    let lock = || known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(answer) = lock().get(&key) {
        return *answer;
    }
    let answer = ask();
    lock().insert(key, answer);
    answer
}

/// Of the newest release that is allowed: pre-releases only if there is nothing else, withdrawn ones never.
fn has_musl_wheel(files: &[IndexFile], name: &NormalizedName, versions: &VersionSpecifiers) -> Option<bool> {
    let mut releases: BTreeMap<Version, bool> = BTreeMap::new();
    for file in files.iter().filter(|file| file.yanked.is_none()) {
        let (version, runs) = match WheelFilename::parse(&file.filename) {
            Ok(wheel) => {
                let runs = wheel.is_any_platform() || wheel.platforms.iter().any(|tag| tag.starts_with("musllinux"));
                (wheel.version, runs)
            }
            Err(_) => match SdistFilename::parse_for(&file.filename, name) {
                Ok(sdist) => (sdist.version, false),
                Err(_) => continue,
            },
        };
        if versions.contains(&version) {
            *releases.entry(version).or_default() |= runs;
        }
    }
    let newest = releases.iter().rev().find(|(version, _)| !version.any_prerelease()).or(releases.iter().next_back());
    newest.map(|(_, runs)| *runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_release_that_is_allowed_decides() {
        let name = NormalizedName::parse("a-b").unwrap();
        let file = |filename: &str, yanked: bool| IndexFile {
            filename: filename.to_owned(),
            url: String::new(),
            hashes: BTreeMap::new(),
            size: None,
            requires_python: None,
            yanked: yanked.then(String::new),
            core_metadata: None,
        };
        let files = [
            file("a_b-1.0-py3-none-any.whl", false),
            file("a_b-2.0-cp312-cp312-manylinux_2_17_x86_64.whl", false),
            file("a_b-2.0.tar.gz", false),
            file("a_b-3.0-cp312-cp312-musllinux_1_2_x86_64.whl", false),
            file("a_b-4.0rc1.tar.gz", false),
            file("a_b-5.0.tar.gz", true),
        ];
        for (versions, expected) in
            [("", Some(true)), ("==1.0", Some(true)), ("<3", Some(false)), ("==4.0rc1", Some(false)), (">=5", None)]
        {
            let versions = VersionSpecifiers::from_str(versions).unwrap();
            assert_eq!(has_musl_wheel(&files, &name, &versions), expected, "{versions}");
        }
    }
}
