//! Cache keys: what a result depends on, spelled out.

use std::fmt;

use jettison_tree::{Digest, Hasher};
use serde::{Deserialize, Serialize};

/// Changing this makes every cached result of every store unknown.
const GENERATION: &str = "jettison-cache-key-1";

/// The identity of a cached result: a digest over the labelled inputs of the function that made it.
///
/// What a key holds is what its [`CacheKeyBuilder`] was given, in that order, and nothing else. Left out on purpose:
/// the time, the machine, the user, the path of the project, the version of Jettison. A function whose code changes
/// what it makes changes its label (`"layer/2"`), so an upgrade keeps all that it did not touch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CacheKey(Digest);

impl CacheKey {
    /// Starts the key of the function called `label`.
    pub fn builder(label: &str) -> CacheKeyBuilder {
        CacheKeyBuilder::new(label)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The 64 lower-case hex digits.
    pub fn hex(&self) -> String {
        self.0.hex()
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({self})")
    }
}

/// Collects the inputs of a [`CacheKey`].
///
/// Each input is hashed as its kind, its label and its value, the last two behind their lengths: no two different lists
/// of inputs are hashed as the same bytes.
#[derive(Clone)]
#[must_use]
pub struct CacheKeyBuilder {
    hasher: Hasher,
}

impl CacheKeyBuilder {
    /// The key of the function called `label`. The label is an input too.
    pub fn new(label: &str) -> Self {
        Self { hasher: Hasher::new() }.add(b'g', "generation", GENERATION.as_bytes()).add(
            b'f',
            "function",
            label.as_bytes(),
        )
    }

    /// Adds bytes or text.
    pub fn field(self, label: &str, value: impl AsRef<[u8]>) -> Self {
        self.add(b'b', label, value.as_ref())
    }

    /// Adds an integer.
    pub fn number(self, label: &str, value: u64) -> Self {
        self.add(b'n', label, &value.to_le_bytes())
    }

    /// Adds a yes or no.
    pub fn flag(self, label: &str, value: bool) -> Self {
        self.add(b'y', label, &[u8::from(value)])
    }

    /// Adds the digest of some content.
    pub fn digest(self, label: &str, value: Digest) -> Self {
        self.add(b'd', label, value.as_bytes())
    }

    /// Adds the result that has this key.
    pub fn input(self, label: &str, value: CacheKey) -> Self {
        self.add(b'k', label, value.as_bytes())
    }

    /// Adds a value as the JSON that serde makes of it. It must come out the same each time: no `HashMap` in it.
    pub fn json(self, label: &str, value: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(self.add(b'j', label, &serde_json::to_vec(value)?))
    }

    /// The key.
    pub fn finish(self) -> CacheKey {
        CacheKey(self.hasher.finish().0)
    }

    fn add(mut self, kind: u8, label: &str, value: &[u8]) -> Self {
        self.hasher.update(&[kind]);
        for part in [label.as_bytes(), value] {
            self.hasher.update(&(part.len() as u64).to_le_bytes());
            self.hasher.update(part);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_inputs_never_share_a_key() {
        let base = || CacheKey::builder("f");
        let keys = [
            base().finish(),
            CacheKey::builder("g").finish(),
            base().field("a", "bc").finish(),
            base().field("ab", "c").finish(),
            base().field("a", "b").field("c", "").finish(),
            base().field("c", "").field("a", "b").finish(),
            base().number("a", 1).finish(),
            base().field("a", 1_u64.to_le_bytes()).finish(),
            base().flag("a", true).finish(),
            base().digest("a", Digest::of(b"")).finish(),
            base().field("a", Digest::of(b"").as_bytes()).finish(),
        ];
        for (i, a) in keys.iter().enumerate() {
            assert!(keys[i + 1..].iter().all(|b| a != b), "{i}");
        }
    }

    #[test]
    fn a_key_is_the_same_on_every_machine() {
        let key = CacheKey::builder("layer").number("epoch", 0).field("name", "numpy").finish();
        insta::assert_snapshot!(key, @"ec31bfe8683b479ec32c6b834d79bcb5662497fd98185ab27fe462396e039190");
    }
}
