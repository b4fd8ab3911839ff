//! Pushing an image or an index.
//!
//! 1. If the tag already is the image, that one HEAD was all. Who knows that the tag was another image spares it.
//! 2. Blobs that the caller knows to be there are believed; of the others each is looked for, mounted or sent, several at a
//!    time. A small one that is new to a caller who knows the repository is sent without a look.
//! 3. The manifests follow, those of an index before the index. If the registry misses a blob after all, step 2 is done again
//!    and nothing is believed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jettison_tree::Digest;

use super::upload::Placed;
use super::{BlobProgress, Registry, RegistryError, Repository};
use crate::blob::BlobSource;
use crate::image::{ContentItem, ImageOrIndex};
use crate::reference::Reference;
use crate::types::Descriptor;

/// A blob of up to so many bytes is sent as fast as it is looked for.
const SENT_UNASKED: u64 = 1 << 20;

/// What is known beforehand about a push.
#[derive(Default)]
pub struct PushOptions<'a> {
    /// Blobs that were in the repository when it was last looked at. Wrong knowledge costs time, nothing else.
    pub known: BTreeSet<Digest>,
    /// What the tag pointed to when it was last looked at.
    pub last: Option<Digest>,
    /// Repositories of the same registry that may have a blob.
    pub mounts: BTreeMap<Digest, String>,
    /// Watches the blobs go.
    pub progress: Option<&'a BlobProgress<'a>>,
}

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushReport {
    /// Of what was pushed.
    pub digest: Digest,
    /// Blobs that were sent.
    pub uploaded: Vec<Descriptor>,
    /// Blobs that were mounted from other repositories.
    pub mounted: Vec<Descriptor>,
    /// Blobs that were there already, and those that were believed to be.
    pub skipped: Vec<Descriptor>,
    /// Whether the tag was the image before.
    pub unchanged: bool,
}

impl PushReport {
    /// Bytes that were sent.
    pub fn uploaded_bytes(&self) -> u64 {
        self.uploaded.iter().map(|blob| blob.size).sum()
    }
}

impl Registry {
    /// Pushes an image, or an index with all its images, under the reference's tag (`latest` where it has neither tag nor
    /// digest).
    pub fn push(
        &self,
        image: &ImageOrIndex,
        reference: &Reference,
        options: &PushOptions<'_>,
    ) -> Result<PushReport, RegistryError> {
        let top = image.descriptor().clone();
        if let Some(want) = reference.digest().filter(|want| *want != top.digest) {
            return Err(RegistryError::Digest { what: format!("the image for {reference}"), want, got: top.digest });
        }
        let mounts: BTreeSet<String> = options.mounts.values().cloned().collect();
        let repository = self.repository_for_push(reference, mounts.into_iter().collect());
        let tag = reference.tag_or_default();
        let locator = tag.map_or_else(|| top.digest.to_string(), str::to_owned);
        let mut report = PushReport {
            digest: top.digest,
            uploaded: Vec::new(),
            mounted: Vec::new(),
            skipped: Vec::new(),
            unchanged: false,
        };
        let mut items = image.contents()?;
        let changed = options.last.is_some_and(|last| last != top.digest);
        if !changed && repository.head_manifest(&locator)?.is_some_and(|there| there.digest == top.digest) {
            report.unchanged = true;
            report.skipped = items.into_iter().filter_map(blob).collect();
            return Ok(report);
        }
        let documents = items.iter().filter(|item| matches!(item, ContentItem::Document(..))).count();
        if documents > 1 {
            items = repository.without_present_images(items)?;
        }
        let blobs: Vec<Descriptor> = items.iter().cloned().filter_map(blob).collect();
        let push = Push { repository: &repository, source: image.blobs(), options };
        push.blobs(&blobs, &options.known, &mut report)?;
        if let Err(error) = push.documents(&items, &top, tag) {
            if !error.is_blob_unknown() || report.skipped.is_empty() {
                return Err(error);
            }
            let believed = std::mem::take(&mut report.skipped);
            push.blobs(&believed, &BTreeSet::new(), &mut report)?;
            push.documents(&items, &top, tag)?;
        }
        Ok(report)
    }
}

fn blob(item: ContentItem) -> Option<Descriptor> {
    match item {
        ContentItem::Blob(descriptor) => Some(descriptor),
        ContentItem::Document(..) => None,
    }
}

impl Repository {
    /// Leaves out the images of an index that the repository has: where a manifest is, its blobs are.
    fn without_present_images(&self, items: Vec<ContentItem>) -> Result<Vec<ContentItem>, RegistryError> {
        let mut kept = Vec::new();
        let mut blobs = Vec::new();
        for item in items {
            match &item {
                ContentItem::Blob(_) => blobs.push(item),
                ContentItem::Document(descriptor, _) => {
                    let there = !descriptor.media_type.is_index()
                        && self.head_manifest(&descriptor.digest.to_string())?.is_some();
                    if there {
                        blobs.clear();
                    } else {
                        kept.append(&mut blobs);
                        kept.push(item);
                    }
                }
            }
        }
        Ok(kept)
    }
}

struct Push<'a> {
    repository: &'a Repository,
    source: &'a Arc<dyn BlobSource>,
    options: &'a PushOptions<'a>,
}

impl Push<'_> {
    /// Brings the blobs there, several at a time. The first error ends it.
    fn blobs(
        &self,
        blobs: &[Descriptor],
        known: &BTreeSet<Digest>,
        report: &mut PushReport,
    ) -> Result<(), RegistryError> {
        let (believed, todo): (Vec<_>, Vec<_>) = blobs.iter().cloned().partition(|blob| known.contains(&blob.digest));
        report.skipped.extend(believed);
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let outcomes = Mutex::new(Vec::new());
        let work = || {
            while !failed.load(Ordering::Relaxed) {
                let Some(descriptor) = todo.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                let look = known.is_empty() || descriptor.size > SENT_UNASKED;
                let outcome = self.blob(descriptor, look);
                failed.fetch_or(outcome.is_err(), Ordering::Relaxed);
                outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((descriptor.clone(), outcome));
            }
        };
        let threads = self.repository.registry.options().parallel.clamp(1, todo.len().max(1));
        std::thread::scope(|scope| {
            (1..threads).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let position = |digest| blobs.iter().position(|blob| blob.digest == digest);
        outcomes.sort_by_key(|(descriptor, _)| position(descriptor.digest));
        for (descriptor, outcome) in outcomes {
            match outcome? {
                None => report.skipped.push(descriptor),
                Some(Placed::Mounted) => report.mounted.push(descriptor),
                Some(Placed::Uploaded) => report.uploaded.push(descriptor),
            }
        }
        Ok(())
    }

    fn blob(&self, descriptor: &Descriptor, look: bool) -> Result<Option<Placed>, RegistryError> {
        if look && self.repository.has_blob(descriptor.digest)? {
            return Ok(None);
        }
        let from = self.options.mounts.get(&descriptor.digest).map(String::as_str);
        let progress = |sent| {
            if let Some(progress) = self.options.progress {
                progress(descriptor, sent);
            }
        };
        self.repository.upload_blob(descriptor, self.source, from, &progress).map(Some)
    }

    fn documents(&self, items: &[ContentItem], top: &Descriptor, tag: Option<&str>) -> Result<(), RegistryError> {
        for item in items {
            if let ContentItem::Document(descriptor, bytes) = item {
                let tag = tag.filter(|_| descriptor.digest == top.digest);
                let media_type = if descriptor.digest == top.digest { &top.media_type } else { &descriptor.media_type };
                let descriptor = Descriptor { media_type: media_type.clone(), ..descriptor.clone() };
                self.repository.put_manifest(&descriptor, bytes, tag)?;
            }
        }
        Ok(())
    }
}
