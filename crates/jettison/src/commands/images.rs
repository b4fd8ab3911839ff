//! `jettison images`: what the store has names for.

use clap::Args;
use jettison_build::BuildError;
use jettison_build::images::Listed;
use jettison_oci::types::rfc3339;

use crate::cli::print;
use crate::exit::Exit;
use crate::session::Session;
use crate::ui::{Align, bytes, escape, table};

/// So many hex digits of a digest are shown.
const DIGITS: usize = 12;

/// List the images of the store
#[derive(Debug, Args)]
#[command(
    alias = "ls",
    after_help = "\
What a build of a project made is listed with the project's directory too, by which it can be named."
)]
pub struct ImagesArgs {
    /// Print a JSON list, with sizes in bytes
    #[arg(long)]
    json: bool,
}

pub fn run(args: &ImagesArgs, session: &Session<'_>) -> Result<Exit, BuildError> {
    let listed = session.images()?.list()?;
    if args.json {
        let objects: Vec<_> = listed.iter().map(object).collect();
        print(&serde_json::Value::from(objects).to_string())?;
        return Ok(Exit::Fine);
    }
    let now = session.machine.now;
    let mut rows = vec![["NAME", "DIGEST", "PLATFORM", "NAMED", "SIZE"].map(str::to_owned).to_vec()];
    rows.extend(listed.iter().map(|image| {
        vec![
            escape(image.directory().unwrap_or(&image.name)),
            image.digest.hex()[..DIGITS].to_owned(),
            escape(&image.platforms.join(", ")),
            ago(now.saturating_sub(image.tagged)),
            bytes(image.compressed_bytes),
        ]
    }));
    let aligns = [Align::Left, Align::Left, Align::Left, Align::Left, Align::Right];
    print(&table(&aligns, &rows).join("\n"))?;
    Ok(Exit::Fine)
}

fn object(image: &Listed) -> serde_json::Value {
    serde_json::json!({
        "name": image.name,
        "digest": image.digest,
        "platforms": image.platforms,
        "compressed_bytes": image.compressed_bytes,
        "created": image.created,
        "named": rfc3339(image.tagged),
    })
}

/// A time in the past as people say it.
fn ago(seconds: u64) -> String {
    let (number, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_down() {
        for (seconds, text) in
            [(59, "just now"), (60, "1 minute ago"), (7_199, "1 hour ago"), (86_400 * 9, "9 days ago")]
        {
            assert_eq!(ago(seconds), text);
        }
    }
}
