//! Environment markers (PEP 508; dependency specifiers, "Environment Markers"), with the `extras` and
//! `dependency_groups` of lock files (PEP 751).
//!
//! 1. [`Marker::parse`] keeps the expression as it is written: nothing that it cannot evaluate is passed over.
//! 2. [`MarkerEnvironment::for_target`] is what a marker sees of the machine that the image is for; nothing is
//!    asked of the machine that this runs on.
//! 3. [`Marker::evaluate`] decides.

mod parse;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifier};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::{NormalizedName, normalize};
use crate::scan::{Pep508Error, Scanner};
use crate::tags::Target;

/// A marker expression. The default is the one that always holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Marker(Option<Box<Expression>>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Expression {
    Compare { left: Operand, operator: Operator, right: Operand },
    And(Vec<Expression>),
    Or(Vec<Expression>),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Operand {
    Literal(String),
    Variable(Variable),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Variable {
    ImplementationName,
    ImplementationVersion,
    OsName,
    PlatformMachine,
    PlatformPythonImplementation,
    PlatformRelease,
    PlatformSystem,
    PlatformVersion,
    PythonFullVersion,
    PythonVersion,
    SysPlatform,
    Extra,
    Extras,
    DependencyGroups,
}

/// Every variable by name; after the current names those that PEP 345 and early setuptools used.
const VARIABLES: [(&str, Variable); 20] = [
    ("implementation_name", Variable::ImplementationName),
    ("implementation_version", Variable::ImplementationVersion),
    ("os_name", Variable::OsName),
    ("platform_machine", Variable::PlatformMachine),
    ("platform_python_implementation", Variable::PlatformPythonImplementation),
    ("platform_release", Variable::PlatformRelease),
    ("platform_system", Variable::PlatformSystem),
    ("platform_version", Variable::PlatformVersion),
    ("python_full_version", Variable::PythonFullVersion),
    ("python_version", Variable::PythonVersion),
    ("sys_platform", Variable::SysPlatform),
    ("extra", Variable::Extra),
    ("extras", Variable::Extras),
    ("dependency_groups", Variable::DependencyGroups),
    ("os.name", Variable::OsName),
    ("sys.platform", Variable::SysPlatform),
    ("platform.version", Variable::PlatformVersion),
    ("platform.machine", Variable::PlatformMachine),
    ("platform.python_implementation", Variable::PlatformPythonImplementation),
    ("python_implementation", Variable::PlatformPythonImplementation),
];

impl Variable {
    fn name(self) -> &'static str {
        VARIABLES.iter().find(|(_, variable)| *variable == self).map_or("", |(name, _)| name)
    }

    /// Whether its values compare as versions where they are ones.
    fn is_version(self) -> bool {
        use Variable::*;
        matches!(self, ImplementationVersion | PlatformRelease | PythonFullVersion | PythonVersion)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Operator {
    Arbitrary,
    Equal,
    Unequal,
    AtMost,
    AtLeast,
    Compatible,
    Less,
    Greater,
    In,
    NotIn,
}

/// The operators that are signs, the longer before those that they begin with.
const SIGNS: [(&str, Operator); 8] = [
    ("===", Operator::Arbitrary),
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("~=", Operator::Compatible),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl Operator {
    fn text(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::NotIn => "not in",
            _ => SIGNS.iter().find(|(_, operator)| *operator == self).map_or("", |(sign, _)| sign),
        }
    }
}

/// What markers see of the machine that an image is for (PEP 508, the table of environment markers).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are the variables of PEP 508")]
pub struct MarkerEnvironment {
    pub implementation_name: String,
    pub implementation_version: String,
    pub os_name: String,
    pub platform_machine: String,
    pub platform_python_implementation: String,
    pub platform_release: String,
    pub platform_system: String,
    pub platform_version: String,
    pub python_full_version: String,
    pub python_version: String,
    pub sys_platform: String,
}

impl MarkerEnvironment {
    /// The environment of CPython on the target. The kernel's release and version are not known before it runs: they
    /// are empty, so that no image depends on them.
    pub fn for_target(target: &Target) -> Self {
        let (major, minor) = target.python_minor();
        Self {
            implementation_name: "cpython".to_owned(),
            implementation_version: target.python.to_string(),
            os_name: "posix".to_owned(),
            platform_machine: target.arch.as_str().to_owned(),
            platform_python_implementation: "CPython".to_owned(),
            platform_release: String::new(),
            platform_system: "Linux".to_owned(),
            platform_version: String::new(),
            python_full_version: target.python.to_string(),
            python_version: format!("{major}.{minor}"),
            sys_platform: "linux".to_owned(),
        }
    }

    fn get(&self, variable: Variable) -> &str {
        match variable {
            Variable::ImplementationName => &self.implementation_name,
            Variable::ImplementationVersion => &self.implementation_version,
            Variable::OsName => &self.os_name,
            Variable::PlatformMachine => &self.platform_machine,
            Variable::PlatformPythonImplementation => &self.platform_python_implementation,
            Variable::PlatformRelease => &self.platform_release,
            Variable::PlatformSystem => &self.platform_system,
            Variable::PlatformVersion => &self.platform_version,
            Variable::PythonFullVersion => &self.python_full_version,
            Variable::PythonVersion => &self.python_version,
            Variable::SysPlatform => &self.sys_platform,
            Variable::Extra | Variable::Extras | Variable::DependencyGroups => "",
        }
    }
}

impl Marker {
    /// Parses an expression; empty text is the marker that always holds. An unknown variable, a comparison that is not
    /// defined and nesting beyond reason are errors with a column.
    pub fn parse(text: &str) -> Result<Self, Pep508Error> {
        Self::scan(&mut Scanner::new(text)?)
    }

    /// The rest of `scanner` as an expression.
    pub(crate) fn scan(scanner: &mut Scanner<'_>) -> Result<Self, Pep508Error> {
        scanner.skip_space();
        if scanner.peek().is_none() {
            return Ok(Self::default());
        }
        let expression = parse::alternatives(scanner, 0)?;
        scanner.skip_space();
        match scanner.peek() {
            None => Ok(Self(Some(Box::new(expression)))),
            Some(_) => Err(scanner.error(format!("expected `and`, `or` or the end, found {}", scanner.found()))),
        }
    }

    /// Whether there is nothing to hold.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The marker that holds where both do.
    pub fn and(self, other: Self) -> Self {
        match (self.0, other.0) {
            (None, other) => Self(other),
            (one, None) => Self(one),
            (Some(one), Some(other)) => Self(Some(Box::new(Expression::And(vec![*one, *other])))),
        }
    }

    /// Whether it holds when no extra and no group is asked for.
    pub fn applies(&self, environment: &MarkerEnvironment) -> bool {
        self.evaluate(environment, &BTreeSet::new(), &BTreeSet::new())
    }

    /// Whether it holds with these extras and dependency groups asked for. `extra == "x"` asks whether `x` is among the
    /// extras. The variables of the spec that are versions compare by PEP 440 where both sides allow it (pre-releases
    /// count as what they are); everything else compares as text, `in` by containment.
    pub fn evaluate(
        &self,
        environment: &MarkerEnvironment,
        extras: &BTreeSet<NormalizedName>,
        groups: &BTreeSet<NormalizedName>,
    ) -> bool {
        self.0.as_ref().is_none_or(|expression| expression.holds(&Context { environment, extras, groups }))
    }

    /// Whether an extra or a dependency group occurs in it.
    pub fn mentions_extras(&self) -> bool {
        self.0.as_ref().is_some_and(|expression| expression.mentions_extras())
    }
}

struct Context<'a> {
    environment: &'a MarkerEnvironment,
    extras: &'a BTreeSet<NormalizedName>,
    groups: &'a BTreeSet<NormalizedName>,
}

impl Expression {
    fn holds(&self, context: &Context<'_>) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.holds(context)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(context)),
            Self::Compare { left, operator, right } => compare(left, *operator, right, context),
        }
    }

    fn mentions_extras(&self) -> bool {
        let set = |operand: &Operand| {
            matches!(operand, Operand::Variable(Variable::Extra | Variable::Extras | Variable::DependencyGroups))
        };
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::mentions_extras),
            Self::Compare { left, right, .. } => set(left) || set(right),
        }
    }
}

fn compare(left: &Operand, operator: Operator, right: &Operand, context: &Context<'_>) -> bool {
    let has = |names: &BTreeSet<NormalizedName>, wanted: &str| {
        let wanted = normalize(wanted);
        names.iter().any(|name| name.as_str() == wanted)
    };
    match (left, right) {
        (Operand::Variable(Variable::Extra), Operand::Literal(name))
        | (Operand::Literal(name), Operand::Variable(Variable::Extra)) => {
            has(context.extras, name) == (operator == Operator::Equal)
        }
        (Operand::Literal(name), Operand::Variable(Variable::Extras)) => {
            has(context.extras, name) == (operator == Operator::In)
        }
        (Operand::Literal(name), Operand::Variable(Variable::DependencyGroups)) => {
            has(context.groups, name) == (operator == Operator::In)
        }
        _ => {
            let text = |operand: &'_ Operand| match operand {
                Operand::Literal(text) => text.clone(),
                Operand::Variable(variable) => context.environment.get(*variable).to_owned(),
            };
            let version = [left, right].iter().any(|side| matches!(side, Operand::Variable(v) if v.is_version()));
            let (left, right) = (text(left), text(right));
            let by_version = if version { compare_versions(&left, operator, &right) } else { None };
            by_version.unwrap_or_else(|| compare_text(&left, operator, &right))
        }
    }
}

/// `None` where the two do not compare as versions.
fn compare_versions(left: &str, operator: Operator, right: &str) -> Option<bool> {
    if matches!(operator, Operator::In | Operator::NotIn) {
        return None;
    }
    let specifier = VersionSpecifier::from_str(&format!("{}{right}", operator.text())).ok()?;
    // A self-built interpreter calls itself `3.13.0+`.
    let left = left.strip_suffix('+').unwrap_or(left);
    Some(specifier.contains(&Version::from_str(left).ok()?))
}

fn compare_text(left: &str, operator: Operator, right: &str) -> bool {
    match (operator, left.cmp(right)) {
        (Operator::Equal | Operator::Arbitrary, order) => order == Ordering::Equal,
        (Operator::Unequal, order) => order != Ordering::Equal,
        (Operator::Less, order) => order == Ordering::Less,
        (Operator::AtMost, order) => order != Ordering::Greater,
        (Operator::Greater, order) => order == Ordering::Greater,
        (Operator::AtLeast, order) => order != Ordering::Less,
        (Operator::In, _) => right.contains(left),
        (Operator::NotIn, _) => !right.contains(left),
        (Operator::Compatible, _) => false,
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |expression| fmt::Display::fmt(expression, f))
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, word) = match self {
            Self::Compare { left, operator, right } => return write!(f, "{left} {} {right}", operator.text()),
            Self::And(parts) => (parts, " and "),
            Self::Or(parts) => (parts, " or "),
        };
        for (i, part) in parts.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { word })?;
            match part {
                Self::Compare { .. } => write!(f, "{part}")?,
                _ => write!(f, "({part})")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(variable) => f.write_str(variable.name()),
            Self::Literal(text) if text.contains('"') => write!(f, "'{text}'"),
            Self::Literal(text) => write!(f, "\"{text}\""),
        }
    }
}

impl FromStr for Marker {
    type Err = Pep508Error;

    fn from_str(text: &str) -> Result<Self, Pep508Error> {
        Self::parse(text)
    }
}

impl Serialize for Marker {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Marker {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
