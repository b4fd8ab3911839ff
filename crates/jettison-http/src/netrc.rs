//! The netrc file: `machine`, `login`, `password`, `default` (GNU inetutils, "The .netrc file"; quoting as curl reads it).

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// A name and a password. Does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name, may be empty.
    pub user: String,
    /// The password or token, may be empty.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}:***)", self.user)
    }
}

impl Credentials {
    /// The value of an `Authorization` header (RFC 7617).
    pub fn basic(&self) -> String {
        use base64::Engine as _;
        let pair = format!("{}:{}", self.user, self.password);
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    }
}

/// Credentials by host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Netrc {
    machines: BTreeMap<String, Credentials>,
    default: Option<Credentials>,
}

impl Netrc {
    /// Reads a file. One that is not there holds nothing.
    pub fn read(path: &Path) -> Result<Self, NetrcError> {
        let error = |line, reason: String| NetrcError { path: path.display().to_string(), line, reason };
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(&String::from_utf8_lossy(&bytes))
                .map_err(|e| NetrcError { path: path.display().to_string(), ..e }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(error(0, e.to_string())),
        }
    }

    /// Parses a file's text. The first entry of a host counts.
    pub fn parse(text: &str) -> Result<Self, NetrcError> {
        let mut netrc = Self::default();
        let mut tokens = Tokens { text, at: 0, line: 1 };
        let mut current: Option<(Option<String>, Credentials)> = None;
        while let Some((token, line)) = tokens.next()? {
            let error = |reason: String| NetrcError { path: "netrc".to_owned(), line, reason };
            let mut value = || match tokens.next()? {
                Some((value, _)) => Ok(value),
                None => Err(error(format!("`{token}` has no value"))),
            };
            match token.as_str() {
                "machine" => {
                    let host = value()?;
                    netrc.add(
                        current.replace((Some(host), Credentials { user: String::new(), password: String::new() })),
                    );
                }
                "default" => {
                    netrc.add(current.replace((None, Credentials { user: String::new(), password: String::new() })));
                }
                "macdef" => {
                    value()?;
                    tokens.skip_macro();
                }
                "login" | "user" | "password" | "passwd" | "account" => {
                    let value = value()?;
                    let Some((_, credentials)) = &mut current else {
                        return Err(error(format!("`{token}` stands before any `machine`")));
                    };
                    match token.as_str() {
                        "login" | "user" => credentials.user = value,
                        "password" | "passwd" => credentials.password = value,
                        _ => {}
                    }
                }
                // The token may be a misplaced password: it is not shown.
                _ => {
                    return Err(error(
                        "expected `machine`, `default`, `login`, `password`, `account` or `macdef`".to_owned(),
                    ));
                }
            }
        }
        netrc.add(current);
        Ok(netrc)
    }

    fn add(&mut self, entry: Option<(Option<String>, Credentials)>) {
        match entry {
            Some((Some(host), credentials)) => {
                self.machines.entry(host.to_ascii_lowercase()).or_insert(credentials);
            }
            Some((None, credentials)) => {
                self.default.get_or_insert(credentials);
            }
            None => {}
        }
    }

    /// The credentials for a host, or the default ones.
    pub fn lookup(&self, host: &str) -> Option<&Credentials> {
        self.machines.get(&host.to_ascii_lowercase()).or(self.default.as_ref())
    }
}

struct Tokens<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Tokens<'_> {
    /// The next word with its line.
    fn next(&mut self) -> Result<Option<(String, usize)>, NetrcError> {
        let mut token = String::new();
        let mut chars = self.text[self.at..].char_indices().peekable();
        let mut quoted = None;
        let mut started = false;
        let mut start_line = self.line;
        while let Some((i, c)) = chars.next() {
            match (quoted, c) {
                (Some(_), '"') => {
                    self.at += i + 1;
                    return Ok(Some((token, start_line)));
                }
                (_, '\\') if started => match chars.next() {
                    Some((_, 'n')) => token.push('\n'),
                    Some((_, 't')) => token.push('\t'),
                    Some((_, 'r')) => token.push('\r'),
                    Some((_, c)) => token.push(c),
                    None => token.push('\\'),
                },
                (None, c) if c.is_whitespace() => {
                    if started {
                        self.at += i;
                        return Ok(Some((token, start_line)));
                    }
                    self.line += usize::from(c == '\n');
                }
                (None, '#') if !started => while chars.next_if(|&(_, c)| c != '\n').is_some() {},
                (None, '"') if !started => {
                    (quoted, started, start_line) = (Some(self.line), true, self.line);
                }
                (_, c) => {
                    if !started {
                        (started, start_line) = (true, self.line);
                        if c == '\\' {
                            token.extend(chars.next().map(|(_, c)| c));
                            continue;
                        }
                    }
                    self.line += usize::from(c == '\n');
                    token.push(c);
                }
            }
        }
        self.at = self.text.len();
        match quoted {
            Some(line) => {
                Err(NetrcError { path: "netrc".to_owned(), line, reason: "a quote is not closed".to_owned() })
            }
            None => Ok(started.then_some((token, start_line))),
        }
    }

    /// Skips the body of a macro, which ends at an empty line.
    fn skip_macro(&mut self) {
        let rest = &self.text[self.at..];
        let end = rest.find("\n\n").map_or(rest.len(), |at| at + 2);
        self.line += rest[..end].matches('\n').count();
        self.at += end;
    }
}

/// A netrc file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}{}: {reason}", if *line == 0 { String::new() } else { format!(":{line}") })]
pub struct NetrcError {
    path: String,
    line: usize,
    reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(netrc: &Netrc, host: &str) -> Option<(String, String)> {
        netrc.lookup(host).map(|c| (c.user.clone(), c.password.clone()))
    }

    #[test]
    fn hosts_have_their_credentials() {
        let text = r#"
# comment machine nobody
machine pypi.example login me password "p \"w\" #1"
machine Other.Example
    login you
    account x
    password back\\slash#2
macdef init
    machine not.one login a password b

machine pypi.example login second password no
"#;
        let netrc = Netrc::parse(text).unwrap();
        let pair = |host| pair(&netrc, host);
        assert_eq!(pair("pypi.example"), Some(("me".into(), "p \"w\" #1".into())));
        assert_eq!(pair("other.example"), Some(("you".into(), "back\\slash#2".into())));
        assert_eq!(pair("not.one"), None);
    }

    #[test]
    fn default_is_for_the_rest() {
        let netrc = Netrc::parse("machine a login x password y\ndefault login anonymous password me@").unwrap();
        assert_eq!(pair(&netrc, "b"), Some(("anonymous".into(), "me@".into())));
    }

    #[test]
    fn mistakes_are_told_with_their_line_and_without_the_password() {
        for (text, message) in [
            ("login me", "netrc:1: `login` stands before any `machine`"),
            ("machine a\nlogin", "netrc:2: `login` has no value"),
            ("machine a login b password \"x", "netrc:1: a quote is not closed"),
        ] {
            assert_eq!(Netrc::parse(text).unwrap_err().to_string(), message);
        }
        let error = Netrc::parse("machine a login b password c\nhunter2").unwrap_err().to_string();
        assert!(error.starts_with("netrc:2: expected") && !error.contains("hunter2"), "{error}");
    }
}
