//! `apt.conf`: settings in either notation, `Acquire::http::Proxy "…";` and `Acquire { http { Proxy "…"; }; };`.

use std::collections::BTreeMap;

/// Settings by their names in lower case, `acquire::http::proxy`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AptConf {
    settings: BTreeMap<String, String>,
}

/// How to reach a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxy {
    /// Not through a proxy, whatever the environment says.
    Direct,
    /// Through the proxy with this address.
    Through(String),
}

impl AptConf {
    /// Adds the settings of a file. Later ones win, as the files of `apt.conf.d` do in their order. What is not understood is skipped:
    /// it is `apt`'s to complain.
    pub fn add(&mut self, text: &str) {
        let mut scope: Vec<String> = Vec::new();
        let mut words: Vec<String> = Vec::new();
        for token in tokens(text) {
            match token {
                Token::Word(word) => words.push(word),
                Token::Open => scope.push(words.drain(..).next().unwrap_or_default()),
                Token::End => {
                    let mut words = words.drain(..);
                    if let (Some(name), Some(value)) = (words.next(), words.next()) {
                        let name = scope.iter().chain([&name]).filter(|part| !part.is_empty());
                        let name = name.map(|part| part.to_lowercase()).collect::<Vec<_>>().join("::");
                        self.settings.insert(name, value);
                    }
                }
                Token::Close => {
                    scope.pop();
                    words.clear();
                }
            }
        }
    }

    /// A setting, by its name in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(&name.to_lowercase()).map(String::as_str)
    }

    /// The proxy for a scheme and host: that of the host before that of the scheme. `None` leaves it to the environment.
    pub fn proxy(&self, scheme: &str, host: &str) -> Option<Proxy> {
        let general = format!("Acquire::{scheme}::Proxy");
        let value = self.get(&format!("{general}::{host}")).or_else(|| self.get(&general))?;
        match value {
            "" => None,
            "DIRECT" | "false" => Some(Proxy::Direct),
            address => Some(Proxy::Through(address.to_owned())),
        }
    }
}

enum Token {
    Word(String),
    Open,
    Close,
    End,
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after = |pattern: &str| rest.split_once(pattern).map_or("", |(_, after)| after);
        rest = match first {
            '#' => after("\n"),
            '/' if rest.starts_with("//") => after("\n"),
            '/' if rest.starts_with("/*") => after("*/"),
            '"' => {
                let (word, after) = rest[1..].split_once('"').unwrap_or((&rest[1..], ""));
                tokens.push(Token::Word(word.to_owned()));
                after
            }
            '{' | '}' | ';' => {
                tokens.push(match first {
                    '{' => Token::Open,
                    '}' => Token::Close,
                    _ => Token::End,
                });
                &rest[1..]
            }
            _ if first.is_whitespace() => rest.trim_start(),
            _ => {
                let end =
                    rest.find(|c: char| c.is_whitespace() || matches!(c, '{' | '}' | ';' | '"')).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                &rest[end..]
            }
        };
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_in_both_notations() {
        let through = |address: &str| Some(Proxy::Through(address.to_owned()));
        for (text, http, https) in [
            ("Acquire::http::Proxy \"http://p:3128\";", through("http://p:3128"), None),
            (
                "// no\n# no\nacquire { /* http\n{ */ HTTP { Proxy \"http://p/\"; Timeout 3; }; https::proxy \"DIRECT\"; };",
                through("http://p/"),
                Some(Proxy::Direct),
            ),
            (
                "Acquire::http::Proxy \"a\"; Acquire::http::Proxy \"b\"; Acquire::http::Proxy::deb.local DIRECT;",
                through("b"),
                None,
            ),
            ("Acquire::http::Proxy \"\";", None, None),
            ("APT::Install-Recommends \"0\"; } } ; { Acquire::http::Proxy \"x", None, None),
            ("é \"", None, None),
        ] {
            let mut conf = AptConf::default();
            conf.add(text);
            assert_eq!((conf.proxy("http", "deb.debian.org"), conf.proxy("https", "x")), (http, https), "{text}");
        }
        let mut conf = AptConf::default();
        conf.add("Acquire::http::Proxy \"b\"; Acquire::http::Proxy::deb.local DIRECT;");
        assert_eq!(conf.proxy("http", "deb.local"), Some(Proxy::Direct));
    }
}
