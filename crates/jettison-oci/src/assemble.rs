//! Layers and a config → an image. The bytes follow from what is given and nothing else; the time is given too.

use std::sync::Arc;

use crate::blob::{BlobSet, BlobSource};
use crate::image::{Image, ImageError};
use crate::layer::LayerBlob;
use crate::types::{
    Annotations, Descriptor, DiffId, Document, History, ImageConfig, ImageManifest, MediaType, Platform, rfc3339,
};

/// Layers that Docker and containerd mount at most.
pub const MAX_LAYERS: usize = 127;

/// Members of Docker's config that tell of the container a layer was made in; in an image built upon it they would lie.
const OF_ONE_BUILD: [&str; 6] = ["container", "container_config", "docker_version", "id", "parent", "throwaway"];

/// Makes an image from nothing, or on top of another.
///
/// The result is an OCI image. What a Docker base names in Docker's words is renamed; its blobs keep their digests.
pub struct ImageBuilder {
    config: ImageConfig,
    layers: Vec<Descriptor>,
    annotations: Annotations,
    created: String,
    blobs: BlobSet,
}

impl ImageBuilder {
    /// Begins with no layers. `created` is in seconds since 1970 and becomes the time of the image and of its history.
    pub fn new(platform: &Platform, created: u64) -> Self {
        let created = rfc3339(created);
        Self {
            config: ImageConfig { created: Some(created.clone()), ..ImageConfig::new(platform) },
            layers: Vec::new(),
            annotations: Annotations::new(),
            created,
            blobs: BlobSet::new(),
        }
    }

    /// Begins with the layers, history and config of `base`, which stay as they are and where they are.
    pub fn on(base: &Image, created: u64) -> Self {
        let mut config = ImageConfig::clone(base.config());
        config.extra.retain(|key, _| !OF_ONE_BUILD.contains(&key.as_str()) && !key.starts_with("moby.buildkit."));
        let created = rfc3339(created);
        config.created = Some(created.clone());
        config.author = None;
        let layers: Vec<_> = base.manifest().layers.iter().cloned().map(to_oci).collect();
        let told = config.history.iter().filter(|step| !step.empty_layer).count();
        if told > layers.len() {
            config.history.clear();
        }
        // Some builders write no history. Ours would then be read as that of the lowest layers.
        for _ in if told > layers.len() { 0 } else { told }..layers.len() {
            config.history.push(History { comment: Some("from the base image".to_owned()), ..History::default() });
        }
        let mut blobs = BlobSet::new();
        blobs.add_source(Arc::clone(base.blobs()));
        Self { config, layers, annotations: Annotations::new(), created, blobs }
    }

    /// The config, to be filled in. Layers and history are the builder's own business.
    pub fn config(&mut self) -> &mut ImageConfig {
        &mut self.config
    }

    /// Puts a layer on top. A step without a time gets that of the image.
    pub fn add_layer(&mut self, layer: &LayerBlob, history: History) {
        self.add_blob(layer.descriptor(), layer.diff_id, history);
    }

    /// Puts a layer that was found elsewhere on top.
    pub fn add_blob(&mut self, descriptor: Descriptor, diff_id: DiffId, history: History) {
        self.layers.push(to_oci(descriptor));
        self.config.rootfs.diff_ids.push(diff_id);
        self.add_history(History { empty_layer: false, ..history });
    }

    /// Notes a step that made no layer.
    pub fn add_step(&mut self, history: History) {
        self.add_history(History { empty_layer: true, ..history });
    }

    fn add_history(&mut self, history: History) {
        let created = history.created.or_else(|| Some(self.created.clone()));
        self.config.history.push(History { created, ..history });
    }

    /// Sets an annotation of the manifest.
    pub fn annotate(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.annotations.insert(key.into(), value.into());
    }

    /// Says where the layers' blobs are. Sources are asked in the order in which they were added, a base's first.
    pub fn add_source(&mut self, source: Arc<dyn BlobSource>) {
        self.blobs.add_source(source);
    }

    /// Writes config and manifest.
    pub fn build(mut self) -> Result<Image, AssembleError> {
        if self.layers.len() > MAX_LAYERS {
            return Err(AssembleError::TooManyLayers(self.layers.len()));
        }
        let config = Document::new(self.config);
        let manifest = ImageManifest {
            annotations: self.annotations,
            ..ImageManifest::new(config.descriptor(MediaType::OCI_CONFIG), self.layers)
        };
        let manifest = Document::new(manifest);
        self.blobs.add_bytes(Arc::clone(config.bytes()));
        self.blobs.add_bytes(Arc::clone(manifest.bytes()));
        let descriptor =
            Descriptor { platform: Some(config.platform()), ..manifest.descriptor(MediaType::OCI_MANIFEST) };
        Ok(Image::from_documents(descriptor, manifest, config, Arc::new(self.blobs))?)
    }
}

fn to_oci(descriptor: Descriptor) -> Descriptor {
    Descriptor { media_type: descriptor.media_type.to_oci(), ..descriptor }
}

/// Parts that make no image.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// More layers than can be mounted.
    #[error("the image would have {0} layers; at most {MAX_LAYERS} can be mounted")]
    TooManyLayers(usize),
    /// The documents contradict each other.
    #[error(transparent)]
    Image(#[from] ImageError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::types::ContainerConfig;

    #[test]
    /// These bytes change when the digest of every image does. That is a deliberate act: say so in the changelog.
    fn an_image_is_the_same_each_time() {
        let image = sample::image();
        insta::assert_snapshot!(String::from_utf8_lossy(image.config().bytes()), @r#"{"created":"2023-11-14T22:13:20Z","architecture":"amd64","os":"linux","config":{"User":"65532","ExposedPorts":{"8000/tcp":{}},"Env":["PATH=/usr/bin"],"Entrypoint":["/usr/bin/python3","/app/main.py"],"WorkingDir":"/app"},"rootfs":{"type":"layers","diff_ids":["sha256:c8a7bba7e5929a6e9085abf6724a9cdb9fbe019f882b77538372d0b055b19d93","sha256:351d0e023a2b54302866458a6c7b6d9a849d58f86b445a65f0f32c91df78472b"]},"history":[{"created":"2023-11-14T22:13:20Z","created_by":"base"},{"created":"2023-11-14T22:13:20Z","created_by":"env","empty_layer":true},{"created":"2023-11-14T22:13:20Z","created_by":"application"}]}"#);
        insta::assert_snapshot!(String::from_utf8_lossy(image.manifest().bytes()), @r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:80fa08da38bd95fc518e96b1faf6a7ee16a4421d5af0e58526f86ad756be38f0","size":610},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:b805a642d736f3ac244db161f163fd3939bfffa8a280e8efeecf463500e744e8","size":131},{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:536c5a57939b5e56268a78bbda73fb0a06f66093d52494400f3d714088d76d24","size":166}],"annotations":{"org.opencontainers.image.title":"sample"}}"#);
        assert_eq!(sample::image().descriptor(), image.descriptor());
        let layers: Vec<_> = image.layers().map(|layer| layer.history.unwrap().created_by.clone().unwrap()).collect();
        assert_eq!(layers, ["base", "application"]);
    }

    #[test]
    fn a_docker_base_is_built_upon_without_touching_its_layers() {
        let ours = sample::image();
        let mut config = ImageConfig::clone(ours.config());
        config.history.clear();
        config.extra.insert("container_config".into(), serde_json::json!({}));
        config.config = ContainerConfig { env: vec!["A=1".into()], ..ContainerConfig::default() };
        let config = Document::new(config);
        let mut manifest = ImageManifest::clone(ours.manifest());
        manifest.media_type = Some(MediaType::DOCKER_MANIFEST);
        manifest.config = config.descriptor(MediaType::DOCKER_CONFIG);
        manifest.layers.iter_mut().for_each(|layer| layer.media_type = MediaType::DOCKER_LAYER_GZIP);
        let manifest = Document::new(manifest);
        let descriptor = manifest.descriptor(MediaType::DOCKER_MANIFEST);
        let base = Image::from_documents(descriptor, manifest, config, Arc::clone(ours.blobs())).unwrap();

        let mut builder = ImageBuilder::on(&base, 1);
        let (layer, blobs) = sample::layer(&["new"]);
        builder.add_layer(&layer, History::layer("new"));
        builder.add_source(Arc::new(blobs));
        let image = builder.build().unwrap();
        assert_eq!(image.manifest().layers[..2], ours.manifest().layers[..]);
        assert_eq!(image.config().config.env, ["A=1"]);
        assert_eq!(image.config().created.as_deref(), Some("1970-01-01T00:00:01Z"));
        assert!(image.config().extra.is_empty());
        let steps: Vec<_> = image.layers().map(|layer| layer.history.unwrap().created_by.as_deref()).collect();
        assert_eq!(steps, [None, None, Some("new")]);
        assert_eq!(crate::validate::validate_image(&image), []);
    }

    #[test]
    fn there_is_a_limit_to_layers() {
        let mut builder = ImageBuilder::new(&Platform::linux("amd64"), 0);
        let (layer, _) = sample::layer(&["a"]);
        (0..=MAX_LAYERS).for_each(|_| builder.add_layer(&layer, History::default()));
        assert!(matches!(builder.build(), Err(AssembleError::TooManyLayers(128))));
    }
}
