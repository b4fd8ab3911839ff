//! How long a layer takes when one of its files changed: writes 16,000 files of 400 MB twice, the second time with the members
//! of the first, and says what each stage costs.
//!
//! ```text
//! cargo run --release -p jettison-oci --example rewrite_layer -- DIRECTORY
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Read as _, Write as _};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use jettison_oci::layer::{ChangesetWriter, Compression, LayerOptions, Member, MemberCache, WrittenChangeset};
use jettison_tree::{Content, Digest, Entry, Hasher, TreePath};

const FILES: usize = 16_000;
const BYTES: usize = 25_000;

/// Members in a file.
struct Earlier {
    blob: File,
    members: HashMap<Digest, Member>,
}

impl MemberCache for Earlier {
    fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        let member = self.members.get(key)?;
        let mut bytes = vec![0; usize::try_from(member.len).ok()?];
        self.blob.read_exact_at(&mut bytes, member.offset).ok()?;
        Some(bytes)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).ok_or("name a directory to work in")?;
    let directory = Path::new(&directory);
    let files = directory.join("files");
    if !files.exists() {
        make_files(&files)?;
    }
    let threads = std::thread::available_parallelism()?;
    let time = |what: &str, bytes: usize, work: &mut dyn FnMut() -> Result<(), Box<dyn Error>>| {
        let (start, before) = (Instant::now(), cpu_seconds()?);
        work()?;
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds()? - before);
        println!("{what:<28} {seconds:6.2} s  {cpu:6.2} s of CPU  {:6.0} MB per CPU-s", bytes as f64 / 1e6 / cpu);
        Ok::<_, Box<dyn Error>>(())
    };
    let buffer = vec![7; 400_000_000];
    time("SHA-256 of 400 MB in memory", buffer.len(), &mut || {
        Hasher::new().update(std::hint::black_box(&buffer));
        Ok(())
    })?;
    drop(buffer);
    let mut entries = Vec::new();
    time("digests of the files", FILES * BYTES, &mut || {
        entries = scan(&files)?;
        Ok(())
    })?;
    let mut first = None;
    time("first layer", FILES * BYTES, &mut || {
        first = Some(write(&entries, &directory.join("1"), threads, None)?);
        Ok(())
    })?;
    let first = first.ok_or("no layer")?;
    println!("  {} members, {} MB", first.members.len(), first.blob.compressed_bytes / 1_000_000);
    let members = first.members.iter().map(|member| (member.key, *member)).collect();
    let earlier: Arc<dyn MemberCache> = Arc::new(Earlier { blob: File::open(directory.join("1"))?, members });
    entries[FILES / 2] = Entry::file(entries[FILES / 2].path.clone(), Content::from_bytes(*b"changed\n"), false);
    for _ in 0..3 {
        let earlier = Some(Arc::clone(&earlier));
        time("one file changed", FILES * BYTES, &mut || {
            write(&entries, &directory.join("2"), threads, earlier.clone()).map(drop)
        })?;
    }
    Ok(())
}

/// What this process used so far, on all threads (proc_pid_stat(5), in hundredths).
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: &str| field.parse::<f64>();
    Ok((ticks(fields[11])? + ticks(fields[12])?) / 100.0)
}

fn make_files(directory: &Path) -> Result<(), Box<dyn Error>> {
    let mut state = 1_u32;
    for number in 0..FILES {
        let at = directory.join(format!("package{:03}", number / 100));
        fs::create_dir_all(&at)?;
        // About as compressible as code.
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        let words: Vec<u8> = (0..BYTES / 8).flat_map(|_| format!("{:08}", next() & 0xfff).into_bytes()).collect();
        fs::write(at.join(format!("module{number:05}.py")), words)?;
    }
    Ok(())
}

fn scan(directory: &Path) -> Result<Vec<Entry>, Box<dyn Error>> {
    let mut entries = Vec::new();
    for package in fs::read_dir(directory)? {
        let package = package?;
        entries.push(Entry::directory(TreePath::parse(package.file_name().as_encoded_bytes())?));
        for file in fs::read_dir(package.path())? {
            let path = file?.path();
            let mut bytes = Vec::with_capacity(BYTES);
            File::open(&path)?.read_to_end(&mut bytes)?;
            let name = path.strip_prefix(directory)?.as_os_str().as_encoded_bytes();
            let content = Content::at_path(path.as_path(), bytes.len() as u64, Digest::of(&bytes));
            entries.push(Entry::file(TreePath::parse(name)?, content, false));
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

fn write(
    entries: &[Entry],
    to: &Path,
    threads: NonZeroUsize,
    cache: Option<Arc<dyn MemberCache>>,
) -> Result<WrittenChangeset, Box<dyn Error>> {
    struct Nothing;
    impl MemberCache for Nothing {
        fn get(&self, _: &Digest) -> Option<Vec<u8>> {
            None
        }
    }
    let options = LayerOptions { mtime: 315_532_800, compression: Compression::GZIP, threads };
    let out = BufWriter::with_capacity(1 << 18, File::create(to)?);
    let cache = cache.unwrap_or_else(|| Arc::new(Nothing));
    let mut writer = ChangesetWriter::new(out, &options, Some(cache))?;
    entries.iter().try_for_each(|entry| writer.push(entry))?;
    let (written, mut out) = writer.finish()?;
    out.flush()?;
    Ok(written)
}
