//! Instructions as they were written, with the comments above them.

use jettison_dockerfile::{Dockerfile, Edit, Instruction, NodeKind, Span, apply};

/// The pieces of a Dockerfile.
pub(super) struct Pieces<'s> {
    file: &'s Dockerfile,
}

impl<'s> Pieces<'s> {
    pub(super) fn new(file: &'s Dockerfile) -> Self {
        Self { file }
    }

    /// The instruction with the comments above it, and with `edits` made; a blank line in front where there was one.
    pub(super) fn edited(&self, instruction: &Instruction, edits: &[Edit]) -> String {
        let (start, is_apart) = self.start(instruction);
        let span = Span::new(start, instruction.span.end);
        let within: Vec<Edit> = edits
            .iter()
            .filter(|edit| span.contains(edit.span))
            .map(|edit| Edit {
                span: Span::new(edit.span.start - start, edit.span.end - start),
                text: edit.text.clone(),
            })
            .collect();
        let text = self.file.text(span);
        let text = apply(text, &within).unwrap_or_else(|_| text.to_owned());
        if is_apart { format!("\n{text}") } else { text }
    }

    /// The instruction as it stands.
    pub(super) fn whole(&self, instruction: &Instruction) -> String {
        self.edited(instruction, &[])
    }

    /// Whether a blank line stands above the instruction and its comments.
    pub(super) fn is_apart(&self, instruction: &Instruction) -> bool {
        self.start(instruction).1
    }

    /// Where the comments above it begin, and whether a blank line stands above them.
    fn start(&self, instruction: &Instruction) -> (usize, bool) {
        let nodes = self.file.nodes();
        let at = nodes.partition_point(|node| node.span.start < instruction.span.start);
        // Its own node begins with the white space in front of it.
        let mut first = match nodes.get(at) {
            Some(node) if node.span.start == instruction.span.start => at,
            _ => at.saturating_sub(1),
        };
        let mut start = instruction.span.start;
        while let Some(above) = first.checked_sub(1) {
            match nodes[above].kind {
                NodeKind::Comment => (first, start) = (above, nodes[above].span.start),
                NodeKind::Blank => return (start, true),
                _ => break,
            }
        }
        (start, false)
    }
}
