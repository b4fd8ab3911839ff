//! One file a verb: flags, the call that does it, what is shown of the result.

pub mod build;
pub mod cache;
pub mod copy;
pub mod dockerfile;
pub mod images;
pub mod init;
pub mod lint;
pub mod pull;
pub mod push;
pub mod rmi;
pub mod run;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use clap::Args;
use jettison_build::BuildError;
use jettison_build::images::Which;
use jettison_oci::types::Platform;
use similar::TextDiff;

/// The choice among the images of an index.
#[derive(Debug, Args)]
pub struct WhichArgs {
    /// Take the image for this platform, such as linux/arm64
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Take the images of all platforms
    #[arg(long, conflicts_with = "platform")]
    all_platforms: bool,
}

impl WhichArgs {
    /// What was chosen, `otherwise` where nothing was.
    pub fn which(&self, otherwise: Which) -> Which {
        match (&self.platform, self.all_platforms) {
            (Some(platform), _) => Which::For(platform.clone()),
            (None, true) => Which::All,
            (None, false) => otherwise,
        }
    }
}

/// Writes a file that appears when it is whole. What is no file, such as a pipe, is written to as it is.
pub fn write_file(path: &Path, content: &[u8]) -> Result<(), BuildError> {
    let at = |error: std::io::Error| BuildError::from(error).context(path.display());
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return File::options().write(true).open(path).and_then(|mut file| file.write_all(content)).map_err(at);
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The mode is cut by the umask, as that of any file is.
    let mode = fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(".jettison-").permissions(mode).tempfile_in(parent).map_err(at)?;
    file.write_all(content).map_err(at)?;
    file.persist(path).map(drop).map_err(|error| at(error.error))
}

/// The difference between two texts with the names that `patch -p1` and `git apply` expect; `before` is `None` for a new file.
pub fn unified(name: &str, before: Option<&str>, after: &str) -> String {
    let name = name.trim_start_matches("./").trim_start_matches('/');
    let old = if before.is_some() { format!("a/{name}") } else { "/dev/null".to_owned() };
    let difference = TextDiff::from_lines(before.unwrap_or_default(), after);
    difference.unified_diff().header(&old, &format!("b/{name}")).to_string()
}
