//! Whether a lock was made for one other platform.
//!
//! A lock may list the wheels of every platform, or, made with `uv pip compile --python-platform`, those of one alone. The
//! second kind, used for another platform, would turn every extension module into a build from source. That is never meant, so
//! it is an error.

use std::collections::BTreeSet;

use super::{LockError, Origin, Package};
use crate::tags::{Libc, Tags, platform_family};
use crate::wheel::WheelFilename;

/// More wheels than this are not named in a message.
const MAX_NAMED: usize = 3;

/// Refuses `packages` if all their platform-specific wheels together are for one platform of Linux, that is not the target's, and
/// one of them would have to be built because of it.
pub(super) fn check_platform<'a>(packages: impl Iterator<Item = &'a Package>, tags: &Tags) -> Result<(), LockError> {
    let mut families = BTreeSet::new();
    let mut unfit: Option<(&Package, Vec<WheelFilename>)> = None;
    for package in packages.filter(|package| matches!(package.origin, Origin::Index(_))) {
        let wheels = wheels(package);
        let platforms = wheels.iter().flat_map(|wheel| &wheel.platforms).filter(|platform| *platform != "any");
        families.extend(platforms.map(|platform| platform_family(platform)));
        if !wheels.is_empty() && tags.best(&wheels).is_none() {
            unfit.get_or_insert((package, wheels));
        }
    }
    let target = tags.target();
    let libc = if matches!(target.libc, Libc::Glibc { .. }) { "manylinux" } else { "musllinux" };
    let ours = [format!("{libc} {}", target.arch), format!("linux {}", target.arch)];
    let (Some((package, wheels)), [only]) = (unfit, &families.iter().collect::<Vec<_>>()[..]) else {
        return Ok(());
    };
    // Many a distribution has wheels for Windows alone, and is built everywhere else.
    if ours.contains(only) || !only.contains("linux") {
        return Ok(());
    }
    let named: Vec<_> = wheels.iter().take(MAX_NAMED).map(|wheel| format!("`{wheel}`")).collect();
    let more = if wheels.len() > MAX_NAMED { " and others" } else { "" };
    Err(LockError::Invalid {
        place: package.place.clone(),
        what: format!(
            "the lock was made for another platform ({only}) than Linux {} with {}: of {} it has only {}{more}",
            target.arch,
            target.libc,
            package.name,
            named.join(", ")
        ),
        hint: Some(format!("lock for both, as `uv lock` does, or lock again for {}", target.arch)),
    })
}

impl Package {
    /// Why it is built although there are wheels of it; `None` where there are none at all.
    pub(super) fn why_built(&self, tags: &Tags) -> Option<String> {
        let wheels = wheels(self);
        (!wheels.is_empty() && tags.best(&wheels).is_none()).then(|| tags.explain(&wheels))
    }
}

fn wheels(package: &Package) -> Vec<WheelFilename> {
    package.files.iter().filter_map(|file| WheelFilename::parse(&file.filename).ok()).collect()
}
