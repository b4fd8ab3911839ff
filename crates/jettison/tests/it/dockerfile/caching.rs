//! What runs again, what does not, and why.

use std::fs;

use serde_json::Value;

use super::Site;

const TWO_STAGES: &str = "FROM base AS builder\nCOPY requirements.txt .\nRUN mkdir /made && cat requirements.txt > /made/list\n\
                          FROM base\nCOPY --from=builder /made /made\nCOPY app /app\nRUN echo done > /done\n";

fn two_stages(site: &Site) {
    site.dockerfile(TWO_STAGES).file("requirements.txt", "flask\n").file("app/main.py", "one\n");
}

#[test]
fn only_what_changed_runs_again() {
    for site in Site::all() {
        two_stages(&site);
        assert_eq!(site.ran(&[]).len(), 5);
        let before = site.report(&[]);
        assert_eq!(site.ran(&[]), [] as [&str; 0]);
        site.file("app/main.py", "two\n");
        assert_eq!(site.ran(&[]), ["COPY app /app", "RUN echo done > /done"]);
        // The time of a file is no reason.
        fs::File::options()
            .write(true)
            .open(site.context.join("app/main.py"))
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH)
            .unwrap();
        assert_eq!(site.ran(&[]), [] as [&str; 0]);
        site.file("requirements.txt", "django\n");
        assert_eq!(site.ran(&[]).len(), 5);
        // Back to what was there: all is known.
        site.file("requirements.txt", "flask\n").file("app/main.py", "one\n");
        assert_eq!(site.ran(&[]), [] as [&str; 0]);
        assert_eq!(site.report(&[])["digest"], before["digest"]);
        site.is_clean();
    }
}

#[test]
fn a_stage_that_comes_out_the_same_is_not_copied_again() {
    let site = Site::new();
    two_stages(&site);
    site.ran(&[]);
    // The builder runs another command with the same result.
    site.dockerfile(&TWO_STAGES.replace("mkdir /made &&", "mkdir  -p /made && "));
    assert_eq!(site.ran(&[]), ["RUN mkdir -p /made && cat requirements.txt > /made/list"]);
}

#[test]
fn a_build_without_cache_replaces_what_was_known() {
    let site = Site::new();
    two_stages(&site);
    let before = site.report(&[])["digest"].clone();
    assert_eq!(site.ran(&["--no-cache"]).len(), 5);
    assert_eq!(site.ran(&[]), [] as [&str; 0]);
    assert_eq!(
        site.ran(&["--no-cache-filter", "builder"])[..2],
        ["COPY requirements.txt .", "RUN mkdir /made && cat requirements.txt > /made/list"]
    );
    assert_eq!(site.report(&[])["digest"], before, "the same inputs give the same digest");
}

#[test]
fn arguments_make_steps_others_only_where_they_are_known() {
    let site = Site::new();
    site.dockerfile("FROM base\nRUN echo above\nARG NAME\nRUN echo $NAME > /name\n");
    let named = |value: &'static str| ["--build-arg", value];
    site.ran(&named("NAME=a"));
    assert_eq!(site.ran(&named("NAME=b")), ["RUN echo $NAME > /name"]);
    assert_eq!(site.ran(&named("NAME=a")), [] as [&str; 0]);
    assert_eq!(site.ran(&["--build-arg", "NAME=a", "--build-arg", "HTTP_PROXY=http://proxy:1"]), [] as [&str; 0]);
}

#[test]
fn it_can_be_said_why_steps_ran() {
    let site = Site::new();
    site.dockerfile("FROM base\nCOPY . .\nRUN echo pip install -r requirements.txt\nARG LEVEL=1\nRUN echo $LEVEL\n");
    site.file("requirements.txt", "flask\n").file("main.py", "one\n");
    let explain = |flags: &[&str]| -> Vec<(String, String, String)> {
        let report = site.report(&[flags, &["--explain-cache"]].concat());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let reasons =
            |step: &Value| step["because"].as_array().unwrap().iter().map(text).collect::<Vec<_>>().join("; ");
        let steps = report["explanation"].as_array().unwrap();
        steps[1..].iter().map(|step| (text(&step["step"]), reasons(step), text(&step["advice"]))).collect()
    };
    assert_eq!(explain(&[])[0].1, "this Dockerfile was not built here before");
    site.file("main.py", "two\n").file("new.py", "");
    let steps = explain(&[]);
    assert_eq!(steps[0].1, "`main.py` changed; `new.py` is new");
    assert_eq!(steps[1].1, "`COPY . .` before it ran and came out otherwise");
    assert_eq!(
        steps[1].2,
        "copy what it reads first, `COPY requirements.txt .`, then run it, and put `COPY . .` below"
    );
    assert_eq!(explain(&["--build-arg", "LEVEL=2"])[2].1, "the variable LEVEL changed");
    assert_eq!(explain(&["--build-arg", "LEVEL=2"])[2].1, "");
    assert_eq!(explain(&["--no-cache"])[1].1, "it was asked for anew");
    let said = site.build(&["--explain-cache"]).stderr;
    assert!(said.contains("kept  [2/4] COPY . ."), "{said}");
}

#[test]
fn results_go_to_another_store_and_come_back() {
    let site = Site::new();
    two_stages(&site);
    let cache = site.user.path("cache");
    let (to, from) =
        (format!("type=local,dest={},mode=max", cache.display()), format!("type=local,src={}", cache.display()));
    let before = site.report(&["--cache-to", &to])["digest"].clone();
    let other = Site::new();
    two_stages(&other);
    // The other user finds it where it is.
    let report = other.report(&["--cache-from", &from]);
    let ran = report["steps"].as_array().unwrap().iter().filter(|step| step["cached"] == Value::Bool(false));
    let ran: Vec<_> = ran.map(|step| step["name"].as_str().unwrap()).filter(|name| name.contains("RUN")).collect();
    assert_eq!((ran.as_slice(), &report["digest"]), ([].as_slice(), &before));
}
