//! As much of HTTP/1.1 as it takes to see that a server answers (RFC 9112).

use std::io::{self, Read, Write};

/// The most that is read of an answer's head. Bytes.
const HEAD_LIMIT: usize = 64 * 1024;

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// HTTP with this status.
    Status(u16),
    /// Something else: the server speaks TLS, HTTP/2 alone, or another protocol.
    NotHttp,
    /// The connection was closed without a word.
    Nothing,
}

/// Asks for the page at `path` and reads until its status is known.
pub(super) fn get(stream: &mut (impl Read + Write), path: &str, port: u16) -> io::Result<Answer> {
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: jettison\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        target(path)
    );
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match parse(&head) {
            Some(Head::Status(status)) => return Ok(Answer::Status(status)),
            Some(Head::NotHttp) => return Ok(Answer::NotHttp),
            None if head.len() > HEAD_LIMIT => return Ok(Answer::NotHttp),
            None => {}
        }
        match stream.read(&mut buffer) {
            Ok(0) if head.is_empty() => return Ok(Answer::Nothing),
            Ok(0) => return Ok(Answer::NotHttp),
            Ok(read) => head.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The request target: absolute, and without what would end the line.
fn target(path: &str) -> String {
    let mut target = String::from(if path.starts_with('/') { "" } else { "/" });
    for byte in path.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'#' => target.push(char::from(byte)),
            _ => target.push_str(&format!("%{byte:02X}")),
        }
    }
    target
}

enum Head {
    Status(u16),
    NotHttp,
}

/// The final status in what has come so far; `None` where more has to come.
fn parse(mut head: &[u8]) -> Option<Head> {
    const START: &[u8] = b"HTTP/1.";
    loop {
        let known = head.len().min(START.len());
        if head[..known] != START[..known] {
            return Some(Head::NotHttp);
        }
        // `HTTP/1.1 200`
        let line = head.get(..START.len() + 5)?;
        let status = std::str::from_utf8(&line[START.len() + 2..]).ok().and_then(|digits| digits.parse().ok());
        match status.filter(|status| (100..1000).contains(status) && line[START.len() + 1] == b' ') {
            None => return Some(Head::NotHttp),
            // Informational, but for a switch of protocols which nobody asked for: the real one follows.
            Some(100..=199) => {
                let end = head.windows(4).position(|window| window == b"\r\n\r\n")?;
                head = &head[end + 4..];
            }
            Some(status) => return Some(Head::Status(status)),
        }
    }
}

/// Reads what is left of an answer, so that the server is not interrupted while it makes it: at most a mebibyte, as long as the
/// stream's time-out allows.
pub(super) fn drain(stream: &mut impl Read) {
    let mut buffer = [0; 16 * 1024];
    let mut left = 1 << 20_usize;
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        left -= read.min(left);
        if left == 0 {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Peer<'a> {
        answer: &'a [u8],
        asked: Vec<u8>,
    }

    impl Read for Peer<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            // Byte by byte: a head may come in any pieces.
            self.answer.read(&mut buffer[..1])
        }
    }

    impl Write for Peer<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.asked.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn any_final_status_is_an_answer() {
        let cases: [(&[u8], Answer); 9] = [
            (b"HTTP/1.1 200 OK\r\n\r\nhello", Answer::Status(200)),
            (b"HTTP/1.0 404 Not Found\r\n", Answer::Status(404)),
            (b"HTTP/1.1 503\r\n", Answer::Status(503)),
            (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 302 Found\r\n", Answer::Status(302)),
            (b"", Answer::Nothing),
            (b"HTTP/1.1 20", Answer::NotHttp),
            (b"HTTP/1.1 099 x", Answer::NotHttp),
            (b"\x15\x03\x01\x00\x02", Answer::NotHttp),
            (b"SSH-2.0-OpenSSH\r\n", Answer::NotHttp),
        ];
        for (answer, expected) in cases {
            let mut peer = Peer { answer, asked: Vec::new() };
            assert_eq!(get(&mut peer, "/", 80).unwrap(), expected, "{}", String::from_utf8_lossy(answer));
        }
    }

    #[test]
    fn a_path_cannot_break_the_request() {
        let mut peer = Peer { answer: b"", asked: Vec::new() };
        get(&mut peer, "hea lth?q=1#x\r\nX: \u{e9}", 8000).unwrap();
        let asked = String::from_utf8(peer.asked).unwrap();
        assert!(
            asked.starts_with("GET /hea%20lth?q=1%23x%0D%0AX:%20%C3%A9 HTTP/1.1\r\nHost: localhost:8000\r\n"),
            "{asked}"
        );
    }
}
