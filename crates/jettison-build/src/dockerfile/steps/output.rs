//! What the program of a step writes: passed on line by line, and the last of it kept for the error.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};

/// The lines that an error shows.
const KEPT_LINES: usize = 30;
/// A longer line is passed on in pieces. Bytes.
const LINE_LIMIT: usize = 32 * 1024;
/// So much of a line is shown in an error. Bytes.
const SHOWN: usize = 2000;

/// The last lines of a program.
#[derive(Debug, Default)]
pub struct LastLines {
    lines: VecDeque<String>,
    left_out: u64,
}

impl LastLines {
    fn push(&mut self, line: &str) {
        if self.lines.len() == KEPT_LINES {
            self.lines.pop_front();
            self.left_out += 1;
        }
        let mut end = line.len().min(SHOWN);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        self.lines.push_back(line[..end].to_owned());
    }

    /// All that is kept.
    pub fn text(&self) -> String {
        self.lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// The lines with a mark in front of each, for a message; empty where nothing was written.
    pub fn shown(&self) -> String {
        let mut shown = String::new();
        if self.left_out > 0 {
            shown.push_str(&format!("\n  | … {} lines", self.left_out));
        }
        self.lines.iter().for_each(|line| shown.push_str(&format!("\n  | {line}")));
        shown
    }
}

/// Passes on each line of `stream` until its end. Memory is bounded, whatever is written.
pub fn follow(mut stream: File, line: &mut dyn FnMut(String)) -> io::Result<LastLines> {
    let mut last = LastLines::default();
    let mut pass = |bytes: &[u8], last: &mut LastLines| {
        // What a program paints over is not what it says in the end.
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let visible = bytes.rsplit(|&byte| byte == b'\r').next().unwrap_or(bytes);
        let text = String::from_utf8_lossy(visible).into_owned();
        last.push(&text);
        line(text);
    };
    let mut pending: Vec<u8> = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut rest = &buffer[..read];
        while let Some(end) = memchr::memchr(b'\n', rest) {
            pending.extend_from_slice(&rest[..end]);
            pass(&pending, &mut last);
            pending.clear();
            rest = &rest[end + 1..];
        }
        pending.extend_from_slice(rest);
        if pending.len() > LINE_LIMIT {
            pass(&pending, &mut last);
            pending.clear();
        }
    }
    if !pending.is_empty() {
        pass(&pending, &mut last);
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use super::*;

    #[test]
    fn lines_are_passed_on_and_the_last_are_kept() {
        let mut file = tempfile::tempfile().unwrap();
        (0..40).for_each(|number| writeln!(file, "line {number}").unwrap());
        write!(file, "10 %\r50 %\r100 %\r\nno end").unwrap();
        file.rewind().unwrap();
        let mut lines = Vec::new();
        let last = follow(file, &mut |line| lines.push(line)).unwrap();
        assert_eq!((lines.len(), lines[40].as_str(), lines[41].as_str()), (42, "100 %", "no end"));
        assert!(last.shown().starts_with("\n  | … 12 lines\n  | line 12\n"), "{}", last.shown());
        assert!(last.text().ends_with("line 39\n100 %\nno end"), "{}", last.text());
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'x'; 1 << 20]).unwrap();
        file.rewind().unwrap();
        let mut longest = 0;
        let last = follow(file, &mut |line| longest = longest.max(line.len())).unwrap();
        assert!(longest <= LINE_LIMIT + 64 * 1024, "{longest}");
        assert!(last.shown().len() < 80 * SHOWN);
    }
}
