use std::fmt;
use std::net::IpAddr;

use url::Url;

use crate::redact;

/// The values of `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, as the caller found them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// For `http://` URLs.
    pub http: Option<String>,
    /// For `https://` URLs.
    pub https: Option<String>,
    /// For both, where there is no closer one.
    pub all: Option<String>,
    /// Comma-separated: a domain (with everything below it), `.domain`, `*.domain`, `host:port`, an address, a CIDR block, or `*`.
    pub no_proxy: Option<String>,
}

/// Without passwords.
impl fmt::Debug for ProxySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |proxy: &Option<String>| proxy.as_deref().map(|proxy| redact(proxy).into_owned());
        f.debug_struct("ProxySettings")
            .field("http", &shown(&self.http))
            .field("https", &shown(&self.https))
            .field("all", &shown(&self.all))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

impl ProxySettings {
    /// The proxy for a URL: empty values count as none.
    pub(crate) fn for_url(&self, url: &Url) -> Option<&str> {
        let own = if url.scheme() == "https" { &self.https } else { &self.http };
        let proxy = [own, &self.all].into_iter().flatten().map(|p| p.trim()).find(|p| !p.is_empty())?;
        if self.is_excepted(url) { None } else { Some(proxy) }
    }

    fn is_excepted(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return true };
        let host = host.trim_start_matches('[').trim_end_matches([']', '.']).to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        let port = url.port_or_known_default();
        let patterns = self.no_proxy.iter().flat_map(|list| list.split([',', ' '])).map(str::trim);
        patterns.filter(|p| !p.is_empty()).any(|pattern| matches(&pattern.to_ascii_lowercase(), &host, address, port))
    }
}

fn matches(pattern: &str, host: &str, address: Option<IpAddr>, port: Option<u16>) -> bool {
    if pattern == "*" {
        return true;
    }
    if let Some(address) = address {
        if let Some((network, bits)) = pattern.split_once('/') {
            return network.parse().is_ok_and(|network| in_network(address, network, bits.parse().unwrap_or(u32::MAX)));
        }
        let bare = pattern.trim_start_matches('[').trim_end_matches(']');
        if bare.parse() == Ok(address) {
            return true;
        }
    }
    let name = match pattern.rsplit_once(':') {
        Some((name, digits)) if digits.parse::<u16>().is_ok() && !name.contains("::") => {
            if digits.parse().ok() != port {
                return false;
            }
            name.trim_start_matches('[').trim_end_matches(']')
        }
        _ => pattern,
    };
    let domain = name.trim_start_matches('*').trim_start_matches('.');
    host == domain || (address.is_none() && host.strip_suffix(domain).is_some_and(|head| head.ends_with('.')))
}

fn in_network(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) if bits <= 32 => {
            let shift = 32 - bits;
            u64::from(u32::from(a)) >> shift == u64::from(u32::from(n)) >> shift
        }
        (IpAddr::V6(a), IpAddr::V6(n)) if bits <= 128 => {
            u128::from(a).checked_shr(128 - bits).unwrap_or(0) == u128::from(n).checked_shr(128 - bits).unwrap_or(0)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_match_as_other_tools_do() {
        for (no_proxy, url, excepted) in [
            ("example.com", "http://example.com/", true),
            ("example.com", "http://a.example.com/", true),
            ("example.com", "http://example.com./", true),
            ("example.com", "http://notexample.com/", false),
            (".example.com", "http://a.EXAMPLE.com/", true),
            ("*.example.com", "http://a.example.com/", true),
            ("x, localhost ,y", "http://localhost:5000/", true),
            ("localhost:5000", "http://localhost:5000/", true),
            ("localhost:5000", "http://localhost:5001/", false),
            ("example.com:443", "https://example.com/", true),
            ("*", "http://anything/", true),
            ("10.0.0.0/8", "http://10.200.3.4/", true),
            ("10.0.0.0/8", "http://11.0.0.1/", false),
            ("10.0.0.0/99", "http://10.0.0.1/", false),
            ("127.0.0.1", "http://127.0.0.1:8080/", true),
            ("0.0.1", "http://127.0.0.1/", false),
            ("::1", "http://[::1]:5000/", true),
            ("fd00::/8", "http://[fd12::1]/", true),
            ("", "http://example.com/", false),
        ] {
            let settings =
                ProxySettings { all: Some("http://p:1".into()), no_proxy: Some(no_proxy.into()), ..Default::default() };
            assert_eq!(settings.for_url(&url.parse().unwrap()).is_none(), excepted, "{no_proxy} for {url}");
        }
    }

    #[test]
    fn the_scheme_chooses() {
        let settings = ProxySettings { http: Some("http://h:1".into()), https: Some(" ".into()), ..Default::default() };
        assert_eq!(settings.for_url(&"http://a/".parse().unwrap()), Some("http://h:1"));
        assert_eq!(settings.for_url(&"https://a/".parse().unwrap()), None);
    }
}
