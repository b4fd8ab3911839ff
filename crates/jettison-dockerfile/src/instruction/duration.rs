//! Times as Go writes them (`time.ParseDuration`): `30s`, `1m30s`, `1.5h`.

use std::time::Duration;

/// The unit names, and their nanoseconds.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The time of a health check's option: none at all, or a millisecond and more. The error says what it is not.
pub fn parse(text: &str) -> Result<Duration, &'static str> {
    const NOT: &str = "is no time";
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(NOT);
    }
    let mut nanoseconds: u128 = 0;
    while !rest.is_empty() {
        let (whole, behind) = digits(rest);
        let (fraction, behind) = behind.strip_prefix('.').map_or(("", behind), digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(NOT);
        }
        let unit_length = behind.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_length);
        let Some(&(_, unit)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(if unit.is_empty() { "has no unit" } else { NOT });
        };
        // Beyond 18 digits nothing is left that counts, or far too much.
        let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().map_err(|_| "is too long")? };
        let fraction = &fraction[..fraction.len().min(18)];
        let parts = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().map_err(|_| NOT)? };
        nanoseconds += u128::from(whole) * unit + u128::from(parts) * unit / 10_u128.pow(fraction.len() as u32);
        if nanoseconds > i64::MAX as u128 {
            return Err("is too long");
        }
        rest = behind;
    }
    match nanoseconds {
        0 => Ok(Duration::ZERO),
        _ if negative => Err("is negative"),
        1..1_000_000 => Err("is less than a millisecond"),
        _ => u64::try_from(nanoseconds).map(Duration::from_nanos).map_err(|_| "is too long"),
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_gos() {
        let milliseconds = [
            ("0", 0),
            ("0s", 0),
            ("-0h", 0),
            ("1ms", 1),
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("1.s", 1000),
            ("1000us", 1),
            ("1h0.25m", 3_615_000),
            ("+2s", 2000),
            ("1500µs500us", 2),
        ];
        for (text, expected) in milliseconds {
            assert_eq!(parse(text), Ok(Duration::from_millis(expected)), "{text}");
        }
        for (text, why) in [
            ("", "is no time"),
            ("s", "is no time"),
            ("5", "has no unit"),
            ("5 s", "is no time"),
            ("5d", "is no time"),
            ("-1s", "is negative"),
            ("999us", "is less than a millisecond"),
            ("3000000h", "is too long"),
            ("99999999999999999999s", "is too long"),
            (".s", "is no time"),
            ("five", "is no time"),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }
}
