//! What looks like a secret in text that would be published with an image.
//!
//! 1. Tokens that services mark with a prefix of their own, so that they can be found: matched by prefix, alphabet and length.
//! 2. Private keys, and passwords in URLs.
//! 3. Literals of high entropy that are assigned to names such as `SECRET_KEY`.
//!
//! These are suspicions, for a report; nothing that is found is repeated in full.

use crate::place::Place;

/// More findings than this in one file are no findings.
const MAX_PER_FILE: usize = 20;
/// Longer lines are data, and only searched so far.
const MAX_LINE: usize = 4096;

/// Something that looks like a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion {
    /// Where.
    pub place: Place,
    /// What it looks like.
    pub kind: &'static str,
    /// Its first characters, for finding it again.
    pub excerpt: String,
}

/// Tokens by prefix: the kind, the prefix, the least and greatest number of characters that follow, and which.
const TOKENS: &[(&str, &str, usize, usize, Alphabet)] = &[
    ("AWS access key", "AKIA", 16, 16, Alphabet::Upper),
    ("AWS access key", "ASIA", 16, 16, Alphabet::Upper),
    ("GitHub token", "ghp_", 36, 255, Alphabet::Alphanumeric),
    ("GitHub token", "gho_", 36, 255, Alphabet::Alphanumeric),
    ("GitHub token", "ghu_", 36, 255, Alphabet::Alphanumeric),
    ("GitHub token", "ghs_", 36, 255, Alphabet::Alphanumeric),
    ("GitHub token", "ghr_", 36, 255, Alphabet::Alphanumeric),
    ("GitHub token", "github_pat_", 22, 255, Alphabet::Word),
    ("GitLab token", "glpat-", 20, 255, Alphabet::Word),
    ("Slack token", "xoxb-", 20, 255, Alphabet::Word),
    ("Slack token", "xoxp-", 20, 255, Alphabet::Word),
    ("Slack token", "xoxa-", 20, 255, Alphabet::Word),
    ("Stripe key", "sk_live_", 16, 255, Alphabet::Alphanumeric),
    ("Stripe key", "rk_live_", 16, 255, Alphabet::Alphanumeric),
    ("Google API key", "AIza", 35, 35, Alphabet::Word),
    ("PyPI token", "pypi-AgE", 50, 1024, Alphabet::Word),
    ("npm token", "npm_", 36, 36, Alphabet::Alphanumeric),
    ("Anthropic key", "sk-ant-", 32, 255, Alphabet::Word),
    ("OpenAI key", "sk-proj-", 32, 255, Alphabet::Word),
    ("OpenAI key", "sk-", 48, 48, Alphabet::Alphanumeric),
    ("SendGrid key", "SG.", 60, 80, Alphabet::Dotted),
    ("Hugging Face token", "hf_", 30, 64, Alphabet::Alphanumeric),
    ("DigitalOcean token", "dop_v1_", 64, 64, Alphabet::Alphanumeric),
    ("Docker Hub token", "dckr_pat_", 20, 64, Alphabet::Word),
    ("JSON web token", "eyJhbGciOi", 40, 8192, Alphabet::Dotted),
];

/// The characters of a token behind its prefix.
#[derive(Clone, Copy)]
enum Alphabet {
    Upper,
    Alphanumeric,
    Word,
    Dotted,
}

impl Alphabet {
    fn has(self, c: char) -> bool {
        match self {
            Self::Upper => c.is_ascii_uppercase() || c.is_ascii_digit(),
            Self::Alphanumeric => c.is_ascii_alphanumeric(),
            Self::Word => c.is_ascii_alphanumeric() || matches!(c, '_' | '-'),
            Self::Dotted => c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'),
        }
    }
}

/// Parts of names that hold secrets.
const NAMES: [&str; 10] = [
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "TOKEN",
    "API_KEY",
    "APIKEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
    "AUTH_KEY",
    "CREDENTIAL",
];

/// Parts of values that nobody takes for a secret; templates among them.
const PLACEHOLDERS: [&str; 14] = [
    "change",
    "example",
    "your",
    "placeholder",
    "xxxx",
    "dummy",
    "todo",
    "fixme",
    "replace",
    "localhost",
    "***",
    "${",
    "{{",
    "%(",
];

/// Searches the content of `file`; what is not text yields nothing.
pub fn search(file: &str, bytes: &[u8]) -> Vec<Suspicion> {
    if bytes[..bytes.len().min(8192)].contains(&0) {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(bytes);
    let mut suspicions = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let end = (0..=line.len().min(MAX_LINE)).rev().find(|&end| line.is_char_boundary(end)).unwrap_or(0);
        let found = search_line(file, &line[..end]);
        suspicions.extend(found.map(|(kind, at, secret)| Suspicion {
            place: Place { file: file.to_owned(), line: index + 1, column: line[..at].chars().count() + 1 },
            kind,
            excerpt: mask(secret),
        }));
        if suspicions.len() >= MAX_PER_FILE {
            break;
        }
    }
    suspicions
}

/// The first thing in a line: its kind, where it starts, and its text.
fn search_line<'a>(file: &str, line: &'a str) -> Option<(&'static str, usize, &'a str)> {
    token(line).or_else(|| private_key(line)).or_else(|| url_password(line)).or_else(|| assignment(file, line))
}

fn token(line: &str) -> Option<(&'static str, usize, &str)> {
    TOKENS.iter().find_map(|&(kind, prefix, least, most, alphabet)| {
        line.match_indices(prefix).find_map(|(at, _)| {
            let starts_word = !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            let rest = &line[at + prefix.len()..];
            let len = rest.find(|c| !alphabet.has(c)).unwrap_or(rest.len());
            let secret = &line[at..at + prefix.len() + len];
            // AWS's own documentation uses keys that end so.
            let is_example = secret.ends_with("EXAMPLE");
            (starts_word && (least..=most).contains(&len) && !is_example).then_some((kind, at, secret))
        })
    })
}

fn private_key(line: &str) -> Option<(&'static str, usize, &str)> {
    let at = line.find("-----BEGIN ")?;
    let label = &line[at + 11..];
    let end = label.find("-----")?;
    label[..end].ends_with("PRIVATE KEY").then_some(("private key", at, "-----BEGIN"))
}

/// `scheme://user:password@host`.
fn url_password(line: &str) -> Option<(&'static str, usize, &str)> {
    line.match_indices("://").find_map(|(at, _)| {
        let rest = &line[at + 3..];
        let authority =
            &rest[..rest.find(|c: char| c.is_whitespace() || "/'\"`?#,)".contains(c)).unwrap_or(rest.len())];
        let (user_info, host) = authority.rsplit_once('@')?;
        let (user, password) = user_info.split_once(':')?;
        let is_local = ["localhost", "127.0.0.1", "db", "postgres", "redis"]
            .iter()
            .any(|local| host.split(':').next() == Some(local));
        let is_real = password.len() >= 6
            && password != user
            && !is_placeholder(password)
            && !is_local
            && !password.contains('%');
        is_real.then_some(("password in a URL", at + 3 + user.len() + 1, password))
    })
}

/// `NAME = "literal"`, `name: literal`.
fn assignment<'a>(file: &str, line: &'a str) -> Option<(&'static str, usize, &'a str)> {
    let sign = line.find(['=', ':'])?;
    let name = line[..sign].trim_end_matches([' ', '\t', ':', '"', '\'', '?']);
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name = name.rsplit(|c| !is_part(c)).next().unwrap_or_default();
    let name = name.to_ascii_uppercase().replace(['-', '.'], "_");
    if !NAMES.iter().any(|part| name.contains(part)) {
        return None;
    }
    let rest = line[sign + 1..].trim_start_matches(['=', ' ', '\t']);
    let at = line.len() - rest.len();
    // An annotation stands between: `TOKEN: str = "…"`.
    let (rest, at) = match rest.find(['"', '\'']) {
        Some(quote) if quote == 0 || rest[..quote].trim_end().ends_with('=') => (&rest[quote..], at + quote),
        _ => (rest, at),
    };
    let quote = rest.chars().next()?;
    let (value, at) = if matches!(quote, '"' | '\'') {
        (rest[1..].split(quote).next()?, at + 1)
    } else {
        // Code without quotes is a name or a call; only configuration has bare values.
        let is_config = [".yml", ".yaml", ".ini", ".cfg", ".conf", ".toml", ".properties", ".env"]
            .iter()
            .any(|end| file.ends_with(end));
        (rest.split([' ', '\t', '#', ',', ';']).next().filter(|_| is_config)?, at)
    };
    let is_text = value.chars().all(|c| c.is_ascii_graphic());
    let is_secret = is_text && value.len() >= 12 && entropy(value) >= 3.2 && !is_placeholder(value) && !is_words(value);
    is_secret.then_some(("high-entropy secret", at, value))
}

fn is_placeholder(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    value.starts_with(['<', '{', '$', '[']) || PLACEHOLDERS.iter().any(|part| lower.contains(part))
}

/// Names, paths and sentences: letters with separators, and neither digits nor a change of case inside a part.
fn is_words(value: &str) -> bool {
    let parts = value.split(['_', '-', '.', '/', ':']).filter(|part| !part.is_empty());
    let mut parts = parts.peekable();
    parts.peek().is_some()
        && parts.all(|part| {
            let letters = part.chars().all(|c| c.is_ascii_alphabetic());
            let rest = part.get(1..).unwrap_or_default();
            letters && part.len() <= 16 && (rest == rest.to_ascii_lowercase() || part == part.to_ascii_uppercase())
        })
}

/// Shannon's entropy of the characters, in bits for each.
fn entropy(value: &str) -> f64 {
    let mut counts = [0u32; 128];
    for byte in value.bytes().filter(u8::is_ascii) {
        counts[usize::from(byte)] += 1;
    }
    let total = value.len() as f64;
    let probabilities = counts.iter().filter(|&&count| count > 0).map(|&count| f64::from(count) / total);
    probabilities.map(|p| -p * p.log2()).sum()
}

/// The first four characters.
fn mask(secret: &str) -> String {
    let shown: String = secret.chars().take(4).collect();
    format!("{shown}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_suspected_and_not_repeated() {
        let github = format!("ghp_{}", "a1B2".repeat(9));
        let cases: &[(&str, String, &str)] = &[
            ("a.py", "KEY = 'AKIAIOSFODNN7ABCDEFG'".to_owned(), "a.py:1:8 AWS access key AKIA…"),
            ("a.py", format!("x = \"{github}\""), "a.py:1:6 GitHub token ghp_…"),
            ("a.txt", "\n-----BEGIN RSA PRIVATE KEY-----\n".to_owned(), "a.txt:2:1 private key ----…"),
            (
                "a.py",
                "URL = 'postgres://app:hunter2x@db.prod.internal/x'".to_owned(),
                "a.py:1:23 password in a URL hunt…",
            ),
            (
                "a.py",
                "SECRET_KEY = 'django-insecure-8f#k2!x{9@qz$w7'".to_owned(),
                "a.py:1:15 high-entropy secret djan…",
            ),
            ("a.py", "DB_PASSWORD: str = \"tR8x!kq02Lmz\"".to_owned(), "a.py:1:21 high-entropy secret tR8x…"),
            (
                "a.yaml",
                "  api-key: 9f86d081884c7d659a2feaa0c55ad015".to_owned(),
                "a.yaml:1:12 high-entropy secret 9f86…",
            ),
            (
                "a.json",
                "{\"access_key\": \"9f86d081884c7d659a2feaa0c55ad015\"}".to_owned(),
                "a.json:1:17 high-entropy secret 9f86…",
            ),
        ];
        for (file, text, expected) in cases {
            let found = search(file, text.as_bytes());
            let shown: Vec<_> = found.iter().map(|s| format!("{} {} {}", s.place, s.kind, s.excerpt)).collect();
            assert_eq!(shown, [*expected], "{text}");
        }
    }

    #[test]
    fn what_is_no_secret_is_left_alone() {
        for (file, text) in [
            ("a.py", "SECRET_KEY = os.environ['SECRET_KEY']"),
            ("a.py", "PASSWORD = 'change-me-please-123'"),
            ("a.py", "TOKEN_URL = 'https://auth.host/oauth/token'"),
            ("a.py", "password_field_name = 'user_password_field'"),
            ("a.py", "token = get_token(request.headers)"),
            ("a.py", "KEY = 'AKIAIOSFODNN7EXAMPLE'"),
            ("a.py", "URL = 'postgres://postgres:postgres@localhost/x'"),
            ("a.py", "URL = f'postgres://{user}:{password}@host.internal/x'"),
            ("a.pem", "-----BEGIN CERTIFICATE-----"),
            ("a.py", "PASSWORD_HASHERS = ['django.contrib.auth.hashers.Argon2PasswordHasher']"),
            ("a.py", "x = 'ghp_short'"),
            ("a.py", "TOKEN = ''"),
            ("a.py", "é\u{fffd}token = ''"),
        ] {
            assert_eq!(search(file, text.as_bytes()), [], "{text}");
        }
        assert_eq!(search("a.bin", b"\0AKIAIOSFODNN7ABCDEFG"), []);
    }

    #[test]
    fn one_file_cannot_fill_the_report() {
        let text = "KEY = 'AKIAIOSFODNN7ABCDEFG'\n".repeat(100) + &"é".repeat(10_000);
        assert_eq!(search("a.py", text.as_bytes()).len(), MAX_PER_FILE);
    }
}
