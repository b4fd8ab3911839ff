//! What `dpkg` would have noted, in the form that images without `dpkg` have it: one file a package below `/var/lib/dpkg/status.d`.
//! Scanners (syft, trivy, grype, docker scout) read it there, with the MD5 of the files next to it.

use std::collections::BTreeMap;

use jettison_tree::{Content, Entry, PathError, TreePath};

use crate::control::Paragraph;

/// The directory.
pub const STATUS_DIRECTORY: &str = "var/lib/dpkg/status.d";

/// The entries that say that a package is installed: its control paragraph with a `Status`, and the sums of its files that are in the
/// image, where there are any. Fails for a package whose name no file can have.
pub fn entries(control: Paragraph<'_>, md5sums: &BTreeMap<TreePath, String>) -> Result<Vec<Entry>, PathError> {
    let name = control.get("Package").unwrap_or_default();
    let directory = TreePath::parse(STATUS_DIRECTORY)?;
    // The name is a component of its own: what would climb or nest is refused by `parse`, and a slash has no place in it.
    let file = |suffix: &str| directory.join(format!("{}{suffix}", name.replace('/', "_")));
    let mut entries = vec![Entry::file(file("")?, Content::from_bytes(paragraph(control).into_bytes()), false)];
    if !md5sums.is_empty() {
        let mut text = Vec::new();
        for (path, sum) in md5sums {
            text.extend_from_slice(sum.as_bytes());
            text.extend_from_slice(b"  ");
            text.extend_from_slice(path.as_bytes());
            text.push(b'\n');
        }
        entries.push(Entry::file(file(".md5sums")?, Content::from_bytes(text), false));
    }
    Ok(entries)
}

/// The control paragraph as it is, with `Status` after `Package`, where `dpkg` writes it.
fn paragraph(control: Paragraph<'_>) -> String {
    let mut text = String::with_capacity(control.as_str().len() + 32);
    let is_field =
        |line: &str, name: &str| line.split_once(':').is_some_and(|(field, _)| field.eq_ignore_ascii_case(name));
    let mut skipping = false;
    for line in control.as_str().lines().filter(|line| !line.starts_with('#')) {
        skipping = is_field(line, "Status") || skipping && line.starts_with([' ', '\t']);
        if !skipping {
            text += line;
            text.push('\n');
        }
        if is_field(line, "Package") {
            text += "Status: install ok installed\n";
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_noted_as_installed() {
        let text = "Package: libpq5\nSource: postgresql-17\nVersion: 17.5-1\nArchitecture: amd64\nConffiles:\n /etc/x 0\nDescription: client\n library\n .\n for C\n";
        let sums = BTreeMap::from([(
            TreePath::parse("usr/lib/libpq.so.5").unwrap(),
            "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        )]);
        let entries = entries(Paragraph::parse(text).unwrap(), &sums).unwrap();
        let read = |i: usize| String::from_utf8(entries[i].content().unwrap().read().unwrap()).unwrap();
        assert_eq!(read(0), text.replacen('\n', "\nStatus: install ok installed\n", 1));
        assert_eq!(entries[0].path.to_string(), "var/lib/dpkg/status.d/libpq5");
        assert_eq!(entries[1].path.to_string(), "var/lib/dpkg/status.d/libpq5.md5sums");
        assert_eq!(read(1), "d41d8cd98f00b204e9800998ecf8427e  usr/lib/libpq.so.5\n");
        assert!(super::entries(Paragraph::parse("Package: ..\nVersion: 1\n").unwrap(), &sums).is_err());
        let odd =
            super::entries(Paragraph::parse("Package: ../../etc/x\nVersion: 1\n").unwrap(), &BTreeMap::new()).unwrap();
        assert_eq!(odd[0].path.to_string(), "var/lib/dpkg/status.d/.._.._etc_x");
    }
}
