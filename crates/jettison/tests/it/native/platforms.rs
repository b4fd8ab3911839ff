//! Images for several platforms, without emulation.

use jettison_oci::image::ImageOrIndex;
use jettison_oci::types::Platform;
use jettison_testkit::interpreter::{library_deb, python_debs};
use jettison_testkit::world::DRIVER;
use jettison_testkit::{ElfBuilder, Registry, WheelBuilder, World};

use super::Site;
use super::contents::Contents;

fn everywhere() -> Site {
    let archive = World::archive()
        .architecture("arm64")
        .debs("trixie", python_debs("3.13", "arm64").into_iter().filter(|deb| !deb.is_for("amd64")))
        .deb("trixie", library_deb("libpq5", "17.5-1", "libpq.so.5", "arm64"));
    let extension = ElfBuilder::library("arm64", "_psycopg.so").needs("libpq.so.5").needs("libc.so.6").build();
    let index = World::index().wheel(
        &WheelBuilder::new(DRIVER, "2.9.11")
            .tag("cp313-cp313-manylinux_2_17_aarch64.manylinux2014_aarch64")
            .file("psycopg2/__init__.py", "from psycopg2 import _psycopg\n")
            .file("psycopg2/_psycopg.cpython-313-aarch64-linux-gnu.so", extension),
    );
    Site::of(archive, index)
}

#[test]
fn two_platforms_are_one_index() {
    let site = everywhere();
    let project = site.project();
    let registry = Registry::start();
    let name = registry.reference("app:1");
    let flags = ["--platform", "linux/amd64,linux/arm64", "-t", &name, "--push"];
    let content = site.content(project.path(), &flags);
    let ImageOrIndex::Index(index) = &content else { panic!("one image of two platforms") };
    assert_eq!(index.index().manifests.len(), 2);
    for (architecture, triplet, machine) in [("amd64", "x86_64-linux-gnu", 62), ("arm64", "aarch64-linux-gnu", 183)] {
        let contents = Contents::of(&content.image(&Platform::linux(architecture)).unwrap());
        // e_machine, which says whose code this is.
        let library = contents.bytes(&format!("usr/lib/{triplet}/libpq.so.5.0.1"));
        assert_eq!(u16::from_le_bytes([library[18], library[19]]), machine, "{architecture}");
        let site_packages = "usr/local/lib/python3.13/dist-packages";
        assert!(contents.has(&format!("{site_packages}/psycopg2/_psycopg.cpython-313-{triplet}.so")), "{architecture}");
    }
    assert_eq!(registry.manifest("app", "1").as_deref(), Some(&**content.bytes()));

    // The lock has both, so each of them is the same when it is built alone.
    let lock = project.read("jettison.lock");
    assert!(lock.contains("linux/amd64") && lock.contains("linux/arm64"), "{lock}");
    let alone = site.digest(project.path(), &["--platform", "linux/arm64", "--locked"]);
    assert!(index.index().manifests.iter().any(|manifest| manifest.digest.to_string() == alone));

    let report = site.build(project.path(), &["--platform", "linux/amd64,linux/arm64", "--json"]).ok();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["digest"], content.descriptor().digest.to_string());
    assert_eq!(report["images"].as_array().map(Vec::len), Some(2));
}
