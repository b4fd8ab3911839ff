//! Where to cut and where to put when a list is edited.

use crate::command::Command;
use crate::syntax::{ConnectorKind, Node};
use std::ops::Range;

/// Where another command can be put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insertion {
    /// The place in the text: the connector and the new command go here.
    pub at: usize,
    /// What must stand in front of the new command, so that it runs under the same condition as its neighbour.
    pub connector: ConnectorKind,
}

impl Command<'_> {
    /// What to delete so that its list goes on without it: the command, one connector, the white space between them, and
    /// the bodies of its heredocs, in order. Nothing if it is alone in its list, in a pipeline with others, or if what is
    /// left would mean something else: in `a || b; c`, what `a` does would count.
    pub fn removal(&self) -> Option<Vec<Range<usize>>> {
        use ConnectorKind::{And, Background, Newline, Or, Semicolon};
        let pipeline = self.pipeline();
        if pipeline.nodes.len() > 1 || pipeline.negated.is_some() || !matches!(pipeline.nodes[0], Node::Simple(_)) {
            return None;
        }
        let here = pipeline.range.clone();
        let before = self.preceding().last().map(|item| item.pipeline.range.end);
        let after = self.following().first().map(|item| item.pipeline.range.start);
        let cut = match (self.connector_before(), before, self.connector_after(), after) {
            (Some(left), Some(start), right, after) => match (left.kind, right.map(|right| right.kind)) {
                (Or, _) => return None,
                (And, Some(Background)) | (And, Some(And | Or) | None) => start..here.end,
                (And, Some(Semicolon | Newline)) => start..here.end,
                (Semicolon | Newline | Background, Some(Or)) => return None,
                (Semicolon | Newline | Background, Some(And)) => here.start..after?,
                (Semicolon, Some(_) | None) => match right {
                    // What is before keeps a connector of its own kind.
                    Some(right) if right.kind == Background => here.start..right.range.end,
                    _ => start..here.end,
                },
                (Background, Some(Newline)) => left.range.end..here.end,
                (Newline | Background, Some(_)) => here.start..right?.range.end,
                (Newline, None) => here,
                (Background, None) => left.range.end..here.end,
            },
            (_, _, Some(right), Some(after)) => match right.kind {
                Or => return None,
                And | Semicolon => here.start..after,
                Newline | Background => here.start..right.range.end,
            },
            _ => return None,
        };
        // `;&` and `((` would mean something else than each of their characters.
        let operator = |c: char| matches!(c, ';' | '&' | '|' | '(' | '<' | '>');
        let text = self.script.text();
        if text.get(..cut.start)?.ends_with(operator) && text.get(cut.end..)?.starts_with(operator) {
            return None;
        }
        // The body of another's heredoc must stay where it is, and the line break before it.
        let bodies = self.script.heredocs().len();
        let own: Vec<_> = self.heredocs().map(|heredoc| heredoc.range.clone()).collect();
        let within = |body: &Range<usize>| body.start <= cut.end && cut.start < body.end;
        if bodies > own.len()
            && self.script.heredocs().iter().any(|heredoc| within(&heredoc.range) && !own.contains(&heredoc.range))
        {
            return None;
        }
        let mut cuts = vec![cut];
        for body in own {
            match cuts.last_mut() {
                Some(last) if body.start <= last.end => last.end = last.end.max(body.end),
                _ => cuts.push(body),
            }
        }
        Some(cuts)
    }

    /// Where a command can be put that is to run after this one, and only if it went well wherever that is how its list is
    /// made. In a pipeline it is the end of the pipeline.
    pub fn insertion_after(&self) -> Insertion {
        let joined = |kind: Option<ConnectorKind>| kind.is_some_and(ConnectorKind::joins);
        let before = self.connector_before().map(|connector| connector.kind);
        let after = self.connector_after().map(|connector| connector.kind);
        let separate = matches!(after, Some(ConnectorKind::Semicolon | ConnectorKind::Newline))
            || after.is_none() && matches!(before, Some(ConnectorKind::Semicolon | ConnectorKind::Newline));
        let connector = if separate && !joined(before) { ConnectorKind::Semicolon } else { ConnectorKind::And };
        Insertion { at: self.pipeline().range.end, connector }
    }
}
