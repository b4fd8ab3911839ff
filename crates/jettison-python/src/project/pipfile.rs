//! Pipfile: what a Pipenv project asks for.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::poetry::Dependency;
use crate::toml_file::{self, TomlError};

/// A Pipfile.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the file's tables")]
pub struct Pipfile {
    pub source: Vec<Source>,
    pub packages: BTreeMap<String, Dependency>,
    #[serde(rename = "dev-packages")]
    pub dev_packages: BTreeMap<String, Dependency>,
    pub requires: Requires,
    pub scripts: BTreeMap<String, toml::Value>,
}

/// `[[source]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the table's keys")]
pub struct Source {
    pub name: String,
    pub url: String,
    pub verify_ssl: Option<bool>,
}

/// `[requires]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the table's keys")]
pub struct Requires {
    pub python_version: Option<String>,
    pub python_full_version: Option<String>,
}

/// Parses the text of `file`.
pub fn parse(file: &str, text: &str) -> Result<Pipfile, TomlError> {
    toml_file::parse(file, text)
}
