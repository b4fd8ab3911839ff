//! The links of `update-alternatives`, read from the scripts that would have asked for them.
//!
//! `libblas.so.3` is no file of any package: several ship one in a directory of their own, and their scripts say
//! `update-alternatives --install LINK NAME PATH PRIORITY [--slave LINK NAME PATH]…`. Words that a shell would have to compute are not
//! guessed at; the libraries that Python programs need write theirs out.

use std::collections::BTreeMap;

use jettison_tree::{Entry, TreePath};

/// One link that one package asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// Where the link is.
    pub link: TreePath,
    /// The name of the choice: a link has the same one, whoever asks.
    pub name: String,
    /// What it leads to.
    pub target: TreePath,
    /// The highest wins.
    pub priority: i64,
}

/// The alternatives that a `postinst` script installs.
pub fn parse_alternatives(postinst: &[u8]) -> Vec<Alternative> {
    let script = String::from_utf8_lossy(postinst).replace("\\\n", " ");
    let mut found = Vec::new();
    for line in script.lines() {
        let line = line.trim_start();
        if line.starts_with('#') {
            continue;
        }
        let Some((_, arguments)) = line.split_once("update-alternatives") else { continue };
        let end = arguments.find([';', '&', '|', '>', '<']).unwrap_or(arguments.len());
        let words: Vec<_> =
            arguments[..end].split_ascii_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
        let Some(start) = words.iter().position(|word| *word == "--install") else { continue };
        let [link, name, target, priority, slaves @ ..] = &words[start + 1..] else { continue };
        let Ok(priority) = priority.parse() else { continue };
        let mut add = |link: &str, name: &str, target: &str| {
            let plain = |word: &str| word.starts_with('/') && !word.contains(['$', '`', '*']);
            if let (true, true, Ok(link), Ok(target)) =
                (plain(link), plain(target), TreePath::parse(link), TreePath::parse(target))
            {
                found.push(Alternative { link, name: name.to_owned(), target, priority });
            }
        };
        add(link, name, target);
        for slave in slaves.chunks(4) {
            if let ["--slave", link, name, target] = slave {
                add(link, name, target);
            }
        }
    }
    found
}

/// The links, straight to what was chosen: of each name, the highest priority whose target `exists`; of equals, the first by path.
pub fn alternatives(
    asked: impl IntoIterator<Item = Alternative>,
    mut exists: impl FnMut(&TreePath) -> bool,
) -> Vec<Entry> {
    let mut chosen: BTreeMap<TreePath, Alternative> = BTreeMap::new();
    for alternative in asked {
        if !exists(&alternative.target) {
            continue;
        }
        let better = chosen
            .get(&alternative.link)
            .is_none_or(|old| (alternative.priority, &old.target) > (old.priority, &alternative.target));
        if better {
            chosen.insert(alternative.link.clone(), alternative);
        }
    }
    chosen.into_values().map(|one| Entry::symlink(one.link, [b"/", one.target.as_bytes()].concat())).collect()
}

#[cfg(test)]
mod tests {
    use jettison_tree::Node;

    use super::*;

    const REFERENCE: &str = "#!/bin/sh\nset -e\nupdate-alternatives --install /usr/lib/x86_64-linux-gnu/libblas.so.3 \\\n    \
        libblas.so.3-x86_64-linux-gnu /usr/lib/x86_64-linux-gnu/blas/libblas.so.3 10\n";
    const OPENBLAS: &str = "if true; then\n update-alternatives --quiet --install \"/usr/lib/x86_64-linux-gnu/libblas.so.3\" \\\n\
        libblas.so.3-x86_64-linux-gnu \\\n\t/usr/lib/x86_64-linux-gnu/openblas/libblas.so.3 100 \\\n\
        --slave /usr/lib/x86_64-linux-gnu/libx.so x /usr/lib/x86_64-linux-gnu/openblas/libx.so || exit 1\nfi\n\
        # update-alternatives --install /a a /b 1\nupdate-alternatives --install /c c $dir/c 1\nupdate-alternatives --remove c /c\n";

    fn links(scripts: &[&str], missing: &str) -> Vec<String> {
        let asked = scripts.iter().flat_map(|script| parse_alternatives(script.as_bytes()));
        let entries = alternatives(asked, |path| missing.is_empty() || !path.to_string().contains(missing));
        let print = |entry: &Entry| match &entry.node {
            Node::Symlink(target) => format!("{} -> {}", entry.path.file_name().escape_ascii(), target.escape_ascii()),
            _ => panic!(),
        };
        entries.iter().map(print).collect()
    }

    #[test]
    fn the_highest_priority_that_is_there_wins() {
        let openblas = [
            "libblas.so.3 -> /usr/lib/x86_64-linux-gnu/openblas/libblas.so.3",
            "libx.so -> /usr/lib/x86_64-linux-gnu/openblas/libx.so",
        ];
        assert_eq!(links(&[REFERENCE, OPENBLAS], ""), openblas);
        assert_eq!(links(&[OPENBLAS, REFERENCE], ""), openblas);
        let reference = ["libblas.so.3 -> /usr/lib/x86_64-linux-gnu/blas/libblas.so.3"];
        assert_eq!(links(&[OPENBLAS, REFERENCE], "openblas"), reference);
        assert_eq!(links(&[REFERENCE], ""), reference);
        assert!(links(&[], "").is_empty());
    }
}
