//! A source that is not there: where it was looked for, what left it out, and what it may have meant.

use crate::dockerfile::context::tree::{FileTree, shown, split};
use crate::error::BuildError;

/// Names that a hint lists at most.
const NEAR: usize = 3;
/// How like a name must be to be named (Jaro–Winkler, 1 is equal).
const LIKENESS: f64 = 0.79;

/// `written` is not in `tree`. It meant `path`, which links in the tree led to `followed`.
pub fn source(tree: &dyn FileTree, place: &str, written: &str, path: &[u8], followed: &[u8]) -> BuildError {
    let mut what = format!("`{written}` is not in {place}");
    if path != followed {
        what += &format!(": it is a link that leads to `{}`", shown(followed));
    }
    if let Some(why) = tree.why_missing(path).or_else(|| tree.why_missing(followed)) {
        return BuildError::new(format!("{what}: {why}"))
            .hint("take the path out of the ignore file, or add a line with `!` and the path below that one");
    }
    let error = BuildError::new(what);
    match near(tree, followed) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Something that was fetched does not hold `path`.
pub fn fetched(path: &[u8]) -> BuildError {
    BuildError::new(format!("`{}` is not in what was fetched", shown(path)))
}

/// The first part of the path that is not there, and names like it.
fn near(tree: &dyn FileTree, path: &[u8]) -> Option<String> {
    let mut missing = path;
    loop {
        let (directory, name) = split(missing);
        if name.is_empty() {
            return None;
        }
        let Some(stat) = tree.lstat(directory).ok()? else {
            missing = directory;
            continue;
        };
        if !stat.is_directory() {
            return Some(format!("`{}` is no directory", shown(directory)));
        }
        let wanted = String::from_utf8_lossy(name).to_lowercase();
        let mut like: Vec<(f64, String)> = Vec::new();
        for other in tree.read_dir(directory).ok()? {
            let likeness = strsim::jaro_winkler(&wanted, &String::from_utf8_lossy(&other).to_lowercase());
            if likeness >= LIKENESS {
                let full = crate::dockerfile::context::tree::join(directory, &other);
                like.push((likeness, format!("`{}`", shown(&full))));
            }
        }
        like.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let names: Vec<String> = like.into_iter().take(NEAR).map(|(_, name)| name).collect();
        return match (names.is_empty(), directory) {
            (false, _) => Some(format!("there is {}", names.join(", "))),
            (true, b"") => None,
            (true, directory) => Some(format!("`{}` is there, but nothing in it has that name", shown(directory))),
        };
    }
}
