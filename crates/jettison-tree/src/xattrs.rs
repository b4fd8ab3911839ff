//! Extended attributes (xattr(7)): names and values are bytes, and most entries have none.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The extended attributes of an entry, by name. An empty set takes one word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Xattrs(Option<Box<Map>>);

type Map = BTreeMap<Box<[u8]>, Box<[u8]>>;

impl Xattrs {
    /// No attributes.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Sets the attribute `name`, such as `security.capability`, and returns the value that it had.
    pub fn insert(&mut self, name: impl Into<Box<[u8]>>, value: impl Into<Box<[u8]>>) -> Option<Box<[u8]>> {
        self.0.get_or_insert_default().insert(name.into(), value.into())
    }

    /// The value of an attribute.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.0.as_ref()?.get(name.as_ref()).map(|value| &**value)
    }

    /// Names and values, in the order of the names' bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().flat_map(|map| map.iter()).map(|(name, value)| (&**name, &**value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|map| map.is_empty())
    }
}

impl<N: Into<Box<[u8]>>, V: Into<Box<[u8]>>> FromIterator<(N, V)> for Xattrs {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(pairs: T) -> Self {
        let map: Map = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self((!map.is_empty()).then(|| Box::new(map)))
    }
}

/// As a list of pairs, since names need not be text.
impl Serialize for Xattrs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Xattrs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<(Vec<u8>, Vec<u8>)>::deserialize(deserializer)?.into_iter().collect())
    }
}
