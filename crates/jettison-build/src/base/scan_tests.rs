use jettison_oci::assemble::ImageBuilder;
use jettison_oci::blob::BlobSet;
use jettison_oci::layer::{Compression, LayerOptions, write_layer};
use jettison_oci::types::{History, Platform};
use jettison_testkit::ElfBuilder;
use jettison_tree::Tree;

use super::*;

const DPKG: &str = "Package: libc6\nStatus: install ok installed\nVersion: 2.41-12\n\n\
    Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n";
const DEBIAN: &str = "PRETTY_NAME=\"Distroless\"\nID=debian\nVERSION_ID=\"13\"\n";

fn program(version: &str) -> Vec<u8> {
    [ElfBuilder::program("amd64").needs("libc.so.6").build(), format!("\0{version}\0").into_bytes()].concat()
}

/// A scan of an image with these layers of files; `path -> target` is a symbolic link.
fn scan(layers: &[&[(&str, &[u8])]]) -> Scan {
    let mut builder = ImageBuilder::new(&Platform::linux("amd64"), 0);
    for files in layers {
        let mut tree = Tree::new();
        for (path, bytes) in *files {
            let entry = match path.split_once(" -> ") {
                Some((path, target)) => Entry::symlink(TreePath::parse(path).unwrap(), target),
                None => Entry::file(TreePath::parse(path).unwrap(), Content::from_bytes(bytes.to_vec()), true),
            };
            tree.insert(entry).unwrap();
        }
        jettison_oci::layer::add_parents(&mut tree).unwrap();
        let options = LayerOptions { mtime: 0, compression: Compression::None, threads: std::num::NonZeroUsize::MIN };
        let mut bytes = Vec::new();
        let blob = write_layer(tree.iter(), &options, &mut bytes, |_, _| {}).unwrap();
        builder.add_layer(&blob, History::default());
        let mut blobs = BlobSet::new();
        blobs.add_bytes(bytes);
        builder.add_source(std::sync::Arc::new(blobs));
    }
    Scan::of(&builder.build().unwrap()).unwrap()
}

const PATH: &str = "/usr/local/bin:/usr/bin";

fn chosen(scan: &Scan, wanted: &str) -> Result<String, String> {
    let unwanted = |version: &Version| {
        Ok((!version.to_string().starts_with(wanted)).then(|| format!("the project asks for {wanted}")))
    };
    match scan.interpreter("base", PATH, unwanted) {
        Ok(interpreter) => Ok(format!("{} {}", interpreter.executable, interpreter.version)),
        Err(error) => Err(format!("{error} | {}", error.hint_text().unwrap_or("-"))),
    }
}

#[test]
fn the_interpreter_of_a_debian_image_is_found() {
    let program = program("3.13.5");
    let scan = scan(&[
        &[
            ("usr/bin/python3.13", &program),
            ("usr/bin/python3 -> python3.13", b""),
            ("usr/lib/python3.13/os.py", b"import sys"),
            ("usr/lib/python3.13/site.py", b"'dist-packages'"),
            ("usr/lib/python3.13/json/__init__.py", b"x"),
            ("usr/lib/python3.13/json/__pycache__/__init__.cpython-313.pyc", b"x"),
            ("usr/lib/os-release", DEBIAN.as_bytes()),
            ("etc/os-release -> ../usr/lib/os-release", b""),
            ("var/lib/dpkg/status", DPKG.as_bytes()),
            ("lib -> usr/lib", b""),
        ],
        &[("opt/venv/bin/python3.13 -> /usr/bin/python3.13", b""), ("opt/venv/pyvenv.cfg", b"")],
    ]);
    assert_eq!(chosen(&scan, "3").unwrap(), "/usr/bin/python3.13 3.13.5");
    let interpreter = &scan.interpreters[0];
    assert_eq!(interpreter.site_packages.to_string(), "usr/local/lib/python3.13/dist-packages");
    assert_eq!(interpreter.libc, CLibrary::Glibc(2, 41));
    assert_eq!(scan.system, System::Debian("trixie".into()));
    assert_eq!(scan.packages.keys().collect::<Vec<_>>(), ["libc6"]);
    assert!(!scan.has_headers(interpreter));
    // What has bytecode needs none.
    let sources: Vec<_> = scan.sources.keys().map(ToString::to_string).collect();
    assert_eq!(sources, ["usr/lib/python3.13/os.py", "usr/lib/python3.13/site.py"]);
    let links: Vec<_> =
        scan.links_to(interpreter, PATH).unwrap().into_iter().map(|entry| entry.path.to_string()).collect();
    assert_eq!(links, ["usr/local/bin/python"]);
}

#[test]
fn of_several_interpreters_the_first_on_the_path_is_taken() {
    let (own, debian) = (program("3.12.7"), program("3.11.2"));
    let scan = scan(&[&[
        ("usr/local/bin/python3.12", &own),
        ("usr/local/lib/python3.12/os.py", b""),
        ("usr/local/include/python3.12/Python.h", b""),
        ("usr/local/include/python3.12/patchlevel.h", b"#define PY_VERSION \"3.12.8\"\n"),
        ("usr/bin/python3.11", &debian),
        ("usr/lib/python3.11/os.py", b""),
        ("var/lib/dpkg/status.d/libc6", b"Package: libc6\nVersion: 2.36-9\n"),
    ]]);
    assert_eq!(chosen(&scan, "3").unwrap(), "/usr/local/bin/python3.12 3.12.8");
    assert_eq!(chosen(&scan, "3.11").unwrap(), "/usr/bin/python3.11 3.11.2");
    assert!(scan.has_headers(&scan.interpreters[1]) || scan.has_headers(&scan.interpreters[0]));
    let error = chosen(&scan, "3.14").unwrap_err();
    assert!(
        error.contains("Python 3.12.8, and the project asks for 3.14") && error.contains("leave --base out"),
        "{error}"
    );
}

#[test]
fn an_image_without_one_interpreter_is_refused_with_the_reason() {
    let error = chosen(&scan(&[&[("bin/sh", b"x")]]), "3").unwrap_err();
    assert!(error.contains("there is no Python in `base`") && error.contains("python:3.12-slim"), "{error}");

    let (first, second) = (program("3.12.1"), program("3.13.1"));
    let two = scan(&[&[
        ("usr/bin/python3.12", &first),
        ("usr/lib/python3.12/os.py", b""),
        ("usr/bin/python3.13", &second),
        ("usr/lib/python3.13/os.py", b""),
        ("var/lib/dpkg/status", DPKG.as_bytes()),
    ]]);
    let error = chosen(&two, "3").unwrap_err();
    assert!(error.contains("several Pythons: /usr/bin/python3.12, /usr/bin/python3.13"), "{error}");
    assert!(error.ends_with("| say which with --python"), "{error}");

    let nameless = ElfBuilder::program("amd64").build();
    let unclear = scan(&[&[
        ("usr/bin/python3.12", &nameless),
        ("usr/lib/python3.12/os.py", b""),
        ("var/lib/dpkg/status", DPKG.as_bytes()),
    ]]);
    assert!(chosen(&unclear, "3").unwrap_err().contains("the version of `/usr/bin/python3.12` cannot be told"));
}

#[test]
fn alpine_is_told_by_its_loader() {
    let program = program("3.12.7");
    let scan = scan(&[&[
        ("usr/local/bin/python3.12", &program),
        ("usr/local/lib/python3.12/os.py", b""),
        ("lib/ld-musl-x86_64.so.1", b"x\x001.2.5\0"),
        ("etc/os-release", b"ID=alpine\nPRETTY_NAME=\"Alpine Linux v3.20\"\n"),
    ]]);
    assert_eq!(scan.interpreters[0].libc, CLibrary::Musl(1, 2));
    assert_eq!(scan.system, System::Other("Alpine Linux v3.20".into()));
}

#[test]
fn the_account_is_added_to_those_of_the_image() {
    let account = |uid| Account { name: "nonroot".into(), uid, gid: uid, home: "/home/nonroot".into() };
    let scan = scan(&[&[
        ("etc/passwd", b"root:x:0:0::/root:/bin/sh\nnonroot:x:1000:1000::/home/x:/bin/sh"),
        ("etc/group", b"root:x:0:\nusers:x:65532:\n"),
    ]]);
    let entries = scan.account_entries(&account(65532)).unwrap();
    let paths: Vec<_> = entries.iter().map(|entry| entry.path.to_string()).collect();
    assert_eq!(paths, ["etc/passwd", "home/nonroot"]);
    let mut passwd = String::new();
    entries[0].content().unwrap().reader().read_to_string(&mut passwd).unwrap();
    assert_eq!(
        passwd,
        "root:x:0:0::/root:/bin/sh\nnonroot:x:1000:1000::/home/x:/bin/sh\n\
         nonroot-65532:x:65532:65532:nonroot-65532:/home/nonroot:/sbin/nologin\n"
    );
    assert_eq!(scan.account_entries(&account(1000)).unwrap().len(), 2);
}
