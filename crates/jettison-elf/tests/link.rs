//! Trees, and what the dynamic loader would find in them.
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

use std::collections::BTreeMap;

use jettison_elf::{Abi, ElfFacts, Found, Linker, Links};
use jettison_tree::TreePath;
use serde_json::json;

const LIB: &str = "usr/lib/x86_64-linux-gnu";
const SITE: &str = "usr/lib/python3/dist-packages";
const PYTHON: &str = "usr/bin/python3.13";

/// A tree under construction.
#[derive(Default)]
struct World {
    objects: BTreeMap<String, (String, ElfFacts)>,
    links: Vec<(String, String)>,
}

impl World {
    /// A Debian base with merged /usr, an interpreter and a few libraries.
    fn debian() -> Self {
        let mut world = Self::default();
        world.link("lib", "usr/lib").link("lib64", "usr/lib64");
        world.link("usr/lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
        let glibc = json!(["GLIBC_2.2.5", "GLIBC_2.34", "GLIBC_2.36", "GLIBC_PRIVATE"]);
        world.system("ld-linux-x86-64.so.2", json!({"defines": glibc}));
        world.system("libc.so.6", json!({"defines": glibc, "needed": ["ld-linux-x86-64.so.2"]}));
        world.system("libm.so.6", json!({"needed": ["libc.so.6"], "defines": glibc}));
        world.system("libgcc_s.so.1", json!({"needed": ["libc.so.6"]}));
        world.system("libz.so.1", json!({"needed": ["libc.so.6"]}));
        let python = json!({
            "is_program": true, "needed": ["libm.so.6", "libz.so.1", "libc.so.6"], "interpreter": "/lib64/ld-linux-x86-64.so.2"
        });
        world.object(PYTHON, "python3.13-minimal", python);
        world
    }

    fn object(&mut self, path: &str, owner: &str, facts: serde_json::Value) -> &mut Self {
        let mut full = json!({"abi": Abi::X86_64, "kind": "dynamic"});
        full.as_object_mut().unwrap().extend(facts.as_object().unwrap().clone());
        let facts = serde_json::from_value(full).unwrap();
        self.objects.insert(path.to_owned(), (owner.to_owned(), facts));
        self
    }

    /// A library of the system under its soname.
    fn system(&mut self, soname: &str, mut facts: serde_json::Value) -> &mut Self {
        facts["soname"] = json!(soname);
        self.object(&format!("{LIB}/{soname}"), "debian", facts)
    }

    fn link(&mut self, path: &str, target: &str) -> &mut Self {
        self.links.push((path.to_owned(), target.to_owned()));
        self
    }

    fn linker(&self) -> Linker<'_> {
        let mut linker = Linker::new(Abi::X86_64, []);
        for (path, (owner, facts)) in &self.objects {
            linker.object(path_of(path), facts, owner);
        }
        for (path, target) in &self.links {
            linker.symlink(path_of(path), target.as_bytes());
        }
        linker
    }

    fn links(&self) -> Links {
        let linker = self.linker();
        let roots: Vec<_> = linker.roots().cloned().collect();
        linker.link(Some(&path_of(PYTHON)), &roots)
    }
}

fn path_of(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

fn missing(links: &Links) -> Vec<String> {
    links.missing.iter().map(ToString::to_string).collect()
}

fn found(links: &Links, from: &str, name: &str) -> Option<(String, Found)> {
    let edge = links.edges.iter().find(|edge| edge.from.as_str() == Some(from) && edge.name == name)?;
    Some((edge.to.to_string(), edge.found))
}

fn texts(paths: &[TreePath]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}

#[test]
fn a_missing_library_is_named_until_it_is_there() {
    let mut world = World::debian();
    let psycopg = format!("{SITE}/psycopg2/_psycopg.so");
    world.object(&psycopg, "psycopg2", json!({"needed": ["libpq.so.5", "libc.so.6"]}));
    let links = world.links();
    assert_eq!(missing(&links), [format!("`{psycopg}` of psycopg2 needs `libpq.so.5`, which is not there")]);
    assert_eq!(links.missing[0].hint(), None);

    world.link(&format!("{LIB}/libpq.so.5"), "libpq.so.5.17");
    world.object(&format!("{LIB}/libpq.so.5.17"), "libpq5", json!({"soname": "libpq.so.5", "needed": ["libssl.so.3"]}));
    let links = world.links();
    assert_eq!(found(&links, &psycopg, "libpq.so.5"), Some((format!("{LIB}/libpq.so.5.17"), Found::System)));
    assert_eq!(found(&links, &psycopg, "libc.so.6"), Some((format!("{LIB}/libc.so.6"), Found::Loaded)));
    assert_eq!(links.missing[0].needed_by, path_of(&format!("{LIB}/libpq.so.5.17")), "and now that one's needs");
}

#[test]
fn a_loader_that_is_missing_is_missing() {
    let mut world = World::debian();
    world.object("opt/tool", "tool", json!({"is_program": true, "interpreter": "/lib/ld-musl-x86_64.so.1"}));
    let links = world.links();
    assert_eq!(missing(&links), ["`opt/tool` of tool needs `/lib/ld-musl-x86_64.so.1`, which is not there"]);
    assert!(links.missing[0].is_musl);
}

#[test]
fn nothing_leads_to_some_libraries() {
    let mut world = World::debian();
    world.system("libdb-5.3.so", json!({"needed": ["libc.so.6"]}));
    world.link(&format!("{LIB}/libold.so.1"), "libold.so.1.2");
    world.object(&format!("{LIB}/libold.so.1.2"), "old", json!({"soname": "libold.so.1"}));
    world.object(&format!("{LIB}/glibc-hwcaps/x86-64-v3/libold.so.1"), "old", json!({"soname": "libold.so.1"}));
    world.object(&format!("{LIB}/glibc-hwcaps/x86-64-v3/libz.so.1"), "zlib1g", json!({"soname": "libz.so.1"}));
    world.system("libplug.so.1", json!({"needed": ["libc.so.6"]}));
    world.object(&format!("{LIB}/sasl2/libplain.so"), "sasl", json!({"needed": ["libplug.so.1"]}));
    let linker = world.linker();
    let unreached = linker.unreached(&world.links());
    let expected = ["glibc-hwcaps/x86-64-v3/libold.so.1", "libdb-5.3.so", "libold.so.1", "libold.so.1.2"];
    assert_eq!(
        texts(&unreached),
        expected.map(|name| format!("{LIB}/{name}")),
        "libgcc_s stays, though nothing names it"
    );
}

#[test]
fn what_libc_opens_stays_under_whatever_name() {
    let mut world = World::debian();
    world.link(&format!("{LIB}/libnss_files.so.2"), "libnss_files-2.41.so");
    world.object(&format!("{LIB}/libnss_files-2.41.so"), "libc6", json!({"soname": "libnss_files.so.2"}));
    let linker = world.linker();
    assert_eq!(texts(&linker.unreached(&world.links())), [] as [&str; 0], "a link without its file is of no use");
}

#[test]
fn an_rpath_counts_for_what_is_loaded_on_the_way_and_a_runpath_does_not() {
    let core = format!("{SITE}/numpy/core.so");
    let libs = format!("{SITE}/numpy.libs");
    for (tag, expected) in [("rpath", Found::Rpath), ("runpath", Found::Preloaded)] {
        let mut world = World::debian();
        world.object(&core, "numpy", json!({"needed": ["libblas-1.so"], tag: ["$ORIGIN/../numpy.libs"]}));
        world.object(
            &format!("{libs}/libblas-1.so"),
            "numpy",
            json!({"soname": "libblas-1.so", "needed": ["libf-2.so"]}),
        );
        world.object(&format!("{libs}/libf-2.so"), "numpy", json!({"soname": "libf-2.so"}));
        let links = world.links();
        assert_eq!(missing(&links), Vec::<String>::new());
        let blas = format!("{libs}/libblas-1.so");
        // As a root of its own it has no chain of loaders, so that there its owner has to do.
        let alone = world.linker().link(Some(&path_of(PYTHON)), &[path_of(&core)]);
        assert_eq!(found(&alone, &blas, "libf-2.so"), Some((format!("{libs}/libf-2.so"), expected)), "{tag}");
    }
}

#[test]
fn a_library_of_another_owner_is_not_taken_for_preloaded() {
    let mut world = World::debian();
    world.object(&format!("{SITE}/torch/lib/libtorch.so"), "torch", json!({"needed": ["libcudart.so.12"]}));
    let cuda = format!("{SITE}/nvidia/cuda_runtime/lib/libcudart.so.12");
    world.object(&cuda, "nvidia-cuda-runtime", json!({"soname": "libcudart.so.12"}));
    let links = world.links();
    assert_eq!(texts(&links.missing[0].elsewhere), std::slice::from_ref(&cuda));
    let hint = links.missing[0].hint().unwrap();
    assert_eq!(hint, format!("`{cuda}` has that name, but stands where the loader does not look for it"));
}

#[test]
fn origin_is_where_a_library_was_found() {
    let mut world = World::debian();
    world.link("opt/a/libx.so", "../b/libx.so.1");
    world.object("opt/b/libx.so.1", "x", json!({"soname": "libx.so", "needed": ["liby.so"], "runpath": ["$ORIGIN"]}));
    world.object("opt/a/liby.so", "y", json!({}));
    world.object("opt/app.so", "app", json!({"needed": ["libx.so"], "runpath": ["${ORIGIN}/a"]}));
    let links = world.linker().link(None, &[path_of("opt/app.so")]);
    assert_eq!(found(&links, "opt/b/libx.so.1", "liby.so"), Some(("opt/a/liby.so".into(), Found::Runpath)));
}

#[test]
fn the_program_lends_its_rpath_and_what_it_loaded() {
    let mut world = World::debian();
    let needed = json!(["$ORIGIN/../lib/libpython3.12.so.1.0", "libc.so.6"]);
    world.object(
        "opt/python/bin/python3",
        "python",
        json!({"is_program": true, "needed": needed, "rpath": ["/opt/extra"]}),
    );
    world.object("opt/python/lib/libpython3.12.so.1.0", "python", json!({"soname": "libpython3.12.so.1.0"}));
    world.object("opt/extra/libe.so", "e", json!({}));
    world.object("app/ext.so", "app", json!({"needed": ["libpython3.12.so.1.0", "libe.so"]}));
    let links = world.linker().link(Some(&path_of("opt/python/bin/python3")), &[path_of("app/ext.so")]);
    let python = "opt/python/lib/libpython3.12.so.1.0".to_owned();
    assert_eq!(found(&links, "app/ext.so", "libpython3.12.so.1.0"), Some((python, Found::Loaded)));
    assert_eq!(found(&links, "app/ext.so", "libe.so"), Some(("opt/extra/libe.so".into(), Found::Rpath)));
}

#[test]
fn objects_for_other_machines_are_passed_over() {
    let mut world = World::debian();
    let arm = json!({"abi": Abi::AARCH64, "soname": "libv.so.1"});
    world.object("opt/arm/libv.so.1", "v", arm.clone());
    world.object("opt/x86/libv.so.1", "v", json!({"soname": "libv.so.1"}));
    world.object("app/ext.so", "app", json!({"needed": ["libv.so.1"], "runpath": ["/opt/arm", "/opt/x86"]}));
    let links = world.links();
    assert_eq!(found(&links, "app/ext.so", "libv.so.1"), Some(("opt/x86/libv.so.1".into(), Found::Runpath)));
    let foreign: Vec<_> = links.foreign.iter().map(ToString::to_string).collect();
    assert_eq!(foreign, ["`opt/arm/libv.so.1` of v is for aarch64"]);
}

#[test]
fn default_directories_can_be_refused() {
    let mut world = World::debian();
    world.object("app/ext.so", "app", json!({"needed": ["libdb.so"], "no_default_dirs": true}));
    world.system("libdb.so", json!({}));
    assert_eq!(missing(&world.links()), ["`app/ext.so` of app needs `libdb.so`, which is not there"]);
}

#[test]
fn a_wheel_that_is_too_new_for_the_base_is_told_why() {
    let mut world = World::debian();
    let facts = json!({"needed": ["libc.so.6"], "requires": {"libc.so.6": ["GLIBC_2.34", "GLIBC_2.38"]}});
    world.object(&format!("{SITE}/fast/_core.so"), "fast", facts);
    // No versions in the library: nothing to hold it against. No such library: missing, and no more than that.
    world.system("libplain.so.1", json!({}));
    let facts = json!({"needed": ["libplain.so.1"], "requires": {"libplain.so.1": ["P_1"], "libgone.so.1": ["G_1"]}});
    world.object(&format!("{SITE}/fast/_plain.so"), "fast", facts);
    let links = world.links();
    let problems: Vec<_> = links.too_old.iter().map(|p| format!("{p}\nhint: {}", p.hint().unwrap())).collect();
    insta::assert_snapshot!(problems.join("\n"), @"
    `usr/lib/python3/dist-packages/fast/_core.so` of fast needs GLIBC_2.38 of libc.so.6, and `usr/lib/x86_64-linux-gnu/libc.so.6` ends at GLIBC_2.36
    hint: take a base with glibc 2.38 or newer, or a version of fast whose wheel says manylinux_2_36 or older
    ");
}

#[test]
fn a_wheel_for_musl_is_told_apart() {
    let mut world = World::debian();
    world.object(&format!("{SITE}/alp/_core.so"), "alp", json!({"needed": ["libc.musl-x86_64.so.1"]}));
    let links = world.links();
    insta::assert_snapshot!(links.missing[0].hint().unwrap(), @"alp was built for musl (Alpine), and this base has glibc: take a wheel that says manylinux");
}

#[test]
fn what_may_be_opened_is_reached_and_never_missed() {
    let mut world = World::debian();
    world.system("libzstd.so.1", json!({}));
    world.system("libarchive.so.13", json!({"dlopens": ["libzstd.so.1", "liblz4.so.1"]}));
    world.object("app/ext.so", "app", json!({"needed": ["libarchive.so.13"]}));
    let links = world.links();
    let archive = format!("{LIB}/libarchive.so.13");
    assert_eq!(found(&links, &archive, "libzstd.so.1"), Some((format!("{LIB}/libzstd.so.1"), Found::Dlopen)));
    assert_eq!(missing(&links), Vec::<String>::new());
}

#[test]
fn ctypes_finds_the_newest() {
    let mut world = World::debian();
    for soname in ["libssl.so.1.1", "libssl.so.3", "libssl3.so", "libsslx.so.7"] {
        world.system(soname, json!({}));
    }
    world.link(&format!("{LIB}/libpq.so.5"), "libpq.so.5.17");
    world.object(&format!("{LIB}/libpq.so.5.17"), "libpq5", json!({"soname": "libpq.so.5"}));
    let linker = world.linker();
    assert_eq!(linker.find_library("ssl").as_deref(), Some("libssl.so.3"));
    assert_eq!(linker.find_library("pq").as_deref(), Some("libpq.so.5"));
    assert_eq!(linker.find_library("s"), None);
    assert_eq!(linker.find("libpq.so.5"), Some(&path_of(&format!("{LIB}/libpq.so.5.17"))));
    let names: Vec<_> = linker.libraries().into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"libpq.so.5".to_owned()) && !names.contains(&"libpq.so.5.17".to_owned()), "{names:?}");
}
