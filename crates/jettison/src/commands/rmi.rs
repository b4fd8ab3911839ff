//! `jettison rmi`: takes names of images away.

use clap::Args;
use jettison_build::BuildError;

use crate::cli::print;
use crate::exit::Exit;
use crate::session::Session;

/// Take names of images away
#[derive(Debug, Args)]
#[command(
    visible_alias = "untag",
    after_help = "\
A name takes away that name, a digest or a project's directory all names of the image. What the image consisted of stays \
until `jettison cache prune` removes it. The names are printed on standard output."
)]
pub struct RmiArgs {
    /// Names, digests, or directories of projects that were built
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
}

pub fn run(args: &RmiArgs, session: &Session<'_>) -> Result<Exit, BuildError> {
    let images = session.images()?;
    for word in &args.images {
        for name in images.untag(word)? {
            print(&name)?;
        }
    }
    Ok(Exit::Fine)
}
