//! Holds the crates to the table in ARCHITECTURE.md: who may depend on whom.

use std::fs;
use std::path::Path;

const ROOMS: &[(&str, &[&str])] = &[
    ("jettison-tree", &[]),
    ("jettison-endpoints", &[]),
    ("jettison-http", &["tree"]),
    ("jettison-oci", &["tree", "endpoints", "http"]),
    ("jettison-dockerfile", &[]),
    ("jettison-shell", &[]),
    ("jettison-python", &["tree", "endpoints", "dockerfile"]),
    ("jettison-lint", &["tree", "oci", "dockerfile", "python", "shell"]),
    ("jettison-debian", &["tree"]),
    ("jettison-elf", &["tree"]),
    ("jettison-engine", &["tree"]),
    ("jettison-build", &["tree", "endpoints", "http", "oci", "dockerfile", "python", "debian", "elf", "engine"]),
    ("jettison", &["tree", "http", "oci", "dockerfile", "python", "lint", "engine", "build"]),
    ("jettison-testkit", &["tree"]),
];

#[test]
fn each_crate_depends_only_on_what_its_room_may_know() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut seen = 0;
    for directory in fs::read_dir(&crates).unwrap() {
        let manifest = fs::read_to_string(directory.unwrap().path().join("Cargo.toml")).unwrap();
        let name = manifest.lines().find_map(|line| line.strip_prefix("name = \"")).unwrap().trim_end_matches('"');
        let (_, allowed) = ROOMS.iter().find(|(room, _)| *room == name).unwrap_or_else(|| panic!("{name} has no room"));
        let (_, dependencies) = manifest.split_once("[dependencies]").unwrap();
        let dependencies = dependencies.split("\n[").next().unwrap();
        for line in dependencies.lines().filter_map(|line| line.strip_prefix("jettison-")) {
            let other = line.split(['.', ' ', '=']).next().unwrap();
            assert!(allowed.contains(&other), "{name} must not know jettison-{other}");
        }
        seen += 1;
    }
    assert_eq!(seen, ROOMS.len());
}
