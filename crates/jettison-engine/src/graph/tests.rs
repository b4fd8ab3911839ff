use std::sync::atomic::AtomicUsize;

use super::*;
use crate::events::Silent;

/// Joins its own text and its inputs, and counts how often it ran.
struct Join {
    text: &'static str,
    /// Makes another key but the same result.
    salt: u64,
    runs: Arc<AtomicUsize>,
}

impl Operation for Join {
    fn key(&self) -> CacheKey {
        CacheKey::builder("join").field("text", self.text).number("salt", self.salt).finish()
    }

    fn run(&self, context: &Context<'_>, inputs: &[Arc<Output>]) -> Result<Output, BoxError> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let mut text = self.text.to_owned();
        for input in inputs {
            text += &input.get::<String>()?;
        }
        let blob = context.store().put_bytes(text.as_bytes())?;
        Ok(Output::new(&text)?.with(blob))
    }
}

struct Fails(&'static str);

impl Operation for Fails {
    fn key(&self) -> CacheKey {
        CacheKey::builder("fails").field("how", self.0).finish()
    }

    fn run(&self, _: &Context<'_>, _: &[Arc<Output>]) -> Result<Output, BoxError> {
        if self.0 == "panic" {
            panic!("oops");
        }
        Err(self.0.into())
    }
}

#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

impl Events for Recorder {
    fn event(&self, event: Event) {
        let line = match event {
            Event::StepStarted { name, .. } => format!("run {name}"),
            Event::StepCached { name, .. } => format!("known {name}"),
            Event::StepFailed { message, .. } => format!("failed: {message}"),
            _ => return,
        };
        self.0.lock().unwrap().push(line);
    }
}

/// A diamond (d needs b and c, both need a), and an `unused` step.
fn diamond(salt: u64, runs: &Arc<AtomicUsize>) -> (StageGraph, StepId) {
    let mut graph = StageGraph::new();
    let join = |text, salt| Join { text, salt, runs: Arc::clone(runs) };
    let a = graph.add("a", &[], join("a", salt));
    let b = graph.add("b", &[a], join("b", 0));
    let c = graph.add("c", &[a], join("c", 0));
    let d = graph.add("d", &[b, c], join("d", 0));
    graph.add("unused", &[d], Fails("it ran"));
    assert_eq!(graph.add("b again", &[a], join("b", 0)), b);
    (graph, d)
}

fn solve(
    store: &Store,
    graph: &StageGraph,
    target: StepId,
    workers: usize,
) -> (Result<String, SolveError>, Vec<String>) {
    let (recorder, cancel) = (Recorder::default(), Cancel::default());
    let solver = Solver { store, events: &recorder, workers, cancel: &cancel };
    let solved = graph.solve(&solver, &[target]).map(|outputs| outputs[0].get().unwrap());
    (solved, recorder.0.into_inner().unwrap())
}

#[test]
fn a_second_build_looks_at_the_target_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    for workers in [1, 4] {
        let (graph, d) = diamond(workers as u64, &Arc::default());
        assert_eq!(solve(&store, &graph, d, workers).0.unwrap(), "dbaca");
    }
    let (graph, d) = diamond(1, &runs);
    let (output, events) = solve(&store, &graph, d, 4);
    assert_eq!((output.unwrap().as_str(), runs.load(Ordering::Relaxed)), ("dbaca", 0));
    assert_eq!(events, ["known d"]);
}

#[test]
fn what_comes_out_the_same_is_not_followed_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (graph, d) = diamond(1, &Arc::default());
    solve(&store, &graph, d, 1).0.unwrap();
    let (graph, d) = diamond(2, &Arc::default());
    assert_eq!(solve(&store, &graph, d, 1).1, ["run a", "known b", "known c", "known d"]);
    assert_eq!(solve(&store, &graph, d, 1).1, ["known d"]);
}

#[test]
fn a_result_whose_blob_is_gone_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (graph, d) = diamond(1, &Arc::default());
    solve(&store, &graph, d, 1).0.unwrap();
    std::fs::remove_file(store.blob_path(jettison_tree::Digest::of(b"dbaca"))).unwrap();
    assert_eq!(solve(&store, &graph, d, 1).1, ["known b", "known c", "run d"]);
}

#[test]
fn the_first_failure_stops_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for (how, message) in [("broken", "second: broken"), ("panic", "second: this is a fault in Jettison: oops")] {
        let runs = Arc::new(AtomicUsize::new(0));
        let mut graph = StageGraph::new();
        let join = |text| Join { text, salt: 9, runs: Arc::clone(&runs) };
        let first = graph.add("first", &[], join("1"));
        let second = graph.add("second", &[first], Fails(how));
        let third = graph.add("third", &[second], join("3"));
        for workers in [1, 3] {
            let error = solve(&store, &graph, third, workers).0.unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        assert!(runs.load(Ordering::Relaxed) <= 1);
    }
}

#[test]
fn a_cancelled_solve_runs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let runs = Arc::default();
    let (graph, d) = diamond(1, &runs);
    let cancel = Cancel::default();
    cancel.cancel();
    let solver = Solver { store: &store, events: &Silent, workers: 2, cancel: &cancel };
    assert!(matches!(graph.solve(&solver, &[d]), Err(SolveError::Cancelled)));
    assert_eq!(runs.load(Ordering::Relaxed), 0);
}

/// Its result is the number of times that it ran, or always the same.
struct Counts {
    runs: Arc<AtomicUsize>,
    renew: bool,
    fixed: bool,
}

impl Operation for Counts {
    fn key(&self) -> CacheKey {
        CacheKey::builder("counts").finish()
    }

    fn run(&self, _: &Context<'_>, _: &[Arc<Output>]) -> Result<Output, BoxError> {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        Output::new(&if self.fixed { 0 } else { run })
    }

    fn is_renewed(&self) -> bool {
        self.renew
    }
}

#[test]
fn what_is_renewed_runs_again_and_its_result_is_kept() {
    for (fixed, above_runs) in [(false, 2), (true, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (below, above) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let solve = |renew| {
            let mut graph = StageGraph::new();
            let first = graph.add("first", &[], Counts { runs: Arc::clone(&below), renew, fixed });
            let second = graph.add("second", &[first], Counts { runs: Arc::clone(&above), renew: false, fixed: false });
            let solver = Solver { store: &store, events: &Silent, workers: 1, cancel: &Cancel::default() };
            graph.solve(&solver, &[second]).unwrap()[0].get::<usize>().unwrap()
        };
        let results = [solve(false), solve(false), solve(true), solve(false)];
        assert_eq!(results, [0, 0, above_runs - 1, above_runs - 1], "{fixed}");
        assert_eq!((below.load(Ordering::Relaxed), above.load(Ordering::Relaxed)), (2, above_runs));
    }
}
