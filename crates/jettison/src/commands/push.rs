//! `jettison push`: an image of the store to a registry.

use clap::Args;
use jettison_build::BuildError;
use jettison_build::images::is_reference;
use jettison_build::output::Written;
use jettison_oci::Reference;

use crate::cli::print;
use crate::exit::Exit;
use crate::session::Session;

/// Push an image to its registry
#[derive(Debug, Args)]
#[command(after_help = "\
The digest is printed on standard output. Logins are those of docker login and podman login.

Examples:
  jettison push ghcr.io/me/app:1.2
  jettison push app ghcr.io/me/app:1.2 ghcr.io/me/app:latest
  jettison push . localhost:5000/app")]
pub struct PushArgs {
    /// A name, a digest, or the directory of a project that was built
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Where to; the image's own name where this is left out
    #[arg(value_name = "NAME")]
    to: Vec<String>,
}

pub fn run(args: &PushArgs, session: &Session<'_>) -> Result<Exit, BuildError> {
    let images = session.images()?;
    let digest = images.find(&args.image)?;
    let own = std::slice::from_ref(&args.image);
    let names = if args.to.is_empty() { own } else { &args.to };
    if let Some(name) = names.iter().find(|name| !is_reference(name))
        && args.to.is_empty()
    {
        return Err(BuildError::new(format!("`{name}` is no name in a registry"))
            .hint(format!("say where to: jettison push {name} REGISTRY/NAME:TAG")));
    }
    let content = images.read(digest)?;
    for name in names {
        let report = images.push(&content, &Reference::parse(name)?)?;
        session.ui.written(&Written::Pushed { name: name.clone(), report });
    }
    print(&digest.to_string())?;
    Ok(Exit::Fine)
}
