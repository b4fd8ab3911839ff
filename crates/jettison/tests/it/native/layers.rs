//! Layers follow change.

use jettison_oci::image::Image;
use jettison_testkit::world::{FLASK, SERVER};
use jettison_testkit::{WheelBuilder, World};

use super::{DEPENDENCIES, Site, archive};

fn layers(image: &Image) -> Vec<String> {
    image.manifest().layers.iter().map(|layer| layer.digest.to_string()).collect()
}

fn names(image: &Image) -> Vec<String> {
    image.config().history.iter().filter_map(|step| step.created_by.clone()).collect()
}

#[test]
fn a_change_changes_the_layer_that_it_is_in() {
    // Bytes that no compressor makes small, past the size that gets a layer.
    let noise: Vec<u8> = (0_u32..900_000).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let index = World::index()
        .wheel(&WheelBuilder::new("numbers", "1.0").file("numbers_/__init__.py", "").file("numbers_/data.bin", noise))
        .wheel(&WheelBuilder::new("small", "1.0").file("small.py", ""));
    let site = Site::of(archive(), index);
    let with = |more: &[&str]| site.index.hashed_requirements(&[&DEPENDENCIES[..], more].concat());
    let project = site.project().file("requirements.txt", with(&["numbers"]));
    let first = site.image(project.path(), &[]);
    let base = ["Python 3.13.5 on Debian trixie", "libraries: libpq5", "numbers 1.0", "distributions", "application"];
    assert_eq!(names(&first), base);

    project.write("app.py", project.read("app.py") + "\n# changed\n");
    let changed = site.image(project.path(), &[]);
    let (before, after) = (layers(&first), layers(&changed));
    assert_eq!(before[..4], after[..4], "only the application changes with the code");
    assert_ne!(before[4], after[4]);

    project.write("requirements.txt", with(&["numbers", "small"]));
    let added = layers(&site.image(project.path(), &[]));
    assert_eq!(added.len(), 5);
    assert_eq!(added[..3], after[..3], "a dependency more leaves the base, the libraries and the big ones as they are");
    assert_ne!(added[3], after[3]);
    assert_ne!(added[4], after[4], "requirements.txt is a file of the project");

    // Without the driver no library is needed, and the base stays the same.
    project.write("requirements.txt", site.index.hashed_requirements(&[FLASK, "werkzeug", SERVER]));
    let fewer = site.image(project.path(), &[]);
    assert_eq!(layers(&fewer)[0], before[0]);
    assert!(!names(&fewer).iter().any(|name| name.contains("libpq5")), "{:?}", names(&fewer));
}

#[test]
fn nothing_is_fetched_or_made_twice() {
    let site = Site::new();
    let project = site.project();
    site.digest(project.path(), &[]);
    site.archive.server().clear_log();
    site.index.server().clear_log();
    let report = site.build(project.path(), &["--json"]).ok();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert!(report["layers"].as_array().unwrap().iter().all(|layer| layer["cached"] == true), "{report:#}");
    assert_eq!(site.archive.server().log(), [] as [String; 0]);
    assert_eq!(site.index.server().log(), [] as [String; 0]);
}
