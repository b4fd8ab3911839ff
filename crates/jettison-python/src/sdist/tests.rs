//! Source distributions made here, good and bad.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const PKG_INFO: &str = "Metadata-Version: 2.2\nName: Demo\nVersion: 1.0\nDynamic: Requires-Dist\n";

/// Entries: path, type flag, content or link target, mode.
type Row<'a> = (&'a str, u8, &'a str, u32);

/// A tar.gz with the bytes of the rows as they are, however wrong.
fn tar_gz(rows: &[Row<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for (path, kind, text, mode) in rows {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_mode(*mode);
        header.set_mtime(1_000_000_000);
        let data = if matches!(kind, b'1' | b'2') {
            header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
            &b""[..]
        } else {
            text.as_bytes()
        };
        header.set_size(data.len() as u64);
        header.set_cksum();
        builder.append(&header, data).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn open(bytes: &[u8], name: &str) -> Result<Sdist, SdistError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Sdist::open(file, &SdistFilename::parse(name).unwrap())
}

fn unpack(bytes: &[u8]) -> Result<tempfile::TempDir, SdistError> {
    let directory = tempfile::tempdir().unwrap();
    open(bytes, "demo-1.0.tar.gz")?.unpack(directory.path()).map(|_| directory)
}

#[test]
fn a_source_distribution_is_read_and_unpacked() {
    let pyproject = "[build-system]\nrequires = ['flit_core >=3,<4', 'x; python_version<\"3\"']\nbuild-backend = 'b'\n\
        backend-path = ['.']\n[project]\nname = 12\n";
    let bytes = tar_gz(&[
        ("demo-1.0/PKG-INFO", b'0', PKG_INFO, 0o644),
        ("demo-1.0/pyproject.toml", b'0', pyproject, 0o644),
        ("demo-1.0/src/deep/x.py", b'0', "x", 0o6755),
        ("demo-1.0/", b'5', "", 0o700),
        ("demo-1.0/link", b'2', "src/../src/deep/x.py", 0o777),
        ("demo-1.0/hard", b'1', "demo-1.0/src/deep/x.py", 0o644),
    ]);
    let mut sdist = open(&bytes, "demo-1.0.tar.gz").unwrap();
    assert_eq!(sdist.metadata().unwrap().dynamic, ["requires-dist"]);
    let build = sdist.build_system();
    assert_eq!(build.requires[0].to_string(), "flit-core>=3,<4");
    assert_eq!((build.backend.as_deref(), build.backend_path.as_slice()), (Some("b"), &[".".to_owned()][..]));

    let directory = tempfile::tempdir().unwrap();
    let top = sdist.unpack(directory.path()).unwrap();
    assert_eq!(top, directory.path().join("demo-1.0"));
    let file = top.join("src/deep/x.py");
    let metadata = std::fs::metadata(&file).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o755);
    let modified = metadata.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(modified.as_secs(), 1_000_000_000);
    assert_eq!(std::fs::read(top.join("link")).unwrap(), b"x");
    assert_eq!(std::fs::read(top.join("hard")).unwrap(), b"x");
}

#[test]
fn a_zip_and_one_without_metadata_are_read_too() {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("old-2/setup.py", zip::write::SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
    zip.write_all(b"setup()").unwrap();
    let bytes = zip.finish().unwrap().into_inner();
    let mut sdist = open(&bytes, "old-2.zip").unwrap();
    assert!(sdist.metadata().is_none());
    assert_eq!(sdist.build_system().backend.as_deref(), Some("setuptools.build_meta:__legacy__"));
    assert_eq!(sdist.build_system().requires[0].to_string(), "setuptools>=40.8.0");
    let directory = tempfile::tempdir().unwrap();
    let top = sdist.unpack(directory.path()).unwrap();
    assert_eq!(std::fs::read(top.join("setup.py")).unwrap(), b"setup()");
}

#[test]
fn what_climbs_out_or_deceives_is_refused() {
    let good: Row<'_> = ("demo-1.0/PKG-INFO", b'0', PKG_INFO, 0o644);
    let link: Row<'_> = ("demo-1.0/l", b'2', ".", 0o777);
    let cases: Vec<(&str, Vec<Row<'_>>)> = vec![
        ("dot dot", vec![good, ("demo-1.0/../../x", b'0', "x", 0o644)]),
        ("absolute", vec![good, ("/etc/x", b'0', "x", 0o644)]),
        ("two tops", vec![good, ("other/x", b'0', "x", 0o644)]),
        ("no top", vec![("x", b'0', "x", 0o644)]),
        ("link out", vec![good, ("demo-1.0/l", b'2', "../../etc", 0o777)]),
        ("link to root", vec![good, ("demo-1.0/l", b'2', "/etc", 0o777)]),
        ("through a link", vec![good, link, ("demo-1.0/l/x", b'0', "x", 0o644)]),
        ("over a link", vec![good, link, ("demo-1.0/l", b'0', "x", 0o644)]),
        ("hard link out", vec![good, ("demo-1.0/h", b'1', "../etc/passwd", 0o644)]),
        ("hard link to a link", vec![good, link, ("demo-1.0/h", b'1', "demo-1.0/l", 0o644)]),
        ("hard link forward", vec![good, ("demo-1.0/h", b'1', "demo-1.0/later", 0o644)]),
        ("twice", vec![good, good]),
        ("below a file", vec![good, ("demo-1.0/PKG-INFO/x", b'0', "x", 0o644)]),
        ("device", vec![good, ("demo-1.0/null", b'3', "", 0o666)]),
        ("fifo", vec![good, ("demo-1.0/pipe", b'6', "", 0o666)]),
        ("other metadata", vec![("demo-1.0/PKG-INFO", b'0', "Name: demo\nVersion: 2\n", 0o644)]),
        ("no metadata", vec![("demo-1.0/PKG-INFO", b'0', "hello", 0o644)]),
        ("bad pyproject", vec![good, ("demo-1.0/pyproject.toml", b'0', "[build-system]\nrequires = 1\n", 0o644)]),
        (
            "bad requirement",
            vec![good, ("demo-1.0/pyproject.toml", b'0', "[build-system]\nrequires = ['a b']\n", 0o644)],
        ),
        ("no requires", vec![good, ("demo-1.0/pyproject.toml", b'0', "[build-system]\n", 0o644)]),
        ("empty", vec![]),
    ];
    let shown: Vec<_> = cases
        .iter()
        .map(|(what, rows)| {
            let error = unpack(&tar_gz(rows)).map(|_| ()).expect_err(what);
            format!("{what}: {}", error.to_string().replace("`demo-1.0.tar.gz`: ", ""))
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    dot dot: entry `demo-1.0/../../x` must not be unpacked: `demo-1.0/../../x` is no path inside the tree: it climbs out with `..`
    absolute: entry `/etc/x` has an absolute path
    two tops: entry `other/x` does not lie in `demo-1.0`, where the others do
    no top: entry `x` lies in no directory
    link out: entry `demo-1.0/l` is a symbolic link to outside
    link to root: entry `demo-1.0/l` is a symbolic link to outside
    through a link: entry `demo-1.0/l/x` lies behind `demo-1.0/l`, which is no directory
    over a link: entry `demo-1.0/l` is there twice
    hard link out: entry `../etc/passwd` must not be unpacked: `../etc/passwd` is no path inside the tree: it climbs out with `..`
    hard link to a link: entry `demo-1.0/h` is a hard link to what is no file before it
    hard link forward: entry `demo-1.0/h` is a hard link to what is no file before it
    twice: entry `demo-1.0/PKG-INFO` is there twice
    below a file: entry `demo-1.0/PKG-INFO/x` lies behind `demo-1.0/PKG-INFO`, which is no directory
    device: entry `demo-1.0/null` is neither a file, a directory nor a link
    fifo: entry `demo-1.0/pipe` is neither a file, a directory nor a link
    other metadata: PKG-INFO says demo 2, the file name says demo 1.0
    no metadata: PKG-INFO: line 1 is no `Field: value`: `hello`
    bad pyproject: pyproject.toml:2:12: invalid type: integer `1`, expected a sequence
    bad requirement: pyproject.toml:2:13: expected a version such as `>=1.0`, found `b`, at column 3 of `a b`
    no requires: pyproject.toml:1:1: missing field `requires`
    empty: the archive is broken: it is empty
    "#);
}

#[test]
fn broken_archives_and_bombs_are_refused() {
    let good = tar_gz(&[("demo-1.0/PKG-INFO", b'0', PKG_INFO, 0o644), ("demo-1.0/x", b'0', &"y".repeat(5000), 0o644)]);
    for bad in [&good[..good.len() / 2], b"hello", b""] {
        let error = open(bad, "demo-1.0.tar.gz").err().unwrap();
        assert!(error.hint().is_some(), "{error}");
    }
    let zeros = "\0".repeat(100 << 20);
    let error = open(&tar_gz(&[("demo-1.0/x", b'0', &zeros, 0o644)]), "demo-1.0.tar.gz").err().unwrap();
    assert!(error.to_string().contains("more than any"), "{error}");
}
