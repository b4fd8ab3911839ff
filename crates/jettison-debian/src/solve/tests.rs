//! Small universes, one for each thing that a relation can say.

use super::*;
use crate::universe::tests::universe;

fn names(universe: &Universe, request: &Request<'_>) -> String {
    match solve(universe, request) {
        Ok(closure) => {
            let names = closure.packages.iter().map(|one| {
                let package = universe.package(one.id);
                match universe.versions(package.name()).len() {
                    1 => package.name().to_owned(),
                    _ => format!("{}={}", package.name(), package.version()),
                }
            });
            names.collect::<Vec<_>>().join(" ")
        }
        Err(error) => error.to_string(),
    }
}

fn wanted(text: &str) -> Request<'_> {
    Request { wanted: relation::parse(text).unwrap(), ..Request::default() }
}

#[test]
fn closures() {
    let universe = universe(&[
        "app 1; Depends: lib (>= 1), data
         lib 1.5; Pre-Depends: libc:any; Depends: app
         data 1; Architecture: all
         libc 2; Multi-Arch: allowed; Depends: gcc-base | gcc-base-old; Breaks: old (<< 2)
         gcc-base 1; Conflicts: gcc-base, gcc-base-old
         gcc-base-old 1
         old 1
         chooser 1; Depends: first | second
         first 1
         second 1
         both 1; Depends: chooser, second
         mail 1; Depends: mta
         postfix 1; Provides: mta; Conflicts: mta
         exim 1; Provides: mta, mta-api (= 3); Conflicts: mta
         api 1; Depends: mta-api (>= 2)
         mailapi 1; Depends: mail, api
         deadend 1; Depends: broken | first
         broken 1; Depends: nowhere
         deeper 1; Depends: nested
         nested 1; Depends: broken (= 1)
         newer 1; Depends: lib (>= 2)
         clash 1; Depends: libc, old
         foreign 1; Depends: lib:arm64
         arch 1; Depends: nowhere [arm64], first [linux-any]
         multi 1; Depends: ver (<< 2)
         ver 1",
        "ver 3",
    ]);
    for (request, expected) in [
        ("app", "app data gcc-base lib libc"),
        ("both", "both chooser second"),
        ("chooser", "chooser first"),
        ("mail", "exim mail"),
        ("mail, postfix", "mail postfix"),
        ("mailapi", "api exim mail mailapi"),
        ("deadend", "deadend first"),
        ("arch", "arch first"),
        ("multi", "multi ver=1"),
        ("ver", "ver=3"),
        ("nowhere | first", "first"),
        (
            "deeper",
            "`deeper` is wanted, deeper needs `nested`, nested needs `broken (= 1)`, broken needs `nowhere`: there is no package `nowhere`",
        ),
        ("newer", "`newer` is wanted, newer needs `lib (>= 2)`: lib is 1.5 here"),
        ("clash", "`clash` is wanted, clash needs `old`: old 1 does not go together with libc 2"),
        ("postfix, exim", "`exim` is wanted: exim 1 does not go together with postfix 1"),
        ("foreign", "`foreign` is wanted, foreign needs `lib:arm64`: lib is 1.5 here"),
    ] {
        assert_eq!(names(&universe, &wanted(request)), expected, "{request}");
    }
}

#[test]
fn what_is_excluded_counts_as_there() {
    let universe = universe(&["app 1; Depends: debconf (>= 9) | debconf-2.0, cdebconf-api, lib
        debconf 1; Provides: debconf-2.0; Depends: perl
        cdebconf 1; Provides: cdebconf-api
        perl 1
        lib 1; Depends: debconf-2.0"]);
    let exclude: BTreeSet<_> = ["debconf", "cdebconf"].map(str::to_owned).into();
    assert_eq!(names(&universe, &Request { exclude: exclude.clone(), ..wanted("app") }), "app lib");
    let exclude = exclude.into_iter().chain(["perl".to_owned()]).collect();
    assert_eq!(names(&universe, &Request { exclude, ..wanted("app, debconf") }), "app debconf lib perl");
}

#[test]
fn pins_decide() {
    let universe = universe(&["lib 1\napp 1; Depends: lib", "lib 2"]);
    let pinned = |version: &str| Request { pins: [("lib".to_owned(), version.to_owned())].into(), ..wanted("app") };
    assert_eq!(names(&universe, &wanted("app")), "app lib=2");
    assert_eq!(names(&universe, &pinned("1")), "app lib=1");
    assert_eq!(
        names(&universe, &pinned("3")),
        "`app` is wanted, app needs `lib`: lib is pinned to 3, which is not here or does not fit"
    );
}

#[test]
fn a_dead_end_goes_back_to_the_choice_that_led_there() {
    // Twenty unrelated choices lie between the one that is wrong and where that shows.
    let mut text = "root 1; Depends: bad | good".to_owned();
    (0..20).for_each(|i| text += &format!(", l{i} | r{i}"));
    text += ", last | late\nbad 1; Conflicts: last, late\ngood 1\nlast 1\nlate 1\n";
    (0..20).for_each(|i| text += &format!("l{i} 1\nr{i} 1\n"));
    let universe = universe(&[&text]);
    let found = names(&universe, &wanted("root"));
    assert!(found.starts_with("good l0 l1 l10") && found.contains("last root"), "{found}");
}

#[test]
fn who_stood_in_the_way_has_a_part_in_what_follows() {
    // `x` is taken only since `a` refuses `y`; that `x` leads nowhere is therefore a reason to go back on `a`.
    let universe = universe(&["root 1; Depends: a | b, c | d, x | y
        a 1; Conflicts: y
        b 1
        c 1
        d 1
        x 1; Depends: nowhere
        y 1"]);
    assert_eq!(names(&universe, &wanted("root")), "b c root y");
}

#[test]
fn hints_name_what_is_spelled_alike() {
    let universe = universe(&["libpq5 1"]);
    let error = solve(&universe, &wanted("libqp5")).unwrap_err();
    assert_eq!(error.hint().unwrap(), "there is a package `libpq5`");
}
