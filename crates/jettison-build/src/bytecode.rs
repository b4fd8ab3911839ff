//! Bytecode: `unchecked-hash` `.pyc` files (PEP 552), made by the image's own interpreter.
//!
//! A `.pyc` depends on its source, the path of its source and the version of the interpreter, and on nothing else: not on the
//! architecture, nor on what else is compiled with it (`scripts/bytecode.py` says how). So:
//!
//! 1. A set that was compiled before is one [`Fragment`], found by its key.
//! 2. Of any other set most is in one of the last sets of the same interpreter, whichever project they were for.
//! 3. The rest is compiled by one process in the sandbox, and the whole set becomes a fragment.
//!
//! # What is not worth its place
//!
//! Two things make an image larger and a start no faster. `--trim none` keeps both.
//!
//! - The *columns* of code (PEP 657), a twentieth of all bytes and a fifth of the compressed ones. Without them (`-X no_debug_ranges`, which
//!   is there for this) tracebacks still name each file, line and function; only the marks below the lines of modules that were compiled
//!   ahead are missing, while those of the project's own files are there.
//! - The `.pyc` of a module that is *text* for the most part ([`TEXT_SHARE`]): tables, interfaces, functions of a line below a page of
//!   documentation. To read it takes about as long as to compile its source, since what costs time is code. Where all is to be
//!   compiled, it is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::PathBuf;

use jettison_engine::CacheKey;
use jettison_python::Arch;
use jettison_python::bytecode::cached_path;
use jettison_tree::{Content, Digest, Entry, Fragment, FragmentWriter, TreePath};
use serde::{Deserialize, Serialize};

use crate::error::{BuildError, Context as _};
use crate::interpreter::Interpreter;
use crate::job::{Job, Progress};
use crate::tool::{Tool, bind};

/// Changing how a source is compiled changes this, and with it the layer of every image that holds bytecode.
const GENERATION: &str = "bytecode/2";
const SCRIPT: &str = include_str!("scripts/bytecode.py");
/// Where less than one byte in so many is code, a `.pyc` is text. Of the 786 modules that pandas and FastAPI load, these are 156 with 10 % of
/// the bytes, and 6 % of the time that compiling all of them takes.
///
/// Changing this changes the layer of every image that holds bytecode.
const TEXT_SHARE: u64 = 6;
/// So many sets of an interpreter are looked through for what is wanted.
const SETS: usize = 8;
/// A `.pyc` larger than this is not ours. Bytes.
const PYC_LIMIT: u32 = 256 << 20;

/// What to compile.
pub struct Wanted<'a> {
    /// The interpreter of the image.
    pub interpreter: &'a Interpreter,
    /// Directories of a root file system, the topmost first, in which that interpreter runs here and the sources stand at
    /// their paths in the image.
    pub lower: &'a [PathBuf],
    /// The sources: their paths in the image, and the digests of what stands there.
    pub sources: Vec<(TreePath, Digest)>,
    /// Keep the columns of code.
    pub columns: bool,
    /// Keep modules that are text for the most part.
    pub text: bool,
}

/// What is kept beside the compiled modules of a set, which stand at the paths of their sources.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Facts {
    /// The digest of each source, in the order of the entries.
    sources: Vec<Digest>,
    /// How many bytes of each `.pyc` are code, in the same order.
    code: Vec<u32>,
    /// Sources that do not compile.
    broken: Vec<(TreePath, Digest)>,
}

/// A compiled set.
struct Set {
    fragment: Fragment,
    facts: Facts,
}

/// What is known of a source.
enum Known {
    /// Its `.pyc`, and how much of that is code.
    Compiled(Content, u32),
    Broken,
}

/// Each source that compiles, with its `.pyc` at the place where the interpreter looks for it: owned by root, `0644`.
/// For an image without sources the same content goes to [`sourceless_path`](jettison_python::bytecode::sourceless_path).
///
/// Sources that do not compile are left out: templates, leftovers of Python 2, tests of the parser. How many they are is logged.
pub fn compile(job: &Job<'_>, wanted: &Wanted<'_>) -> Result<Vec<(TreePath, Entry)>, BuildError> {
    let sources: BTreeMap<&TreePath, Digest> = wanted.sources.iter().map(|(path, digest)| (path, *digest)).collect();
    if sources.is_empty() {
        return Ok(Vec::new());
    }
    let key = set_key(wanted, &sources);
    let path = match job.store.fragment(&key)? {
        Some(path) => path,
        None => {
            let progress = job.begin("compile modules");
            let mut sets = LastSets::read(job, wanted)?;
            let known = sets.find(job, &sources)?;
            let missing: Vec<_> = sources.keys().copied().filter(|path| !known.contains_key(path)).collect();
            progress.log(format!("{} of {} modules are compiled already", known.len(), sources.len()));
            let path = job.store.fragment_or::<BuildError>(&key, |file| {
                let mut writer = SetWriter { file: FragmentWriter::new(file), facts: Facts::default() };
                for (path, state) in &known {
                    match state {
                        Known::Compiled(pyc, code) => writer.add(path, sources[path], pyc.reader(), *code)?,
                        Known::Broken => writer.facts.broken.push(((*path).clone(), sources[path])),
                    }
                }
                run(job, wanted, &missing, &sources, &mut writer, &progress)?;
                if !writer.facts.broken.is_empty() {
                    progress.log(format!(
                        "{} files are no Python that this interpreter compiles",
                        writer.facts.broken.len()
                    ));
                }
                writer.finish()
            })?;
            sets.add(job, key)?;
            path
        }
    };
    let set = Set::open(&path)?;
    let target = wanted.interpreter.target(Arch::X86_64);
    let entry = |(entry, code): (&Entry, &u32)| {
        let content = entry.content()?.clone();
        let is_text = u64::from(*code) * TEXT_SHARE < content.len();
        (wanted.text || !is_text).then_some(())?;
        Some((entry.path.clone(), Entry::file(cached_path(&entry.path, &target)?, content, false)))
    };
    let mut entries: Vec<_> = set.fragment.entries().iter().zip(&set.facts.code).filter_map(entry).collect();
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(entries)
}

/// The key of a set. What is left out on purpose: the architecture, the files beside the sources, and whether text is wanted, since a set
/// has all of it.
fn set_key(wanted: &Wanted<'_>, sources: &BTreeMap<&TreePath, Digest>) -> CacheKey {
    let mut key = CacheKey::builder(GENERATION)
        .field("python", wanted.interpreter.version.to_string())
        .field("columns", wanted.columns.to_string());
    for (path, digest) in sources {
        key = key.field("path", path.as_bytes()).digest("source", *digest);
    }
    key.finish()
}

/// The sets that were compiled last for an interpreter, all with columns or all without.
struct LastSets {
    /// Where the list is kept.
    key: CacheKey,
    sets: Vec<CacheKey>,
}

impl LastSets {
    fn read(job: &Job<'_>, wanted: &Wanted<'_>) -> Result<Self, BuildError> {
        let key = CacheKey::builder("bytecode/last sets/1").field("of", GENERATION);
        let key = key.field("python", wanted.interpreter.version.to_string());
        let key = key.field("columns", wanted.columns.to_string()).finish();
        Ok(Self { sets: job.store.memo_get(&key)?.unwrap_or_default(), key })
    }

    /// What the sets hold of `sources`.
    fn find<'a>(
        &self,
        job: &Job<'_>,
        sources: &BTreeMap<&'a TreePath, Digest>,
    ) -> Result<BTreeMap<&'a TreePath, Known>, BuildError> {
        let mut known = BTreeMap::new();
        for key in &self.sets {
            if known.len() == sources.len() {
                break;
            }
            // A set may have been pruned.
            let Some(path) = job.store.fragment(key)? else { continue };
            let set = Set::open(&path)?;
            let mut note = |path: &TreePath, digest: Digest, state: Known| {
                if let Some((&path, _)) = sources.get_key_value(path).filter(|(_, wanted)| **wanted == digest) {
                    known.entry(path).or_insert(state);
                }
            };
            let sources = set.facts.sources.iter().zip(&set.facts.code);
            for (entry, (digest, code)) in set.fragment.entries().iter().zip(sources) {
                if let Some(content) = entry.content() {
                    note(&entry.path, *digest, Known::Compiled(content.clone(), *code));
                }
            }
            for (path, digest) in &set.facts.broken {
                note(path, *digest, Known::Broken);
            }
        }
        Ok(known)
    }

    /// Puts a set at the head of the list. When another process does so at the same time one of the two is forgotten, which
    /// costs time at worst.
    fn add(&mut self, job: &Job<'_>, set: CacheKey) -> Result<(), BuildError> {
        self.sets.retain(|other| *other != set);
        self.sets.insert(0, set);
        self.sets.truncate(SETS);
        Ok(job.store.memo_put(&self.key, &self.sets, &[])?)
    }
}

impl Set {
    fn open(path: &std::path::Path) -> Result<Self, BuildError> {
        let open = || -> Result<Self, BuildError> {
            let fragment = Fragment::open(path).map_err(|error| BuildError::new(error.to_string()))?;
            let facts = Facts::deserialize(fragment.meta())?;
            Ok(Self { fragment, facts })
        };
        open().context(path.display())
    }
}

struct SetWriter<'a> {
    file: FragmentWriter<&'a mut File>,
    facts: Facts,
}

impl SetWriter<'_> {
    fn add(&mut self, source: &TreePath, digest: Digest, pyc: impl Read, code: u32) -> Result<(), BuildError> {
        self.file.push_stream(source.clone(), 0o644, pyc)?;
        self.facts.sources.push(digest);
        self.facts.code.push(code);
        Ok(())
    }

    fn finish(self) -> Result<(), BuildError> {
        self.file.finish(serde_json::to_value(self.facts)?)?;
        Ok(())
    }
}

/// Compiles `missing`. A source on which the interpreter itself dies counts as one that does not compile, and a new process goes on
/// with the next.
fn run(
    job: &Job<'_>,
    wanted: &Wanted<'_>,
    mut missing: &[&TreePath],
    digests: &BTreeMap<&TreePath, Digest>,
    writer: &mut SetWriter<'_>,
    progress: &Progress<'_>,
) -> Result<(), BuildError> {
    while !missing.is_empty() {
        let scratch = job.store.scratch()?;
        let words = |path: &TreePath| [b"/", path.as_bytes(), b"\0", digests[path].hex().as_bytes(), b"\0"].concat();
        let list: Vec<u8> = missing.iter().flat_map(|path| words(path)).collect();
        fs::write(scratch.path().join("sources"), list)?;
        fs::write(scratch.path().join("compile.py"), SCRIPT)?;
        let word = |word: &str| word.to_owned();
        let tool = Tool {
            lower: wanted.lower.to_vec(),
            upper: None,
            // Without `site`: nothing of the image but the standard library is run.
            argv: [&*wanted.interpreter.executable, "-S", "-s", "-B"]
                .into_iter()
                // Up to 3.10 there are none, and this means nothing.
                .chain(if wanted.columns { &[][..] } else { &["-X", "no_debug_ranges"] }.iter().copied())
                .chain(["/.jettison/compile.py"])
                .chain(["/.jettison/sources", "/.jettison/compiled"])
                .map(word)
                .collect(),
            env: vec![(word("PYTHONHASHSEED"), word("0")), (word("LANG"), word("C.UTF-8"))],
            cwd: PathBuf::from("/"),
            mounts: vec![bind(scratch.path(), "/.jettison", false)],
            network: false,
            quiet: false,
        };
        let done = tool.run(|line| progress.log(line))?;
        let compiled = match File::open(scratch.path().join("compiled")) {
            Ok(file) => file,
            Err(_) => return Err(not_running(wanted.interpreter, &done.output)),
        };
        let mut compiled = Records::new(compiled).ok_or_else(|| not_running(wanted.interpreter, &done.output))?;
        while let Some((path, rest)) = missing.split_first() {
            match compiled.next()? {
                Some(Record::Compiled(pyc, code)) => writer.add(path, digests[path], &*pyc, code)?,
                Some(Record::Broken) => writer.facts.broken.push(((*path).clone(), digests[path])),
                Some(Record::Another) => {
                    let said = format!("`/{path}` is not the same in the sandbox as in the image");
                    return Err(BuildError::new(said).hint("`--bytecode none` builds without compiling it"));
                }
                None if done.status.success() => return Err(not_running(wanted.interpreter, &done.output)),
                None => {
                    writer.facts.broken.push(((*path).clone(), digests[path]));
                    missing = rest;
                    break;
                }
            }
            missing = rest;
        }
    }
    Ok(())
}

fn not_running(interpreter: &Interpreter, output: &str) -> BuildError {
    let error =
        BuildError::new(format!("`{}` does not run in the sandbox:\n{}", interpreter.executable, output.trim_end()));
    error.hint("`--bytecode none` builds without running it")
}

/// What `scripts/bytecode.py` says of a source.
#[derive(Debug, PartialEq, Eq)]
enum Record {
    /// Its `.pyc`, and how many bytes of that are code.
    Compiled(Vec<u8>, u32),
    /// It does not compile.
    Broken,
    /// It is not there, or is not the source that was meant.
    Another,
}

/// What `scripts/bytecode.py` writes.
struct Records<R> {
    input: BufReader<R>,
}

impl<R: Read> Records<R> {
    /// `None` where the script did not get as far as its first byte.
    fn new(input: R) -> Option<Self> {
        let mut input = BufReader::with_capacity(256 * 1024, input);
        let mut first = [0];
        input.read_exact(&mut first).ok()?;
        (first == *b"\n").then_some(Self { input })
    }

    /// The next record; `None` at the end, and where a record was cut short.
    fn next(&mut self) -> Result<Option<Record>, BuildError> {
        let mut len = [0; 4];
        if self.input.read_exact(&mut len).is_err() {
            return Ok(None);
        }
        let len = match u32::from_le_bytes(len) {
            0 => return Ok(Some(Record::Broken)),
            u32::MAX => return Ok(Some(Record::Another)),
            len if len > PYC_LIMIT => {
                return Err(BuildError::new(format!("the interpreter made a module of {len} bytes")));
            }
            len => len,
        };
        let mut code = [0; 4];
        if self.input.read_exact(&mut code).is_err() {
            return Ok(None);
        }
        let mut pyc = Vec::new();
        let read = self.input.by_ref().take(len.into()).read_to_end(&mut pyc)?;
        Ok((read == len as usize).then_some(Record::Compiled(pyc, u32::from_le_bytes(code))))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn records_end_where_they_were_cut() {
        let read = |bytes: &[u8]| {
            let mut records = Records::new(bytes)?;
            Some(std::iter::from_fn(|| records.next().unwrap()).collect::<Vec<_>>())
        };
        let pyc = |bytes: &[u8], code| Record::Compiled(bytes.to_vec(), code);
        let all = read(b"\n\x02\0\0\0\x01\0\0\0ab\0\0\0\0\xff\xff\xff\xff\x01\0\0\0\0\0\0\0c").unwrap();
        assert_eq!(all, [pyc(b"ab", 1), Record::Broken, Record::Another, pyc(b"c", 0)]);
        assert_eq!(read(b"\n\x02\0\0\0\x01\0\0\0ab\x03\0\0\0\0\0\0\0c").unwrap(), [pyc(b"ab", 1)]);
        assert_eq!(read(b"\n\x02\0\0\0\x01\0").unwrap(), []);
        assert_eq!(read(b"\n\x02\0").unwrap(), []);
        assert!(read(b"").is_none() && read(b"x").is_none());
        assert!(Records::new(&b"\n\xfe\xff\xff\xff"[..]).unwrap().next().is_err());
    }

    #[test]
    fn a_set_is_known_by_version_paths_and_contents() {
        let interpreter = |version: &str| Interpreter::debian(version.parse().unwrap(), (2, 41)).unwrap();
        let path = |path: &str| TreePath::parse(path).unwrap();
        let (a, b) = (path("a.py"), path("b.py"));
        let key_of = |version: &str, columns, sources: &[(&TreePath, &str)]| {
            let sources = sources.iter().map(|(path, text)| (*path, Digest::of(text.as_bytes()))).collect();
            let interpreter = &interpreter(version);
            set_key(&Wanted { interpreter, lower: &[], sources: Vec::new(), columns, text: false }, &sources)
        };
        let key = |version: &str, sources: &[(&TreePath, &str)]| key_of(version, false, sources);
        let keys = [
            key("3.13.5", &[(&a, "1")]),
            key_of("3.13.5", true, &[(&a, "1")]),
            key("3.13.6", &[(&a, "1")]),
            key("3.13.5", &[(&a, "2")]),
            key("3.13.5", &[(&b, "1")]),
            key("3.13.5", &[(&a, "1"), (&b, "1")]),
        ];
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
        assert_eq!(key("3.13.5", &[(&b, "2"), (&a, "1")]), key("3.13.5", &[(&a, "1"), (&b, "2")]));
    }
}
