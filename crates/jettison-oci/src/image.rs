//! Images and indices as views: the documents, parsed and checked against their digests, over a [`BlobSource`].

use std::fmt;
use std::sync::Arc;

use crate::blob::{BlobError, BlobSource, CheckedReader};
use crate::types::{
    ChainId, Descriptor, DiffId, Document, DocumentError, History, ImageConfig, ImageIndex, ImageManifest,
    MAX_DOCUMENT_BYTES, MediaType, Platform,
};

/// Indices inside indices beyond this are refused.
pub(crate) const MAX_INDEX_DEPTH: u32 = 4;

/// One image: its manifest, its config and where its blobs are.
#[derive(Clone)]
pub struct Image {
    descriptor: Descriptor,
    manifest: Document<ImageManifest>,
    config: Document<ImageConfig>,
    blobs: Arc<dyn BlobSource>,
}

/// One layer of an [`Image`].
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// 0 for the lowest.
    pub index: usize,
    /// The blob.
    pub descriptor: &'a Descriptor,
    /// The tar in the blob.
    pub diff_id: DiffId,
    /// The step that made it, where the history has as many layers as the manifest.
    pub history: Option<&'a History>,
}

impl Image {
    /// Reads the manifest that `descriptor` points to, and its config. Both are checked against their digests; the layers
    /// are not opened.
    pub fn read(descriptor: &Descriptor, blobs: Arc<dyn BlobSource>) -> Result<Self, ImageError> {
        let manifest = Document::parse(read_document(descriptor, &*blobs)?)?;
        Self::of_manifest(descriptor, manifest, blobs)
    }

    /// The image of a manifest that was read already; its config is read from `blobs`.
    pub fn of_manifest(
        descriptor: &Descriptor,
        manifest: Document<ImageManifest>,
        blobs: Arc<dyn BlobSource>,
    ) -> Result<Self, ImageError> {
        let media_type = document_type(descriptor, manifest.media_type.as_ref(), MediaType::OCI_MANIFEST);
        if media_type.is_schema1() || manifest.schema_version == 1 {
            return Err(ImageError::Schema1);
        }
        if !manifest.config.media_type.is_config() {
            let kind = manifest.artifact_type.as_ref().unwrap_or(&manifest.config.media_type);
            return Err(ImageError::NotAnImage { digest: manifest.digest(), media_type: kind.clone() });
        }
        let config = Document::parse(read_document(&manifest.config, &*blobs)?)?;
        Self::from_documents(descriptor.clone(), manifest, config, blobs)
    }

    /// The image of these documents. As many `diff_ids` as layers are asked for, and nothing else.
    pub fn from_documents(
        descriptor: Descriptor,
        manifest: Document<ImageManifest>,
        config: Document<ImageConfig>,
        blobs: Arc<dyn BlobSource>,
    ) -> Result<Self, ImageError> {
        let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
        if layers != diff_ids {
            return Err(ImageError::LayerCount { digest: manifest.digest(), layers, diff_ids });
        }
        let media_type = document_type(&descriptor, manifest.media_type.as_ref(), MediaType::OCI_MANIFEST);
        Ok(Self { descriptor: Descriptor { media_type, ..descriptor }, manifest, config, blobs })
    }

    /// What points to the manifest.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The manifest.
    pub fn manifest(&self) -> &Document<ImageManifest> {
        &self.manifest
    }

    /// The config.
    pub fn config(&self) -> &Document<ImageConfig> {
        &self.config
    }

    /// What it runs on, by its config.
    pub fn platform(&self) -> Platform {
        self.config.platform()
    }

    /// Where its blobs are.
    pub fn blobs(&self) -> &Arc<dyn BlobSource> {
        &self.blobs
    }

    /// The layers, the lowest first.
    pub fn layers(&self) -> impl Iterator<Item = Layer<'_>> {
        let steps: Vec<_> = self.config.history.iter().filter(|step| !step.empty_layer).collect();
        let told = steps.len() == self.manifest.layers.len();
        let layers = self.manifest.layers.iter().zip(&self.config.rootfs.diff_ids).enumerate();
        layers.map(move |(index, (descriptor, &diff_id))| {
            let history = if told { Some(steps[index]) } else { None };
            Layer { index, descriptor, diff_id, history }
        })
    }

    /// The identity of all its layers; `None` where it has none.
    pub fn chain_id(&self) -> Option<ChainId> {
        ChainId::of(&self.config.rootfs.diff_ids)
    }

    /// The bytes of a registry's copy: config and layers, each blob once.
    pub fn compressed_bytes(&self) -> u64 {
        let mut blobs: Vec<_> = self.manifest.blobs().map(|blob| (blob.digest, blob.size)).collect();
        blobs.sort_unstable();
        blobs.dedup_by_key(|(digest, _)| *digest);
        blobs.iter().map(|(_, size)| size).sum()
    }

    /// Opens one of its blobs; the reader checks what it reads.
    pub fn open(&self, descriptor: &Descriptor) -> Result<CheckedReader<Box<dyn std::io::Read + Send>>, BlobError> {
        Ok(self.blobs.open(descriptor)?.checked(descriptor))
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image").field("digest", &self.manifest.digest()).finish_non_exhaustive()
    }
}

/// Several images under one name, for several platforms.
#[derive(Clone)]
pub struct Index {
    descriptor: Descriptor,
    index: Document<ImageIndex>,
    blobs: Arc<dyn BlobSource>,
}

impl Index {
    /// Reads the index that `descriptor` points to, checked against its digest.
    pub fn read(descriptor: &Descriptor, blobs: Arc<dyn BlobSource>) -> Result<Self, ImageError> {
        Ok(Self::from_document(descriptor.clone(), Document::parse(read_document(descriptor, &*blobs)?)?, blobs))
    }

    /// The index of this document.
    pub fn from_document(descriptor: Descriptor, index: Document<ImageIndex>, blobs: Arc<dyn BlobSource>) -> Self {
        let media_type = document_type(&descriptor, index.media_type.as_ref(), MediaType::OCI_INDEX);
        Self { descriptor: Descriptor { media_type, ..descriptor }, index, blobs }
    }

    /// An index of these images, with their platforms, in this order.
    pub fn of(images: &[Image]) -> Self {
        let mut blobs = crate::blob::BlobSet::new();
        let mut manifests = Vec::new();
        for image in images {
            blobs.add_bytes(Arc::clone(image.manifest.bytes()));
            blobs.add_source(Arc::clone(&image.blobs));
            let media_type = image.descriptor.media_type.clone();
            manifests.push(Descriptor { platform: Some(image.platform()), ..image.manifest.descriptor(media_type) });
        }
        let index = Document::new(ImageIndex::new(manifests));
        Self { descriptor: index.descriptor(MediaType::OCI_INDEX), index, blobs: Arc::new(blobs) }
    }

    /// What points to it.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The document.
    pub fn index(&self) -> &Document<ImageIndex> {
        &self.index
    }

    /// Where its manifests and their blobs are.
    pub fn blobs(&self) -> &Arc<dyn BlobSource> {
        &self.blobs
    }

    /// Reads what one of its descriptors points to.
    pub fn child(&self, descriptor: &Descriptor) -> Result<ImageOrIndex, ImageError> {
        ImageOrIndex::read(descriptor, Arc::clone(&self.blobs))
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("digest", &self.index.digest()).finish_non_exhaustive()
    }
}

/// What a name points to.
#[derive(Debug, Clone)]
pub enum ImageOrIndex {
    /// One image.
    Image(Image),
    /// An index, or a manifest list.
    Index(Index),
}

impl ImageOrIndex {
    /// Reads what `descriptor` points to, checked against its digest.
    pub fn read(descriptor: &Descriptor, blobs: Arc<dyn BlobSource>) -> Result<Self, ImageError> {
        Self::parse(descriptor, read_document(descriptor, &*blobs)?, blobs)
    }

    /// The image or index in these bytes, which were checked against `descriptor` already.
    pub fn parse(descriptor: &Descriptor, bytes: Arc<[u8]>, blobs: Arc<dyn BlobSource>) -> Result<Self, ImageError> {
        match DocumentKind::of(descriptor, &bytes)? {
            DocumentKind::Index => {
                Ok(Self::Index(Index::from_document(descriptor.clone(), Document::parse(bytes)?, blobs)))
            }
            DocumentKind::Manifest => Image::of_manifest(descriptor, Document::parse(bytes)?, blobs).map(Self::Image),
        }
    }

    /// What points to it.
    pub fn descriptor(&self) -> &Descriptor {
        match self {
            Self::Image(image) => image.descriptor(),
            Self::Index(index) => index.descriptor(),
        }
    }

    /// The bytes of its manifest or index.
    pub fn bytes(&self) -> &Arc<[u8]> {
        match self {
            Self::Image(image) => image.manifest.bytes(),
            Self::Index(index) => index.index.bytes(),
        }
    }

    /// Where its blobs are.
    pub fn blobs(&self) -> &Arc<dyn BlobSource> {
        match self {
            Self::Image(image) => &image.blobs,
            Self::Index(index) => &index.blobs,
        }
    }

    /// The image itself, or the one of the index that runs best on `wanted`.
    pub fn image(&self, wanted: &Platform) -> Result<Image, ImageError> {
        let mut at = self.clone();
        for _ in 0..=MAX_INDEX_DEPTH {
            let index = match at {
                Self::Image(image) => return Ok(image),
                Self::Index(index) => index,
            };
            let Some(descriptor) = index.index.select(wanted) else {
                let mut platforms: Vec<_> = index.index.platforms().map(Platform::to_string).collect();
                platforms.sort_unstable();
                platforms.dedup();
                return Err(ImageError::NoPlatform { wanted: wanted.to_string(), there: platforms.join(", ") });
            };
            at = index.child(descriptor)?;
        }
        Err(ImageError::TooDeep)
    }

    /// Everything that a whole copy holds, in an order in which each is pushed after what it points to: blobs, then their
    /// manifest, then the index over it. Each digest comes once; layers that are not to be distributed do not come.
    pub fn contents(&self) -> Result<Vec<ContentItem>, ImageError> {
        let mut items = Contents::default();
        items.add(self.descriptor(), Arc::clone(self.bytes()), &**self.blobs(), 0)?;
        Ok(items.list)
    }
}

/// One thing that a copy of an image holds.
#[derive(Debug, Clone)]
pub enum ContentItem {
    /// A config, a layer or whatever else a manifest lists.
    Blob(Descriptor),
    /// A manifest or an index, with its bytes.
    Document(Descriptor, Arc<[u8]>),
}

impl ContentItem {
    /// What points to it.
    pub fn descriptor(&self) -> &Descriptor {
        match self {
            Self::Blob(descriptor) | Self::Document(descriptor, _) => descriptor,
        }
    }
}

#[derive(Default)]
struct Contents {
    list: Vec<ContentItem>,
    seen: std::collections::BTreeSet<jettison_tree::Digest>,
}

impl Contents {
    fn add(
        &mut self,
        descriptor: &Descriptor,
        bytes: Arc<[u8]>,
        blobs: &dyn BlobSource,
        depth: u32,
    ) -> Result<(), ImageError> {
        if depth > MAX_INDEX_DEPTH {
            return Err(ImageError::TooDeep);
        }
        if !self.seen.insert(descriptor.digest) {
            return Ok(());
        }
        match DocumentKind::of(descriptor, &bytes)? {
            DocumentKind::Index => {
                let index = Document::<ImageIndex>::parse(Arc::clone(&bytes))?;
                for child in &index.manifests {
                    if child.is_document() {
                        self.add(child, read_document(child, blobs)?, blobs, depth + 1)?;
                    } else {
                        self.blob(child);
                    }
                }
            }
            DocumentKind::Manifest => {
                let manifest = Document::<ImageManifest>::parse(Arc::clone(&bytes))?;
                manifest.blobs().for_each(|blob| self.blob(blob));
            }
        }
        self.list.push(ContentItem::Document(descriptor.clone(), bytes));
        Ok(())
    }

    fn blob(&mut self, descriptor: &Descriptor) {
        if !descriptor.media_type.is_nondistributable() && self.seen.insert(descriptor.digest) {
            self.list.push(ContentItem::Blob(descriptor.clone()));
        }
    }
}

enum DocumentKind {
    Manifest,
    Index,
}

impl DocumentKind {
    /// By the descriptor's media type; where that says nothing, by the document's own or its members.
    fn of(descriptor: &Descriptor, bytes: &[u8]) -> Result<Self, ImageError> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Outline {
            media_type: Option<MediaType>,
            schema_version: Option<u32>,
            manifests: Option<serde::de::IgnoredAny>,
            config: Option<serde::de::IgnoredAny>,
        }
        let known = |media_type: &MediaType| match media_type {
            t if t.is_schema1() => Some(Err(ImageError::Schema1)),
            t if t.is_index() => Some(Ok(Self::Index)),
            t if t.is_manifest() => Some(Ok(Self::Manifest)),
            _ => None,
        };
        if let Some(kind) = known(&descriptor.media_type) {
            return kind;
        }
        let digest = descriptor.digest;
        let outline: Outline = serde_json::from_slice(bytes).map_err(|source| DocumentError::Json {
            what: "image manifest",
            digest,
            source,
        })?;
        if let Some(kind) = outline.media_type.as_ref().and_then(known) {
            return kind;
        }
        match (outline.schema_version, outline.manifests, outline.config) {
            (Some(1), ..) => Err(ImageError::Schema1),
            (_, Some(_), None) => Ok(Self::Index),
            (_, None, Some(_)) => Ok(Self::Manifest),
            _ => Err(ImageError::NotAnImage { digest, media_type: descriptor.media_type.clone() }),
        }
    }
}

/// What the document is: as its descriptor says, else as it says itself, else what OCI calls such a one.
fn document_type(descriptor: &Descriptor, own: Option<&MediaType>, oci: MediaType) -> MediaType {
    let known = |media_type: &&MediaType| media_type.is_manifest() || media_type.is_index();
    let chosen = Some(&descriptor.media_type).filter(known).or(own.filter(known));
    chosen.cloned().unwrap_or(oci)
}

fn read_document(descriptor: &Descriptor, blobs: &dyn BlobSource) -> Result<Arc<[u8]>, ImageError> {
    Ok(blobs.open(descriptor)?.read_checked(descriptor, MAX_DOCUMENT_BYTES)?.into())
}

/// Bytes that make no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A blob cannot be had.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// A document cannot be read.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The manifest is of some other artifact.
    #[error("{digest} is no image: it holds {media_type}")]
    NotAnImage {
        /// Of the manifest.
        digest: jettison_tree::Digest,
        /// What it says it holds.
        media_type: MediaType,
    },
    /// Docker's manifest of before 2016.
    #[error("the image has a Docker schema 1 manifest, which no longer can be checked or run")]
    Schema1,
    /// Manifest and config contradict each other.
    #[error("image {digest} lists {layers} layers, but its config has {diff_ids} diff_ids")]
    LayerCount {
        /// Of the manifest.
        digest: jettison_tree::Digest,
        /// In the manifest.
        layers: usize,
        /// In the config.
        diff_ids: usize,
    },
    /// The index has nothing for the platform.
    #[error("there is no image for {wanted}: the index has {there}")]
    NoPlatform {
        /// What was asked for.
        wanted: String,
        /// What there is.
        there: String,
    },
    /// Indices in indices.
    #[error("the index nests more than {MAX_INDEX_DEPTH} deep")]
    TooDeep,
}

impl ImageError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Blob(error) => error.hint(),
            Self::Schema1 => Some("pull and push it once with a recent Docker, or use a newer tag".into()),
            Self::NoPlatform { .. } => Some("choose one of these with --platform, or another image".into()),
            Self::NotAnImage { .. } => Some("name an image, not its signature, SBOM or chart".into()),
            Self::Document(_) | Self::LayerCount { .. } | Self::TooDeep => None,
        }
    }
}
