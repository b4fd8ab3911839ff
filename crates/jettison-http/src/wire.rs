//! HTTP/1.1 (RFC 9112) over any stream: one exchange on one connection, which is then closed.
//!
//! For where the pooled client cannot go: Unix sockets, and `http://` URLs through a proxy, which want the absolute form of
//! the request line rather than a tunnel.

use std::io::{self, BufRead as _, BufReader, Read, Write};

use crate::{Headers, Method};

/// The head of an answer is no longer than this.
const HEAD_LIMIT: u64 = 64 * 1024;
/// Interim answers (1xx) before the real one.
const INTERIM_LIMIT: usize = 16;

/// What is sent after the head.
pub enum Payload<'a> {
    /// Nothing.
    None,
    /// Exactly so many bytes of the reader.
    Sized(&'a mut dyn Read, u64),
    /// All that the function writes, in chunks. An error that it makes itself is [`WireError::Payload`].
    Produced(&'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>),
}

/// An answer whose body reads from the stream.
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: Headers,
    /// The body, without its transfer coding. One that is cut short ends in an error.
    pub body: Box<dyn Read + Send>,
}

/// An exchange that failed.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// What was to be sent could not be read.
    #[error("{0}")]
    Payload(io::Error),
    /// The stream broke.
    #[error("{0}")]
    Stream(io::Error),
    /// The answer is not HTTP.
    #[error("{0}")]
    Malformed(&'static str),
}

/// Sends one request and reads the head of its answer. `Connection`, `Content-Length` and `Transfer-Encoding` are added here.
pub fn exchange<S: Read + Write + Send + 'static>(
    mut stream: S,
    method: Method,
    target: &str,
    headers: &Headers,
    payload: Payload<'_>,
) -> Result<Answer, WireError> {
    let sent = send(&mut stream, method, target, headers, payload);
    if let Err(error @ WireError::Payload(_)) = sent {
        return Err(error);
    }
    // A server may answer and close before it has read all; its answer says more than the broken pipe.
    let answer = receive(BufReader::with_capacity(64 * 1024, stream), method);
    match (sent, answer) {
        (Err(error), Err(_)) => Err(error),
        (_, answer) => answer,
    }
}

fn send(
    stream: &mut impl Write,
    method: Method,
    target: &str,
    headers: &Headers,
    payload: Payload<'_>,
) -> Result<(), WireError> {
    let mut head = format!("{} {target} HTTP/1.1\r\nConnection: close\r\n", method.as_str());
    for (name, value) in headers.iter() {
        if [name, value, target].iter().any(|text| text.contains(['\r', '\n', '\0'])) {
            return Err(WireError::Malformed("a header to be sent holds a line break"));
        }
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    match &payload {
        Payload::None if matches!(method, Method::Post | Method::Put | Method::Patch) => {
            head.push_str("Content-Length: 0\r\n")
        }
        Payload::None => {}
        Payload::Sized(_, len) => head.push_str(&format!("Content-Length: {len}\r\n")),
        Payload::Produced(_) => head.push_str("Transfer-Encoding: chunked\r\n"),
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).map_err(WireError::Stream)?;
    let mut buffer = vec![0; 64 * 1024];
    match payload {
        Payload::None => {}
        Payload::Sized(reader, mut left) => {
            while left > 0 {
                let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let n = read(reader, &mut buffer[..want])?;
                if n == 0 {
                    return Err(WireError::Payload(io::ErrorKind::UnexpectedEof.into()));
                }
                stream.write_all(&buffer[..n]).map_err(WireError::Stream)?;
                left -= n as u64;
            }
        }
        Payload::Produced(produce) => {
            let mut chunks = ChunkWriter { stream, buffer, len: 0, broken: false };
            let made = produce(&mut chunks)
                .and_then(|()| chunks.chunk())
                .and_then(|()| chunks.stream.write_all(b"0\r\n\r\n").inspect_err(|_| chunks.broken = true));
            made.map_err(if chunks.broken { WireError::Stream } else { WireError::Payload })?;
        }
    }
    stream.flush().map_err(WireError::Stream)
}

/// Sends what is written to it in chunks of the buffer's size.
struct ChunkWriter<'a, S> {
    stream: &'a mut S,
    buffer: Vec<u8>,
    len: usize,
    /// Whether the last error was the stream's.
    broken: bool,
}

impl<S: Write> ChunkWriter<'_, S> {
    fn chunk(&mut self) -> io::Result<()> {
        if self.len == 0 {
            return Ok(());
        }
        let sent = self
            .stream
            .write_all(format!("{:x}\r\n", self.len).as_bytes())
            .and_then(|()| self.stream.write_all(&self.buffer[..self.len]))
            .and_then(|()| self.stream.write_all(b"\r\n"));
        self.len = 0;
        sent.inspect_err(|_| self.broken = true)
    }
}

impl<S: Write> Write for ChunkWriter<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.len == self.buffer.len() {
            self.chunk()?;
        }
        let n = bytes.len().min(self.buffer.len() - self.len);
        self.buffer[self.len..self.len + n].copy_from_slice(&bytes[..n]);
        self.len += n;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.chunk()
    }
}

fn read(reader: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, WireError> {
    loop {
        match reader.read(buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(WireError::Payload),
        }
    }
}

fn receive<S: Read + Send + 'static>(mut stream: BufReader<S>, method: Method) -> Result<Answer, WireError> {
    for _ in 0..INTERIM_LIMIT {
        let (status, headers) = read_head(&mut stream)?;
        if (100..200).contains(&status) && status != 101 {
            continue;
        }
        let chunked = headers.get("transfer-encoding").is_some_and(|v| v.to_ascii_lowercase().contains("chunked"));
        let body: Box<dyn Read + Send> = if method == Method::Head || matches!(status, 204 | 304) {
            Box::new(io::empty())
        } else if chunked {
            Box::new(Chunked { stream, left: 0, state: ChunkState::First })
        } else if let Some(left) = headers.number("content-length") {
            Box::new(Sized { stream, left })
        } else {
            Box::new(stream)
        };
        return Ok(Answer { status, headers, body });
    }
    Err(WireError::Malformed("it sends interim answers without end"))
}

fn read_head(stream: &mut impl io::BufRead) -> Result<(u16, Headers), WireError> {
    let mut head = stream.take(HEAD_LIMIT);
    let mut line = || {
        let mut line = Vec::new();
        head.read_until(b'\n', &mut line).map_err(WireError::Stream)?;
        if line.pop() != Some(b'\n') {
            let closed = line.is_empty() && head.limit() > 0;
            return Err(if closed {
                WireError::Stream(io::ErrorKind::UnexpectedEof.into())
            } else {
                WireError::Malformed("the head of the answer has no end")
            });
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    };
    let first = line()?;
    let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
    let status = status.ok_or(WireError::Malformed("the answer does not begin as HTTP does"))?;
    let mut headers = Headers::default();
    loop {
        let field = line()?;
        if field.is_empty() {
            return Ok((status, headers));
        }
        let (name, value) = field.split_once(':').ok_or(WireError::Malformed("a header field has no colon"))?;
        headers.push(name.trim(), value.trim());
    }
}

struct Sized<S> {
    stream: BufReader<S>,
    left: u64,
}

impl<S: Read> Read for Sized<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = (&mut self.stream).take(self.left).read(buffer)?;
        if n == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n as u64;
        Ok(n)
    }
}

#[derive(PartialEq)]
enum ChunkState {
    First,
    Inside,
    Done,
}

struct Chunked<S> {
    stream: BufReader<S>,
    left: u64,
    state: ChunkState,
}

impl<S: Read> Chunked<S> {
    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        (&mut self.stream).take(4096).read_line(&mut line)?;
        if line.ends_with('\n') { Ok(line.trim().to_owned()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        if self.state == ChunkState::Inside && !self.line()?.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a chunk does not end where it should"));
        }
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let bad = |_| io::Error::new(io::ErrorKind::InvalidData, "a chunk has no size");
        self.left = u64::from_str_radix(size, 16).map_err(bad)?;
        self.state = ChunkState::Inside;
        if self.left == 0 {
            while !self.line()?.is_empty() {}
            self.state = ChunkState::Done;
        }
        Ok(())
    }
}

impl<S: Read> Read for Chunked<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 && self.state != ChunkState::Done {
            self.next_chunk()?;
        }
        if self.state == ChunkState::Done {
            return Ok(0);
        }
        let n = (&mut self.stream).take(self.left).read(buffer)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone)]
    struct Script {
        answer: io::Cursor<&'static [u8]>,
        sent: Arc<Mutex<Vec<u8>>>,
    }

    impl Read for Script {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.answer.read(buffer)
        }
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.sent.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn ask(answer: &'static str, payload: Payload<'_>) -> (Result<(u16, io::Result<String>), WireError>, String) {
        let script = Script { answer: io::Cursor::new(answer.as_bytes()), sent: Arc::default() };
        let mut headers = Headers::default();
        headers.push("Host", "d");
        let result = exchange(script.clone(), Method::Post, "/x", &headers, payload).map(|mut answer| {
            let mut text = String::new();
            (answer.status, answer.body.read_to_string(&mut text).map(|_| text))
        });
        let sent = String::from_utf8(script.sent.lock().unwrap().clone()).unwrap();
        (result, sent)
    }

    #[test]
    fn bodies_come_in_every_framing() {
        for (answer, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", 200, Some("abc")),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n",
                200,
                Some("abcde"),
            ),
            ("HTTP/1.0 404 No\r\n\r\nall the rest", 404, Some("all the rest")),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 None\r\n\r\n", 204, Some("")),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 200, None),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", 200, None),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcde\r\n", 200, None),
        ] {
            let (got_status, got) = ask(answer, Payload::None).0.unwrap();
            assert_eq!((got_status, got.ok().as_deref()), (status, body), "{answer}");
        }
        for answer in ["", "SSH-2.0\r\n\r\n", "HTTP/1.1 200 OK\r\nnocolon\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b"] {
            assert!(ask(answer, Payload::None).0.is_err(), "{answer}");
        }
    }

    #[test]
    fn payloads_go_out_in_every_framing() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let head = "POST /x HTTP/1.1\r\nConnection: close\r\nHost: d\r\n";
        assert_eq!(ask(answer, Payload::None).1, format!("{head}Content-Length: 0\r\n\r\n"));
        assert_eq!(ask(answer, Payload::Sized(&mut &b"abc"[..], 3)).1, format!("{head}Content-Length: 3\r\n\r\nabc"));
        let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        let mut produce = |out: &mut dyn Write| out.write_all(b"a").and_then(|()| out.write_all(b"bc"));
        assert_eq!(ask(answer, Payload::Produced(&mut produce)).1, chunked);
        let mut fail = |_: &mut dyn Write| Err(io::Error::other("no more"));
        assert!(matches!(ask(answer, Payload::Produced(&mut fail)).0, Err(WireError::Payload(_))));
        assert!(matches!(ask(answer, Payload::Sized(&mut &b"ab"[..], 3)).0, Err(WireError::Payload(_))));
    }
}
