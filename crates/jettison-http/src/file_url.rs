use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use url::Url;

use crate::{Headers, HttpError, Method, Response};

/// Answers a GET or HEAD for a `file://` URL (RFC 8089) as a server would, with `Range`.
pub(crate) fn answer(url: &Url, method: Method, headers: &Headers) -> Result<Response, HttpError> {
    let bad = |reason: &str| HttpError::Url { url: url.to_string(), reason: reason.to_owned() };
    if !matches!(method, Method::Get | Method::Head) {
        return Err(bad("a file can only be read"));
    }
    let path = url.to_file_path().map_err(|()| bad("it names no file of this machine"))?;
    let error = |source| HttpError::File { path: path.clone(), source };
    let mut file = File::open(&path).map_err(error)?;
    let meta = file.metadata().map_err(error)?;
    if !meta.is_file() {
        return Err(error(io::Error::other("it is not a regular file")));
    }
    let total = meta.len();
    let mut answer = Headers::default();
    let (status, start, end) = match headers.get("range") {
        None => (200, 0, total),
        Some(range) => match parse_range(range, total) {
            Some((start, end)) => {
                answer.push("Content-Range", format!("bytes {start}-{}/{total}", end - 1));
                (206, start, end)
            }
            None => (416, 0, 0),
        },
    };
    answer.push("Content-Length", (end - start).to_string());
    file.seek(SeekFrom::Start(start)).map_err(error)?;
    let body: Box<dyn io::Read + Send> =
        if method == Method::Head { Box::new(io::empty()) } else { Box::new(file.take(end - start)) };
    Ok(Response { status, headers: answer, url: url.clone(), body })
}

/// Start and end of a single range, if it is not empty.
fn parse_range(range: &str, total: u64) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (start, end) = match (first.parse().ok(), last.parse::<u64>().ok()) {
        (Some(start), Some(last)) => (start, last.saturating_add(1).min(total)),
        (Some(start), None) => (start, total),
        (None, Some(suffix)) => (total.saturating_sub(suffix), total),
        (None, None) => return None,
    };
    (start < end).then_some((start, end))
}
