//! `copy` and `pull`: whatever way an image goes, its digest stays.

use jettison_testkit::{Fault, Registry};

use crate::fixture::{User, printing, printing_everywhere};

#[test]
fn an_image_goes_round_all_places_unchanged() {
    let user = User::new();
    let registry = Registry::start();
    let digest = user.import(&printing("round"), "round").to_string();
    let there = format!("docker://{}", registry.reference("some/round:1"));
    let again = format!("docker://{}", registry.reference("other:2"));
    let stops = [
        "store:round",
        "oci:layout:1",
        "docker-archive:round.tar:round:1",
        "dir:directory",
        &there,
        &again,
        "oci-archive:layout.tar",
        "store:back:1",
    ];
    for (from, to) in stops.iter().zip(&stops[1..]) {
        assert_eq!(user.run(&["copy", from, to]).ok().trim(), digest, "{from} {to}");
    }
    assert_eq!(user.run(&["run", "back:1"]).ok(), "round");
    // The second repository of the registry got its blobs from the first.
    assert!(!registry.server().log().iter().any(|line| line.starts_with("PUT /v2/other/blobs")));
}

#[test]
fn an_index_is_copied_whole_or_one_platform_of_it() {
    let user = User::new();
    let registry = Registry::start();
    let both = printing_everywhere("both");
    let digest = user.import(&both, "both").to_string();
    let there = registry.reference("both:1");
    assert_eq!(user.run(&["copy", "store:both", &format!("docker://{there}")]).ok().trim(), digest);
    assert_eq!(user.run(&["copy", &format!("docker://{there}"), "oci:all"]).ok().trim(), digest);
    let one = user.run(&["copy", "--platform", "linux/arm64", "oci:all", "oci:one"]).ok();
    assert_ne!(one.trim(), digest);
    assert_eq!(user.run(&["pull", "--platform", "linux/arm64", &there, "-t", "arm"]).ok(), one);
    assert_eq!(user.run(&["pull", "--all-platforms", &there, "-t", "all"]).ok().trim(), digest);
    let mine = user.run(&["pull", &there]).ok();
    assert!(mine.trim() != digest);
    assert_eq!(user.run(&["run", &there]).ok(), "both");
    let (code, said) = user.run(&["pull", "--platform", "linux/s390x", &there]).failed();
    assert_eq!(code, 2);
    assert!(said.contains("no image for linux/s390x: the index has linux/amd64, linux/arm64"), "{said}");
}

#[test]
fn a_pull_that_is_cut_or_corrupt_leaves_nothing() {
    let user = User::new();
    let registry = Registry::start();
    let image = printing("precious");
    let digest = user.import(&image, "precious");
    let name = registry.reference("precious:1");
    user.run(&["push", "precious", &name]).ok();
    let layer = image.image(&"linux/amd64".parse().unwrap()).or_else(|_| image.image(&"linux/arm64".parse().unwrap()));
    let blob = layer.unwrap().manifest().layers[0].digest;

    let other = User::new();
    registry.server().fault(Fault::flip_byte(20).on(&format!("blobs/{blob}")).always());
    let (code, said) = other.run(&["pull", &name]).failed();
    assert_eq!(code, 2);
    assert!(said.contains(&format!("blob {blob} is corrupt")), "{said}");
    assert_eq!(other.run(&["images", "--json"]).ok(), "[]\n");
    registry.server().clear_faults();
    assert_eq!(other.run(&["pull", &name]).ok().trim(), digest.to_string());
    assert_eq!(other.run(&["run", &name]).ok(), "precious");
}
