//! The sandbox that an image is verified in, and what passes in and out of it: scripts, lists, the output of the program.
//!
//! `/.jettison` in the sandbox is a directory of ours. The program may be any user, so the files that it writes are there
//! beforehand, and may be written to by all; nobody else gets at them, since the store is its owner's alone.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jettison_engine::sandbox::{Limit, Mount, Resource, Rootfs, Running, Sandbox, Spec, Stdio};
use jettison_engine::store::Scratch;
use jettison_tree::TreePath;
use rustix::pipe::{PipeFlags, pipe_with};

use super::Verification;
use crate::error::BuildError;
use crate::job::{Job, Progress};
use crate::tool::bind;

/// Where our files are in the sandbox.
pub(super) const INSIDE: &str = "/.jettison";
const RECORD: &str = include_str!("../scripts/record.py");
/// Python runs a line of a `.pth` file that begins with `import` (the `site` module).
const PTH: &str = concat!(
    "import os; os.path.exists('/.jettison/record.py') and ",
    "exec(open('/.jettison/record.py', encoding='utf-8').read(), {})\n"
);
const OPENED: &str = "opened";
/// The most that the list of opened sources is read of. Bytes.
const OPENED_LIMIT: u64 = 64 << 20;
/// The most that the program can write into its overlay. Bytes.
const CHANGES: u64 = 2 << 30;

/// So much of the end of a program's output is kept. Bytes.
const OUTPUT_LIMIT: usize = 64 * 1024;
/// A longer line is passed on in pieces. Bytes.
const LINE_LIMIT: usize = 8 * 1024;

/// The sandbox that programs of an image run in, one after the other, each with the image as it is.
pub(super) struct Room<'a> {
    what: &'a Verification<'a>,
    scratch: Scratch,
}

/// A program that has ended.
pub(super) struct Ran<T> {
    /// What was found out while it ran.
    pub value: T,
    /// The end of what it wrote, standard output and error together.
    pub output: String,
}

impl<'a> Room<'a> {
    /// A room for this image.
    pub fn new(job: &Job<'_>, what: &'a Verification<'a>) -> Result<Self, BuildError> {
        let room = Self { what, scratch: job.store.scratch()? };
        let shared = room.shared();
        fs::create_dir(&shared)?;
        fs::set_permissions(&shared, Permissions::from_mode(0o755))?;
        room.put(OPENED, "", true)?;
        room.put("record.py", RECORD, false)?;
        let pth = room.scratch.path().join("pth");
        fs::write(&pth, PTH)?;
        fs::set_permissions(&pth, Permissions::from_mode(0o644))?;
        Ok(room)
    }

    fn shared(&self) -> PathBuf {
        self.scratch.path().join("shared")
    }

    /// Where the file with this name is outside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.shared().join(name)
    }

    /// Puts a file into `/.jettison`, which the program can write to where `is_writable` says so.
    pub fn put(&self, name: &str, content: &str, is_writable: bool) -> Result<(), BuildError> {
        let path = self.path(name);
        fs::write(&path, content)?;
        fs::set_permissions(&path, Permissions::from_mode(if is_writable { 0o666 } else { 0o644 }))?;
        Ok(())
    }

    /// Runs a program as the image would run it. `work` is with it while it runs; when it returns the program and all that it
    /// started are ended. With `record` the sources that its interpreters load are noted.
    pub fn run<T>(
        &self,
        argv: &[String],
        record: bool,
        progress: &Progress<'_>,
        work: impl FnOnce(&Running) -> T,
    ) -> Result<Ran<T>, BuildError> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from)?;
        let mut spec = self.spec(argv, record);
        spec.stdout = Stdio::File(write.try_clone()?.into());
        spec.stderr = Stdio::File(write.into());
        let running = Sandbox::spawn(spec)?;
        let output = Output::default();
        let value = std::thread::scope(|scope| {
            // Owned here, so that it ends, and the reader with it, however this is left.
            let running = running;
            scope.spawn(|| output.fill(File::from(read), |line| progress.log(line)));
            let value = work(&running);
            running.kill();
            running.wait();
            value
        });
        Ok(Ran { value, output: output.text() })
    }

    fn spec(&self, argv: &[String], record: bool) -> Spec {
        let what = self.what;
        let rootfs = Rootfs { owners: what.owners.to_vec(), ..Rootfs::ephemeral(what.lower.to_vec(), CHANGES) };
        let mut spec = Spec::new(rootfs, argv);
        let is_overridden = |name: &str| what.extra_env.iter().any(|(other, _)| other == name);
        let env = what.env.iter().filter(|(name, _)| !is_overridden(name)).chain(what.extra_env);
        spec.env = env.map(|(name, value)| (name.into(), value.into())).collect();
        spec.cwd = what.workdir.into();
        spec.uid = what.uid;
        spec.gid = what.gid;
        spec.hostname = "jettison".into();
        // Where a core dump goes is up to the host.
        spec.limits = vec![Limit { resource: Resource::Core, soft: Some(0), hard: Some(0) }];
        spec.mounts = vec![bind(self.shared(), INSIDE, false)];
        if record {
            spec.mounts.push(self.pth());
        }
        spec
    }

    fn pth(&self) -> Mount {
        let directory = Path::new("/").join(self.what.interpreter.site_packages.as_path());
        // The last of its directory: what others start is still found among the loaded modules.
        bind(self.scratch.path().join("pth"), directory.join("zz_jettison.pth"), true)
    }

    /// The sources that were loaded by all that ran so far.
    pub fn opened(&self) -> Result<BTreeSet<String>, BuildError> {
        let mut text = Vec::new();
        File::open(self.path(OPENED))?.take(OPENED_LIMIT).read_to_end(&mut text)?;
        Ok(opened(&text))
    }
}

/// The paths in a list that the program could write anything to.
fn opened(text: &[u8]) -> BTreeSet<String> {
    let lines = text.split(|&byte| byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let is_source = |line: &&str| line.starts_with('/') && line.ends_with(".py") && !line.starts_with("/.jettison/");
    let normal = |line: &str| Some(format!("/{}", TreePath::parse(line).ok()?.as_str()?));
    lines.filter(is_source).filter_map(normal).collect()
}

/// The end of what a program writes.
#[derive(Default)]
struct Output {
    kept: Mutex<(VecDeque<String>, usize)>,
}

impl Output {
    /// Keeps what comes from `input` until it ends, passing on each line.
    fn fill(&self, mut input: impl Read, mut pass_on: impl FnMut(String)) {
        let mut line = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let read = match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            for &byte in &buffer[..read] {
                if byte != b'\n' {
                    line.push(byte);
                }
                if byte == b'\n' || line.len() >= LINE_LIMIT {
                    self.line(&line, &mut pass_on);
                    line.clear();
                }
            }
        }
        if !line.is_empty() {
            self.line(&line, &mut pass_on);
        }
    }

    fn line(&self, line: &[u8], pass_on: &mut impl FnMut(String)) {
        let line = printable(&String::from_utf8_lossy(line));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (lines, bytes) = &mut *kept;
        *bytes += line.len() + 1;
        lines.push_back(line.clone());
        while *bytes > OUTPUT_LIMIT {
            let Some(first) = lines.pop_front() else { break };
            *bytes -= first.len() + 1;
        }
        drop(kept);
        pass_on(line);
    }

    fn text(self) -> String {
        let (lines, _) = self.kept.into_inner().unwrap_or_else(PoisonError::into_inner);
        lines.into_iter().collect::<Vec<_>>().join("\n")
    }
}

/// The line without what could drive a terminal: colours and other control sequences are taken out.
fn printable(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut chars = line.trim_end().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // `ESC [ … letter`
            '\x1b' if chars.next_if_eq(&'[').is_some() => {
                for c in chars.by_ref() {
                    if ('\x40'..='\x7e').contains(&c) {
                        break;
                    }
                }
            }
            '\t' => shown.push('\t'),
            c if c.is_control() => {}
            c => shown.push(c),
        }
    }
    shown
}

/// The last lines of a text, at most `count`.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    let left_out = lines.len().saturating_sub(count);
    let mut shown = String::new();
    if left_out > 0 {
        shown.push_str("[…]\n");
    }
    shown + &lines[left_out..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_sources_count_as_opened() {
        let text = b"/usr/lib/python3.13/os.py\n/.jettison/record.py\nrelative.py\n/a/../b.py\n/a//b.py\n/a/b.txt\n\xff.py\n/cut";
        assert_eq!(opened(text).into_iter().collect::<Vec<_>>(), ["/a/b.py", "/usr/lib/python3.13/os.py"]);
    }

    #[test]
    fn the_end_of_the_output_is_kept_line_by_line() {
        let output = Output::default();
        let mut lines = Vec::new();
        output.fill(&b"one\r\n\x1b[1;31mtwo\x1b[0m \xff\n\nthree"[..], |line| lines.push(line));
        assert_eq!(lines, ["one", "two \u{fffd}", "", "three"]);
        assert_eq!(output.text(), lines.join("\n"));

        let output = Output::default();
        let mut count = 0;
        output.fill(&vec![b'x'; 40 * LINE_LIMIT][..], |_| count += 1);
        assert_eq!(count, 40);
        assert!(output.text().len() <= OUTPUT_LIMIT);
        assert_eq!(last_lines("a\nb\nc", 2), "[…]\nb\nc");
        assert_eq!(last_lines("a\nb", 2), "a\nb");
    }
}
