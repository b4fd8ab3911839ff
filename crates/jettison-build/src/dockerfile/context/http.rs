//! What ADD fetches over HTTP, and contexts that are URLs.
//!
//! A file is asked for again each time, with the ETag that came with it: the server says whether it has changed. With a checksum nobody
//! is asked once it is in the store. It becomes a file `0600` of root's with the time of `Last-Modified`, named as the URL's path ends.

use std::io;
use std::sync::Arc;

use jettison_engine::CacheKey;
use jettison_engine::store::StoreError;
use jettison_http::{Headers, Method, Request, Response, redact};
use jettison_tree::{Content, Digest, Entry, Node, TreePath};
use serde::{Deserialize, Serialize};
use url::Url;

use super::memory::MemoryTree;
use crate::dockerfile::copy::Source;
use crate::error::{BuildError, Context as _};
use crate::fetch::LIMIT;
use crate::job::Job;

/// The name of a file whose URL has none.
const UNNAMED: &str = "__unnamed__";

/// A file that was fetched.
#[derive(Debug)]
pub struct Download {
    /// Its name, without directories.
    pub name: TreePath,
    /// What is in it.
    pub content: Content,
    /// When it was last changed, as the server says; seconds since 1970.
    pub modified: Option<i64>,
}

/// What is remembered of an answer.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    digest: Digest,
    len: u64,
    etag: Option<String>,
    modified: Option<i64>,
    name: Option<String>,
}

/// Whether ADD fetches this over HTTP, unless it is a [git repository](super::git::GitReference::parse).
pub fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// Fetches a URL. Where a checksum is given, what comes must have it.
pub fn download(job: &Job<'_>, url: &str, checksum: Option<Digest>) -> Result<Download, BuildError> {
    let shown = redact(url);
    let parsed = Url::parse(url).map_err(|error| BuildError::new(format!("`{shown}` is no URL: {error}")))?;
    let key = CacheKey::builder("dockerfile/http/1").field("url", url).finish();
    let known: Option<Answer> = job.store.memo_get(&key)?;
    let mut known = known.filter(|known| checksum.is_none_or(|checksum| checksum == known.digest));
    if let Some(checksum) = checksum {
        if let Some(known) = known {
            return finish(job, &parsed, known);
        }
        if let Some(len) = job.store.blob_len(checksum)? {
            return finish(job, &parsed, Answer { digest: checksum, len, etag: None, modified: None, name: None });
        }
    }
    let mut request = Request::new(Method::Get, url);
    if let Some(etag) = known.as_ref().and_then(|known| known.etag.as_ref()) {
        request = request.header("If-None-Match", etag.clone());
    }
    let progress = job.begin(&format!("download {shown}"));
    let response = match job.http.send(&request) {
        Err(_) if job.http.options().offline && known.is_some() => None,
        answer => Some(answer?),
    };
    let answer = match (response, known.take()) {
        (None, Some(known)) => known,
        (Some(response), Some(known)) if response.status == 304 => {
            response.discard();
            known
        }
        (Some(response), _) => {
            let answer = receive(job, response.success()?, url, checksum)?;
            job.store.memo_put(&key, &answer, &[answer.digest.into()])?;
            answer
        }
        (None, None) => return Err(BuildError::new(format!("{shown} was not fetched"))),
    };
    drop(progress);
    finish(job, &parsed, answer)
}

fn receive(job: &Job<'_>, response: Response, url: &str, checksum: Option<Digest>) -> Result<Answer, BuildError> {
    let shown = redact(url).into_owned();
    let headers = response.headers.clone();
    let mut writer = job.store.writer()?;
    let len = io::copy(&mut io::Read::take(response, LIMIT + 1), &mut writer).context(&shown)?;
    if len > LIMIT {
        return Err(BuildError::new(format!("{shown} has more than {LIMIT} bytes")));
    }
    if headers.number("content-length").is_some_and(|announced| announced != len) {
        return Err(BuildError::new(format!("{shown} was cut short after {len} bytes")).transient(true));
    }
    let (digest, len) = writer.commit(checksum).map_err(|error| match error {
        StoreError::Mismatch { expected, actual, .. } => {
            BuildError::new(format!("{shown} is {actual}, and --checksum says {expected}"))
                .hint("find out whether the file was changed on purpose, then write the new checksum")
        }
        other => other.into(),
    })?;
    let modified = headers.get("last-modified").and_then(http_date);
    let etag = headers.get("etag").map(str::to_owned);
    Ok(Answer { digest, len, etag, modified, name: disposition(&headers) })
}

fn finish(job: &Job<'_>, url: &Url, answer: Answer) -> Result<Download, BuildError> {
    let decoded = percent_decode(url.path().trim_end_matches('/'));
    let last = decoded.rsplit(|&byte| byte == b'/').next().unwrap_or_default().to_vec();
    let named = |name: &[u8]| TreePath::parse(name).ok().filter(|path| path.parent().is_none());
    let name = named(&last).or_else(|| named(answer.name.as_deref().unwrap_or_default().as_bytes()));
    let name = match name {
        Some(name) => name,
        None => TreePath::parse(UNNAMED)?,
    };
    let content = Content::at_path(job.store.blob_path(answer.digest), answer.len, answer.digest);
    Ok(Download { name, content, modified: answer.modified })
}

impl Download {
    /// The file as a tree.
    pub fn into_tree(self) -> MemoryTree {
        let mut entry = Entry::new(self.name, 0o600, (0, 0), Node::File(self.content));
        entry.mtime = Some(self.modified.unwrap_or(0));
        let mut tree = MemoryTree::new();
        tree.insert(entry);
        tree
    }

    /// The file as a source of ADD.
    pub fn into_source(self, unpack: bool) -> Source {
        let path = self.name.as_bytes().to_vec();
        Source::Fetched { tree: Arc::new(self.into_tree()), path, unpack }
    }
}

/// The file name in `Content-Disposition` (RFC 6266), its last component.
fn disposition(headers: &Headers) -> Option<String> {
    let value = headers.get("content-disposition")?;
    let name = value.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case("filename").then(|| value.trim().trim_matches('"'))
    })?;
    Some(name.rsplit('/').next().unwrap_or_default().to_owned())
}

fn percent_decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = (*first == b'%').then(|| tail.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    decoded
}

/// Seconds since 1970 of a date as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7).
fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, time, "GMT"] = words[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let (day, year): (i64, i64) = (day.parse().ok()?, year.parse().ok()?);
    let time: Vec<i64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hour, minute, second] = time[..] else { return None };
    let in_range = (1..=31).contains(&day)
        && (1..=9999).contains(&year)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !in_range {
        return None;
    }
    // Days of the Gregorian calendar, counted in years that begin in March.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199)),
            ("Thu, 29 Feb 2024 23:59:59", None),
            ("Thu, 29 Foo 2024 23:59:59 GMT", None),
            ("Thu, 29 Feb 2024 99:59:59 GMT", None),
            ("", None),
        ] {
            assert_eq!(http_date(text), seconds, "{text}");
        }
    }
}
