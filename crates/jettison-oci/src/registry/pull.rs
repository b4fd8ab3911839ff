//! Pulling: the documents at once, the blobs when they are opened, or all of them into a directory.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{BlobProgress, Registry, RegistryError, Repository};
use crate::blob::{BlobError, BlobSet, BlobSource, CheckedReader};
use crate::image::ImageOrIndex;
use crate::reference::Reference;
use crate::types::Descriptor;

impl Registry {
    /// What a reference points to. Manifest and config are fetched, a layer only when it is opened; of an index nothing but the index.
    pub fn pull(&self, reference: &Reference) -> Result<ImageOrIndex, RegistryError> {
        let repository = self.repository(reference);
        let (descriptor, bytes) = repository.get_manifest(&reference.locator())?;
        Ok(ImageOrIndex::parse(&descriptor, bytes, Arc::new(repository))?)
    }
}

impl Repository {
    /// Fetches blobs into a directory, each checked and under its 64 hex digits, several at a time. Those that are there with
    /// the right length are not fetched again. A file appears when it is whole.
    pub fn fetch_blobs(
        &self,
        blobs: &[Descriptor],
        directory: &Path,
        progress: &BlobProgress<'_>,
    ) -> Result<BlobSet, RegistryError> {
        let write = |path: &Path| {
            let path = path.to_owned();
            move |source| RegistryError::Write { path, source }
        };
        fs::create_dir_all(directory).map_err(write(directory))?;
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let error = Mutex::new(None);
        let work = || {
            while !failed.load(Ordering::Relaxed) {
                let Some(descriptor) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                if let Err(e) = self.fetch_blob(descriptor, &place(directory, descriptor), progress) {
                    failed.store(true, Ordering::Relaxed);
                    error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
                }
            }
        };
        let threads = self.registry.options().parallel.clamp(1, blobs.len().max(1));
        std::thread::scope(|scope| {
            (1..threads).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        if let Some(error) = error.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let mut set = BlobSet::new();
        for descriptor in blobs {
            set.add_file(descriptor.digest, place(directory, descriptor));
        }
        Ok(set)
    }

    fn fetch_blob(
        &self,
        descriptor: &Descriptor,
        place: &Path,
        progress: &BlobProgress<'_>,
    ) -> Result<(), RegistryError> {
        let write = |source| RegistryError::Write { path: place.to_owned(), source };
        if place.metadata().is_ok_and(|meta| meta.is_file() && meta.len() == descriptor.size) {
            progress(descriptor, descriptor.size);
            return Ok(());
        }
        let directory = place.parent().unwrap_or_else(|| Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory).map_err(write)?;
        let mut reader = CheckedReader::new(self.open(descriptor)?.into_reader(), descriptor);
        let mut buffer = vec![0; 128 * 1024];
        let mut at = 0;
        loop {
            match std::io::Read::read(&mut reader, &mut buffer) {
                Ok(0) => break,
                Ok(n) => {
                    file.write_all(&buffer[..n]).map_err(write)?;
                    at += n as u64;
                    progress(descriptor, at);
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(BlobError::from_io(descriptor.digest, e).into()),
            }
        }
        file.as_file().sync_data().map_err(write)?;
        file.persist(place).map(drop).map_err(|e| write(e.error))
    }
}

fn place(directory: &Path, descriptor: &Descriptor) -> PathBuf {
    directory.join(descriptor.digest.hex())
}
