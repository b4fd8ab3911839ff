//! What is looked for: which rules, how much each matters, whom to trust.

use crate::rule::{Family, Rule, Severity};
use crate::rules;
use std::collections::BTreeMap;

/// What was configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Only these rules; the default ones if empty. See [`Selector`].
    pub select: Vec<Selector>,
    /// These rules too.
    pub extend_select: Vec<Selector>,
    /// But not these.
    pub ignore: Vec<Selector>,
    /// How much findings matter, by rule.
    pub severity: BTreeMap<&'static str, Severity>,
    /// Registries that base images may come from, as `docker.io` or `*.example.com`; any, if empty.
    pub trusted_registries: Vec<String>,
    /// Labels that an image has to have, and what their values are.
    pub label_schema: BTreeMap<String, LabelType>,
    /// Whether labels that are not in `label_schema` are wrong.
    pub strict_labels: bool,
    /// `--build-arg`, where the Dockerfile is about to be built.
    pub build_args: BTreeMap<String, String>,
}

/// What the value of a label is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LabelType {
    /// Anything but nothing.
    Text,
    /// An absolute URL.
    Url,
    /// A date and time of RFC 3339.
    Rfc3339,
    /// An SPDX licence expression.
    Spdx,
    /// A commit of git, whole or abbreviated.
    GitHash,
    /// A semantic version.
    Semver,
    /// An address of RFC 5322.
    Email,
}

impl LabelType {
    /// The type of this name: the words that hadolint uses, and no others.
    pub fn parse(word: &str) -> Option<Self> {
        let named = [
            ("text", Self::Text),
            ("nonempty", Self::Text),
            ("url", Self::Url),
            ("rfc3339", Self::Rfc3339),
            ("spdx", Self::Spdx),
            ("hash", Self::GitHash),
            ("semver", Self::Semver),
            ("email", Self::Email),
        ];
        named.into_iter().find(|(name, _)| *name == word).map(|(_, kind)| kind)
    }
}

/// What stands for one rule or many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// Every rule, the pedantic ones too.
    All,
    /// Those that are not looked for without being asked.
    Pedantic,
    /// The default rules of a family.
    Family(Family),
    /// One rule.
    Rule(&'static Rule),
    /// One code of ShellCheck's: 2086 for `SC2086`.
    Shellcheck(u32),
}

/// A word stands for no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no rule `{word}`")]
pub struct SelectorError {
    /// The word.
    pub word: String,
    /// The rule that was meant, perhaps.
    pub similar: Option<&'static str>,
}

impl SelectorError {
    /// What to write instead.
    pub fn hint(&self) -> Option<String> {
        self.similar.map(|similar| format!("did you mean `{similar}`?"))
    }
}

impl Selector {
    /// Reads `all`, `pedantic`, a family, or a name of one or several rules ([`Rule::answers_to`]): a code of hadolint's may mean
    /// more than one.
    pub fn parse(word: &str) -> Result<Vec<Self>, SelectorError> {
        match word {
            "all" | "ALL" => return Ok(vec![Self::All]),
            "pedantic" => return Ok(vec![Self::Pedantic]),
            _ => {}
        }
        if let Some(family) =
            [Family::Python, Family::General, Family::Context].into_iter().find(|f| f.as_str() == word)
        {
            return Ok(vec![Self::Family(family)]);
        }
        if let Some(code) = shellcheck_code(word) {
            return Ok(vec![Self::Shellcheck(code)]);
        }
        let named: Vec<_> = rules::all().filter(|rule| rule.answers_to(word)).map(Self::Rule).collect();
        if !named.is_empty() {
            return Ok(named);
        }
        let near = |name: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &word.to_lowercase());
        // Codes that look alike have nothing to do with each other.
        let names = rules::all().flat_map(|rule| [rule.name].into_iter().chain(rule.buildkit));
        let similar = names.filter(|name| near(name) * 3 <= name.len()).min_by_key(|name| near(name));
        Err(SelectorError { word: word.to_owned(), similar })
    }

    /// Whether it stands for `rule`.
    pub fn covers(self, rule: &Rule) -> bool {
        match self {
            Self::All => true,
            Self::Pedantic => !rule.default,
            Self::Family(family) => rule.family == family && rule.default,
            Self::Rule(one) => one == rule,
            Self::Shellcheck(_) => false,
        }
    }

    fn is_shellcheck(self) -> bool {
        rules::all().any(|rule| rule.code == rules::SHELLCHECK && self.covers(rule))
    }

    /// Whether it stands for `rule`, or for some of what it finds.
    fn touches(self, rule: &Rule) -> bool {
        self.covers(rule) || matches!(self, Self::Shellcheck(_)) && rule.code == rules::SHELLCHECK
    }
}

/// The number of a code of ShellCheck's: 2086 of `SC2086`.
pub(crate) fn shellcheck_code(word: &str) -> Option<u32> {
    let (prefix, number) = word.split_at_checked(2)?;
    (prefix.eq_ignore_ascii_case("SC") && number.len() == 4).then(|| number.parse().ok()).flatten()
}

impl Config {
    /// Whether a rule is looked for.
    pub fn is_enabled(&self, rule: &Rule) -> bool {
        let touched = |list: &[Selector]| list.iter().any(|selector| selector.touches(rule));
        let selected = if self.select.is_empty() { rule.default } else { touched(&self.select) };
        (selected || touched(&self.extend_select)) && !self.is_ignored(rule)
    }

    /// Whether a rule is not to be looked for, whoever asks for it.
    pub fn is_ignored(&self, rule: &Rule) -> bool {
        self.ignore.iter().any(|selector| selector.covers(rule))
    }

    /// Whether a code of ShellCheck's is listened to, when the rule that runs it is enabled.
    pub fn hears(&self, code: u32) -> bool {
        let whole = |list: &[Selector]| list.iter().any(|s| !matches!(s, Selector::Shellcheck(_)) && s.is_shellcheck());
        let named = |list: &[Selector]| list.contains(&Selector::Shellcheck(code));
        let all = self.select.is_empty() || whole(&self.select) || whole(&self.extend_select);
        (all || named(&self.select) || named(&self.extend_select)) && !named(&self.ignore)
    }

    /// Only this rule.
    pub fn only(rule: &'static Rule) -> Self {
        Self { select: vec![Selector::Rule(rule)], ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_shellcheck_stand_for_some_of_what_its_rule_finds() {
        let config = |select: &str, ignore: &str| {
            let selectors =
                |words: &str| words.split_whitespace().flat_map(|word| Selector::parse(word).unwrap()).collect();
            Config { select: selectors(select), ignore: selectors(ignore), ..Config::default() }
        };
        let rule = rules::all().find(|rule| rule.code == rules::SHELLCHECK).unwrap();
        for (select, ignore, runs, hears) in [
            ("", "", true, true),
            ("", "sc2086", true, false),
            ("", "shellcheck", false, true),
            ("SC2086", "", true, true),
            ("SC2046", "", true, false),
            ("general", "", true, true),
            ("shellcheck SC2046", "", true, true),
            ("DL3003", "", false, false),
        ] {
            let config = config(select, ignore);
            assert_eq!((config.is_enabled(rule), config.hears(2086)), (runs, hears), "{select:?} {ignore:?}");
        }
        assert!(Selector::parse("SC20861").is_err());
    }
}
