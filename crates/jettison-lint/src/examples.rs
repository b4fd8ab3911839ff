//! The examples in the documentation of a rule: blocks that show a fault, its absence, and what the fix makes of it.
//!
//! A fenced block whose information string is `dockerfile bad lines=3,5` shows a Dockerfile in which the rule finds faults that begin
//! in these lines, and no others; without `lines` it finds some. `dockerfile good` shows one in which it finds none. `dockerfile fixed` (or
//! `dockerfile fixed unsafe`) shows what the fixes of the rule make of the block `bad` before it. `text file=requirements.txt` is a file of
//! the context of the Dockerfiles that follow it, up to the next heading; `toml configuration` is their configuration; `.dockerignore fixed`, with a `file=`, is what a fix makes of one.

/// A fenced block of a documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block<'d> {
    /// What it shows.
    pub kind: BlockKind<'d>,
    /// Its lines, each with its end.
    pub text: &'d str,
}

/// What a block shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockKind<'d> {
    /// A Dockerfile with faults in these lines; in any, if there are none.
    Bad(Vec<usize>),
    /// A Dockerfile without fault.
    Good,
    /// What fixes make of the last bad one.
    Fixed {
        /// Whether unsafe fixes are made too.
        unsafe_: bool,
    },
    /// A file of the context.
    File {
        /// Its path.
        path: &'d str,
        /// Whether it is what the fixes make of it.
        fixed: bool,
    },
    /// The configuration of the Dockerfiles that follow, as `jettison.toml` has it.
    Configuration,
    /// The files before it belong to none of the Dockerfiles that follow.
    Heading,
    /// Something else, for people alone.
    Other,
}

/// The blocks of a documentation, and its headings, in order.
pub fn blocks(docs: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<(BlockKind<'_>, &str, usize)> = None;
    let mut at = 0;
    for line in docs.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let trimmed = line.trim_end();
        match open.take() {
            Some((kind, fence, from)) if trimmed == fence => blocks.push(Block { kind, text: &docs[from..start] }),
            Some(still) => open = Some(still),
            None if trimmed.starts_with("```") => {
                let fence = &trimmed[..trimmed.len() - trimmed.trim_start_matches('`').len()];
                open = Some((kind(&trimmed[fence.len()..]), fence, at));
            }
            None if trimmed.starts_with('#') => blocks.push(Block { kind: BlockKind::Heading, text: line }),
            None => {}
        }
    }
    blocks
}

fn kind(information: &str) -> BlockKind<'_> {
    let words: Vec<&str> = information.split_whitespace().collect();
    let value = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
    if let Some(path) = value("file=") {
        return BlockKind::File { path, fixed: words.contains(&"fixed") };
    }
    match words[..] {
        ["dockerfile", "bad", ..] => {
            let lines = value("lines=").unwrap_or_default();
            BlockKind::Bad(lines.split(',').filter_map(|line| line.parse().ok()).collect())
        }
        ["toml", "configuration"] => BlockKind::Configuration,
        ["dockerfile", "good", ..] => BlockKind::Good,
        ["dockerfile", "fixed", ..] => BlockKind::Fixed { unsafe_: words.contains(&"unsafe") },
        _ => BlockKind::Other,
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::found;
