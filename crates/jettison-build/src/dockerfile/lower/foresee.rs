//! Which images a stage will ask for, seen before it is lowered, so that registries are asked for all of them at once.
//!
//! What cannot be known yet is left out: images that only a variable of a stage names, and those of triggers. They are asked for when
//! they are met.

use std::collections::BTreeSet;

use jettison_dockerfile::InstructionKind;
use jettison_oci::types::Platform;

use super::super::place::Words;
use super::super::request::Substitute;
use super::super::stages;
use super::{At, Lowering};

/// Names of images with platforms, and the stages that were looked at.
#[derive(Default)]
struct Foreseen {
    images: BTreeSet<(String, String)>,
    stages: BTreeSet<usize>,
}

impl Lowering<'_> {
    /// The images that a stage, and the stages that it needs, will ask for: their names and platforms.
    pub(super) fn images_of(&self, stage: usize) -> Vec<(String, Platform)> {
        let mut foreseen = Foreseen::default();
        self.foresee(stage, &mut foreseen);
        let images = foreseen.images.into_iter();
        images.filter_map(|(name, platform)| Some((name, platform.parse().ok()?))).collect()
    }

    fn foresee(&self, index: usize, foreseen: &mut Foreseen) {
        if !foreseen.stages.insert(index) {
            return;
        }
        let source = &self.request.source;
        let stage = &source.dockerfile.stages()[index];
        let words = Words::Of(source);
        let head = source.dockerfile.head(stage);
        let at = At { instruction: head, words: &words, escape: source.dockerfile.escape() };
        let platform = match &stage.from.platform {
            None => Some(self.platform.clone()),
            Some(word) => at.word(word, &self.globals).ok().and_then(|text| text.parse().ok()),
        };
        // What is wrong with it will be said when it is lowered.
        let (Some(platform), Ok(name)) = (platform, at.word(&stage.from.image, &self.globals)) else { return };
        let name = stage.name.clone().filter(|own| self.request.named.contains_key(own)).unwrap_or(name);
        self.foresee_name(index, &name, &platform, foreseen);
        for instruction in source.dockerfile.body(stage) {
            match &instruction.kind {
                InstructionKind::Copy(copy) => {
                    if let Some(from) = &copy.from {
                        self.foresee_name(index, from.as_str(), &platform, foreseen);
                    }
                }
                InstructionKind::Run(run) => {
                    for spec in run.mounts.iter().filter(|spec| !spec.value.as_str().contains('$')) {
                        let Ok(mount) = spec.resolve(at.expander(), &self.globals) else { continue };
                        if let Some(from) = &mount.from {
                            self.foresee_name(index, from, &platform, foreseen);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// A name that the stage `index` uses: of another stage, a context, an image.
    fn foresee_name(&self, index: usize, name: &str, platform: &Platform, foreseen: &mut Foreseen) {
        let dockerfile = &self.request.source.dockerfile;
        let lower = name.to_lowercase();
        let earlier = dockerfile.stages()[..index].iter().rev().find(|stage| stage.name.as_ref() == Some(&lower));
        let image = match (self.named(name), earlier) {
            (Some(Substitute::Image(image)), _) => image.clone(),
            (Some(Substitute::Stage(stage)), _) => {
                if let Ok(stage) = stages::target(&self.request.source, Some(stage)) {
                    self.foresee(stage, foreseen);
                }
                return;
            }
            (Some(_), _) => return,
            (None, Some(stage)) => return self.foresee(stage.index, foreseen),
            (None, None) => match name.parse::<usize>() {
                Ok(number) if number < index => return self.foresee(number, foreseen),
                Err(_) if !name.is_empty() && name != "scratch" => name.to_owned(),
                _ => return,
            },
        };
        foreseen.images.insert((image, platform.to_string()));
    }
}
