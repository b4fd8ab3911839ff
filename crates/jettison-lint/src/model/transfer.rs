//! What a stage takes from other stages and images: which path becomes which.

use super::step::join;
use super::{Stage, Step};
use jettison_dockerfile::Span;
use jettison_dockerfile::instruction::{InstructionKind, Source};

/// A `COPY --from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// Which step of its stage it is.
    pub step: usize,
    /// Where it takes from.
    pub from: CopySource,
    /// The paths, and where they are written.
    pub sources: Vec<(String, Span)>,
    /// Where to, absolute; a `/` at the end is kept.
    pub destination: String,
    /// `--parents`: paths keep their directories.
    parents: bool,
}

/// Where `COPY --from` takes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// A stage, by number.
    Stage(usize),
    /// An image, or a context that the build is given, by its name.
    Image(String),
}

impl Brought {
    /// What a step of stage `index` takes from another stage or an image; `None` if it is none, or its paths cannot be told.
    pub(super) fn of(index: usize, number: usize, step: &Step<'_>, earlier: &[Stage<'_>]) -> Option<Self> {
        let InstructionKind::Copy(copy) = &step.instruction.kind else { return None };
        let name = copy.from.as_ref()?.as_str();
        let from = match super::find(earlier, name, index) {
            Some(stage) => CopySource::Stage(stage.syntax.index),
            None => CopySource::Image(name.to_owned()),
        };
        let sources = copy.transfer.sources.iter().filter_map(|source| match source {
            Source::Path(word) => Some((join(Some("/"), &step.expand(word)?)?, word.span())),
            Source::Heredoc(_) => None,
        });
        let sources: Vec<_> = sources.collect();
        let destination = step.destination()?;
        (sources.len() == copy.transfer.sources.len()).then_some(Self {
            step: number,
            from,
            sources,
            destination,
            parents: copy.parents,
        })
    }

    /// Where the directory `path` of the other stage comes to lie, if all of it is taken.
    pub fn lands(&self, path: &str) -> Option<String> {
        self.sources.iter().find_map(|(source, _)| {
            let rest = below(path, source)?;
            Some(match self.parents {
                true => glue(&self.destination, path),
                false => glue(&self.destination, rest),
            })
        })
    }

    /// What of the other stage comes to lie at `path`, if it is from there and can be told.
    pub fn comes_from(&self, path: &str) -> Option<String> {
        let rest = below(path, self.destination.trim_end_matches('/'))?;
        match (self.parents, &self.sources[..]) {
            (true, _) => Some(glue("/", rest)),
            // A file into a directory keeps its name; a directory gives what is in it.
            (false, sources) => sources.iter().find_map(|(source, _)| {
                let name = source.rsplit('/').next().unwrap_or_default();
                let is_it = self.destination.ends_with('/') || self.sources.len() > 1;
                if is_it && rest == name {
                    return Some(source.clone());
                }
                (self.sources.len() == 1).then(|| glue(source, rest))
            }),
        }
    }

    /// The source, and where it is written, of which something lies in `directory`, or which lies in it.
    pub fn touches(&self, directory: &str) -> Option<&(String, Span)> {
        self.sources.iter().find(|(source, _)| below(directory, source).is_some() || below(source, directory).is_some())
    }
}

/// What is left of `path` below `directory`, without a `/` before it; nothing of `directory` itself.
pub fn below<'p>(path: &'p str, directory: &str) -> Option<&'p str> {
    let directory = directory.trim_end_matches('/');
    let rest = path.trim_end_matches('/').strip_prefix(directory)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

fn glue(directory: &str, rest: &str) -> String {
    join(Some(directory), rest.trim_start_matches('/')).unwrap_or_else(|| directory.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_another_stage_have_places_in_this_one() {
        let brought = |sources: &[&str], destination: &str| Brought {
            step: 0,
            from: CopySource::Stage(0),
            sources: sources.iter().map(|source| ((*source).to_owned(), Span::default())).collect(),
            destination: destination.to_owned(),
            parents: false,
        };
        let venv = brought(&["/opt/venv"], "/venv");
        assert_eq!(venv.lands("/opt/venv").as_deref(), Some("/venv"));
        assert_eq!(venv.lands("/opt/venv/lib").as_deref(), Some("/venv/lib"));
        assert_eq!((venv.lands("/opt"), venv.lands("/opt/venv2")), (None, None));
        assert!(venv.touches("/opt").is_some() && venv.touches("/usr").is_none());
        let all = brought(&["/"], "/");
        assert_eq!(all.lands("/opt/venv").as_deref(), Some("/opt/venv"));
        let file = brought(&["/app/requirements.txt"], "/srv/");
        assert_eq!(file.comes_from("/srv/requirements.txt").as_deref(), Some("/app/requirements.txt"));
        assert_eq!(venv.comes_from("/venv/lib").as_deref(), Some("/opt/venv/lib"));
        assert_eq!(venv.comes_from("/srv"), None);
    }
}
