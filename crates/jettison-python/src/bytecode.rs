//! Where compiled modules stand.

use jettison_tree::TreePath;

use crate::tags::Target;

/// The path at which the target's interpreter looks for the bytecode of a module: `a/x.py` →
/// `a/__pycache__/x.cpython-313.pyc` (PEP 3147). `None` for what is not a Python source file.
pub fn cached_path(source: &TreePath, target: &Target) -> Option<TreePath> {
    let stem = source.file_name().strip_suffix(b".py").filter(|stem| !stem.is_empty())?;
    let directory = &source.as_bytes()[..source.as_bytes().len() - source.file_name().len()];
    let cached = [directory, b"__pycache__/", stem, b".", target.cache_tag().as_bytes(), b".pyc"].concat();
    TreePath::parse(cached).ok()
}

/// The path of the same module in an image that holds bytecode only: `a/x.py` → `a/x.pyc`.
pub fn sourceless_path(source: &TreePath) -> Option<TreePath> {
    source.file_name().strip_suffix(b".py").filter(|stem| !stem.is_empty())?;
    TreePath::parse([source.as_bytes(), b"c"].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tags::{Arch, Libc};

    #[test]
    fn bytecode_stands_in_the_cache_of_its_directory() {
        let target = Target::new("3.13.5".parse().unwrap(), Arch::X86_64, Libc::Glibc { major: 2, minor: 41 });
        let cached = |path: &str| cached_path(&TreePath::parse(path).unwrap(), &target).map(|path| path.to_string());
        assert_eq!(cached("a/b/__init__.py").as_deref(), Some("a/b/__pycache__/__init__.cpython-313.pyc"));
        assert_eq!(cached("x.py").as_deref(), Some("__pycache__/x.cpython-313.pyc"));
        assert_eq!(cached("x.pyi").or(cached("a/.py")).or(cached("py")), None);
        assert_eq!(sourceless_path(&TreePath::parse("a/x.py").unwrap()).unwrap().to_string(), "a/x.pyc");
    }
}
