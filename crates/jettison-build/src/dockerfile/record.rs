//! What each step of a build did, for the report: whether it ran, and for how long.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jettison_engine::events::{Event, Events};
use jettison_engine::graph::StepId;

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its result was known.
    Cached,
    /// It ran for so long.
    Ran(Duration),
}

/// Passes events on, and notes what becomes of steps.
pub struct Recorder<'a> {
    events: &'a dyn Events,
    steps: Mutex<BTreeMap<StepId, State>>,
}

enum State {
    Runs(Instant),
    Done(Fate),
}

impl<'a> Recorder<'a> {
    /// Passes on to `events`.
    pub fn new(events: &'a dyn Events) -> Self {
        Self { events, steps: Mutex::default() }
    }

    /// What became of a step; `None` where nobody looked at it, since what stands on it was known.
    pub fn fate(&self, id: StepId) -> Option<Fate> {
        match self.steps.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            Some(State::Done(fate)) => Some(*fate),
            _ => None,
        }
    }
}

impl Events for Recorder<'_> {
    fn event(&self, event: Event) {
        {
            let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
            match &event {
                Event::StepStarted { id, .. } => drop(steps.insert(*id, State::Runs(Instant::now()))),
                Event::StepCached { id, .. } => drop(steps.insert(*id, State::Done(Fate::Cached))),
                Event::StepDone { id } => {
                    if let Some(State::Runs(since)) = steps.get(id) {
                        let fate = Fate::Ran(since.elapsed());
                        steps.insert(*id, State::Done(fate));
                    }
                }
                _ => {}
            }
        }
        self.events.event(event);
    }
}
