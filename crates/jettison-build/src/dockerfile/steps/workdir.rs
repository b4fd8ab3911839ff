//! `WORKDIR`: the directory is made where the stage has none.

use std::sync::Arc;

use jettison_engine::CacheKey;
use jettison_engine::graph::{BoxError, Context, Operation, Output};
use jettison_engine::view::{FileKind, View};
use jettison_tree::TreePath;

use super::super::place::Place;
use super::super::stack::{Layer, Made, MadeDirectory};
use super::super::unpacked::Unpacker;
use super::{output, parent};
use crate::error::BuildError;
use crate::run::account;

/// Makes a directory, and those above it.
pub struct WorkdirStep {
    /// Which; none for the root, which is always there.
    pub path: Option<TreePath>,
    /// `USER`, who shall own it; empty for root.
    pub user: String,
    /// Where the instruction stands.
    pub place: Place,
    /// Where layers are found.
    pub unpacker: Arc<Unpacker>,
    /// Whether nothing of an earlier build is good enough.
    pub renew: bool,
}

impl WorkdirStep {
    /// The directories that are missing, below those that are there.
    fn missing(&self, view: &View) -> Result<Vec<MadeDirectory>, BuildError> {
        let Some(wanted) = &self.path else { return Ok(Vec::new()) };
        let Some(path) = view.resolve(wanted)? else { return Ok(Vec::new()) };
        let mut above: Vec<TreePath> = std::iter::successors(Some(path), TreePath::parent).collect();
        above.reverse();
        let (uid, gid) = match self.user.as_str() {
            "" => (0, 0),
            // One whom nobody knows is told of when a program is to run as that user.
            user => account::in_view(view, user).map_or((0, 0), |account| (account.uid, account.gid)),
        };
        let (mut made, mut anything) = (Vec::new(), false);
        for path in above {
            match view.lstat(&path)? {
                Some(stat) if stat.kind == FileKind::Directory => {
                    made.push(MadeDirectory { path, mode: stat.mode, uid: stat.uid, gid: stat.gid });
                }
                Some(_) => {
                    return Err(BuildError::new(format!("`/{path}` is there, and is no directory"))
                        .hint("name another directory, or remove what stands there first"));
                }
                None => {
                    anything = true;
                    made.push(MadeDirectory { path, mode: 0o755, uid, gid });
                }
            }
        }
        Ok(if anything { made } else { Vec::new() })
    }
}

impl Operation for WorkdirStep {
    /// The path, and the user as it is written.
    fn key(&self) -> CacheKey {
        let path = self.path.as_ref().map(TreePath::as_bytes).unwrap_or_default();
        CacheKey::builder("dockerfile/workdir/1").field("path", path).field("user", &self.user).finish()
    }

    fn run(&self, _: &Context<'_>, inputs: &[Arc<Output>]) -> Result<Output, BoxError> {
        let stack = parent(inputs)?.stack;
        let missing = self.unpacker.unpack(&stack).and_then(|unpacked| self.missing(&unpacked.view));
        let missing = missing.map_err(|error| self.place.put(error))?;
        let made = match missing.is_empty() {
            true => Made::same(stack),
            false => Made::with(stack, Layer::Directories(missing), 0),
        };
        output(&made, None)
    }

    fn is_renewed(&self) -> bool {
        self.renew
    }
}
