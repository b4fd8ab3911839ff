//! What the world outside says: digests of images, wheels of an index. Asked over the network by whoever runs the lint, or not at all.

use jettison_oci::reference::Reference;
use jettison_python::NormalizedName;

/// Answers about images and distributions. `None` is "not known", never "no".
pub trait Catalog {
    /// The digest that a tag stands for now, `sha256:…`.
    fn digest(&self, image: &Reference) -> Option<String>;

    /// Whether every version of a distribution that `version` (PEP 440 specifiers, perhaps empty) allows, newest first, has a wheel
    /// that a musl system runs: pure, or `musllinux`.
    fn has_musl_wheel(&self, name: &NormalizedName, version: &str) -> Option<bool>;
}

/// Nothing is known.
impl Catalog for () {
    fn digest(&self, _: &Reference) -> Option<String> {
        None
    }

    fn has_musl_wheel(&self, _: &NormalizedName, _: &str) -> Option<bool> {
        None
    }
}
