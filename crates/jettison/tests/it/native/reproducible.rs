//! The same inputs give the same digest, whoever builds, where and when.

use std::fs;
use std::os::unix::process::CommandExt as _;

use super::{Site, copy_for, digest, ran};
use crate::fixture::User;

/// The image of this small world. Changing it means that every image that was ever built changes: do so on purpose, and say it in
/// the change log.
const GOLDEN: &str = "sha256:2222a29fafb15d7d2f2ce2bf947ef7b65a676833f8d674dbefbed4c07c017269";

#[test]
fn the_digest_depends_on_the_inputs_alone() {
    let site = Site::new();
    let project = site.project();
    let first = site.digest(project.path(), &[]);
    assert_eq!(site.digest(project.path(), &[]), first, "again");
    fs::remove_file(project.path().join("jettison.lock")).unwrap();
    assert_eq!(site.digest(project.path(), &[]), first, "chosen anew");
    assert_eq!(first, GOLDEN);
}

#[test]
fn another_user_in_another_place_gets_the_same() {
    let site = Site::new();
    let project = site.project();
    for (n, user) in User::all().into_iter().enumerate() {
        let copy = copy_for(&user, &project, &format!("elsewhere/{n}"));
        let mut command = site.command(&user, &copy, &[]);
        command
            .env("TZ", "Asia/Tokyo")
            .env("LANG", "tr_TR.UTF-8")
            .env("LC_ALL", "C")
            .env("HOME", user.path("elsewhere"));
        // SAFETY: umask(2) is all that happens between fork and exec, and it is async-signal-safe.
        unsafe {
            command.pre_exec(move || {
                rustix::process::umask(rustix::fs::Mode::from_raw_mode(if n == 0 { 0o077 } else { 0o002 }));
                Ok(())
            });
        }
        // Another archive at another address, with the same packages in it.
        assert_eq!(digest(ran(command)), GOLDEN, "user {n}");
    }
}

#[test]
fn another_day_and_another_mirror_get_the_same() {
    let (one, other) = (
        Site::new(),
        Site::of(super::archive().date("Sun, 01 Mar 2026 00:00:00 UTC"), jettison_testkit::World::index()),
    );
    let project = one.project();
    assert_eq!(other.digest(project.path(), &[]), GOLDEN);
    // What was locked stays where the archive moves on.
    let moved = super::archive().deb("trixie-security", jettison_testkit::DebBuilder::new("zlib1g", "1:1.4-1"));
    let moved = Site::of(moved, jettison_testkit::World::index());
    assert_eq!(moved.digest(project.path(), &["--locked"]), GOLDEN);
    // Unless it is asked to move along.
    assert_ne!(moved.digest(project.path(), &["--upgrade"]), GOLDEN);
}

#[test]
fn the_time_of_the_files_is_as_asked_for() {
    let site = Site::new();
    let project = site.project();
    let mut command = site.command(&site.user, project.path(), &[]);
    command.env("SOURCE_DATE_EPOCH", "1700000000");
    assert_ne!(digest(ran(command)), GOLDEN);
    let mut command = site.command(&site.user, project.path(), &[]);
    let (code, said) = ran({
        command.env("SOURCE_DATE_EPOCH", "yesterday");
        command
    })
    .failed();
    assert_eq!(code, 2);
    assert!(said.contains("error: SOURCE_DATE_EPOCH is `yesterday`"), "{said}");
}
