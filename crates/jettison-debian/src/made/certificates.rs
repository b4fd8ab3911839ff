//! What `update-ca-certificates` makes of the certificates that `ca-certificates` ships.
//!
//! The bundle alone, and not the four hundred links by hash next to it: OpenSSL reads `cert.pem` and GnuTLS the bundle, and nothing
//! that has the one looks at the other. The links below `/usr/lib/ssl` belong to the `openssl` package, and without them `libssl` trusts
//! nobody; the program is not needed for that.

use std::io::{self, Read as _};

use jettison_tree::{Content, Entry};

use super::{directory, path};

const DIRECTORY: &str = "usr/share/ca-certificates";
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";
/// A certificate is a few kilobytes.
const CERTIFICATE_LIMIT: u64 = 1 << 20;

/// The bundle of the certificates among `entries`, then those of `extra` (PEM, such as a company's own), and the links to it.
/// Certificates come in the order of their paths, as they do on a system that was never configured otherwise.
pub fn ca_certificates<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    extra: &[&[u8]],
) -> Result<Vec<Entry>, CertificateError> {
    let is_certificate = |entry: &&Entry| entry.path.is_below(DIRECTORY) && entry.path.as_bytes().ends_with(b".crt");
    let mut certificates: Vec<_> = entries.into_iter().filter(is_certificate).collect();
    certificates.sort_by(|left, right| left.path.cmp(&right.path));
    let mut bundle = Vec::new();
    for entry in certificates {
        // What is no file is a link to another of them.
        let Some(content) = entry.content() else { continue };
        let mut pem = Vec::new();
        let read = content.reader().take(CERTIFICATE_LIMIT + 1).read_to_end(&mut pem);
        read.map_err(|error| CertificateError::Read { path: entry.path.to_string(), error })?;
        add(&mut bundle, &pem).map_err(|why| CertificateError::NotPem { name: entry.path.to_string(), why })?;
    }
    for (i, pem) in extra.iter().enumerate() {
        add(&mut bundle, pem)
            .map_err(|why| CertificateError::NotPem { name: format!("extra certificate {}", i + 1), why })?;
    }
    Ok(vec![
        directory("etc/ssl", 0o755),
        directory("etc/ssl/certs", 0o755),
        Entry::file(path(BUNDLE), Content::from_bytes(bundle), false),
        directory("usr/lib/ssl", 0o755),
        Entry::symlink(path("usr/lib/ssl/cert.pem"), format!("/{BUNDLE}")),
        Entry::symlink(path("usr/lib/ssl/certs"), "/etc/ssl/certs"),
    ])
}

/// Adds a PEM text, with a newline at its end.
fn add(bundle: &mut Vec<u8>, pem: &[u8]) -> Result<(), &'static str> {
    if pem.len() as u64 > CERTIFICATE_LIMIT {
        return Err("it is larger than any certificate");
    }
    let count = |what: &[u8]| memchr::memmem::find_iter(pem, what).count();
    let begins = count(b"-----BEGIN CERTIFICATE-----") + count(b"-----BEGIN TRUSTED CERTIFICATE-----");
    let ends = count(b"-----END CERTIFICATE-----") + count(b"-----END TRUSTED CERTIFICATE-----");
    if begins == 0 || begins != ends {
        return Err("it is not a certificate in PEM");
    }
    bundle.extend_from_slice(pem);
    if !pem.ends_with(b"\n") {
        bundle.push(b'\n');
    }
    Ok(())
}

/// A certificate that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Its content cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// Where it is.
        path: String,
        /// What went wrong.
        error: io::Error,
    },
    /// It is no certificate.
    #[error("{name}: {why}")]
    NotPem {
        /// Which one.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
}

impl CertificateError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let pem = "give it in PEM (`-----BEGIN CERTIFICATE-----`); `openssl x509 -inform der` converts";
        matches!(self, Self::NotPem { .. }).then(|| pem.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use jettison_tree::Node;

    use super::*;

    #[test]
    fn the_bundle_is_sorted_and_linked() {
        let pem = |name: &str| format!("-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----");
        let entry = |at: &str, text: &str| Entry::file(path(at), Content::from_bytes(text.as_bytes()), false);
        let entries = [
            entry("usr/share/ca-certificates/mozilla/b.crt", &pem("b")),
            entry("usr/share/ca-certificates/mozilla/B.crt", &(pem("B") + "\n")),
            entry("usr/share/ca-certificates/README", "not one"),
            entry("usr/share/doc/x.crt", "not one"),
        ];
        let made = ca_certificates(&entries, &[pem("own").as_bytes()]).unwrap();
        let bundle = made.iter().find_map(Entry::content).unwrap().read().unwrap();
        assert_eq!(String::from_utf8(bundle).unwrap(), ["B", "b", "own"].map(|name| pem(name) + "\n").concat());
        let links = made.iter().filter(|entry| matches!(&entry.node, Node::Symlink(_))).count();
        assert_eq!(links, 2);
        let error = ca_certificates(&entries, &[&b"\x30\x82"[..]]).unwrap_err();
        assert_eq!(error.to_string(), "extra certificate 1: it is not a certificate in PEM");
        assert!(ca_certificates(&[entry("usr/share/ca-certificates/x.crt", "")], &[]).is_err());
    }
}
