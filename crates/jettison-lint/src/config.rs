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
        let named: Vec<_> = rules::all().filter(|rule| rule.answers_to(word)).map(Self::Rule).collect();
        if !named.is_empty() {
            return Ok(named);
        }
        let near = |name: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &word.to_lowercase());
        let names = rules::all().flat_map(|rule| [rule.name, rule.code]);
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
        }
    }
}

impl Config {
    /// Whether a rule is looked for.
    pub fn is_enabled(&self, rule: &Rule) -> bool {
        let covered = |list: &[Selector]| list.iter().any(|selector| selector.covers(rule));
        let selected = if self.select.is_empty() { rule.default } else { covered(&self.select) };
        (selected || covered(&self.extend_select)) && !covered(&self.ignore)
    }

    /// Only this rule.
    pub fn only(rule: &'static Rule) -> Self {
        Self { select: vec![Selector::Rule(rule)], ..Self::default() }
    }
}
