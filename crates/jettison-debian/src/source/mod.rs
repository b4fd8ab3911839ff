//! The configuration of `apt`, as text: which archives a machine uses, so that ours are the same.
//!
//! 1. [`parse_list`] reads one-line files (`sources.list`), [`parse_sources`] the deb822 ones (`*.sources`) (sources.list(5)).
//! 2. [`Mirrors::find`] picks the mirrors of Debian from them.
//! 3. [`AptConf`] reads `apt.conf`, for the proxy (apt.conf(5)).
//! 4. [`checks_valid_until`] tells whether a release may be older than it says.

mod conf;

pub use self::conf::{AptConf, Proxy};
use crate::control::{ControlError, Paragraphs};
use crate::suite::SUITES;

/// An archive of binary packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// Roots of the archive.
    pub uris: Vec<String>,
    /// Suites. One that ends in `/` is the directory of a flat archive.
    pub suites: Vec<String>,
    /// `main`, `contrib`; none for a flat archive.
    pub components: Vec<String>,
    /// Names of architectures; none means all.
    pub architectures: Vec<String>,
    /// Whose signature counts.
    pub signed_by: Option<SignedBy>,
    /// `Check-Valid-Until`: `false` for archives that are no longer updated.
    pub check_valid_until: bool,
}

/// The key of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedBy {
    /// Paths of keyrings, or fingerprints.
    Names(Vec<String>),
    /// The armored key itself.
    Key(String),
}

/// Parses a `sources.list`. Lines for sources (`deb-src`) are left out.
pub fn parse_list(text: &str) -> Result<Vec<Source>, SourceError> {
    let mut sources = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let error = |why| SourceError::Line { line: i + 1, why };
        let (kind, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        match kind {
            "" | "deb-src" => continue,
            "deb" => {}
            _ => return Err(error("it starts with neither `deb` nor `deb-src`")),
        }
        let mut source = Source { check_valid_until: true, ..Source::default() };
        let mut rest = rest.trim_start();
        if let Some(options) = rest.strip_prefix('[') {
            let (options, after) = options.split_once(']').ok_or_else(|| error("`[` is not closed"))?;
            rest = after;
            for option in options.split_ascii_whitespace() {
                let (key, value) = option.split_once('=').ok_or_else(|| error("an option is not `name=value`"))?;
                let list = || value.split(',').map(str::to_owned).collect();
                match key {
                    "arch" => source.architectures = list(),
                    "signed-by" => source.signed_by = Some(SignedBy::Names(list())),
                    "check-valid-until" => source.check_valid_until = is_true(value),
                    _ => {}
                }
            }
        }
        // A cdrom's name may hold blanks, in brackets.
        let uri_end = match (rest.find('['), rest.find(']')) {
            (Some(open), Some(close)) if rest.trim_start().starts_with("cdrom:") && open < close => close,
            _ => 0,
        };
        let words = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut words = match uri_end {
            0 => words(rest),
            end => [vec![rest[..=end].trim().to_owned()], words(rest[end + 1..].trim_start_matches('/'))].concat(),
        };
        if words.len() < 2 {
            return Err(error("expected an address and a suite"));
        }
        source.components = words.split_off(2);
        source.suites = words.split_off(1);
        source.uris = words;
        sources.push(source);
    }
    Ok(sources)
}

/// Parses a deb822 `.sources` file. Disabled paragraphs, and those for sources alone, are left out.
pub fn parse_sources(text: &str) -> Result<Vec<Source>, SourceError> {
    let mut sources = Vec::new();
    for paragraph in Paragraphs::new(text) {
        let paragraph = paragraph?;
        let list = |name| paragraph.words(name).map(str::to_owned).collect::<Vec<_>>();
        let enabled = paragraph.get("Enabled").is_none_or(is_true);
        if !enabled || !paragraph.words("Types").any(|kind| kind == "deb") {
            continue;
        }
        let signed_by = paragraph.get("Signed-By").filter(|value| !value.is_empty()).map(|value| {
            if value.contains("-----BEGIN") {
                // A blank line of the armor is written ` .`, and each line is indented by a space.
                let line = |line: &str| {
                    if line.trim() == "." { "" } else { line.strip_prefix(' ').unwrap_or(line) }.to_owned()
                };
                SignedBy::Key(value.lines().map(line).collect::<Vec<_>>().join("\n") + "\n")
            } else {
                SignedBy::Names(
                    value
                        .split(|c: char| c.is_whitespace() || c == ',')
                        .filter(|name| !name.is_empty())
                        .map(str::to_owned)
                        .collect(),
                )
            }
        });
        let source = Source {
            uris: list("URIs"),
            suites: list("Suites"),
            components: list("Components"),
            architectures: list("Architectures"),
            signed_by,
            check_valid_until: paragraph.get("Check-Valid-Until").is_none_or(is_true),
        };
        for (field, empty) in [("URIs", source.uris.is_empty()), ("Suites", source.suites.is_empty())] {
            if empty {
                return Err(SourceError::NoField(field));
            }
        }
        sources.push(source);
    }
    Ok(sources)
}

/// Whether apt refuses a release of this suite once its `Valid-Until` is over. What the source says (`Check-Valid-Until`, sources.list(5))
/// counts before `Acquire::Check-Valid-Until` (apt.conf(5)).
pub fn checks_valid_until(sources: &[Source], conf: &AptConf, uri: &str, suite: &str) -> bool {
    let bare = |uri: &str| uri.trim_end_matches('/').to_owned();
    let says_no = sources.iter().any(|source| {
        !source.check_valid_until
            && source.suites.iter().any(|other| other == suite)
            && source.uris.iter().any(|other| bare(other) == bare(uri))
    });
    !says_no && conf.get("Acquire::Check-Valid-Until").is_none_or(is_true)
}

/// Whether a word means yes to apt, which takes whatever does not mean no.
pub fn is_true(value: &str) -> bool {
    !["no", "false", "without", "off", "disable", "0"].contains(&value.to_ascii_lowercase().as_str())
}

/// Where a machine gets Debian from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// The root of the archive.
    pub debian: Option<String>,
    /// The root of the security archive.
    pub security: Option<String>,
}

impl Mirrors {
    /// The first mirrors of Debian in a configuration: HTTP or HTTPS, with a suite that Debian has and component `main`.
    pub fn find(sources: &[Source]) -> Self {
        let mut mirrors = Self::default();
        for source in sources.iter().filter(|source| source.components.iter().any(|component| component == "main")) {
            let http = |uri: &&String| uri.starts_with("http://") || uri.starts_with("https://");
            let Some(uri) = source.uris.iter().find(http).map(|uri| uri.trim_end_matches('/').to_owned()) else {
                continue;
            };
            for suite in &source.suites {
                let (name, kind) = suite.split_once(['-', '/']).unwrap_or((suite, ""));
                if !SUITES.iter().any(|known| known.codename == name || known.alias == name) {
                    continue;
                }
                let slot = match kind {
                    "" | "updates" if !suite.contains('/') => &mut mirrors.debian,
                    "security" | "updates" => &mut mirrors.security,
                    _ => continue,
                };
                slot.get_or_insert_with(|| uri.clone());
            }
        }
        mirrors
    }
}

/// A configuration that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// A line of a `sources.list`.
    #[error("line {line}: {why}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// A `.sources` file is not control data.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A paragraph of a `.sources` file has no address or no suite.
    #[error("a paragraph has no field `{0}`")]
    NoField(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_may_be_older_than_it_says_where_apt_is_told_so() {
        let sources =
            parse_list("deb [check-valid-until=no] http://h/debian/ sid main\ndeb http://h/debian trixie main\n")
                .unwrap();
        let conf = |text: &str| {
            let mut conf = AptConf::default();
            conf.add(text);
            conf
        };
        for (text, uri, suite, checks) in [
            ("", "http://h/debian", "sid", false),
            ("", "http://h/debian", "trixie", true),
            ("", "http://other/debian", "sid", true),
            ("Acquire::Check-Valid-Until \"false\";", "http://h/debian", "trixie", false),
            ("Acquire { Check-Valid-Until \"true\"; };", "http://h/debian", "sid", false),
            ("Acquire::Check-Valid-Until \"0\"; Acquire::Check-Valid-Until \"yes\";", "http://h/d", "sid", true),
        ] {
            assert_eq!(checks_valid_until(&sources, &conf(text), uri, suite), checks, "{text} {uri} {suite}");
        }
    }

    #[test]
    fn one_line_sources() {
        let text = "# comment\n\ndeb http://deb.debian.org/debian/ bookworm main contrib # end\n\
            deb-src http://x y z\ndeb [arch=amd64,arm64 signed-by=/k.gpg check-valid-until=no] https://sec/debian-security bookworm-security main\n\
            deb cdrom:[Debian 12 _Bookworm_]/ bookworm main\ndeb http://flat ./\n";
        let sources = parse_list(text).unwrap();
        assert_eq!(sources.len(), 4);
        assert_eq!(sources[0].components, ["main", "contrib"]);
        assert_eq!(sources[1].architectures, ["amd64", "arm64"]);
        assert_eq!(sources[1].signed_by, Some(SignedBy::Names(vec!["/k.gpg".into()])));
        assert_eq!((sources[0].check_valid_until, sources[1].check_valid_until), (true, false));
        assert_eq!(
            (sources[2].uris[0].as_str(), sources[2].suites[0].as_str()),
            ("cdrom:[Debian 12 _Bookworm_]", "bookworm")
        );
        assert_eq!((sources[3].suites[0].as_str(), sources[3].components.len()), ("./", 0));
        let mirrors = Mirrors::find(&sources);
        assert_eq!(mirrors.debian.as_deref(), Some("http://deb.debian.org/debian"));
        assert_eq!(mirrors.security.as_deref(), Some("https://sec/debian-security"));
        for (bad, message) in [
            ("deb http://x", "line 1: expected an address and a suite"),
            ("\nrpm http://x y", "line 2: it starts with neither `deb` nor `deb-src`"),
            ("deb [a=b http://x y", "line 1: `[` is not closed"),
        ] {
            assert_eq!(parse_list(bad).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn deb822_sources() {
        let text = "Types: deb deb-src\nURIs: http://a/debian\n http://b/debian\nSuites: trixie trixie-updates\nComponents: main\n\
            Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp\n\nTypes: deb\nURIs: http://a/old\nSuites: bullseye/updates\n\
            Components: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ\n -----END PGP PUBLIC KEY BLOCK-----\n\n\
            Enabled: no\nTypes: deb\nURIs: http://off\nSuites: x\n\nTypes: deb\nURIs: http://vendor\nSuites: nodistro\nComponents: main\n";
        let sources = parse_sources(text).unwrap();
        assert_eq!(sources.len(), 3);
        assert_eq!(sources[0].uris, ["http://a/debian", "http://b/debian"]);
        let key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ\n-----END PGP PUBLIC KEY BLOCK-----\n";
        assert_eq!(sources[1].signed_by, Some(SignedBy::Key(key.into())));
        let mirrors = Mirrors::find(&sources);
        assert_eq!(
            (mirrors.debian.as_deref(), mirrors.security.as_deref()),
            (Some("http://a/debian"), Some("http://a/old"))
        );
        assert_eq!(
            parse_sources("Types: deb\nURIs: x\n").unwrap_err().to_string(),
            "a paragraph has no field `Suites`"
        );
        assert_eq!(Mirrors::find(&parse_list("deb http://ubuntu/ noble main").unwrap()), Mirrors::default());
    }
}
