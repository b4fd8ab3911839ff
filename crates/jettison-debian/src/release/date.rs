//! Dates as `Release` files write them: `Sat, 12 Sep 2026 07:55:41 UTC` (RFC 822 with a four-digit year, always UTC).

use std::fmt;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds since the epoch; `None` for what is not a date between 1970 and 9999.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let text = text.split_once(',').map_or(text, |(_weekday, rest)| rest);
    let mut words = text.split_ascii_whitespace();
    let day: u64 = number(words.next()?)?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))? as u64 + 1;
    let year: u64 = number(words.next()?)?;
    let mut clock = words.next()?.split(':').map(number);
    let (hour, minute) = (clock.next()??, clock.next()??);
    let second = clock.next().unwrap_or(Some(0))?;
    let zone = words.next()?;
    let utc = ["UTC", "GMT", "Z", "+0000", "-0000"].contains(&zone);
    let sane = (1970..=9999).contains(&year)
        && (1..=days_in(month, year)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60
        && clock.next().is_none()
        && words.next().is_none();
    (utc && sane).then(|| days_before(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

fn number(text: &str) -> Option<u64> {
    if text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(month: u64, year: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let years = year - 1;
    let leaps = years / 4 - years / 100 + years / 400 - 477;
    (year - 1970) * 365 + leaps + (1..month).map(|m| days_in(m, year)).sum::<u64>() + day - 1
}

/// The last second of the year 9999.
const LAST: u64 = 253_402_300_799;

/// Prints seconds since the epoch as `2026-09-12 07:55 UTC`.
pub(crate) struct Utc(pub(crate) u64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, seconds) = (self.0.min(LAST) / 86_400, self.0.min(LAST) % 86_400);
        // The estimate is never late and at most one year early.
        let mut year = 1970 + days / 366;
        while days_before(year + 1, 1, 1) <= days {
            year += 1;
        }
        let mut month = 1;
        while month < 12 && days_before(year, month + 1, 1) <= days {
            month += 1;
        }
        let day = days - days_before(year, month, 1) + 1;
        write!(f, "{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_printed() {
        for (text, seconds, printed) in [
            ("Thu, 01 Jan 1970 00:00:00 UTC", 0, "1970-01-01 00:00 UTC"),
            ("Sat, 12 Sep 2026 07:55:41 UTC", 1_789_199_741, "2026-09-12 07:55 UTC"),
            ("29 Feb 2000 23:59:59 +0000", 951_868_799, "2000-02-29 23:59 UTC"),
            ("Fri, 31 Dec 9999 23:59:59 UTC", LAST, "9999-12-31 23:59 UTC"),
            ("Sun, 31 Dec 2400 12:00 GMT", 13_601_044_800, "2400-12-31 12:00 UTC"),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
            assert_eq!(Utc(seconds).to_string(), printed);
        }
        assert_eq!(Utc(u64::MAX).to_string(), "9999-12-31 23:59 UTC");
        for bad in [
            "",
            "Sat, 12 Sep 2026 07:55:41",
            "Sat, 12 Sep 2026 07:55:41 CEST",
            "Sat, 31 Feb 2026 07:55:41 UTC",
            "Sat, 12 Sep 26 07:55:41 UTC",
            "Sat, 12 Sep 2026 24:00:00 UTC",
            "2026-09-12T07:55:41Z",
            "Sat, -1 Sep 2026 00:00:00 UTC",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
