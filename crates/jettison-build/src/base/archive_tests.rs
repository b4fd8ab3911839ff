use jettison_testkit::archive::tar;
use jettison_testkit::{Compression, ElfBuilder, TarMember};

use super::*;

const HEX: &str = "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c";

fn parse(text: &str) -> Result<ArchiveFile, String> {
    ArchiveFile::parse(text, Path::new("/project"))
        .map_err(|error| format!("{error} | {}", error.hint_text().unwrap_or("-")))
}

#[test]
fn a_url_needs_a_digest_and_a_path_does_not() {
    let url = parse(&format!("https://x.example/cpython.tar.gz#sha256={}", HEX.to_uppercase())).unwrap();
    assert_eq!(url.to_string(), "https://x.example/cpython.tar.gz");
    assert_eq!(parse("python.tar.zst").unwrap().to_string(), "/project/python.tar.zst");
    let error = parse("https://x.example/cpython.tar.gz").unwrap_err();
    assert!(error.contains("has no digest") && error.contains("#sha256=DIGEST"), "{error}");
    assert!(parse("https://x.example/c.tar.gz#sha256=12").unwrap_err().contains("64 hexadecimal digits"));
    assert!(parse("").unwrap_err().contains("names no archive"));
}

#[test]
fn what_no_program_runs_is_left_out() {
    let reason = |path: &str| left_out(&TreePath::parse(path).unwrap());
    for path in [
        "bin/python3.12",
        "bin/python",
        "include/python3.12/Python.h",
        "lib/libpython3.12.so.1.0",
        "lib/python3.12/os.py",
        "lib/python3.12/site-packages/pipeline.py",
        "lib/python3.12/lib-dynload/_ssl.cpython-312-x86_64-linux-gnu.so",
    ] {
        assert_eq!(reason(path), None, "{path}");
    }
    for path in [
        "bin/pip3.12",
        "bin/python3.12-config",
        "lib/libtcl9.0.so",
        "lib/pkgconfig/python3.pc",
        "lib/python3.12/config-3.12-x86_64-linux-gnu/libpython3.12.a",
        "lib/python3.12/__pycache__/os.cpython-312.pyc",
        "lib/python3.12/site-packages/pip/__init__.py",
        "lib/python3.12/site-packages/pip-24.0.dist-info/METADATA",
        "lib/python3.12/site-packages/setuptools/__init__.py",
        "lib/python3.12/test/test_os.py",
        "share/man/man1/python3.1",
    ] {
        assert!(reason(path).is_some(), "{path}");
    }
}

fn unpacked(members: &[TarMember], compression: Compression) -> Result<Part, BuildError> {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path().join("store")).unwrap());
    let digest = store.put_bytes(&compression.compress(&tar(members))).unwrap();
    let step = UnpackInterpreter { digest, trim: Trim::Safe };
    let key = step.fragment_key();
    store.fragment_or(&key, |file| step.make(&store, file))?;
    Part::open(&store, key)
}

fn program() -> Vec<u8> {
    [ElfBuilder::program("amd64").needs("libc.so.6").build(), b"\x003.45.1\x003.12.7\0".to_vec()].concat()
}

#[test]
fn full_and_stripped_archives_give_the_same_part() {
    for (prefix, compression) in [("python", Compression::Gzip), ("python/install", Compression::Zstd)] {
        let at = |name: &str| format!("{prefix}/{name}");
        let members = [
            TarMember::file("python/PYTHON.json", "{}"),
            TarMember::file(at("bin/python3.12"), program()).mode(0o775),
            TarMember::symlink(at("bin/python3"), "python3.12"),
            TarMember::file(at("lib/python3.12/os.py"), "import sys\n").mode(0o664),
            TarMember::file(at("lib/python3.12/test/test_os.py"), "x"),
        ];
        let part = unpacked(&members, compression).unwrap();
        assert_eq!(part.facts.owner.to_string(), "cpython 3.12.7");
        let entries: Vec<_> = part.entries().iter().map(|entry| format!("{} {:o}", entry.path, entry.mode)).collect();
        assert_eq!(
            entries,
            ["usr/local/bin/python3.12 755", "usr/local/bin/python3 777", "usr/local/lib/python3.12/os.py 644"]
        );
        assert_eq!(part.facts.elf.len(), 1);
        assert_eq!(part.facts.cuts.len(), 1);
    }
}

#[test]
fn the_header_says_the_version_where_it_is_there() {
    let members = [
        TarMember::file("python/bin/python3.12", program()),
        TarMember::file("python/include/python3.12/patchlevel.h", "#define PY_VERSION   \t\"3.12.9+\"\n"),
    ];
    assert_eq!(unpacked(&members, Compression::None).unwrap().facts.owner.version, "3.12.9");
}

#[test]
fn what_is_no_interpreter_is_refused() {
    let hint = |error: BuildError| format!("{error} | {}", error.hint_text().unwrap_or("-"));
    let other = [TarMember::file("ruby/bin/ruby", "x")];
    let error = hint(unpacked(&other, Compression::Gzip).unwrap_err());
    assert!(error.contains("holds no CPython") && error.contains("install_only"), "{error}");
    let climbing = [TarMember::file("python/../../etc/passwd", "x")];
    assert!(unpacked(&climbing, Compression::None).is_err());
    let dangling = [TarMember::hard_link("python/bin/python3", "python/bin/python3.12")];
    assert!(hint(unpacked(&dangling, Compression::None).unwrap_err()).contains("which is not there"));
}
