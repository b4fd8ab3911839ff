use super::*;
use crate::init::{Dependencies, Development, Facts};
use crate::{Config, Context, Selector, lint};
use jettison_dockerfile::Dockerfile;
use jettison_python::NormalizedName;

/// Every image has a digest, and every distribution a wheel.
struct Known;

impl Catalog for Known {
    fn digest(&self, _: &Reference) -> Option<String> {
        Some(format!("sha256:{}", "1".repeat(64)))
    }

    fn has_musl_wheel(&self, _: &NormalizedName, _: &str) -> Option<bool> {
        Some(true)
    }
}

fn facts(dependencies: Dependencies) -> Facts {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    Facts {
        name: Some("shop".to_owned()),
        python: (3, 13),
        dependencies,
        is_package: false,
        needs_files: true,
        has_local_dependencies: false,
        build_packages: Vec::new(),
        runtime_packages: Vec::new(),
        development: Development::default(),
        tests: Some("tests".to_owned()),
        has_pytest: true,
        kept: Vec::new(),
        start: Some(Start {
            argv: words(&["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"]),
            env: vec![("MODE".to_owned(), "a b".to_owned())],
            port: Some(8000),
            development: words(&["uvicorn", "--reload", "main:app", "--host", "0.0.0.0", "--port", "8000"]),
            import_root: String::new(),
            source_root: String::new(),
        }),
    }
}

fn sources() -> Vec<Dependencies> {
    let requirements = |hashed| Dependencies::Requirements {
        files: vec!["requirements.txt".to_owned()],
        included: vec!["base.txt".to_owned()],
        hashed,
    };
    vec![
        Dependencies::Uv,
        Dependencies::Poetry,
        Dependencies::Pipenv,
        Dependencies::Pylock,
        requirements(true),
        requirements(false),
        Dependencies::Declared,
        Dependencies::Backend,
        Dependencies::None,
    ]
}

#[test]
fn what_is_written_passes_every_rule() {
    let mut faults = String::new();
    // Debian keeps no old versions, so that a pinned one ends by breaking the build.
    let ignore = Selector::parse("package-version-missing").unwrap();
    let config = Config { select: vec![Selector::All], ignore, ..Config::default() };
    for dependencies in sources() {
        for style in Style::ALL {
            for (is_package, packages) in [(false, true), (true, false)] {
                let is_package = is_package || dependencies == Dependencies::Backend;
                let mut facts = Facts { is_package, needs_files: !is_package, ..facts(dependencies.clone()) };
                facts.development.groups = vec!["dev".to_owned(), "test".to_owned()];
                if packages && style != Style::Distroless {
                    facts.build_packages = ["gcc", "libc6-dev", "libpq-dev"].map(str::to_owned).to_vec();
                    facts.runtime_packages = vec!["libpq5".to_owned()];
                }
                let Ok(written) = write(&facts, style, &Known) else { continue };
                let file = Dockerfile::parse(&written.dockerfile);
                assert_eq!(file.problems(), [], "{}", written.dockerfile);
                assert!(!written.dockerfile.to_lowercase().contains("jettison"));
                for finding in lint(&file, &Context::none(), &Known, &config) {
                    let code = finding.rule.code;
                    faults += &format!(
                        "{dependencies:?} {style}: {code} {:?} {}\n{}\n",
                        finding.place, finding.message, written.dockerfile
                    );
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn a_style_that_does_not_fit_says_why() {
    let told = |dependencies, style: Style| write(&facts(dependencies), style, &Known).unwrap_err().to_string();
    assert_eq!(told(Dependencies::Uv, Style::Poetry), "the style poetry does not fit: the project has no poetry.lock");
    assert_eq!(told(Dependencies::Poetry, Style::Uv), "the style uv does not fit: uv does not read poetry.lock");
    let postgres = Facts { runtime_packages: vec!["libpq5".to_owned()], ..facts(Dependencies::Uv) };
    assert!(write(&postgres, Style::Distroless, &Known).unwrap_err().to_string().contains("libpq5 must be installed"));
}

#[test]
fn a_locked_service_for_plain_docker() {
    let mut facts = facts(Dependencies::Uv);
    facts.build_packages = ["gcc", "libc6-dev", "libpq-dev"].map(str::to_owned).to_vec();
    facts.runtime_packages = vec!["libpq5".to_owned()];
    let written = write(&facts, Style::Uv, &()).unwrap();
    assert_eq!(written.notes.len(), 1, "{:?}", written.notes);
    insta::assert_snapshot!(written.dockerfile);
}

#[test]
fn one_without_a_shell() {
    insta::assert_snapshot!(write(&facts(sources().remove(4)), Style::Distroless, &Known).unwrap().dockerfile);
}
