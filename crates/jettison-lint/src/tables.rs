//! What is known beforehand of packages: which of the distribution's only a build needs, which library a development package stands for,
//! and which Python distributions have no wheels. Names in tables go stale; each table says when it was looked up, and where.

pub mod build_packages;
pub mod libraries;
pub mod wheels;
