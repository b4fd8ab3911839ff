//! Package indices: which ones, and what stands on their pages.

use jettison_python::simple::{self, IndexFile};

use crate::error::BuildError;
use crate::job::Job;
use crate::machine::Machine;

/// A page of an index is never larger. Bytes.
const PAGE_LIMIT: u64 = 256 << 20;

/// Where distributions come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Indexes {
    /// The index that was asked for, where one was.
    pub default: Option<String>,
    /// Indices besides.
    pub extra: Vec<String>,
    /// Directories and pages with distributions.
    pub find_links: Vec<String>,
    /// Whether the default comes from pip's configuration, which uv does not read.
    told_uv: bool,
}

impl Indexes {
    /// As the flags say, else uv's variables, else pip's variables and configuration.
    pub fn new(machine: &Machine, default: Option<String>, extra: Vec<String>, find_links: Vec<String>) -> Self {
        let split = |list: &str| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let uv = |names: &[&str]| names.iter().find_map(|name| machine.var(name)).map(str::to_owned);
        let uv_default = uv(&["UV_DEFAULT_INDEX", "UV_INDEX_URL"]);
        let told_uv = default.is_some() || uv_default.is_none();
        let pip = |option: &str| pip_option(machine, option);
        Self {
            default: default.or(uv_default).or_else(|| pip("index-url")),
            extra: match extra.is_empty() {
                false => extra,
                true => pip("extra-index-url").map(|list| split(&list)).unwrap_or_default(),
            },
            find_links: match find_links.is_empty() {
                false => find_links,
                true => pip("find-links").map(|list| split(&list)).unwrap_or_default(),
            },
            told_uv,
        }
    }

    /// The index to look at first.
    pub fn default_url(&self) -> &str {
        self.default.as_deref().unwrap_or(jettison_endpoints::PYTHON_INDEX)
    }

    /// All indices, the default one first.
    pub fn urls(&self) -> Vec<String> {
        std::iter::once(self.default_url().to_owned()).chain(self.extra.iter().cloned()).collect()
    }

    /// The flags that tell uv what it does not read itself.
    pub fn uv_arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if let Some(default) = self.default.as_ref().filter(|_| self.told_uv) {
            arguments.extend(["--default-index".to_owned(), default.clone()]);
        }
        for url in &self.extra {
            arguments.extend(["--index".to_owned(), url.clone()]);
        }
        for link in
            self.find_links.iter().filter(|link| link.contains("://") || std::path::Path::new(link.as_str()).is_dir())
        {
            arguments.extend(["--find-links".to_owned(), link.clone()]);
        }
        arguments
    }
}

/// An option of pip: its variable, or its configuration files, of which the last counts.
fn pip_option(machine: &Machine, option: &str) -> Option<String> {
    if let Some(value) = machine.var(&format!("PIP_{}", option.to_uppercase().replace('-', "_"))) {
        return Some(value.to_owned());
    }
    let mut found = None;
    for (_, text) in &machine.pip_configuration {
        let mut applies = false;
        for line in text.lines() {
            let line = line.trim();
            if line.starts_with('[') {
                applies = line == "[global]" || line == "[install]";
            } else if applies
                && let Some((name, value)) = line.split_once('=')
                && name.trim().replace('_', "-") == option
            {
                found = Some(value.trim().to_owned());
            }
        }
    }
    found
}

/// The files of a distribution on an index. One that the index does not have has no files.
pub fn page(job: &Job<'_>, index: &str, name: &str) -> Result<Vec<IndexFile>, BuildError> {
    let url = format!("{}/{name}/", index.trim_end_matches('/'));
    let response = match job.http.document(&url, &[("Accept", simple::ACCEPT)], PAGE_LIMIT) {
        Err(error) if error.status() == Some(404) => return Ok(Vec::new()),
        response => response?,
    };
    let kind = response.headers.get("content-type").unwrap_or_default().to_owned();
    Ok(simple::parse(&response.bytes, &kind, response.url.as_ref())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pip_s_configuration_counts_where_uv_has_none() {
        let mut machine = Machine::default();
        let conf =
            "[global]\nindex-url = https://pip.example/simple\n[list]\nfind_links = /x\n[install]\nfind_links = /w\n";
        machine.pip_configuration.push(("pip.conf".into(), conf.to_owned()));
        let indexes = Indexes::new(&machine, None, vec![], vec![]);
        assert_eq!(indexes.default_url(), "https://pip.example/simple");
        assert_eq!(indexes.find_links, ["/w"]);
        assert_eq!(indexes.uv_arguments()[..2], ["--default-index", "https://pip.example/simple"]);

        machine.vars.insert("UV_DEFAULT_INDEX".into(), "https://uv.example/simple".into());
        let indexes = Indexes::new(&machine, None, vec![], vec![]);
        assert_eq!(indexes.default_url(), "https://uv.example/simple");
        assert!(!indexes.uv_arguments().contains(&"--default-index".to_owned()), "uv reads its own variable");

        let indexes = Indexes::new(&machine, Some("https://flag.example".into()), vec![], vec![]);
        assert_eq!(indexes.default_url(), "https://flag.example");
        assert!(indexes.uv_arguments().contains(&"--default-index".to_owned()));
    }
}
