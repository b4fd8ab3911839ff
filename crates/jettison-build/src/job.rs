//! What every stop of a build is given: the store, the network, the machine, and whom to tell.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use jettison_engine::events::{Event, Events, Unit};
use jettison_engine::graph::{Cancel, Output, SolveError, Solver, StageGraph, StepId};
use jettison_engine::store::Store;
use jettison_http::Client;

use crate::error::BuildError;
use crate::machine::Machine;
use crate::report::Timing;

/// The surroundings of one build.
pub struct Job<'a> {
    /// Where results are kept.
    pub store: &'a Arc<Store>,
    /// The way to the network; made offline where the user says so.
    pub http: &'a Client,
    /// The machine.
    pub machine: &'a Machine,
    /// Whom to tell.
    pub events: &'a dyn Events,
    begun: AtomicU32,
    given_up: AtomicBool,
    timings: Mutex<Vec<Timing>>,
    warnings: Mutex<Vec<String>>,
}

impl<'a> Job<'a> {
    /// A job with nothing done yet.
    pub fn new(store: &'a Arc<Store>, http: &'a Client, machine: &'a Machine, events: &'a dyn Events) -> Self {
        Self {
            store,
            http,
            machine,
            events,
            begun: AtomicU32::new(0),
            given_up: AtomicBool::new(false),
            timings: Mutex::default(),
            warnings: Mutex::default(),
        }
    }

    /// Does one stop and notes how long it took.
    pub fn stop<T>(&self, name: &str, work: impl FnOnce() -> Result<T, BuildError>) -> Result<T, BuildError> {
        let start = Instant::now();
        let done = work();
        let ms = start.elapsed().as_secs_f64() * 1000.0;
        lock(&self.timings).push(Timing { name: name.to_owned(), ms: (ms * 10.0).round() / 10.0 });
        done
    }

    /// Tells whoever watches that something begins.
    pub fn begin(&self, name: &str) -> Progress<'a> {
        let id = StepId::outside(self.begun.fetch_add(1, Ordering::Relaxed));
        self.events.event(Event::StepStarted { id, name: name.into() });
        Progress { events: self.events, id }
    }

    /// Solves a graph on all threads and returns the results of `targets`.
    pub fn solve(&self, graph: &StageGraph, targets: &[StepId]) -> Result<Vec<Arc<Output>>, BuildError> {
        self.try_solve(graph, targets).map_err(BuildError::from)
    }

    /// As [`solve`](Self::solve), with the error as the step gave it.
    pub fn try_solve(&self, graph: &StageGraph, targets: &[StepId]) -> Result<Vec<Arc<Output>>, SolveError> {
        let cancel = Cancel::default();
        let solver = Solver { store: self.store, events: self.events, workers: self.machine.threads, cancel: &cancel };
        graph.solve(&solver, targets)
    }

    /// As [`solve`](Self::solve), and says of each target whether its result was known.
    pub fn solve_noting_cached(
        &self,
        graph: &StageGraph,
        targets: &[StepId],
    ) -> Result<Vec<(Arc<Output>, bool)>, BuildError> {
        let started = Started { events: self.events, steps: Mutex::default() };
        let cancel = Cancel::default();
        let solver = Solver { store: self.store, events: &started, workers: self.machine.threads, cancel: &cancel };
        let outputs = graph.solve(&solver, targets)?;
        let started = lock(&started.steps);
        Ok(outputs.into_iter().zip(targets).map(|(output, id)| (output, !started.contains(id))).collect())
    }

    /// Notes what the user should know, once.
    pub fn warn(&self, warning: impl Into<String>) {
        let warning = warning.into();
        let mut warnings = lock(&self.warnings);
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// Tells what is worth knowing now.
    pub fn note(&self, message: impl Into<String>) {
        self.events.event(Event::Note { message: message.into() });
    }

    /// What took how long so far.
    pub fn timings(&self) -> Vec<Timing> {
        lock(&self.timings).clone()
    }

    /// What was warned of so far.
    pub fn warnings(&self) -> Vec<String> {
        lock(&self.warnings).clone()
    }

    /// Does two things at the same time.
    pub fn both<A, B: Send>(&self, one: impl FnOnce() -> A, other: impl FnOnce() -> B + Send) -> (A, B) {
        std::thread::scope(|scope| {
            let other = scope.spawn(other);
            let one = one();
            match other.join() {
                Ok(other) => (one, other),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Lets [`each`](Self::each) begin no new item: the build has failed, and what goes on beside was begun for nothing.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Does `work` for each item on as many threads as the job may use, at most `limit`. The results stand in the order of
    /// the items. After the first error no new item is begun; of several errors the one of the earliest item is returned.
    pub fn each<'i, I: Sync, T: Send>(
        &self,
        limit: usize,
        items: &'i [I],
        work: impl Fn(&'i I) -> Result<T, BuildError> + Sync,
    ) -> Result<Vec<T>, BuildError> {
        let threads = limit.min(items.len());
        if threads <= 1 {
            return items.iter().map(work).collect();
        }
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<Option<Result<T, BuildError>>>> = Mutex::new(items.iter().map(|_| None).collect());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(item) = items.get(at).filter(|_| !self.given_up.load(Ordering::Relaxed)) else {
                            return;
                        };
                        let result = work(item);
                        if result.is_err() {
                            next.store(items.len(), Ordering::Relaxed);
                        }
                        lock(&done)[at] = Some(result);
                    }
                });
            }
        });
        let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        // An item without a result comes after one that failed, as items are begun in order, or after the build had.
        let given_up = || Err(BuildError::new("the build was given up"));
        done.into_iter().map(|result| result.unwrap_or_else(given_up)).collect()
    }
}

/// Remembers which steps ran.
struct Started<'a> {
    events: &'a dyn Events,
    steps: Mutex<BTreeSet<StepId>>,
}

impl Events for Started<'_> {
    fn event(&self, event: Event) {
        if let Event::StepStarted { id, .. } = &event {
            lock(&self.steps).insert(*id);
        }
        self.events.event(event);
    }
}

/// Something outside of a graph that goes on; over when this is dropped.
pub struct Progress<'a> {
    events: &'a dyn Events,
    id: StepId,
}

impl Progress<'_> {
    /// Tells how many bytes are done.
    pub fn bytes(&self, done: u64, total: u64) {
        self.events.event(Event::StepProgress { id: self.id, done, total: Some(total), unit: Unit::Bytes });
    }

    /// Passes on a line that a program wrote.
    pub fn log(&self, line: impl Into<String>) {
        self.events.event(Event::Log { id: self.id, line: line.into() });
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.events.event(Event::StepDone { id: self.id });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic elsewhere leaves these lists as they were.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
