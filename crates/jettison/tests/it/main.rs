//! Drives the built command as a user does: processes, files, exit codes. The network is loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod building;
mod command_line;
mod copying;
mod dockerfile;
mod fixture;
mod init;
mod linting;
mod native;
mod outputs;
mod pushing;
mod rooms;
mod running;
