//! The machine as a value: everything outside of a project that a build may look at. Nothing in this crate reads the
//! environment, the home directory or the clock; the command line fills this in.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a build knows of where it runs.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// The environment variables.
    pub vars: BTreeMap<String, String>,
    /// The home directory.
    pub home: Option<PathBuf>,
    /// Apt's source files: their paths and texts.
    pub apt_sources: Vec<(PathBuf, String)>,
    /// Apt's configuration, all files in their order.
    pub apt_configuration: String,
    /// The mirror of Debian's archive that the user named, before those that apt uses.
    pub debian_mirror: Option<String>,
    /// The same for security updates.
    pub debian_security_mirror: Option<String>,
    /// A file with certificates, binary or armored, that suites may be signed with besides Debian's own.
    pub debian_keyring: Option<PathBuf>,
    /// Whether suites whose `Valid-Until` is over are refused, where the user says. Otherwise what apt is told counts.
    pub debian_check_valid_until: Option<bool>,
    /// pip's configuration files: their paths and texts, later ones win.
    pub pip_configuration: Vec<(PathBuf, String)>,
    /// The directory with docker's `config.json`.
    pub docker_config: Option<PathBuf>,
    /// Seconds since 1970, for signatures that expire. Nothing that ends up in an image depends on it.
    pub now: u64,
    /// The architecture, as Linux names it: `x86_64`, `aarch64`.
    pub machine: String,
    /// Threads to use.
    pub threads: usize,
}

impl Machine {
    /// A variable that is set and not empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}
