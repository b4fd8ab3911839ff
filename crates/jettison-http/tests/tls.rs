//! Whom the client trusts. The certificates in `tls/` are valid until the year 2100; the CA's key is gone.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jettison_http::{Client, HttpError, Options};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

/// A TLS server that says `ok` to every request; connections that fail are forgotten.
fn server() -> SocketAddr {
    let certificate = CertificateDer::from_pem_file(fixture("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream.unwrap());
            let mut lines = BufReader::new(&mut stream).lines();
            while lines.next().and_then(Result::ok).is_some_and(|line| !line.is_empty()) {}
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
            let _ = stream.flush();
        }
    });
    address
}

fn client(ca_files: Vec<PathBuf>, insecure: &str) -> Client {
    let insecure_hosts = vec![insecure.to_owned()];
    Client::new(Options { ca_files, insecure_hosts, backoff: Duration::ZERO, ..Options::default() }).unwrap()
}

#[test]
fn only_who_is_trusted_is_spoken_to() {
    let address = server();
    let url = format!("https://{address}/");
    let untrusted = client(Vec::new(), "other.example").bytes(&url, 9).unwrap_err();
    assert!(matches!(untrusted, HttpError::Tls { .. }) && untrusted.hint().is_some(), "{untrusted}");
    assert!(!untrusted.is_transient());
    assert_eq!(client(vec![fixture("ca.pem")], "").bytes(&url, 9).unwrap(), b"ok");
}

#[test]
fn insecure_is_one_host_and_no_other() {
    let address = server();
    let url = format!("https://{address}/");
    assert_eq!(client(Vec::new(), "127.0.0.1").bytes(&url, 9).unwrap(), b"ok");
    assert_eq!(client(Vec::new(), &address.to_string()).bytes(&url, 9).unwrap(), b"ok");
    let port = address.port().wrapping_add(1);
    assert!(client(Vec::new(), &format!("127.0.0.1:{port}")).bytes(&url, 9).is_err());
}

#[test]
fn a_file_without_certificates_is_told_at_once() {
    for file in ["server.key", "none.pem"] {
        let error = Client::new(Options { ca_files: vec![fixture(file)], ..Options::default() }).err().unwrap();
        assert!(matches!(&error, HttpError::Certificates { .. }) && error.to_string().contains(file), "{error}");
    }
}

#[test]
fn plain_http_is_not_taken_for_tls() {
    let server = jettison_testkit::HttpServer::start(|_| jettison_testkit::Response::ok(*b"ok"));
    let url = format!("https://{}/", server.authority());
    let error = client(vec![fixture("ca.pem")], "").bytes(&url, 9).unwrap_err();
    assert!(matches!(error, HttpError::Tls { .. } | HttpError::Connect { .. }), "{error:?}");
}
