//! What a resolution depends on, as one digest: a lock that carries it is followed as long as it is the same.
//!
//! The digest holds the requirements as they are parsed, so that a comment or another order of keys in a file changes nothing. It
//! leaves out the file's other content, credentials in index URLs (a new token resolves to the same releases), the time, and what
//! lies behind direct references: a local directory whose own dependencies change must be named in [`Resolution::options`].

use jettison_tree::{Digest, Hasher};

use crate::direct::without_credentials;
use crate::place::Place;
use crate::project::{DependencySource, Project};
use crate::requirement::Requirement;
use crate::requirements::{FormatControl, Requirements};

use super::LockError;

/// What besides the project's files a resolution depends on.
#[derive(Debug, Clone, Default)]
pub struct Resolution<'a> {
    /// The requirements files, where the project has them.
    pub requirements: Option<&'a Requirements>,
    /// The target's Python version and platform, as the resolver is told.
    pub target: &'a str,
    /// The index URLs in order, the default one first.
    pub indexes: &'a [String],
    /// The extras and groups that are resolved.
    pub extras: &'a [String],
    /// See `extras`.
    pub groups: &'a [String],
    /// What changes the result beyond these: the resolver's own version does not, its options do.
    pub options: &'a [String],
}

/// The digest of everything that the resolution of `project` depends on.
pub fn digest(project: &Project, resolution: &Resolution<'_>) -> Digest {
    let mut text = Text(Hasher::new());
    // Changing this makes every lock stale.
    text.line("jettison-inputs", "1");
    text.line("target", resolution.target);
    if let Some(python) = &project.requires_python {
        text.line("requires-python", &python.text);
    }
    for url in resolution.indexes {
        text.line("index", &without_credentials(url));
    }
    match resolution.requirements {
        Some(requirements) => {
            requirements.entries.iter().for_each(|entry| {
                text.line("requirement", &entry.to_line());
                entry.hashes.iter().for_each(|(algorithm, hex)| text.line("hash", &format!("{algorithm}:{hex}")));
            });
            requirements.constraints.iter().for_each(|entry| text.line("constraint", &entry.to_line()));
            let options = &requirements.options;
            let urls = options.index_url.iter().chain(&options.extra_index_urls).chain(&options.find_links);
            urls.for_each(|url| text.line("file-index", &without_credentials(url)));
            text.control("no-binary", &options.no_binary);
            text.control("only-binary", &options.only_binary);
            text.line("pre", if options.pre { "true" } else { "" });
            text.line("no-index", if options.no_index { "true" } else { "" });
        }
        None => {
            text.requirements("dependency", &project.dependencies);
            project.dynamic.iter().for_each(|key| text.line("dynamic", key));
            for (kind, table, asked) in
                [("extra", &project.extras, resolution.extras), ("group", &project.groups, resolution.groups)]
            {
                for (name, requirements) in
                    table.iter().filter(|(name, _)| asked.iter().any(|wanted| wanted == name.as_str()))
                {
                    text.line(kind, name.as_str());
                    text.requirements("dependency", requirements);
                }
            }
            for key in [
                "sources",
                "index",
                "constraint-dependencies",
                "override-dependencies",
                "prerelease",
                "resolution",
                "conflicts",
            ] {
                if let Some(value) = project.uv.table.get(key) {
                    text.line("uv", &format!("{key} = {value}"));
                }
            }
        }
    }
    if project.declared_source == DependencySource::Backend
        && let Some(build) = &project.build_system
    {
        text.requirements("build", &build.requires);
    }
    resolution.options.iter().for_each(|option| text.line("option", option));
    text.0.finish().0
}

/// `text`, a pylock.toml, with `[tool.jettison] inputs` set to `inputs`, replacing one that is there.
pub fn mark(text: &str, inputs: Digest) -> String {
    let start = text.find("[tool.jettison]").filter(|&at| at == 0 || text[..at].ends_with('\n'));
    let mut marked = match start {
        None => text.to_owned(),
        Some(start) => {
            let rest = &text[start + 1..];
            let end = rest.find("\n[").map_or(text.len(), |next| start + 1 + next + 1);
            format!("{}{}", &text[..start], &text[end..])
        }
    };
    if !marked.ends_with('\n') {
        marked.push('\n');
    }
    if !marked.ends_with("\n\n") {
        marked.push('\n');
    }
    marked + &format!("[tool.jettison]\ninputs = \"{inputs}\"\n")
}

/// An error for a lock that was resolved from other inputs than the project has now.
pub fn stale(file: &str) -> LockError {
    LockError::Invalid {
        place: Place::file(file),
        what: "it was resolved from other requirements than the project has now".to_owned(),
        hint: Some("build without `--locked` to resolve again".to_owned()),
    }
}

/// Lines of a key and a value; neither can hold a line break that is not escaped.
struct Text(Hasher);

impl Text {
    fn line(&mut self, key: &str, value: &str) {
        self.0.update(format!("{key} {}\n", value.escape_debug()).as_bytes());
    }

    fn requirements(&mut self, key: &str, requirements: &[Requirement]) {
        let mut lines: Vec<String> = requirements.iter().map(ToString::to_string).collect();
        lines.sort();
        lines.iter().for_each(|line| self.line(key, line));
    }

    fn control(&mut self, key: &str, control: &FormatControl) {
        if control.all {
            self.line(key, ":all:");
        }
        control.names.iter().for_each(|name| self.line(key, name.as_str()));
    }
}
