//! Keys and signatures are made here, so that each can be wrong in one way.

use pgp::composed::{KeyType, SecretKeyParamsBuilder, SignedKeyDetails, SignedPublicKey, SignedSecretKey};
use pgp::crypto::ecc_curve::ECCCurve;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{KeyFlags, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{Duration, KeyDetails as _, Password, SignedUser, Tag, Timestamp};
use rand::SeedableRng as _;

use super::*;

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;
const TEXT: &str = "Origin: Test\nSuite: stable\nCodename: trixie\nDate: Fri, 01 Jan 2027 00:00:00 UTC\nValid-Until: Tue, 01 Jan 2036 00:00:00 UTC\n\
    Acquire-By-Hash: yes\nComponents: main\nArchitectures: all amd64\nDescription: -dashes\nSHA256:\n \
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-amd64/Packages\n \
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 9 main/binary-amd64/Packages.gz\n";

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(u32::try_from(seconds).unwrap())
}

fn subpackets(data: Vec<SubpacketData>) -> Vec<Subpacket> {
    data.into_iter().map(|data| Subpacket::regular(data).unwrap()).collect()
}

/// A key that was made a year before [`NOW`].
fn secret(seed: u64) -> SignedSecretKey {
    secret_of(KeyType::ECDSA(ECCCurve::P256), seed)
}

fn secret_of(key_type: KeyType, seed: u64) -> SignedSecretKey {
    let mut params = SecretKeyParamsBuilder::default();
    params.key_type(key_type).can_certify(true).can_sign(true).primary_user_id("Test <t@example.org>".into());
    params.created_at(at(NOW - 365 * DAY));
    params.build().unwrap().generate(rand::rngs::StdRng::seed_from_u64(seed)).unwrap()
}

/// The certificate of a key, with a self-signature that says this, made 300 days before [`NOW`].
fn certificate(key: &SignedSecretKey, says: Vec<SubpacketData>, hash: HashAlgorithm) -> SignedPublicKey {
    let public = key.primary_key.public_key().clone();
    let id = key.details.users[0].id.clone();
    let mut config = SignatureConfig::v4(SignatureType::CertPositive, public.algorithm(), hash);
    config.hashed_subpackets = subpackets(
        [
            vec![
                SubpacketData::SignatureCreationTime(at(NOW - 300 * DAY)),
                SubpacketData::IssuerFingerprint(public.fingerprint()),
            ],
            says,
        ]
        .concat(),
    );
    let binding = config.sign_certification(&key.primary_key, &public, &Password::empty(), Tag::UserId, &id).unwrap();
    let details = SignedKeyDetails::new(vec![], vec![], vec![SignedUser::new(id, vec![binding])], vec![]);
    SignedPublicKey { primary_key: public, details, public_subkeys: vec![] }
}

fn keyring(certificate: &SignedPublicKey) -> Keyring {
    Keyring::from_bytes(&certificate.to_bytes().unwrap()).unwrap()
}

struct Signing {
    made: u64,
    hash: HashAlgorithm,
    lifetime: u32,
}

impl Default for Signing {
    fn default() -> Self {
        Self { made: NOW - 10 * DAY, hash: HashAlgorithm::Sha256, lifetime: 0 }
    }
}

impl Signing {
    fn sign(&self, key: &SignedSecretKey, text: &str) -> Signature {
        let mut config = SignatureConfig::v4(SignatureType::Text, key.algorithm(), self.hash);
        config.hashed_subpackets = subpackets(vec![
            SubpacketData::SignatureCreationTime(at(self.made)),
            SubpacketData::IssuerFingerprint(key.fingerprint()),
            SubpacketData::SignatureExpirationTime(Duration::from_secs(self.lifetime)),
        ]);
        config.sign(&key.primary_key, &Password::empty(), text.trim_end().as_bytes()).unwrap()
    }

    fn message(&self, keys: &[&SignedSecretKey], text: &str) -> String {
        let sign = |_: &str| Ok(keys.iter().map(|key| self.sign(key, text)).collect());
        let message = pgp::composed::CleartextSignedMessage::new_many(text.trim_end(), sign).unwrap();
        message.to_armored_string(Default::default()).unwrap()
    }
}

fn verify(message: &str, keyring: &Keyring) -> Result<Release, ReleaseError> {
    Release::verify(message.as_bytes(), keyring, NOW)
}

#[test]
fn what_is_signed_is_read() {
    let key = secret(1);
    let release =
        verify(&Signing::default().message(&[&key], TEXT), &keyring(&certificate(&key, vec![], HashAlgorithm::Sha256)))
            .unwrap();
    assert_eq!(release.codename.as_deref(), Some("trixie"));
    assert_eq!(release.architectures, ["all", "amd64"]);
    assert_eq!(release.signers()[0].owner, "Test <t@example.org>");
    let (path, file) = release.find("main/binary-amd64/Packages", &[Compression::Xz, Compression::Gzip]).unwrap();
    assert_eq!((path.as_str(), file.size), ("main/binary-amd64/Packages.gz", 9));
    assert_eq!(
        release.fetch_path(&path, file),
        "main/binary-amd64/by-hash/SHA256/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}

#[test]
fn one_good_signature_of_several_is_enough() {
    let (known, unknown) = (secret(1), secret(2));
    let message = Signing::default().message(&[&unknown, &known], TEXT);
    let keyring = keyring(&certificate(&known, vec![], HashAlgorithm::Sha256));
    assert_eq!(verify(&message, &keyring).unwrap().signers().len(), 1);
    let error = verify(&Signing::default().message(&[&unknown], TEXT), &keyring).unwrap_err();
    let ReleaseError::NotTrusted(faults) = &error else { panic!("{error}") };
    assert_eq!(faults[..], [SignatureFault::UnknownKey(format!("{:X}", unknown.fingerprint()))]);
    assert!(error.hint().unwrap().contains("private archive"));
}

fn faults(result: Result<Release, ReleaseError>) -> Vec<SignatureFault> {
    match result {
        Ok(_) => vec![],
        Err(ReleaseError::NotTrusted(faults)) => faults,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn hashes_that_can_be_forged_do_not_count() {
    // No other kind of key can be brought to sign with SHA-1.
    let key = secret_of(KeyType::Rsa(2048), 1);
    let fingerprint = format!("{:X}", key.fingerprint());
    let certificate = |hash| keyring(&certificate(&key, vec![], hash));
    let message = |hash| Signing { hash, ..Signing::default() }.message(&[&key], TEXT);
    let (sha1, sha2) = (HashAlgorithm::Sha1, HashAlgorithm::Sha512);
    assert_eq!(faults(verify(&message(sha2), &certificate(sha2))), []);
    assert_eq!(faults(verify(&message(sha1), &certificate(sha2))), [SignatureFault::WeakHash(fingerprint.clone())]);
    assert_eq!(faults(verify(&message(sha2), &certificate(sha1))), [SignatureFault::UnfitKey(fingerprint)]);
}

#[test]
fn keys_and_signatures_have_to_be_in_their_time() {
    let key = secret(1);
    let fine = || certificate(&key, vec![], HashAlgorithm::Sha256);
    let lifetime = |days: u64| SubpacketData::KeyExpirationTime(Duration::from_secs((days * DAY) as u32));
    let mut revoked = fine();
    let mut revocation = SignatureConfig::v4(SignatureType::KeyRevocation, key.algorithm(), HashAlgorithm::Sha256);
    revocation.hashed_subpackets = subpackets(vec![SubpacketData::SignatureCreationTime(at(NOW - DAY))]);
    let revocation = revocation.sign_key(&key.primary_key, &Password::empty(), &revoked.primary_key).unwrap();
    revoked.details.revocation_signatures.push(revocation);
    let mut stranger = fine();
    stranger.details = certificate(&secret(2), vec![], HashAlgorithm::Sha256).details;
    let mut flags = KeyFlags::default();
    flags.set_certify(true);

    let signing = Signing::default;
    let fingerprint = format!("{:X}", key.fingerprint());
    for (signing, certificate, fault) in [
        (signing(), certificate(&key, vec![lifetime(366)], HashAlgorithm::Sha256), None),
        (
            signing(),
            certificate(&key, vec![lifetime(364)], HashAlgorithm::Sha256),
            Some(SignatureFault::ExpiredKey(fingerprint.clone(), NOW - DAY)),
        ),
        (signing(), revoked, Some(SignatureFault::RevokedKey(fingerprint.clone()))),
        (signing(), stranger, Some(SignatureFault::UnfitKey(fingerprint.clone()))),
        (
            signing(),
            certificate(&key, vec![SubpacketData::KeyFlags(flags)], HashAlgorithm::Sha256),
            Some(SignatureFault::UnfitKey(fingerprint)),
        ),
        (Signing { made: NOW + 60, ..signing() }, fine(), None),
        (Signing { made: NOW + DAY, ..signing() }, fine(), Some(SignatureFault::FromFuture(NOW + DAY))),
        (Signing { lifetime: 11 * DAY as u32, ..signing() }, fine(), None),
        (Signing { lifetime: DAY as u32, ..signing() }, fine(), Some(SignatureFault::Expired(NOW - 9 * DAY))),
    ] {
        let faults = faults(verify(&signing.message(&[&key], TEXT), &keyring(&certificate)));
        assert_eq!(faults, fault.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn the_release_has_to_be_in_its_time() {
    let key = secret(1);
    let keyring = keyring(&certificate(&key, vec![], HashAlgorithm::Sha256));
    let error = |from: &str, to: &str| {
        verify(&Signing::default().message(&[&key], &TEXT.replace(from, to)), &keyring).unwrap_err()
    };
    insta::assert_snapshot!(error("2036", "2026"), @"InRelease expired on 2026-01-01 00:00 UTC, and here it is 2027-01-15 08:00 UTC");
    insta::assert_snapshot!(error("01 Jan 2027", "01 Mar 2027"), @"InRelease is dated 2027-03-01 00:00 UTC, and here it is 2027-01-15 08:00 UTC");
    insta::assert_snapshot!(error("Date: Fri", "Dat: Fri"), @"InRelease has no field `Date`");
    insta::assert_snapshot!(error("UTC\nValid", "CET\nValid"), @"InRelease, field `Date`: `Fri, 01 Jan 2027 00:00:00 CET` is not a date");
    insta::assert_snapshot!(error("main/binary-amd64/Packages\n", "../Packages\n"), @"InRelease, field `SHA256`: `e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 ../Packages` is not a hash, a size and a path");
    let old = Signing::default().message(&[&key], &TEXT.replace("2036", "2026"));
    assert!(Release::verify_signature(old.as_bytes(), &keyring, NOW).is_ok());
}

#[test]
fn only_the_signed_text_counts() {
    let key = secret(1);
    let keyring = keyring(&certificate(&key, vec![], HashAlgorithm::Sha256));
    let message = Signing::default().message(&[&key], TEXT);
    assert!(verify(&message.replace('\n', "\r\n"), &keyring).is_ok());
    let error = |message: &str| verify(message, &keyring).unwrap_err().to_string();
    insta::assert_snapshot!(error(&message.replace("stable", "stab1e")), @"InRelease has no good signature: the signature of 369582EF41E63DA51CAC94336E693EDEF46462C6 does not fit the text");
    insta::assert_snapshot!(error(&format!("Origin: Evil\n{message}")), @"InRelease, line 1: text stands before the signed message");
    insta::assert_snapshot!(error(&format!("{message}\nOrigin: Evil\n")), @"InRelease, line 24: text stands after the signature");
    insta::assert_snapshot!(error(&message.replace("Hash: SHA256\n", "Hash: SHA256\nOrigin: Evil\n")), @"InRelease, line 3: only `Hash:` may stand in the head of a signed message");
    insta::assert_snapshot!(error(&message.replace("Suite", "-----\nSuite")), @"InRelease, line 5: a line of the signed text starts with a bare `-`");
    insta::assert_snapshot!(error(&message[..message.len() / 2]), @"InRelease, line 1: the signature is missing: the file was cut short");
    insta::assert_snapshot!(error(&message[..message.len() - 40]), @"InRelease, line 16: the signature was cut short");
    insta::assert_snapshot!(error(TEXT), @"InRelease, line 1: it is not a clear-signed message");
    insta::assert_snapshot!(error("<html>Please log in</html>"), @"InRelease, line 1: it is not a clear-signed message");
    assert!(Release::verify(&[0xff; 100], &keyring, NOW).is_err());
}

#[test]
fn the_keys_of_debian_are_all_there_and_all_fit() {
    let debian = Keyring::debian().unwrap();
    assert_eq!(debian.fingerprints().count(), 9);
    assert!(debian.fingerprints().any(|f| f == "41587F7DB8C774BCCF131416762F67A0B2C39DE4"));
    // Armor, twice, is read like the packets themselves.
    let key = certificate(&secret(1), vec![], HashAlgorithm::Sha256);
    let armor = key.to_armored_string(Default::default()).unwrap();
    assert_eq!(Keyring::from_bytes(format!("note\n{armor}\n{armor}").as_bytes()).unwrap().fingerprints().count(), 2);
    for bad in [&b""[..], b"hello", &[0x99, 0xff], &[0xff; 9]] {
        assert!(Keyring::from_bytes(bad).is_err());
    }
}
