//! What all verbs share: the user's eyes, the machine, the ways to network and registries, the store.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use jettison_build::BuildError;
use jettison_build::images::Images;
use jettison_build::machine::Machine;
use jettison_engine::store::Store;
use jettison_http::Client;
use jettison_oci::registry::{Registry, RegistryOptions};
use jettison_oci::types::Platform;

use crate::cli::Global;
use crate::environment;
use crate::ui::Ui;

/// One call of the command.
pub struct Session<'a> {
    pub ui: &'a Ui,
    pub machine: Machine,
    pub http: Client,
    /// What this machine runs.
    pub platform: Platform,
    registry: Registry,
    store_path: PathBuf,
    store: OnceLock<Arc<Store>>,
}

impl<'a> Session<'a> {
    /// Looks at the machine. The store is opened by the first who needs it.
    pub fn new(global: &Global, ui: &'a Ui) -> Result<Self, BuildError> {
        let machine = environment::machine();
        let configured = environment::registries(&machine);
        let insecure = [global.insecure_registry.clone(), configured.insecure].concat();
        let http = environment::http(&machine, global.offline, &insecure, &global.cert)?;
        let mut mirrors: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, host) in &global.registry_mirror {
            mirrors.entry(name.clone()).or_default().push(host.clone());
        }
        for (name, hosts) in configured.mirrors {
            mirrors.entry(name).or_default().extend(hosts);
        }
        let credentials = environment::credentials(&machine);
        let options = RegistryOptions { credentials, mirrors, ..RegistryOptions::default() };
        Ok(Self {
            ui,
            registry: Registry::new(http.clone(), options),
            http,
            platform: Platform::linux(&machine.machine),
            store_path: environment::store(global.store.as_deref(), &machine)?,
            machine,
            store: OnceLock::new(),
        })
    }

    /// The client of registries.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The store.
    pub fn store(&self) -> Result<&Arc<Store>, BuildError> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = Arc::new(Store::open(&self.store_path)?);
        Ok(self.store.get_or_init(|| store))
    }

    /// Waits until what was kept in the store is on the disk, where that is worth it: the last thing that is done.
    pub fn settle(&self) {
        if let Some(Err(error)) = self.store.get().map(|store| store.settle()) {
            self.ui.warning(&error.to_string(), Some("steps may have to run again after the machine was restarted"));
        }
    }

    /// The images in it.
    pub fn images(&self) -> Result<Images<'_>, BuildError> {
        Ok(Images {
            store: self.store()?,
            registry: &self.registry,
            docker_host: self.machine.var("DOCKER_HOST"),
            platform: &self.platform,
            events: self.ui,
        })
    }
}
