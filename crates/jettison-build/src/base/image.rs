//! A base that is an image: its layers stay untouched and below ours, its interpreter is taken as it is.
//!
//! 1. [`Base::of_image`] opens it, as it was locked or as its name now says, and brings its blobs into the store.
//! 2. [`Scan`] tells what there is in it.
//! 3. [`BaseImage`] is what the rest of the build knows of it.

use std::sync::Arc;

use jettison_engine::CacheKey;
use jettison_engine::store::{Ref, Store};
use jettison_oci::Image;
use jettison_oci::image::ImageOrIndex;
use jettison_oci::layer::LayerBlob;
use jettison_oci::transport::Transport;
use jettison_tree::Digest;
use serde::{Deserialize, Serialize};

use super::scan::{Scan, System};
use super::{Base, Choosing, Roots, unwanted};
use crate::error::{BuildError, Context as _};
use crate::images::Images;
use crate::job::Job;
use crate::layers::MadeLayer;
use crate::lockfile::{LockedImage, LockedPackage, LockedPackages};
use crate::part::Owner;
use crate::report::OwnerKind;
use crate::rootfs::{self, Unpacked};
use crate::system::not_locked;

/// Where programs are looked for in an image that says nothing about it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image that others stand on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaseImage {
    /// Where it came from.
    pub place: String,
    /// Its name in a registry.
    pub reference: Option<String>,
    /// Of its manifest, which is in the store.
    pub digest: Digest,
    /// Its layers, for the report.
    pub layers: Vec<MadeLayer>,
    /// The environment of its config.
    pub env: Vec<(String, String)>,
    /// Whether it has certificates where images of ours have them.
    pub has_certificates: bool,
}

/// A base image, opened.
pub struct Below {
    /// What is kept of it.
    pub image: BaseImage,
    /// What there is in it.
    pub scan: Arc<Scan>,
    unpacked: Arc<Unpacked>,
}

impl Below {
    /// Its directories.
    pub fn roots(&self) -> Roots {
        Roots { paths: self.unpacked.lower.clone(), held: Vec::new(), _image: Some(Arc::clone(&self.unpacked)) }
    }
}

impl BaseImage {
    /// Where it looks for programs.
    pub fn path(&self) -> &str {
        self.env.iter().find(|(name, _)| name == "PATH").map_or(PATH, |(_, value)| value)
    }

    /// What is to be locked.
    pub fn locked(&self) -> LockedImage {
        LockedImage { place: self.place.clone(), digest: self.digest }
    }

    /// The image, from the store.
    pub fn open(&self, job: &Job<'_>) -> Result<Image, BuildError> {
        match read_stored(job.store, self.digest)? {
            ImageOrIndex::Image(image) => Ok(image),
            ImageOrIndex::Index(_) => Err(BuildError::new(format!("{} is an index and no image", self.digest))),
        }
    }

    /// Its directories and the owners of what is in them.
    pub(crate) fn unpack(&self, job: &Job<'_>) -> Result<Unpacked, BuildError> {
        rootfs::of_image(job.store, &self.open(job)?).context(&self.place)
    }

    /// What of the store it consists of.
    pub fn refs(&self, store: &Arc<Store>) -> Result<Vec<Ref>, BuildError> {
        let content = read_stored(store, self.digest)?;
        let refs = content.contents()?.into_iter().map(|item| Ref::Blob(item.descriptor().digest));
        Ok(refs.collect())
    }
}

fn read_stored(store: &Arc<Store>, digest: Digest) -> Result<ImageOrIndex, BuildError> {
    let size = store.blob_len(digest)?.ok_or_else(|| {
        BuildError::new(format!("the base image {digest} is no longer in the store")).hint("build once more")
    })?;
    let descriptor = jettison_oci::types::Descriptor::new(jettison_oci::types::MediaType::new(""), digest, size);
    let blobs: Arc<dyn jettison_oci::blob::BlobSource> = Arc::new(crate::image::StoreBlobs(Arc::clone(store)));
    Ok(ImageOrIndex::read(&descriptor, blobs)?)
}

impl Base {
    /// An image and its interpreter.
    pub(super) fn of_image(choosing: &Choosing<'_>, place: &Transport) -> Result<Self, BuildError> {
        let job = choosing.job;
        let name = choosing.settings.base.clone().unwrap_or_else(|| place.to_string());
        let image = fetch(choosing, place, &name).context(format!("base {name}"))?;
        let scan = Arc::new(scan(job, &image).context(format!("base {name}"))?);
        let env: Vec<(String, String)> = image
            .config()
            .config
            .env
            .iter()
            .filter_map(|variable| variable.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect();
        let path = env.iter().find(|(name, _)| name == "PATH").map_or(PATH, |(_, value)| value);
        let interpreter =
            scan.interpreter(&name, path, |version| unwanted(choosing.project, choosing.settings, version))?.clone();
        let loader = jettison_tree::TreePath::parse(&interpreter.executable)?;
        if let Some(facts) = scan.present.objects.get(&loader)
            && facts.abi != choosing.machine.abi
        {
            return Err(BuildError::new(format!(
                "the Python of `{name}` is for {}, and the image for {}",
                facts.abi, choosing.machine.arch
            ))
            .hint("take a base for that machine, or say --platform"));
        }
        for (directory, distribution) in &scan.distributions {
            if *directory == interpreter.site_packages && !is_installer(distribution) {
                job.warn(format!(
                    "the base has {distribution} where distributions are installed; what the project installs goes over it"
                ));
            }
        }
        let suite = match &scan.system {
            System::Debian(suite) => suite.clone(),
            System::Other(_) => String::new(),
        };
        let (major, minor) = interpreter.minor();
        let digest = image.descriptor().digest;
        Ok(Self {
            machine: choosing.machine,
            // Without its name, which may be a path of this machine.
            created_by: "the user of the image".to_owned(),
            headers: (!scan.has_headers(&interpreter)).then(|| format!("libpython{major}.{minor}-dev")),
            packages: installed(&scan, suite),
            interpreter,
            parts: Vec::new(),
            made: Vec::new(),
            image: Some(Below {
                image: BaseImage {
                    layers: layers(&image, &scan, &name),
                    has_certificates: scan.has_certificates,
                    reference: match place {
                        Transport::Registry(reference) => Some(reference.to_string()),
                        _ => None,
                    },
                    place: name.clone(),
                    digest,
                    env,
                },
                scan,
                unpacked: Arc::new(rootfs::of_image(job.store, &image).context(&name)?),
            }),
        })
    }
}

/// The image of the place: the one that was locked where the store has it, or the place still does.
fn fetch(choosing: &Choosing<'_>, place: &Transport, name: &str) -> Result<Image, BuildError> {
    let job = choosing.job;
    let locked = choosing.locked_image().filter(|locked| locked.place == name);
    if let (Some(locked), Transport::Registry(_)) = (locked, place)
        && is_stored(job, locked.digest)?
        && let ImageOrIndex::Image(image) = read_stored(job.store, locked.digest)?
    {
        return Ok(image);
    }
    let images = Images {
        store: job.store,
        registry: choosing.registry,
        docker_host: job.machine.var("DOCKER_HOST"),
        platform: choosing.platform,
        events: job.events,
    };
    let wanted = match (place, locked) {
        (Transport::Registry(reference), Some(locked)) => Transport::Registry(reference.with_digest(locked.digest)),
        (Transport::Registry(reference), None) if choosing.locked_only && reference.digest().is_none() => {
            return Err(not_locked("the digest of the base image"));
        }
        _ => place.clone(),
    };
    let image = images.places().read(&wanted)?.image(choosing.platform)?;
    let digest = image.descriptor().digest;
    if let Some(locked) = locked
        && choosing.locked_only
        && locked.digest != digest
    {
        return Err(BuildError::new(format!("it has the digest {digest}, and {} was locked", locked.digest))
            .hint("build once without --locked, or bring the old image back"));
    }
    let content = ImageOrIndex::Image(image);
    images.bring(&content, name)?;
    if let Transport::Registry(reference) = place {
        // Where its layers are, a push to the same registry need not send them.
        images.remember_pulled(reference, &content)?;
    }
    match read_stored(job.store, digest)? {
        ImageOrIndex::Image(image) => Ok(image),
        ImageOrIndex::Index(_) => Err(BuildError::new(format!("{digest} is an index and no image"))),
    }
}

/// Whether all of an image is in the store.
fn is_stored(job: &Job<'_>, digest: Digest) -> Result<bool, BuildError> {
    if !job.store.has(digest)? {
        return Ok(false);
    }
    let Ok(ImageOrIndex::Image(image)) = read_stored(job.store, digest) else { return Ok(false) };
    for layer in image.layers() {
        if !job.store.has(layer.descriptor.digest)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn scan(job: &Job<'_>, image: &Image) -> Result<Scan, BuildError> {
    let key = CacheKey::builder("image-scan/2").digest("image", image.descriptor().digest).finish();
    if let Some(scan) = job.store.memo_get(&key)? {
        return Ok(scan);
    }
    let progress = job.begin("read the base image");
    let scan = Scan::of(image)?;
    drop(progress);
    job.store.memo_put(&key, &scan, &[Ref::Blob(image.descriptor().digest)])?;
    Ok(scan)
}

/// The Debian packages that are in the image, as what is below those that are added.
fn installed(scan: &Scan, suite: String) -> LockedPackages {
    let package = |(name, version): (&String, &String)| LockedPackage {
        name: name.clone(),
        version: version.clone(),
        filename: String::new(),
        security: false,
        size: 0,
        digest: Digest::of(b""),
    };
    LockedPackages {
        suite,
        roots: Vec::new(),
        sonames: std::collections::BTreeMap::new(),
        package: scan.packages.iter().map(package).collect(),
    }
}

/// Whether every image with pip has this distribution.
fn is_installer(distribution: &str) -> bool {
    let name = distribution.split('-').next().unwrap_or_default();
    ["pip", "setuptools", "wheel"].contains(&name)
}

fn layers(image: &Image, scan: &Scan, place: &str) -> Vec<MadeLayer> {
    let owner = Owner { kind: OwnerKind::Base, name: place.to_owned(), version: String::new() };
    let made = |layer: jettison_oci::image::Layer<'_>| {
        let bytes = scan.layer_bytes.get(layer.index).copied().unwrap_or_default();
        let created_by = layer.history.and_then(|history| history.created_by.clone());
        MadeLayer {
            blob: LayerBlob {
                diff_id: layer.diff_id,
                digest: layer.descriptor.digest,
                compressed_bytes: layer.descriptor.size,
                unpacked_bytes: bytes,
                media_type: layer.descriptor.media_type.clone(),
            },
            created_by: created_by.unwrap_or_else(|| place.to_owned()),
            content_bytes: bytes,
            owners: vec![(owner.clone(), bytes)],
        }
    };
    image.layers().map(made).collect()
}
