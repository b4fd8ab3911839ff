//! What the history of an image says of an instruction: the words that BuildKit writes, so that `docker history` reads the same.
//!
//! BuildKit is written in Go and prints its own values (`%q`, `%v`); [`quoted_list`] and [`list`] print ours that way.

use std::fmt::Write as _;

use jettison_oci::types::Healthcheck;

/// What BuildKit calls itself in each step that it adds.
pub const COMMENT: &str = "buildkit.dockerfile.v0";
/// What ends the words of an instruction that changed files.
const OF_LAYER: &str = " # buildkit";

/// The words for an instruction that changed files.
pub fn of_layer(words: &str) -> String {
    format!("{words}{OF_LAYER}")
}

/// The words for a `RUN` of `argv`: the build arguments in scope stand in front, with their number.
pub fn run(arguments: &[(String, String)], argv: &[String]) -> String {
    let mut words = "RUN ".to_owned();
    if !arguments.is_empty() {
        let _ = write!(words, "|{} ", arguments.len());
        for (name, value) in arguments {
            let _ = write!(words, "{name}={value} ");
        }
    }
    words.push_str(&argv.join(" "));
    words
}

/// `ENV A=1 B=2`, and the same for `LABEL`.
pub fn pairs<'a>(keyword: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut words = keyword.to_owned();
    for (name, value) in pairs {
        let _ = write!(words, " {name}={value}");
    }
    words
}

/// Go's `%q` of a list of strings: `["python" "app.py"]`.
pub fn quoted_list<S: AsRef<str>>(list: &[S]) -> String {
    let quoted: Vec<String> = list.iter().map(|text| quoted(text.as_ref())).collect();
    format!("[{}]", quoted.join(" "))
}

/// Go's `%v` of a list of strings: `[/bin/bash -c]`.
pub fn list<S: AsRef<str>>(list: &[S]) -> String {
    let words: Vec<&str> = list.iter().map(AsRef::as_ref).collect();
    format!("[{}]", words.join(" "))
}

/// Go's `%q` of a health check.
pub fn health_check(check: &Healthcheck) -> String {
    let duration = |nanoseconds: Option<i64>| quoted(&go_duration(nanoseconds.unwrap_or(0)));
    let retries = u32::try_from(check.retries.unwrap_or(0)).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
    let retries = match retries {
        '\'' => "\\'".to_owned(),
        '"' => "\"".to_owned(),
        other => escaped(other),
    };
    format!(
        "&{{{} {} {} {} {} '{retries}'}}",
        quoted_list(&check.test),
        duration(check.interval),
        duration(check.timeout),
        duration(check.start_period),
        duration(check.start_interval),
    )
}

/// Go's `strconv.Quote`.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    text.chars().for_each(|c| quoted.push_str(&escaped(c)));
    quoted.push('"');
    quoted
}

fn escaped(c: char) -> String {
    match c {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        c if (c as u32) < 0x20 || c as u32 == 0x7f => format!("\\x{:02x}", c as u32),
        c if c.is_control() => format!("\\u{:04x}", c as u32),
        c => c.to_string(),
    }
}

/// Go's `time.Duration.String`: `1m30s`, `1.5s`, `250ms`, `0s`.
fn go_duration(nanoseconds: i64) -> String {
    let n = nanoseconds.unsigned_abs();
    let fraction = |value: u64, unit: u64| {
        let (whole, rest) = (value / unit, value % unit);
        let digits = unit.ilog10() as usize;
        match format!("{rest:0digits$}").trim_end_matches('0') {
            "" => whole.to_string(),
            fraction => format!("{whole}.{fraction}"),
        }
    };
    let text = match n {
        0 => "0s".to_owned(),
        1..1_000 => format!("{n}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(n, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(n, 1_000_000)),
        _ => {
            let minutes = n / 60_000_000_000;
            let seconds = format!("{}s", fraction(n % 60_000_000_000, 1_000_000_000));
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    };
    if nanoseconds < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_buildkit() {
        let strings = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let argv = strings(&["/bin/sh", "-c", "pip install x"]);
        assert_eq!(of_layer(&run(&[], &argv)), "RUN /bin/sh -c pip install x # buildkit");
        let arguments = [("A".to_owned(), "1".to_owned()), ("B".to_owned(), String::new())];
        assert_eq!(run(&arguments, &argv), "RUN |2 A=1 B= /bin/sh -c pip install x");
        assert_eq!(pairs("ENV", [("A", "1 2"), ("B", "")]), "ENV A=1 2 B=");
        assert_eq!(quoted_list(&["python", "a \"b\"\\\n\t\u{1}é"]), r#"["python" "a \"b\"\\\n\t\x01é"]"#);
        assert_eq!(list(&["/bin/bash", "-c"]), "[/bin/bash -c]");
        let check = Healthcheck {
            test: strings(&["CMD-SHELL", "curl -f http://localhost/ || exit 1"]),
            interval: Some(30_000_000_000),
            timeout: Some(3_000_000_000),
            retries: Some(3),
            ..Healthcheck::default()
        };
        assert_eq!(
            health_check(&check),
            r#"&{["CMD-SHELL" "curl -f http://localhost/ || exit 1"] "30s" "3s" "0s" "0s" '\x03'}"#
        );
    }

    #[test]
    fn durations_are_written_as_go_does() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (250_000_000, "250ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (-1_000_000_000, "-1s"),
        ] {
            assert_eq!(go_duration(nanoseconds), text);
        }
    }
}
