use super::*;

const SHA: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn text() -> String {
    format!(
        "Package: libpq5\nSource: postgresql-17 (17.5-1)\nVersion: 17.5-1+b1\nInstalled-Size: 1234\nArchitecture: amd64\n\
         Depends: libc6 (>= 2.38),\n libssl3t64\nMulti-Arch: same\nDescription: client\n library\nSection: libs\nPriority: optional\n\
         Filename: pool/main/p/postgresql-17/libpq5_17.5-1+b1_amd64.deb\nSize: 229000\nSHA256: {SHA}\n\n\
         package: dash\nessential: yes\nversion: 1\narchitecture: amd64\nfilename: pool/d.deb\nSize: 1\nSHA256: {SHA}\n"
    )
}

#[test]
fn an_index_is_parsed_and_kept() {
    let parsed = PackageIndex::parse(text().as_bytes()).unwrap();
    let mut bytes = Vec::new();
    parsed.write(&mut bytes).unwrap();
    for index in [&parsed, &PackageIndex::read(&bytes[..]).unwrap()] {
        let [libpq, dash] = index.packages().collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!(libpq.source(), ("postgresql-17", "17.5-1"));
        assert_eq!((libpq.size(), libpq.installed_kib(), libpq.sha256().hex().as_str()), (229_000, 1234, SHA));
        assert_eq!(libpq.depends(), "libc6 (>= 2.38),\n libssl3t64");
        assert_eq!((libpq.section(), libpq.multi_arch(), libpq.essential()), ("libs", MultiArch::Same, false));
        assert_eq!((dash.name(), dash.source(), dash.essential()), ("dash", ("dash", "1"), true));
        assert_eq!((dash.depends(), dash.multi_arch()), ("", MultiArch::No));
    }
    for cut in [0, 8, 23, 24, 100, bytes.len() - 1] {
        assert!(PackageIndex::read(&bytes[..cut]).is_err(), "{cut}");
    }
    for at in [0, 8, 24, 28] {
        let mut bad = bytes.clone();
        bad[at] ^= 0xff;
        assert!(PackageIndex::read(&bad[..]).is_err(), "{at}");
    }
}

#[test]
fn bad_paragraphs_are_named() {
    for (from, to, message) in [
        ("Size: 1\n", "", "Packages, line 17: the field `Size` is missing from the paragraph that starts here"),
        ("Size: 1\n", "Size: -1\n", "Packages, line 17: the field `Size` says `-1`, which is not a number of bytes"),
        (
            "pool/d.deb",
            "../d.deb",
            "Packages, line 17: the field `Filename` says `../d.deb`, which is not a path inside of the archive",
        ),
        (
            "version: 1\n",
            "version:\n",
            "Packages, line 17: the field `Version` is missing from the paragraph that starts here",
        ),
        ("essential: yes", "essential", "Packages, line 18: expected `Field: value`"),
    ] {
        assert_eq!(PackageIndex::parse(text().replace(from, to).as_bytes()).unwrap_err().to_string(), message);
    }
}
