use std::time::Duration;

use crate::{Headers, Options};

/// How long to wait before repetition `attempt` (from 0), or `None` to give up.
///
/// `Retry-After` (RFC 9110 §10.2.3) is followed where it asks for more than the schedule does; its form with a date counts
/// from the answer's own `Date`, so that a wrong clock here does no harm.
pub(crate) fn pause(options: &Options, attempt: u32, answer: Option<&Headers>) -> Option<Duration> {
    if attempt >= options.retries {
        return None;
    }
    let scheduled = options.backoff.saturating_mul(2_u32.saturating_pow(attempt));
    match answer.and_then(retry_after) {
        Some(asked) if asked > options.max_retry_after => None,
        Some(asked) => Some(asked.max(if asked.is_zero() { Duration::ZERO } else { scheduled })),
        None => Some(scheduled),
    }
}

fn retry_after(headers: &Headers) -> Option<Duration> {
    let value = headers.get("retry-after")?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let seconds = parse_date(value)?.saturating_sub(parse_date(headers.get("date")?)?);
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// Seconds since 1970 of an IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
fn parse_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.trim().split_once(", ")?.1.split(' ');
    let day: i64 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let year: i64 = words.next()?.parse().ok().filter(|year| (1970..10_000).contains(year))?;
    let mut clock = words.next()?.split(':').map(|n| n.parse::<i64>().ok().filter(|n| (0..=60).contains(n)));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    // Days since 1970-01-01 in the Gregorian calendar, counted in years that begin in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end() {
        let options = Options { retries: 3, backoff: Duration::from_millis(100), ..Options::default() };
        let pauses: Vec<_> = (0..4).map(|n| pause(&options, n, None).map(|d| d.as_millis())).collect();
        assert_eq!(pauses, [Some(100), Some(200), Some(400), None]);
    }

    #[test]
    fn the_server_may_ask_for_patience() {
        let options = Options::default();
        let asked = |value: &str| {
            let mut headers = Headers::default();
            headers.push("Date", "Sun, 06 Nov 1994 08:49:37 GMT");
            headers.push("Retry-After", value);
            pause(&options, 0, Some(&headers)).map(|d| d.as_millis())
        };
        assert_eq!(asked("7"), Some(7000));
        assert_eq!(asked("0"), Some(0));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10_000));
        assert_eq!(asked("Sat, 05 Nov 1994 08:49:47 GMT"), Some(0));
        assert_eq!(asked("21600"), None, "six hours are too long");
        assert_eq!(asked("soon"), Some(250));
    }

    #[test]
    fn dates_are_counted() {
        assert_eq!(parse_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(parse_date("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
        assert_eq!(parse_date("1994-11-06"), None);
    }
}
