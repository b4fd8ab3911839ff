//! `InRelease`: the one signed file from which the hashes of all others follow.
//!
//! 1. The file is taken apart as a clear-signed message; nothing outside of the signed text is looked at.
//! 2. One good signature by a key of the [`Keyring`] is enough, as for `apt`: during a transition a suite is signed with old
//!    and new keys. Good means: strong hash, in its time, by a key that is neither expired nor revoked.
//! 3. `Date` and `Valid-Until` are checked, so that nobody can serve last year's archive with its known holes.
//!
//! The fields are those of the repository format (<https://wiki.debian.org/DebianRepository/Format>).

mod date;

use std::collections::BTreeMap;

use jettison_tree::Digest;

pub use crate::clearsign::ClearSignError;
use crate::clearsign::ClearSigned;
use crate::compression::Compression;
use crate::control::{ControlError, Paragraph};
use crate::keyring::{self, CLOCK_SKEW, KeyFault, Keyring, TimeFault};

/// An `InRelease` larger than this is not one; that of sid has 200 kB.
const SIZE_LIMIT: usize = 16 << 20;

/// What a suite is, and the hashes of its indices.
#[derive(Debug, Clone)]
pub struct Release {
    /// Whose archive it is: `Debian`.
    pub origin: Option<String>,
    /// `Debian`, `Debian-Security`.
    pub label: Option<String>,
    /// What the suite is at the time: `stable`, `oldstable-security`.
    pub suite: Option<String>,
    /// What it always will be: `trixie`.
    pub codename: Option<String>,
    /// The point release: `13.1`.
    pub version: Option<String>,
    /// When it was made, in seconds since the epoch.
    pub date: u64,
    /// Until when it may be used, in seconds since the epoch.
    pub valid_until: Option<u64>,
    /// `main`, `contrib`. A security suite may write `updates/main`.
    pub components: Vec<String>,
    /// Names of architectures, `all` among them where there are indices for it.
    pub architectures: Vec<String>,
    /// Whether indices can be had by their hash, which is safe against a mirror in the middle of an update.
    pub acquire_by_hash: bool,
    files: BTreeMap<String, IndexFile>,
    signers: Vec<Signer>,
}

/// The size and hash of a file of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexFile {
    /// SHA-256.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The fingerprint of the key, upper-case hex.
    pub fingerprint: String,
    /// The user id of its owner.
    pub owner: String,
}

impl Release {
    /// Checks the signatures and the dates of an `InRelease` file, and reads what is signed.
    /// `now` is in seconds since the epoch.
    pub fn verify(in_release: &[u8], keyring: &Keyring, now: u64) -> Result<Self, ReleaseError> {
        let release = Self::verify_signature(in_release, keyring, now)?;
        release.check_dates(now)?;
        Ok(release)
    }

    /// Checks the signatures alone: for snapshots and archives that are no longer updated, where the caller knows that an
    /// old state is wanted. Keys and signatures must still be good at `now`.
    pub fn verify_signature(in_release: &[u8], keyring: &Keyring, now: u64) -> Result<Self, ReleaseError> {
        if in_release.len() > SIZE_LIMIT {
            return Err(ReleaseError::TooLarge);
        }
        let text = std::str::from_utf8(in_release).map_err(|_| ReleaseError::NotText)?;
        let message = ClearSigned::parse(text)?;
        let (mut signers, mut faults) = (Vec::new(), Vec::new());
        for signature in &message.signatures {
            match check_signature(signature, &message.signed, keyring, now) {
                Ok(signer) => signers.push(signer),
                Err(fault) => faults.push(fault),
            }
        }
        if signers.is_empty() {
            return Err(ReleaseError::NotTrusted(faults));
        }
        Ok(Self { signers, ..Self::parse(&message.text)? })
    }

    /// Checks that it was made before `now`, and that `now` is before `Valid-Until`. A minute does not matter.
    pub fn check_dates(&self, now: u64) -> Result<(), ReleaseError> {
        if self.date > now + CLOCK_SKEW {
            return Err(ReleaseError::FromFuture { date: self.date, now });
        }
        match self.valid_until {
            Some(until) if until + CLOCK_SKEW < now => Err(ReleaseError::Expired { until, now }),
            _ => Ok(()),
        }
    }

    /// Parses the text of a `Release` file. Nothing vouches for it: [`verify`](Self::verify) is what to use.
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        let paragraph = Paragraph::parse(text)?;
        let owned = |name| paragraph.get(name).map(str::to_owned);
        let list = |name| paragraph.words(name).map(str::to_owned).collect();
        let time = |field: &'static str| match paragraph.get(field) {
            None => Ok(None),
            Some(value) => {
                date::parse(value).map(Some).ok_or_else(|| ReleaseError::Date { field, value: value.to_owned() })
            }
        };
        let date = time("Date")?.ok_or(ReleaseError::Missing("Date"))?;
        paragraph.get("SHA256").ok_or(ReleaseError::Missing("SHA256"))?;
        let mut files = BTreeMap::new();
        for line in paragraph.lines("SHA256") {
            let (name, file) = parse_file(line).ok_or_else(|| ReleaseError::File(line.to_owned()))?;
            files.insert(name.to_owned(), file);
        }
        Ok(Self {
            origin: owned("Origin"),
            label: owned("Label"),
            suite: owned("Suite"),
            codename: owned("Codename"),
            version: owned("Version"),
            date,
            valid_until: time("Valid-Until")?,
            components: list("Components"),
            architectures: list("Architectures"),
            acquire_by_hash: paragraph.get("Acquire-By-Hash").is_some_and(|value| value.eq_ignore_ascii_case("yes")),
            files,
            signers: Vec::new(),
        })
    }

    /// The keys whose signatures are good.
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// The hash of a file, by its path below the suite, such as `main/binary-amd64/Packages.xz`.
    pub fn file(&self, path: &str) -> Option<IndexFile> {
        self.files.get(path).copied()
    }

    /// All files with their paths below the suite.
    pub fn files(&self) -> impl Iterator<Item = (&str, IndexFile)> {
        self.files.iter().map(|(path, file)| (path.as_str(), *file))
    }

    /// The first form in which the suite has an index such as `main/binary-amd64/Packages`, in order of preference.
    pub fn find(&self, path: &str, preference: &[Compression]) -> Option<(String, IndexFile)> {
        preference.iter().find_map(|compression| {
            let path = format!("{path}{}", compression.suffix());
            self.file(&path).map(|file| (path, file))
        })
    }

    /// Where to fetch a file from, below the suite: by its hash where the archive can, else as it is called.
    pub fn fetch_path(&self, path: &str, file: IndexFile) -> String {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        match self.acquire_by_hash {
            true => format!("{directory}/by-hash/SHA256/{}", file.digest.hex()).trim_start_matches('/').to_owned(),
            false => path.to_owned(),
        }
    }
}

/// `<hash> <size> <path>`, where the path stays inside of the suite.
fn parse_file(line: &str) -> Option<(&str, IndexFile)> {
    let mut words = line.split_ascii_whitespace();
    let (hash, size, path) = (words.next()?, words.next()?, words.next()?);
    let inside = !path.starts_with('/') && path.split('/').all(|part| part != "..");
    let file = IndexFile { digest: Digest::from_hex(hash).ok()?, size: size.parse().ok()? };
    (inside && words.next().is_none()).then_some((path, file))
}

fn check_signature(
    signature: &pgp::packet::Signature,
    signed: &[u8],
    keyring: &Keyring,
    now: u64,
) -> Result<Signer, SignatureFault> {
    use pgp::packet::SignatureType::{Binary, Text};
    if !matches!(signature.typ(), Some(Text | Binary)) || keyring::has_unknown_critical(signature) {
        return Err(SignatureFault::Unsupported);
    }
    let issuers = keyring.issuers(signature);
    if issuers.is_empty() {
        let fingerprint = signature.issuer_fingerprint().first().map(|fingerprint| format!("{fingerprint:X}"));
        let id = || signature.issuer_key_id().first().map(|id| id.to_string().to_uppercase());
        return Err(SignatureFault::UnknownKey(fingerprint.or_else(id).unwrap_or_default()));
    }
    let Some(key) = issuers.iter().find(|key| key.made(signature, signed)) else {
        return Err(SignatureFault::Broken(issuers[0].fingerprint()));
    };
    if !keyring::is_strong(signature) {
        return Err(SignatureFault::WeakHash(key.fingerprint()));
    }
    keyring::signature_time(signature, now).map_err(|fault| match fault {
        TimeFault::None => SignatureFault::Unsupported,
        TimeFault::Future(at) => SignatureFault::FromFuture(at),
        TimeFault::Expired(at) => SignatureFault::Expired(at),
    })?;
    key.check(now).map_err(|fault| match fault {
        KeyFault::Revoked => SignatureFault::RevokedKey(key.fingerprint()),
        KeyFault::Expired(at) => SignatureFault::ExpiredKey(key.fingerprint(), at),
        KeyFault::NotYet | KeyFault::Unbound | KeyFault::NotForSigning => SignatureFault::UnfitKey(key.fingerprint()),
    })?;
    Ok(Signer { fingerprint: key.fingerprint(), owner: key.owner() })
}

/// An `InRelease` file that is not to be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// It is too large to be one.
    #[error("InRelease is larger than {SIZE_LIMIT} bytes")]
    TooLarge,
    /// It is not text.
    #[error("InRelease is not UTF-8 text")]
    NotText,
    /// It is not a clear-signed message, or not one whole.
    #[error("InRelease, {0}")]
    NotSigned(#[from] ClearSignError),
    /// None of its signatures counts.
    #[error("InRelease has no good signature: {}", join(.0))]
    NotTrusted(Vec<SignatureFault>),
    /// The signed text is not control data.
    #[error("InRelease, signed text, {0}")]
    Control(#[from] ControlError),
    /// A field that must be there is not.
    #[error("InRelease has no field `{0}`")]
    Missing(&'static str),
    /// A date is not one.
    #[error("InRelease, field `{field}`: `{value}` is not a date")]
    Date {
        /// The field.
        field: &'static str,
        /// What it says.
        value: String,
    },
    /// A line of the list of files is not one.
    #[error("InRelease, field `SHA256`: `{}` is not a hash, a size and a path", .0.escape_debug())]
    File(String),
    /// It was made after now.
    #[error("InRelease is dated {}, and here it is {}", date::Utc(*date), date::Utc(*now))]
    FromFuture {
        /// Seconds since the epoch.
        date: u64,
        /// Seconds since the epoch.
        now: u64,
    },
    /// Its time is over.
    #[error("InRelease expired on {}, and here it is {}", date::Utc(*until), date::Utc(*now))]
    Expired {
        /// Seconds since the epoch.
        until: u64,
        /// Seconds since the epoch.
        now: u64,
    },
}

impl ReleaseError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::TooLarge | Self::NotText | Self::NotSigned(_) => {
                "something between here and the archive answers in its place (a proxy, a login page) or the mirror is broken; \
                 fetch the address by hand, or use another mirror"
            }
            Self::NotTrusted(faults) => return faults.first().map(SignatureFault::hint),
            Self::FromFuture { .. } => "check the clock of this machine",
            Self::Expired { .. } => {
                "the mirror is no longer updated, or the clock of this machine is wrong; use another mirror"
            }
            Self::Control(_) | Self::Missing(_) | Self::Date { .. } | Self::File(_) => {
                "the archive was signed as it is: tell who runs it"
            }
        };
        Some(hint.to_owned())
    }
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum SignatureFault {
    /// The text is not what the key signed.
    #[error("the signature of {0} does not fit the text")]
    Broken(String),
    /// The key is not in the keyring.
    #[error("it is signed by {0}, a key that is not in the keyring")]
    UnknownKey(String),
    /// The key's time is over.
    #[error("the key {0} expired on {at}", at = date::Utc(*.1))]
    ExpiredKey(String, u64),
    /// The key was revoked.
    #[error("the key {0} was revoked")]
    RevokedKey(String),
    /// The key does not hold together, or may not sign.
    #[error("the key {0} is not one that may sign")]
    UnfitKey(String),
    /// The signature's own time is over.
    #[error("the signature expired on {at}", at = date::Utc(*.0))]
    Expired(u64),
    /// The signature was made after now.
    #[error("the signature was made in the future, on {at}", at = date::Utc(*.0))]
    FromFuture(u64),
    /// MD5 or SHA-1.
    #[error("the signature of {0} uses a hash that can be forged")]
    WeakHash(String),
    /// Not a signature over a text, or with demands that nobody knows.
    #[error("the signature is of a kind that is not supported")]
    Unsupported,
}

impl SignatureFault {
    fn hint(&self) -> String {
        let hint = match self {
            Self::Broken(_) => "the file was changed on its way or on the mirror; try again, then another mirror",
            Self::UnknownKey(_) => {
                "for a private archive, give its public key; for Debian, a newer release knows newer keys"
            }
            Self::ExpiredKey(..) => "get the archive's present key, and check the clock of this machine",
            Self::Expired(_) | Self::FromFuture(_) => "check the clock of this machine; then use another mirror",
            Self::RevokedKey(_) | Self::UnfitKey(_) | Self::WeakHash(_) | Self::Unsupported => {
                "ask who runs the archive for a present key and signature"
            }
        };
        hint.to_owned()
    }
}

fn join(faults: &[SignatureFault]) -> String {
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    faults.join("; ")
}

#[cfg(test)]
mod tests;
