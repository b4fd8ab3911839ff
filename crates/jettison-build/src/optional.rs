//! Modules of the standard library that an image has only where something names them.
//!
//! The base layer, the same for every project, does not hold them. Each file of the project and of its distributions is searched for
//! their names as they are unpacked, so that an import cannot be missed but by building its name at run time:
//!
//! - a `.py` for each name as a word anywhere, so that a string or a comment counts too ([`note`]);
//! - an ELF file for each name as a string of C; and for a long name within other text too, since the strings of Rust have no
//!   end of their own ([`note_object`]).
//!
//! What is named goes, with what it needs itself, into the layer above the base. A module is in this list when no other of the standard
//! library imports it but those that name it in `needs`, and when no program reaches it by data alone, as codecs are reached by the
//! name of an encoding, `ftplib` by an URL and `smtplib` by a logging configuration.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
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

/// A module that is one file, that its own name stands for, and that needs nothing of this list.
const fn leaf(name: &'static [&'static str; 1], file: &'static [&'static str; 1]) -> Optional {
    Optional { name: name[0], words: name, files: file, needs: &[] }
}

/// Changing this changes the layers of images, and what is kept of parts: their keys say the generation.
const MODULES: [Optional; 43] = [
    leaf(&["_osx_support"], &["_osx_support.py"]),
    leaf(&["_pydatetime"], &["_pydatetime.py"]),
    leaf(&["_pydecimal"], &["_pydecimal.py"]),
    leaf(&["_pyio"], &["_pyio.py"]),
    // All three are gone since 3.12.
    Optional {
        name: "asyncore",
        words: &["asyncore", "asynchat", "smtpd"],
        files: &["asyncore.py", "asynchat.py", "smtpd.py"],
        needs: &[],
    },
    Optional { name: "cProfile", words: &["cProfile"], files: &["cProfile.py"], needs: &["optparse", "profile"] },
    Optional {
        name: "compileall",
        words: &["compileall"],
        files: &["compileall.py"],
        needs: &["filecmp", "multiprocessing"],
    },
    leaf(&["curses"], &["curses/"]),
    Optional { name: "dbm", words: &["dbm", "shelve"], files: &["dbm/", "shelve.py"], needs: &["sqlite3"] },
    // `argparse` imports it for those suggestions.
    Optional { name: "difflib", words: &["difflib", "suggest_on_error"], files: &["difflib.py"], needs: &[] },
    Optional { name: "doctest", words: &["doctest"], files: &["doctest.py"], needs: &["difflib", "pdb", "unittest"] },
    leaf(&["filecmp"], &["filecmp.py"]),
    leaf(&["fileinput"], &["fileinput.py"]),
    leaf(&["fractions"], &["fractions.py"]),
    leaf(&["imaplib"], &["imaplib.py"]),
    leaf(&["mailbox"], &["mailbox.py"]),
    leaf(&["modulefinder"], &["modulefinder.py"]),
    Optional {
        name: "multiprocessing",
        // `concurrent.futures` imports it when somebody asks for that part, and the configuration of logging for queues of other kinds.
        words: &["multiprocessing", "ProcessPoolExecutor", "futures.process", "futures import *", "QueueHandler"],
        files: &["multiprocessing/"],
        needs: &[],
    },
    leaf(&["nntplib"], &["nntplib.py"]),
    leaf(&["optparse"], &["optparse.py"]),
    // The built-in `breakpoint` imports it.
    Optional { name: "pdb", words: &["pdb", "bdb", "breakpoint"], files: &["pdb.py", "bdb.py"], needs: &[] },
    leaf(&["pickletools"], &["pickletools.py"]),
    leaf(&["plistlib"], &["plistlib.py"]),
    leaf(&["poplib"], &["poplib.py"]),
    Optional { name: "profile", words: &["profile"], files: &["profile.py"], needs: &["pstats"] },
    leaf(&["pstats"], &["pstats.py"]),
    leaf(&["pyclbr"], &["pyclbr.py"]),
    Optional { name: "pydoc", words: &["pydoc"], files: &["pydoc.py"], needs: &["webbrowser"] },
    Optional { name: "sqlite3", words: &["sqlite3"], files: &["sqlite3/", "lib-dynload/_sqlite3."], needs: &[] },
    Optional { name: "statistics", words: &["statistics"], files: &["statistics.py"], needs: &["fractions"] },
    leaf(&["symtable"], &["symtable.py"]),
    leaf(&["tabnanny"], &["tabnanny.py"]),
    leaf(&["telnetlib"], &["telnetlib.py"]),
    leaf(&["timeit"], &["timeit.py"]),
    leaf(&["tomllib"], &["tomllib/"]),
    leaf(&["trace"], &["trace.py"]),
    Optional { name: "unittest", words: &["unittest"], files: &["unittest/"], needs: &["difflib"] },
    leaf(&["venv"], &["venv/"]),
    leaf(&["wave"], &["wave.py"]),
    Optional {
        name: "webbrowser",
        words: &["webbrowser", "antigravity"],
        files: &["webbrowser.py", "antigravity.py"],
        needs: &[],
    },
    leaf(&["wsgiref"], &["wsgiref/"]),
    leaf(&["zipapp"], &["zipapp.py"]),
    Optional { name: "xmlrpc", words: &["xmlrpc"], files: &["xmlrpc/"], needs: &["pydoc"] },
];

/// Why they are left out, as the report says it.
pub const REASON: &str = "modules of the standard library that no source names";

/// A word of at least so many letters is found within other text of an ELF file; a shorter one would be found by chance.
const LONG: usize = 6;

/// Finds the words; of each, its length and the module that it stands for.
struct Words {
    searcher: AhoCorasick,
    words: Vec<(usize, &'static str)>,
}

static WORDS: LazyLock<Option<Words>> = LazyLock::new(|| {
    let words = || MODULES.iter().flat_map(|module| module.words.iter().map(|word| (*word, module.name)));
    let searcher = AhoCorasick::new(words().map(|(word, _)| word)).ok()?;
    Some(Words { searcher, words: words().map(|(word, name)| (word.len(), name)).collect() })
});

/// The module that a file of the standard library belongs to; `path` is relative to `lib/python3.X/`.
pub fn module_of(path: &TreePath, stdlib: &TreePath) -> Option<&'static str> {
    let relative = path.strip_prefix(stdlib.as_bytes())?;
    let relative = relative.as_str()?;
    MODULES.iter().find(|module| module.files.iter().any(|file| relative.starts_with(file))).map(|module| module.name)
}

/// Adds the modules that a source names to `named`.
pub fn note(source: &[u8], named: &mut BTreeSet<String>) {
    search(source, named, |_| false);
}

/// Adds the modules that a compiled program or library names to `named`.
pub fn note_object(object: &[u8], named: &mut BTreeSet<String>) {
    search(object, named, |letters| letters >= LONG);
}

/// Where `within` is false for the number of its letters, a word has to stand by itself.
fn search(text: &[u8], named: &mut BTreeSet<String>, within: impl Fn(usize) -> bool) {
    let Some(Words { searcher, words }) = &*WORDS else { return };
    for found in searcher.find_iter(text) {
        let Some(&(letters, module)) = words.get(found.pattern().as_usize()) else { continue };
        if named.contains(module) {
            continue;
        }
        let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let before = found.start().checked_sub(1).and_then(|before| text.get(before));
        if within(letters) || !is_part(before) && !is_part(text.get(found.end())) {
            named.insert(module.to_owned());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn words(search: impl Fn(&mut BTreeSet<String>)) -> String {
        let mut named = BTreeSet::new();
        search(&mut named);
        closure(&named).into_iter().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_module_is_named_by_a_whole_word_anywhere() {
        let named = |source: &str| words(|named| note(source.as_bytes(), named));
        assert_eq!(named("import sqlite3"), "sqlite3");
        assert_eq!(named("'django.db.backends.sqlite3'"), "sqlite3");
        assert_eq!(named("shelve.open(x)"), "dbm sqlite3");
        assert_eq!(named("# unittest: x"), "difflib unittest");
        assert_eq!(named("my_sqlite3 = mailboxes; retrace, tracemalloc"), "");
        assert_eq!(named("from xmlrpc.server import x"), "pydoc webbrowser xmlrpc");
        assert_eq!(named("breakpoint()"), "pdb");
        assert_eq!(named("import cProfile"), "cProfile optparse profile pstats");
    }

    #[test]
    fn a_compiled_module_names_others_in_its_strings() {
        let named = |object: &[u8]| words(|named| note_object(object, named));
        assert_eq!(named(b"\0fractions\0Fraction\0"), "fractions");
        assert_eq!(named(b"Fractionfractionsdecimal"), "fractions");
        assert_eq!(named(b"\x01dbm\xff \0pdb_x"), "dbm sqlite3");
        assert_eq!(named(b"\x01adbm0\0"), "");
    }

    #[test]
    fn the_list_holds_together() {
        let names: BTreeSet<&str> = MODULES.iter().map(|module| module.name).collect();
        assert_eq!(names.len(), MODULES.len());
        assert!(MODULES.iter().flat_map(|module| module.needs).all(|need| names.contains(need)));
        assert!(WORDS.is_some());
    }

    #[test]
    fn files_belong_to_their_module() {
        let of = |path: &str| {
            let path = TreePath::parse(format!("usr/lib/python3.13/{path}")).unwrap();
            module_of(&path, &TreePath::parse("usr/lib/python3.13").unwrap())
        };
        assert_eq!(of("sqlite3/__init__.py"), Some("sqlite3"));
        assert_eq!(of("lib-dynload/_sqlite3.cpython-313-x86_64-linux-gnu.so"), Some("sqlite3"));
        assert_eq!(of("profile.py"), Some("profile"));
        assert_eq!(of("tracemalloc.py").or(of("datetime.py")), None);
    }
}
