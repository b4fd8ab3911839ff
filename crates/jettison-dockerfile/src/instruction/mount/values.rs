//! The value of a `--mount`, cut into options, and the values of those that are not text.

use super::{MountError, MountErrorKind};
use crate::word::Word;

/// The fields of one line of CSV.
pub(super) fn fields(line: &Word) -> Result<Vec<Word>, MountError> {
    let out_of_place = |at: usize| MountError { kind: MountErrorKind::Quote, span: line.span_of(at..at + 1) };
    let mut fields = Vec::new();
    let mut start = 0;
    loop {
        let rest = &line[start..];
        let end = if rest.starts_with('"') {
            let mut field = Word::default();
            let mut at = start + 1;
            loop {
                let Some(length) = line[at..].find('"') else { return Err(out_of_place(start)) };
                for (offset, c) in line[at..at + length].char_indices() {
                    let offset = at + offset;
                    field.push(c, line.span_of(offset..offset + c.len_utf8()));
                }
                at += length + 1;
                if !line[at..].starts_with('"') {
                    break;
                }
                field.push('"', line.span_of(at - 1..at + 1));
                at += 1;
            }
            fields.push(field.spanning(line.span_of(start..at)));
            at
        } else {
            let end = start + rest.find(',').unwrap_or(rest.len());
            if let Some(quote) = line[start..end].find('"') {
                return Err(out_of_place(start + quote));
            }
            fields.push(line.slice(start..end));
            end
        };
        match line[end..].chars().next() {
            None => return Ok(fields),
            Some(',') => start = end + 1,
            Some(_) => return Err(out_of_place(end - 1)),
        }
    }
}

/// Go's `strconv.ParseBool`.
pub(super) fn go_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

pub(super) fn number(value: &str, radix: u32) -> Option<u32> {
    u32::from_str_radix(value, radix).ok().filter(|_| !value.starts_with('+'))
}

/// A size as go-units' `RAMInBytes` reads it: a number, perhaps with a fraction, and `k`, `m`, `g`, `t` or `p`, each 1024 of
/// the one before, with `b` or `ib` behind it if one likes.
pub(super) fn size(value: &str) -> Option<u64> {
    let end = value.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')? + 1;
    let (number, unit) = value.split_at(end);
    let number: f64 = number.trim_end().parse().ok().filter(|number| (0.0..1e18).contains(number))?;
    let unit = unit.to_ascii_lowercase();
    let prefix = match unit.strip_suffix('b').map(|unit| unit.strip_suffix('i').unwrap_or(unit)).unwrap_or(&unit) {
        "" if unit != "ib" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let bytes = number * 1024_f64.powi(prefix);
    (bytes < 1e18).then_some(bytes as u64)
}
