//! A small HTTP/1.1 server on loopback that can be told to misbehave.
//!
//! 1. [`HttpServer::start`] listens on a free port; every connection gets a thread and is kept alive.
//! 2. A request is read whole, noted in the log, and held against the [`Fault`]s that were planned.
//! 3. The handler answers it with a [`Response`]; `Range` and `HEAD` are dealt with here for every handler.
//! 4. Dropping the server closes its listener and its connections.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// A request as it was received.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `HEAD`, …
    pub method: String,
    /// The path, percent-decoded, without the query.
    pub path: String,
    /// What follows `?`, as it was sent; empty where there is none.
    pub query: String,
    /// Header fields in their order; the names are in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, with any chunked framing taken off.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of the first header field of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The value of a query parameter, percent-decoded.
    pub fn query_value(&self, name: &str) -> Option<String> {
        self.query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(key) == name).then(|| percent_decode(value))
        })
    }

    /// The user and password of `Authorization: Basic`.
    pub fn basic_auth(&self) -> Option<(String, String)> {
        let encoded = self.header("authorization")?.strip_prefix("Basic ")?;
        let text = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
        text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
    }
}

/// What a handler answers.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header fields. `Content-Length` and `Connection` are added by the server.
    pub headers: Vec<(String, String)>,
    /// The body. Of an answer to `HEAD` only its length is sent.
    pub body: Arc<[u8]>,
}

impl Response {
    /// An answer without header fields or body.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Arc::from([]) }
    }

    /// `200 OK` with this body.
    pub fn ok(body: impl Into<Arc<[u8]>>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into() }
    }

    /// `200 OK` with a body of this media type.
    pub fn typed(media_type: &str, body: impl Into<Arc<[u8]>>) -> Self {
        Self::ok(body).header("Content-Type", media_type)
    }

    /// `404 Not Found`.
    pub fn not_found() -> Self {
        Self::status(404)
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Puts in a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Arc<[u8]>>) -> Self {
        self.body = body.into();
        self
    }
}

/// A planned misbehaviour: which requests it befalls, how many of them, and what happens.
#[derive(Debug, Clone)]
pub struct Fault {
    method: Option<String>,
    path: String,
    left: usize,
    skip: usize,
    kind: FaultKind,
}

#[derive(Debug, Clone)]
enum FaultKind {
    Answer(Response),
    CutBodyAt(usize),
    StallBodyAt(usize),
    HangUpAfterReading(usize),
    FlipByte(usize),
}

impl Fault {
    fn new(kind: FaultKind) -> Self {
        Self { method: None, path: String::new(), left: 1, skip: 0, kind }
    }

    /// Answers with this status and `Retry-After: 0` in place of the handler.
    pub fn status(status: u16) -> Self {
        Self::answer(Response::status(status).header("Retry-After", "0"))
    }

    /// Answers with this in place of the handler.
    pub fn answer(response: Response) -> Self {
        Self::new(FaultKind::Answer(response))
    }

    /// Announces the whole body, sends its first `bytes` and closes the connection.
    pub fn cut_body_at(bytes: usize) -> Self {
        Self::new(FaultKind::CutBodyAt(bytes))
    }

    /// Announces the whole body, sends its first `bytes`, and nothing more until the client goes away.
    pub fn stall_body_at(bytes: usize) -> Self {
        Self::new(FaultKind::StallBodyAt(bytes))
    }

    /// Reads this many bytes of the request's body and closes the connection without an answer.
    pub fn hang_up_after_reading(bytes: usize) -> Self {
        Self::new(FaultKind::HangUpAfterReading(bytes))
    }

    /// Inverts the lowest bit of the byte at this offset of the body.
    pub fn flip_byte(offset: usize) -> Self {
        Self::new(FaultKind::FlipByte(offset))
    }

    /// Only for requests whose path contains this.
    #[must_use]
    pub fn on(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Only for requests with this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// For this many requests; one unless told.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.left = times;
        self
    }

    /// For every request from now on.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }

    /// Lets this many matching requests pass first.
    #[must_use]
    pub fn after(mut self, requests: usize) -> Self {
        self.skip = requests;
        self
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        self.left > 0 && self.method.as_deref().is_none_or(|wanted| wanted == method) && path.contains(&self.path)
    }
}

/// What answers the requests.
pub type Handler = dyn Fn(&Request) -> Response + Send + Sync;

struct Shared {
    handler: Box<Handler>,
    log: Mutex<Vec<Request>>,
    faults: Mutex<Vec<Fault>>,
    connections: Mutex<HashMap<u64, TcpStream>>,
    stopping: AtomicBool,
}

/// The server. It stops when it is dropped.
pub struct HttpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Listens on a free port of 127.0.0.1.
    pub fn start(handler: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port on loopback");
        let address = listener.local_addr().expect("the address of a listener");
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            log: Mutex::default(),
            faults: Mutex::default(),
            connections: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let thread = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.accept(&listener))
        };
        Self { address, shared, listener: Some(thread) }
    }

    /// Serves the files below a directory, as they are when they are asked for.
    pub fn serve_dir(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self::start(move |request| serve_file(&root, request))
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `host:port`, as registries and `no_proxy` lists are written.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// The URL of a path on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{}", self.address, path.trim_start_matches('/'))
    }

    /// The URL of a path on it, with a user and a password.
    pub fn url_as(&self, user: &str, password: &str, path: &str) -> String {
        format!("http://{user}:{password}@{}/{}", self.address, path.trim_start_matches('/'))
    }

    /// Plans a misbehaviour. Of several that match a request, the first planned takes place.
    pub fn fault(&self, fault: Fault) {
        lock(&self.shared.faults).push(fault);
    }

    /// Forgets every planned misbehaviour.
    pub fn clear_faults(&self) {
        lock(&self.shared.faults).clear();
    }

    /// The requests so far, those that met with a fault included.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.log).clone()
    }

    /// The requests so far, as `METHOD /path`.
    pub fn log(&self) -> Vec<String> {
        lock(&self.shared.log).iter().map(|request| format!("{} {}", request.method, request.path)).collect()
    }

    /// The number of requests so far with this method and a path that contains `path`.
    pub fn count(&self, method: &str, path: &str) -> usize {
        lock(&self.shared.log).iter().filter(|r| r.method == method && r.path.contains(path)).count()
    }

    /// Forgets the requests so far.
    pub fn clear_log(&self) {
        lock(&self.shared.log).clear();
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // The listener blocks in accept(): one more connection wakes it.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.listener.take() {
            let _ = thread.join();
        }
        for stream in lock(&self.shared.connections).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for (id, stream) in (0..).zip(listener.incoming()) {
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            let _ = stream.set_nodelay(true);
            if let Ok(clone) = stream.try_clone() {
                lock(&self.connections).insert(id, clone);
            }
            let shared = Arc::clone(self);
            thread::spawn(move || {
                // A client that goes away in the middle is its own affair.
                let _ = shared.serve(&stream);
                let _ = stream.shutdown(Shutdown::Both);
                lock(&shared.connections).remove(&id);
            });
        }
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        while let Some(mut head) = read_head(&mut reader)? {
            let fault = self.fault_for(&head);
            if head.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
                (&mut &*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            if let Some(FaultKind::HangUpAfterReading(bytes)) = fault {
                lock(&self.log).push(head);
                io::copy(&mut reader.take(bytes as u64), &mut io::sink())?;
                return Ok(());
            }
            head.body = read_body(&mut reader, &head)?;
            lock(&self.log).push(head.clone());
            let mut response = match &fault {
                Some(FaultKind::Answer(response)) => response.clone(),
                _ => ranged(&head, (self.handler)(&head)),
            };
            if let Some(FaultKind::FlipByte(offset)) = fault {
                let mut body = response.body.to_vec();
                if let Some(byte) = body.get_mut(offset) {
                    *byte ^= 1;
                }
                response.body = body.into();
            }
            let cut = match fault {
                Some(FaultKind::CutBodyAt(bytes) | FaultKind::StallBodyAt(bytes)) => Some(bytes),
                _ => None,
            };
            write_response(&mut &*stream, &head, &response, cut)?;
            if let Some(FaultKind::StallBodyAt(_)) = fault {
                io::copy(&mut reader, &mut io::sink())?;
                return Ok(());
            }
            let close = head.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            if close || cut.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn fault_for(&self, request: &Request) -> Option<FaultKind> {
        let mut faults = lock(&self.faults);
        let fault = faults.iter_mut().find(|fault| fault.matches(&request.method, &request.path))?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        if fault.left != usize::MAX {
            fault.left -= 1;
        }
        Some(fault.kind.clone())
    }
}

/// Reads the request line and the header fields; `None` when the client has closed the connection.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "not an HTTP request");
    let mut words = line.split_whitespace();
    let (method, target) = words.next().zip(words.next()).ok_or_else(bad)?;
    // A proxy is asked with the whole URL.
    let target = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => target,
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: method.to_owned(),
        path: percent_decode(path),
        query: query.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(Some(request));
        }
        let (name, value) = line.split_once(':').ok_or_else(bad)?;
        request.headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn read_body(reader: &mut impl BufRead, head: &Request) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if head.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let size = line.split(';').next().unwrap_or("").trim();
            let size = u64::from_str_radix(size, 16).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            reader.by_ref().take(size).read_to_end(&mut body)?;
            // The chunk's end, or the end of the (empty) trailer.
            reader.read_line(&mut String::new())?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    let len: u64 = head.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    if reader.by_ref().take(len).read_to_end(&mut body)? as u64 != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(body)
}

/// Cuts a `200 OK` down to the range that was asked for (RFC 9110, section 14).
fn ranged(request: &Request, response: Response) -> Response {
    let range = request.header("range").and_then(|value| value.strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.split_once('-')) else { return response };
    if response.status != 200 || last.contains(',') {
        return response;
    }
    let len = response.body.len();
    let (start, end) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => (first, last.saturating_add(1).min(len)),
        (Ok(first), Err(_)) => (first, len),
        (Err(_), Ok(suffix)) => (len.saturating_sub(suffix), len),
        (Err(_), Err(_)) => return response,
    };
    if start >= end {
        return Response::status(416).header("Content-Range", format!("bytes */{len}"));
    }
    let body = Arc::from(&response.body[start..end]);
    let ranged = Response { status: 206, body, ..response };
    ranged.header("Content-Range", format!("bytes {start}-{}/{len}", end - 1))
}

fn write_response(out: &mut impl Write, request: &Request, response: &Response, cut: Option<usize>) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let bodyless = matches!(response.status, 204 | 304);
    let told = response.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    if !bodyless && !told {
        head.push_str(&format!("Content-Length: {}\r\n", response.body.len()));
    }
    head.push_str("\r\n");
    let mut message = head.into_bytes();
    if request.method != "HEAD" && !bodyless {
        message.extend_from_slice(&response.body[..cut.unwrap_or(usize::MAX).min(response.body.len())]);
    }
    out.write_all(&message)?;
    out.flush()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

/// Answers `GET` and `HEAD` from the files below `root`.
pub fn serve_file(root: &Path, request: &Request) -> Response {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Response::status(405);
    }
    let relative = Path::new(request.path.trim_start_matches('/'));
    if !relative.components().all(|component| matches!(component, Component::Normal(_))) {
        return Response::not_found();
    }
    fs::read(root.join(relative)).map_or_else(|_| Response::not_found(), Response::ok)
}

/// Takes the `%xx` off; what is not one stays as it is.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| bytes[at] == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends raw requests over one connection and returns all that comes back.
    fn talk(server: &HttpServer, requests: &str) -> String {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(requests.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn echo() -> HttpServer {
        HttpServer::start(|request| Response::ok(format!("{} {}", request.path, request.body.len()).into_bytes()))
    }

    #[test]
    fn one_connection_carries_many_requests() {
        let server = echo();
        let answer = talk(
            &server,
            "GET /a%20b?x=1 HTTP/1.1\r\nhost: x\r\n\r\n\
             POST /c HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n\
             PUT /d HTTP/1.1\r\ncontent-length: 2\r\n\r\nxy\
             HEAD /e HTTP/1.1\r\n\r\n",
        );
        assert!(answer.contains("/a b 0") && answer.contains("/c 5") && answer.contains("/d 2"), "{answer}");
        assert!(answer.ends_with("Content-Length: 4\r\n\r\n"), "the answer to HEAD has no body: {answer}");
        assert_eq!(server.log(), ["GET /a b", "POST /c", "PUT /d", "HEAD /e"]);
        assert_eq!(server.requests()[0].query_value("x").as_deref(), Some("1"));
        assert_eq!(server.count("GET", "/a"), 1);
    }

    #[test]
    fn ranges_are_cut_out() {
        let server = HttpServer::start(|_| Response::ok(&b"0123456789"[..]));
        for (range, status, body) in [
            ("2-4", "206", "234"),
            ("7-", "206", "789"),
            ("-2", "206", "89"),
            ("8-99", "206", "89"),
            ("10-", "416", ""),
        ] {
            let answer = talk(&server, &format!("GET / HTTP/1.1\r\nRange: bytes={range}\r\n\r\n"));
            let (head, sent) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{range}: {head}");
            assert_eq!(sent, body, "{range}");
        }
    }

    #[test]
    fn faults_happen_as_often_as_planned() {
        let server = echo();
        server.fault(Fault::status(503).on("/a").times(2));
        server.fault(Fault::cut_body_at(3).on("/b").after(1));
        server.fault(Fault::hang_up_after_reading(2).method("PUT"));
        server.fault(Fault::flip_byte(0).on("/f"));
        let get = |path: &str| talk(&server, &format!("GET {path} HTTP/1.1\r\n\r\n"));
        let status: Vec<String> = (0..3).map(|_| get("/a")[9..12].to_owned()).collect();
        assert_eq!(status, ["503", "503", "200"]);
        assert!(get("/b").ends_with("/b 0"));
        assert!(get("/b").ends_with("Content-Length: 4\r\n\r\n/b "));
        assert!(!get("/f").ends_with("/f 0"));
        assert_eq!(talk(&server, "PUT /c HTTP/1.1\r\ncontent-length: 2\r\n\r\nxy"), "");
        assert!(talk(&server, "PUT /c HTTP/1.1\r\ncontent-length: 2\r\n\r\nxy").contains("200 OK"));
        assert_eq!(server.count("PUT", "/c"), 2);
    }

    #[test]
    fn only_files_below_the_root_are_served() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("pool")).unwrap();
        fs::write(root.path().join("pool/a.deb"), "deb").unwrap();
        let server = HttpServer::serve_dir(root.path().join("pool"));
        let get = |path: &str| talk(&server, &format!("GET {path} HTTP/1.1\r\n\r\n"))[9..12].to_owned();
        assert_eq!([get("/a.deb"), get("/b.deb"), get("/../pool/a.deb"), get("/")], ["200", "404", "404", "404"]);
    }
}
