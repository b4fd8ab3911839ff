//! How long a build context takes to be looked through: `cargo run --release -p jettison-build --example context -- DIRECTORY`.
//!
//! The first pass reads and hashes every file, the others go by what `lstat` says.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use jettison_build::dockerfile::context::directory::DirectoryContext;
use jettison_build::dockerfile::context::ignore::IgnoreRules;
use jettison_build::dockerfile::context::tree::{Empty, FileTree};
use jettison_build::dockerfile::copy::{Request, Source, select};
use jettison_engine::store::Store;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).ok_or("pass a directory")?;
    let root = Path::new(&directory).canonicalize()?;
    let tmp = tempfile::tempdir()?;
    let store = Arc::new(Store::open(tmp.path())?);
    let sources = vec![Source::Path(".".to_owned())];
    let request = Request { sources, destination: "/app".to_owned(), ..Request::default() };
    for pass in ["first", "second", "third", "fourth"] {
        let start = Instant::now();
        let rules = IgnoreRules::of_directory(&root, None)?;
        let context = DirectoryContext::new(&root, rules, Arc::clone(&store));
        let listed = context.walk(b"", &|_| true)?.len();
        let walked = start.elapsed();
        let selection = select(&context, "the build context", &request)?;
        let selected = start.elapsed() - walked;
        let entries = selection.place(&request, &Empty, tmp.path())?.entries.len();
        let placed = start.elapsed() - walked - selected;
        let bytes = selection.bytes() / 1_000_000;
        println!(
            "{pass}: {listed} paths, {bytes} MB: a walk {walked:.1?}, walk and selection {selected:.1?}, {entries} entries {placed:.1?}"
        );
    }
    Ok(())
}
