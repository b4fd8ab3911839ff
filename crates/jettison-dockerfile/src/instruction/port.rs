//! `EXPOSE`'s ports: `port[-port][/protocol]`, and as BuildKit still takes them `[address:][port:]port`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A port of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// What speaks on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// `tcp`, which is meant when nothing is said.
    Tcp,
    /// `udp`.
    Udp,
    /// `sctp`.
    Sctp,
}

/// Why a word names no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no port: {why}")]
pub struct PortError {
    /// The word, expanded.
    pub word: String,
    why: &'static str,
}

impl PortError {
    /// What to write instead.
    pub fn hint(&self) -> Option<String> {
        Some("write `8000`, `8000/udp` or `8000-8010`".to_owned())
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        write!(f, "{}/{protocol}", self.number)
    }
}

/// The ports that an expanded word of `EXPOSE` names, in order. An address and a port of the host are checked and left out.
pub fn parse(word: &str) -> Result<Vec<Port>, PortError> {
    let error = |why| PortError { word: word.to_owned(), why };
    let (host, ports) = word.rsplit_once(':').map_or((None, word), |(host, ports)| (Some(host), ports));
    let (ports, protocol) = ports.split_once('/').unwrap_or((ports, ""));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" | "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return Err(error("the protocol is `tcp`, `udp` or `sctp`")),
    };
    let (first, last) = range(ports).map_err(error)?;
    if let Some(host) = host {
        let (address, host_ports) =
            host.rsplit_once(':').map_or((None, host), |(address, ports)| (Some(address), ports));
        let bare =
            address.map(|address| address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address));
        if bare.is_some_and(|address| !address.is_empty() && IpAddr::from_str(address).is_err()) {
            return Err(error("what comes before it is no address"));
        }
        if !host_ports.is_empty() {
            let (host_first, host_last) = range(host_ports).map_err(error)?;
            if host_last - host_first != last - first && first != last {
                return Err(error("the ranges differ in length"));
            }
        }
    }
    Ok((first..=last).map(|number| Port { number, protocol }).collect())
}

fn range(text: &str) -> Result<(u16, u16), &'static str> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    if last < first { Err("the range ends before it starts") } else { Ok((first, last)) }
}

fn port(text: &str) -> Result<u16, &'static str> {
    match text.parse() {
        Ok(number) => Ok(number),
        Err(_) if text.is_empty() => Err("there is no number"),
        Err(_) if text.bytes().all(|byte| byte.is_ascii_digit()) => Err("numbers end at 65535"),
        Err(_) => Err("it is not a number"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_ranges_and_protocols() {
        let cases = [
            ("80", "80/tcp"),
            ("53/udp", "53/udp"),
            ("7/SCTP", "7/sctp"),
            ("8000-8002", "8000/tcp 8001/tcp 8002/tcp"),
            ("80/", "80/tcp"),
            ("1-1", "1/tcp"),
            ("0", "0/tcp"),
            ("8080:80", "80/tcp"),
            ("127.0.0.1:8080:80/udp", "80/udp"),
            ("[::1]:1-2:3-4", "3/tcp 4/tcp"),
            ("::1:8080:80", "80/tcp"),
            (":80", "80/tcp"),
            ("8000-8010:80", "80/tcp"),
        ];
        for (word, expected) in cases {
            let ports = parse(word).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), expected, "{word}");
        }
        for word in
            ["", "/tcp", "x", "80/http", "65536", "2-1", "1-", "-1", "80:", "a:1:2", "1-3:1-2", "1.5", "80/tcp/udp"]
        {
            assert!(parse(word).is_err(), "{word}");
        }
    }
}
