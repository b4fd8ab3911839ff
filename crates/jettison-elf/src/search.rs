//! Where a name leads in a tree: symbolic links, `$ORIGIN` and the other tokens of ld.so(8), and the directories that
//! belong to the system.

use std::collections::{BTreeMap, BTreeSet};

use jettison_tree::TreePath;

use crate::{Abi, ElfFacts};

/// Symbolic links that are followed on the way to one file, as many as Linux follows.
const LINK_LIMIT: usize = 40;

/// An object of the tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object<'a> {
    pub facts: &'a ElfFacts,
    pub owner: &'a str,
}

/// The ELF files and symbolic links of a tree.
#[derive(Debug, Default)]
pub(crate) struct Files<'a> {
    pub objects: BTreeMap<TreePath, Object<'a>>,
    pub links: BTreeMap<TreePath, Vec<u8>>,
}

impl Files<'_> {
    /// Follows the symbolic links in an absolute path. `..` at the root stays there, as for the kernel. `None`: the path
    /// is the root itself, or links lead round in a circle.
    pub(crate) fn follow(&self, path: &[u8]) -> Option<TreePath> {
        let mut left: Vec<Vec<u8>> = components(path);
        let mut done: Option<TreePath> = None;
        let mut followed = 0;
        while let Some(component) = left.pop() {
            if component == b".." {
                done = done.and_then(|path| path.parent());
                continue;
            }
            let next = match &done {
                Some(directory) => directory.join(&component).ok()?,
                None => TreePath::parse(&component).ok()?,
            };
            let Some(target) = self.links.get(&next) else {
                done = Some(next);
                continue;
            };
            followed += 1;
            if followed > LINK_LIMIT {
                return None;
            }
            if target.starts_with(b"/") {
                done = None;
            }
            left.extend(components(target));
        }
        done
    }
}

/// The components of a path, the last one first.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|&byte| byte == b'/').rev().filter(|c| !matches!(*c, b"" | b".")).map(<[u8]>::to_vec).collect()
}

/// The directories that an element of an RPATH or RUNPATH stands for, for an object that was found at `found_at`.
/// What is relative depends on where the process stands, and is none.
pub(crate) fn expand(element: &str, found_at: &TreePath, abi: Abi) -> Vec<Vec<u8>> {
    let origin = found_at.parent().map_or_else(Vec::new, |parent| parent.as_bytes().to_vec());
    let origin = [b"/", &origin[..]].concat();
    let mut paths = vec![element.as_bytes().to_vec()];
    let mut replace = |token: &str, values: &[Vec<u8>]| {
        let spellings = [format!("${{{token}}}"), format!("${token}")];
        paths = std::mem::take(&mut paths)
            .into_iter()
            .flat_map(|path| {
                let has = spellings.iter().any(|spelling| find(&path, spelling.as_bytes()).is_some());
                let values = if has { values } else { &values[..values.len().min(1)] };
                let with = |value: &Vec<u8>| spellings.iter().fold(path.clone(), |p, s| swap(&p, s.as_bytes(), value));
                values.iter().map(with).collect::<Vec<_>>()
            })
            .collect();
    };
    replace("ORIGIN", &[origin]);
    replace("LIB", &abi.lib_tokens().into_iter().map(String::into_bytes).collect::<Vec<_>>());
    replace("PLATFORM", &[abi.uname().unwrap_or_default().as_bytes().to_vec()]);
    paths.retain(|path| path.starts_with(b"/"));
    paths
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

fn swap(text: &[u8], word: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = find(rest, word) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(value);
        rest = &rest[at + word.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// The directories in `/etc/ld.so.conf`, in their order, without leading slash.
///
/// `read` returns the texts of the files that match an absolute pattern (such as `/etc/ld.so.conf.d/*.conf`), in the order of
/// their names. Only directories that stood there when the image's `ldconfig` ran are in the loader's cache: an image that
/// never ran it has none of them.
pub fn library_dirs(read: &mut dyn FnMut(&str) -> Vec<String>) -> Vec<String> {
    const NESTING: usize = 8;
    fn visit(pattern: &str, depth: usize, read: &mut dyn FnMut(&str) -> Vec<String>, dirs: &mut Vec<String>) {
        for text in read(pattern) {
            for line in text.lines() {
                let line = line.split('#').next().unwrap_or_default().trim();
                if let Some(patterns) = line.strip_prefix("include").filter(|rest| rest.starts_with([' ', '\t'])) {
                    for pattern in patterns.split_whitespace().filter(|_| depth < NESTING) {
                        // A relative one is relative to the file that includes it.
                        let pattern =
                            if pattern.starts_with('/') { pattern.to_owned() } else { format!("/etc/{pattern}") };
                        visit(&pattern, depth + 1, read, dirs);
                    }
                } else if !line.starts_with("hwcap ") {
                    let split = line.split([' ', '\t', ',', ':']).map(|dir| dir.split('=').next().unwrap_or_default());
                    dirs.extend(
                        split.filter_map(|dir| dir.strip_prefix('/')).map(|dir| dir.trim_end_matches('/').to_owned()),
                    );
                }
            }
        }
    }
    let mut dirs = Vec::new();
    visit("/etc/ld.so.conf", 0, read, &mut dirs);
    let mut seen = BTreeSet::new();
    dirs.retain(|dir| !dir.is_empty() && seen.insert(dir.clone()));
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    #[test]
    fn links_are_followed_as_the_kernel_does() {
        let mut files = Files::default();
        for (link, target) in [
            ("lib", "usr/lib"),
            ("usr/lib/libz.so.1", "libz.so.1.3"),
            ("usr/lib/abs.so", "/lib/libz.so.1"),
            ("usr/lib/up.so", "../../../../lib/libz.so.1"),
            ("usr/lib/loop.so", "loop2.so"),
            ("usr/lib/loop2.so", "loop.so"),
        ] {
            files.links.insert(path(link), target.into());
        }
        for name in ["/lib/libz.so.1", "/usr/lib/abs.so", "/lib/up.so", "/x/../lib/./libz.so.1"] {
            assert_eq!(files.follow(name.as_bytes()), Some(path("usr/lib/libz.so.1.3")), "{name}");
        }
        assert_eq!(files.follow(b"/lib/loop.so"), None);
        assert_eq!(files.follow(b"/.."), None);
    }

    #[test]
    fn tokens_stand_for_directories() {
        let of = |element| {
            let dirs = expand(element, &path("app/np/core.so"), Abi::X86_64);
            dirs.iter().map(|dir| String::from_utf8_lossy(dir).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of("$ORIGIN/../np.libs"), ["/app/np/../np.libs"]);
        assert_eq!(of("${ORIGIN}"), ["/app/np"]);
        assert_eq!(of("/opt/$LIB"), ["/opt/lib/x86_64-linux-gnu", "/opt/lib64", "/opt/lib"]);
        assert_eq!(of("/opt/${PLATFORM}/lib"), ["/opt/x86_64/lib"]);
        assert_eq!(of("lib"), Vec::<String>::new(), "relative to nobody knows where");
    }

    #[test]
    fn ld_so_conf_includes_and_comments() {
        let mut read = |pattern: &str| match pattern {
            "/etc/ld.so.conf" => vec!["include ld.so.conf.d/*.conf\n# no\n/opt/a/, /opt/b # c\n".to_owned()],
            "/etc/ld.so.conf.d/*.conf" => {
                vec!["/usr/local/lib\n".to_owned(), "/opt/a\ninclude ld.so.conf\n".to_owned()]
            }
            _ => vec![],
        };
        assert_eq!(library_dirs(&mut read), ["usr/local/lib", "opt/a", "opt/b"]);
    }
}
