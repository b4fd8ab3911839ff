//! `jettison copy`: an image from one place to another.

use clap::Args;
use jettison_build::BuildError;
use jettison_build::images::{Place, Which};

use super::WhichArgs;
use crate::cli::print;
use crate::exit::Exit;
use crate::session::Session;
use crate::ui::{bytes, plural};

/// Copy an image from one place to another
#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct CopyArgs {
    /// Where the image is
    #[arg(value_name = "FROM")]
    from: String,
    /// Where it shall be
    #[arg(value_name = "TO")]
    to: String,
    #[command(flatten)]
    which: WhichArgs,
}

const PLACES: &str = "\
Places:
  store:NAME                   the store
  docker://NAME                a registry
  docker-daemon:NAME           the Docker daemon (DOCKER_HOST)
  docker-archive:FILE[:NAME]   what `docker save` writes
  oci:DIR[:TAG]                an OCI layout
  oci-archive:FILE[:TAG]       a tar of an OCI layout
  dir:DIR                      skopeo's directory of blobs

The digest is printed on standard output, and stays what it was. Where the image has several platforms all are copied, \
unless --platform chooses one or the target holds one only.

Examples:
  jettison copy docker://python:3.13-slim oci:base:3.13
  jettison copy store:app docker-archive:app.tar:app:latest";

pub fn run(args: &CopyArgs, session: &Session<'_>) -> Result<Exit, BuildError> {
    let (from, to) = (Place::parse(&args.from)?, Place::parse(&args.to)?);
    let copied = session.images()?.copy(&from, &to, &args.which.which(Which::All))?;
    if let Some((blobs, size)) = copied.sent {
        session.ui.note(&format!("copied to {to}: {}, {}", plural(blobs, "new blob"), bytes(size)));
    }
    print(&copied.digest.to_string())?;
    Ok(Exit::Fine)
}
