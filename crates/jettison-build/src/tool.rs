//! Programs that a build runs in the sandbox: the resolver, build backends, the compiler of bytecode.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use jettison_engine::sandbox::{ExitStatus, Mount, Network, Rootfs, Sandbox, Spec, Stdio, Upper};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::error::BuildError;

/// So much of what a program writes is kept. Bytes.
const OUTPUT_LIMIT: usize = 1 << 20;

/// A program to run as root of a sandbox.
pub struct Tool {
    /// The root file system's directories, the topmost first.
    pub lower: Vec<PathBuf>,
    /// Where changes go; memory where there is none.
    pub upper: Option<PathBuf>,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Its environment.
    pub env: Vec<(String, String)>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// What is mounted.
    pub mounts: Vec<Mount>,
    /// Whether it may use the network of this machine.
    pub network: bool,
    /// Whether what it writes to its standard output is for nobody.
    pub quiet: bool,
}

/// What became of a program.
#[derive(Debug)]
pub struct ToolOutput {
    /// How it ended.
    pub status: ExitStatus,
    /// The end of what it wrote, standard error and, unless it was quiet, output together.
    pub output: String,
}

impl Tool {
    /// Runs it to its end, passing each line that it writes to `log`.
    pub fn run(self, mut log: impl FnMut(&str)) -> Result<ToolOutput, BuildError> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(std::io::Error::from)?;
        let upper = match self.upper {
            Some(directory) => Upper::Directory(directory),
            None => Upper::Memory { size: 4 << 30 },
        };
        let rootfs = Rootfs { lower: self.lower, upper, owners: Vec::new() };
        let mut spec = Spec::new(rootfs, self.argv);
        spec.env = self.env.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        spec.cwd = self.cwd;
        spec.mounts = self.mounts;
        spec.network = if self.network { Network::Host } else { Network::None };
        spec.stdout = if self.quiet { Stdio::Null } else { Stdio::File(write.try_clone()?.into()) };
        spec.stderr = Stdio::File(write.into());
        let running = Sandbox::spawn(spec)?;
        let mut output = String::new();
        let mut reader = BufReader::new(std::fs::File::from(read));
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(&line);
            log(text.trim_end_matches(['\n', '\r']));
            output.push_str(&text);
            if output.len() > 2 * OUTPUT_LIMIT {
                let cut = output.len() - OUTPUT_LIMIT;
                let cut = (cut..output.len()).find(|&at| output.is_char_boundary(at)).unwrap_or(output.len());
                output.drain(..cut);
            }
            line.clear();
        }
        let status = running.wait();
        Ok(ToolOutput { status, output })
    }
}

/// A bind mount, read-only or not.
pub fn bind(src: impl Into<PathBuf>, dst: impl Into<PathBuf>, readonly: bool) -> Mount {
    Mount::Bind { src: src.into(), dst: dst.into(), readonly }
}
