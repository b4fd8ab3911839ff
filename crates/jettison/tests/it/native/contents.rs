//! What an image holds, path by path.

use std::collections::BTreeMap;
use std::io::Read as _;

use jettison_oci::image::Image;
use jettison_oci::layer::{FlatNode, FlatTree, Flattener, read_layer};
use jettison_tree::TreePath;

/// The files of an image.
pub struct Contents {
    pub tree: FlatTree,
    texts: BTreeMap<TreePath, Vec<u8>>,
}

impl Contents {
    pub fn of(image: &Image) -> Self {
        let mut flattener = Flattener::new();
        let mut texts = BTreeMap::new();
        for layer in &image.manifest().layers {
            let tar = read_layer(image.open(layer).unwrap()).unwrap();
            flattener
                .apply(tar, |entry| {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes)?;
                    if let (true, Ok(Some(path))) = (entry.header().is_file(), entry.header().path()) {
                        texts.insert(path, bytes);
                    }
                    Ok(())
                })
                .unwrap();
        }
        Self { tree: flattener.finish(), texts }
    }

    pub fn has(&self, path: &str) -> bool {
        self.tree.get(&TreePath::parse(path).unwrap()).is_some()
    }

    #[track_caller]
    pub fn bytes(&self, path: &str) -> &[u8] {
        self.texts.get(&TreePath::parse(path).unwrap()).unwrap_or_else(|| panic!("no `{path}` in the image"))
    }

    #[track_caller]
    pub fn text(&self, path: &str) -> &str {
        std::str::from_utf8(self.bytes(path)).unwrap()
    }

    /// `drwxr-xr-x`-like rows: type and octal mode, owner, layer, path.
    pub fn rows(&self) -> String {
        let row = |(path, entry): (&TreePath, &jettison_oci::layer::FlatEntry)| {
            let (kind, target) = match &entry.node {
                FlatNode::Directory => ('d', String::new()),
                FlatNode::File { .. } => ('-', String::new()),
                FlatNode::Symlink(target) => ('l', format!(" -> {}", String::from_utf8_lossy(target))),
                FlatNode::Special(kind) => panic!("{path} is a {kind:?}"),
            };
            format!("{kind}{:o} {}:{} {} {path}{target}\n", entry.mode, entry.uid, entry.gid, entry.layer)
        };
        self.tree.iter().map(row).collect()
    }
}
