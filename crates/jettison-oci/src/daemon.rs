//! The Docker daemon, or Podman's service in its place: the Docker Engine API over a Unix socket or TCP.
//!
//! Only what moves images: `/_ping`, `/images/load` and `/images/{name}/get`.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jettison_http::wire::{Answer, Payload, WireError, exchange};
use jettison_http::{Headers, Method};
use serde::Deserialize;

use crate::image::Image;
use crate::media::MediaError;
use crate::media::docker_archive::{DockerArchive, stream_docker_archive};
use crate::reference::Reference;

/// Where the daemon listens unless `DOCKER_HOST` says otherwise.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// Patience with an answer to a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// The text of an error, and one line of a report, are no longer than this.
const TEXT_LIMIT: u64 = 64 * 1024;

/// The address of a daemon. Nothing is open between calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    address: Address,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Unix(PathBuf),
    Tcp(String),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
        }
    }
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

impl Daemon {
    /// The daemon that a value of `DOCKER_HOST` names (`unix:///path`, `tcp://host:port`); the usual socket for none.
    pub fn new(docker_host: Option<&str>) -> Result<Self, DaemonError> {
        let bad = |reason| DaemonError::Address { text: docker_host.unwrap_or_default().to_owned(), reason };
        let text = docker_host.unwrap_or_default().trim();
        let address = if text.is_empty() {
            Address::Unix(DEFAULT_SOCKET.into())
        } else if let Some(path) = text.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(bad("a socket's path begins with `/`"));
            }
            Address::Unix(path.into())
        } else if let Some(host) = text.strip_prefix("tcp://").or_else(|| text.strip_prefix("http://")) {
            let host = host.trim_end_matches('/');
            if host.is_empty() || host.contains('/') {
                return Err(bad("it names no host"));
            }
            let has_port =
                host.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok() && port.len() < host.len());
            Address::Tcp(if has_port { host.to_owned() } else { format!("{host}:2375") })
        } else {
            return Err(bad("only unix:// and tcp:// without TLS can be used"));
        };
        Ok(Self { address })
    }

    /// Asks whether the daemon is there, and returns the version of its API.
    pub fn ping(&self) -> Result<String, DaemonError> {
        let answer = self.ask(Method::Get, "/_ping", Payload::None, Some(PING_TIMEOUT))?;
        Ok(answer.headers.get("api-version").unwrap_or_default().to_owned())
    }

    /// Loads an image under these names and returns what the daemon says about it. The image is streamed; nothing is written to
    /// disk here.
    pub fn load(&self, image: &Image, names: &[&str]) -> Result<String, DaemonError> {
        let target = PathBuf::from(self.address.to_string());
        let mut failure = None;
        let mut produce = |out: &mut dyn Write| {
            stream_docker_archive(out, &target, image, names).map_err(|error| {
                // The daemon's own end may have closed: then it is no failure of the image.
                let kind = match &error {
                    MediaError::Io { source, .. } => source.kind(),
                    _ => io::ErrorKind::InvalidData,
                };
                failure = Some(error);
                kind.into()
            })
        };
        let answer = self.ask(Method::Post, "/images/load?quiet=1", Payload::Produced(&mut produce), None);
        let answer = match (answer, failure) {
            (Err(DaemonError::Sending), Some(error)) => return Err(DaemonError::Image(error)),
            (answer, _) => answer?,
        };
        let mut said = String::new();
        for line in BufReader::new(answer.body).lines() {
            let line = line.map_err(|e| self.unreachable(&e))?;
            let Ok(report) = serde_json::from_str::<Report>(&line) else { continue };
            if let Some(error) = report.error {
                return Err(DaemonError::Refused { status: 200, message: clean(&error) });
            }
            said.push_str(&clean(&report.stream));
        }
        Ok(said)
    }

    /// Writes an image of the daemon to `out`, as a docker-archive, and returns its bytes.
    pub fn export(&self, name: &Reference, out: &mut impl Write) -> Result<u64, DaemonError> {
        let path = format!("/images/{}/get", name.familiar());
        let mut answer = self.ask(Method::Get, &path, Payload::None, None).map_err(|error| match error {
            DaemonError::Refused { status: 404, .. } => DaemonError::NotFound { name: name.familiar() },
            error => error,
        })?;
        let mut buffer = vec![0; 128 * 1024];
        let mut written = 0;
        loop {
            match answer.body.read(&mut buffer) {
                Ok(0) => return Ok(written),
                Ok(n) => {
                    out.write_all(&buffer[..n]).map_err(DaemonError::Output)?;
                    written += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.unreachable(&e)),
            }
        }
    }

    /// Reads an image of the daemon. It is spooled to a nameless file in `directory`, which lives as long as the image does.
    pub fn image(&self, name: &Reference, directory: &Path) -> Result<Image, DaemonError> {
        let mut spool = tempfile::NamedTempFile::new_in(directory).map_err(DaemonError::Output)?;
        self.export(name, &mut spool)?;
        // The archive keeps its own handle; the name goes at the end of this function.
        let archive = DockerArchive::open(spool.path()).map_err(DaemonError::Image)?;
        archive.read(None).map_err(DaemonError::Image)
    }

    fn ask(
        &self,
        method: Method,
        target: &str,
        payload: Payload<'_>,
        timeout: Option<Duration>,
    ) -> Result<Answer, DaemonError> {
        let stream = self.connect(timeout).map_err(|e| self.unreachable(&e))?;
        let mut headers = Headers::default();
        headers.push("Host", "docker");
        if matches!(payload, Payload::Produced(_)) {
            headers.push("Content-Type", "application/x-tar");
        }
        let answer = exchange(stream, method, target, &headers, payload).map_err(|error| match error {
            WireError::Payload(_) => DaemonError::Sending,
            WireError::Stream(e) => self.unreachable(&e),
            WireError::Malformed(what) => DaemonError::Unreachable {
                address: self.address.to_string(),
                reason: format!("it does not speak HTTP: {what}"),
                kind: io::ErrorKind::InvalidData,
            },
        })?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let mut text = Vec::new();
        let _ = answer.body.take(TEXT_LIMIT).read_to_end(&mut text);
        let message = match serde_json::from_slice::<Message>(&text) {
            Ok(message) => message.message,
            Err(_) => String::from_utf8_lossy(&text).into_owned(),
        };
        Err(DaemonError::Refused { status: answer.status, message: clean(&message) })
    }

    fn connect(&self, timeout: Option<Duration>) -> io::Result<Box<dyn Stream>> {
        Ok(match &self.address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(timeout)?;
                Box::new(stream)
            }
            Address::Tcp(host) => {
                let stream = TcpStream::connect(host)?;
                stream.set_read_timeout(timeout)?;
                Box::new(stream)
            }
        })
    }

    fn unreachable(&self, error: &io::Error) -> DaemonError {
        DaemonError::Unreachable { address: self.address.to_string(), reason: error.to_string(), kind: error.kind() }
    }
}

/// One line of what `/images/load` reports.
#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    stream: String,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

/// Without controls, and not without end.
fn clean(text: &str) -> String {
    let text = text.trim_end();
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_LIMIT as usize).collect()
}

/// A daemon that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// `DOCKER_HOST` is not to be understood.
    #[error("`{text}` is no address of a Docker daemon: {reason}")]
    Address {
        /// The value.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nobody answers.
    #[error("cannot reach the Docker daemon at {address}: {reason}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        reason: String,
        /// Of the reason.
        kind: io::ErrorKind,
    },
    /// The daemon says no.
    #[error("the Docker daemon answered {status}: {message}")]
    Refused {
        /// The status code.
        status: u16,
        /// What it says.
        message: String,
    },
    /// The daemon does not have the image.
    #[error("the Docker daemon has no image `{name}`")]
    NotFound {
        /// The name.
        name: String,
    },
    /// The image cannot be read.
    #[error(transparent)]
    Image(MediaError),
    /// The image ended before it was sent.
    #[error("the image could not be sent to the Docker daemon")]
    Sending,
    /// What the daemon sends cannot be written.
    #[error("cannot write what the Docker daemon sends: {0}")]
    Output(io::Error),
}

impl DaemonError {
    /// Whether the same may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(status, 500 | 502 | 503 | 504),
            Self::Unreachable { kind, .. } => {
                !matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
            }
            _ => false,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unreachable { kind: io::ErrorKind::NotFound, .. } => {
                "is Docker installed and running? DOCKER_HOST names another socket, such as Podman's; no other output needs a daemon"
            }
            Self::Unreachable { kind: io::ErrorKind::PermissionDenied, .. } => {
                "join the group that owns the socket (usually `docker`), or use a rootless daemon and DOCKER_HOST"
            }
            Self::Unreachable { .. } => "is the daemon running?",
            Self::Address { text, .. } if text.starts_with("ssh://") => {
                "forward the socket: ssh -NL /tmp/docker.sock:/var/run/docker.sock HOST, and DOCKER_HOST=unix:///tmp/docker.sock"
            }
            Self::Address { .. } => "for example unix:///var/run/docker.sock",
            Self::NotFound { .. } => "see what it has: docker image ls",
            Self::Image(error) => return error.hint(),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::ImageOrIndex;
    use crate::media::docker_archive::write_docker_archive;
    use crate::sample;
    use jettison_testkit::HttpServer;
    use jettison_testkit::http::{Request, Response};
    use std::sync::{Arc, Mutex};

    /// A daemon that keeps one archive.
    fn daemon(load_answer: &'static str) -> (HttpServer, Daemon, Arc<Mutex<Vec<u8>>>) {
        let held = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&held);
        let server =
            HttpServer::start(move |request: &Request| match (request.method.as_str(), request.path.as_str()) {
                ("GET", "/_ping") => Response::ok(*b"OK").header("Api-Version", "1.45"),
                ("POST", "/images/load") => {
                    *shared.lock().unwrap() = request.body.clone();
                    Response::ok(load_answer.as_bytes())
                }
                ("GET", "/images/app:v1/get") => Response::ok(shared.lock().unwrap().clone()),
                _ => Response::status(404).body(&br#"{"message":"No such image"}"#[..]),
            });
        let daemon = Daemon::new(Some(&format!("tcp://{}", server.authority()))).unwrap();
        (server, daemon, held)
    }

    #[test]
    fn an_image_goes_in_and_comes_out() {
        let (_server, daemon, held) = daemon("{\"stream\":\"Loaded image: app:v1\\n\"}\r\n");
        assert_eq!(daemon.ping().unwrap(), "1.45");
        let image = sample::image();
        assert_eq!(daemon.load(&image, &["docker.io/library/app:v1"]).unwrap(), "Loaded image: app:v1");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.tar");
        write_docker_archive(&file, &image, &["docker.io/library/app:v1"]).unwrap();
        assert!(*held.lock().unwrap() == std::fs::read(file).unwrap(), "the stream is the archive");
        let name = Reference::parse("app:v1").unwrap();
        let back = daemon.image(&name, dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "the spool has no name");
        assert_eq!(back.config().digest(), image.config().digest());
        assert!(crate::validate(&ImageOrIndex::Image(back)).is_empty());
    }

    #[test]
    fn what_the_daemon_refuses_is_told() {
        let (_server, daemon, _) = daemon("{\"errorDetail\":{\"message\":\"disk full\"},\"error\":\"disk full\"}\n");
        let error = daemon.load(&sample::image(), &[]).unwrap_err();
        assert_eq!(error.to_string(), "the Docker daemon answered 200: disk full");
        let missing = daemon.export(&Reference::parse("none:v1").unwrap(), &mut Vec::new()).unwrap_err();
        assert_eq!(missing.to_string(), "the Docker daemon has no image `none:v1`");
    }

    #[test]
    fn addresses_are_understood_or_refused() {
        let address = |text: Option<&str>| Daemon::new(text).map(|daemon| daemon.address.to_string());
        assert_eq!(address(None).unwrap(), "unix:///var/run/docker.sock");
        assert_eq!(address(Some("unix:///run/user/1/podman.sock")).unwrap(), "unix:///run/user/1/podman.sock");
        assert_eq!(address(Some("tcp://10.0.0.1")).unwrap(), "tcp://10.0.0.1:2375");
        for bad in ["ssh://me@host", "unix://relative", "tcp://", "fd://", "nonsense"] {
            assert!(address(Some(bad)).unwrap_err().hint().is_some(), "{bad}");
        }
    }

    #[test]
    fn nobody_there_is_told_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let daemon = Daemon::new(Some(&format!("unix://{}/none.sock", dir.path().display()))).unwrap();
        let error = daemon.ping().unwrap_err();
        assert!(error.to_string().starts_with("cannot reach the Docker daemon at unix:///") && !error.is_transient());
        assert!(error.hint().unwrap().contains("running?"));
    }
}
