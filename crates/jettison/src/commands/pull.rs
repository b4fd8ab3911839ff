//! `jettison pull`: an image of a registry into the store.

use clap::Args;
use jettison_build::BuildError;
use jettison_build::images::{Which, store_name};
use jettison_oci::Reference;

use super::WhichArgs;
use crate::cli::print;
use crate::exit::Exit;
use crate::session::Session;
use crate::ui::{bytes, plural};

/// Fetch an image from a registry
#[derive(Debug, Args)]
#[command(after_help = "\
The digest is printed on standard output. Of an image for several platforms the one for this machine is fetched, unless \
--platform or --all-platforms says otherwise.

Examples:
  jettison pull python:3.13-slim
  jettison pull ghcr.io/me/app:1.2 -t app")]
pub struct PullArgs {
    /// The image, as docker pull names it
    #[arg(value_name = "NAME")]
    name: String,
    /// Keep it under this name; may be repeated
    #[arg(short, long, value_name = "NAME")]
    tag: Vec<String>,
    #[command(flatten)]
    which: WhichArgs,
}

pub fn run(args: &PullArgs, session: &Session<'_>) -> Result<Exit, BuildError> {
    let reference = Reference::parse(&args.name)?;
    let names = args.tag.iter().map(|name| store_name(name)).collect::<Result<Vec<_>, _>>()?;
    let which = args.which.which(Which::For(session.platform.clone()));
    let pulled = session.images()?.pull(&reference, &which, &names)?;
    if let Some((blobs, size)) = pulled.sent {
        let blobs = plural(blobs, "new blob");
        session.ui.note(&format!("pulled {}: {blobs}, {}", reference.familiar(), bytes(size)));
    }
    print(&pulled.digest.to_string())?;
    Ok(Exit::Fine)
}
