//! Stage graph, content store, snapshots, sandbox: what runs a build, knowing nothing of what is built.
//!
//! A front end lowers a project to a [`StageGraph`](graph::StageGraph) of steps. The graph is
//! [solved](graph::StageGraph::solve): what the [`Store`](store::Store) knows is not done again, the rest runs on a few
//! threads and tells [`Events`](events::Events) how it goes. A step that has to run a program unpacks a
//! [snapshot](store::Store::snapshot_or) and starts it in a [`Sandbox`](sandbox::Sandbox).
//!
//! Nothing here reads the environment or writes to the terminal. Of Dockerfiles, Python and Debian nothing is known
//! here.

mod access;
pub mod changes;
pub mod events;
pub mod graph;
mod key;
mod removal;
pub mod sandbox;
pub mod snapshot;
pub mod store;
pub mod view;

pub use key::{CacheKey, CacheKeyBuilder};
