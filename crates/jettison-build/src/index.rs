//! Package indices: which ones, and what stands on their pages.

use jettison_http::{Client, Credentials};
use jettison_python::project::Project;
use jettison_python::requirements::Requirements;
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
        let extra = self.extra.iter().map(|extra| named(extra).1.to_owned());
        std::iter::once(self.default_url().to_owned()).chain(extra).collect()
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

/// The name and the URL of `name=https://…`, as uv takes an index.
fn named(text: &str) -> (Option<&str>, &str) {
    match text.split_once('=') {
        Some((name, url)) if !name.contains(['/', ':']) && url.contains("://") => (Some(name), url),
        _ => (None, text),
    }
}

/// Tells the way to the network who asks at private indices: credentials in URLs count for all of their origin, and for an index with a name
/// there are variables, uv's and Poetry's (uv documentation, "Package indexes"; Poetry, "Configuring Credentials").
pub fn log_in(job: &Job<'_>, project: &Project, requirements: Option<&Requirements>, indexes: &Indexes) {
    let machine = job.machine;
    let listed = |name: &str| machine.var(name).unwrap_or_default().split_whitespace().collect::<Vec<_>>();
    let of_uv: Vec<&str> = ["UV_INDEX", "UV_EXTRA_INDEX_URL"].into_iter().flat_map(listed).collect();
    let options = requirements.map(|file| &file.options);
    let of_file = options.into_iter().flat_map(|options| {
        options.index_url.iter().chain(&options.extra_index_urls).chain(&options.find_links).map(String::as_str)
    });
    let asked = indexes.extra.iter().chain(&indexes.find_links).map(String::as_str);
    let all = asked.chain(of_uv).chain(of_file).chain([indexes.default_url()]).map(named);
    let of_project = project.indexes.iter().chain(&project.uv.indexes);
    let of_project = of_project.map(|index| (index.name.as_deref(), index.url.as_str()));
    for (name, url) in of_project.chain(all) {
        job.http.log_in(url, name.and_then(|name| credentials(machine, name)));
    }
}

/// What the variables say of an index with this name.
fn credentials(machine: &Machine, name: &str) -> Option<Credentials> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = name.chars().map(plain).collect();
    ["UV_INDEX", "POETRY_HTTP_BASIC"].into_iter().find_map(|prefix| {
        let var = |what: &str| machine.var(&format!("{prefix}_{name}_{what}")).map(str::to_owned);
        let (user, password) = (var("USERNAME"), var("PASSWORD"));
        let is_set = user.is_some() || password.is_some();
        is_set.then(|| Credentials { user: user.unwrap_or_default(), password: password.unwrap_or_default() })
    })
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
    page_over(job.http, index, name)
}

/// As [`page`], where nothing is built.
pub fn page_over(http: &Client, index: &str, name: &str) -> Result<Vec<IndexFile>, BuildError> {
    let url = format!("{}/{name}/", index.trim_end_matches('/'));
    let response = match http.document(&url, &[("Accept", simple::ACCEPT)], PAGE_LIMIT) {
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
    #[test]
    fn the_variables_of_an_index_have_its_name() {
        let mut machine = Machine::default();
        for (name, value) in [
            ("UV_INDEX_MY_CORP_USERNAME", "me"),
            ("UV_INDEX_MY_CORP_PASSWORD", "secret"),
            ("POETRY_HTTP_BASIC_OTHER_PASSWORD", "token"),
        ] {
            machine.vars.insert(name.to_owned(), value.to_owned());
        }
        let of = |name: &str| credentials(&machine, name).map(|found| (found.user, found.password));
        assert_eq!(of("my-corp"), Some(("me".to_owned(), "secret".to_owned())));
        assert_eq!(of("other"), Some((String::new(), "token".to_owned())));
        assert_eq!(of("third"), None);
        assert_eq!(named("corp=https://h/simple"), (Some("corp"), "https://h/simple"));
        assert_eq!(named("https://h/simple?a=https://b"), (None, "https://h/simple?a=https://b"));
    }
}
