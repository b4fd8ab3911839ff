//! A whole outside world on loopback: an archive with Debian's Python in miniature and an index with a few distributions.
//!
//! The distributions stand for kinds, not for what they are named after: [`FLASK`] is pure and brings a dependency, [`SERVER`] has a
//! script, [`DRIVER`] has an extension module that needs a library of Debian's, [`FROM_SOURCE`] has no wheel.

use crate::debian::{DebianArchive, DebianArchiveBuilder};
use crate::elf::ElfBuilder;
use crate::index::{PackageIndex, PackageIndexBuilder};
use crate::interpreter::{library_deb, python_debs};
use crate::project::Project;
use crate::sdist::SdistBuilder;
use crate::wheel::WheelBuilder;

/// A pure distribution that requires `werkzeug`.
pub const FLASK: &str = "flask";
/// A pure distribution with a console script.
pub const SERVER: &str = "gunicorn";
/// A distribution whose extension module needs `libpq.so.5`, which `libpq5` has.
pub const DRIVER: &str = "psycopg2-binary";
/// A distribution that has to be built.
pub const FROM_SOURCE: &str = "legacy-lib";

/// The archive and the index, both served.
pub struct World {
    /// Debian's trixie with Python 3.13, for `amd64`.
    pub archive: DebianArchive,
    /// The distributions, for CPython 3.13.
    pub index: PackageIndex,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Serves both.
    pub fn new() -> Self {
        Self { archive: Self::archive().serve(), index: Self::index().serve() }
    }

    /// The archive before it is served, to put more into it.
    pub fn archive() -> DebianArchiveBuilder {
        DebianArchiveBuilder::new("amd64")
            .debs("trixie", python_debs("3.13", "amd64"))
            .deb("trixie", library_deb("libpq5", "17.5-1", "libpq.so.5", "amd64"))
    }

    /// The index before it is served, to put more into it.
    pub fn index() -> PackageIndexBuilder {
        Self::wheels()
            .iter()
            .fold(PackageIndexBuilder::new(), PackageIndexBuilder::wheel)
            .sdist(&SdistBuilder::new(FROM_SOURCE, "0.9").file("src/legacy_lib/__init__.py", "answer = 42\n"))
    }

    fn wheels() -> [WheelBuilder; 4] {
        let extension = ElfBuilder::library("amd64", "_psycopg.so").needs("libpq.so.5").needs("libc.so.6").build();
        [
            WheelBuilder::new(FLASK, "3.1.2").requires("werkzeug>=3").requires_python(">=3.9").file(
                "flask/__init__.py",
                "class Flask:\n    def __init__(self, name):\n        self.name = name\n\n    def get(self, path):\n        \
                 return lambda function: function\n",
            ),
            WheelBuilder::new("werkzeug", "3.1.3").requires_python(">=3.9").file("werkzeug/__init__.py", ""),
            WheelBuilder::new(SERVER, "23.0.0")
                .file("gunicorn/__init__.py", "")
                .file("gunicorn/app/__init__.py", "")
                .file("gunicorn/app/wsgiapp.py", "def run():\n    raise SystemExit(0)\n")
                .script("gunicorn", "gunicorn.app.wsgiapp:run"),
            WheelBuilder::new(DRIVER, "2.9.11")
                .tag("cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64")
                .file("psycopg2/__init__.py", "from psycopg2 import _psycopg\n")
                .file("psycopg2/_psycopg.cpython-313-x86_64-linux-gnu.so", extension),
        ]
    }

    /// A Flask project with gunicorn whose `pylock.toml` has all that it needs, so that nothing has to be resolved.
    pub fn project(&self) -> Project {
        Project::flask(&[FLASK, SERVER]).file("pylock.toml", self.index.pylock(&[FLASK, "werkzeug", SERVER]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_is_there() {
        let world = World::new();
        let lock = world.project().read("pylock.toml");
        assert_eq!(lock.matches("[[packages]]").count(), 3);
        assert!(lock.contains(&world.index.file_url("gunicorn-23.0.0-py3-none-any.whl")), "{lock}");
        let sources = world.archive.sources();
        assert!(sources.contains(&world.archive.security_url()), "{sources}");
    }
}
