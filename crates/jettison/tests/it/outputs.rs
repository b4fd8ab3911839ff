//! What `copy` writes, and what tools that are no tools of ours would find there.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use jettison_oci::image::ImageOrIndex;
use jettison_oci::types::ContainerConfig;
use jettison_testkit::archive::TarMember;

use crate::fixture::{User, image};

#[test]
fn what_is_in_the_way_is_left_alone() {
    let user = User::new();
    let content = ImageOrIndex::Image(image(&[&[TarMember::file("a", "a")]], ContainerConfig::default()));
    user.import(&content, "app");
    fs::create_dir(user.path("mine")).unwrap();
    fs::write(user.path("mine/file"), "mine").unwrap();
    for place in ["oci:mine", "dir:mine", "oci:mine/file", "docker-archive:mine", "docker-archive:no/where.tar"] {
        let (code, said) = user.run(&["copy", "store:app", place]).failed();
        assert_eq!(code, 2, "{place}: {said}");
    }
    assert_eq!(fs::read_to_string(user.path("mine/file")).unwrap(), "mine");
    assert_eq!(fs::read_dir(user.path("mine")).unwrap().count(), 1);
    let mut names: Vec<_> = fs::read_dir(user.home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["mine", "store"], "nothing half-written stays");
}

#[test]
fn archives_are_readable_by_others_and_the_store_is_not() {
    let user = User::new();
    let content = ImageOrIndex::Image(image(&[&[TarMember::file("a", "a")]], ContainerConfig::default()));
    user.import(&content, "app");
    user.run(&["copy", "store:app", "docker-archive:app.tar"]).ok();
    let mode = |name: &str| fs::metadata(user.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("store"), 0o700);
    assert_eq!(mode("app.tar") & 0o444, 0o444);
    assert_eq!(fs::metadata(user.path("app.tar")).unwrap().nlink(), 1);
}
