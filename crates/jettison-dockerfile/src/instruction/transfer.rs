//! `COPY` and `ADD`: flags, sources, and where to.

use super::build::Builder;
use super::{Add, Copy, Source, Transfer};
use crate::expand::Expander;
use crate::heredoc::Opening;
use crate::problem::ProblemKind;
use crate::split;
use crate::word::Word;

impl Builder<'_, '_, '_> {
    pub(super) fn copy(&mut self) -> Option<Copy> {
        let from = self.flags.value("from", self.problems).cloned();
        let parents = self.flags.boolean("parents", self.problems).unwrap_or(false);
        if let Some(from) = &from {
            let plain = Expander::new(self.escape).word(from, &());
            if !plain.is_ok_and(|expansion| *from == expansion.value.as_str()) {
                self.problems.error(ProblemKind::NoExpansion { place: "COPY --from" }, from.span());
            }
        }
        Some(Copy { transfer: self.transfer()?, from, parents })
    }

    pub(super) fn add(&mut self) -> Option<Add> {
        let checksum = self.flags.value("checksum", self.problems).cloned();
        let keep_git_dir = self.flags.boolean("keep-git-dir", self.problems);
        let unpack = self.flags.boolean("unpack", self.problems);
        Some(Add { transfer: self.transfer()?, checksum, keep_git_dir, unpack })
    }

    fn transfer(&mut self) -> Option<Transfer> {
        let chown = self.flags.value("chown", self.problems).cloned();
        let chmod = self.flags.value("chmod", self.problems).cloned();
        let link = self.flags.boolean("link", self.problems).unwrap_or(false);
        let excludes = self.flags.values("exclude", self.problems);
        let excludes = excludes.into_iter().filter_map(|flag| flag.value.clone()).collect();
        let strings = self.strings(self.arguments).ok()?;
        let is_json = strings.is_some();
        let mut words = strings.unwrap_or_else(|| split::by_space(self.arguments));
        let destination = words.pop().filter(|_| !words.is_empty());
        let Some(destination) = destination else {
            let span = if self.arguments.is_empty() { self.whole.keyword.span() } else { self.arguments.span() };
            self.problems.error(ProblemKind::NoDestination { instruction: self.name }, span);
            return None;
        };
        if Opening::parse(&destination).is_some() {
            self.problems.error(ProblemKind::HeredocDestination { instruction: self.name }, destination.span());
        }
        let sources = words.into_iter().map(|word| if is_json { Source::Path(word) } else { self.source(word) });
        Some(Transfer { sources: sources.collect(), destination, chown, chmod, link, excludes })
    }

    fn source(&mut self, word: Word) -> Source {
        let Some(opening) = Opening::parse(&word) else { return Source::Path(word) };
        // Of two with one name the last counts.
        match self.heredocs.iter().rposition(|heredoc| heredoc.name == opening.name) {
            Some(index) => Source::Heredoc(index),
            None => {
                self.problems.error(ProblemKind::LostHeredoc { word: word.to_string() }, word.span());
                Source::Path(word)
            }
        }
    }
}
