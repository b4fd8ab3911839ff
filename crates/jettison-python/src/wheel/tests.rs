//! Wheels built here, whole and broken, through the public interface.

use std::fs::File;
use std::io::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jettison_tree::{Fragment, FragmentWriter, TreePath};
use sha2::Digest as _;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::trim::{Reason, Trim};
use super::*;

const METADATA: &str =
    "Metadata-Version: 2.1\nName: Demo.Pkg\nVersion: 1.0\nLicense: MIT\nRequires-Dist: six\n\nText\n";
const WHEEL: &str = "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n";

/// A wheel in the making: a good one with one package, until it is changed.
struct Maker {
    files: Vec<(String, Vec<u8>, u32)>,
    record: Option<String>,
}

impl Maker {
    fn new() -> Self {
        let mut maker = Self { files: Vec::new(), record: None };
        maker.add("demo/__init__.py", "x = 1\n");
        maker.add("demo_pkg-1.0.dist-info/METADATA", METADATA);
        maker.add("demo_pkg-1.0.dist-info/WHEEL", WHEEL);
        maker
    }

    fn add(&mut self, name: &str, text: &str) -> &mut Self {
        self.add_mode(name, text, 0o100_644)
    }

    fn add_mode(&mut self, name: &str, text: &str, mode: u32) -> &mut Self {
        self.files.retain(|(other, _, _)| other != name);
        self.files.push((name.to_owned(), text.as_bytes().to_vec(), mode));
        self
    }

    fn remove(&mut self, name: &str) -> &mut Self {
        self.files.retain(|(other, _, _)| other != name);
        self
    }

    fn record(&mut self, text: &str) -> &mut Self {
        self.record = Some(text.to_owned());
        self
    }

    fn good_record(&self) -> String {
        let row = |(name, bytes, _): &(String, Vec<u8>, u32)| {
            let hash = BASE64_URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(bytes));
            let name = if name.contains(',') { format!("\"{name}\"") } else { name.clone() };
            format!("{name},sha256={hash},{}\n", bytes.len())
        };
        let rows: String = self.files.iter().filter(|(name, _, _)| !name.ends_with('/')).map(row).collect();
        rows + "demo_pkg-1.0.dist-info/RECORD,,\n"
    }

    fn zip(&self) -> Vec<u8> {
        let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let record = self.record.clone().unwrap_or_else(|| self.good_record());
        let record = ("demo_pkg-1.0.dist-info/RECORD".to_owned(), record.into_bytes(), 0o100_644);
        for (name, bytes, mode) in self.files.iter().chain([&record]) {
            let options = SimpleFileOptions::default().unix_permissions(*mode);
            match mode & 0o170_000 {
                0o120_000 => zip.add_symlink(name, String::from_utf8_lossy(bytes), options).unwrap(),
                _ if name.ends_with('/') => zip.add_directory(name, options).unwrap(),
                _ => {
                    zip.start_file(name, options).unwrap();
                    zip.write_all(bytes).unwrap();
                }
            }
        }
        zip.finish().unwrap().into_inner()
    }

    fn open(&self) -> Result<Wheel, WheelError> {
        open(&self.zip(), "Demo_Pkg-1.0-py3-none-any.whl")
    }

    fn install(&self, options: &InstallOptions) -> Result<(Installed, Fragment), WheelError> {
        install(&mut self.open()?, options, &mut Unchanged)
    }
}

fn open(bytes: &[u8], name: &str) -> Result<Wheel, WheelError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Wheel::open(file, &WheelFilename::parse(name).unwrap())
}

fn install(
    wheel: &mut Wheel,
    options: &InstallOptions,
    transform: &mut dyn Transform,
) -> Result<(Installed, Fragment), WheelError> {
    let layout = InstallLayout::posix_prefix("/usr/local", (3, 13), "/usr/bin/python3.13").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fragment");
    let mut out = FragmentWriter::new(File::create(&path).unwrap());
    let installed = wheel.install(&layout, options, transform, &mut out)?;
    out.finish(serde_json::Value::Null).unwrap();
    Ok((installed, Fragment::open(&path).unwrap()))
}

/// The paths below `/usr/local` with their modes, sorted; `site` stands for `site-packages`.
fn listing(fragment: &Fragment) -> Vec<String> {
    let short = |path: String| path.replace("usr/local/lib/python3.13/site-packages", "site").replace("usr/local/", "");
    let line = |entry: &jettison_tree::Entry| format!("{:o} {}", entry.mode, short(entry.path.to_string()));
    let mut lines: Vec<_> = fragment.entries().iter().map(line).collect();
    lines.sort_by(|a, b| a[4..].cmp(&b[4..]));
    lines
}

fn content(fragment: &Fragment, end: &str) -> String {
    let entry = fragment.entries().iter().find(|entry| entry.path.to_string().ends_with(end)).unwrap();
    String::from_utf8(entry.content().unwrap().read().unwrap()).unwrap()
}

#[test]
fn every_scheme_is_installed_with_a_true_record() {
    let mut maker = Maker::new();
    maker
        .add_mode("demo/run.sh", "#!/bin/sh\n", 0o100_755)
        .add_mode("demo/loose", "mode without a type\n", 0o755)
        .add("demo/a,b.txt", "")
        .add("demo_pkg-1.0.dist-info/licenses/LICENSE", "MIT")
        .add("demo_pkg-1.0.dist-info/INSTALLER", "pip\n")
        .add(
            "demo_pkg-1.0.dist-info/entry_points.txt",
            "[console_scripts]\ndemo = demo.cli:main\n[gui_scripts]\nw = demo:x.y [z]\n",
        )
        .add("demo_pkg-1.0.data/purelib/pure.py", "")
        .add("demo_pkg-1.0.data/platlib/plat.py", "")
        .add("demo_pkg-1.0.data/scripts/tool", "#!python -u\nprint(1)\n")
        .add("demo_pkg-1.0.data/scripts/demo", "#!python\nan older wrapper\n")
        .add("demo_pkg-1.0.data/headers/demo.h", "")
        .add("demo_pkg-1.0.data/data/share/demo/x", "x")
        .add_mode("demo/empty/", "", 0o040_755);
    let options = InstallOptions {
        trim: Trim::None,
        requested: true,
        direct_url: Some(r#"{"url":"https://example.org/x.whl"}"#.to_owned()),
    };
    let (installed, fragment) = maker.install(&options).unwrap();
    insta::assert_snapshot!(listing(&fragment).join("\n"), @r#"
    755 bin/demo
    755 bin/tool
    755 bin/w
    644 include/site/python3.13/demo-pkg/demo.h
    644 share/demo/x
    644 site/demo/__init__.py
    644 site/demo/a,b.txt
    755 site/demo/loose
    755 site/demo/run.sh
    644 site/demo_pkg-1.0.dist-info/INSTALLER
    644 site/demo_pkg-1.0.dist-info/METADATA
    644 site/demo_pkg-1.0.dist-info/RECORD
    644 site/demo_pkg-1.0.dist-info/REQUESTED
    644 site/demo_pkg-1.0.dist-info/WHEEL
    644 site/demo_pkg-1.0.dist-info/direct_url.json
    644 site/demo_pkg-1.0.dist-info/entry_points.txt
    644 site/demo_pkg-1.0.dist-info/licenses/LICENSE
    644 site/plat.py
    644 site/pure.py
    "#);
    insta::assert_snapshot!(content(&fragment, "dist-info/RECORD"), @r#"
    ../../../bin/demo,sha256=xP1HHakMaS73H3UNRvfFQz7JRJwFQ5kQOesFzPGjHdA,109
    ../../../bin/tool,sha256=UWqSCMoB1izkQMAiFVRAnhziHQXwg6URIEX6BH7vvo0,34
    ../../../bin/w,sha256=pNzsd6GY-Dx3fB5yfgkN4nj3dMU7BD09xx4VhaDV8c0,101
    ../../../include/site/python3.13/demo-pkg/demo.h,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0
    ../../../share/demo/x,sha256=LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE,1
    demo/__init__.py,sha256=nia_NpkRxFwkPGhBR7I_yeHc_PJX0pmhxjIBam_NM_Q,6
    "demo/a,b.txt",sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0
    demo/loose,sha256=zbm-BKzFaOMaP6p19B1_OWl-kZZEPFtrcZ1F6rV1_0k,20
    demo/run.sh,sha256=qAdtPSjSHgIBKyDq99v3VAmmJ3E0Q5Al8oLjaOMwWr8,10
    demo_pkg-1.0.dist-info/INSTALLER,sha256=QbLfqVxLm94P5yIUoj9M0aMvRV5vkEEG6kyNOtaPMCo,9
    demo_pkg-1.0.dist-info/METADATA,sha256=lIgrpO6DcWnPH__MPLWA3JkcjGiEZUrFIW5ZjWAVX0U,88
    demo_pkg-1.0.dist-info/RECORD,,
    demo_pkg-1.0.dist-info/REQUESTED,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0
    demo_pkg-1.0.dist-info/WHEEL,sha256=BMKSdj4i0rUcdXmJxoPV21m550FBRiLvrdYXhD1HqNI,72
    demo_pkg-1.0.dist-info/direct_url.json,sha256=0nATUG_UM0HvTMZASwm-EZ_lYL-w25AbjurVutsHW88,35
    demo_pkg-1.0.dist-info/entry_points.txt,sha256=P_jBM8DSgYTOgL0f_JMD36HPFXSYGIrbjz0P-eOzMa0,70
    demo_pkg-1.0.dist-info/licenses/LICENSE,sha256=5dz_6Da27IpY5JJBm1UOZfuMvcMIUDl55drLM6x-o7c,3
    plat.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0
    pure.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0
    "#);
    assert_eq!(content(&fragment, "bin/tool"), "#!/usr/bin/python3.13 -u\nprint(1)\n");
    insta::assert_snapshot!(content(&fragment, "bin/demo"), @r#"
    #!/usr/bin/python3.13
    import sys

    from demo.cli import main

    if __name__ == "__main__":
        sys.exit(main())
    "#);
    let modules: Vec<_> = installed.top_level.iter().map(|module| module.name.as_str()).collect();
    assert_eq!(modules, ["demo", "plat", "pure"]);
    let scripts: Vec<_> = installed.scripts.iter().map(ToString::to_string).collect();
    assert_eq!(scripts, ["usr/local/bin/demo", "usr/local/bin/tool", "usr/local/bin/w"]);
    assert_eq!(installed.files as usize, fragment.entries().len());
    assert_eq!((installed.requires_dist, installed.license), (vec!["six".to_owned()], Some("MIT".to_owned())));
    let replaced: Vec<_> = installed.dropped.iter().map(|dropped| (dropped.path.to_string(), dropped.reason)).collect();
    assert!(replaced.contains(&("usr/local/bin/demo".to_owned(), Reason::Replaced)));
}

#[test]
fn signatures_and_marks_of_another_installer_are_left_out() {
    let mut maker = Maker::new();
    maker.add("demo_pkg-1.0.dist-info/direct_url.json", "{}");
    let record = maker.good_record();
    maker.add("demo_pkg-1.0.dist-info/RECORD.jws", "{}").record(&record);
    let (installed, fragment) = maker.install(&InstallOptions::default()).unwrap();
    let left_out: Vec<_> = installed.dropped.iter().map(|dropped| dropped.reason).collect();
    assert_eq!(left_out, [Reason::InstallerFiles; 2]);
    assert!(!content(&fragment, "dist-info/RECORD").contains("jws"));
}

#[test]
fn two_installations_are_the_same_bytes() {
    let fragment = || {
        let mut out = FragmentWriter::new(Vec::new());
        let layout = InstallLayout::posix_prefix("usr", (3, 13), "/usr/bin/python3.13").unwrap();
        let mut wheel = Maker::new().open().unwrap();
        wheel.install(&layout, &InstallOptions::default(), &mut Unchanged, &mut out).unwrap();
        out.finish(serde_json::Value::Null).unwrap()
    };
    assert_eq!(fragment(), fragment());
}

#[test]
fn tests_go_unless_something_that_stays_imports_them() {
    let mut maker = Maker::new();
    maker
        .add("demo/__init__.py", "from .tests.runner import Runner\n")
        .add("demo/tests/__init__.py", "")
        .add("demo/tests/runner.py", "from demo.tests import common\n")
        .add("demo/tests/common.py", "")
        .add("demo/tests/test_demo.py", "import demo.other.tests\n")
        .add("demo/tests/data.csv", "1")
        .add("demo/other/tests/__init__.py", "")
        .add("demo/other/tests/test_other.py", "");
    let (installed, fragment) = maker.install(&InstallOptions::default()).unwrap();
    let listing = listing(&fragment);
    let kept: Vec<_> = listing.iter().filter(|line| line.contains("tests")).collect();
    assert_eq!(
        kept,
        ["644 site/demo/tests/__init__.py", "644 site/demo/tests/common.py", "644 site/demo/tests/runner.py"]
    );
    let dropped: Vec<_> = installed.dropped.iter().filter(|dropped| dropped.reason == Reason::Tests).collect();
    assert_eq!(dropped.len(), 4);
    let record = content(&fragment, "dist-info/RECORD");
    assert!(record.contains("demo/tests/runner.py") && !record.contains("test_demo.py"));
}

/// Doubles what ends in `.so` and drops what ends in `.bin`.
struct Doubling;

impl Transform for Doubling {
    fn wants(&mut self, path: &TreePath, size: u64, head: &[u8]) -> bool {
        let name = path.to_string();
        assert!(head.len() as u64 == size.min(64));
        name.ends_with(".so") || name.ends_with(".bin")
    }

    fn transform(&mut self, path: &TreePath, bytes: Vec<u8>) -> Transformed {
        match path.to_string().ends_with(".so") {
            true => Transformed::Keep([bytes.clone(), bytes].concat()),
            false => Transformed::Drop(Reason::OtherSystem),
        }
    }
}

#[test]
fn the_record_is_true_of_what_a_transform_made() {
    let mut maker = Maker::new();
    let large = "x".repeat(17 << 20);
    maker.add("demo/x.so", "\x7fELF").add("demo/x.bin", "bin").add("demo/large.dat", &large);
    let (installed, fragment) = install(&mut maker.open().unwrap(), &InstallOptions::default(), &mut Doubling).unwrap();
    assert_eq!(content(&fragment, "x.so"), "\x7fELF\x7fELF");
    let record = content(&fragment, "dist-info/RECORD");
    let hash = BASE64_URL_SAFE_NO_PAD.encode(sha2::Sha256::digest("\x7fELF\x7fELF"));
    assert!(record.contains(&format!("demo/x.so,sha256={hash},8\n")) && !record.contains("x.bin"), "{record}");
    let hash = BASE64_URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(&large));
    assert!(record.contains(&format!("demo/large.dat,sha256={hash},{}\n", large.len())));
    assert_eq!(installed.dropped[0].path.to_string(), "usr/local/lib/python3.13/site-packages/demo/x.bin");
}

#[test]
fn large_members_are_checked_as_they_stream() {
    let mut maker = Maker::new();
    let large = "x".repeat(17 << 20);
    maker.add("demo/large.dat", &large);
    let sha512 = BASE64_URL_SAFE_NO_PAD.encode(sha2::Sha512::digest(&large));
    let record = maker.good_record();
    let row = record.lines().find(|line| line.contains("large")).unwrap().to_owned();
    for (new, good) in [
        (format!("demo/large.dat,sha512={sha512},{}", large.len()), true),
        (format!("demo/large.dat,sha512={},", sha512.replace(&sha512[..4], "AAAA")), false),
        (row.replace("sha256=", "sha256=A").replace(&row[row.len() - 12..row.len() - 10], ""), false),
    ] {
        maker.record(&record.replace(&row, &new));
        assert_eq!(maker.install(&InstallOptions::default()).is_ok(), good, "{new}");
    }
}

#[test]
fn a_wheel_that_contradicts_itself_is_refused() {
    let dist = |file: &str| format!("demo_pkg-1.0.dist-info/{file}");
    type Change = Box<dyn Fn(&mut Maker)>;
    let cases: Vec<(&str, Change)> = vec![
        ("no WHEEL", Box::new(|m| _ = m.remove("demo_pkg-1.0.dist-info/WHEEL"))),
        ("no METADATA", Box::new(|m| _ = m.remove("demo_pkg-1.0.dist-info/METADATA"))),
        ("version 2", Box::new(move |m| _ = m.add(&dist("WHEEL"), "Wheel-Version: 2.0\n"))),
        ("other name", Box::new(|m| _ = m.add("demo_pkg-1.0.dist-info/METADATA", "Name: other\nVersion: 1.0\n"))),
        ("other version", Box::new(|m| _ = m.add("demo_pkg-1.0.dist-info/METADATA", "Name: demo-pkg\nVersion: 2\n"))),
        ("two distributions", Box::new(|m| _ = m.add("other-1.0.dist-info/METADATA", ""))),
        ("two spellings", Box::new(|m| _ = m.add("Demo_Pkg-1.0.dist-info/METADATA", ""))),
        ("METADATA not metadata", Box::new(|m| _ = m.add("demo_pkg-1.0.dist-info/METADATA", "hello"))),
        ("unknown scheme", Box::new(|m| _ = m.add("demo_pkg-1.0.data/lib/x", ""))),
        ("file as scheme", Box::new(|m| _ = m.add("demo_pkg-1.0.data/x", ""))),
        ("two for one place", Box::new(|m| _ = m.add("demo_pkg-1.0.data/purelib/demo/__init__.py", ""))),
        (
            "file for a directory",
            Box::new(|m| _ = m.add("demo_pkg-1.0.data/data/bin", "").add("demo_pkg-1.0.data/scripts/x", "")),
        ),
        (
            "the installer's file",
            Box::new(|m| {
                let installer = "lib/python3.13/site-packages/demo_pkg-1.0.dist-info/INSTALLER";
                m.add(&format!("demo_pkg-1.0.data/data/{installer}"), "");
            }),
        ),
        (
            "bad entry point",
            Box::new(|m| _ = m.add("demo_pkg-1.0.dist-info/entry_points.txt", "[console_scripts]\n../x = a:b\n")),
        ),
        (
            "not recorded",
            Box::new(|m| {
                let record = m.good_record();
                m.add("demo/extra.py", "").record(&record);
            }),
        ),
        (
            "recorded but absent",
            Box::new(|m| {
                let record = m.good_record() + "demo/gone.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n";
                m.record(&record);
            }),
        ),
        (
            "changed",
            Box::new(|m| {
                let record = m.good_record();
                m.add("demo/__init__.py", "x = 2\n").record(&record);
            }),
        ),
        (
            "changed in size",
            Box::new(|m| {
                let record = m.good_record();
                m.add("demo/__init__.py", "x = 22\n").record(&record);
            }),
        ),
        (
            "without hash",
            Box::new(|m| {
                let record = m.good_record();
                let rest: String = record.lines().skip(1).map(|line| format!("{line}\n")).collect();
                m.record(&format!("demo/__init__.py,,\n{rest}"));
            }),
        ),
    ];
    let mut shown = Vec::new();
    for (what, change) in &cases {
        let mut maker = Maker::new();
        change(&mut maker);
        let error = maker.install(&InstallOptions::default()).map(|_| ()).expect_err(what);
        shown.push(format!("{what}: {}", error.to_string().replace("`Demo_Pkg-1.0-py3-none-any.whl`: ", "")));
    }
    insta::assert_snapshot!(shown.join("\n"), @r#"
    no WHEEL: WHEEL: the wheel has no such file
    no METADATA: METADATA: the wheel has no such file
    version 2: WHEEL: Wheel-Version `2.0` is not known: only 1.x is
    other name: METADATA says other 1.0, the file name says demo-pkg 1.0
    other version: METADATA says demo-pkg 2, the file name says demo-pkg 1.0
    two distributions: the .dist-info directory says `other-1.0`, the file name says demo-pkg-1.0
    two spellings: .dist-info: the wheel has more than one such directory
    METADATA not metadata: METADATA: line 1 is no `Field: value`: `hello`
    unknown scheme: member `demo_pkg-1.0.data/lib/x` belongs to no install scheme
    file as scheme: member `demo_pkg-1.0.data/x` belongs to no install scheme
    two for one place: two files of it would be installed to `usr/local/lib/python3.13/site-packages/demo/__init__.py`
    file for a directory: two files of it would be installed to `usr/local/bin`
    the installer's file: two files of it would be installed to `usr/local/lib/python3.13/site-packages/demo_pkg-1.0.dist-info/INSTALLER`
    bad entry point: entry_points.txt: script `../x` = `a:b`: the name is no file name
    not recorded: `demo/extra.py` is in the archive but not in RECORD
    recorded but absent: `demo/gone.py` is in RECORD but not in the archive
    changed: the hash of `demo/__init__.py` is not what RECORD says
    changed in size: the size of `demo/__init__.py` is not what RECORD says
    without hash: RECORD: `demo/__init__.py` has no hash
    "#);
}

#[test]
fn an_archive_that_climbs_out_or_deceives_is_refused() {
    let mut shown = Vec::new();
    let mut refuse = |what: &str, result: Result<Wheel, WheelError>| {
        let error = result.err().expect(what);
        shown.push(format!("{what}: {}", error.to_string().replace("`Demo_Pkg-1.0-py3-none-any.whl`: ", "")));
    };
    for name in ["../x", "demo/../../x", "/etc/x", "a\\b", "a\u{1b}[2J", "demo/__init__.py/x"] {
        refuse(name.escape_default().to_string().as_str(), Maker::new().add(name, "").open());
    }
    refuse("symlink", Maker::new().add_mode("demo/l", "/etc/passwd", 0o120_777).open());
    refuse("one path twice", Maker::new().add("demo/./__init__.py", "").open());

    // The names and the flags of a good archive, changed where they stand.
    let good = Maker::new().add("demo/xxxxxxxx.py", "y = 1\n").zip();
    let patched = |from: &[u8], to: &[u8], all: bool| {
        let mut bytes = good.clone();
        let at: Vec<_> = (0..bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from)).collect();
        let places = if all { &at[..] } else { &at[at.len() - 1..] };
        places.iter().for_each(|&at| bytes[at..at + to.len()].copy_from_slice(to));
        bytes
    };
    let name = "Demo_Pkg-1.0-py3-none-any.whl";
    refuse("duplicate", open(&patched(b"demo/xxxxxxxx.py", b"demo/__init__.py", true), name));
    refuse("two directories", open(&patched(b"demo/xxxxxxxx.py", b"demo/yyyyyyyy.py", false), name));
    refuse("cut short", open(&good[..good.len() - 30], name));
    refuse("not a zip", open(b"hello", name));
    let central = good.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let mut encrypted = good.clone();
    encrypted[central + 8] |= 1;
    encrypted[6] |= 1;
    refuse("encrypted", open(&encrypted, name));
    refuse("other name", open(&good, "other-1.0-py3-none-any.whl"));
    insta::assert_snapshot!(shown.join("\n"), @r#"
    ../x: member `../x` must not be unpacked: `../x` is no path inside the tree: it climbs out with `..`
    demo/../../x: member `demo/../../x` must not be unpacked: `demo/../../x` is no path inside the tree: it climbs out with `..`
    /etc/x: member `/etc/x` has an absolute name
    a\\b: member `a\b` has a name with a backslash or control character
    a\u{1b}[2J: member `a\u{1b}[2J` has a name with a backslash or control character
    demo/__init__.py/x: member `demo/__init__.py` is both a file and a directory
    symlink: member `demo/l` is a symbolic link, which wheels cannot hold
    one path twice: member `demo/./__init__.py` is there twice
    duplicate: the archive is broken: invalid Zip archive: header inconsistency detected: duplicate file names in central directory
    two directories: the archive is broken: invalid Zip archive: header inconsistency detected: Local file header filename mismatch (does not match central directory)
    cut short: the archive is broken: invalid Zip archive: Could not find EOCD
    not a zip: the archive is broken: invalid Zip archive: Could not find EOCD
    encrypted: member `demo/__init__.py` is encrypted
    other name: `other-1.0-py3-none-any.whl`: the .dist-info directory says `demo_pkg-1.0`, the file name says other-1.0
    "#);
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let zeros = vec![0_u8; 1 << 20];
    for i in 0..300 {
        zip.start_file(format!("demo/{i}"), SimpleFileOptions::default().compression_level(Some(9))).unwrap();
        zip.write_all(&zeros).unwrap();
    }
    let bytes = zip.finish().unwrap().into_inner();
    let error = open(&bytes, "demo-1.0-py3-none-any.whl").err().unwrap();
    assert!(error.to_string().contains("are a bomb"), "{error}");
}

#[test]
fn content_that_was_damaged_is_an_error() {
    let good = Maker::new().zip();
    let at = good.windows(16).position(|window| window == b"demo/__init__.py").unwrap() + 16;
    let mut bytes = good;
    bytes[at + 1] ^= 0xff;
    let result = open(&bytes, "demo_pkg-1.0-py3-none-any.whl")
        .and_then(|mut wheel| install(&mut wheel, &InstallOptions::default(), &mut Unchanged).map(|_| ()));
    assert!(result.is_err());
}
