//! How git repositories are written: `https://host/repo.git#ref:subdir`, `git@host:repo.git`, `?ref=…&subdir=…` (docker's build
//! contexts, "URL fragments" and "URL queries").

use url::form_urlencoded;

use super::tree::clean;
use crate::error::BuildError;

/// A git repository, what of it, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitReference {
    /// What git fetches from.
    pub remote: String,
    /// A branch, a tag, a full commit; the default branch where there is none.
    pub reference: Option<String>,
    /// The directory in it, clean; empty for all.
    pub directory: String,
    /// The commit, or the start of it, that the reference must lead to.
    pub checksum: Option<String>,
    /// Whether `.git` is kept, where the reference says so.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are left out.
    pub without_submodules: bool,
    /// Whether the commit is fetched without a look at where the reference leads.
    pub fetch_by_commit: bool,
}

impl GitReference {
    /// Parses what may be a repository; `None` for what is none, such as a path or another URL. `git://`, `ssh://` and
    /// `user@host:path` always are, `http://` and `https://` where the path ends in `.git`.
    pub fn parse(text: &str) -> Option<Result<Self, BuildError>> {
        let (without_fragment, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (remote, query) = without_fragment.split_once('?').unwrap_or((without_fragment, ""));
        let scheme = remote.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let is_git = match scheme.as_deref() {
            Some("git" | "ssh") => true,
            Some("http" | "https") => remote.ends_with(".git"),
            Some(_) => false,
            None => is_scp_style(remote),
        };
        is_git.then(|| {
            let mut reference = Self { remote: remote.to_owned(), ..Self::default() };
            let (name, directory) = fragment.split_once(':').unwrap_or((fragment, ""));
            reference.reference = (!name.is_empty()).then(|| name.to_owned());
            reference.directory = cleaned(directory);
            reference
                .read_query(query)
                .map_err(|why| BuildError::new(format!("`{}`: {why}", jettison_http::redact(text))))?;
            Ok(reference)
        })
    }

    /// Parses the form that the context of a build has had the longest, `github.com/user/repo`, as well.
    pub fn parse_context(text: &str) -> Option<Result<Self, BuildError>> {
        if text.starts_with("github.com/") {
            let (remote, fragment) = text.split_once('#').unwrap_or((text, ""));
            let suffix = if remote.ends_with(".git") { "" } else { ".git" };
            return Self::parse(&format!("https://{remote}{suffix}#{fragment}"));
        }
        Self::parse(text)
    }

    fn read_query(&mut self, query: &str) -> Result<(), String> {
        let mut seen = Vec::new();
        let mut named = None;
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            if seen.contains(&key) {
                return Err(format!("`{key}` is in the query twice"));
            }
            seen.push(key.clone());
            let switch = || match &*value {
                "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
                other => Err(format!("`{key}={other}` is neither true nor false")),
            };
            if value.is_empty() && !matches!(&*key, "submodules" | "keep-git-dir" | "fetch-by-commit") {
                return Err(format!("`{key}` has no value"));
            }
            match &*key {
                "ref" => self.set_reference(value.into_owned())?,
                "tag" if named.is_some() => return Err("both a tag and a branch are named".to_owned()),
                "branch" if named.is_some() => return Err("both a tag and a branch are named".to_owned()),
                "tag" => named = Some(qualified(&value, "refs/tags/")),
                "branch" => named = Some(qualified(&value, "refs/heads/")),
                "subdir" => {
                    let directory = cleaned(&value);
                    if !self.directory.is_empty() && self.directory != directory {
                        return Err(format!("two directories are named, `{}` and `{directory}`", self.directory));
                    }
                    self.directory = directory;
                }
                "checksum" | "commit" => self.checksum = Some(value.into_owned()),
                "keep-git-dir" => self.keep_git_dir = Some(switch()?),
                "submodules" => self.without_submodules = !switch()?,
                "fetch-by-commit" => self.fetch_by_commit = switch()?,
                // Times come from the commit anyway.
                "mtime" if matches!(&*value, "checkout" | "commit") => {}
                "mtime" => return Err(format!("`mtime={value}` is neither `checkout` nor `commit`")),
                other => {
                    return Err(format!(
                        "`{other}` means nothing in the query of a repository; there are ref, branch, tag, subdir, checksum, \
                         keep-git-dir, submodules, mtime and fetch-by-commit"
                    ));
                }
            }
        }
        match named {
            Some(named) => self.set_reference(named),
            None => Ok(()),
        }
    }

    fn set_reference(&mut self, reference: String) -> Result<(), String> {
        match &self.reference {
            Some(other) if *other != reference => Err(format!("two references are named, `{other}` and `{reference}`")),
            _ => {
                self.reference = Some(reference);
                Ok(())
            }
        }
    }
}

/// Whether the text is the whole name of a commit.
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn qualified(name: &str, prefix: &str) -> String {
    if name.starts_with(prefix) { name.to_owned() } else { format!("{prefix}{name}") }
}

fn cleaned(directory: &str) -> String {
    String::from_utf8_lossy(&clean(directory.as_bytes())).into_owned()
}

/// `user@host:path`.
fn is_scp_style(text: &str) -> bool {
    // What begins with a `-` would be an option to git.
    let plain = |text: &str, more: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || more.contains(c))
    };
    text.split_once('@')
        .is_some_and(|(user, rest)| plain(user, "_") && rest.split_once(':').is_some_and(|(host, _)| plain(host, ".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match GitReference::parse(text) {
            None => "none".to_owned(),
            Some(Err(error)) => format!("error: {error}"),
            Some(Ok(git)) => {
                let reference = git.reference.unwrap_or_default();
                let mut all = format!("{}|{reference}|{}", git.remote, git.directory);
                all += &git.checksum.map(|checksum| format!("|commit {checksum}")).unwrap_or_default();
                all += &git.keep_git_dir.map(|keep| format!("|keep {keep}")).unwrap_or_default();
                all += if git.without_submodules { "|bare" } else { "" };
                all + if git.fetch_by_commit { "|direct" } else { "" }
            }
        }
    }

    #[test]
    fn repositories_are_told_from_paths_and_urls() {
        for (text, expected) in [
            ("https://host/a/b.git", "https://host/a/b.git||"),
            ("https://host/a/b.git#main:sub/dir", "https://host/a/b.git|main|sub/dir"),
            ("https://host/b.git#:sub/../../x/", "https://host/b.git||x"),
            ("https://u:p@host/b.git#v1", "https://u:p@host/b.git|v1|"),
            ("https://host/b.tar.gz", "none"),
            ("https://host/b", "none"),
            ("git://host/b", "git://host/b||"),
            ("ssh://git@host:22/b#x", "ssh://git@host:22/b|x|"),
            ("git@github.com:a/b.git#v1:d", "git@github.com:a/b.git|v1|d"),
            ("git@host:b?ref=x", "git@host:b|x|"),
            ("-upload@host:b", "none"),
            ("git@-host:b", "none"),
            ("a/b.git", "none"),
            ("./git@host:x", "none"),
            ("file:///b.git", "none"),
            ("github.com/a/b", "none"),
            ("https://h/b.git?ref=v1&subdir=d&checksum=abc", "https://h/b.git|v1|d|commit abc"),
            ("https://h/b.git?tag=v1&keep-git-dir", "https://h/b.git|refs/tags/v1||keep true"),
            (
                "https://h/b.git?branch=b&keep-git-dir=0&submodules=false",
                "https://h/b.git|refs/heads/b||keep false|bare",
            ),
            ("https://h/b.git?commit=abc&fetch-by-commit=true", "https://h/b.git|||commit abc|direct"),
            ("https://h/b.git?ref=a#a", "https://h/b.git|a|"),
            ("https://h/b.git?ref=b#a", "error: `https://h/b.git?ref=b#a`: two references are named, `a` and `b`"),
            (
                "https://h/b.git?tag=b&branch=a",
                "error: `https://h/b.git?tag=b&branch=a`: both a tag and a branch are named",
            ),
            ("https://h/b.git?ref=", "error: `https://h/b.git?ref=`: `ref` has no value"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert!(shown("https://h/b.git?x=1").contains("`x` means nothing"));
        let context = GitReference::parse_context("github.com/a/b#main").unwrap().unwrap();
        assert_eq!(
            (context.remote.as_str(), context.reference.as_deref()),
            ("https://github.com/a/b.git", Some("main"))
        );
    }
}
