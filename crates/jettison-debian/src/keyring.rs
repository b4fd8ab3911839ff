//! The keys whose signatures count (RFC 9580).
//!
//! rPGP checks the mathematics of a signature and nothing else. What makes a key a key of its owner is decided here: it has
//! a self-signature that holds, it may sign, it was not revoked, and its time has not run out.

use pgp::armor::BlockType;
use pgp::composed::{Deserializable as _, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SubpacketData};
use pgp::types::{KeyDetails, Tag, VerifyingKey};

/// Clocks may differ by this many seconds before a time lies in the future.
pub(crate) const CLOCK_SKEW: u64 = 600;
/// A keyring larger than this is not one.
const SIZE_LIMIT: usize = 8 << 20;

/// OpenPGP certificates.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    certificates: Vec<SignedPublicKey>,
}

impl Keyring {
    /// The keys of the Debian archive, compiled in: bullseye to trixie, which also sign testing and sid.
    pub fn debian() -> Result<Self, KeyringError> {
        let mut all = Self::default();
        for bytes in [
            &include_bytes!("../keys/bullseye-automatic.pgp")[..],
            include_bytes!("../keys/bullseye-security-automatic.pgp"),
            include_bytes!("../keys/bullseye-stable.pgp"),
            include_bytes!("../keys/bookworm-automatic.pgp"),
            include_bytes!("../keys/bookworm-security-automatic.pgp"),
            include_bytes!("../keys/bookworm-stable.pgp"),
            include_bytes!("../keys/trixie-automatic.pgp"),
            include_bytes!("../keys/trixie-security-automatic.pgp"),
            include_bytes!("../keys/trixie-stable.pgp"),
        ] {
            all.extend(Self::from_bytes(bytes)?);
        }
        Ok(all)
    }

    /// The certificates in a file, binary or armored; several armored blocks may follow each other.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyringError> {
        if bytes.len() > SIZE_LIMIT {
            return Err(KeyringError::TooLarge);
        }
        let mut keyring = Self::default();
        // The high bit marks a packet header (RFC 9580, 4.2); no text starts with it.
        if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
            keyring.push_packets(bytes)?;
        } else {
            let text = std::str::from_utf8(bytes).map_err(|_| KeyringError::Empty)?;
            let begin = format!("-----BEGIN {}-----", BlockType::PublicKey);
            for (start, _) in text.match_indices(&begin) {
                let (certificates, _) = SignedPublicKey::from_armor_many_buf(&bytes[start..]).map_err(broken)?;
                for certificate in certificates {
                    keyring.certificates.push(certificate.map_err(broken)?);
                }
            }
        }
        if keyring.certificates.is_empty() { Err(KeyringError::Empty) } else { Ok(keyring) }
    }

    fn push_packets(&mut self, bytes: &[u8]) -> Result<(), KeyringError> {
        for certificate in SignedPublicKey::from_bytes_many(bytes).map_err(broken)? {
            self.certificates.push(certificate.map_err(broken)?);
        }
        Ok(())
    }

    /// Adds the certificates of another keyring.
    pub fn extend(&mut self, other: Self) {
        self.certificates.extend(other.certificates);
    }

    /// The upper-case hex fingerprints of the certificates.
    pub fn fingerprints(&self) -> impl Iterator<Item = String> {
        self.certificates.iter().map(|certificate| format!("{:X}", certificate.fingerprint()))
    }

    /// The keys that a signature says it is from; all keys, where it does not say.
    pub(crate) fn issuers<'a>(&'a self, signature: &Signature) -> Vec<Key<'a>> {
        let (ids, fingerprints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
        let anyone = ids.is_empty() && fingerprints.is_empty();
        let named = |key: &dyn KeyDetails| {
            anyone || ids.contains(&&key.legacy_key_id()) || fingerprints.contains(&&key.fingerprint())
        };
        let mut found = Vec::new();
        for certificate in &self.certificates {
            if named(&certificate.primary_key) {
                found.push(Key { certificate, subkey: None });
            }
            let subkeys = certificate.public_subkeys.iter().filter(|subkey| named(&subkey.key));
            found.extend(subkeys.map(|subkey| Key { certificate, subkey: Some(subkey) }));
        }
        found
    }
}

fn broken(error: pgp::errors::Error) -> KeyringError {
    KeyringError::Broken(error.to_string())
}

/// One key of a certificate.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a> {
    certificate: &'a SignedPublicKey,
    subkey: Option<&'a SignedPublicSubKey>,
}

impl Key<'_> {
    /// The fingerprint in upper-case hex.
    pub(crate) fn fingerprint(&self) -> String {
        let fingerprint = self.subkey.map_or_else(|| self.certificate.fingerprint(), |subkey| subkey.fingerprint());
        format!("{fingerprint:X}")
    }

    /// The first user id of the certificate.
    pub(crate) fn owner(&self) -> String {
        let user = self.certificate.details.users.first().and_then(|user| user.id.as_str());
        user.unwrap_or_default().escape_debug().to_string()
    }

    /// Checks that the key made the signature over these bytes.
    pub(crate) fn made(&self, signature: &Signature, signed: &[u8]) -> bool {
        match self.subkey {
            None => signature.verify(&self.certificate.primary_key, signed).is_ok(),
            Some(subkey) => signature.verify(&subkey.key, signed).is_ok(),
        }
    }

    /// Checks that the key may sign at `now`, in seconds since the epoch.
    pub(crate) fn check(&self, now: u64) -> Result<(), KeyFault> {
        let primary = &self.certificate.primary_key;
        let details = &self.certificate.details;
        if details.revocation_signatures.iter().any(|revocation| revocation.verify_key(primary).is_ok()) {
            return Err(KeyFault::Revoked);
        }
        let certifications = details.users.iter().flat_map(|user| {
            let certified = |s: &&Signature| {
                s.typ() != Some(SignatureType::CertRevocation)
                    && s.verify_certification(primary, Tag::UserId, &user.id).is_ok()
            };
            user.signatures.iter().filter(certified)
        });
        // A user id says what the key is for; direct signatures do where there is no user id (RFC 9580, 5.2.3.10).
        let direct = || details.direct_signatures.iter().filter(|signature| signature.verify_key(primary).is_ok());
        let binding = newest(certifications, now).or_else(|| newest(direct(), now)).ok_or(KeyFault::Unbound)?;
        in_time(primary, binding, now)?;
        let Some(subkey) = self.subkey else {
            return if may_sign(binding) { Ok(()) } else { Err(KeyFault::NotForSigning) };
        };

        let bound = |s: &&Signature| s.verify_subkey_binding(primary, &subkey.key).is_ok();
        let (revocations, bindings): (Vec<_>, Vec<_>) =
            subkey.signatures.iter().filter(bound).partition(|s| s.typ() == Some(SignatureType::SubkeyRevocation));
        if !revocations.is_empty() {
            return Err(KeyFault::Revoked);
        }
        let binding = newest(bindings.into_iter(), now).ok_or(KeyFault::Unbound)?;
        in_time(&subkey.key, binding, now)?;
        // Without the subkey's own word, anyone could bind a stranger's key to theirs (RFC 9580, 10.1.5).
        let agreed = binding
            .embedded_signature()
            .is_some_and(|back| is_strong(back) && back.verify_primary_key_binding(&subkey.key, primary).is_ok());
        if may_sign(binding) && agreed { Ok(()) } else { Err(KeyFault::NotForSigning) }
    }
}

/// The newest of signatures that are strong and in their time.
fn newest<'a>(signatures: impl Iterator<Item = &'a Signature>, now: u64) -> Option<&'a Signature> {
    let good = signatures.filter(|s| is_strong(s) && !has_unknown_critical(s) && signature_time(s, now).is_ok());
    good.max_by_key(|signature| signature.created())
}

fn in_time(key: &impl VerifyingKey, binding: &Signature, now: u64) -> Result<(), KeyFault> {
    let created = u64::from(key.created_at().as_secs());
    if created > now + CLOCK_SKEW {
        return Err(KeyFault::NotYet);
    }
    match binding.key_expiration_time().map_or(0, |duration| duration.as_secs()) {
        0 => Ok(()),
        lifetime if created + u64::from(lifetime) > now => Ok(()),
        lifetime => Err(KeyFault::Expired(created + u64::from(lifetime))),
    }
}

/// A key without flags may do what its algorithm can (RFC 9580, 5.2.3.29).
fn may_sign(binding: &Signature) -> bool {
    let Some(config) = binding.config() else { return false };
    let mut flags = config.hashed_subpackets().filter_map(|subpacket| match &subpacket.data {
        SubpacketData::KeyFlags(flags) => Some(flags.sign()),
        _ => None,
    });
    flags.next().unwrap_or(true)
}

/// Checks the time that a signature says it was made, and for how long it holds.
pub(crate) fn signature_time(signature: &Signature, now: u64) -> Result<(), TimeFault> {
    let Some(created) = signature.created() else { return Err(TimeFault::None) };
    let created = u64::from(created.as_secs());
    if created > now + CLOCK_SKEW {
        return Err(TimeFault::Future(created));
    }
    match signature.signature_expiration_time().map_or(0, |duration| duration.as_secs()) {
        0 => Ok(()),
        lifetime if created + u64::from(lifetime) > now => Ok(()),
        lifetime => Err(TimeFault::Expired(created + u64::from(lifetime))),
    }
}

/// Whether its hash can still be trusted: SHA-2 and SHA-3, as `apt` has it.
pub(crate) fn is_strong(signature: &Signature) -> bool {
    use HashAlgorithm::{Sha3_256, Sha3_512, Sha256, Sha384, Sha512};
    matches!(signature.hash_alg(), Some(Sha256 | Sha384 | Sha512 | Sha3_256 | Sha3_512))
}

/// Whether it says something that must be understood and is not (RFC 9580, 5.2.3.7).
pub(crate) fn has_unknown_critical(signature: &Signature) -> bool {
    let unknown = |data: &SubpacketData| {
        matches!(data, SubpacketData::Notation(_) | SubpacketData::Experimental(..) | SubpacketData::Other(..))
    };
    signature.config().is_none_or(|config| config.hashed_subpackets().any(|s| s.is_critical && unknown(&s.data)))
}

/// Why a key may not sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyFault {
    Revoked,
    Expired(u64),
    NotYet,
    Unbound,
    NotForSigning,
}

/// Why the time of a signature is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimeFault {
    None,
    Future(u64),
    Expired(u64),
}

/// A file that is no keyring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// There is no certificate in it.
    #[error("there is no OpenPGP public key in it")]
    Empty,
    /// It is too large to be one.
    #[error("it is larger than {SIZE_LIMIT} bytes")]
    TooLarge,
    /// A certificate cannot be read.
    #[error("a public key in it cannot be read: {0}")]
    Broken(String),
}

impl KeyringError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some("give the public key of the archive, as `gpg --export` or `gpg --export --armor` writes it".to_owned())
    }
}
