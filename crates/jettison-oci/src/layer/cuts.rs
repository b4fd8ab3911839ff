//! Where the members of a changeset's gzip end: at entries that are chosen by their paths and sizes.
//!
//! Were members of one length, a file that grew would shift everything behind it, and all of that would be compressed anew.
//! So an entry begins a member with a probability in proportion to its bytes, drawn from a digest of its path: members are of
//! about [`GOAL`] bytes whatever the files are like, and behind a change the same entries begin members as before. Large files
//! always do, so their own members are cut in the same places too. The choice depends on nothing but the entries.

use jettison_tree::{Digest, TreePath};

use super::compress::GZIP_MEMBER;

/// Bytes of a member on average. Changing this changes layer digests.
const GOAL: u64 = GZIP_MEMBER as u64;
/// Shorter ones would compress badly.
const SHORTEST: u64 = GOAL / 4;

/// Chooses the entries that begin a member.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    /// Bytes of the tar since the last cut.
    since: u64,
}

impl Cuts {
    /// Whether the entry at `path`, of so many bytes in the tar, begins a member.
    pub(super) fn before(&mut self, path: &TreePath, bytes: u64) -> bool {
        let is_chosen = bytes >= GOAL || (self.since >= SHORTEST && draw(path) < bytes);
        let cut = is_chosen && self.since > 0;
        self.since = if cut { bytes } else { self.since + bytes };
        cut
    }
}

/// A number below [`GOAL`] that belongs to the path.
fn draw(path: &TreePath) -> u64 {
    let [a, b, c, d, ..] = *Digest::of(path.as_bytes()).as_bytes();
    u64::from(u32::from_le_bytes([a, b, c, d])) % GOAL
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths of `sizes` that begin members.
    fn cuts(sizes: impl IntoIterator<Item = (u32, u64)>) -> Vec<u32> {
        let mut cuts = Cuts::default();
        let mut before = |number: u32, bytes| cuts.before(&TreePath::parse(format!("f{number}")).unwrap(), bytes);
        sizes.into_iter().filter(|&(number, bytes)| before(number, bytes)).map(|(number, _)| number).collect()
    }

    #[test]
    fn members_have_their_goal_whatever_the_files_are() {
        for (files, bytes) in [(40_000, 1024), (4_000, 25_600), (400, 512 << 10), (40, 8 << 20)] {
            let members = cuts((0..files).map(|number| (number, bytes))).len() as u64 + 1;
            let average = u64::from(files) * bytes / members;
            assert!((GOAL / 2..=bytes.max(2 * GOAL)).contains(&average), "{files} of {bytes}: {average}");
        }
    }

    #[test]
    fn a_change_moves_only_the_cuts_beside_it() {
        let all = |changed: u64| (0..4000).map(move |number| (number, if number == 2000 { changed } else { 25_600 }));
        let before = cuts(all(25_600));
        for changed in [512, 26_000, 900_000, 50 << 20] {
            let after = cuts(all(changed));
            let moved: Vec<_> = before.iter().filter(|cut| !after.contains(cut)).collect();
            assert!(moved.iter().all(|cut| (1900..2200).contains(*cut)) && moved.len() < 4, "{changed}: {moved:?}");
        }
        // Left out altogether.
        let after = cuts(all(0).filter(|(number, _)| *number != 2000));
        assert!(before.iter().filter(|cut| !after.contains(cut)).count() < 4);
    }
}
