//! What the values of labels have to look like.

use crate::config::LabelType;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Licences and exceptions of the SPDX licence list, in lower case: identifiers are the same whatever their case
/// (SPDX 3.0.1, Annex B.4).
static SPDX: LazyLock<[BTreeSet<String>; 2]> = LazyLock::new(|| {
    let lists = include_str!("spdx.txt").split("\n\n");
    let mut lists =
        lists.map(|list| list.lines().filter(|line| !line.starts_with('#')).map(str::to_ascii_lowercase).collect());
    [lists.next().unwrap_or_default(), lists.next().unwrap_or_default()]
});

/// What is wrong with a value, and what to write instead.
pub(crate) fn label_fault(kind: LabelType, value: &str) -> Option<(&'static str, &'static str)> {
    let (is_right, fault, help) = match kind {
        LabelType::Text => (!value.is_empty(), "is empty", "give it a value"),
        LabelType::Url => (is_url(value), "is no absolute URL", "write it as `https://example.com/app`"),
        LabelType::Rfc3339 => {
            (is_time(value), "is no time of RFC 3339", "write it as `2024-01-02T03:04:05Z`: `date -u +%FT%TZ`")
        }
        LabelType::Spdx => {
            (is_licence(value), "is no SPDX licence expression", "write it as `MIT` or `Apache-2.0 OR MIT`")
        }
        LabelType::GitHash => (is_commit(value), "is no commit", "write what `git rev-parse HEAD` prints"),
        LabelType::Semver => (is_version(value), "is no semantic version", "write it as `1.2.3`"),
        LabelType::Email => (is_email(value), "is no e-mail address", "write it as `name@example.com`"),
    };
    (!is_right).then_some((fault, help))
}

/// RFC 3986: a scheme and something behind it. What has an authority has a host.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let known = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let has_host = match rest.strip_prefix("//") {
        Some(rest) => !rest.split(['/', '?', '#']).next().unwrap_or_default().is_empty(),
        // `localhost:80` and `example.com:80/x` are no URLs, though their grammar is that of one.
        None => matches!(scheme, "mailto" | "urn" | "file"),
    };
    known && has_host && !rest.contains(|c: char| c.is_whitespace() || c.is_control() || "<>\"\\^`{|}".contains(c))
}

/// RFC 3339, section 5.6.
fn is_time(text: &str) -> bool {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse::<u32>().ok())
    };
    let at = |index: usize, allowed: &[u8]| text.as_bytes().get(index).is_some_and(|byte| allowed.contains(byte));
    let separators = at(4, b"-") && at(7, b"-") && at(10, b"Tt ") && at(13, b":") && at(16, b":");
    let (Some(year), Some(month), Some(day)) = (number(0..4), number(5..7), number(8..10)) else { return false };
    let (Some(hour), Some(minute), Some(second)) = (number(11..13), number(14..16), number(17..19)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let in_range = (1..=12).contains(&month) && (1..=days).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    let rest = text.get(19..).unwrap_or_default();
    let zone = match rest.strip_prefix('.') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => {
            rest.trim_start_matches(|c: char| c.is_ascii_digit())
        }
        Some(_) => return false,
        None => rest,
    };
    let offset = |zone: &str| {
        let two = |range: std::ops::Range<usize>| {
            zone.get(range)
                .filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|part| part.parse::<u32>().ok())
        };
        zone.len() == 6
            && zone.starts_with(['+', '-'])
            && zone.get(3..4) == Some(":")
            && two(1..3).is_some_and(|hours| hours < 24)
            && two(4..6).is_some_and(|minutes| minutes < 60)
    };
    separators && in_range && (matches!(zone, "Z" | "z") || offset(zone))
}

/// A hash of SHA-1 or SHA-256, or the first seven digits of one and more.
fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
}

/// Semantic Versioning 2.0.0.
fn is_version(text: &str) -> bool {
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
    let is_number = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    let is_word =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && pre.is_none_or(|pre| pre.split('.').all(|part| is_word(part) && (!all_digits(part) || is_number(part))))
        && build.is_none_or(|build| build.split('.').all(is_word))
}

/// RFC 5322's `addr-spec`, or a name with one in angle brackets; quoted names and comments are left out.
fn is_email(text: &str) -> bool {
    let address = match text.split_once('<') {
        Some((_, rest)) => match rest.trim_end().strip_suffix('>') {
            Some(address) => address,
            None => return false,
        },
        None => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let is_atom = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c))
    };
    let is_label =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || !c.is_ascii());
    local.split('.').all(is_atom) && domain.split('.').all(is_label)
}

/// An SPDX licence expression (SPDX 3.0.1, Annex B): identifiers of the list and references of one's own, joined by `AND`, `OR` and
/// `WITH`, in parentheses or not.
fn is_licence(text: &str) -> bool {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let mut depth = 0_usize;
    // What may come next: a licence, or an operator behind one.
    let mut after_licence = false;
    let mut words = spaced.split_whitespace().peekable();
    while let Some(word) = words.next() {
        match word {
            "(" if !after_licence => depth += 1,
            ")" if after_licence && depth > 0 => depth -= 1,
            "AND" | "OR" | "and" | "or" if after_licence => after_licence = false,
            "(" | ")" | "AND" | "OR" | "and" | "or" => return false,
            word if !after_licence && is_identifier(word) => {
                after_licence = true;
                if words.next_if(|next| next.eq_ignore_ascii_case("with")).is_some() {
                    let exception = words.next().unwrap_or_default().to_ascii_lowercase();
                    if !SPDX[1].contains(&exception) && !exception.starts_with("additionref-") {
                        return false;
                    }
                }
            }
            _ => return false,
        }
    }
    after_licence && depth == 0
}

fn is_identifier(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let own = |word: &str| {
        let name = word.rsplit(':').next().unwrap_or(word);
        name.strip_prefix("licenseref-").is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        })
    };
    matches!(word.as_str(), "none" | "noassertion")
        || SPDX[0].contains(word.strip_suffix('+').unwrap_or(&word))
        || SPDX[0].contains(&word)
        || own(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_their_labels_are_for() {
        use LabelType::{Email, GitHash, Rfc3339, Semver, Spdx, Text, Url};
        for (kind, right, wrong) in [
            (Text, &["a", " "][..], &[""][..]),
            (
                Url,
                &["https://example.com", "http://[::1]:80/x?y#z", "git+ssh://git@example.com/a.git", "mailto:a@b"],
                &["", "example.com", "localhost:80", "https://", "https:///x", "https://a b", "1x://a", "://a"],
            ),
            (
                Rfc3339,
                &["2024-02-29T23:59:60Z", "2024-01-02t03:04:05.678+01:30", "2024-01-02 03:04:05-00:00"],
                &[
                    "",
                    "2024-01-02",
                    "2023-02-29T00:00:00Z",
                    "2024-13-01T00:00:00Z",
                    "2024-01-02T03:04:05",
                    "2024-01-02T03:04:05.Z",
                    "2024-01-02T03:04:05+1:00",
                    "2024-01-02T24:00:00Z",
                    "é024-01-02T03:04:05Z",
                ],
            ),
            (
                Spdx,
                &[
                    "MIT",
                    "mit",
                    "Apache-2.0 OR (MIT AND BSD-3-Clause)",
                    "GPL-2.0+",
                    "GPL-2.0-only WITH Classpath-exception-2.0",
                    "LicenseRef-Own",
                    "NONE",
                ],
                &[
                    "",
                    "Apache 2",
                    "Apache License 2.0",
                    "MIT OR",
                    "AND MIT",
                    "(MIT",
                    "MIT)",
                    "MIT WITH nothing",
                    "MIT MIT",
                    "()",
                ],
            ),
            (
                GitHash,
                &["0123456", "da39a3ee5e6b4b0d3255bfef95601890afd80709"],
                &["", "main", "012345", "0123456G", "0123456 "],
            ),
            (
                Semver,
                &["0.1.0", "1.2.3-rc.1+x86.64"],
                &["", "1", "1.2", "v1.2.3", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+"],
            ),
            (
                Email,
                &["me@example.com", "Me <me.too+x@example.com>"],
                &["", "me", "me@", "@x", "a b@c", "<me@x", "a..b@c"],
            ),
        ] {
            for value in right {
                assert_eq!(label_fault(kind, value), None, "{kind:?} {value:?}");
            }
            for value in wrong {
                assert!(label_fault(kind, value).is_some(), "{kind:?} {value:?}");
            }
        }
    }
}
