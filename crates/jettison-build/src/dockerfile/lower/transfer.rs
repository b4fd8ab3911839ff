//! `COPY`, `ADD` and `WORKDIR`.

use std::sync::Arc;

use jettison_dockerfile::instruction::{Add, Copy, Source as Written, Transfer as Words};
use jettison_dockerfile::{Expander, Word};
use jettison_tree::TreePath;

use super::super::context::checkout::checkout;
use super::super::context::git::GitReference;
use super::super::context::http;
use super::super::copy::mode::Chmod;
use super::super::copy::{Request, Source, select};
use super::super::history;
use super::super::stage::StageState;
use super::super::steps::copy::{CopyStep, LinkStep, SelectStep};
use super::super::steps::workdir::WorkdirStep;
use super::super::unpacked::Transfer;
use super::from::Origin;
use super::{At, Lowering};
use crate::error::BuildError;

/// What messages call the context of the build.
const CONTEXT: &str = "the build context";

impl Lowering<'_> {
    pub(super) fn workdir(
        &mut self,
        stage: usize,
        state: &mut StageState,
        at: At<'_>,
        word: &Word,
    ) -> Result<(), BuildError> {
        let written = at.word(word, &state.scope)?;
        let path = state.absolute(&written);
        // An absolute path is told as it was written.
        let said = format!("WORKDIR {}", if written.starts_with('/') { &written } else { &path });
        state.config.working_dir.clone_from(&path);
        let inside = path.trim_start_matches('/');
        if inside.is_empty() {
            state.note(said);
            return Ok(());
        }
        let inside = TreePath::parse(inside).map_err(|error| at.place_of(word).error(error, None))?;
        let operation = WorkdirStep {
            path: Some(inside),
            user: state.config.user.clone(),
            place: at.place(),
            unpacker: Arc::clone(&self.unpacker),
            renew: self.renew(stage).is_some(),
        };
        let fields = vec![("path".to_owned(), path), ("user".to_owned(), state.config.user.clone())];
        let below = state.files;
        let id = self.step(stage, state, at, &[below], operation, fields, None, false);
        state.made(said, id);
        Ok(())
    }

    pub(super) fn copy(
        &mut self,
        stage: usize,
        state: &mut StageState,
        at: At<'_>,
        copy: &Copy,
    ) -> Result<(), BuildError> {
        let mut request = request(state, at, &copy.transfer)?;
        request.parents = copy.parents;
        let sources;
        (request.sources, sources) = self.sources(state, at, &copy.transfer, None)?;
        let origin = match &copy.from {
            Some(from) => {
                let platform = state.platform.clone();
                self.origin(stage, from.as_str(), &platform, &at.place_of(from))?
            }
            None => Origin::Tree(Arc::clone(&self.request.context), CONTEXT.to_owned()),
        };
        let said = said(state, at, &copy.transfer, &request, &sources)?;
        self.transfer(stage, state, at, &request, (said, sources), origin)
    }

    pub(super) fn add(
        &mut self,
        stage: usize,
        state: &mut StageState,
        at: At<'_>,
        add: &Add,
    ) -> Result<(), BuildError> {
        let mut request = request(state, at, &add.transfer)?;
        request.unpack = add.unpack.unwrap_or(true);
        let sources;
        (request.sources, sources) = self.sources(state, at, &add.transfer, Some(add))?;
        let origin = Origin::Tree(Arc::clone(&self.request.context), CONTEXT.to_owned());
        let said = said(state, at, &add.transfer, &request, &sources)?;
        self.transfer(stage, state, at, &request, (said, sources), origin)
    }

    /// The sources, resolved; those of `ADD` that are elsewhere are fetched.
    fn sources(
        &self,
        state: &StageState,
        at: At<'_>,
        words: &Words,
        add: Option<&Add>,
    ) -> Result<(Vec<Source>, Vec<String>), BuildError> {
        let checksum = match add.and_then(|add| add.checksum.as_ref()) {
            Some(word) => Some(at.word(word, &state.scope)?),
            None => None,
        };
        let (mut sources, mut said) = (Vec::new(), Vec::new());
        for source in &words.sources {
            let (source, text) = match source {
                Written::Path(word) => {
                    let path = at.word(word, &state.scope)?;
                    match add.map(|add| self.fetch(add, &path, checksum.as_deref())).transpose() {
                        Err(error) => return Err(at.place_of(word).put(error)),
                        Ok(Some(Some(fetched))) => (fetched, path),
                        Ok(_) if checksum.is_some() => {
                            let hint = "it is for what is fetched from elsewhere".to_owned();
                            let what = format!("--checksum means nothing for `{path}`, a path of the context");
                            return Err(at.place_of(word).error(what, Some(hint)));
                        }
                        Ok(_) => (Source::Path(path.clone()), path),
                    }
                }
                Written::Heredoc(number) => {
                    let gone = || at.place().error("a heredoc is missing", None);
                    let heredoc = at.instruction.heredocs.get(*number).ok_or_else(gone)?;
                    let content = match heredoc.expand {
                        true => {
                            let expanded = Expander::heredoc().word(&heredoc.content, &state.scope);
                            expanded.map_err(|error| at.words.expand_error(&heredoc.content, &error))?.value
                        }
                        false => heredoc.content.to_string(),
                    };
                    let said = format!("<<{}", heredoc.name);
                    (Source::Inline { name: heredoc.name.clone(), content: content.into_bytes() }, said)
                }
            };
            sources.push(source);
            said.push(text);
        }
        Ok((sources, said))
    }

    /// What `ADD` fetches; `None` where the source is a path of the context.
    fn fetch(&self, add: &Add, text: &str, checksum: Option<&str>) -> Result<Option<Source>, BuildError> {
        let unpack = add.unpack.unwrap_or(false);
        if let Some(repository) = GitReference::parse(text) {
            let mut repository = repository?;
            if let Some(checksum) = checksum {
                repository.checksum = Some(checksum.to_owned());
            }
            let files = checkout(self.job, &repository, add.keep_git_dir.unwrap_or(false))?.tree;
            return Ok(Some(Source::Fetched { tree: Arc::new(files), path: Vec::new(), unpack: false }));
        }
        if !http::is_url(text) {
            return Ok(None);
        }
        let digest = match checksum {
            Some(text) => Some(text.parse().map_err(|error: jettison_tree::DigestError| {
                BuildError::new(format!("--checksum: {error}")).hint("write `sha256:` and 64 hex digits")
            })?),
            None => None,
        };
        Ok(Some(http::download(self.job, text, digest)?.into_source(unpack)))
    }

    fn transfer(
        &mut self,
        stage: usize,
        state: &mut StageState,
        at: At<'_>,
        request: &Request,
        (said, sources): (String, Vec<String>),
        origin: Origin,
    ) -> Result<(), BuildError> {
        let (place, renew) = (at.place(), self.renew(stage).is_some());
        let unpacker = Arc::clone(&self.unpacker);
        let (fields, below) = (fields(request, &sources), state.files);
        let step = |transfer| CopyStep { transfer, place: place.clone(), unpacker: Arc::clone(&unpacker), renew };
        let (operation, selected, transfer) = match origin {
            Origin::Tree(tree, name) => {
                let selection = select(&*tree, &name, request).map_err(|error| place.put(error))?;
                let transfer = Arc::new(Transfer { request: request.clone(), selection });
                self.unpacker.remember(&transfer, None);
                (step(Some(Arc::clone(&transfer))), None, Some(transfer))
            }
            Origin::Step(from, name) => {
                let select = SelectStep {
                    request: request.clone(),
                    from: name.clone(),
                    place: place.clone(),
                    unpacker: Arc::clone(&unpacker),
                };
                let id = self.graph.add(format!("look into {name}"), &[from], select);
                (step(None), Some(id), None)
            }
        };
        let from_stage = selected.is_some();
        let id = if request.stands_alone() {
            let nothing = self.nothing(&place);
            let inputs: Vec<_> = [Some(nothing), selected].into_iter().flatten().collect();
            let alone = self.step(stage, state, at, &inputs, operation, fields, transfer, from_stage);
            self.graph.add("link", &[below, alone], LinkStep)
        } else {
            let inputs: Vec<_> = [Some(below), selected].into_iter().flatten().collect();
            self.step(stage, state, at, &inputs, operation, fields, transfer, from_stage)
        };
        state.made(said, id);
        Ok(())
    }

    /// The step that a layer stands on that stands alone.
    fn nothing(&mut self, place: &super::super::place::Place) -> jettison_engine::graph::StepId {
        let (store, place) = (Arc::clone(self.job.store), place.clone());
        self.graph.add(
            "FROM scratch",
            &[],
            super::super::steps::base::BaseStep { manifest: None, origin: None, store, place },
        )
    }
}

/// The words that `COPY` and `ADD` have in common, resolved.
fn request(state: &StageState, at: At<'_>, words: &Words) -> Result<Request, BuildError> {
    let optional = |word: &Option<Word>| word.as_ref().map(|word| at.word(word, &state.scope)).transpose();
    let chmod = match (&words.chmod, optional(&words.chmod)?) {
        (Some(word), Some(text)) if !text.is_empty() => {
            Some(Chmod::parse(&text).map_err(|error| at.place_of(word).put(error))?)
        }
        _ => None,
    };
    Ok(Request {
        destination: at.word(&words.destination, &state.scope)?,
        workdir: state.workdir().to_owned(),
        chown: optional(&words.chown)?.filter(|chown| !chown.is_empty()),
        chmod,
        link: words.link,
        excludes: words.excludes.iter().map(ToString::to_string).collect(),
        ..Request::default()
    })
}

/// What the history says: the instruction as BuildKit repeats it, which leaves some flags out.
fn said(
    state: &StageState,
    at: At<'_>,
    words: &Words,
    request: &Request,
    sources: &[String],
) -> Result<String, BuildError> {
    let mut said = at.instruction.name();
    if request.parents {
        said.push_str(" --parents");
    }
    if let Some(chown) = &request.chown {
        said.push_str(&format!(" --chown={chown}"));
    }
    if let Some(chmod) = &words.chmod {
        said.push_str(&format!(" --chmod={}", at.word(chmod, &state.scope)?));
    }
    for source in sources {
        said.push_str(&format!(" {source}"));
    }
    said.push_str(&format!(" {}", request.destination));
    Ok(history::of_layer(&said))
}

/// What of the request is compared when somebody asks why it ran. What it copies is compared file by file.
fn fields(request: &Request, sources: &[String]) -> Vec<(String, String)> {
    let mut fields = vec![("destination".to_owned(), request.destination.clone())];
    fields.push(("sources".to_owned(), sources.join(" ")));
    fields.push(("working directory".to_owned(), request.workdir.clone()));
    fields.extend(request.chown.clone().map(|chown| ("--chown".to_owned(), chown)));
    fields.extend(request.chmod.as_ref().map(|chmod| ("--chmod".to_owned(), format!("{chmod:?}"))));
    fields
}
