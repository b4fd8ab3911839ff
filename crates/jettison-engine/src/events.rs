//! What a build tells whoever watches it.

use std::sync::Arc;

use crate::graph::StepId;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A step starts to run.
    StepStarted {
        /// The step.
        id: StepId,
        /// What it does, for people.
        name: Arc<str>,
    },
    /// A running step got on.
    StepProgress {
        /// The step.
        id: StepId,
        /// How much is done.
        done: u64,
        /// Of how much, where that is known.
        total: Option<u64>,
        /// What is counted.
        unit: Unit,
    },
    /// A step need not run: its result is known.
    StepCached {
        /// The step.
        id: StepId,
        /// What it would have done.
        name: Arc<str>,
    },
    /// A step is done.
    StepDone {
        /// The step.
        id: StepId,
    },
    /// A step failed; the error itself is what `solve` returns.
    StepFailed {
        /// The step.
        id: StepId,
        /// What went wrong, in a line.
        message: String,
    },
    /// A line that the program a step runs wrote. It may hold anything but a newline: whoever shows it on a terminal
    /// escapes it.
    Log {
        /// The step.
        id: StepId,
        /// The line.
        line: String,
    },
    /// Something worth knowing.
    Note {
        /// What.
        message: String,
    },
    /// Something that may be wrong.
    Warning {
        /// What.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

/// What [`Event::StepProgress`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Files, packages, modules.
    Items,
}

/// Watches a build. Called from several threads, in the order in which things happen to each step; it must not block.
pub trait Events: Send + Sync {
    /// Something happened.
    fn event(&self, event: Event);
}

/// Watches and says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Events for Silent {
    fn event(&self, _: Event) {}
}

impl<E: Events + ?Sized> Events for Arc<E> {
    fn event(&self, event: Event) {
        (**self).event(event);
    }
}

impl<E: Events + ?Sized> Events for &E {
    fn event(&self, event: Event) {
        (**self).event(event);
    }
}
