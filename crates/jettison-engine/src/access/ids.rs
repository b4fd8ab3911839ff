//! Ids of files as they are inside a sandbox.

use rustix::process::{getegid, geteuid};

use crate::sandbox::{self, IdRange};

/// The id of what belongs to nobody who exists inside (the kernel's `overflowuid`).
const NOBODY: u32 = 65534;

/// Which ids a sandbox has for those that files have outside.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ids {
    Same,
    Mapped { uid: u32, gid: u32, users: Option<IdRange>, groups: Option<IdRange> },
}

impl Ids {
    /// What they are for the files of this user.
    pub(super) fn of(mode: &sandbox::Mode) -> Self {
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        match *mode {
            _ if uid == 0 => Self::Same,
            sandbox::Mode::Root => Self::Same,
            sandbox::Mode::SingleId => Self::Mapped { uid, gid, users: None, groups: None },
            sandbox::Mode::IdRanges { users, groups } => {
                Self::Mapped { uid, gid, users: Some(users), groups: Some(groups) }
            }
        }
    }

    /// User and group inside, for those outside.
    pub(super) fn inside(&self, uid: u32, gid: u32) -> (u32, u32) {
        let map = |id: u32, own, range: Option<IdRange>| match range {
            _ if id == own => 0,
            Some(range) if id >= range.start && id - range.start < range.count => id - range.start + 1,
            _ => NOBODY,
        };
        match *self {
            Self::Same => (uid, gid),
            Self::Mapped { uid: own, gid: own_group, users, groups } => {
                (map(uid, own, users), map(gid, own_group, groups))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_out_as_they_are_inside() {
        let range = |start| Some(IdRange { start, count: 1000 });
        let ids = Ids::Mapped { uid: 500, gid: 600, users: range(100_000), groups: range(200_000) };
        for (outside, inside) in [
            ((500, 600), (0, 0)),
            ((100_000, 200_000), (1, 1)),
            ((100_999, 200_999), (1000, 1000)),
            ((101_000, 0), (NOBODY, NOBODY)),
        ] {
            assert_eq!(ids.inside(outside.0, outside.1), inside);
        }
        assert_eq!(Ids::Same.inside(7, 8), (7, 8));
    }
}
