//! Bytes with a known digest, from the store or the network.

use std::sync::atomic::{AtomicU64, Ordering};

use jettison_http::DownloadWant;
use jettison_tree::Digest;

use crate::error::{BuildError, Context as _};
use crate::job::Job;

/// Connections at once.
const CONNECTIONS: usize = 8;
/// No wheel, sdist or `.deb` is larger. Bytes.
pub const LIMIT: u64 = 8 << 30;

/// Something to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// How messages name it.
    pub name: String,
    /// Where it may be, the best first.
    pub urls: Vec<String>,
    /// What it must be.
    pub digest: Digest,
    /// Its bytes, where they are known.
    pub size: Option<u64>,
}

/// Brings all of them into the store. What is there is not asked for again.
pub fn fetch_all(job: &Job<'_>, wanted: &[Wanted]) -> Result<(), BuildError> {
    let mut missing = Vec::new();
    for one in wanted {
        if !job.store.has(one.digest)? && !missing.iter().any(|other: &&Wanted| other.digest == one.digest) {
            missing.push(one);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    // The longest first: the last connection to finish is then not the one that began last with the most to do.
    missing.sort_by_key(|one| std::cmp::Reverse(one.size));
    let total: u64 = missing.iter().filter_map(|one| one.size).sum();
    let progress = job.begin(&match &missing[..] {
        [one] => format!("download {}", one.name),
        many => format!("download {} files", many.len()),
    });
    let received = AtomicU64::new(0);
    let fetched = job.each(CONNECTIONS, &missing, |one| {
        let counted = AtomicU64::new(0);
        fetch(job, one, &|bytes| {
            let more = bytes.saturating_sub(counted.swap(bytes, Ordering::Relaxed));
            progress.bytes(received.fetch_add(more, Ordering::Relaxed) + more, total);
        })
    });
    fetched.map(drop)
}

fn fetch(job: &Job<'_>, wanted: &Wanted, progress: &dyn Fn(u64)) -> Result<(), BuildError> {
    let mut last = None;
    for url in &wanted.urls {
        let mut want = DownloadWant::at_most(LIMIT).digest(wanted.digest);
        if let Some(size) = wanted.size {
            want = want.size(size);
        }
        let mut writer = job.store.writer()?;
        match job.http.download(url, &want, &mut writer, progress) {
            Ok(_) => return Ok(writer.commit(Some(wanted.digest)).map(drop)?),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(BuildError::from(error)).context(format!("cannot fetch {}", wanted.name)),
        None => Err(BuildError::new(format!("nothing says where {} can be fetched", wanted.name))),
    }
}
