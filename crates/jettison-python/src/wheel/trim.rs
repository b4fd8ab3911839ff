//! What of a wheel no program needs at run time.
//!
//! The rule is that every import that worked still works. [`Trim::Safe`] drops what only tests, compilers and
//! translators read; whatever is dropped for being a test is put back if something that stays imports it (see
//! [`Reason::yields_to_imports`]). [`Trim::Max`] goes on to what only type checkers and a rebuild read.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::NormalizedName;

/// How much to leave out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trim {
    /// Nothing.
    None,
    /// What no import and no public function reads.
    #[default]
    Safe,
    /// Also type stubs, benchmarks, and all sources of compiled modules.
    Max,
}

/// Why a file was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Tests of the distribution itself.
    Tests,
    /// Documentation, examples.
    Documentation,
    /// C and C++ headers.
    Headers,
    /// Static and import libraries.
    StaticLibraries,
    /// Sources of compiled modules.
    Sources,
    /// Translations that stand beside their compiled form.
    TranslationSources,
    /// Programs and libraries of another operating system.
    OtherSystem,
    /// Bytecode that the wheel brings; the image gets its own.
    Bytecode,
    /// Type stubs.
    TypeStubs,
    /// Benchmarks of the distribution itself.
    Benchmarks,
    /// A script of the wheel in whose place stands the one of an entry point.
    Replaced,
    /// Marks of another installer, and signatures of the `RECORD` that was written anew.
    InstallerFiles,
}

impl Reason {
    /// Whether the file stays after all when a module that stays imports it.
    pub fn yields_to_imports(self) -> bool {
        matches!(self, Self::Tests | Self::Documentation | Self::Benchmarks)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tests => "tests",
            Self::Documentation => "documentation",
            Self::Headers => "headers",
            Self::StaticLibraries => "static libraries",
            Self::Sources => "sources of compiled modules",
            Self::TranslationSources => "translation sources",
            Self::OtherSystem => "files for another system",
            Self::Bytecode => "bytecode of the builder",
            Self::TypeStubs => "type stubs",
            Self::Benchmarks => "benchmarks",
            Self::Replaced => "replaced by an entry point",
            Self::InstallerFiles => "files of the installer",
        })
    }
}

/// Packages that read at run time what others need only to be built.
const KEPT: [(&str, &str); 20] = [
    ("Cython", "the compiler reads its own .pxd, .pyx and .c files"),
    ("pyximport", "part of Cython"),
    ("cffi", "writes its C files into modules that it generates"),
    ("pybind11", "is its headers"),
    ("nanobind", "is its headers and sources"),
    ("mypyc", "compiles its runtime library into modules"),
    ("pythran", "compiles against its headers"),
    ("triton", "compiles launchers against cuda.h while it runs"),
    ("cupy", "compiles kernels against its headers while it runs"),
    ("cupyx", "part of cupy"),
    ("nvidia", "headers for kernels that are compiled while they run"),
    ("cuda", "headers for kernels that are compiled while they run"),
    ("torch", "torch.compile and cpp_extension compile against its headers"),
    ("jaxlib", "compiles kernels against its headers while it runs"),
    ("warp", "compiles kernels against its headers while it runs"),
    ("pyopencl", "compiles kernels against its headers while it runs"),
    ("taichi", "compiles kernels against its headers while it runs"),
    ("tvm", "compiles against its headers while it runs"),
    ("cppyy_backend", "its interpreter reads C++ headers while it runs"),
    ("numba", "generated C++ includes its headers"),
];

const TEST_DIRECTORIES: [&str; 3] = ["tests", "test", "_tests"];
const STRAY_DOCUMENTATION: [&str; 5] = ["docs", "doc", "examples", "example", "samples"];
const HEADER_DIRECTORIES: [&str; 2] = ["include", "includes"];
const HEADERS: [&str; 8] = ["h", "hh", "hpp", "hxx", "inl", "cuh", "pxd", "pxi"];
const SOURCES: [&str; 11] = ["pyx", "pxd", "pxi", "c", "cc", "cpp", "cxx", "f", "f90", "h", "hpp"];

/// What to leave out of one wheel. It looks at names only.
#[derive(Debug, Clone)]
pub struct TrimPlan {
    level: Trim,
    /// Directories that hold extension modules, directly.
    compiled: BTreeSet<String>,
    /// Directories of tests, with everything below them.
    tests: BTreeSet<String>,
    /// Directories of benchmarks.
    benchmarks: BTreeSet<String>,
    /// Directories beside the packages that belong to none of them.
    stray: BTreeSet<String>,
    /// Compiled translations, without their suffix.
    translations: BTreeSet<String>,
    /// Modules, without their suffixes.
    modules: BTreeSet<String>,
    stubs_are_read: bool,
}

impl TrimPlan {
    /// Looks at the files of a wheel: `files` relative to `site-packages`, `requires_dist` as its metadata has it.
    pub fn new<'a>(
        level: Trim,
        name: &NormalizedName,
        files: impl Iterator<Item = &'a str> + Clone,
        requires_dist: &[String],
    ) -> Self {
        let directory_of = |file: &str| file.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned();
        let compiled = files.clone().filter(|file| file.ends_with(".so")).map(directory_of).collect();
        let translations = files.clone().filter_map(|file| file.strip_suffix(".mo")).map(str::to_owned).collect();

        let module = |file: &str| {
            let base = file.rfind('/').map_or(0, |slash| slash + 1);
            let dot = base + file[base..].find('.')?;
            base_is_module(file).then(|| file[..dot].to_owned())
        };
        let modules = files.clone().filter(|_| level == Trim::Max).filter_map(module).collect();

        // A directory counts as tests by its name together with what only a test runner looks for in it.
        let (mut tests, mut benchmarks, mut others) = (BTreeSet::new(), BTreeSet::new(), false);
        let (mut top_tests, mut stray) = (BTreeSet::new(), BTreeSet::new());
        let own = name.escaped();
        for file in files.clone() {
            let Some((directory, base)) = file.rsplit_once('/') else {
                others |= base_is_module(file);
                continue;
            };
            let parts: Vec<_> = directory.split('/').collect();
            let top = parts[0];
            let is_stray = TEST_DIRECTORIES.contains(&top) || STRAY_DOCUMENTATION.contains(&top) || top == "benchmarks";
            others |= !is_stray && base_is_module(base);
            let prefix = |depth: usize| parts[..=depth].join("/");
            let test_depth = (0..parts.len()).find(|&depth| TEST_DIRECTORIES.contains(&parts[depth]));
            match test_depth.filter(|_| is_test(base)) {
                None => {}
                Some(0) => _ = top_tests.insert(top.to_owned()),
                Some(depth) => _ = tests.insert(prefix(depth)),
            }
            if base.starts_with("bench_") && base.ends_with(".py") {
                let depth = (1..parts.len()).find(|&depth| matches!(parts[depth], "benchmarks" | "_benchmarks"));
                benchmarks.extend(depth.map(prefix));
            }
            if is_stray && !TEST_DIRECTORIES.contains(&top) && top != own {
                stray.insert(top.to_owned());
            }
        }
        // `tests` beside the packages goes only where there is something beside it, and nobody asked for tests by name.
        if others {
            top_tests.retain(|top| *top != own);
            tests.append(&mut top_tests);
        } else {
            stray.clear();
        }
        let reads_stubs = |requirement: &String| {
            let name = requirement.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.')).next();
            name.is_some_and(|name| crate::name::normalize(name) == "lazy-loader")
        };
        let stubs_are_read = requires_dist.iter().any(reads_stubs);
        Self { level, compiled, tests, benchmarks, stray, translations, modules, stubs_are_read }
    }

    /// Why to leave out this file of `site-packages`; `None` to keep it.
    pub fn reason(&self, file: &str) -> Option<Reason> {
        let (directory, base) = file.rsplit_once('/').unwrap_or(("", file));
        let top = file.split('/').next().unwrap_or(file);
        if self.level == Trim::None || top.ends_with(".dist-info") {
            return None;
        }
        let below = |set: &BTreeSet<String>| {
            directory.match_indices('/').map(|(at, _)| &directory[..at]).chain([directory]).any(|dir| set.contains(dir))
        };
        if below(&self.tests) || (base == "conftest.py" && !directory.is_empty()) {
            return Some(Reason::Tests);
        }
        if below(&self.stray) {
            return Some(if top == "benchmarks" { Reason::Benchmarks } else { Reason::Documentation });
        }
        if directory.split('/').any(|part| part == "_examples") {
            return Some(Reason::Documentation);
        }
        let (stem, suffix) = base.rsplit_once('.').unwrap_or((base, ""));
        // numpy builds C code for its tests beside its own: `_umath_tests`, and `_simd`, which tests alone import.
        let module = base.split('.').next().unwrap_or(base);
        if suffix == "so" && (module.ends_with("_tests") || (top == "numpy" && module == "_simd")) {
            return Some(Reason::Tests);
        }
        if suffix == "pyc" && directory.ends_with("__pycache__") {
            return Some(Reason::Bytecode);
        }
        if suffix == "po" {
            let compiled = if directory.is_empty() { stem.to_owned() } else { format!("{directory}/{stem}") };
            return self.translations.contains(&compiled).then_some(Reason::TranslationSources);
        }
        // Launchers of Windows; scanners take them for .NET programs.
        if suffix == "exe" && (top == "setuptools" || directory.ends_with("distlib")) {
            return Some(Reason::OtherSystem);
        }
        self.build_input(directory, suffix, top).or_else(|| self.beyond_safe(directory, base, suffix))
    }

    /// What only a compiler reads, in a wheel with compiled modules.
    fn build_input(&self, directory: &str, suffix: &str, top: &str) -> Option<Reason> {
        if KEPT.iter().any(|(package, _)| *package == top) {
            return None;
        }
        let in_headers = directory.split('/').any(|part| HEADER_DIRECTORIES.contains(&part));
        let compiled = !self.compiled.is_empty();
        match suffix {
            _ if !compiled => None,
            _ if in_headers && HEADERS.contains(&suffix) => Some(Reason::Headers),
            "a" | "lib" => Some(Reason::StaticLibraries),
            _ if SOURCES.contains(&suffix) && (self.compiled.contains(directory) || self.level == Trim::Max) => {
                Some(Reason::Sources)
            }
            _ => None,
        }
    }

    fn beyond_safe(&self, directory: &str, base: &str, suffix: &str) -> Option<Reason> {
        if self.level != Trim::Max {
            return None;
        }
        let below_benchmarks = self.benchmarks.iter().any(|dir| {
            directory.strip_prefix(dir.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        match suffix {
            _ if below_benchmarks => Some(Reason::Benchmarks),
            // Packages that load their submodules lazily read their own stubs to learn what is in them; analysers bring
            // the stubs of others, which stand beside no module.
            "pyi" if !self.stubs_are_read && self.describes_module(directory, base) => Some(Reason::TypeStubs),
            _ if base == "py.typed" => Some(Reason::TypeStubs),
            "exe" | "pyd" | "dylib" => Some(Reason::OtherSystem),
            _ => None,
        }
    }

    fn describes_module(&self, directory: &str, stub: &str) -> bool {
        let stem = stub.split('.').next().unwrap_or(stub);
        let path = if directory.is_empty() { stem.to_owned() } else { format!("{directory}/{stem}") };
        self.modules.contains(&path) || directory.split('/').next().is_some_and(|top| top.ends_with("-stubs"))
    }

    /// Why to leave out this file of the `data` scheme, relative to the prefix.
    pub fn data_reason(&self, file: &str) -> Option<Reason> {
        let documentation = ["share/doc/", "share/man/", "share/info/", "man/"];
        let drop = self.level != Trim::None && documentation.iter().any(|directory| file.starts_with(directory));
        drop.then_some(Reason::Documentation)
    }

    /// Why to leave out a file of the `headers` scheme.
    pub fn header_reason(&self) -> Option<Reason> {
        (self.level != Trim::None).then_some(Reason::Headers)
    }
}

fn base_is_module(base: &str) -> bool {
    base.ends_with(".py") || base.ends_with(".so")
}

/// Whether a test runner would collect the file.
fn is_test(base: &str) -> bool {
    let Some(stem) = base.strip_suffix(".py") else { return false };
    stem.starts_with("test_") || stem.ends_with("_test") || stem == "conftest"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(level: Trim, name: &str, files: &[&str]) -> Vec<Option<Reason>> {
        let name = NormalizedName::parse(name).unwrap();
        let plan = TrimPlan::new(level, &name, files.iter().copied(), &[]);
        files.iter().map(|file| plan.reason(file)).collect()
    }

    #[test]
    fn tests_go_and_what_is_called_so_for_another_reason_stays() {
        let tests = Some(Reason::Tests);
        for (name, files) in [
            (
                "numpy",
                &[("numpy/__init__.py", None), ("numpy/tests/test_x.py", tests), ("numpy/tests/data/x.csv", tests)][..],
            ),
            ("numpy", &[("numpy/testing/__init__.py", None), ("numpy/testing/tests/test_x.py", tests)]),
            ("numpy", &[("numpy/conftest.py", tests), ("numpy/random/testutil.py", None)]),
            // API for the tests of others: nothing in it is a test.
            (
                "django",
                &[("django/__init__.py", None), ("django/test/__init__.py", None), ("django/test/client.py", None)],
            ),
            (
                "joblib",
                &[("joblib/__init__.py", None), ("joblib/test/__init__.py", tests), ("joblib/test/test_x.py", tests)],
            ),
            // Templates that happen to be tests of something.
            ("dbt", &[("dbt/__init__.py", None), ("dbt/include/tests/generic/builtin.sql", None)]),
            ("a", &[("a/__init__.py", None), ("tests/__init__.py", tests), ("tests/test_a.py", tests)]),
            ("tests", &[("a/__init__.py", None), ("tests/__init__.py", None), ("tests/test_a.py", None)]),
            ("a", &[("tests/__init__.py", None), ("tests/test_a.py", None)]),
            ("a", &[("a/__init__.py", None), ("docs/conf.py", Some(Reason::Documentation)), ("a/docs/x.rst", None)]),
            ("a", &[("test/support/__init__.py", None)]),
        ] {
            let (paths, expected): (Vec<_>, Vec<_>) = files.iter().copied().unzip();
            assert_eq!(plan(Trim::Safe, name, &paths), expected, "{paths:?}");
            assert!(plan(Trim::None, name, &paths).iter().all(Option::is_none));
        }
    }

    #[test]
    fn what_a_compiler_reads_goes_where_there_are_compiled_modules() {
        let files = [
            ("p/_x.cpython-313-x86_64-linux-gnu.so", None, None),
            ("p/_x.pyx", Some(Reason::Sources), Some(Reason::Sources)),
            ("p/include/x.h", Some(Reason::Headers), Some(Reason::Headers)),
            ("p/lib/libx.a", Some(Reason::StaticLibraries), Some(Reason::StaticLibraries)),
            ("p/templates/x.c", None, Some(Reason::Sources)),
            ("p/__init__.py", None, None),
            ("p/__init__.pyi", None, Some(Reason::TypeStubs)),
            ("p/_x.pyi", None, Some(Reason::TypeStubs)),
            ("p/typeshed/six.pyi", None, None),
            ("q-stubs/x.pyi", None, Some(Reason::TypeStubs)),
            ("p/py.typed", None, Some(Reason::TypeStubs)),
            ("p/__pycache__/x.cpython-312.pyc", Some(Reason::Bytecode), Some(Reason::Bytecode)),
            ("p/x.pyc", None, None),
            ("p/_examples/extending.py", Some(Reason::Documentation), Some(Reason::Documentation)),
            ("p/locale/de/LC_MESSAGES/django.po", Some(Reason::TranslationSources), Some(Reason::TranslationSources)),
            ("p/locale/de/LC_MESSAGES/django.mo", None, None),
            ("p/locale/xx/LC_MESSAGES/django.po", None, None),
            ("p/benchmarks/bench_x.py", None, Some(Reason::Benchmarks)),
            ("setuptools/cli.exe", Some(Reason::OtherSystem), Some(Reason::OtherSystem)),
            ("p/x.exe", None, Some(Reason::OtherSystem)),
            ("p-1.dist-info/licenses/tests/LICENSE.h", None, None),
            ("triton/include/cuda.h", None, None),
            ("Cython/Utility/x.c", None, None),
        ];
        let paths: Vec<_> = files.iter().map(|(path, _, _)| *path).collect();
        assert_eq!(plan(Trim::Safe, "p", &paths), files.iter().map(|(_, safe, _)| *safe).collect::<Vec<_>>());
        assert_eq!(plan(Trim::Max, "p", &paths), files.iter().map(|(_, _, max)| *max).collect::<Vec<_>>());
        assert_eq!(plan(Trim::Safe, "p", &["p/__init__.py", "p/x.c", "p/x.a"]), [None, None, None]);
    }

    #[test]
    fn stubs_that_are_read_at_run_time_stay() {
        let name = NormalizedName::parse("scikit-image").unwrap();
        let files = ["skimage/__init__.py", "skimage/__init__.pyi"];
        let plan = TrimPlan::new(Trim::Max, &name, files.into_iter(), &["lazy_loader>=0.4".to_owned()]);
        assert_eq!(plan.reason("skimage/__init__.pyi"), None);
    }

    #[test]
    fn manuals_of_the_data_scheme_go() {
        let plan = TrimPlan::new(Trim::Safe, &NormalizedName::parse("a").unwrap(), [].into_iter(), &[]);
        assert_eq!(plan.data_reason("share/man/man1/a.1"), Some(Reason::Documentation));
        assert_eq!(plan.data_reason("share/a/x"), None);
    }
}
