//! Private indices: who asks is known from a URL, from netrc, or from variables, and stands nowhere afterwards.

use std::fs;
use std::path::Path;

use jettison_testkit::World;

use super::{Site, archive, listing, ran};

const SECRET: &str = "s3cr3t-t0ken";

/// A site whose index asks who is there.
fn private() -> Site {
    Site::of(archive(), World::index().credentials("me", SECRET))
}

/// Demands that a secret is in no file below a directory.
#[track_caller]
fn is_nowhere_in(directory: &Path) {
    let has_it = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
    let found = listing(directory).into_iter().filter(|(_, bytes)| has_it(bytes));
    let found: Vec<_> = found.map(|(path, _)| path).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_private_index_answers_those_it_knows_and_they_leave_no_trace() {
    let golden = Site::new().digest(Site::new().project().path(), &[]);
    for how in ["url", "flag", "file", "netrc", "variables", "poetry"] {
        let site = private();
        let with_secret = site.index.url_with_credentials();
        let lock = site.index.hashed_requirements(&super::DEPENDENCIES);
        let mut project = site.project();
        let mut flags = vec!["--json"];
        let mut home = None;
        let mut env = vec![("UV_DEFAULT_INDEX", site.index.url())];
        match how {
            "url" => env = vec![("UV_DEFAULT_INDEX", with_secret.clone())],
            "flag" => flags.extend(["--index-url", &with_secret]),
            "file" => {
                env.push(("TOKEN", SECRET.to_owned()));
                let url = with_secret.replace(SECRET, "${TOKEN}");
                project = project.file("requirements.txt", format!("--index-url {url}\n{lock}"));
            }
            "netrc" => home = Some(format!("machine 127.0.0.1 login me password {SECRET}\n")),
            _ => {
                let url = format!("corp-net={}", site.index.url());
                env.push(("UV_INDEX", url));
                let prefix = if how == "poetry" { "POETRY_HTTP_BASIC" } else { "UV_INDEX" };
                let names = [format!("{prefix}_CORP_NET_USERNAME"), format!("{prefix}_CORP_NET_PASSWORD")];
                let [user, password] = names.map(String::leak);
                env.extend([(&*user, "me".to_owned()), (&*password, SECRET.to_owned())]);
            }
        }
        if let Some(netrc) = &home {
            fs::write(site.user.path(".netrc"), netrc).unwrap();
        }
        let mut command = site.command(&site.user, project.path(), &flags);
        command.envs(env);
        let done = ran(command);
        assert_eq!(done.code, 0, "{how}: {}", done.stderr);
        assert!(
            !done.stdout.contains(SECRET) && !done.stderr.contains(SECRET),
            "{how}: {}{}",
            done.stdout,
            done.stderr
        );
        if how != "file" {
            assert!(done.stdout.contains(&golden), "{how}: the same image as from an open index");
        }
        is_nowhere_in(project.path());
        is_nowhere_in(&site.user.path("store"));
    }
}

#[test]
fn a_private_index_refuses_strangers() {
    let site = private();
    let refusal = site.refused(&site.project(), &[], 2);
    refusal.says(&["401"], "");
    let wrong = site.index.url_with_credentials().replace(SECRET, "wr0ng");
    let refusal = site.refused(&site.project(), &["--index-url", &wrong], 2);
    assert!(!refusal.said.contains("wr0ng"), "{}", refusal.said);
}
