//! Shared libraries that source code loads by name: no ELF file says that they are needed.

use super::{CommandError, SourceTree};
use crate::place::Place;
use crate::syntax::{Expr, Module};

/// A shared library that is loaded by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedLibrary {
    /// The name: a soname such as `libmagic.so.1`, or what `find_library` takes, such as `magic`.
    pub name: String,
    /// Whether it is a file name rather than what follows `-l`.
    pub is_soname: bool,
    /// Where.
    pub place: Place,
}

/// The functions that load a library, and whether they take a file name.
const LOADERS: [(&str, bool); 10] = [
    ("ctypes.util.find_library", false),
    ("ctypes.CDLL", true),
    ("ctypes.PyDLL", true),
    ("ctypes.cdll.LoadLibrary", true),
    ("ctypes.CDLL.LoadLibrary", true),
    ("ctypes.pydll.LoadLibrary", true),
    ("cffi.FFI.dlopen", true),
    ("ffi.dlopen", true),
    ("numpy.ctypeslib.load_library", true),
    ("util.find_library", false),
];

/// The libraries that one file loads by literal names; those with a path of their own are left out.
pub fn of_source(file: &str, text: &str) -> Vec<LoadedLibrary> {
    if !["find_library", "CDLL", "PyDLL", "LoadLibrary", "dlopen", "load_library"]
        .iter()
        .any(|word| text.contains(word))
    {
        return Vec::new();
    }
    let module = Module::parse(text);
    let mut libraries = Vec::new();
    for call in &module.calls {
        let Some((_, is_soname)) = LOADERS.iter().find(|(loader, _)| *loader == call.callee) else { continue };
        let argument = call.arguments.first().or_else(|| call.keyword("name")).map(|argument| module.literal(argument));
        let Some(Expr::Str(name)) = argument else { continue };
        let is_elsewhere = name.contains('/') || [".dll", ".dylib", ".pyd"].iter().any(|end| name.ends_with(end));
        if name.is_empty() || is_elsewhere || (*is_soname && !name.contains(".so")) {
            continue;
        }
        let place = Place { file: file.to_owned(), line: call.line, column: call.column };
        libraries.push(LoadedLibrary { name: name.clone(), is_soname: *is_soname, place });
    }
    libraries
}

/// The libraries that the files of a project load.
pub fn of_tree(source: &dyn SourceTree) -> Result<Vec<LoadedLibrary>, CommandError> {
    let mut libraries = Vec::new();
    for path in source.files().iter().filter(|path| path.ends_with(".py")) {
        let bytes = source.read(path).map_err(|source| CommandError::Io { path: path.clone(), source })?;
        libraries.extend(of_source(path, &String::from_utf8_lossy(&bytes)));
    }
    Ok(libraries)
}
