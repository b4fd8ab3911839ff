//! Packages are made here, sound and otherwise.

use std::fs::File;
use std::io::{Cursor, Write as _};
use std::path::PathBuf;

use jettison_tree::{Entry, Fragment, FragmentWriter, Node};

use super::*;

/// What a tar entry is made of: path, type, content or link.
type Item<'a> = (&'a str, u8, &'a str);
/// What an ar archive is made of: names and contents.
type Members<'a> = &'a [(&'a str, &'a [u8])];

fn tar(items: &[Item<'_>]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (path, kind, text) in items {
        let mut header = ::tar::Header::new_gnu();
        header.set_entry_type(::tar::EntryType::new(*kind));
        let is_file = *kind == b'0';
        header.set_mode(if *kind == b'5' { 0o755 } else { 0o644 });
        header.set_size(if is_file { text.len() as u64 } else { 0 });
        header.set_uid(0);
        header.set_gid(0);
        if path.len() < 100 && (is_file || text.len() < 100) {
            // Set by hand: the builder refuses what a hostile archive has.
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            if !is_file {
                header.as_gnu_mut().unwrap().linkname[..text.len()].copy_from_slice(text.as_bytes());
            }
            header.set_cksum();
            builder.append(&header, if is_file { text.as_bytes() } else { b"" }).unwrap();
        } else if is_file {
            builder.append_data(&mut header, path, text.as_bytes()).unwrap();
        } else {
            builder.append_link(&mut header, path, text).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn ar(members: Members<'_>) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        writeln!(bytes, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, "100644", content.len()).unwrap();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const CONTROL: &str = "Package: demo\nVersion: 1.0-1\nArchitecture: amd64\nDescription: x\n y\n";
const EMPTY_MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

fn control() -> Vec<u8> {
    let md5sums = format!(
        "{EMPTY_MD5}  usr/bin/demo\n{EMPTY_MD5}  lib/libdemo.so.1\n{EMPTY_MD5}  usr/share/man/demo.1\nbroken\n"
    );
    xz(&tar(&[
        ("./", b'5', ""),
        ("./control", b'0', CONTROL),
        ("./md5sums", b'0', &md5sums),
        ("./conffiles", b'0', "/etc/demo.conf\nremove-on-upgrade /etc/x\n"),
        ("./shlibs", b'0', "libdemo 1 libdemo1 (>= 1.0)\nudeb: libdemo 1 libdemo1-udeb\n"),
        ("./postinst", b'0', "#!/bin/sh\n"),
    ]))
}

fn deb(data: &[Item<'_>]) -> Vec<u8> {
    ar(&[("debian-binary", b"2.0\n"), ("control.tar.xz", &control()), ("data.tar.xz", &xz(&tar(data)))])
}

fn run(bytes: &[u8], trim: &mut dyn Trim, limits: &Limits) -> Result<(Unpacked, Vec<Entry>), DebError> {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("fragment");
    let mut out = FragmentWriter::new(File::create(&path).unwrap());
    let unpacked = unpack(Cursor::new(bytes), true, trim, &mut out, limits)?;
    out.finish(serde_json::Value::Null).unwrap();
    Ok((unpacked, Fragment::open(&path).unwrap().entries().to_vec()))
}

fn list(entries: &[Entry]) -> Vec<String> {
    let line = |entry: &Entry| match &entry.node {
        Node::Directory => format!("{}/", entry.path),
        Node::File(content) => format!("{} = {}", entry.path, String::from_utf8_lossy(&content.read().unwrap())),
        Node::Symlink(target) => format!("{} -> {}", entry.path, String::from_utf8_lossy(target)),
        Node::HardLink(target) => format!("{} == {target}", entry.path),
        other => panic!("{other:?}"),
    };
    entries.iter().map(line).collect()
}

/// Drops manual pages, and shouts in libraries.
struct Shout;

impl Trim for Shout {
    fn keep(&mut self, path: &TreePath, _size: u64) -> bool {
        !path.is_below("usr/share/man")
    }

    fn wants(&mut self, path: &TreePath, head: &[u8], _size: u64) -> bool {
        assert!(head.len() <= 64);
        path.is_below("usr/lib")
    }

    fn change(&mut self, _path: &TreePath, bytes: &[u8]) -> Option<Vec<u8>> {
        bytes.starts_with(b"elf").then(|| b"ELF".to_vec())
    }
}

#[test]
fn a_package_becomes_entries() {
    let long = "usr/share/".to_owned() + &"long/".repeat(30) + "name";
    let (unpacked, entries) = run(
        &deb(&[
            ("./", b'5', ""),
            ("./lib/", b'5', ""),
            ("./lib/libdemo.so.1", b'0', "elf with symbols"),
            ("./lib/libother.so.1", b'0', "text"),
            ("./lib/libdemo.so", b'2', "libdemo.so.1"),
            ("./usr/", b'5', ""),
            ("./usr/bin/", b'5', ""),
            ("./usr/bin/demo", b'0', "run"),
            ("./usr/bin/alias", b'1', "./usr/bin/demo"),
            ("./usr/share/", b'5', ""),
            ("./usr/share/man/", b'5', ""),
            ("./usr/share/man/demo.1", b'0', "manual"),
            ("./usr/share/page", b'1', "./usr/share/man/demo.1"),
            ("./usr/share/page2", b'1', "./usr/share/man/demo.1"),
            (&long, b'0', "long"),
            ("./var/", b'5', ""),
            ("./var/lib/", b'5', ""),
            ("./var/lib/demo/", b'5', ""),
        ]),
        &mut Shout,
        &Limits::default(),
    )
    .unwrap();
    insta::assert_snapshot!(list(&entries).join("\n").replace(&"long/".repeat(30), "long/"), @r"
    usr/lib/libdemo.so.1 = ELF
    usr/lib/libother.so.1 = text
    usr/lib/libdemo.so -> libdemo.so.1
    usr/bin/demo = run
    usr/bin/alias == usr/bin/demo
    usr/share/long/name = long
    usr/share/page = manual
    usr/share/page2 == usr/share/page
    usr/
    usr/bin/
    usr/lib/
    usr/share/
    var/
    var/lib/
    var/lib/demo/
    ");
    assert_eq!(unpacked.kept, Tally { files: 5, bytes: 3 + 4 + 3 + 4 + 6 });
    assert_eq!(unpacked.dropped, Tally { files: 1, bytes: 6 });
    assert_eq!(unpacked.changed, Tally { files: 1, bytes: 13 });
    let sums: Vec<_> = unpacked.md5sums.iter().map(|(path, sum)| format!("{path} {sum}")).collect();
    // That of the changed library is of its new content.
    assert_eq!(sums, [&format!("usr/bin/demo {EMPTY_MD5}"), "usr/lib/libdemo.so.1 b61b2d6c6fa62903b882aaa53452c111"]);
    assert_eq!((unpacked.control.name(), unpacked.control.version()), ("demo", "1.0-1"));
    assert_eq!(unpacked.control.scripts().collect::<Vec<_>>(), [Script::PostInst]);
    assert_eq!(unpacked.control.shlibs().collect::<Vec<_>>(), [("libdemo", "1", "libdemo1 (>= 1.0)")]);
    assert_eq!(unpacked.control.conffiles().map(|path| path.to_string()).collect::<Vec<_>>(), ["etc/demo.conf"]);
}

#[test]
fn large_files_are_copied_through() {
    let large = "x".repeat(3 << 20);
    let (unpacked, entries) = run(&deb(&[("./usr/large", b'0', &large)]), &mut (), &Limits::default()).unwrap();
    assert_eq!(entries[0].content().unwrap().read().unwrap(), large.as_bytes());
    assert_eq!(unpacked.kept, Tally { files: 1, bytes: 3 << 20 });
}

#[test]
fn hostile_packages_are_refused() {
    for (items, message) in [
        (&[("../x", b'0', "")][..], "data.tar.xz: `../x` is no path inside the tree: it climbs out with `..`"),
        (&[("a/../../x", b'2', "y")], "data.tar.xz: `a/../../x` is no path inside the tree: it climbs out with `..`"),
        (
            &[("a", b'1', "../etc/passwd")],
            "data.tar.xz: `../etc/passwd` is no path inside the tree: it climbs out with `..`",
        ),
        (&[("a", b'1', "etc/passwd")], "data.tar.xz: `a` is a hard link to `etc/passwd`, which is no file before it"),
        (
            &[("a", b'2', "/etc"), ("a/passwd", b'0', "")],
            "data.tar.xz: `a/passwd` lies below `a`, which is no directory",
        ),
        (&[("a/b", b'0', ""), ("a", b'2', "/etc")], "data.tar.xz: `a` stands there twice"),
        (&[("a", b'0', ""), ("./a", b'0', "")], "data.tar.xz: `a` stands there twice"),
        (&[("a/", b'5', ""), ("a", b'2', "/")], "data.tar.xz: `a` stands there twice"),
        (&[("lib/x", b'0', ""), ("usr/lib/x", b'0', "")], "data.tar.xz: `usr/lib/x` stands there twice"),
        (&[("a", b'2', "")], "data.tar.xz: `a` is a symbolic link to nowhere"),
        (&[("dev/sda", b'4', "")], "data.tar.xz: `dev/sda` is a device"),
        (&[("run/p", b'6', "")], "data.tar.xz: `run/p` is a named pipe"),
        (&[("s", b'S', "")], "data.tar.xz: `s` is of the unknown type `S`"),
    ] {
        let error = run(&deb(items), &mut (), &Limits::default()).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(error.hint().is_some());
    }
}

#[test]
fn bombs_stop_at_the_limits() {
    let zeros = "\0".repeat(4 << 20);
    let package = deb(&[("a", b'0', &zeros), ("b", b'0', "")]);
    assert!(package.len() < 10_000);
    for (limits, message) in [
        (Limits { entries: 1, ..Limits::default() }, "data.tar.xz holds more than 1 entries"),
        (Limits { file: 1 << 20, ..Limits::default() }, "data.tar.xz: `a` has 4194304 bytes, and 1048576 are allowed"),
        (
            Limits { data: 1 << 20, ..Limits::default() },
            "data.tar.xz, byte 1049152 unpacked: the archive unpacks to more than is allowed",
        ),
        (
            Limits { control: 1024, ..Limits::default() },
            "control.tar.xz, byte 1056 unpacked: the archive unpacks to more than is allowed",
        ),
    ] {
        assert_eq!(run(&package, &mut (), &limits).unwrap_err().to_string(), message);
    }
}

#[test]
fn a_cut_package_is_an_error_wherever_it_is_cut() {
    let whole = deb(&[("a", b'0', "hello"), ("b", b'0', "world")]);
    for cut in 0..whole.len() - 1 {
        let mut out = FragmentWriter::new(Vec::new());
        let result = unpack(Cursor::new(&whole[..cut]), true, &mut (), &mut out, &Limits::default());
        assert!(result.is_err(), "{cut}");
    }
    let cut = whole.len() - 20;
    assert_eq!(
        run(&whole[..cut], &mut (), &Limits::default()).unwrap_err().to_string(),
        format!("the file ends at byte {cut}, inside of data.tar.xz, which goes to byte {}", whole.len())
    );
    let mut broken = whole.clone();
    // In the index of the blocks: what is in them was checked with the digest of the file.
    broken[whole.len() - 16] ^= 1;
    let error = run(&broken, &mut (), &Limits::default()).unwrap_err().to_string();
    assert!(error.starts_with("data.tar.xz, byte "), "{error}");
}

#[test]
fn no_changed_byte_is_a_panic() {
    // Nothing is compressed, so that the changes reach the archives.
    let control_tar = tar(&[("control", b'0', CONTROL)]);
    let long = "x".repeat(120);
    let data = tar(&[("d/", b'5', ""), ("d/a", b'0', "hello"), ("d/b", b'1', "d/a"), (&long, b'2', "y")]);
    let whole = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control_tar), ("data.tar", &data)]);
    for at in 0..whole.len() {
        for byte in [0x80, whole[at] ^ 1] {
            let mut changed = whole.clone();
            changed[at] = byte;
            let mut out = FragmentWriter::new(std::io::sink());
            let _ = unpack(Cursor::new(&changed), true, &mut (), &mut out, &Limits::default());
        }
    }
}

#[test]
fn the_control_member_is_read_from_the_first_bytes() {
    let whole = deb(&[("a", b'0', "hello")]);
    let error = read_control(&whole[..300], &Limits::default()).unwrap_err();
    let needed = error.bytes_needed().unwrap() as usize;
    assert!(needed < whole.len());
    assert_eq!(read_control(&whole[..needed], &Limits::default()).unwrap().name(), "demo");
}

#[test]
fn other_forms_and_what_is_none() {
    let data = tar(&[("a", b'0', "hello")]);
    let zst = zstd::encode_all(&data[..], 1).unwrap();
    let control_tar = tar(&[("control", b'0', CONTROL)]);
    let good: [Members<'_>; 3] = [
        &[("debian-binary/", b"2.0\n"), ("control.tar/", &control_tar), ("data.tar/", &data)],
        &[
            ("debian-binary", b"2.1\n"),
            ("_x", b"y"),
            ("control.tar", &control_tar),
            ("data.tar.zst", &zst),
            ("_gpg", b""),
        ],
        &[("debian-binary", b"2.0\nmore\n"), ("control.tar", &control_tar), ("data.tar", &data)],
    ];
    for members in good {
        assert_eq!(list(&run(&ar(members), &mut (), &Limits::default()).unwrap().1), ["a = hello"]);
    }
    let nameless = tar(&[("control", b'0', "Package: a\nVersion: 1\n")]);
    let bad: [(Members<'_>, &str); 7] = [
        (&[], "it is not a .deb: it is empty"),
        (&[("data.tar", b"")], "it is not a .deb: its first member is not `debian-binary`"),
        (&[("debian-binary", b"1.0\n")], "it is not a .deb: its format is not version 2"),
        (&[("debian-binary", b"2.0\n")], "there is no member `control.tar`"),
        (
            &[("debian-binary", b"2.0\n"), ("data.tar", &data)],
            "the member `data.tar` stands where `control.tar` should",
        ),
        (
            &[("debian-binary", b"2.0\n"), ("control.tar.bz2", b"")],
            "the member `control.tar.bz2` is compressed in a way that is not supported",
        ),
        (&[("debian-binary", b"2.0\n"), ("control.tar", &nameless)], "control has no field `Architecture`"),
    ];
    for (members, message) in bad {
        assert_eq!(run(&ar(members), &mut (), &Limits::default()).unwrap_err().to_string(), message);
    }
    assert_eq!(
        read_control(&b"<html>"[..], &Limits::default()).unwrap_err().to_string(),
        "it is not a .deb: it is not an ar archive"
    );
}

#[test]
fn pax_paths_and_gnu_numbers() {
    let mut builder = ::tar::Builder::new(Vec::new());
    builder.append_pax_extensions([("path", &b"usr/\xc3\xa9"[..]), ("uid", b"4000000"), ("mtime", b"1.5")]).unwrap();
    let mut header = ::tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o4755);
    header.set_gid(3_000_000);
    header.set_entry_type(::tar::EntryType::Regular);
    builder.append_data(&mut header, "short", &b"hi"[..]).unwrap();
    let data = builder.into_inner().unwrap();
    let package = ar(&[("debian-binary", b"2.0\n"), ("control.tar.xz", &control()), ("data.tar", &data)]);
    let (_, entries) = run(&package, &mut (), &Limits::default()).unwrap();
    assert_eq!(entries[0].path.to_string(), "usr/é");
    assert_eq!((entries[0].uid, entries[0].gid, entries[0].mode), (4_000_000, 3_000_000, 0o4755));
}
