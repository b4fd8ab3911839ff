//! Projects, wheels, packages and servers on loopback, for the tests of every other crate.
//!
//! - [`HttpServer`] answers on loopback, keeps a log of the requests and misbehaves when a [`Fault`](http::Fault) says so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test kit fails as a test does")]

pub mod http;

pub use http::HttpServer;
