//! Variables: which there are at an instruction, and what they stand for.
//!
//! As BuildKit has it, `ARG` and `ENV` set the same kind of variable and the later one counts. What distinguishes them is that `ENV` goes
//! into the image. Arguments above the first `FROM` are seen by `FROM` alone; a stage sees them by declaring them again.

use std::collections::BTreeMap;

use jettison_dockerfile::Environment;
use jettison_oci::types::Platform;

/// The arguments that are there without `ARG`, for `RUN` alone. They are in no key and in no image.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Variables by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope(BTreeMap<String, String>);

impl Scope {
    /// Sets a variable.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// Sets a variable that has no value yet.
    pub fn set_default(&mut self, name: &str, value: &str) {
        self.0.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }

    /// All variables by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl Environment for Scope {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// What `FROM` sees, and what a stage can declare: global arguments and those that say what is built on what.
#[derive(Debug, Clone, Default)]
pub struct Globals {
    scope: Scope,
    /// Those that the file declares, in order, for outlines.
    pub declared: Vec<String>,
}

impl Globals {
    /// The arguments of a build for `target` on a machine that is `build`; of `stage`, where one is named.
    pub fn new(build: &Platform, target: &Platform, stage: Option<&str>, given: &BTreeMap<String, String>) -> Self {
        let mut scope = Scope::default();
        for (prefix, platform) in [("BUILD", build), ("TARGET", target)] {
            scope.set(format!("{prefix}PLATFORM"), platform.to_string());
            scope.set(format!("{prefix}OS"), &*platform.os);
            scope.set(format!("{prefix}OSVERSION"), platform.os_version.as_deref().unwrap_or_default());
            scope.set(format!("{prefix}ARCH"), &*platform.architecture);
            scope.set(format!("{prefix}VARIANT"), platform.variant.as_deref().unwrap_or_default());
        }
        scope.set("TARGETSTAGE", stage.unwrap_or("default"));
        for (name, value) in given {
            if scope.get(name).is_some() {
                scope.set(name, value);
            }
        }
        Self { scope, declared: Vec::new() }
    }

    /// Declares an argument of the file. One without a value stays unset, unless it is one of those that are always there.
    pub fn declare(&mut self, name: &str, value: Option<String>) {
        self.declared.push(name.to_owned());
        if let Some(value) = value {
            self.scope.set(name, value);
        }
    }
}

impl Environment for Globals {
    fn get(&self, name: &str) -> Option<&str> {
        self.scope.get(name)
    }
}

/// Whether it is an argument about proxies, which needs no `ARG`.
pub fn is_proxy(name: &str) -> bool {
    PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
}

/// The variables about proxies that programs get, each in capitals and in small letters: some read the one, some the other.
pub fn proxies(given: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut proxies = Vec::new();
    for name in PROXIES {
        let small = name.to_ascii_lowercase();
        if let Some(value) = given.get(name).or_else(|| given.get(&small)).filter(|value| !value.is_empty()) {
            proxies.push((name.to_owned(), value.clone()));
            proxies.push((small, value.clone()));
        }
    }
    proxies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_arguments_that_can_be_given() {
        let (amd64, armv7): (Platform, Platform) = ("linux/amd64".parse().unwrap(), "linux/arm/v7".parse().unwrap());
        let given = BTreeMap::from([("TARGETOS".to_owned(), "plan9".to_owned()), ("OTHER".to_owned(), "x".to_owned())]);
        let globals = Globals::new(&amd64, &armv7, None, &given);
        let get = |name| globals.get(name).unwrap_or("unset");
        assert_eq!((get("BUILDPLATFORM"), get("TARGETPLATFORM")), ("linux/amd64", "linux/arm/v7"));
        assert_eq!((get("TARGETARCH"), get("TARGETVARIANT"), get("BUILDVARIANT")), ("arm", "v7", ""));
        assert_eq!((get("TARGETOS"), get("TARGETSTAGE"), get("OTHER")), ("plan9", "default", "unset"));
    }

    #[test]
    fn proxies_come_in_both_cases() {
        let given = BTreeMap::from([("http_proxy", "a"), ("NO_PROXY", "b"), ("no_proxy", "c"), ("X", "d")]);
        let given = given.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let proxies = proxies(&given);
        let proxies: Vec<_> = proxies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(proxies, ["HTTP_PROXY=a", "http_proxy=a", "NO_PROXY=b", "no_proxy=b"]);
        assert!(is_proxy("All_Proxy") && !is_proxy("PROXY"));
    }
}
