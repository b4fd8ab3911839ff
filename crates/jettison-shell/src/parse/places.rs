//! Where the bytes of a text were written, which may be another text with quotes and backslashes in between.

use std::ops::Range;

/// A map from offsets of a text to offsets of the script.
#[derive(Debug, Clone)]
pub(super) struct Places {
    runs: Vec<Run>,
}

/// Bytes that are contiguous in both.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// Where it begins in the text.
    offset: usize,
    /// Where it begins in the script.
    place: usize,
    /// The same, with the backslashes that belong to its first byte.
    start: usize,
}

impl Places {
    /// The text is the script.
    pub fn same() -> Self {
        Self::at(0)
    }

    /// For a text that begins at `place` in the script, and of which nothing was added yet.
    pub fn at(place: usize) -> Self {
        Self { runs: vec![Run { offset: 0, place, start: place }] }
    }

    /// The run that the byte at `offset` is in.
    fn run(&self, offset: usize) -> Run {
        self.runs[self.runs.partition_point(|run| run.offset <= offset).saturating_sub(1)]
    }

    /// The offset in the script of the byte at `offset`.
    fn locate(&self, offset: usize) -> usize {
        let run = self.run(offset);
        run.place + (offset - run.offset)
    }

    /// The same, or that of the first backslash which was taken off it.
    fn start(&self, offset: usize) -> usize {
        let run = self.run(offset);
        if run.offset == offset { run.start } else { run.place + (offset - run.offset) }
    }

    /// Where in the script the bytes of `range` were written.
    pub fn range(&self, range: Range<usize>) -> Range<usize> {
        if range.start < range.end {
            return self.start(range.start)..self.locate(range.end - 1) + 1;
        }
        // At the end of a text it must not run past what that was cut out of.
        let at = match range.start.checked_sub(1) {
            Some(last) => self.locate(last) + 1,
            None => self.start(0),
        };
        at..at
    }

    /// Adds that the text goes on at `length` with what `of` has at `range`. If it is `escaped`, a backslash before it is
    /// left out.
    pub fn extend(&mut self, length: usize, of: &Self, range: Range<usize>, escaped: bool) {
        if range.is_empty() {
            return;
        }
        let start = of.start(range.start - usize::from(escaped));
        self.push(Run { offset: length, place: of.locate(range.start), start });
        let first = of.runs.partition_point(|run| run.offset <= range.start);
        for run in of.runs[first..].iter().take_while(|run| run.offset < range.end) {
            self.push(Run { offset: length + (run.offset - range.start), ..*run });
        }
    }

    fn push(&mut self, run: Run) {
        if run.offset == 0 {
            self.runs.clear();
        }
        if run.offset == 0 || run.start != run.place || self.locate(run.offset) != run.place {
            self.runs.push(run);
        }
    }
}
