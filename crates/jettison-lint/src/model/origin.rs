//! Where in the build context a path of a stage is from.

use super::step::join;
use super::{Stage, Step, Subject};
use jettison_dockerfile::instruction::{InstructionKind, MountKind};
use jettison_tree::TreePath;

/// Stages are followed no deeper than this.
const MAX_DEPTH: usize = 16;

impl<'a> Subject<'a> {
    /// The file of the context that a command of step `at` of `stage` sees at `path` (absolute), if a mount, `COPY` or `ADD` put it
    /// there, and if it can be read.
    pub fn origin(&self, stage: &Stage<'a>, at: usize, path: &str) -> Option<TreePath> {
        self.origin_below(stage, at, path, 0)
    }

    fn origin_below(&self, stage: &Stage<'a>, at: usize, path: &str, depth: usize) -> Option<TreePath> {
        if depth > MAX_DEPTH {
            return None;
        }
        if let Some(step) = stage.steps.get(at)
            && let Some(file) = step.mounts().iter().filter(|mount| mount.kind == MountKind::Bind).find_map(|mount| {
                let target = join(step.workdir.as_deref().or(Some("/")), mount.target.as_deref()?)?;
                let rest = below(&target, path)?;
                let source = join(Some("/"), mount.source.as_deref().unwrap_or("/"))?;
                let source = join(Some(&source), rest.trim_start_matches('/'))?;
                match mount.from.as_deref() {
                    None => self.in_context(&source),
                    Some(from) => {
                        let other = self.stage(from, stage.syntax.index)?;
                        self.origin_below(other, other.steps.len(), &source, depth + 1)
                    }
                }
            })
        {
            return Some(file);
        }
        for step in stage.steps.iter().take(at).rev() {
            if let Some(found) = self.copied(stage, step, path, depth) {
                return Some(found);
            }
        }
        let chain = self.chain(stage);
        let under = chain.iter().rev().nth(1)?;
        self.origin_below(under, under.steps.len(), path, depth + 1)
    }

    /// The file of the context that `COPY` or `ADD` put at `path`.
    fn copied(&self, stage: &Stage<'a>, step: &Step<'a>, path: &str, depth: usize) -> Option<TreePath> {
        let destination = step.destination()?;
        let plain = if destination == "/" { "/" } else { destination.trim_end_matches('/') };
        below(plain, path)?;
        if let InstructionKind::Copy(copy) = &step.instruction.kind
            && let Some(from) = &copy.from
        {
            let other = self.stage(from, stage.syntax.index)?;
            return copy.transfer.sources.iter().find_map(|source| {
                let jettison_dockerfile::instruction::Source::Path(source) = source else { return None };
                let source = join(Some("/"), &step.expand(source)?)?;
                candidates(&source, plain, path)
                    .find_map(|path| self.origin_below(other, other.steps.len(), &path, depth + 1))
            });
        }
        step.context_sources().into_iter().find_map(|source| {
            let source = join(Some("/"), &step.expand(source)?)?;
            if let Some((start, end)) = source.split_once('*') {
                let name = path.rsplit('/').next()?;
                let (directory, start) = start.rsplit_once('/')?;
                let fits = !end.contains(['*', '/']) && name.len() >= start.len() + end.len();
                let fits = fits && name.starts_with(start) && name.ends_with(end);
                return self.in_context(&format!("{directory}/{name}")).filter(|_| fits);
            }
            candidates(&source, plain, path).find_map(|path| self.in_context(&path))
        })
    }

    /// The file at `path` from the root of the context, if it is there and is not ignored.
    fn in_context(&self, path: &str) -> Option<TreePath> {
        let path = TreePath::parse(path.trim_start_matches('/')).ok()?;
        let ignored = self.context.ignore().is_some_and(|ignore| ignore.patterns.matches(path.as_bytes()));
        (!ignored && self.context.read(&path).is_some()).then_some(path)
    }
}

/// What of `path` is below `directory`: empty, or it begins with a slash.
fn below<'p>(directory: &str, path: &'p str) -> Option<&'p str> {
    if directory == "/" {
        return Some(path);
    }
    path.strip_prefix(directory).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What `path` may have been at the source of a copy to `destination`: the source itself, what was in it, or it in the destination.
fn candidates(source: &str, destination: &str, path: &str) -> impl Iterator<Item = String> {
    let rest = below(destination, path).unwrap_or_default().trim_start_matches('/').to_owned();
    let name = source.rsplit('/').next().unwrap_or_default();
    let inside = (!rest.is_empty()).then(|| format!("{}/{rest}", source.trim_end_matches('/')));
    let itself = (rest.is_empty() || rest == name).then(|| source.to_owned());
    itself.into_iter().chain(inside)
}
