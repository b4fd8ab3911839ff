use std::borrow::Cow;

/// What stands in place of a secret.
const MASK: &str = "***";

/// Parts of query keys whose values grant access: the signed URLs of S3, GCS and Azure, and tokens.
const SECRET_KEYS: [&str; 7] = ["sig", "token", "credential", "secret", "password", "key", "auth"];

/// The URL as it may be shown: user and password, and query values that grant access, become `***`.
///
/// Works on text that is no valid URL too, since that is what error messages are often about.
pub fn redact(url: &str) -> Cow<'_, str> {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let rest = &url[authority..];
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let at_sign = rest[..end].rfind('@');
    let query = url
        .find('?')
        .map(|at| at + 1)
        .filter(|&at| url[at..].split('&').any(|pair| is_secret(pair.split('=').next().unwrap_or_default())));
    if at_sign.is_none() && query.is_none() {
        return Cow::Borrowed(url);
    }
    let mut shown = url[..authority].to_owned();
    let tail = match at_sign {
        Some(at) => {
            shown.push_str(MASK);
            &rest[at..]
        }
        None => rest,
    };
    let Some((path, pairs)) = query.and_then(|_| tail.split_once('?')) else {
        shown.push_str(tail);
        return Cow::Owned(shown);
    };
    shown.push_str(path);
    for (i, pair) in pairs.split('&').enumerate() {
        shown.push(if i == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((key, _)) if is_secret(key) => {
                shown.push_str(key);
                shown.push('=');
                shown.push_str(MASK);
            }
            _ => shown.push_str(pair),
        }
    }
    Cow::Owned(shown)
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_KEYS.iter().any(|secret| key.contains(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show() {
        for (url, shown) in [
            ("https://pypi.org/simple/a/", "https://pypi.org/simple/a/"),
            ("https://me:pw@pypi.org/simple?x=1", "https://***@pypi.org/simple?x=1"),
            ("https://token@h/@scope/a", "https://***@h/@scope/a"),
            ("https://me:p@w@h/", "https://***@h/"),
            ("https://s3/b?X-Amz-Signature=abc&partNumber=2", "https://s3/b?X-Amz-Signature=***&partNumber=2"),
            ("https://me:pw@s3/b?a=1&sig=x", "https://***@s3/b?a=1&sig=***"),
            ("https://me:pw@[::bad", "https://***@[::bad"),
            ("file:///a@b/c", "file:///a@b/c"),
            ("me:pw@proxy:3128", "***@proxy:3128"),
            ("user@host/path@x", "***@host/path@x"),
        ] {
            assert_eq!(redact(url), shown);
        }
    }
}
