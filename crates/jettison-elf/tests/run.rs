//! What is made here runs. One test, since a program cannot be started while another thread still has it open to write.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use jettison_elf::{Abi, ldconfig_listing, ldconfig_stub, strip};
use jettison_tree::TreePath;

#[test]
fn programs_run() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let output = Command::new(&path).arg("-p").env_clear().output().unwrap();
        assert!(output.status.success(), "{name}: {}", output.status);
        String::from_utf8(output.stdout).unwrap()
    };

    let program = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/x86_64-program")).unwrap();
    assert_eq!(run("stripped", &strip(&program).unwrap()), "ok\n");

    // Longer than a pipe takes at once, so that it is written in pieces.
    let paths: Vec<_> =
        (0..3000).map(|n| TreePath::parse(format!("usr/lib/x86_64-linux-gnu/libn{n}.so.1")).unwrap()).collect();
    let listing = ldconfig_listing(Abi::X86_64, paths.iter().map(|path| ("libpq.so.5", path)));
    assert!(listing.len() > 128 * 1024);
    assert_eq!(run("ldconfig", &ldconfig_stub(Abi::X86_64, listing.as_bytes()).unwrap()), listing);
}
