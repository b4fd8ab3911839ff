//! `setup.cfg` and `setup.py`, as far as they can be read without running them.
//!
//! A `setup.py` is a program. What it passes to `setup()` as a literal, or as a name bound to one, is taken; of everything else
//! [`Setup::dynamic`] says that only the build backend knows it.

use std::collections::BTreeMap;

use pep440_rs::VersionSpecifiers;

use super::PythonRange;
use crate::name::NormalizedName;
use crate::place::Place;
use crate::requirement::Requirement;
use crate::syntax::{Expr, Module};

/// What a setup.cfg or setup.py says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setup {
    /// `name`.
    pub name: Option<NormalizedName>,
    /// `version`.
    pub version: Option<String>,
    /// `python_requires`.
    pub requires_python: Option<PythonRange>,
    /// `install_requires`.
    pub dependencies: Vec<Requirement>,
    /// `extras_require`.
    pub extras: BTreeMap<NormalizedName, Vec<Requirement>>,
    /// `entry_points`, by group.
    pub entry_points: BTreeMap<String, BTreeMap<String, String>>,
    /// `package_dir` says that packages stand below `src`.
    pub is_src: bool,
    /// The keywords whose values are computed, or come from another file.
    pub dynamic: Vec<String>,
}

impl Setup {
    /// What is in `self`, completed by `other`.
    pub fn or(self, other: Self) -> Self {
        let mut dynamic = self.dynamic;
        dynamic.extend(other.dynamic);
        Self {
            name: self.name.or(other.name),
            version: self.version.or(other.version),
            requires_python: self.requires_python.or(other.requires_python),
            dependencies: if self.dependencies.is_empty() { other.dependencies } else { self.dependencies },
            extras: if self.extras.is_empty() { other.extras } else { self.extras },
            entry_points: if self.entry_points.is_empty() { other.entry_points } else { self.entry_points },
            is_src: self.is_src || other.is_src,
            dynamic,
        }
    }

    fn set_requires_python(&mut self, text: &str, place: Place) {
        match text.parse::<VersionSpecifiers>() {
            Ok(specifiers) => {
                let alternatives = vec![specifiers];
                self.requires_python = Some(PythonRange { text: text.to_owned(), place, alternatives });
            }
            Err(_) => self.dynamic.push("python_requires".to_owned()),
        }
    }

    fn add_entry_points(&mut self, group: &str, lines: &[String]) {
        let points = lines.iter().filter_map(|line| line.split_once('='));
        let points = points.map(|(name, target)| (name.trim().to_owned(), target.trim().to_owned()));
        self.entry_points.entry(group.to_owned()).or_default().extend(points);
    }
}

/// Parses the text of a setup.cfg.
pub fn parse_cfg(file: &str, text: &str) -> Setup {
    let mut setup = Setup::default();
    for Value { section, key, lines, line } in ini(text) {
        let whole = lines.join("\n");
        let is_reference = whole.starts_with("file:") || whole.starts_with("attr:");
        let mut requirements = |key: &str| -> Vec<Requirement> {
            let parsed: Result<Vec<_>, _> = lines.iter().map(|line| Requirement::parse(line)).collect();
            match parsed {
                Ok(requirements) if !is_reference => requirements,
                _ => {
                    setup.dynamic.push(key.to_owned());
                    Vec::new()
                }
            }
        };
        match (section.as_str(), key.as_str()) {
            ("metadata", "name") => setup.name = NormalizedName::parse(&whole).ok(),
            ("metadata", "version") if is_reference => setup.dynamic.push("version".to_owned()),
            ("metadata", "version") => setup.version = Some(whole),
            ("options", "python_requires" | "python-requires") => {
                setup.set_requires_python(&whole, Place::line(file, line))
            }
            ("options", "install_requires" | "install-requires") => {
                setup.dependencies = requirements("install_requires")
            }
            ("options", "package_dir") => setup.is_src = lines.iter().any(|line| line.replace(' ', "") == "=src"),
            ("options.packages.find", "where") => setup.is_src |= whole == "src",
            ("options.extras_require", extra) => {
                let wanted = requirements("extras_require");
                if let Ok(extra) = NormalizedName::parse(extra) {
                    setup.extras.insert(extra, wanted);
                }
            }
            ("options.entry_points", group) => setup.add_entry_points(group, &lines),
            _ => {}
        }
    }
    setup
}

struct Value {
    section: String,
    key: String,
    lines: Vec<String>,
    line: usize,
}

/// An INI file as setuptools has Python's `configparser` read it: keys keep their case, indented lines continue a value, comments
/// take whole lines.
fn ini(text: &str) -> Vec<Value> {
    let mut values: Vec<Value> = Vec::new();
    let mut section = String::new();
    let mut open = false;
    for (index, raw) in text.lines().enumerate() {
        let line = raw.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if raw.starts_with([' ', '\t']) && open {
            // A ` ;` or ` #` in a continuation is part of it: markers hold `;`.
            if let Some(value) = values.last_mut() {
                value.lines.push(line.to_owned());
            }
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            section = name.0.trim().to_owned();
            open = false;
        } else if let Some((key, value)) = line.split_once(['=', ':']) {
            let lines = if value.trim().is_empty() { Vec::new() } else { vec![value.trim().to_owned()] };
            values.push(Value { section: section.clone(), key: key.trim().to_owned(), lines, line: index + 1 });
            open = true;
        }
    }
    values
}

/// Parses the text of a setup.py; `None` where it never calls `setup()`.
pub fn parse_py(file: &str, text: &str) -> Option<Setup> {
    let module = Module::parse(text);
    let is_setup =
        |callee: &str| matches!(callee, "setup" | "setuptools.setup" | "distutils.core.setup" | "skbuild.setup");
    let call = module.calls.iter().find(|call| is_setup(&call.callee))?;
    let mut setup = Setup::default();
    let unread: Vec<&str> = call
        .keywords
        .iter()
        .filter(|(key, value)| setup.take(file, call.line, key, module.literal(value), &module).is_none())
        .map(|(key, _)| key.as_str())
        .collect();
    let bearing =
        ["name", "version", "python_requires", "install_requires", "extras_require", "entry_points", "package_dir"];
    setup.dynamic = unread.into_iter().filter(|key| bearing.contains(key)).map(str::to_owned).collect();
    if call.arguments.contains(&Expr::Other) {
        setup.dynamic.push("**kwargs".to_owned());
    }
    Some(setup)
}

impl Setup {
    /// Takes a keyword argument of `setup()`; `None` where it is not literal.
    fn take(&mut self, file: &str, line: usize, key: &str, value: &Expr, module: &Module) -> Option<()> {
        match key {
            "name" => self.name = Some(NormalizedName::parse(value.as_str()?).ok()?),
            "version" => self.version = Some(value.as_str()?.to_owned()),
            "python_requires" => self.set_requires_python(value.as_str()?, Place::line(file, line)),
            "install_requires" => self.dependencies = requirements(value, module)?,
            "extras_require" => {
                for (extra, wanted) in pairs(value)? {
                    // `":python_version < '3.8'"` and `"extra:marker"` are setuptools' old conditional dependencies.
                    let extra = NormalizedName::parse(extra).ok()?;
                    self.extras.insert(extra, requirements(module.literal(wanted), module)?);
                }
            }
            "entry_points" => match value {
                Expr::Str(text) => {
                    for point in ini(text) {
                        self.add_entry_points(&point.section, &[format!("{}={}", point.key, point.lines.join(""))]);
                    }
                }
                _ => {
                    for (group, points) in pairs(value)? {
                        let lines = strings(module.literal(points))?;
                        self.add_entry_points(group, &lines);
                    }
                }
            },
            "package_dir" => {
                self.is_src = pairs(value)?.iter().any(|(key, path)| key.is_empty() && path.as_str() == Some("src"))
            }
            _ => {}
        }
        Some(())
    }
}

fn pairs(value: &Expr) -> Option<Vec<(&str, &Expr)>> {
    let Expr::Dict(pairs) = value else { return None };
    pairs.iter().map(|(key, value)| Some((key.as_str()?, value))).collect()
}

/// A list of strings, or one string with a line each.
fn strings(value: &Expr) -> Option<Vec<String>> {
    match value {
        Expr::Str(text) => Some(text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect()),
        Expr::List(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

fn requirements(value: &Expr, module: &Module) -> Option<Vec<Requirement>> {
    let resolved = match value {
        Expr::List(items) => Expr::List(items.iter().map(|item| module.literal(item).clone()).collect()),
        other => other.clone(),
    };
    strings(&resolved)?.iter().map(|text| Requirement::parse(text).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setup_cfg() {
        let setup = parse_cfg(
            "setup.cfg",
            "[metadata]\nname = My_App\nversion = attr: my_app.__version__\n\n[options]\npackage_dir =\n    = src\n\
             python_requires = >=3.8\ninstall_requires =\n    flask>=2 ; python_version >= '3.8'\n    # comment\n    click\n\n\
             [options.extras_require]\ndev = pytest\n[options.entry_points]\nconsole_scripts =\n    my-app = my_app.cli:main\n",
        );
        assert_eq!(setup.name.unwrap(), *"my-app");
        let dependencies: Vec<_> = setup.dependencies.iter().map(ToString::to_string).collect();
        assert_eq!(dependencies, ["flask>=2 ; python_version >= \"3.8\"", "click"]);
        assert_eq!(setup.requires_python.unwrap().place.to_string(), "setup.cfg:8");
        assert_eq!(setup.entry_points["console_scripts"]["my-app"], "my_app.cli:main");
        assert_eq!((setup.is_src, setup.dynamic, setup.extras.len()), (true, vec!["version".to_owned()], 1));
    }

    #[test]
    fn setup_py_with_literals_and_names() {
        let setup = parse_py(
            "setup.py",
            "from setuptools import setup, find_packages\nREQUIRES = [\n    'flask',\n    'click>=8',\n]\n\
             setup(\n    name='my-app',\n    version=read('VERSION'),\n    packages=find_packages(),\n    install_requires=REQUIRES,\n\
             extras_require={'dev': ['pytest']},\n    python_requires='>=3.9',\n\
             entry_points={'console_scripts': ['my-app=my_app:main']},\n)\n",
        )
        .unwrap();
        assert_eq!(setup.name.unwrap(), *"my-app");
        assert_eq!(setup.dependencies.iter().map(ToString::to_string).collect::<Vec<_>>(), ["flask", "click>=8"]);
        assert_eq!(setup.entry_points["console_scripts"]["my-app"], "my_app:main");
        assert_eq!((setup.dynamic, setup.extras.len()), (vec!["version".to_owned()], 1));
        assert!(setup.requires_python.is_some());
    }

    #[test]
    fn setup_py_that_computes_says_so() {
        let setup = parse_py(
            "setup.py",
            "import setuptools as s\ns.setup(install_requires=open('r.txt').readlines(), **more)\n",
        );
        assert_eq!(setup.unwrap().dynamic, ["install_requires", "**kwargs"]);
        assert_eq!(parse_py("setup.py", "print('hello')\n"), None);
    }
}
