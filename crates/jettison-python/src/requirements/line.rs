//! One requirements file: bytes → text → logical lines → [`Line`]s.

use std::collections::BTreeSet;

use super::{Entry, Wanted};
use crate::direct::DirectReference;
use crate::marker::Marker;
use crate::name::NormalizedName;
use crate::place::Place;
use crate::requirement::{Constraint, Requirement};

/// A file with more lines than this is none that a person or a tool meant.
const MAX_LINES: usize = 200_000;

/// What a logical line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A requirement.
    Requirement(Entry),
    /// `-r file`, as written, and where.
    Include(String, Place),
    /// `-c file`, as written, and where.
    Constraint(String, Place),
    /// Any other option: its long name, and the value where it takes one.
    Option(&'static str, String, Place),
}

/// A line of a requirements file makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct LineError {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub what: String,
    hint: Option<String>,
}

impl LineError {
    fn new(place: &Place, what: impl Into<String>) -> Self {
        Self { place: place.clone(), what: what.into(), hint: None }
    }

    fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

/// The option lines that pip knows: long names first, whether a value follows.
const OPTIONS: &[(&[&str], bool)] = &[
    (&["--index-url", "--pypi-url", "-i"], true),
    (&["--extra-index-url"], true),
    (&["--no-index"], false),
    (&["--find-links", "-f"], true),
    (&["--no-binary"], true),
    (&["--only-binary"], true),
    (&["--prefer-binary"], false),
    (&["--pre"], false),
    (&["--require-hashes"], false),
    (&["--trusted-host"], true),
    (&["--use-feature"], true),
    (&["--requirement", "-r"], true),
    (&["--constraint", "-c"], true),
];

/// The options that may follow a requirement.
const REQUIREMENT_OPTIONS: &[(&[&str], bool)] =
    &[(&["--hash"], true), (&["--global-option"], true), (&["--config-settings", "--config-setting", "-C"], true)];

/// The text of a requirements file: UTF-8 or UTF-16 by byte order mark, else as a `coding:` comment in the first two
/// lines says (UTF-8 and Latin-1), else UTF-8.
pub fn decode(file: &str, bytes: &[u8]) -> Result<String, LineError> {
    let utf16 = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| read([pair[0], pair[1]])).collect();
        String::from_utf16(&units).map_err(|_| LineError::new(&Place::file(file), "its UTF-16 text is broken"))
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => return utf8(file, rest),
        [0xff, 0xfe, rest @ ..] => return utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => return utf16(rest, u16::from_be_bytes),
        _ => {}
    }
    let is_latin = bytes.split(|&byte| byte == b'\n').take(2).any(|line| {
        let line = String::from_utf8_lossy(line).to_ascii_lowercase();
        line.starts_with('#')
            && ["latin-1", "latin1", "iso-8859-1"].iter().any(|name| {
                line.split_once("coding")
                    .is_some_and(|(_, value)| value.trim_start_matches([':', '=', ' ']).starts_with(name))
            })
    });
    if is_latin { Ok(bytes.iter().map(|&byte| char::from(byte)).collect()) } else { utf8(file, bytes) }
}

fn utf8(file: &str, bytes: &[u8]) -> Result<String, LineError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|e| {
        let good = String::from_utf8_lossy(&bytes[..e.valid_up_to()]);
        LineError::new(&Place::at(file, &good, good.len()), "this byte is not UTF-8")
            .with_hint("save the file as UTF-8")
    })
}

/// Parses the text of `file`; `variables` gives the values for `${NAME}`, and an unknown one stays as it is.
pub fn parse(file: &str, text: &str, variables: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Line>, LineError> {
    let mut lines = Vec::new();
    for (number, line) in logical_lines(text) {
        let place = Place::line(file, number);
        if lines.len() > MAX_LINES {
            return Err(LineError::new(&place, format!("more than {MAX_LINES} lines")));
        }
        let line = without_comment(&line).trim();
        if !line.is_empty() {
            lines.extend(parse_line(&expand(line, variables), &place)?);
        }
    }
    Ok(lines)
}

/// Joins lines that end in `\`, each with the number of its first. A comment line ends a join, as in pip.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let is_comment = line.trim_start().starts_with('#');
        let continues = line.ends_with('\\') && !is_comment;
        let part = line.strip_suffix('\\').filter(|_| continues).unwrap_or(line);
        let (number, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        if is_comment {
            joined.push(' ');
        }
        joined.push_str(part);
        if continues {
            open = Some((number, joined));
        } else {
            lines.push((number, joined));
        }
    }
    lines.extend(open);
    lines
}

/// Cuts from a `#` at the start or behind white space.
fn without_comment(line: &str) -> &str {
    let is_start = |at: usize| at == 0 || line[..at].ends_with(char::is_whitespace);
    line.match_indices('#').find(|&(at, _)| is_start(at)).map_or(line, |(at, _)| &line[..at])
}

/// Replaces `${NAME}`, where NAME is upper case letters, digits and `_`.
fn expand(line: &str, variables: &dyn Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::new();
    let mut rest = line;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        expanded.push_str(before);
        let name = from[2..].split_once('}').map(|(name, _)| name).filter(|name| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        });
        match name.and_then(|name| Some((name, variables(name)?))) {
            Some((name, value)) => {
                expanded.push_str(&value);
                rest = &from[name.len() + 3..];
            }
            None => {
                expanded.push_str("${");
                rest = &from[2..];
            }
        }
    }
    expanded + rest
}

fn parse_line(line: &str, place: &Place) -> Result<Vec<Line>, LineError> {
    if line.starts_with('-') {
        return parse_options(line, place);
    }
    let (requirement, options) = split_options(line);
    let mut entry = parse_requirement(requirement, place)?;
    let mut words = shell_words(options).map_err(|what| LineError::new(place, what))?.into_iter();
    while let Some(word) = words.next() {
        let (name, value) = option_value(&word, REQUIREMENT_OPTIONS, &mut words, place)?;
        if name == "--hash" {
            entry.hashes.push(parse_hash(&value, place)?);
        }
    }
    Ok(vec![Line::Requirement(entry)])
}

fn parse_options(line: &str, place: &Place) -> Result<Vec<Line>, LineError> {
    if let Some(rest) = editable(line) {
        let entry = parse_requirement(rest, place)?;
        if let Wanted::Versions(_) = entry.wanted {
            let error = LineError::new(place, format!("`-e {rest}` is no directory or repository"));
            return Err(error.with_hint("write `-e ./directory` or `-e git+https://…#egg=name`"));
        }
        return Ok(vec![Line::Requirement(Entry { editable: true, ..entry })]);
    }
    let mut lines = Vec::new();
    let mut words = shell_words(line).map_err(|what| LineError::new(place, what))?.into_iter();
    while let Some(word) = words.next() {
        if !word.starts_with('-') {
            return Err(LineError::new(place, format!("`{word}` follows an option that takes no value")));
        }
        let (name, value) = option_value(&word, OPTIONS, &mut words, place)?;
        lines.push(match name {
            "--requirement" => Line::Include(value, place.clone()),
            "--constraint" => Line::Constraint(value, place.clone()),
            name => Line::Option(name, value, place.clone()),
        });
    }
    Ok(lines)
}

/// What follows `-e` or `--editable`, word for word: its marker has quotes that no shell may strip.
fn editable(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("--editable").or_else(|| line.strip_prefix("-e"))?;
    rest.strip_prefix('=').or_else(|| rest.strip_prefix(char::is_whitespace)).map(str::trim)
}

/// The long name of the option that `word` is, and its value: behind `=`, behind a short name, or the next word.
fn option_value(
    word: &str,
    known: &[(&'static [&'static str], bool)],
    words: &mut impl Iterator<Item = String>,
    place: &Place,
) -> Result<(&'static str, String), LineError> {
    for &(names, takes_value) in known {
        for &name in names {
            let Some(rest) = word.strip_prefix(name) else { continue };
            let value = match rest.strip_prefix('=') {
                _ if rest.is_empty() && !takes_value => String::new(),
                _ if rest.is_empty() => {
                    words.next().ok_or_else(|| LineError::new(place, format!("`{name}` needs a value")))?
                }
                Some(value) if takes_value => value.to_owned(),
                _ if takes_value && !name.starts_with("--") => rest.to_owned(),
                _ => continue,
            };
            return Ok((names[0], value));
        }
    }
    let name = word.split('=').next().unwrap_or_default();
    let close = known
        .iter()
        .flat_map(|(names, _)| names.iter())
        .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
    let error = LineError::new(place, format!("`{name}` is no option of a requirements file"));
    Err(match close {
        Some(close) if name.starts_with("--") && strsim::jaro_winkler(close, name) > 0.85 => {
            error.with_hint(format!("did you mean `{close}`?"))
        }
        _ => error,
    })
}

/// Splits a line before its first word that begins with `-`.
fn split_options(line: &str) -> (&str, &str) {
    let option = line.match_indices(" -").map(|(at, _)| at).next();
    option.map_or((line, ""), |at| line.split_at(at))
}

fn parse_hash(value: &str, place: &Place) -> Result<(String, String), LineError> {
    let error = || {
        let error = LineError::new(place, format!("`--hash={value}` is no hash"));
        error.with_hint("write `--hash=sha256:` and 64 hex digits")
    };
    let (algorithm, hex) = value.split_once(':').ok_or_else(error)?;
    let digits = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err(error()),
    };
    if hex.len() != digits || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(error());
    }
    Ok((algorithm.to_owned(), hex.to_ascii_lowercase()))
}

fn parse_requirement(text: &str, place: &Place) -> Result<Entry, LineError> {
    let text = text.trim();
    if is_direct(text) {
        return parse_direct(text, place);
    }
    let requirement = Requirement::parse(text).map_err(|e| LineError::new(place, e.to_string()))?;
    let wanted = match requirement.constraint {
        Constraint::Versions(specifiers) => Wanted::Versions(specifiers),
        Constraint::Url(url) => {
            let parsed = DirectReference::parse(&url);
            let (reference, _) = parsed.ok_or_else(|| LineError::new(place, format!("`{url}` is no URL")))?;
            Wanted::Direct(reference)
        }
    };
    let Requirement { name, extras, marker, .. } = requirement;
    let place = place.clone();
    Ok(Entry { place, name: Some(name), extras, wanted, marker, hashes: Vec::new(), editable: false })
}

/// Whether a requirement is a URL or path rather than a name: pip's rule, without asking the disk.
fn is_direct(text: &str) -> bool {
    let head = text.split([';', ' ', '@']).next().unwrap_or_default();
    let has_scheme = text.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'.' | b'-'))
    });
    let archive = [".whl", ".tar.gz", ".zip", ".tgz", ".tar.bz2"];
    has_scheme || head.starts_with('.') || head.contains('/') || archive.iter().any(|end| head.ends_with(end))
}

fn parse_direct(text: &str, place: &Place) -> Result<Entry, LineError> {
    // A `;` can be part of a URL or a path; the marker's has a space before or behind it.
    let split = text.find(" ;").or_else(|| text.find("; "));
    let (target, marker) =
        split.map_or((text, ""), |at| (&text[..at], text[at..].trim_start().trim_start_matches(';')));
    let marker = Marker::parse(marker.trim()).map_err(|e| LineError::new(place, e.to_string()))?;
    let (target, mut extras) = split_extras(target.trim(), place)?;
    let parsed = DirectReference::parse(target);
    let (reference, egg) = parsed.ok_or_else(|| LineError::new(place, format!("`{target}` is no URL")))?;
    let mut name = None;
    if let Some(egg) = egg {
        let (egg, more) = split_extras(&egg, place)?;
        extras.extend(more);
        name = NormalizedName::parse(egg).ok();
    }
    let place = place.clone();
    Ok(Entry { place, name, extras, wanted: Wanted::Direct(reference), marker, hashes: Vec::new(), editable: false })
}

/// Splits `path[extra,extra]`.
fn split_extras<'a>(text: &'a str, place: &Place) -> Result<(&'a str, BTreeSet<NormalizedName>), LineError> {
    let Some((target, extras)) = text.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) else {
        return Ok((text, BTreeSet::new()));
    };
    let names = extras.split(',').map(str::trim).filter(|extra| !extra.is_empty()).map(NormalizedName::parse);
    let names = names.collect::<Result<_, _>>().map_err(|e| LineError::new(place, e.to_string()))?;
    Ok((target.trim_end(), names))
}

/// Splits as Python's `shlex.split` does: quotes and backslashes.
fn shell_words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        None => return Err(format!("a quote {c} is not closed")),
                        Some(end) if end == c => break,
                        Some('\\') if c == '"' => match rest.next() {
                            Some(escaped @ ('"' | '\\')) => word.push(escaped),
                            Some(other) => word.extend(['\\', other]),
                            None => return Err(format!("a quote {c} is not closed")),
                        },
                        Some(inner) => word.push(inner),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(rest.next().ok_or("a `\\` stands at the end")?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}
