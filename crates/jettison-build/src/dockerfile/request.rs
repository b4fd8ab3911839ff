//! What a build of a Dockerfile is asked for: the flags of the command line as values, nothing read from the machine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jettison_engine::sandbox::{Limit, Secret};
use jettison_oci::types::Platform;

use super::context::tree::FileTree;
use super::exchange::CacheTo;
use super::place::Source;
use crate::settings::Compression;

/// What to build, and how. One for all platforms.
pub struct BuildRequest {
    /// The Dockerfile.
    pub source: Source,
    /// The directory or the name that steps of an earlier build are compared by ([`explain`](super::explain)).
    pub project: String,
    /// What `COPY` and `ADD` copy from.
    pub context: Arc<dyn FileTree>,
    /// `--build-context`: by name.
    pub named: BTreeMap<String, Substitute>,
    /// `--target`: the stage; the last where there is none.
    pub target: Option<String>,
    /// `--build-arg`.
    pub build_args: BTreeMap<String, String>,
    /// `--secret`, by id.
    pub secrets: BTreeMap<String, Secret>,
    /// `--ssh`: the socket of an agent, by id.
    pub ssh: BTreeMap<String, PathBuf>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--annotation`, of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// `--cache-from`: directories with results of other stores.
    pub cache_from: Vec<PathBuf>,
    /// `--cache-to`: directories that results go to.
    pub cache_to: Vec<CacheTo>,
    /// Whether to say why each step ran.
    pub explain: bool,
    /// What is built anew.
    pub no_cache: NoCache,
    /// Ask the registries again what the names of images stand for.
    pub pull: bool,
    /// What steps run in.
    pub surroundings: Surroundings,
    /// `SOURCE_DATE_EPOCH`.
    pub epoch: Option<u64>,
    /// How layers are packed.
    pub compression: Compression,
    /// Names for the image in the store.
    pub names: Vec<String>,
    /// The platform that steps run on.
    pub build_platform: Platform,
    /// A number that no other build has, for steps that are built anew.
    pub nonce: u64,
}

/// What `--build-context` puts in the place of a stage, an image or a context of that name.
#[derive(Clone)]
pub enum Substitute {
    /// Files: a directory, an archive, a checkout.
    Tree(Arc<dyn FileTree>),
    /// `docker-image://`: an image.
    Image(String),
    /// `oci-layout://`: the path of a layout, with `:tag` or `@digest` behind it.
    Layout(String),
    /// `target:`: another stage.
    Stage(String),
}

/// What is not taken from earlier builds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NoCache {
    /// Everything may be.
    #[default]
    Nothing,
    /// `--no-cache`: nothing may be.
    All,
    /// `--no-cache-filter`: nothing of these stages, by name in lower case or by number.
    Stages(Vec<String>),
}

/// What the programs of steps find around them besides their files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// `--network`: what `default` means.
    pub network: Network,
    /// `--add-host`: names and addresses.
    pub hosts: Vec<(String, String)>,
    /// `--shm-size`, in bytes.
    pub shm_size: u64,
    /// `--ulimit`.
    pub limits: Vec<Limit>,
    /// `--allow security.insecure`.
    pub allow_insecure: bool,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            network: Network::Host,
            hosts: Vec::new(),
            shm_size: 64 << 20,
            limits: Vec::new(),
            allow_insecure: false,
        }
    }
}

/// The network of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Loopback alone.
    None,
    /// The machine's.
    Host,
}

impl BuildRequest {
    /// The time that nothing in a layer of ours is later than, and that images are made at: `SOURCE_DATE_EPOCH` as a build argument,
    /// or of the environment, or the one that native builds have.
    pub fn epoch(&self) -> u64 {
        let argument = self.build_args.get("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok());
        argument.or(self.epoch).unwrap_or(crate::build::DEFAULT_EPOCH)
    }
}
