//! A Debian archive on loopback, signed with a key of its own.
//!
//! 1. Packages are put into suites: `trixie`, `trixie-updates`, `trixie-security`.
//! 2. [`DebianArchive::serve`] lays out `dists/` and `pool/` as the real archive does and signs each suite's `InRelease`.
//! 3. `/debian/` has the suites, `/debian-security/` those that end in `-security`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::types::{KeyDetails as _, Password, Timestamp};
use rand::SeedableRng as _;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::archive::Compression;
use crate::deb::DebBuilder;
use crate::http::HttpServer;

const KEYRING: &str = "keyring.asc";

/// An archive in the making.
#[derive(Debug, Clone)]
pub struct DebianArchiveBuilder {
    architectures: Vec<String>,
    suites: BTreeMap<String, Vec<DebBuilder>>,
    date: String,
    valid_until: Option<String>,
    faults: Vec<ArchiveFault>,
}

/// What is wrong with an archive.
#[derive(Debug, Clone)]
pub enum ArchiveFault {
    /// The text of this suite's `InRelease` was changed after it was signed.
    BrokenSignature(String),
    /// This suite's `InRelease` is signed with another key than the one that [`DebianArchive::keyring`] has.
    OtherKey(String),
    /// This suite's `InRelease` is not signed at all.
    Unsigned(String),
    /// The `Packages` files of this suite are not those of its `InRelease`.
    OtherPackages(String),
    /// The `Packages` files tell a wrong hash for this package.
    WrongHash(String),
    /// The file of this package ends after this many bytes.
    Truncated(String, usize),
    /// The file of this package has left the pool, as after a point release.
    Gone(String),
}

impl DebianArchiveBuilder {
    /// An archive of one architecture with the suites `trixie`, `trixie-updates` and `trixie-security`, all empty.
    pub fn new(architecture: &str) -> Self {
        Self {
            architectures: vec![architecture.to_owned()],
            suites: BTreeMap::new(),
            date: "Wed, 01 Jan 2025 00:00:00 UTC".to_owned(),
            valid_until: None,
            faults: Vec::new(),
        }
        .codename("trixie")
    }

    /// Serves another architecture too.
    #[must_use]
    pub fn architecture(mut self, architecture: &str) -> Self {
        self.architectures.push(architecture.to_owned());
        self
    }

    /// Adds the three suites of another release.
    #[must_use]
    pub fn codename(mut self, codename: &str) -> Self {
        for suffix in ["", "-updates", "-security"] {
            self.suites.entry(format!("{codename}{suffix}")).or_default();
        }
        self
    }

    /// Puts a package into a suite.
    #[must_use]
    pub fn deb(mut self, suite: &str, deb: DebBuilder) -> Self {
        self.suites.entry(suite.to_owned()).or_default().push(deb);
        self
    }

    /// Puts packages into a suite.
    #[must_use]
    pub fn debs(mut self, suite: &str, debs: impl IntoIterator<Item = DebBuilder>) -> Self {
        self.suites.entry(suite.to_owned()).or_default().extend(debs);
        self
    }

    /// When the suites were made; the first of 2025 unless told.
    #[must_use]
    pub fn date(mut self, date: &str) -> Self {
        date.clone_into(&mut self.date);
        self
    }

    /// When the suites expire, such as `Wed, 08 Jan 2020 00:00:00 UTC`; never unless told.
    #[must_use]
    pub fn valid_until(mut self, date: &str) -> Self {
        self.valid_until = Some(date.to_owned());
        self
    }

    /// With something wrong in it.
    #[must_use]
    pub fn fault(mut self, fault: ArchiveFault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Lays the archive into a directory and serves it.
    pub fn serve(&self) -> DebianArchive {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let key = signing_key(1);
        self.write_to(directory.path());
        let keyring = SignedPublicKey::from(key).to_armored_bytes(ArmorOptions::default()).expect("a key of ours");
        write(&directory.path().join(KEYRING), &keyring);
        DebianArchive { server: HttpServer::serve_dir(directory.path()), directory, keyring }
    }

    /// Lays the archive into a directory: `debian/` and `debian-security/`.
    pub fn write_to(&self, directory: &Path) {
        for (suite, debs) in &self.suites {
            let root = directory.join(if suite.ends_with("-security") { "debian-security" } else { "debian" });
            let mut indices = Vec::new();
            for architecture in &self.architectures {
                let (packages, contents) = self.write_pool(&root, debs, architecture);
                for compression in [Compression::None, Compression::Gzip, Compression::Xz] {
                    let name = format!("main/binary-{architecture}/Packages{}", compression.suffix());
                    indices.push((name, compression.compress(packages.as_bytes())));
                }
                let name = format!("main/Contents-{architecture}.gz");
                indices.push((name, Compression::Gzip.compress(contents.as_bytes())));
            }
            self.write_suite(&root, suite, &indices);
        }
    }

    /// Writes the packages of an architecture, and returns the texts of `Packages` and `Contents`.
    fn write_pool(&self, root: &Path, debs: &[DebBuilder], architecture: &str) -> (String, String) {
        let mut packages = String::new();
        let mut contents: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for deb in debs.iter().filter(|deb| deb.is_for(architecture)) {
            let letter = deb.package().chars().next().unwrap_or('x');
            let path = format!("pool/main/{letter}/{}/{}", deb.package(), deb.filename());
            let mut bytes = deb.build();
            let mut digest = Sha256::digest(&bytes);
            let size = bytes.len();
            let mut present = true;
            for fault in &self.faults {
                match fault {
                    ArchiveFault::WrongHash(package) if package == deb.package() => digest = Sha256::digest(b"other"),
                    ArchiveFault::Truncated(package, len) if package == deb.package() => bytes.truncate(*len),
                    ArchiveFault::Gone(package) if package == deb.package() => present = false,
                    _ => {}
                }
            }
            if present {
                write(&root.join(&path), &bytes);
            }
            let _ = writeln!(packages, "{}Filename: {path}\nSize: {size}\nSHA256: {}\n", deb.control(), hex(&digest));
            let place = format!("{}/{}", deb.section(), deb.package());
            for file in deb.paths() {
                contents.entry(file).or_default().push(place.clone());
            }
        }
        let contents = contents.iter().map(|(file, places)| format!("{file:<60} {}\n", places.join(","))).collect();
        (packages, contents)
    }

    fn write_suite(&self, root: &Path, suite: &str, files: &[(String, Vec<u8>)]) {
        let dists = root.join("dists").join(suite);
        let codename = suite.split('-').next().unwrap_or(suite);
        let mut release =
            format!("Origin: Debian\nLabel: Debian\nSuite: {suite}\nCodename: {suite}\nDate: {}\n", self.date);
        if let Some(date) = &self.valid_until {
            let _ = writeln!(release, "Valid-Until: {date}");
        }
        let _ = writeln!(
            release,
            "Acquire-By-Hash: yes\nArchitectures: all {}\nComponents: main\nDescription: a test archive of {codename}\nSHA256:",
            self.architectures.join(" ")
        );
        for (name, bytes) in files {
            let digest = hex(&Sha256::digest(bytes));
            let _ = writeln!(release, " {digest} {:>8} {name}", bytes.len());
            let mut bytes = bytes.clone();
            let swapped = |fault: &ArchiveFault| matches!(fault, ArchiveFault::OtherPackages(other) if other == suite);
            if self.faults.iter().any(swapped) {
                bytes.push(b'\n');
            }
            let file = dists.join(name);
            write(&file, &bytes);
            write(&file.with_file_name("by-hash").join("SHA256").join(digest), &bytes);
        }
        write(&dists.join("Release"), release.as_bytes());
        write(&dists.join("InRelease"), self.sign(suite, &release).as_bytes());
    }

    fn sign(&self, suite: &str, release: &str) -> String {
        let mut key = 1;
        let mut broken = false;
        for fault in &self.faults {
            match fault {
                ArchiveFault::BrokenSignature(other) if other == suite => broken = true,
                ArchiveFault::OtherKey(other) if other == suite => key = 2,
                ArchiveFault::Unsigned(other) if other == suite => return release.to_owned(),
                _ => {}
            }
        }
        let signed = clear_sign(release, &signing_key(key));
        if broken { signed.replacen("Label: Debian", "Label: Debiam", 1) } else { signed }
    }
}

/// A served archive. It goes when it is dropped.
pub struct DebianArchive {
    server: HttpServer,
    directory: TempDir,
    keyring: Vec<u8>,
}

impl DebianArchive {
    /// The mirror's URL, as `sources.list` has it for the release and its updates.
    pub fn url(&self) -> String {
        self.server.url("debian")
    }

    /// The mirror's URL for the security suites.
    pub fn security_url(&self) -> String {
        self.server.url("debian-security")
    }

    /// The text of an apt `.sources` file for the release, its updates and its security suite (sources.list(5)).
    pub fn sources(&self) -> String {
        let keyring = self.keyring_file();
        let stanza = |url: String, suites: &str| {
            format!("Types: deb\nURIs: {url}\nSuites: {suites}\nComponents: main\nSigned-By: {}\n", keyring.display())
        };
        let release = stanza(self.url(), "trixie trixie-updates");
        format!("{release}\n{}", stanza(self.security_url(), "trixie-security"))
    }

    /// A file with [`keyring`](Self::keyring) in it.
    pub fn keyring_file(&self) -> PathBuf {
        self.directory.path().join(KEYRING)
    }

    /// The certificate that the suites are signed with, armored.
    pub fn keyring(&self) -> &[u8] {
        &self.keyring
    }

    /// The directory that is served, to change what is in it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The server, for its log and for faults.
    pub fn server(&self) -> &HttpServer {
        &self.server
    }
}

/// An Ed25519 key made from a number, so that an archive's bytes are the same each time.
pub fn signing_key(seed: u64) -> SignedSecretKey {
    let params = SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_sign(true)
        .can_certify(true)
        .primary_user_id(format!("Test Archive {seed} <archive@example.invalid>"))
        .created_at(signed_at())
        .build()
        .expect("sound parameters");
    params.generate(rand::rngs::StdRng::seed_from_u64(seed)).expect("a key")
}

/// The first of 2025.
fn signed_at() -> Timestamp {
    Timestamp::from_secs(1_735_689_600)
}

/// The text in a clear-signed message (RFC 9580, section 7).
pub fn clear_sign(text: &str, key: &SignedSecretKey) -> String {
    let primary = &key.primary_key;
    let mut config = SignatureConfig::v4(SignatureType::Text, primary.algorithm(), HashAlgorithm::Sha512);
    let subpacket = |data| Subpacket::regular(data).expect("a short subpacket");
    config.hashed_subpackets = vec![
        subpacket(SubpacketData::SignatureCreationTime(signed_at())),
        subpacket(SubpacketData::IssuerFingerprint(primary.fingerprint())),
    ];
    config.unhashed_subpackets = vec![subpacket(SubpacketData::IssuerKeyId(primary.legacy_key_id()))];
    let message = CleartextSignedMessage::new(text, config, primary, &Password::empty()).expect("a key that signs");
    message.to_armored_string(ArmorOptions::default()).expect("memory takes all")
}

fn write(file: &Path, bytes: &[u8]) {
    fs::create_dir_all(file.parent().expect("a file has a directory")).expect("a writable directory");
    fs::write(file, bytes).expect("a writable directory");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn archive() -> DebianArchiveBuilder {
        let demo = DebBuilder::new("demo", "1").field("Section", "libs").file("usr/lib/libdemo.so.1", "x");
        DebianArchiveBuilder::new("amd64").deb("trixie", demo).deb("trixie-security", DebBuilder::new("demo", "2"))
    }

    #[test]
    fn the_signature_is_good_until_the_text_changes() {
        for (fault, good) in [(None, true), (Some(ArchiveFault::BrokenSignature("trixie".to_owned())), false)] {
            let mut archive = archive();
            archive.faults.extend(fault);
            let served = archive.serve();
            let text = fs::read_to_string(served.directory().join("debian/dists/trixie/InRelease")).unwrap();
            let (message, _) = CleartextSignedMessage::from_string(&text).unwrap();
            let key = SignedPublicKey::from(signing_key(1));
            assert_eq!(message.verify(&key).is_ok(), good);
        }
    }

    #[test]
    fn gpgv_agrees() {
        let served = archive().serve();
        let keyring = served.keyring_file();
        let dearmored = served.directory().join("keyring.gpg");
        let dearmor = Command::new("gpg").args(["--batch", "--dearmor", "-o"]).arg(&dearmored).arg(&keyring).output();
        let gpgv = |suite: &str| {
            let file = served.directory().join(suite).join("InRelease");
            Command::new("gpgv").arg("--keyring").arg(&dearmored).arg(file).output()
        };
        let outputs =
            dearmor.and_then(|_| Ok([gpgv("debian/dists/trixie")?, gpgv("debian-security/dists/trixie-security")?]));
        match outputs {
            Ok(outputs) => {
                for output in outputs {
                    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                }
            }
            Err(error) => eprintln!("not checked against gpgv: {error}"),
        }
    }

    #[test]
    fn what_a_suite_lists_is_there() {
        let served = archive().serve();
        let dists = served.directory().join("debian/dists/trixie");
        let packages = fs::read_to_string(dists.join("main/binary-amd64/Packages")).unwrap();
        let value = |field: &str| packages.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim();
        let deb = fs::read(served.directory().join("debian").join(value("Filename:"))).unwrap();
        assert_eq!((value("SHA256:"), value("Size:")), (hex(&Sha256::digest(&deb)).as_str(), &*deb.len().to_string()));
        let release = fs::read_to_string(dists.join("Release")).unwrap();
        for row in release.lines().filter(|line| line.starts_with(' ')) {
            let [digest, size, name] = [0, 1, 2].map(|n| row.split_whitespace().nth(n).unwrap());
            let bytes = fs::read(dists.join(name)).unwrap();
            assert_eq!((hex(&Sha256::digest(&bytes)).as_str(), &*bytes.len().to_string()), (digest, size), "{name}");
            assert!(dists.join(name).with_file_name("by-hash").join("SHA256").join(digest).exists(), "{name}");
        }
        let contents = fs::read(dists.join("main/Contents-amd64.gz")).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&contents[..]), &mut text).unwrap();
        assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["usr/lib/libdemo.so.1", "libs/demo"]);
    }

    #[test]
    fn an_archive_is_the_same_each_time() {
        let inrelease =
            |archive: &DebianArchive| fs::read(archive.directory().join("debian/dists/trixie/InRelease")).unwrap();
        assert_eq!(inrelease(&archive().serve()), inrelease(&archive().serve()));
    }
}
