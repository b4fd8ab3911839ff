//! The `jettison` command.

fn main() {}
