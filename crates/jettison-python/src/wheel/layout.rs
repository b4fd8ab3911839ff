//! Where the parts of a wheel go.

use jettison_tree::{PathError, TreePath};

/// The directories of an installation, in the image (binary distribution format, "The .data directory"; `sysconfig` schemes).
/// Pure and platform-specific modules share one directory, as they do in every scheme of Linux.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallLayout {
    /// `purelib` and `platlib`.
    pub site_packages: TreePath,
    /// `scripts`.
    pub scripts: TreePath,
    /// `headers`; each distribution gets a directory below it.
    pub headers: TreePath,
    /// `data`: the prefix.
    pub data: TreePath,
    /// The interpreter's absolute path in the image, for the first line of scripts.
    pub python: String,
}

impl InstallLayout {
    /// The `posix_prefix` scheme: `prefix/lib/python3.13/site-packages`, `prefix/bin` and so on.
    pub fn posix_prefix(prefix: &str, python_minor: (u64, u64), python: &str) -> Result<Self, PathError> {
        let (major, minor) = python_minor;
        let data = TreePath::parse(prefix)?;
        Ok(Self {
            site_packages: data.join(format!("lib/python{major}.{minor}/site-packages"))?,
            scripts: data.join("bin")?,
            headers: data.join(format!("include/site/python{major}.{minor}"))?,
            data,
            python: python.to_owned(),
        })
    }

    /// How `RECORD` spells an installed path: relative to the directory that holds the `.dist-info` directory.
    pub(super) fn record_path(&self, path: &TreePath) -> String {
        let text = |path: &TreePath| String::from_utf8_lossy(path.as_bytes()).into_owned();
        if let Some(inside) = path.strip_prefix(self.site_packages.as_bytes()) {
            return text(&inside);
        }
        let (from, to) = (text(&self.site_packages), text(path));
        let (from, to): (Vec<_>, Vec<_>) = (from.split('/').collect(), to.split('/').collect());
        let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        let up = std::iter::repeat_n("..", from.len() - shared);
        up.chain(to[shared..].iter().copied()).collect::<Vec<_>>().join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_paths_are_relative_to_site_packages() {
        let layout = InstallLayout::posix_prefix("/usr/local", (3, 13), "/usr/bin/python3.13").unwrap();
        for (path, relative) in [
            ("usr/local/lib/python3.13/site-packages/a/b.py", "a/b.py"),
            ("usr/local/bin/x", "../../../bin/x"),
            ("usr/local/lib/python3.13/site-packages-x/y", "../site-packages-x/y"),
            ("etc/x", "../../../../../etc/x"),
        ] {
            assert_eq!(layout.record_path(&TreePath::parse(path).unwrap()), relative);
        }
    }
}
