//! Where the bytes of a text were written, which may be another text with backslashes in between.

use std::ops::Range;

/// A map from offsets of a text to offsets of the script.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// Where runs begin that are contiguous in both: (offset in the text, offset in the script).
    runs: Vec<(usize, usize)>,
}

impl Places {
    /// The text is the script.
    pub fn same() -> Self {
        Self { runs: vec![(0, 0)] }
    }

    /// For a text that begins at `place` in the script, and of which nothing was added yet.
    pub fn at(place: usize) -> Self {
        Self { runs: vec![(0, place)] }
    }

    /// The offset in the script of the byte at `offset`.
    pub fn locate(&self, offset: usize) -> usize {
        match self.runs.partition_point(|&(start, _)| start <= offset).checked_sub(1) {
            Some(run) => self.runs[run].1 + (offset - self.runs[run].0),
            None => 0,
        }
    }

    /// Where in the script the bytes of `range` were written.
    pub fn range(&self, range: Range<usize>) -> Range<usize> {
        if range.start >= range.end {
            // An empty range at the end of a text must not run past what it was cut out of.
            let at = match range.start.checked_sub(1) {
                Some(last) => self.locate(last) + 1,
                None => self.locate(0),
            };
            return at..at;
        }
        self.locate(range.start)..self.locate(range.end - 1) + 1
    }

    /// Adds that the text goes on at `length` with what `of` has at `range`.
    pub fn extend(&mut self, length: usize, of: &Self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        self.push(length, of.locate(range.start));
        let first = of.runs.partition_point(|&(start, _)| start <= range.start);
        for &(start, place) in of.runs[first..].iter().take_while(|&&(start, _)| start < range.end) {
            self.push(length + (start - range.start), place);
        }
    }

    fn push(&mut self, offset: usize, place: usize) {
        if self.locate(offset) != place {
            self.runs.push((offset, place));
        }
    }
}
