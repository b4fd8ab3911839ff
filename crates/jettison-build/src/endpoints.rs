//! Where packages come from where nobody says otherwise. The machine's own configuration of apt, pip and uv comes first.
//! Container registries have their names in [`jettison_oci::endpoints`].

pub use jettison_debian::endpoints::{DEBIAN, DEBIAN_SECURITY};

/// The Python package index (PEP 503).
pub const PYTHON_INDEX: &str = "https://pypi.org/simple";
