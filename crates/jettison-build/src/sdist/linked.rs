//! Which package has a library that a wheel was linked with where it was built: the packages there say so of themselves (deb-shlibs(5)), and
//! are asked as `dpkg-shlibdeps` asks them. `Contents` knows it too, but is many times as long as all of them together.

use jettison_debian::{deb, relation};
use jettison_engine::store::Store;

use crate::lockfile::LockedPackage;

/// The package with this soname, where it is one of `packages`, as the first of them that knows says. A package that is not in the store says
/// nothing.
pub fn package_of(store: &Store, packages: &[LockedPackage], soname: &str) -> Option<String> {
    packages.iter().find_map(|package| {
        let control = deb::read_control(store.open_blob(package.digest).ok()?, &deb::Limits::default()).ok()?;
        let (.., depends) = control.shlibs().find(|(name, version, _)| is_soname(soname, name, version))?;
        let alternatives = relation::parse(depends).ok()?.into_iter().next()?;
        let named = alternatives.0.iter().map(|relation| relation.name);
        let there = |name: &&str| packages.iter().any(|package| package.name == *name);
        named.into_iter().find(there).map(str::to_owned)
    })
}

/// Whether the columns mean this soname: `libpq.so.5` is `libpq 5`, and `libdb-5.3.so` is `libdb 5.3`.
fn is_soname(soname: &str, name: &str, version: &str) -> bool {
    let Some(rest) = soname.strip_prefix(name) else { return false };
    rest.strip_prefix(".so.") == Some(version)
        || rest.strip_prefix('-').and_then(|rest| rest.strip_suffix(".so")) == Some(version)
}

#[cfg(test)]
mod tests {
    use jettison_testkit::DebBuilder;

    use super::*;

    #[test]
    fn packages_say_which_of_them_has_a_library() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path().join("store")).unwrap();
        let locked = |deb: DebBuilder| {
            let bytes = deb.build();
            LockedPackage {
                name: deb.package().to_owned(),
                version: "1".to_owned(),
                filename: String::new(),
                security: false,
                size: bytes.len() as u64,
                digest: store.put_bytes(&bytes).unwrap(),
            }
        };
        let deb = |name: &str, shlibs: &str| DebBuilder::new(name, "1").control_file("shlibs", shlibs);
        let mut packages = vec![
            locked(DebBuilder::new("libpq-dev", "1")),
            locked(deb("libpq5", "libpq 5 libpq5 (>= 17)\nudeb: libpq 5 libpq5-udeb\n")),
            locked(deb("libdb5.3t64", "# by hand\nlibdb 5.3 libdb5.3 (>= 5) | libdb5.3t64 (>= 5)\n")),
            locked(deb("libother1", "libother 1 libnotthere1\n")),
        ];
        // One that nobody fetched.
        packages.insert(0, LockedPackage { digest: jettison_tree::Digest::of(b"x"), ..packages[0].clone() });
        for (soname, package) in [
            ("libpq.so.5", Some("libpq5")),
            ("libdb-5.3.so", Some("libdb5.3t64")),
            ("libpq.so.50", None),
            ("libpq.so", None),
            ("libother.so.1", None),
        ] {
            assert_eq!(package_of(&store, &packages, soname).as_deref(), package, "{soname}");
        }
    }
}
