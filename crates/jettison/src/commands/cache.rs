//! `jettison cache`: how large the store is, and making it smaller.

use std::time::Duration;

use clap::{Args, Subcommand};
use jettison_build::BuildError;
use jettison_engine::store::{Prune, UsageOf};

use crate::cli::print;
use crate::exit::Exit;
use crate::session::Session;
use crate::ui::{Align, bytes, table};

/// What was not used for so many days goes, unless a flag says otherwise.
const DEFAULT_DAYS: u64 = 7;

/// Look at the cache, or make it smaller
#[derive(Debug, Args)]
pub struct CacheArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show how much the store holds, by kind
    Du {
        /// Print one JSON object, in bytes
        #[arg(long)]
        json: bool,
    },
    /// Remove what was not used for a while; images with a name stay
    #[command(after_help = PRUNE_HELP)]
    Prune {
        /// Remove what was not used for this long: 12h, 7d, 4w
        #[arg(long, value_name = "TIME", value_parser = duration)]
        unused_for: Option<Duration>,
        /// Remove what was used longest ago until the cache has at most this size: 500MB, 5GB
        #[arg(long, value_name = "SIZE", value_parser = size)]
        keep: Option<u64>,
        /// Remove everything that is no part of an image with a name
        #[arg(long, conflicts_with_all = ["unused_for", "keep"])]
        all: bool,
        /// Print one JSON object, in bytes
        #[arg(long)]
        json: bool,
    },
}

const PRUNE_HELP: &str = "\
Without a flag, what was not used for 7 days is removed. While another jettison works on the same store, nothing that was \
used in the last 24 hours is.

Examples:
  jettison cache prune --keep 5GB
  jettison rmi old-app && jettison cache prune --all";

pub fn run(args: &CacheArgs, session: &Session<'_>) -> Result<Exit, BuildError> {
    match &args.what {
        What::Du { json } => du(*json, session),
        What::Prune { unused_for, keep, all, json } => {
            let mut wanted = Prune { unused_for: *unused_for, keep_bytes: *keep, all: *all };
            if unused_for.is_none() && keep.is_none() && !all {
                wanted.unused_for = Some(Duration::from_secs(DEFAULT_DAYS * 86_400));
            }
            prune(&wanted, *json, session)
        }
    }
}

fn du(json: bool, session: &Session<'_>) -> Result<Exit, BuildError> {
    let store = session.store()?;
    let usage = store.usage()?;
    if json {
        let object = serde_json::json!({
            "store": store.root(),
            "bytes": usage.bytes(),
            "images": usage.images,
            "blobs": usage.blobs,
            "fragments": usage.fragments,
            "snapshots": usage.snapshots,
            "caches": usage.caches,
            "memos": usage.memos,
        });
        print(&object.to_string())?;
        return Ok(Exit::Fine);
    }
    let row = |name: &str, of: UsageOf| vec![name.to_owned(), of.count.to_string(), bytes(of.bytes)];
    let total = [usage.images, usage.blobs, usage.fragments, usage.snapshots, usage.caches, usage.memos];
    let rows = [
        vec!["KIND".to_owned(), "COUNT".to_owned(), "SIZE".to_owned()],
        row("images with a name", usage.images),
        row("other blobs", usage.blobs),
        row("unpacked packages", usage.fragments),
        row("unpacked layers", usage.snapshots),
        row("caches of steps", usage.caches),
        row("results", usage.memos),
        row("total", UsageOf { count: total.iter().map(|of| of.count).sum(), bytes: usage.bytes() }),
    ];
    print(&table(&[Align::Left, Align::Right, Align::Right], &rows).join("\n"))?;
    Ok(Exit::Fine)
}

fn prune(wanted: &Prune, json: bool, session: &Session<'_>) -> Result<Exit, BuildError> {
    let pruned = session.store()?.prune(wanted)?;
    if json {
        let object = serde_json::json!({ "items": pruned.items, "bytes": pruned.bytes, "in_use": pruned.in_use });
        print(&object.to_string())?;
    } else {
        print(&format!("removed {} ({} items)", bytes(pruned.bytes), pruned.items))?;
    }
    if pruned.in_use {
        session.ui.warning("the store is in use: nothing that was used in the last 24 hours was removed", None);
    }
    Ok(Exit::Fine)
}

/// `90s`, `30m`, `12h`, `7d`, `4w`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a number and s, m, h, d or w, such as 12h".to_owned();
    let unit = match text.chars().next_back() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        Some('w') => 7 * 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(unit).map(Duration::from_secs).ok_or_else(wrong)
}

/// `1000`, `500kB`, `5GB`, `5GiB`.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || "expected bytes, or a number and kB, MB, GB, KiB, MiB or GiB, such as 5GB".to_owned();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read() {
        for (text, seconds) in [("90s", 90), ("30m", 1_800), ("12h", 43_200), ("7d", 604_800), ("4w", 2_419_200)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "7", "d", "-1d", "1.5h", "7 d", "99999999999999999999d", "9999999999999999999w", "7é"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for (text, bytes) in [("0", 0), ("12b", 12), ("500MB", 500_000_000), ("5g", 5_000_000_000), ("1GiB", 1 << 30)] {
            assert_eq!(size(text), Ok(bytes));
        }
        for text in ["", "GB", "5TB", "1.5GB", "99999999999999GB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
