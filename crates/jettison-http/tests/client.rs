//! The client against a loopback server that misbehaves.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

use std::cell::Cell;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use jettison_http::{Body, Client, DownloadWant, HttpError, Method, Netrc, Options, ProxySettings, RangeWant, Request};
use jettison_testkit::HttpServer;
use jettison_testkit::http::{Fault, Response};
use jettison_tree::Digest;

const TEXT: &[u8] = b"The quick brown fox jumps over the lazy dog";

fn options() -> Options {
    Options { backoff: Duration::ZERO, ..Options::default() }
}

fn client() -> Client {
    Client::new(options()).unwrap()
}

fn fox() -> HttpServer {
    HttpServer::start(|request| match request.path.as_str() {
        "/missing" => Response::not_found().body(&b"no such\nfox"[..]),
        _ => Response::ok(TEXT).header("ETag", "\"1\""),
    })
}

#[test]
fn trouble_that_passes_is_waited_for() {
    let server = fox();
    server.fault(Fault::status(503).times(2));
    server.fault(Fault::hang_up_after_reading(0));
    server.fault(Fault::status(429));
    assert_eq!(client().bytes(&server.url("/a"), 100).unwrap(), TEXT);
    assert_eq!(server.count("GET", "/a"), 5);
}

#[test]
fn trouble_that_stays_is_told_as_worth_another_try() {
    let server = fox();
    server.fault(Fault::status(502).always());
    let error = client().bytes(&server.url("/a"), 100).unwrap_err();
    assert!(error.is_transient() && error.status() == Some(502), "{error}");
    assert_eq!(server.count("GET", "/a"), 5);

    let error = client().get(&server.url("/missing"), &[]).unwrap_err();
    assert_eq!(error.status(), Some(502));
    server.clear_faults();
    let error = client().get(&server.url("/missing"), &[]).unwrap_err();
    assert!(!error.is_transient() && error.to_string().ends_with("answered 404: no such fox"), "{error}");

    let refused = client().bytes("http://127.0.0.1:1/", 9).unwrap_err();
    assert!(refused.is_transient() && refused.hint().is_some(), "{refused}");
}

#[test]
fn what_is_not_repeatable_is_sent_once() {
    let server = fox();
    server.fault(Fault::status(503).always());
    let url = server.url("/upload");
    let answer = client().send(&Request::new(Method::Post, &url).body(Body::Bytes(b"x"))).unwrap();
    assert_eq!((answer.status, server.count("POST", "/upload")), (503, 1));
    let answer = client().send(&Request::new(Method::Post, &url).repeatable(true)).unwrap();
    assert_eq!((answer.status, server.count("POST", "/upload")), (503, 6));
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let server = fox();
    server.fault(Fault::cut_body_at(10));
    server.fault(Fault::cut_body_at(5));
    let want = DownloadWant::at_most(100).digest(Digest::of(TEXT)).size(TEXT.len() as u64);
    let (mut out, seen) = (Vec::new(), Cell::new(0));
    let (digest, len) = client().download(&server.url("/f"), &want, &mut out, &|at| seen.set(at)).unwrap();
    assert_eq!((digest, len, seen.get()), (Digest::of(TEXT), 43, 43));
    assert_eq!(out, TEXT);
    let ranges: Vec<_> = server.requests().iter().map(|r| r.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [None, Some("bytes=10-".into()), Some("bytes=15-".into())]);
    assert_eq!(server.requests()[1].header("if-range"), Some("\"1\""));
}

#[test]
fn a_server_that_starts_again_does_not_double_the_start() {
    let server = HttpServer::start(|request| {
        assert!(request.header("range").is_none() || request.header("range") == Some("bytes=10-"));
        Response::status(200).header("X", "y").body(TEXT)
    });
    // Its answer to a range is a whole one: the 200 is forced by a fault that answers in place of the handler.
    server.fault(Fault::cut_body_at(10));
    server.fault(Fault::answer(Response::ok(TEXT)));
    let want = DownloadWant::at_most(100).digest(Digest::of(TEXT));
    let mut out = Vec::new();
    client().download(&server.url("/f"), &want, &mut out, &|_| {}).unwrap();
    assert_eq!(out, TEXT);
}

#[test]
fn what_is_not_as_wanted_is_refused() {
    let server = fox();
    let url = server.url("/f");
    let get = |want: DownloadWant| client().download(&url, &want, &mut Vec::new(), &|_| {}).unwrap_err();
    assert!(matches!(get(DownloadWant::at_most(42)), HttpError::TooLarge { limit: 42, .. }));
    assert!(matches!(get(DownloadWant::at_most(99).size(42)), HttpError::Size { want: 42, got: 43, .. }));
    let error = get(DownloadWant::at_most(99).digest(Digest::of(b"cat")));
    assert!(matches!(error, HttpError::Digest { .. }) && !error.is_transient());
    server.fault(Fault::cut_body_at(0).always());
    assert!(matches!(get(DownloadWant::at_most(99)), HttpError::Cut { at: 0, .. }));
}

#[test]
fn parts_are_fetched() {
    let server = fox();
    let part = |want| client().get_range(&server.url("/f"), want).unwrap();
    let middle = part(RangeWant::From { start: 4, len: 5 });
    assert_eq!((middle.bytes.as_slice(), middle.start, middle.total), (&b"quick"[..], 4, 43));
    let last = part(RangeWant::Last(3));
    assert_eq!((last.bytes.as_slice(), last.start), (&b"dog"[..], 40));
    server.fault(Fault::answer(Response::ok(TEXT)));
    let error = client().get_range(&server.url("/f"), RangeWant::Last(3)).unwrap_err();
    assert!(matches!(error, HttpError::NoRange { .. }));
}

#[test]
fn credentials_stay_with_their_host() {
    let other = fox();
    let target = other.url("/there");
    let server = HttpServer::start(move |request| match request.path.as_str() {
        "/away" => Response::status(302).header("Location", target.clone()),
        "/near" => Response::status(307).header("Location", "/here"),
        _ => Response::ok(TEXT),
    });
    client().get(&server.url_as("me", "p%40w", "/near"), &[]).unwrap();
    let auth: Vec<_> = server.requests().iter().map(|r| r.basic_auth()).collect();
    assert_eq!(auth, vec![Some(("me".to_owned(), "p@w".to_owned())); 2]);

    client().get(&server.url_as("me", "pw", "/away"), &[("Cookie", "c")]).unwrap();
    client().get(&server.url("/away"), &[("Authorization", "Bearer t")]).unwrap();
    for request in other.requests() {
        assert_eq!((request.header("authorization"), request.header("cookie")), (None, None));
    }
    assert_eq!(other.count("GET", "/there"), 2);
}

#[test]
fn netrc_is_for_who_gives_nothing() {
    let server = fox();
    let netrc = Netrc::parse("machine 127.0.0.1 login n password r").unwrap();
    let client = Client::new(Options { netrc, ..options() }).unwrap();
    client.get(&server.url("/1"), &[]).unwrap();
    client.get(&server.url_as("u", "p", "/2"), &[]).unwrap();
    client.get(&server.url("/3"), &[("Authorization", "Bearer t")]).unwrap();
    let url = server.url("/4");
    client.send(&Request::new(Method::Get, &url).without_stored_credentials()).unwrap();
    let sent: Vec<_> = server.requests().iter().map(|r| r.basic_auth().map(|(user, _)| user)).collect();
    assert_eq!(sent, [Some("n".into()), Some("u".into()), None, None]);
}

#[test]
fn redirects_end() {
    let server = HttpServer::start(|request| match request.path.as_str() {
        "/file" => Response::status(302).header("Location", "file:///etc/passwd"),
        "/post" => Response::status(303).header("Location", "/got"),
        "/put" => Response::status(307).header("Location", "/putted"),
        "/loop" => Response::status(302).header("Location", "/loop"),
        _ => Response::ok(TEXT),
    });
    for path in ["/file", "/loop"] {
        assert!(matches!(client().get(&server.url(path), &[]), Err(HttpError::Redirect { .. })));
    }
    client().send(&Request::new(Method::Post, server.url("/post")).body(Body::Bytes(b"x"))).unwrap();
    client().send(&Request::new(Method::Put, server.url("/put")).body(Body::Bytes(b"xyz"))).unwrap();
    let last: Vec<_> = server.requests().into_iter().map(|r| (r.method, r.path, r.body.len())).collect();
    assert!(last.contains(&("GET".into(), "/got".into(), 0)) && last.contains(&("PUT".into(), "/putted".into(), 3)));
    assert_eq!(client().get(&server.url("/post"), &[]).unwrap().url().path(), "/got");
}

#[test]
fn a_streamed_body_is_opened_for_every_attempt() {
    let server = fox();
    server.fault(Fault::status(500));
    server.fault(Fault::hang_up_after_reading(2));
    let url = server.url("/blob");
    let opened = Cell::new(0);
    let open = || -> std::io::Result<Box<dyn std::io::Read>> {
        opened.set(opened.get() + 1);
        Ok(Box::new(TEXT))
    };
    let body = Body::Stream { len: TEXT.len() as u64, open: &open };
    client().send(&Request::new(Method::Put, &url).body(body)).unwrap().success().unwrap();
    assert_eq!((opened.get(), &*server.requests().last().unwrap().body), (3, TEXT));

    let short = || -> std::io::Result<Box<dyn std::io::Read>> { Ok(Box::new(&TEXT[..5])) };
    let body = Body::Stream { len: TEXT.len() as u64, open: &short };
    let error = client().send(&Request::new(Method::Put, &url).body(body)).unwrap_err();
    assert!(matches!(error, HttpError::Body { .. }) && !error.is_transient(), "{error}");
}

#[test]
fn plain_http_goes_through_a_proxy_with_its_whole_url() {
    let proxy = fox();
    let address = proxy.url_as("pu", "pp", "");
    let settings = ProxySettings { http: Some(address), no_proxy: Some("127.0.0.1".into()), ..Default::default() };
    let client = Client::new(Options { proxy: settings, ..options() }).unwrap();
    let mut text = Vec::new();
    client.get("http://mirror.test/debian/x", &[]).unwrap().read_to_end(&mut text).unwrap();
    assert_eq!(text, TEXT);
    let request = &proxy.requests()[0];
    assert_eq!((request.path.as_str(), request.header("host")), ("/debian/x", Some("mirror.test")));
    assert_eq!(request.header("proxy-authorization"), Some("Basic cHU6cHA="));
    assert!(client.bytes("http://127.0.0.1:1/", 9).is_err(), "the excepted host is not asked of the proxy");
    assert_eq!(proxy.log().len(), 1);
}

#[test]
fn files_are_read_like_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a b.txt");
    std::fs::write(&file, TEXT).unwrap();
    let client = Client::new(Options { offline: true, ..options() }).unwrap();
    let url = format!("file://{}", file.display());
    assert_eq!(client.bytes(&url, 100).unwrap(), TEXT);
    let part = client.get_range(&url, RangeWant::From { start: 40, len: 50 }).unwrap();
    assert_eq!((part.bytes.as_slice(), part.total), (&b"dog"[..], 43));
    assert!(matches!(client.bytes(&format!("{url}x"), 9), Err(HttpError::File { .. })));
    assert!(matches!(client.bytes(&format!("file://{}", dir.path().display()), 9), Err(HttpError::File { .. })));
    assert!(
        matches!(client.bytes("https://u:secret@pypi.org/", 9), Err(HttpError::Offline { url }) if !url.contains("secret"))
    );
    assert!(matches!(client.bytes("ftp://x/", 9), Err(HttpError::Url { .. })));
}

#[test]
fn connections_are_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It accepts one connection and no other.
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        drop(listener);
        let mut lines = BufReader::new(&stream).lines();
        for answer in ["200 OK", "404 Not Found", "200 OK"] {
            while !lines.next().unwrap().unwrap().is_empty() {}
            let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 2\r\n\r\nok");
            (&stream).write_all(answer.as_bytes()).unwrap();
        }
    });
    let client = client();
    for path in ["1", "2", "3"] {
        client.send(&Request::new(Method::Get, format!("http://{address}/{path}"))).unwrap().discard();
    }
    server.join().unwrap();
}

#[test]
fn documents_are_unpacked_and_fetched_again_when_cut() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&[b'x'; 5000]).unwrap();
    let packed = packed.finish().unwrap();
    let server = HttpServer::start(move |request| match request.path.as_str() {
        "/moved" => Response::status(301).header("Location", "/simple/"),
        _ => Response::typed("text/html", packed.clone()).header("Content-Encoding", "gzip"),
    });
    server.fault(Fault::cut_body_at(15).on("/simple/"));
    let document = client().document(&server.url("/moved"), &[("Accept", "text/html")], 5000).unwrap();
    assert_eq!((document.bytes.len(), document.url.path()), (5000, "/simple/"));
    assert_eq!(document.headers.get("content-type"), Some("text/html"));
    assert_eq!(server.requests().last().unwrap().header("accept-encoding"), Some("gzip"));
    let bomb = client().document(&server.url("/simple/"), &[], 4999).unwrap_err();
    assert!(matches!(bomb, HttpError::TooLarge { limit: 4999, .. }));
    server.fault(Fault::cut_body_at(15).always());
    assert!(client().document(&server.url("/simple/"), &[], 5000).unwrap_err().is_transient());
    assert_eq!(client().document(&fox().url("/f"), &[], 100).unwrap().bytes, TEXT);
}

#[test]
fn a_proxy_that_refuses_is_named_without_its_password() {
    let proxy = HttpServer::start(|_| Response::status(407));
    let settings = ProxySettings { https: Some(proxy.url_as("me", "secret", "")), ..Default::default() };
    assert!(!format!("{settings:?}").contains("secret"));
    let client = Client::new(Options { proxy: settings, ..options() }).unwrap();
    let error = client.bytes("https://index.test/", 9).unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, HttpError::Proxy { .. }) && !error.is_transient(), "{told}");
    assert!(told.contains("407") && !told.contains("secret"), "{told}");
}
