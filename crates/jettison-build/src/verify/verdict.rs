//! Which failed imports make an image a broken one.
//!
//! A distribution may bring modules that nobody imports: accelerators, plugins for what is not installed, tests that were
//! packaged by mistake. So its *principal* modules must be imported; of the others only a defect of the image itself, a shared
//! library that is missing or of the wrong version, is an error. Some modules cannot be imported by design, principal or not.

use super::imports::{Outcome, Raised, top_level};
use super::process::how;

/// What a failed import means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It did not fail.
    Imported,
    /// Nothing, for this reason.
    Skip(String),
    /// The image is broken.
    Fail,
}

/// Exceptions of modules that want to be configured first.
const WANTS_SETTINGS: [&str; 2] = ["ImproperlyConfigured", "AppRegistryNotReady"];
/// Modules of other platforms: of the standard library, and of the bindings to the system that a port of Python brings.
const ELSEWHERE: [&str; 15] = [
    "_overlapped",
    "_scproxy",
    "_winapi",
    "_winreg",
    "AppKit",
    "Foundation",
    "msilib",
    "msvcrt",
    "nt",
    "objc",
    "pythoncom",
    "pywintypes",
    "win32api",
    "winreg",
    "winsound",
];
/// Modules that a server puts into the interpreter that it runs.
const INSIDE_OF: [(&str, &str); 3] = [("uwsgi", "uWSGI"), ("mod_wsgi", "mod_wsgi"), ("__pypy__", "PyPy")];
/// Top-level names that are packaged by mistake more often than meant.
const BY_MISTAKE: [&str; 10] =
    ["benchmark", "benchmarks", "build", "doc", "docs", "example", "examples", "scripts", "test", "tests"];

/// What an outcome means for a module that is one of the principal ones or not.
pub(super) fn judge(outcome: &Outcome, is_principal: bool) -> Verdict {
    match outcome {
        Outcome::Imported => Verdict::Imported,
        Outcome::Raised(raised) => match by_design(raised) {
            Some(reason) => Verdict::Skip(reason),
            None if is_principal || is_native(&raised.error) => Verdict::Fail,
            None => Verdict::Skip(optional(raised)),
        },
        Outcome::Died(..) | Outcome::Hung if is_principal => Verdict::Fail,
        Outcome::Died(status, _) => Verdict::Skip(format!("importing it ends the interpreter with {}", how(*status))),
        Outcome::Hung => Verdict::Skip("importing it takes too long".to_owned()),
    }
}

/// Why the module cannot be imported outside of the place that it is made for.
fn by_design(raised: &Raised) -> Option<String> {
    if WANTS_SETTINGS.contains(&raised.kind.as_str()) {
        return Some(format!("it needs the settings of an application ({})", raised.kind));
    }
    if raised.kind == "SystemExit" {
        return Some("it is a program, which ends when it is imported".to_owned());
    }
    let missing = top_level(raised.missing.as_deref()?);
    if ELSEWHERE.contains(&missing) {
        return Some(format!("it is for another platform (it needs `{missing}`)"));
    }
    let (_, host) = INSIDE_OF.iter().find(|(module, _)| *module == missing)?;
    Some(format!("it is there inside of {host} only"))
}

/// Whether it is a shared library's fault.
fn is_native(error: &str) -> bool {
    const SIGNS: [&str; 6] = [
        "cannot open shared object file",
        "undefined symbol",
        "' not found (required by",
        "ELF load command",
        "wrong ELF class",
        "invalid ELF header",
    ];
    SIGNS.iter().any(|sign| error.contains(sign))
}

fn optional(raised: &Raised) -> String {
    match &raised.missing {
        Some(missing) if raised.standard => {
            format!("it needs `{missing}`, which the image's standard library is without")
        }
        Some(missing) => format!("it needs `{missing}`, which is not installed"),
        None => {
            let first = raised.error.lines().next().unwrap_or_default();
            format!("it raises {}: {}", raised.kind, first.chars().take(200).collect::<String>())
        }
    }
}

/// The modules that a distribution is installed for: those that are called as it is, or else all that do not look private or
/// packaged by mistake, or else all.
pub(super) fn principals<'a>(distribution: &str, modules: &'a [String]) -> Vec<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '.'], "_");
    let wanted = plain(distribution);
    let stem = |name: &str| {
        let name = name.strip_prefix("python_").or_else(|| name.strip_suffix("_python")).unwrap_or(name);
        let name = name.strip_suffix("_binary").or_else(|| name.strip_suffix("_headless")).unwrap_or(name);
        name.strip_prefix("py").filter(|rest| rest.len() > 1).unwrap_or(name).to_owned()
    };
    let is_named = |module: &&str| plain(module) == wanted || stem(&plain(module)) == stem(&wanted);
    let is_public = |module: &&str| {
        !module.starts_with('_') && !module.starts_with(|c: char| c.is_ascii_digit()) && !BY_MISTAKE.contains(module)
    };
    let all: Vec<_> = modules.iter().map(String::as_str).collect();
    let chosen = |choose: &dyn Fn(&&str) -> bool| all.iter().copied().filter(choose).collect::<Vec<_>>();
    [chosen(&is_named), chosen(&is_public)].into_iter().find(|some| !some.is_empty()).unwrap_or(all)
}

/// Whether an `import` statement, or a call of `__import__`, can mean this name.
pub(super) fn is_importable(module: &str) -> bool {
    let is_word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
    module.split('.').all(is_word)
}

#[cfg(test)]
mod tests {
    use jettison_engine::sandbox::ExitStatus;

    use super::*;

    fn raised(kind: &str, error: &str, missing: Option<&str>) -> Outcome {
        Outcome::Raised(Raised {
            kind: kind.into(),
            error: error.into(),
            missing: missing.map(Into::into),
            standard: missing == Some("tkinter"),
            traceback: String::new(),
        })
    }

    #[test]
    fn a_failure_counts_where_it_is_the_images() {
        let soname = "libpq.so.5: cannot open shared object file: No such file or directory";
        let cases = [
            (
                raised("ModuleNotFoundError", "No module named 'x'", Some("x")),
                "fail",
                "it needs `x`, which is not installed",
            ),
            (raised("ImportError", soname, None), "fail", "fail"),
            (
                raised("ModuleNotFoundError", "", Some("tkinter")),
                "fail",
                "it needs `tkinter`, which the image's standard library is without",
            ),
            (raised("ValueError", "odd\nlines", None), "fail", "it raises ValueError: odd"),
            (
                Outcome::Died(ExitStatus::Signal(11), String::new()),
                "fail",
                "importing it ends the interpreter with SIGSEGV",
            ),
            (Outcome::Hung, "fail", "importing it takes too long"),
            (
                raised("ImproperlyConfigured", "", None),
                "it needs the settings of an application (ImproperlyConfigured)",
                "it needs the settings of an application (ImproperlyConfigured)",
            ),
            (
                raised("ModuleNotFoundError", "", Some("winreg")),
                "it is for another platform (it needs `winreg`)",
                "it is for another platform (it needs `winreg`)",
            ),
            (
                raised("ModuleNotFoundError", "", Some("uwsgi")),
                "it is there inside of uWSGI only",
                "it is there inside of uWSGI only",
            ),
            (Outcome::Imported, "imported", "imported"),
        ];
        let say = |verdict| match verdict {
            Verdict::Imported => "imported".to_owned(),
            Verdict::Fail => "fail".to_owned(),
            Verdict::Skip(reason) => reason,
        };
        for (outcome, principal, optional) in cases {
            assert_eq!(say(judge(&outcome, true)), principal, "{outcome:?}");
            assert_eq!(say(judge(&outcome, false)), optional, "{outcome:?}");
        }
    }

    #[test]
    fn principal_modules_are_those_that_a_distribution_is_named_after() {
        let cases: [(&str, &[&str], &[&str]); 11] = [
            ("PyYAML", &["_yaml", "yaml"], &["yaml"]),
            ("setuptools", &["_distutils_hack", "pkg_resources", "setuptools"], &["setuptools"]),
            ("attrs", &["attr", "attrs"], &["attrs"]),
            ("psycopg2-binary", &["psycopg2"], &["psycopg2"]),
            ("python-dateutil", &["dateutil"], &["dateutil"]),
            ("mypy", &["81d243bd2c585b0f4821__mypyc", "mypy", "mypyc"], &["mypy"]),
            ("Pillow", &["PIL", "tests"], &["PIL"]),
            ("cffi", &["_cffi_backend", "cffi"], &["cffi"]),
            ("ruamel.yaml", &["ruamel"], &["ruamel"]),
            ("odd", &["_odd_impl"], &["_odd_impl"]),
            ("none", &[], &[]),
        ];
        for (distribution, modules, expected) in cases {
            let modules: Vec<_> = modules.iter().map(|&module| module.to_owned()).collect();
            assert_eq!(principals(distribution, &modules), expected, "{distribution}");
        }
    }

    #[test]
    fn names_that_cannot_be_imported_are_known() {
        assert!(is_importable("81d2__mypyc") && is_importable("a.b") && is_importable("naïve"));
        assert!(
            !is_importable("types-stubs") && !is_importable("") && !is_importable("a\nb") && !is_importable("a..b")
        );
    }
}
