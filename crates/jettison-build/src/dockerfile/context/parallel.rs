//! The same work for many items, on several threads, with the results in the order of the items.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::error::BuildError;

/// Items that a thread takes at a time.
const BATCH: usize = 32;

/// Where a batch begins, and its results.
type Batch<T> = (usize, Result<Vec<T>, BuildError>);

/// How many threads this process may use.
pub fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(16)
}

/// Calls `work` with each item. Of several errors the one of the earliest item is returned.
pub fn each<I: Sync, T: Send>(
    items: &[I],
    work: impl Fn(&I) -> Result<T, BuildError> + Sync,
) -> Result<Vec<T>, BuildError> {
    let threads = threads().min(items.len().div_ceil(BATCH));
    if threads <= 1 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Batch<T>>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let from = next.fetch_add(BATCH, Ordering::Relaxed);
                    let Some(batch) = items.get(from..(from + BATCH).min(items.len())) else { return };
                    if batch.is_empty() {
                        return;
                    }
                    let results: Result<Vec<T>, BuildError> = batch.iter().map(&work).collect();
                    if results.is_err() {
                        next.store(items.len(), Ordering::Relaxed);
                    }
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((from, results));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(from, _)| *from);
    let mut all = Vec::with_capacity(items.len());
    for (_, results) in done {
        all.append(&mut results?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_order_and_the_first_error_wins() {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(each(&items, |item| Ok(item * 2)).unwrap(), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        let error =
            each(&items, |&item| if item % 400 == 350 { Err(BuildError::new(format!("{item}"))) } else { Ok(()) });
        assert_eq!(error.unwrap_err().to_string(), "350");
    }
}
