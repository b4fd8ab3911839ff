//! Modules of the standard library that an image has only where some source names them.
//!
//! The base layer, the same for every project, does not hold them. Each file of the project and of its distributions is searched for
//! their names as they are unpacked: as a word anywhere in a `.py`, so that a string or a comment counts too and an import cannot be
//! missed but by building its name at run time. What is named goes, with what it needs itself, into the layer above the base.

use std::collections::BTreeSet;

use jettison_tree::TreePath;

/// A module and what belongs to it.
struct Optional {
    name: &'static str,
    /// Words that stand for it.
    words: &'static [&'static str],
    /// Its files, relative to `lib/python3.X/`: a directory ends in `/`, anything else is the start of a path.
    files: &'static [&'static str],
    /// Others of this list that it imports.
    needs: &'static [&'static str],
}

const MODULES: [Optional; 11] = [
    Optional { name: "_pydatetime", words: &["_pydatetime"], files: &["_pydatetime.py"], needs: &[] },
    Optional { name: "_pydecimal", words: &["_pydecimal"], files: &["_pydecimal.py"], needs: &[] },
    Optional { name: "_pyio", words: &["_pyio"], files: &["_pyio.py"], needs: &[] },
    Optional { name: "curses", words: &["curses"], files: &["curses/"], needs: &[] },
    Optional { name: "doctest", words: &["doctest"], files: &["doctest.py"], needs: &["unittest"] },
    Optional { name: "mailbox", words: &["mailbox"], files: &["mailbox.py"], needs: &[] },
    Optional { name: "pickletools", words: &["pickletools"], files: &["pickletools.py"], needs: &[] },
    Optional { name: "pydoc", words: &["pydoc"], files: &["pydoc.py"], needs: &[] },
    Optional {
        name: "sqlite3",
        words: &["sqlite3", "dbm", "shelve"],
        files: &["sqlite3/", "lib-dynload/_sqlite3."],
        needs: &[],
    },
    Optional { name: "unittest", words: &["unittest"], files: &["unittest/"], needs: &[] },
    Optional { name: "xmlrpc", words: &["xmlrpc"], files: &["xmlrpc/"], needs: &["pydoc"] },
];

/// Why they are left out, as the report says it.
pub const REASON: &str = "modules of the standard library that no source names";

/// The module that a file of the standard library belongs to; `path` is relative to `lib/python3.X/`.
pub fn module_of(path: &TreePath, stdlib: &TreePath) -> Option<&'static str> {
    let relative = path.strip_prefix(stdlib.as_bytes())?;
    let relative = relative.as_str()?;
    MODULES.iter().find(|module| module.files.iter().any(|file| relative.starts_with(file))).map(|module| module.name)
}

/// Adds the modules that a source names to `named`.
pub fn note(source: &[u8], named: &mut BTreeSet<String>) {
    for module in &MODULES {
        if !named.contains(module.name) && module.words.iter().any(|word| has_word(source, word.as_bytes())) {
            named.insert(module.name.to_owned());
        }
    }
}

/// `named`, and what those need in turn.
pub fn closure<'a>(named: impl IntoIterator<Item = &'a String>) -> BTreeSet<&'static str> {
    let mut open: Vec<&str> = named.into_iter().map(String::as_str).collect();
    let mut closed = BTreeSet::new();
    while let Some(name) = open.pop() {
        if let Some(module) = MODULES.iter().find(|module| module.name == name)
            && closed.insert(module.name)
        {
            open.extend(module.needs);
        }
    }
    closed
}

fn has_word(text: &[u8], word: &[u8]) -> bool {
    let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    memchr::memmem::find_iter(text, word).any(|at| {
        !is_part(at.checked_sub(1).and_then(|before| text.get(before))) && !is_part(text.get(at + word.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_named_by_a_whole_word_anywhere() {
        let named = |source: &str| {
            let mut named = BTreeSet::new();
            note(source.as_bytes(), &mut named);
            closure(&named).into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(named("import sqlite3"), "sqlite3");
        assert_eq!(named("'django.db.backends.sqlite3'"), "sqlite3");
        assert_eq!(named("shelve.open(x)"), "sqlite3");
        assert_eq!(named("# doctest: +SKIP"), "doctest unittest");
        assert_eq!(named("my_sqlite3 = mailboxes"), "");
        assert_eq!(named("from xmlrpc.server import x"), "pydoc xmlrpc");
    }

    #[test]
    fn files_belong_to_their_module() {
        let of = |path: &str| {
            let path = TreePath::parse(format!("usr/lib/python3.13/{path}")).unwrap();
            module_of(&path, &TreePath::parse("usr/lib/python3.13").unwrap())
        };
        assert_eq!(of("sqlite3/__init__.py"), Some("sqlite3"));
        assert_eq!(of("lib-dynload/_sqlite3.cpython-313-x86_64-linux-gnu.so"), Some("sqlite3"));
        assert_eq!(of("datetime.py"), None);
    }
}
