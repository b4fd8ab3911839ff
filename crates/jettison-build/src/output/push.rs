//! Pushing, with what is remembered of the last time.
//!
//! The store notes which blobs a repository has and what its tags point to: when something is pushed to it or pulled
//! from it. So a push in which nothing changed is one request, and one with new code sends the new layer, the config and the
//! manifest, and asks for nothing. What is remembered may be wrong, since registries are cleaned up and replaced: then
//! the registry says so, and the push is done again as if nothing were known.

use std::collections::{BTreeMap, BTreeSet};

use jettison_engine::CacheKey;
use jettison_oci::image::{ContentItem, ImageOrIndex};
use jettison_oci::reference::Reference;
use jettison_oci::registry::{PushOptions, PushReport, RegistryError};
use jettison_tree::Digest;
use serde::{Deserialize, Serialize};

use crate::error::BuildError;
use crate::images::{Images, Transfer};

/// The most that is remembered: blobs and tags of a repository, and repositories of a registry. The oldest are
/// forgotten first.
const BLOBS: usize = 512;
const TAGS: usize = 64;
const REPOSITORIES: usize = 32;

/// What a repository had when it was last seen; the latest come first.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    blobs: Vec<Digest>,
    tags: Vec<(String, Digest)>,
}

impl Seen {
    fn add(&mut self, blobs: impl IntoIterator<Item = Digest>, tag: Option<(&str, Digest)>) {
        let mut all: Vec<Digest> = blobs.into_iter().collect();
        let new: BTreeSet<Digest> = all.iter().copied().collect();
        all.extend(self.blobs.iter().copied().filter(|old| !new.contains(old)));
        all.truncate(BLOBS);
        self.blobs = all;
        if let Some((tag, digest)) = tag {
            self.tags.retain(|(old, _)| old != tag);
            self.tags.insert(0, (tag.to_owned(), digest));
            self.tags.truncate(TAGS);
        }
    }

    fn tag(&self, tag: &str) -> Option<Digest> {
        self.tags.iter().find(|(name, _)| name == tag).map(|(_, digest)| *digest)
    }
}

fn repository_key(registry: &str, repository: &str) -> CacheKey {
    CacheKey::builder("registry/repository/1").field("registry", registry).field("repository", repository).finish()
}

fn registry_key(registry: &str) -> CacheKey {
    CacheKey::builder("registry/repositories/1").field("registry", registry).finish()
}

fn blobs(content: &ImageOrIndex) -> Result<Vec<(Digest, u64)>, BuildError> {
    let blob = |item: ContentItem| match item {
        ContentItem::Blob(blob) => Some((blob.digest, blob.size)),
        ContentItem::Document(..) => None,
    };
    Ok(content.contents()?.into_iter().filter_map(blob).collect())
}

impl Images<'_> {
    /// Pushes an image, or an index with all its images, to where the reference says.
    pub fn push(&self, content: &ImageOrIndex, reference: &Reference) -> Result<PushReport, BuildError> {
        self.push_from(content, reference, None)
    }

    /// As [`push`](Self::push), of what is in the repository `source` already, which may be of the same registry.
    pub(crate) fn push_from(
        &self,
        content: &ImageOrIndex,
        reference: &Reference,
        source: Option<&Reference>,
    ) -> Result<PushReport, BuildError> {
        let seen = self.seen(reference.registry(), reference.repository())?;
        let blobs = blobs(content)?;
        let known: BTreeSet<Digest> = seen.blobs.iter().copied().collect();
        let unknown: Vec<_> = blobs.iter().copied().filter(|(digest, _)| !known.contains(digest)).collect();
        let mounts = self.mounts(reference, source, unknown.iter().map(|(digest, _)| *digest).collect())?;
        let total = unknown.iter().map(|(_, size)| size).sum();
        let transfer = Transfer::begin(self.events, &format!("pushing {}", reference.familiar()), total);
        let progress = |blob: &jettison_oci::types::Descriptor, bytes| transfer.at(blob.digest, bytes);
        let last = reference.tag_or_default().and_then(|tag| seen.tag(tag));
        let used_memory = !known.is_empty();
        let options = PushOptions { known, last, mounts, progress: Some(&progress) };
        let report = match self.registry.push(content, reference, &options) {
            // Not every registry has the same words for a blob that it misses.
            Err(RegistryError::Answer { status: 400..=499, .. } | RegistryError::NotFound { .. }) if used_memory => {
                self.store.memo_remove(&repository_key(reference.registry(), reference.repository()))?;
                let nothing_known = PushOptions { progress: Some(&progress), ..PushOptions::default() };
                self.registry.push(content, reference, &nothing_known)?
            }
            report => report?,
        };
        drop(transfer);
        self.remember(reference, blobs.iter().map(|(digest, _)| *digest), Some(report.digest))?;
        Ok(report)
    }

    /// Notes that a repository has all blobs of an image that was pulled from it.
    pub(crate) fn remember_pulled(&self, reference: &Reference, content: &ImageOrIndex) -> Result<(), BuildError> {
        self.remember(reference, blobs(content)?.into_iter().map(|(digest, _)| digest), None)
    }

    fn remember(
        &self,
        reference: &Reference,
        blobs: impl Iterator<Item = Digest>,
        pushed: Option<Digest>,
    ) -> Result<(), BuildError> {
        let (registry, repository) = (reference.registry(), reference.repository());
        let mut seen = self.seen(registry, repository)?;
        seen.add(blobs, reference.tag_or_default().zip(pushed));
        self.store.memo_put(&repository_key(registry, repository), &seen, &[])?;
        let mut repositories = self.repositories(registry)?;
        if repositories.first().is_none_or(|first| first != repository) {
            repositories.retain(|other| other != repository);
            repositories.insert(0, repository.to_owned());
            repositories.truncate(REPOSITORIES);
            self.store.memo_put(&registry_key(registry), &repositories, &[])?;
        }
        Ok(())
    }

    fn seen(&self, registry: &str, repository: &str) -> Result<Seen, BuildError> {
        Ok(self.store.memo_get(&repository_key(registry, repository))?.unwrap_or_default())
    }

    fn repositories(&self, registry: &str) -> Result<Vec<String>, BuildError> {
        Ok(self.store.memo_get(&registry_key(registry))?.unwrap_or_default())
    }

    /// Other repositories of the registry that are known to have blobs which this one is not known to have.
    fn mounts(
        &self,
        reference: &Reference,
        source: Option<&Reference>,
        mut wanted: BTreeSet<Digest>,
    ) -> Result<BTreeMap<Digest, String>, BuildError> {
        let mut mounts = BTreeMap::new();
        let source = source.filter(|source| source.registry() == reference.registry()).map(Reference::repository);
        if let Some(source) = source.filter(|source| *source != reference.repository()) {
            mounts.extend(wanted.iter().map(|digest| (*digest, source.to_owned())));
            return Ok(mounts);
        }
        for repository in self.repositories(reference.registry())? {
            if wanted.is_empty() {
                break;
            }
            if repository != reference.repository() {
                for digest in self.seen(reference.registry(), &repository)?.blobs {
                    if wanted.remove(&digest) {
                        mounts.insert(digest, repository.clone());
                    }
                }
            }
        }
        Ok(mounts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first() {
        let digest = |n: usize| Digest::of(n.to_string().as_bytes());
        let mut seen = Seen::default();
        seen.add((0..BLOBS).map(digest), Some(("latest", digest(0))));
        seen.add([digest(9_999), digest(3)], Some(("latest", digest(1))));
        assert_eq!(seen.blobs.len(), BLOBS);
        assert_eq!(seen.blobs[..3], [digest(9_999), digest(3), digest(0)]);
        assert!(!seen.blobs.contains(&digest(BLOBS - 1)));
        assert_eq!(seen.tags, [("latest".to_owned(), digest(1))]);
        (0..2 * TAGS).for_each(|n| seen.add([], Some((&n.to_string(), digest(n)))));
        assert_eq!((seen.tags.len(), seen.tag("latest")), (TAGS, None));
        assert_eq!(seen.tag("127"), Some(digest(127)));
    }
}
