//! Stage graph, content store, snapshots, sandbox.
