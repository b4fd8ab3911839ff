//! The order of package versions (Policy 5.6.12, deb-version(7)).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Compares two versions as `dpkg --compare-versions` does. Defined for any text; a part that is not there counts as `0`.
pub fn compare(left: &str, right: &str) -> Ordering {
    if left == right {
        return Ordering::Equal;
    }
    let ((left_epoch, left), (right_epoch, right)) = (split_epoch(left), split_epoch(right));
    let ((left, left_revision), (right, right_revision)) = (split_revision(left), split_revision(right));
    let part = |l: &str, r: &str| compare_part(l.as_bytes(), r.as_bytes());
    part(left_epoch, right_epoch).then_with(|| part(left, right)).then_with(|| part(left_revision, right_revision))
}

fn split_epoch(version: &str) -> (&str, &str) {
    version.split_once(':').unwrap_or(("0", version))
}

fn split_revision(version: &str) -> (&str, &str) {
    version.rsplit_once('-').unwrap_or((version, "0"))
}

/// Alternately: the longest run without digits, where letters stand before anything else and `~` before the end; then the
/// longest run of digits, as a number of any length.
fn compare_part(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        loop {
            let (l, r) = (weight(left.first()), weight(right.first()));
            if l != r {
                return l.cmp(&r);
            }
            if l == 0 {
                break;
            }
            (left, right) = (&left[1..], &right[1..]);
        }
        let (l, r) = (number(&mut left), number(&mut right));
        let order = l.len().cmp(&r.len()).then_with(|| l.cmp(r));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// The rank of a byte that is no digit. The end and digits are 0: both end the run.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        None | Some(b'0'..=b'9') => 0,
        Some(b'~') => -1,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    }
}

/// Takes the digits off the front, without leading zeros.
fn number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    *text = rest;
    let zeros = number.iter().take_while(|&&byte| byte == b'0').count();
    &number[zeros..]
}

/// A well-formed version. Equality is that of the order: `1.0` equals `1.00` and `0:1.0-0`.
#[derive(Debug, Clone)]
pub struct Version(Box<str>);

impl Version {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the epoch and the Debian revision.
    pub fn upstream(&self) -> &str {
        split_revision(split_epoch(&self.0).1).0
    }
}

impl FromStr for Version {
    type Err = VersionError;

    /// Parses `[epoch:]upstream[-revision]`. As `dpkg`, it wants the upstream version to start with a digit.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = |why| Err(VersionError { version: text.to_owned(), why });
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (epoch, rest),
            None => ("0", text),
        };
        if epoch.parse::<u32>().map_or(true, |epoch| epoch > i32::MAX as u32) {
            return error("the epoch is not a number");
        }
        let (upstream, revision) = split_revision(rest);
        let allowed = |extra: &'static [u8]| move |byte: u8| byte.is_ascii_alphanumeric() || extra.contains(&byte);
        if !upstream.starts_with(|first: char| first.is_ascii_digit()) {
            return error("the upstream version does not start with a digit");
        }
        if !upstream.bytes().all(allowed(b".+-~:")) {
            return error("only letters, digits and `.+-~:` may stand in the upstream version");
        }
        if revision.is_empty() || !revision.bytes().all(allowed(b"+.~")) {
            return error("only letters, digits and `+.~` may stand in the revision");
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

/// The text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a Debian version: {why}", version.escape_debug())]
pub struct VersionError {
    version: String,
    why: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_as_dpkg_orders_them() {
        let ascending = [
            "0~~",
            "0~",
            "0",
            "0.0~rc1-1",
            "0.0-1",
            "1.0~~",
            "1.0~~a",
            "1.0~",
            "1.0-0~bpo12+1",
            "1.0",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1+b2",
            "1.0-1+deb12u1",
            "1.0-1.1",
            "1.0-2",
            "1.0a",
            "1.0+dfsg",
            "1.0+dfsg-1",
            "1.0.1",
            "1.2",
            "1.9",
            "1.10",
            "9.99999999999999999999999",
            "9.100000000000000000000000",
            "1:0",
            "1:0.1",
            "10:0",
        ];
        for (i, left) in ascending.iter().enumerate() {
            for (j, right) in ascending.iter().enumerate() {
                assert_eq!(compare(left, right), i.cmp(&j), "{left} {right}");
            }
        }
        for (left, right) in [("1.0", "0:1.0-0"), ("1.01", "1.1"), ("1.0-", "1.0"), ("", "0"), ("a0", "a")] {
            assert_eq!(compare(left, right), Ordering::Equal, "{left} {right}");
        }
    }

    #[test]
    fn only_versions_parse() {
        for good in ["1", "1:2.3-4", "2.36-9+deb12u10", "1.0~rc1-1~bpo12+1", "1:1:1-1", "1-2-3"] {
            assert_eq!(good.parse::<Version>().unwrap().as_str(), good);
        }
        for bad in ["", "a1", "x:1", "1-", ":1", "1_2", "1-é", "9999999999:1", "1 2"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
        assert_eq!("3:2.0-1-4".parse::<Version>().unwrap().upstream(), "2.0-1");
        assert_eq!("1.0".parse::<Version>(), "1.00-0".parse::<Version>());
    }
}
