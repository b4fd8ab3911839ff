//! What will be built from source, told before anything is resolved: making a builder ready takes longer than resolving, and needs nothing
//! of it.
//!
//! Looked at are requirements of the project itself for which [`needs`] has Debian packages; each costs one page of an index. Where the page
//! has no wheel of any version that the requirement allows, whichever the resolver takes is built.

use jettison_python::project::Project;
use jettison_python::requirements::{self, Requirements};
use jettison_python::sdist::SdistFilename;
use jettison_python::simple::IndexFile;
use jettison_python::wheel::WheelFilename;
use jettison_python::{Constraint, Marker, MarkerEnvironment, NormalizedName, Tags, VersionSpecifiers};

use super::needs;
use crate::index::{Indexes, page};
use crate::job::Job;

/// A requirement of a project.
struct Asked<'a> {
    name: &'a NormalizedName,
    versions: &'a VersionSpecifiers,
    marker: &'a Marker,
}

/// The distributions that the project asks for by name, and that have no wheel for the target on the indices. None where the project, or who
/// builds it, names other places besides.
pub fn without_wheels(
    job: &Job<'_>,
    project: &Project,
    requirements: Option<&Requirements>,
    indexes: &Indexes,
    tags: &Tags,
) -> Vec<String> {
    let options = requirements.map(|file| &file.options);
    let elsewhere = options.is_some_and(|options| {
        options.no_index
            || options.index_url.is_some()
            || !options.extra_index_urls.is_empty()
            || !options.find_links.is_empty()
    });
    if elsewhere || !indexes.find_links.is_empty() || !project.indexes.is_empty() || !project.uv.indexes.is_empty() {
        return Vec::new();
    }
    let environment = MarkerEnvironment::for_target(tags.target());
    let asked = asked(project, requirements).into_iter();
    let asked = asked.filter(|asked| needs::known(asked.name.as_str()).is_some() && asked.marker.applies(&environment));
    let mut names: Vec<String> = asked
        .filter(|asked| {
            let pages: Result<Vec<_>, _> =
                indexes.urls().iter().map(|index| page(job, index, asked.name.as_str())).collect();
            pages.is_ok_and(|pages| is_built(&pages.concat(), asked, tags))
        })
        .map(|asked| asked.name.to_string())
        .collect();
    names.sort();
    names.dedup();
    names
}

fn asked<'a>(project: &'a Project, requirements: Option<&'a Requirements>) -> Vec<Asked<'a>> {
    match requirements {
        Some(requirements) => {
            let asked = |entry: &'a requirements::Entry| match (&entry.name, &entry.wanted) {
                (Some(name), requirements::Wanted::Versions(versions)) => {
                    Some(Asked { name, versions, marker: &entry.marker })
                }
                _ => None,
            };
            requirements.entries.iter().filter_map(asked).collect()
        }
        None => {
            let asked = project.dependencies.iter().filter_map(|requirement| match &requirement.constraint {
                Constraint::Versions(versions) => {
                    Some(Asked { name: &requirement.name, versions, marker: &requirement.marker })
                }
                Constraint::Url(_) => None,
            });
            asked.collect()
        }
    }
}

/// Whether there are sources, and no wheel that fits.
fn is_built(files: &[IndexFile], asked: &Asked<'_>, tags: &Tags) -> bool {
    let mut has_source = false;
    for file in files {
        if let Ok(wheel) = WheelFilename::parse(&file.filename) {
            if tags.rank(&wheel).is_some() && asked.versions.contains(&wheel.version) {
                return false;
            }
        } else if let Ok(sdist) = SdistFilename::parse_for(&file.filename, asked.name) {
            has_source |= asked.versions.contains(&sdist.version);
        }
    }
    has_source
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use jettison_python::{Arch, Libc, Target, Version};

    use super::*;

    #[test]
    fn what_has_no_wheel_for_the_target_is_built() {
        let file = |filename: &str| IndexFile {
            filename: filename.to_owned(),
            url: String::new(),
            hashes: Default::default(),
            size: None,
            requires_python: None,
            yanked: None,
            core_metadata: None,
        };
        let page = [
            "x-1.0.tar.gz",
            "x-1.0-cp313-cp313-win_amd64.whl",
            "x-1.1.tar.gz",
            "x-1.1-cp313-cp313-manylinux_2_17_x86_64.whl",
            "x-1.2-cp312-cp312-manylinux_2_17_x86_64.whl",
            "x-2.0.whl",
        ];
        let tags =
            Tags::for_target(&Target::new(Version::new([3, 13]), Arch::X86_64, Libc::Glibc { major: 2, minor: 41 }));
        let name = NormalizedName::parse("x").unwrap();
        for (versions, built) in
            [("==1.0", true), ("<1.1", true), ("==1.1", false), ("", false), ("==1.2", false), (">=2", false)]
        {
            let versions = VersionSpecifiers::from_str(versions).unwrap();
            let asked = Asked { name: &name, versions: &versions, marker: &Marker::default() };
            assert_eq!(is_built(&page.map(file), &asked, &tags), built, "{versions}");
        }
    }
}
