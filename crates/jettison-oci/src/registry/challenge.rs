use std::collections::BTreeMap;

/// One challenge of a `WWW-Authenticate` header (RFC 9110 §11.6.1). Scheme and names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    pub scheme: String,
    pub params: BTreeMap<String, String>,
}

impl Challenge {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }

    /// The challenges of a header's value, in their order. What cannot be read ends the list.
    pub fn parse_all(value: &str) -> Vec<Self> {
        let mut challenges: Vec<Self> = Vec::new();
        let mut rest = value;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let (word, after) = token(rest);
            if word.is_empty() {
                return challenges;
            }
            let value = after.trim_start().strip_prefix('=').filter(|value| !value.starts_with('='));
            match (value, challenges.last_mut()) {
                (Some(value), Some(challenge)) => {
                    let Some((text, after)) = param_value(value.trim_start()) else { return challenges };
                    challenge.params.entry(word.to_ascii_lowercase()).or_insert(text);
                    rest = after;
                }
                (None, _) => {
                    challenges.push(Self { scheme: word.to_ascii_lowercase(), params: BTreeMap::new() });
                    rest = after;
                }
                (Some(_), None) => return challenges,
            }
        }
    }
}

fn token(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c)));
    text.split_at(end.unwrap_or(text.len()))
}

/// A quoted string without its escapes, or a token. Some registries leave the quotes of a URL out.
fn param_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let read = |value: &str| -> Vec<(String, Vec<String>)> {
            let challenges = Challenge::parse_all(value).into_iter();
            challenges.map(|c| (c.scheme, c.params.iter().map(|(k, v)| format!("{k}={v}")).collect())).collect()
        };
        let expect = |pairs: &[(&str, &[&str])]| -> Vec<(String, Vec<String>)> {
            pairs.iter().map(|(s, p)| ((*s).to_owned(), p.iter().map(|p| (*p).to_owned()).collect())).collect()
        };
        for (value, challenges) in [
            (
                r#"Bearer realm="https://a/token",service="r",scope="repository:a/b:pull,push""#,
                expect(&[("bearer", &["realm=https://a/token", "scope=repository:a/b:pull,push", "service=r"])]),
            ),
            (
                r#"Basic realm="a \"b\", c", Bearer Realm = https://t , service=s"#,
                expect(&[("basic", &[r#"realm=a "b", c"#]), ("bearer", &["realm=https://t", "service=s"])]),
            ),
            ("Negotiate", expect(&[("negotiate", &[])])),
            (r#"Bearer realm="open"#, expect(&[("bearer", &[])])),
            (r#"realm="x""#, expect(&[])),
            ("", expect(&[])),
        ] {
            assert_eq!(read(value), challenges, "{value}");
        }
    }
}
