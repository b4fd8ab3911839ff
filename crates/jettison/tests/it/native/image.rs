//! What is in an image, and what the report says of it.

use jettison_testkit::world::{FLASK, SERVER};
use serde_json::Value;

use super::contents::Contents;
use super::{DEPENDENCIES, Site, ran};

/// Entries of `owners` or `layers` summed up.
fn sum(rows: &Value, field: &str) -> u64 {
    rows.as_array().unwrap().iter().map(|row| row[field].as_u64().unwrap()).sum()
}

#[test]
fn an_image_holds_what_it_needs_and_nothing_else() {
    let site = Site::new();
    let project = site.project();
    let image = site.image(project.path(), &[]);
    let contents = Contents::of(&image);
    insta::assert_snapshot!(contents.rows(), @r"
    d755 0:0 3 app
    -644 0:0 3 app/app.py
    -644 0:0 3 app/requirements.txt
    l777 0:0 0 bin -> usr/bin
    d755 0:0 0 dev
    d755 0:0 0 etc
    -644 0:0 0 etc/debian_version
    -644 0:0 0 etc/group
    -644 0:0 0 etc/mime.types
    -644 0:0 0 etc/nsswitch.conf
    l777 0:0 0 etc/os-release -> ../usr/lib/os-release
    -644 0:0 0 etc/passwd
    d755 0:0 0 etc/python3.13
    -644 0:0 0 etc/python3.13/sitecustomize.py
    -644 0:0 0 etc/services
    d755 0:0 0 etc/ssl
    d755 0:0 0 etc/ssl/certs
    -644 0:0 0 etc/ssl/certs/ca-certificates.crt
    d755 0:0 0 home
    d700 65532:65532 0 home/nonroot
    l777 0:0 0 lib -> usr/lib
    l777 0:0 0 lib64 -> usr/lib64
    d755 0:0 0 proc
    d700 0:0 0 root
    d755 0:0 0 run
    d1777 0:0 0 run/lock
    l777 0:0 0 sbin -> usr/sbin
    d755 0:0 0 sys
    d1777 0:0 0 tmp
    d755 0:0 2 usr
    d755 0:0 0 usr/bin
    l777 0:0 0 usr/bin/python -> python3.13
    l777 0:0 0 usr/bin/python3 -> python3.13
    -755 0:0 0 usr/bin/python3.13
    d755 0:0 1 usr/lib
    -644 0:0 0 usr/lib/os-release
    d755 0:0 0 usr/lib/python3.13
    d755 0:0 0 usr/lib/python3.13/encodings
    -644 0:0 0 usr/lib/python3.13/encodings/__init__.py
    d755 0:0 0 usr/lib/python3.13/http
    -644 0:0 0 usr/lib/python3.13/http/server.py
    d755 0:0 0 usr/lib/python3.13/importlib
    -644 0:0 0 usr/lib/python3.13/importlib/__init__.py
    d755 0:0 0 usr/lib/python3.13/json
    -644 0:0 0 usr/lib/python3.13/json/__init__.py
    d755 0:0 0 usr/lib/python3.13/lib-dynload
    -644 0:0 0 usr/lib/python3.13/lib-dynload/_ctypes.cpython-313-x86_64-linux-gnu.so
    -644 0:0 0 usr/lib/python3.13/lib-dynload/_ssl.cpython-313-x86_64-linux-gnu.so
    -644 0:0 0 usr/lib/python3.13/os.py
    -644 0:0 0 usr/lib/python3.13/site.py
    l777 0:0 0 usr/lib/python3.13/sitecustomize.py -> /etc/python3.13/sitecustomize.py
    d755 0:0 0 usr/lib/ssl
    l777 0:0 0 usr/lib/ssl/cert.pem -> /etc/ssl/certs/ca-certificates.crt
    l777 0:0 0 usr/lib/ssl/certs -> /etc/ssl/certs
    d755 0:0 1 usr/lib/x86_64-linux-gnu
    -644 0:0 0 usr/lib/x86_64-linux-gnu/libc.so.6
    -644 0:0 0 usr/lib/x86_64-linux-gnu/libcrypto.so.3
    l777 0:0 0 usr/lib/x86_64-linux-gnu/libexpat.so.1 -> libexpat.so.1.0.1
    -644 0:0 0 usr/lib/x86_64-linux-gnu/libexpat.so.1.0.1
    l777 0:0 0 usr/lib/x86_64-linux-gnu/libffi.so.8 -> libffi.so.8.0.1
    -644 0:0 0 usr/lib/x86_64-linux-gnu/libffi.so.8.0.1
    l777 0:0 0 usr/lib/x86_64-linux-gnu/libgcc_s.so.1 -> libgcc_s.so.1.0.1
    -644 0:0 0 usr/lib/x86_64-linux-gnu/libgcc_s.so.1.0.1
    -644 0:0 0 usr/lib/x86_64-linux-gnu/libm.so.6
    -644 0:0 0 usr/lib/x86_64-linux-gnu/libnss_dns.so.2
    l777 0:0 1 usr/lib/x86_64-linux-gnu/libpq.so.5 -> libpq.so.5.0.1
    -644 0:0 1 usr/lib/x86_64-linux-gnu/libpq.so.5.0.1
    -644 0:0 0 usr/lib/x86_64-linux-gnu/libresolv.so.2
    -644 0:0 0 usr/lib/x86_64-linux-gnu/libssl.so.3
    l777 0:0 0 usr/lib/x86_64-linux-gnu/libz.so.1 -> libz.so.1.0.1
    -644 0:0 0 usr/lib/x86_64-linux-gnu/libz.so.1.0.1
    d755 0:0 0 usr/lib64
    d755 0:0 2 usr/local
    d755 0:0 2 usr/local/bin
    -755 0:0 2 usr/local/bin/gunicorn
    d755 0:0 2 usr/local/lib
    d755 0:0 2 usr/local/lib/python3.13
    d755 0:0 2 usr/local/lib/python3.13/dist-packages
    d755 0:0 2 usr/local/lib/python3.13/dist-packages/flask
    d755 0:0 2 usr/local/lib/python3.13/dist-packages/flask-3.1.2.dist-info
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/flask-3.1.2.dist-info/INSTALLER
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/flask-3.1.2.dist-info/METADATA
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/flask-3.1.2.dist-info/RECORD
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/flask-3.1.2.dist-info/WHEEL
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/flask/__init__.py
    d755 0:0 2 usr/local/lib/python3.13/dist-packages/gunicorn
    d755 0:0 2 usr/local/lib/python3.13/dist-packages/gunicorn-23.0.0.dist-info
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/gunicorn-23.0.0.dist-info/INSTALLER
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/gunicorn-23.0.0.dist-info/METADATA
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/gunicorn-23.0.0.dist-info/RECORD
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/gunicorn-23.0.0.dist-info/WHEEL
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/gunicorn-23.0.0.dist-info/entry_points.txt
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/gunicorn/__init__.py
    d755 0:0 2 usr/local/lib/python3.13/dist-packages/gunicorn/app
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/gunicorn/app/__init__.py
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/gunicorn/app/wsgiapp.py
    d755 0:0 2 usr/local/lib/python3.13/dist-packages/psycopg2
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/psycopg2/__init__.py
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/psycopg2/_psycopg.cpython-313-x86_64-linux-gnu.so
    d755 0:0 2 usr/local/lib/python3.13/dist-packages/psycopg2_binary-2.9.11.dist-info
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/psycopg2_binary-2.9.11.dist-info/INSTALLER
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/psycopg2_binary-2.9.11.dist-info/METADATA
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/psycopg2_binary-2.9.11.dist-info/RECORD
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/psycopg2_binary-2.9.11.dist-info/WHEEL
    d755 0:0 2 usr/local/lib/python3.13/dist-packages/werkzeug
    d755 0:0 2 usr/local/lib/python3.13/dist-packages/werkzeug-3.1.3.dist-info
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/werkzeug-3.1.3.dist-info/INSTALLER
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/werkzeug-3.1.3.dist-info/METADATA
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/werkzeug-3.1.3.dist-info/RECORD
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/werkzeug-3.1.3.dist-info/WHEEL
    -644 0:0 2 usr/local/lib/python3.13/dist-packages/werkzeug/__init__.py
    d755 0:0 1 usr/sbin
    -755 0:0 1 usr/sbin/ldconfig
    d755 0:0 1 usr/share
    d755 0:0 1 usr/share/doc
    d755 0:0 0 usr/share/doc/base-files
    -644 0:0 0 usr/share/doc/base-files/copyright
    d755 0:0 0 usr/share/doc/ca-certificates
    -644 0:0 0 usr/share/doc/ca-certificates/copyright
    d755 0:0 0 usr/share/doc/libc6
    -644 0:0 0 usr/share/doc/libc6/copyright
    d755 0:0 0 usr/share/doc/libexpat1
    -644 0:0 0 usr/share/doc/libexpat1/copyright
    d755 0:0 0 usr/share/doc/libffi8
    -644 0:0 0 usr/share/doc/libffi8/copyright
    d755 0:0 0 usr/share/doc/libgcc-s1
    -644 0:0 0 usr/share/doc/libgcc-s1/copyright
    d755 0:0 1 usr/share/doc/libpq5
    -644 0:0 1 usr/share/doc/libpq5/copyright
    d755 0:0 0 usr/share/doc/libpython3.13-minimal
    -644 0:0 0 usr/share/doc/libpython3.13-minimal/copyright
    d755 0:0 0 usr/share/doc/libpython3.13-stdlib
    -644 0:0 0 usr/share/doc/libpython3.13-stdlib/copyright
    d755 0:0 0 usr/share/doc/libssl3t64
    -644 0:0 0 usr/share/doc/libssl3t64/copyright
    d755 0:0 0 usr/share/doc/media-types
    -644 0:0 0 usr/share/doc/media-types/copyright
    d755 0:0 0 usr/share/doc/netbase
    -644 0:0 0 usr/share/doc/netbase/copyright
    d755 0:0 0 usr/share/doc/python3.13-minimal
    -644 0:0 0 usr/share/doc/python3.13-minimal/copyright
    d755 0:0 0 usr/share/doc/tzdata
    -644 0:0 0 usr/share/doc/tzdata/copyright
    d755 0:0 0 usr/share/doc/zlib1g
    -644 0:0 0 usr/share/doc/zlib1g/copyright
    d755 0:0 0 usr/share/zoneinfo
    d755 0:0 0 usr/share/zoneinfo/Etc
    -644 0:0 0 usr/share/zoneinfo/Etc/UTC
    d755 0:0 1 var
    d755 0:0 0 var/cache
    d755 0:0 1 var/lib
    d755 0:0 1 var/lib/dpkg
    d755 0:0 1 var/lib/dpkg/status.d
    -644 0:0 0 var/lib/dpkg/status.d/base-files
    -644 0:0 0 var/lib/dpkg/status.d/base-files.md5sums
    -644 0:0 0 var/lib/dpkg/status.d/ca-certificates
    -644 0:0 0 var/lib/dpkg/status.d/ca-certificates.md5sums
    -644 0:0 0 var/lib/dpkg/status.d/libc6
    -644 0:0 0 var/lib/dpkg/status.d/libc6.md5sums
    -644 0:0 0 var/lib/dpkg/status.d/libexpat1
    -644 0:0 0 var/lib/dpkg/status.d/libexpat1.md5sums
    -644 0:0 0 var/lib/dpkg/status.d/libffi8
    -644 0:0 0 var/lib/dpkg/status.d/libffi8.md5sums
    -644 0:0 0 var/lib/dpkg/status.d/libgcc-s1
    -644 0:0 0 var/lib/dpkg/status.d/libgcc-s1.md5sums
    -644 0:0 1 var/lib/dpkg/status.d/libpq5
    -644 0:0 1 var/lib/dpkg/status.d/libpq5.md5sums
    -644 0:0 0 var/lib/dpkg/status.d/libpython3.13-minimal
    -644 0:0 0 var/lib/dpkg/status.d/libpython3.13-minimal.md5sums
    -644 0:0 0 var/lib/dpkg/status.d/libpython3.13-stdlib
    -644 0:0 0 var/lib/dpkg/status.d/libpython3.13-stdlib.md5sums
    -644 0:0 0 var/lib/dpkg/status.d/libssl3t64
    -644 0:0 0 var/lib/dpkg/status.d/libssl3t64.md5sums
    -644 0:0 0 var/lib/dpkg/status.d/media-types
    -644 0:0 0 var/lib/dpkg/status.d/media-types.md5sums
    -644 0:0 0 var/lib/dpkg/status.d/netbase
    -644 0:0 0 var/lib/dpkg/status.d/netbase.md5sums
    -644 0:0 0 var/lib/dpkg/status.d/python3.13-minimal
    -644 0:0 0 var/lib/dpkg/status.d/python3.13-minimal.md5sums
    -644 0:0 0 var/lib/dpkg/status.d/tzdata
    -644 0:0 0 var/lib/dpkg/status.d/tzdata.md5sums
    -644 0:0 0 var/lib/dpkg/status.d/zlib1g
    -644 0:0 0 var/lib/dpkg/status.d/zlib1g.md5sums
    l777 0:0 0 var/lock -> /run/lock
    d755 0:0 0 var/log
    l777 0:0 0 var/run -> /run
    d1777 0:0 0 var/tmp
    ");

    // What would run if this interpreter could.
    let script = contents.text("usr/local/bin/gunicorn");
    assert!(script.starts_with("#!/usr/bin/python3.13\n"), "{script}");
    assert!(script.contains("if __name__ == \"__main__\":") && script.contains("from gunicorn.app.wsgiapp import run"));
    let passwd = contents.text("etc/passwd");
    assert!(passwd.lines().any(|line| line.starts_with("nonroot:x:65532:65532:")), "{passwd}");
    assert!(contents.text("etc/ssl/certs/ca-certificates.crt").matches("BEGIN CERTIFICATE").count() == 2);
    // Scanners find the packages and the distributions.
    let status = contents.text("var/lib/dpkg/status.d/libpq5");
    assert!(status.contains("Package: libpq5\n") && status.contains("Version: 17.5-1\n"), "{status}");
    // And every file that a record has the sum of.
    let rows = contents.rows();
    for record in rows.lines().filter_map(|row| row.split(' ').nth(3)).filter(|path| path.ends_with(".md5sums")) {
        for file in contents.text(record).lines().map(|line| &line[34..]) {
            assert!(rows.lines().any(|row| row.split(' ').nth(3) == Some(file)), "{record}: {file}");
        }
    }
    let packages = contents.rows().lines().filter(|row| row.contains("dist-info/METADATA")).count();
    assert_eq!(packages, DEPENDENCIES.len());

    let config = &image.config().config;
    assert_eq!(config.user, "65532:65532");
    assert_eq!(config.working_dir, "/app");
    assert_eq!(config.entrypoint.as_ref().unwrap()[0], "gunicorn");
    assert!(config.entrypoint.as_ref().unwrap().contains(&"app:app".to_owned()));
    assert_eq!(config.exposed_ports.iter().map(String::as_str).collect::<Vec<_>>(), ["8000/tcp"]);
    for name in
        ["HOME=/home/nonroot", "LANG=C.UTF-8", "PYTHONUNBUFFERED=1", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"]
    {
        assert!(config.env.iter().any(|variable| variable == name), "{name}: {:?}", config.env);
    }
    let history: Vec<_> = image.config().history.iter().filter_map(|step| step.created_by.as_deref()).collect();
    assert_eq!(history, ["Python 3.13.5 on Debian trixie", "libraries: libpq5", "distributions", "application"]);
}

#[test]
fn the_report_accounts_for_every_byte() {
    let site = Site::new();
    let project = site.project();
    let image = site.image(project.path(), &[]);
    let ran = ran(site.command(&site.user, project.path(), &["--json"]));
    let report: Value = serde_json::from_str(&ran.ok()).unwrap();

    assert_eq!(report["digest"], image.descriptor().digest.to_string());
    let layers = report["layers"].as_array().unwrap();
    assert_eq!(layers.len(), image.manifest().layers.len());
    for (said, layer) in layers.iter().zip(image.layers()) {
        assert_eq!(said["digest"], layer.descriptor.digest.to_string());
        assert_eq!(said["compressed_bytes"], layer.descriptor.size);
        assert!(said["diff_id"].as_str().unwrap().starts_with("sha256:"));
        assert!(!said["created_by"].as_str().unwrap().is_empty());
    }
    assert_eq!(sum(&report["layers"], "compressed_bytes"), report["compressed_bytes"].as_u64().unwrap());
    assert_eq!(sum(&report["layers"], "unpacked_bytes"), report["unpacked_bytes"].as_u64().unwrap());
    assert_eq!(sum(&report["owners"], "bytes"), report["unpacked_bytes"].as_u64().unwrap());
    assert_eq!(sum(&report["owners"], "compressed_bytes"), report["compressed_bytes"].as_u64().unwrap());
    let rows = Contents::of(&image).tree.iter().map(|(_, entry)| &entry.node).fold(0, |sum, node| match node {
        jettison_oci::layer::FlatNode::File { len, .. } => sum + len,
        _ => sum,
    });
    assert_eq!(report["unpacked_bytes"], rows, "no layer hides a file of another");

    let owner = |kind: &str, name: &str| {
        let owners = report["owners"].as_array().unwrap();
        owners.iter().find(|owner| owner["kind"] == kind && owner["name"] == name).cloned()
    };
    for (kind, name, version) in [
        ("debian", "libc6", "2.41-12"),
        ("debian", "libpq5", "17.5-1"),
        ("distribution", FLASK, "3.1.2"),
        ("distribution", SERVER, "23.0.0"),
        ("application", "application", ""),
    ] {
        let found = owner(kind, name).unwrap_or_else(|| panic!("{kind} {name}: {:#}", report["owners"]));
        assert_eq!(found["version"], version, "{name}");
        assert!(found["bytes"].as_u64().unwrap() > 0, "{name}");
    }
    assert!(report["owners"].as_array().unwrap().iter().any(|owner| owner["kind"] == "interpreter"));
    assert_eq!(report["verify"], Value::Null);
    assert_eq!(report["not_verified"], "it was switched off");
    assert!(report["timings"].as_array().unwrap().iter().all(|timing| timing["ms"].is_number()));
    assert!(!report["timings"].as_array().unwrap().is_empty());
    let reasons: Vec<&str> =
        report["cuts"].as_array().unwrap().iter().filter_map(|cut| cut["reason"].as_str()).collect();
    assert!(!reasons.is_empty());
}

#[test]
fn what_is_asked_for_is_in() {
    let site = Site::new();
    let project = site.project().file("jettison.toml", "port = 9000\nlabels = { team = 'a' }\nuser = '1000:1001'\n");
    let flags = ["--with", "libsqlite3-0", "--env", "MODE=fast", "--workdir", "/srv/app", "--compression", "zstd"];
    let image = site.image(project.path(), &flags);
    let config = &image.config().config;
    assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("1000:1001", "/srv/app"));
    assert_eq!(config.labels.get("team").map(String::as_str), Some("a"));
    assert!(config.env.contains(&"MODE=fast".to_owned()));
    assert!(config.exposed_ports.iter().any(|port| port == "9000/tcp"));
    assert!(image.manifest().layers.iter().all(|layer| layer.media_type.to_string().ends_with("+zstd")));
    let contents = Contents::of(&image);
    assert!(contents.has("srv/app/app.py") && !contents.has("app/app.py"));
    assert!(contents.has("var/lib/dpkg/status.d/libsqlite3-0"));
    assert!(!contents.has("srv/app/jettison.toml"));
}

#[test]
fn every_kind_of_lock_is_followed() {
    let site = Site::new();
    let app = site.project();
    let from = |file: &str, text: String| {
        let project = jettison_testkit::Project::new().file("app.py", app.read("app.py")).file(file, text);
        let contents = Contents::of(&site.image(project.path(), &["--upgrade"]));
        let rows = contents.rows();
        let installed = rows.lines().filter(|row| row.contains("dist-info/METADATA"));
        installed.map(|row| row.rsplit('/').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    // Fills the store: what follows needs no network but for the pages of the index.
    site.digest(app.path(), &[]);
    let lock = site.index.pylock(&DEPENDENCIES);
    let all = ["flask-3.1.2", "gunicorn-23.0.0", "psycopg2_binary-2.9.11", "werkzeug-3.1.3"]
        .map(|n| format!("{n}.dist-info"));
    assert_eq!(from("pylock.toml", lock), all);
    assert_eq!(from("Pipfile.lock", site.index.pipfile_lock(&DEPENDENCIES)), all);
    assert_eq!(from("requirements.txt", site.index.hashed_requirements(&DEPENDENCIES)), all);
}
