//! The suites of Debian, and which Python each has.

/// A release of Debian, or what is to become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite {
    /// `trixie`.
    pub codename: &'static str,
    /// What it is called for the time being: `stable`.
    pub alias: &'static str,
    /// 13; `None` before its release.
    pub number: Option<u8>,
    /// Its default Python, as `3.13`.
    pub python: &'static str,
    /// Other versions of Python in it. Testing and unstable change theirs: the index knows better.
    pub other_pythons: &'static [&'static str],
}

/// From the oldest that is supported to the newest.
pub const SUITES: [Suite; 5] = [
    Suite { codename: "bullseye", alias: "oldoldstable", number: Some(11), python: "3.9", other_pythons: &[] },
    Suite { codename: "bookworm", alias: "oldstable", number: Some(12), python: "3.11", other_pythons: &[] },
    Suite { codename: "trixie", alias: "stable", number: Some(13), python: "3.13", other_pythons: &[] },
    Suite { codename: "forky", alias: "testing", number: None, python: "3.14", other_pythons: &["3.13", "3.15"] },
    Suite { codename: "sid", alias: "unstable", number: None, python: "3.14", other_pythons: &["3.13", "3.15"] },
];

impl Suite {
    /// The suite with a codename, an alias, or a number such as `13`.
    pub fn find(name: &str) -> Option<&'static Self> {
        let name = name.to_ascii_lowercase();
        let named = |suite: &&Self| {
            suite.codename == name || suite.alias == name || suite.number.is_some_and(|n| n.to_string() == name)
        };
        SUITES.iter().find(named)
    }

    /// The newest released suite.
    pub fn stable() -> &'static Self {
        &SUITES[2]
    }

    /// The suite to take for a version of Python such as `3.11`: the newest released one that has it, else the one nearest to a
    /// release.
    pub fn with_python(version: &str) -> Option<&'static Self> {
        let has = |suite: &&Self| suite.python == version || suite.other_pythons.contains(&version);
        let mut released = SUITES.iter().filter(|suite| suite.number.is_some());
        released.rfind(has).or_else(|| SUITES.iter().find(has))
    }

    /// Whether security updates and stable updates come in suites of their own.
    pub fn has_updates(&self) -> bool {
        self.number.is_some()
    }

    /// The suite of its security updates, in the security archive: `trixie-security`.
    pub fn security(&self) -> Option<String> {
        self.has_updates().then(|| format!("{}-security", self.codename))
    }

    /// The suite of its updates between point releases, in the main archive: `trixie-updates`.
    pub fn updates(&self) -> Option<String> {
        self.has_updates().then(|| format!("{}-updates", self.codename))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_found_by_any_name_and_by_python() {
        for (name, codename) in [("trixie", "trixie"), ("Stable", "trixie"), ("12", "bookworm"), ("unstable", "sid")] {
            assert_eq!(Suite::find(name).unwrap().codename, codename);
        }
        assert_eq!(Suite::find("noble"), None);
        for (version, codename) in
            [("3.9", "bullseye"), ("3.11", "bookworm"), ("3.13", "trixie"), ("3.14", "forky"), ("3.15", "forky")]
        {
            assert_eq!(Suite::with_python(version).unwrap().codename, codename);
        }
        assert_eq!((Suite::with_python("3.12"), Suite::with_python("3.10")), (None, None));
        assert_eq!(Suite::stable().alias, "stable");
        assert_eq!(Suite::stable().security().as_deref(), Some("trixie-security"));
        assert_eq!((SUITES[4].security(), SUITES[4].updates()), (None, None));
    }
}
