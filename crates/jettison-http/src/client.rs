use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ureq::config::Config;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy, SendBody};
use url::Url;

use crate::error::is_transient_status;
use crate::wire::{self, Payload, WireError};
use crate::{Body, Credentials, Headers, HttpError, Method, Options, Request, Response, file_url, redact, retry};

/// Redirects that are followed one after another.
const MAX_REDIRECTS: usize = 10;
/// What a certificate in PEM begins with (RFC 7468 section 5.1), also as OpenSSL's trusted ones.
const CERTIFICATE: &[u8] = b"CERTIFICATE-----";
/// Connections to one host that are kept for the next request.
const IDLE_PER_HOST: usize = 16;

/// The client. Cheap to clone; clones share their connections, and threads may share one.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    /// What TLS trusts, read when the first connection needs it: a platform has hundreds of certificates.
    roots: OnceLock<RootCerts>,
    agents: Mutex<BTreeMap<Route, Agent>>,
    /// By origin.
    logins: Mutex<BTreeMap<String, Credentials>>,
}

/// What decides which connections can be shared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    proxy: Option<String>,
    insecure: bool,
    tls: bool,
}

impl Client {
    /// A client. Fails if a file of certificates cannot be used.
    pub fn new(options: Options) -> Result<Self, HttpError> {
        for path in &options.ca_files {
            read_pem(path)?;
        }
        let (roots, agents, logins) = (OnceLock::new(), Mutex::default(), Mutex::default());
        Ok(Self { inner: Arc::new(Inner { options, roots, agents, logins }) })
    }

    /// The options it was made with.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// Remembers who asks at the origin of a URL (RFC 6454): these credentials, or those in the URL. They are sent where neither the
    /// URL of a request nor its headers have others, before those of netrc. Nothing is remembered of a text that is no URL.
    pub fn log_in(&self, url: &str, credentials: Option<Credentials>) {
        let Ok(url) = Url::parse(url) else { return };
        if let Some(credentials) = credentials.or_else(|| userinfo(&url)) {
            let mut logins = self.inner.logins.lock().unwrap_or_else(PoisonError::into_inner);
            logins.insert(url.origin().ascii_serialization(), credentials);
        }
    }

    fn login(&self, url: &Url) -> Option<Credentials> {
        let logins = self.inner.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let netrc = || url.host_str().and_then(|host| self.options().netrc.lookup(host)).cloned();
        logins.get(&url.origin().ascii_serialization()).cloned().or_else(netrc)
    }

    /// Whether the certificate of the URL's host is not checked.
    pub fn is_insecure(&self, url: &Url) -> bool {
        self.inner.options.is_insecure(url)
    }

    /// Fetches a URL. The status is 2xx; everything else is an error.
    pub fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Response, HttpError> {
        self.send(&Request::new(Method::Get, url).headers(headers))?.success()
    }

    /// Makes a request and returns the answer, whatever its status.
    ///
    /// A repeatable request is made again after a failure that may pass (no connection, 429, 5xx); what is returned is the outcome
    /// of the last attempt.
    pub fn send(&self, request: &Request<'_>) -> Result<Response, HttpError> {
        let url = parse(&request.url)?;
        let mut attempt = 0;
        loop {
            let outcome = self.follow(request, &url);
            let pause = match &outcome {
                _ if !request.repeatable => None,
                Ok(answer) if is_transient_status(answer.status) => {
                    retry::pause(self.options(), attempt, Some(&answer.headers))
                }
                Err(error) if error.is_transient() => retry::pause(self.options(), attempt, None),
                _ => None,
            };
            let Some(pause) = pause else { return outcome };
            if let Ok(answer) = outcome {
                answer.discard();
            }
            std::thread::sleep(pause);
            attempt += 1;
        }
    }

    /// One attempt, with redirects. Credentials stay with the origin that they were meant for.
    fn follow(&self, request: &Request<'_>, first: &Url) -> Result<Response, HttpError> {
        let mut url = first.clone();
        let mut method = request.method;
        let mut body = request.body;
        let mut headers = request.headers.clone();
        let mut credentials = None;
        if headers.get("authorization").is_none() {
            credentials = userinfo(&url);
            if credentials.is_none() && request.stored_credentials {
                credentials = self.login(&url);
            }
        }
        for _ in 0..=MAX_REDIRECTS {
            strip_userinfo(&mut url);
            let mut sent = headers.clone();
            if let Some(credentials) = &credentials {
                sent.push("Authorization", credentials.basic());
            }
            let answer = self.once(method, &url, &sent, body)?;
            let location = match answer.status {
                301 | 302 | 303 | 307 | 308 if request.follow => answer.headers.get("location"),
                _ => None,
            };
            let Some(location) = location else { return Ok(answer) };
            let refuse = |reason: String| HttpError::Redirect { url: redact(url.as_str()).into_owned(), reason };
            let next = url.join(location).map_err(|e| refuse(format!("to a bad address: {e}")))?;
            let downgrade = url.scheme() == "https" && next.scheme() == "http" && !self.is_insecure(&next);
            if !matches!(next.scheme(), "http" | "https") || downgrade {
                return Err(refuse(format!("to {}, which is less safe than itself", redact(next.as_str()))));
            }
            if next.origin() != url.origin() {
                credentials = None;
                for private in ["authorization", "cookie"] {
                    headers.remove(private);
                }
            }
            credentials = userinfo(&next).or(credentials);
            if answer.status == 303 && method != Method::Head
                || matches!((answer.status, method), (301 | 302, Method::Post))
            {
                (method, body) = (Method::Get, Body::Empty);
                headers.remove("content-type");
            }
            answer.discard();
            url = next;
        }
        Err(HttpError::Redirect { url: redact(first.as_str()).into_owned(), reason: "without end".to_owned() })
    }

    fn once(&self, method: Method, url: &Url, headers: &Headers, body: Body<'_>) -> Result<Response, HttpError> {
        if url.scheme() == "file" {
            return file_url::answer(url, method, headers);
        }
        if self.options().offline {
            return Err(HttpError::Offline { url: redact(url.as_str()).into_owned() });
        }
        let proxy = self.options().proxy.for_url(url);
        match proxy {
            Some(proxy) if url.scheme() == "http" && !proxy.starts_with("socks") && !proxy.starts_with("https:") => {
                self.once_through_proxy(proxy, method, url, headers, body)
            }
            _ => self.once_pooled(proxy, method, url, headers, body),
        }
    }

    fn once_pooled(
        &self,
        proxy: Option<&str>,
        method: Method,
        url: &Url,
        headers: &Headers,
        body: Body<'_>,
    ) -> Result<Response, HttpError> {
        let route = Route {
            proxy: proxy.map(str::to_owned),
            insecure: self.is_insecure(url),
            tls: url.scheme() == "https" || proxy.is_some_and(|proxy| proxy.starts_with("https:")),
        };
        let agent = self.agent(&route)?;
        let mut builder = ureq::http::Request::builder().method(method.as_str()).uri(url.as_str());
        for (name, value) in headers.iter() {
            builder = builder.header(name, value);
        }
        let bad =
            |e: ureq::http::Error| HttpError::Url { url: redact(url.as_str()).into_owned(), reason: e.to_string() };
        let result = match body {
            Body::Empty if matches!(method, Method::Get | Method::Head | Method::Delete) => {
                agent.run(builder.body(()).map_err(bad)?)
            }
            Body::Empty => agent.run(builder.body(&b""[..]).map_err(bad)?),
            Body::Bytes(bytes) => agent.run(builder.body(bytes).map_err(bad)?),
            Body::Stream { len, open } => {
                let failed = |source| HttpError::Body { url: redact(url.as_str()).into_owned(), source };
                let mut source = Counted { inner: open().map_err(failed)?, left: len, error: None };
                let request = builder.header("content-length", len);
                let result = agent.run(request.body(SendBody::from_reader(&mut source)).map_err(bad)?);
                if let Some(error) = source.error {
                    return Err(failed(error));
                }
                result
            }
        };
        let (parts, body) = result.map_err(|e| from_ureq(url, proxy, e))?.into_parts();
        let mut headers = Headers::default();
        for (name, value) in &parts.headers {
            headers.push(name.as_str(), String::from_utf8_lossy(value.as_bytes()));
        }
        let body = Box::new(body.into_reader());
        Ok(Response { status: parts.status.as_u16(), headers, url: url.clone(), body })
    }

    /// Plain HTTP through an HTTP proxy: the proxy gets the whole URL (RFC 9112 §3.2.2). Few proxies open a tunnel to port 80.
    fn once_through_proxy(
        &self,
        proxy: &str,
        method: Method,
        url: &Url,
        headers: &Headers,
        body: Body<'_>,
    ) -> Result<Response, HttpError> {
        let bad = |reason: String| HttpError::Proxy { proxy: redact(proxy).into_owned(), reason };
        let spelled = if proxy.contains("://") { proxy.to_owned() } else { format!("http://{proxy}") };
        let proxy_url = Url::parse(&spelled).map_err(|e| bad(e.to_string()))?;
        let host = proxy_url.host_str().ok_or_else(|| bad("it names no host".to_owned()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let connect = |e: io::Error| HttpError::Connect {
            url: redact(url.as_str()).into_owned(),
            reason: format!("through the proxy {}: {e}", redact(proxy)),
        };
        let port = proxy_url.port_or_known_default().unwrap_or(80);
        let stream = self.connect(host, port).map_err(connect)?;
        let mut all = Headers::default();
        all.push("Host", authority(url));
        all.push("User-Agent", &*self.options().user_agent);
        all.push("Accept-Encoding", "identity");
        if let Some(credentials) = userinfo(&proxy_url) {
            all.push("Proxy-Authorization", credentials.basic());
        }
        headers.iter().for_each(|(name, value)| all.push(name, value));
        let unreadable = |source| HttpError::Body { url: redact(url.as_str()).into_owned(), source };
        let target = url.as_str().split('#').next().unwrap_or_default();
        let answer = match body {
            Body::Empty => wire::exchange(stream, method, target, &all, Payload::None),
            Body::Bytes(mut bytes) => {
                let len = bytes.len() as u64;
                wire::exchange(stream, method, target, &all, Payload::Sized(&mut bytes, len))
            }
            Body::Stream { len, open } => {
                let mut reader = open().map_err(unreadable)?;
                wire::exchange(stream, method, target, &all, Payload::Sized(&mut *reader, len))
            }
        };
        let answer = answer.map_err(|e| match e {
            WireError::Payload(e) => unreadable(e),
            WireError::Stream(e) => connect(e),
            WireError::Malformed(what) => {
                HttpError::Protocol { url: redact(url.as_str()).into_owned(), reason: what.to_owned() }
            }
        })?;
        Ok(Response { status: answer.status, headers: answer.headers, url: url.clone(), body: answer.body })
    }

    fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, self.options().connect_timeout) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(self.options().idle_timeout))?;
                    stream.set_write_timeout(Some(self.options().idle_timeout))?;
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    fn agent(&self, route: &Route) -> Result<Agent, HttpError> {
        let mut agents = self.inner.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(route) {
            return Ok(agent.clone());
        }
        let options = self.options();
        let mut tls = TlsConfig::builder().disable_verification(route.insecure);
        if route.tls {
            tls = tls.root_certs(self.roots()?);
        }
        let proxy = match &route.proxy {
            None => None,
            Some(proxy) => Some(
                Proxy::new(proxy)
                    .map_err(|e| HttpError::Proxy { proxy: redact(proxy).into_owned(), reason: e.to_string() })?,
            ),
        };
        let agent: Agent = Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(&*options.user_agent)
            .accept_encoding("identity")
            .proxy(proxy)
            .tls_config(tls.build())
            .max_idle_connections(4 * IDLE_PER_HOST)
            .max_idle_connections_per_host(IDLE_PER_HOST)
            .timeout_connect(Some(options.connect_timeout))
            .timeout_per_read(Some(options.idle_timeout))
            .timeout_per_write(Some(options.idle_timeout))
            .build()
            .into();
        agents.insert(route.clone(), agent.clone());
        Ok(agent)
    }

    fn roots(&self) -> Result<RootCerts, HttpError> {
        if let Some(roots) = self.inner.roots.get() {
            return Ok(roots.clone());
        }
        let options = self.options();
        let roots = if options.ca_files.is_empty() { RootCerts::PlatformVerifier } else { read_roots(options)? };
        Ok(self.inner.roots.get_or_init(|| roots).clone())
    }

    /// Waits before repetition `attempt` (from 0) of something that consists of several requests; false says to give up.
    pub fn wait(&self, attempt: u32) -> bool {
        retry::pause(self.options(), attempt, None).inspect(|pause| std::thread::sleep(*pause)).is_some()
    }
}

/// The platform's certificates and those of the files.
fn read_roots(options: &Options) -> Result<RootCerts, HttpError> {
    let mut certificates = Vec::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        certificates.push(Certificate::from_der(&certificate).to_owned());
    }
    for path in &options.ca_files {
        certificates.extend(read_certificates(path)?);
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

/// Reads a file of certificates, without looking into them yet.
fn read_pem(path: &Path) -> Result<Vec<u8>, HttpError> {
    let error = |reason: String| HttpError::Certificates { path: path.to_owned(), reason };
    let pem = std::fs::read(path).map_err(|e| error(e.to_string()))?;
    if !pem.windows(CERTIFICATE.len()).any(|window| window == CERTIFICATE) {
        return Err(error("it holds no PEM certificate".to_owned()));
    }
    Ok(pem)
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate<'static>>, HttpError> {
    let error = |reason: String| HttpError::Certificates { path: path.to_owned(), reason };
    let mut certificates = Vec::new();
    for item in parse_pem(&read_pem(path)?) {
        if let PemItem::Certificate(certificate) = item.map_err(|e| error(e.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(error("it holds no PEM certificate".to_owned()));
    }
    Ok(certificates)
}

fn parse(text: &str) -> Result<Url, HttpError> {
    let bad = |reason: String| HttpError::Url { url: redact(text).into_owned(), reason };
    let url = Url::parse(text).map_err(|e| bad(e.to_string()))?;
    match url.scheme() {
        "http" | "https" | "file" => Ok(url),
        other => Err(bad(format!("`{other}` is not http, https or file"))),
    }
}

fn userinfo(url: &Url) -> Option<Credentials> {
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (user, password) = (decode(url.username()), decode(url.password().unwrap_or_default()));
    (!user.is_empty() || !password.is_empty()).then_some(Credentials { user, password })
}

fn strip_userinfo(url: &mut Url) {
    let _ = url.set_username("");
    let _ = url.set_password(None);
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A body of exactly `left` bytes that remembers its own failure, which is none of the network.
struct Counted<R> {
    inner: R,
    left: u64,
    error: Option<io::Error>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        match self.inner.read(&mut buffer[..want]) {
            Ok(0) if want > 0 => {
                self.error = Some(io::Error::new(io::ErrorKind::UnexpectedEof, "it is shorter than it was"));
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Ok(n) => {
                self.left -= n as u64;
                Ok(n)
            }
            Err(e) => {
                let kind = e.kind();
                if kind != io::ErrorKind::Interrupted {
                    self.error = Some(e);
                }
                Err(kind.into())
            }
        }
    }
}

fn from_ureq(url: &Url, proxy: Option<&str>, error: ureq::Error) -> HttpError {
    if let (Some(proxy), ureq::Error::ConnectProxyFailed(reason)) = (proxy, &error) {
        return HttpError::Proxy { proxy: redact(proxy).into_owned(), reason: reason.clone() };
    }
    let url = redact(url.as_str()).into_owned();
    let reason = match &error {
        ureq::Error::HostNotFound => "the host's name is not known".to_owned(),
        ureq::Error::Timeout(_) => "it took too long".to_owned(),
        ureq::Error::Io(e) => e.to_string(),
        other => other.to_string(),
    };
    match error {
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::TlsRequired => HttpError::Tls { url, reason },
        // rustls reports a bad certificate, or an answer that is not TLS, as invalid data.
        ureq::Error::Io(e) if e.kind() == io::ErrorKind::InvalidData => HttpError::Tls { url, reason },
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) | ureq::Error::BodyStalled => {
            HttpError::Protocol { url, reason }
        }
        ureq::Error::Http(_) | ureq::Error::BadUri(_) => HttpError::Url { url, reason },
        _ => HttpError::Connect { url, reason },
    }
}
