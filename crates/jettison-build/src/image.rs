//! Layers and a start command → an image: its config, its history, its manifest.

use std::collections::BTreeMap;
use std::sync::Arc;

use jettison_engine::store::{Store, StoreError};
use jettison_oci::assemble::ImageBuilder;
use jettison_oci::blob::{Blob, BlobError, BlobSource};
use jettison_oci::image::Image;
use jettison_oci::types::{Descriptor, History, Platform};

use crate::base::BaseImage;
use crate::error::BuildError;
use crate::interpreter::Interpreter;
use crate::layers::MadeLayer;

/// What the config says besides the layers.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    /// The start command, in exec form; empty for none.
    pub argv: Vec<String>,
    /// The port that it listens on.
    pub port: Option<u16>,
    /// `uid:gid`
    pub user: String,
    /// Where it starts.
    pub workdir: String,
    /// The user's home.
    pub home: String,
    /// Directories that modules of the project are imported from.
    pub python_path: Vec<String>,
    /// Variables that the user sets; they win.
    pub env: BTreeMap<String, String>,
    /// Labels that the user sets; they win.
    pub labels: BTreeMap<String, String>,
    /// The image below, whose config holds where this says nothing.
    pub base: Option<BaseImage>,
    /// Name and version of the project.
    pub title: Option<String>,
    /// See `title`.
    pub version: Option<String>,
}

impl Launch {
    /// The environment of the image, in order.
    pub fn environment(&self, interpreter: &Interpreter) -> Vec<(String, String)> {
        let inherited = self.base.iter().flat_map(|base| &base.env);
        let inherited: BTreeMap<&str, &str> = inherited.map(|(name, value)| (&**name, &**value)).collect();
        let path =
            inherited.get("PATH").copied().unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let bin = format!("/{}/bin", interpreter.prefix);
        let path = if path.split(':').any(|part| part == bin) { path.to_owned() } else { format!("{bin}:{path}") };
        let mut env: BTreeMap<String, String> =
            inherited.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let certificates = env.get("SSL_CERT_FILE").cloned();
        env.extend([
            ("HOME".to_owned(), self.home.clone()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("PATH".to_owned(), path),
            ("PYTHONUNBUFFERED".to_owned(), "1".to_owned()),
            ("SSL_CERT_FILE".to_owned(), "/etc/ssl/certs/ca-certificates.crt".to_owned()),
        ]);
        if self.base.as_ref().is_some_and(|base| !base.has_certificates) {
            // Ours are not there; the base may have its own way.
            env.remove("SSL_CERT_FILE");
            env.extend(certificates.map(|path| ("SSL_CERT_FILE".to_owned(), path)));
        }
        if !self.python_path.is_empty() {
            env.insert("PYTHONPATH".to_owned(), self.python_path.join(":"));
        }
        env.extend(self.env.clone());
        env.into_iter().collect()
    }
}

/// Assembles the image, and puts its config and manifest into the store.
pub fn assemble(
    store: &Arc<Store>,
    platform: &Platform,
    below: Option<&Image>,
    interpreter: &Interpreter,
    launch: &Launch,
    layers: &[MadeLayer],
    epoch: u64,
) -> Result<Image, BuildError> {
    let mut builder = match below {
        None => ImageBuilder::new(platform, epoch),
        Some(image) => ImageBuilder::on(image, epoch),
    };
    if let Some(base) = &launch.base {
        builder.annotate("org.opencontainers.image.base.digest", base.digest.to_string());
        if let Some(name) = &base.reference {
            builder.annotate("org.opencontainers.image.base.name", name.as_str());
        }
        // What it says of itself is not true of this image, and its arguments are not for another command.
        let config = &mut builder.config().config;
        config.labels.retain(|name, _| !name.starts_with("org.opencontainers.image."));
        config.entrypoint = None;
        config.cmd = None;
        config.healthcheck = None;
    }
    for layer in layers {
        let history = History {
            created_by: Some(layer.created_by.clone()),
            comment: Some("jettison".to_owned()),
            ..History::default()
        };
        builder.add_layer(&layer.blob, history);
    }
    let config = &mut builder.config().config;
    config.user = launch.user.clone();
    config.working_dir = launch.workdir.clone();
    config.env = launch.environment(interpreter).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !launch.argv.is_empty() {
        config.entrypoint = Some(launch.argv.clone());
    }
    config.exposed_ports.extend(launch.port.map(|port| format!("{port}/tcp")));
    config.stop_signal = Some("SIGTERM".to_owned());
    let labels = [("title", &launch.title), ("version", &launch.version)];
    for (name, value) in labels {
        if let Some(value) = value {
            config.labels.insert(format!("org.opencontainers.image.{name}"), value.clone());
        }
    }
    config.labels.extend(launch.labels.clone());
    builder.add_source(Arc::new(StoreBlobs(Arc::clone(store))));
    let image = builder.build().map_err(|error| BuildError::new(error.to_string()))?;
    store.put_bytes(image.config().bytes())?;
    store.put_bytes(image.manifest().bytes())?;
    Ok(image)
}

/// Names the image, so that it and all that it consists of stays in the store.
pub fn keep(store: &Store, image: &Image, names: &[String]) -> Result<(), BuildError> {
    names.iter().try_for_each(|name| Ok(store.tag(name, image.descriptor().digest)?))
}

/// The blobs of the store, as images want them.
pub struct StoreBlobs(pub Arc<Store>);

impl BlobSource for StoreBlobs {
    fn open(&self, descriptor: &Descriptor) -> Result<Blob, BlobError> {
        let digest = descriptor.digest;
        let own = |error: StoreError| BlobError::Source(Box::new(error));
        match self.0.blob_len(digest).map_err(own)? {
            Some(len) => Ok(Blob::vouched_for(len, self.0.open_blob(digest).map_err(own)?)),
            None => Err(BlobError::Missing { digest, place: "the store".to_owned() }),
        }
    }
}
