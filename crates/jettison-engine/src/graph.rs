//! The stage graph: steps that depend on one another, and the one engine that solves them.
//!
//! 1. [`StageGraph::add`] takes a step with the steps it needs, which were added before: there can be no cycle.
//! 2. [`StageGraph::solve`] looks for the results of the targets, then of what those need that have none, and so on:
//!    below a known result nothing is looked at.
//! 3. What is left runs on a few threads, each step as soon as its inputs are there.
//! 4. Before a step runs it is looked up once more by the *results* of its inputs: where these came out as in some
//!    earlier build, so does the step.
//!
//! A step is the same as another when its operation and its inputs have the same [`CacheKey`]s; it is then in the graph
//! once.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::CacheKey;
use crate::events::{Event, Events, Unit};
use crate::store::{Ref, Store, StoreError};

/// Why a step failed. Whoever lowered to the graph knows the types in it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What a step does.
pub trait Operation: Send + Sync {
    /// All that the result depends on, besides the inputs from other steps.
    fn key(&self) -> CacheKey;

    /// Does it. `inputs` are the results of the steps given to [`StageGraph::add`], in that order.
    fn run(&self, context: &Context<'_>, inputs: &[Arc<Output>]) -> Result<Output, BoxError>;

    /// Whether the result is kept for later builds. A step whose result is not kept runs whenever a result that is not
    /// known needs it.
    fn is_cached(&self) -> bool {
        true
    }

    /// Whether it runs although its result is known. The new result is kept in place of the old one, and what depends on
    /// it counts as known only by what comes out.
    fn is_renewed(&self) -> bool {
        false
    }
}

/// The result of a step: a value, and what it refers to in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    value: serde_json::Value,
    refs: BTreeSet<Ref>,
}

impl Output {
    /// A result with this value.
    pub fn new(value: &impl Serialize) -> Result<Self, BoxError> {
        Ok(Self { value: serde_json::to_value(value)?, refs: BTreeSet::new() })
    }

    /// Adds something that the value refers to in the store. When that is gone, so is the result.
    #[must_use]
    pub fn with(mut self, reference: impl Into<Ref>) -> Self {
        self.refs.insert(reference.into());
        self
    }

    /// The value, as the type it was made from.
    pub fn get<T: DeserializeOwned>(&self) -> Result<T, BoxError> {
        Ok(T::deserialize(&self.value)?)
    }

    /// What the value refers to in the store.
    pub fn refs(&self) -> impl Iterator<Item = Ref> {
        self.refs.iter().copied()
    }
}

/// A step of one graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(u32);

impl StepId {
    /// An id for the `n`th piece of work outside of any graph that [`Events`] are told of. No graph grows so large that
    /// it would be that of a step.
    pub const fn outside(n: u32) -> Self {
        Self(u32::MAX - n)
    }

    /// Its place in the order in which steps were added.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

struct Step {
    name: Arc<str>,
    key: CacheKey,
    dependencies: Vec<StepId>,
    operation: Box<dyn Operation>,
}

/// Steps and what they need.
#[derive(Default)]
pub struct StageGraph {
    steps: Vec<Step>,
    by_key: HashMap<CacheKey, StepId>,
}

/// With what a graph is solved.
pub struct Solver<'a> {
    /// Where results are kept.
    pub store: &'a Store,
    /// Who watches.
    pub events: &'a dyn Events,
    /// How many steps run at a time; at least one does.
    pub workers: usize,
    /// Stops it.
    pub cancel: &'a Cancel,
}

/// A wish to stop, which every thread can see.
#[derive(Debug, Default)]
pub struct Cancel(AtomicBool);

impl Cancel {
    /// Stops what is being solved: running steps as soon as they look, all others at once.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a running step can use.
pub struct Context<'a> {
    solver: &'a Solver<'a>,
    failed: &'a Cancel,
    id: StepId,
}

impl Context<'_> {
    /// The store.
    pub fn store(&self) -> &Store {
        self.solver.store
    }

    /// Who watches, and the step for whom things are reported.
    pub fn events(&self) -> (&dyn Events, StepId) {
        (self.solver.events, self.id)
    }

    /// Tells how far the step got.
    pub fn progress(&self, done: u64, total: Option<u64>, unit: Unit) {
        self.solver.events.event(Event::StepProgress { id: self.id, done, total, unit });
    }

    /// Passes on a line that a program wrote.
    pub fn log(&self, line: impl Into<String>) {
        self.solver.events.event(Event::Log { id: self.id, line: line.into() });
    }

    /// Tells of something that may be wrong.
    pub fn warn(&self, message: impl Into<String>, hint: Option<String>) {
        self.solver.events.event(Event::Warning { message: message.into(), hint });
    }

    /// Whether to stop, because another step failed or somebody wants it.
    pub fn is_cancelled(&self) -> bool {
        self.failed.is_cancelled() || self.solver.cancel.is_cancelled()
    }

    /// An error when it is time to stop. Long steps call this now and then.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }
}

/// The step stopped because it was told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// The graph could not be solved.
#[derive(Debug, thiserror::Error)]
pub enum SolveError {
    /// A step failed. Of several that failed at once, the one that was added first.
    #[error("{name}: {source}")]
    Step {
        /// What it was doing.
        name: Arc<str>,
        /// Why it failed.
        source: BoxError,
    },
    /// Somebody stopped it.
    #[error("cancelled")]
    Cancelled,
    /// A result could not be looked up.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SolveError {
    /// What to do about it, where an error of this crate is at the bottom of it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Cancelled => None,
            Self::Step { source, .. } => {
                let mut error: Option<&(dyn Error + 'static)> = Some(&**source);
                while let Some(current) = error {
                    let hint = (current.downcast_ref().and_then(StoreError::hint))
                        .or_else(|| current.downcast_ref().and_then(crate::sandbox::SandboxError::hint))
                        .or_else(|| current.downcast_ref().and_then(crate::snapshot::UnpackError::hint));
                    if hint.is_some() {
                        return hint;
                    }
                    error = current.source();
                }
                None
            }
        }
    }
}

impl StageGraph {
    /// A graph with no steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a step that needs the results of `dependencies`, and returns it, or the same step where it was added
    /// before. `name` says what it does, for people; it is not part of the key.
    ///
    /// # Panics
    /// When a dependency is not of this graph.
    pub fn add(
        &mut self,
        name: impl Into<Arc<str>>,
        dependencies: &[StepId],
        operation: impl Operation + 'static,
    ) -> StepId {
        let mut key = CacheKey::builder("step").input("operation", operation.key());
        for dependency in dependencies {
            key = key.input("input", self.steps[dependency.index()].key);
        }
        let key = key.finish();
        let steps = &mut self.steps;
        *self.by_key.entry(key).or_insert_with(|| {
            let id = StepId(steps.len() as u32);
            let (name, dependencies) = (name.into(), dependencies.to_vec());
            steps.push(Step { name, key, dependencies, operation: Box::new(operation) });
            id
        })
    }

    /// The number of steps.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there are no steps.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The name of a step.
    pub fn name(&self, id: StepId) -> &Arc<str> {
        &self.step(id).name
    }

    /// The results of `targets`, in that order, from the store where they are known.
    pub fn solve(&self, solver: &Solver<'_>, targets: &[StepId]) -> Result<Vec<Arc<Output>>, SolveError> {
        let mut state = self.look_up(solver, targets)?;
        if !state.waiting.is_empty() || !state.ready.is_empty() {
            let workers = solver.workers.clamp(1, state.waiting.len() + state.ready.len());
            let run = Run {
                graph: self,
                solver,
                failed: Cancel::default(),
                state: Mutex::new(state),
                changed: Condvar::new(),
            };
            std::thread::scope(|scope| {
                for _ in 1..workers {
                    scope.spawn(|| run.work());
                }
                run.work();
            });
            state = run.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        }
        if let Some((id, source)) = state.errors.pop_first() {
            if solver.cancel.is_cancelled() && source.is::<Cancelled>() {
                return Err(SolveError::Cancelled);
            }
            return Err(SolveError::Step { name: Arc::clone(self.name(id)), source });
        }
        let output = |id| state.outputs.get(id).cloned().ok_or(SolveError::Cancelled);
        targets.iter().map(output).collect()
    }

    /// The key of a step: that of its operation and of all that it needs.
    pub fn key(&self, id: StepId) -> CacheKey {
        self.step(id).key
    }

    /// The result of a step, where the store has it. Nothing runs.
    pub fn known(&self, store: &Store, id: StepId) -> Result<Option<Output>, StoreError> {
        store.memo_get(&self.step(id).key)
    }

    fn step(&self, id: StepId) -> &Step {
        &self.steps[id.index()]
    }

    /// Which steps are renewed, or depend on one that is.
    fn renewed(&self) -> Vec<bool> {
        let mut renewed: Vec<bool> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let below = step.dependencies.iter().any(|dependency| renewed[dependency.index()]);
            renewed.push(below || step.operation.is_renewed());
        }
        renewed
    }

    /// Finds what is known, from the targets down, and what has to run.
    fn look_up(&self, solver: &Solver<'_>, targets: &[StepId]) -> Result<State, StoreError> {
        let mut state = State::default();
        let renewed = self.renewed();
        let mut open: Vec<_> = targets.iter().rev().copied().collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            let step = self.step(id);
            if step.operation.is_cached()
                && !renewed[id.index()]
                && let Some(output) = solver.store.memo_get(&step.key)?
            {
                solver.events.event(Event::StepCached { id, name: Arc::clone(&step.name) });
                state.outputs.insert(id, Arc::new(output));
                continue;
            }
            state.waiting.insert(id, 0);
            open.extend(step.dependencies.iter().rev());
        }
        for (&id, missing) in &mut state.waiting {
            let dependencies: BTreeSet<_> = self.step(id).dependencies.iter().copied().collect();
            for dependency in dependencies.into_iter().filter(|id| !state.outputs.contains_key(id)) {
                *missing += 1;
                state.needed_by.entry(dependency).or_default().push(id);
            }
        }
        state.ready = state.waiting.iter().filter(|(_, missing)| **missing == 0).map(|(id, _)| *id).collect();
        state.waiting.retain(|_, missing| *missing > 0);
        Ok(state)
    }
}

#[derive(Default)]
struct State {
    outputs: HashMap<StepId, Arc<Output>>,
    /// Steps whose inputs are not all there, with the number of those that are missing.
    waiting: BTreeMap<StepId, usize>,
    needed_by: HashMap<StepId, Vec<StepId>>,
    ready: BTreeSet<StepId>,
    running: usize,
    errors: BTreeMap<StepId, BoxError>,
}

struct Run<'a> {
    graph: &'a StageGraph,
    solver: &'a Solver<'a>,
    failed: Cancel,
    state: Mutex<State>,
    changed: Condvar,
}

impl Run<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs steps until there are none, or one failed.
    fn work(&self) {
        while let Some((id, inputs)) = self.next() {
            let done = self.run(id, &inputs);
            let mut state = self.state();
            state.running -= 1;
            match done {
                Ok(output) => {
                    state.outputs.insert(id, Arc::new(output));
                    for dependent in state.needed_by.remove(&id).unwrap_or_default() {
                        if let Some(missing) = state.waiting.get_mut(&dependent) {
                            *missing -= 1;
                            if *missing == 0 {
                                state.waiting.remove(&dependent);
                                state.ready.insert(dependent);
                            }
                        }
                    }
                }
                // Steps that stop because of another's failure are none.
                Err(error) if self.failed.is_cancelled() && error.is::<Cancelled>() => {}
                Err(error) => {
                    self.failed.cancel();
                    state.errors.insert(id, error);
                }
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Waits for a step that can run; `None` when there will be none.
    fn next(&self) -> Option<(StepId, Vec<Arc<Output>>)> {
        let mut state = self.state();
        loop {
            if self.failed.is_cancelled() || self.solver.cancel.is_cancelled() {
                return None;
            }
            if let Some(id) = state.ready.pop_first() {
                state.running += 1;
                let output = |id: &StepId| state.outputs.get(id).cloned();
                let inputs = self.graph.step(id).dependencies.iter().filter_map(output).collect();
                return Some((id, inputs));
            }
            if state.running == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn run(&self, id: StepId, inputs: &[Arc<Output>]) -> Result<Output, BoxError> {
        let Self { graph, solver, failed, .. } = self;
        let Step { name, key, operation, .. } = graph.step(id);
        let by_content =
            if inputs.is_empty() || !operation.is_cached() { None } else { Some(content_key(&**operation, inputs)?) };
        if let Some(by_content) = &by_content
            && !operation.is_renewed()
            && let Some(output) = solver.store.memo_get::<Output>(by_content)?
        {
            solver.store.memo_put(key, &output, &Vec::from_iter(output.refs()))?;
            solver.events.event(Event::StepCached { id, name: Arc::clone(name) });
            return Ok(output);
        }
        solver.events.event(Event::StepStarted { id, name: Arc::clone(name) });
        let context = Context { solver, failed, id };
        let ran = catch_unwind(AssertUnwindSafe(|| operation.run(&context, inputs)));
        let ran = ran.unwrap_or_else(|panic| Err(panic_message(&*panic).into()));
        let kept = ran.and_then(|output| {
            if operation.is_cached() {
                let refs = Vec::from_iter(output.refs());
                for key in [Some(key), by_content.as_ref()].into_iter().flatten() {
                    solver.store.memo_put(key, &output, &refs)?;
                }
            }
            Ok(output)
        });
        solver.events.event(match &kept {
            Ok(_) => Event::StepDone { id },
            Err(error) => Event::StepFailed { id, message: error.to_string() },
        });
        kept
    }
}

fn content_key(operation: &dyn Operation, inputs: &[Arc<Output>]) -> Result<CacheKey, BoxError> {
    let mut key = CacheKey::builder("step by content").input("operation", operation.key());
    for input in inputs {
        key = key.json("input", &**input)?;
    }
    Ok(key.finish())
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    format!("this is a fault in Jettison: {}", message.unwrap_or("it panicked"))
}

#[cfg(test)]
mod tests;
