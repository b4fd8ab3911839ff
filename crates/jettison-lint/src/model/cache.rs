//! Cache mounts, and what a script removes.

use super::Step;
use super::step::join;
use jettison_dockerfile::instruction::MountSpec;
use jettison_shell::{Command, Word};
use std::ops::Range;

/// A `RUN --mount=type=cache`.
#[derive(Debug, Clone)]
pub struct CacheMount<'a> {
    /// As it was written.
    pub spec: &'a MountSpec,
    /// Its target, absolute.
    pub target: String,
}

impl CacheMount<'_> {
    /// The value of an option as it was written.
    pub fn option(&self, name: &str) -> Option<&str> {
        let option = self.spec.options.iter().find(|option| option.key.eq_ignore_ascii_case(name))?;
        option.value.as_ref().map(jettison_dockerfile::Word::as_str)
    }
}

/// Whether `path` is `directory` or below it. Both are absolute and plain.
pub fn covers(directory: &str, path: &str) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || directory.ends_with('/'))
}

impl<'a> Step<'a> {
    /// Its mounts of this type that have a target that can be told.
    fn mounts_of(&self, kind: &str) -> Vec<CacheMount<'a>> {
        let value = |spec: &'a MountSpec, keys: &[&str]| {
            let has = |key: &str| keys.iter().any(|other| key.eq_ignore_ascii_case(other));
            spec.options.iter().rev().find(|option| has(&option.key))?.value.as_ref()
        };
        let specs = self.run().map(|run| run.mounts.as_slice()).unwrap_or_default().iter();
        let mounts = specs.filter_map(|spec| {
            let target = self.expand(value(spec, &["target", "dst", "destination"])?)?;
            let is_kind = value(spec, &["type"]).is_some_and(|value| value.eq_ignore_ascii_case(kind));
            is_kind.then_some(CacheMount { spec, target: join(self.workdir.as_deref(), &target)? })
        });
        mounts.collect()
    }

    /// Its cache mounts, those that have a target that can be told.
    pub fn cache_mounts(&self) -> Vec<CacheMount<'a>> {
        self.mounts_of("cache")
    }

    /// Whether what is written to `path` stays out of the layer: a cache or a tmpfs is mounted there or above.
    pub fn keeps_out(&self, path: &str) -> bool {
        self.cache_mounts().iter().chain(&self.mounts_of("tmpfs")).any(|mount| covers(&mount.target, path))
    }

    /// The paths that a command removes with all that is in them, absolute, each with its place: `rm -rf`, `find … -delete`.
    /// `/x/*` is `/x`. Paths with variables other than `$HOME` are left out.
    pub fn removed(&self, command: &Command<'_>) -> Vec<(String, Range<usize>)> {
        let words: Vec<&Word> = match command.name() {
            Some("rm" | "unlink") => command.operands(&[]),
            Some("rmdir") => return Vec::new(),
            Some("find") if command.arguments().iter().any(|word| word.text() == "-delete") => {
                let paths = command.arguments().iter().take_while(|word| !word.text().starts_with(['-', '(', '!']));
                paths.collect()
            }
            _ => return Vec::new(),
        };
        let mut removed = Vec::new();
        for word in words {
            for text in braces(&word.text()) {
                let home = self.home().unwrap_or_default();
                let text =
                    match text.strip_prefix("~/").or(text.strip_prefix("$HOME/")).or(text.strip_prefix("${HOME}/")) {
                        Some(rest) if !home.is_empty() => format!("{home}/{rest}"),
                        _ => text,
                    };
                let plain = text.trim_end_matches("/*").trim_end_matches("/.*").trim_end_matches('/');
                if plain.is_empty() || plain.contains(['$', '`']) {
                    continue;
                }
                let directory = command.directory().filter(|directory| directory.starts_with('/'));
                if let Some(path) = join(directory.or(self.workdir.as_deref()), plain) {
                    removed.push((path, word.range.clone()));
                }
            }
        }
        removed
    }

    /// Whether a command from `first` on removes `path` or something above it.
    pub fn removes(&self, first: usize, path: &str) -> bool {
        self.commands.iter().skip(first).any(|command| {
            self.removed(command).iter().any(|(removed, _)| match removed.strip_suffix('*') {
                Some(start) => path.starts_with(start),
                None => covers(removed, path),
            })
        })
    }
}

/// The words that braces stand for: `/var/{lib/apt,cache}/x`. Those in braces are left as they are.
fn braces(text: &str) -> Vec<String> {
    let (Some(open), Some(close)) = (text.find('{'), text.find('}')) else { return vec![text.to_owned()] };
    if open > close || text[..open].ends_with('$') || !text[open..close].contains(',') {
        return vec![text.to_owned()];
    }
    let (start, end) = (&text[..open], &text[close + 1..]);
    text[open + 1..close].split(',').map(|part| format!("{start}{part}{end}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_stand_for_words() {
        assert_eq!(braces("/var/lib/{apt,dpkg}/lists"), ["/var/lib/apt/lists", "/var/lib/dpkg/lists"]);
        assert_eq!(braces("${HOME}/x"), ["${HOME}/x"]);
        assert!(covers("/var", "/var/lib") && covers("/", "/x") && !covers("/var", "/variable"));
    }
}
