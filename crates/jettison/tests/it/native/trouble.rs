//! What the network hands out is not what it should be: nothing of it gets into an image, nothing is left behind, and the next
//! build works.

use jettison_testkit::archive::TarMember;
use jettison_testkit::deb::DebFault;
use jettison_testkit::debian::DebianArchiveBuilder;
use jettison_testkit::interpreter::python_debs;
use jettison_testkit::{ArchiveFault, DebBuilder, ElfBuilder, Fault, Registry, WheelBuilder, WheelFault, World};

use super::{Site, archive};

/// Builds against an archive with something wrong in it, then against a good one with the same store.
#[track_caller]
fn archive_is_refused(archive: DebianArchiveBuilder, code: i32, error: &[&str], hint: &str) {
    let mut site = Site::of(archive, World::index());
    let project = site.project();
    site.refused(&project, &[], code).says(error, hint);
    site.archive = super::archive().serve();
    assert_eq!(site.digest(project.path(), &[]), Site::new().digest(project.path(), &[]));
}

fn trixie() -> String {
    "trixie".to_owned()
}

#[test]
fn a_release_that_somebody_changed_is_refused() {
    let fault = archive().fault(ArchiveFault::BrokenSignature(trixie()));
    archive_is_refused(fault, 2, &["dists/trixie/InRelease", "signature"], "");
}

#[test]
fn a_release_that_somebody_else_signed_is_refused() {
    let fault = archive().fault(ArchiveFault::OtherKey("trixie-security".to_owned()));
    archive_is_refused(fault, 2, &["dists/trixie-security/InRelease"], "");
}

#[test]
fn a_release_without_signature_is_refused() {
    archive_is_refused(archive().fault(ArchiveFault::Unsigned(trixie())), 2, &["dists/trixie/InRelease"], "");
}

#[test]
fn a_release_that_expired_is_refused() {
    let expired = archive().valid_until("Wed, 08 Jan 2025 00:00:00 UTC");
    archive_is_refused(expired, 2, &["dists/trixie/InRelease", "2025"], "JETTISON_DEBIAN_CHECK_VALID_UNTIL=false");
}

#[test]
fn a_release_that_expired_is_taken_where_that_is_wanted_and_warned_of() {
    let expired = archive().valid_until("Wed, 08 Jan 2025 00:00:00 UTC");
    let site = Site::of(expired, World::index());
    let project = site.project();
    let mut command = site.command(&site.user, project.path(), &[]);
    let output = command.env("JETTISON_DEBIAN_CHECK_VALID_UNTIL", "false").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("InRelease expired on 2025-01-08"), "{said}");
}

#[test]
fn a_mirror_between_two_releases_is_worth_another_try() {
    let between = archive().fault(ArchiveFault::OtherPackages(trixie()));
    archive_is_refused(between, 75, &["Packages", "bytes"], "try again in some minutes");
}

#[test]
fn a_package_that_is_another_is_refused() {
    archive_is_refused(archive().fault(ArchiveFault::WrongHash("zlib1g".to_owned())), 2, &["zlib1g"], "");
}

#[test]
fn a_package_that_ends_early_is_refused() {
    archive_is_refused(archive().fault(ArchiveFault::Truncated("zlib1g".to_owned(), 300)), 2, &["zlib1g"], "");
}

#[test]
fn a_package_that_climbs_out_is_refused() {
    let evil = |name: &str, member: TarMember| {
        let deb = DebBuilder::new(name, "1").file("usr/share/evil", "x").fault(DebFault::Member(member));
        archive().deb("trixie", deb)
    };
    for member in [
        TarMember::file("./../../etc/evil", "x"),
        TarMember::file("/etc/../../evil", "x"),
        TarMember::device("./dev/evil"),
    ] {
        let site = Site::of(evil("evil", member), World::index());
        let project = site.project();
        site.refused(&project, &["--with", "evil"], 2).says(&["evil"], "");
        site.digest(project.path(), &[]);
    }
}

#[test]
fn a_package_cut_short_inside_is_refused() {
    let deb = DebBuilder::new("evil", "1").file("usr/share/evil", "x".repeat(9000)).fault(DebFault::TruncatedData);
    let site = Site::of(archive().deb("trixie", deb), World::index());
    let project = site.project();
    site.refused(&project, &["--with", "evil"], 2).says(&["evil"], "");
    site.digest(project.path(), &[]);
}

#[test]
fn a_mirror_that_is_down_is_worth_another_try() {
    let site = Site::new();
    let project = site.project();
    site.archive.server().fault(Fault::status(503).always());
    site.refused(&project, &[], 75).says(&["503"], "");
    site.archive.server().clear_faults();
    site.index.server().fault(Fault::status(503).on("files/flask").always());
    site.refused(&project, &[], 75).says(&["flask", "503"], "");
    site.index.server().clear_faults();
    // A hiccup is not even noticed, nor is a connection that broke.
    site.index.server().fault(Fault::status(503).on("files/flask"));
    site.index.server().fault(Fault::cut_body_at(200).on("files/gunicorn"));
    site.digest(project.path(), &[]);
}

#[test]
fn a_wheel_that_is_another_is_refused() {
    let site = Site::new();
    let good = site.project();
    let lock = site.index.hashed_requirements(&super::DEPENDENCIES);
    let flask = lock.split("sha256:").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let project = site.project().file("requirements.txt", lock.replace(&flask, &"0".repeat(64)));
    site.refused(&project, &[], 2).says(&["flask"], "");

    // On the way something was swapped.
    site.index.server().fault(Fault::flip_byte(50).on("files/flask").always());
    let refusal = site.refused(&good, &[], 2);
    refusal.says(&["flask", &flask], "");
    site.index.server().clear_faults();
    site.digest(good.path(), &[]);
}

#[test]
fn a_wheel_that_no_installer_should_take_is_refused() {
    let evil = || WheelBuilder::new("evil", "1.0").file("evil/__init__.py", "x = 1\n");
    let faults: [(WheelFault, &str); 6] = [
        (WheelFault::Member("../../evil.py".to_owned()), "../../evil.py"),
        (WheelFault::Member("/etc/evil.py".to_owned()), "/etc/evil.py"),
        (WheelFault::WrongHash("evil/__init__.py".to_owned()), "evil/__init__.py"),
        (WheelFault::Duplicate("evil/__init__.py".to_owned()), "duplicate"),
        (WheelFault::OtherName("other".to_owned()), "other"),
        (WheelFault::Truncated(300), "evil-1.0-py3-none-any.whl"),
    ];
    let mut unsaid = Vec::new();
    for (fault, words) in faults {
        let index = World::index().wheel(&evil().fault(fault.clone()));
        let site = Site::of(archive(), index);
        let good = site.project();
        let with = [&super::DEPENDENCIES[..], &["evil"]].concat();
        let bad = site.project().file("requirements.txt", site.index.hashed_requirements(&with));
        let refusal = site.refused(&bad, &[], 2);
        if !(refusal.error.contains("evil") && refusal.error.contains(words)) {
            unsaid.push(format!("{fault:?}:\n{}", refusal.said));
        }
        site.digest(good.path(), &[]);
    }
    assert!(unsaid.is_empty(), "{}", unsaid.join("\n"));
}

#[test]
fn a_library_that_is_nowhere_is_named() {
    let needy = ElfBuilder::library("amd64", "_x.so").needs("libnowhere.so.7").needs("libc.so.6").build();
    let wheel = WheelBuilder::new("needy", "1.0").tag("cp313-cp313-manylinux_2_17_x86_64").file("_x.so", needy);
    let site = Site::of(archive(), World::index().wheel(&wheel));
    let project = site
        .project()
        .file("requirements.txt", site.index.hashed_requirements(&["flask", "werkzeug", "gunicorn", "needy"]));
    let ran = site.build(project.path(), &[]);
    assert!(ran.stderr.contains("libnowhere.so.7") && ran.stderr.contains("needy"), "{}", ran.stderr);
    assert!(ran.stderr.contains("no Debian package has it"), "{}", ran.stderr);
}

#[test]
fn a_registry_that_dies_gets_nothing_and_the_next_push_everything() {
    let site = Site::new();
    let project = site.project();
    let registry = Registry::start();
    let name = registry.reference("team/app:1");
    registry.server().fault(Fault::hang_up_after_reading(10).method("PATCH").always());
    registry.server().fault(Fault::hang_up_after_reading(10).method("PUT").always());
    let (code, said) = site.build(project.path(), &["-t", &name, "--push"]).failed();
    assert_eq!(code, 75, "{said}");
    assert!(said.contains("error: ") && said.contains(&registry.host()), "{said}");
    assert_eq!(registry.manifest("team/app", "1"), None);

    registry.server().clear_faults();
    let digest = site.digest(project.path(), &["-t", &name, "--push"]);
    assert!(registry.manifest("team/app", &digest).is_some());
    assert_eq!(registry.manifest("team/app", "1"), registry.manifest("team/app", &digest));
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let site = Site::new();
    let project = site.project();
    let (code, said) = site.build(project.path(), &["-o", "type=oci,dest=/proc/nowhere/image.tar"]).failed();
    assert_eq!(code, 2);
    assert!(said.contains("/proc/nowhere"), "{said}");
}

#[test]
fn without_network_what_was_there_is_enough() {
    let mut site = Site::new();
    let project = site.project();
    let refusal = site.refused(&project, &["--offline"], 2);
    refusal.says(&["InRelease", "offline"], "build once without --offline");

    let digest = site.digest(project.path(), &[]);
    site.archive.server().fault(Fault::status(500).always());
    site.index.server().fault(Fault::status(500).always());
    assert_eq!(site.digest(project.path(), &["--offline"]), digest);
    project.write("app.py", project.read("app.py") + "\n");
    assert_ne!(site.digest(project.path(), &["--offline"]), digest);
    // A wheel that was never fetched is asked for by name.
    let other = site.project().file("requirements.txt", site.index.hashed_requirements(&["legacy-lib"]));
    site.refused(&other, &["--offline"], 2).says(&["legacy-lib"], "offline");
    site.archive = archive().debs("trixie", python_debs("3.12", "amd64")).serve();
    site.refused(&site.project(), &["--offline"], 2).says(&["offline"], "");
}
