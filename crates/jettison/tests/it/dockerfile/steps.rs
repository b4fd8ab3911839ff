//! What programs of steps find, and what becomes of what they do.

use std::fs;

use super::Site;

#[test]
fn what_is_mounted_is_there_and_then_gone() {
    for site in Site::all() {
        site.file("input", "from the context\n").dockerfile(
            "FROM base AS other\nRUN echo from a stage > /there\nFROM base\n\
             RUN --mount=type=bind,target=/in --mount=type=bind,from=other,source=/there,target=/of/stage \
             --mount=type=tmpfs,target=/scratch cat /in/input /of/stage > /out && echo x > /scratch/x\n\
             RUN test ! -e /in && test ! -e /of && test ! -e /scratch && test -s /etc/passwd\n",
        );
        assert_eq!(site.read("out", &[]), "from the context\nfrom a stage\n");
        // What is in the mount is a part of what the step is.
        site.file("input", "changed\n");
        assert_eq!(site.read("out", &[]), "changed\nfrom a stage\n");
        site.is_clean();
    }
}

#[test]
fn caches_outlive_builds_and_are_in_no_image() {
    let site = Site::new();
    site.dockerfile(
        "FROM base\nARG N\nRUN --mount=type=cache,target=/cache echo $N >> /cache/log && cat /cache/log > /seen\n",
    );
    assert_eq!(site.read("seen", &["--build-arg", "N=1"]), "1\n");
    assert_eq!(site.read("seen", &["--build-arg", "N=2"]), "1\n2\n");
    let out = site.user.path("out");
    site.build(&["-o", &format!("type=local,dest={}", out.display())]).ok();
    assert!(!out.join("cache/log").exists());
}

#[test]
fn secrets_are_nowhere_afterwards() {
    const SECRET: &str = "correct-horse-battery-staple";
    let site = Site::new();
    fs::write(site.user.path("token"), SECRET).unwrap();
    site.dockerfile(
        "FROM base\nRUN --mount=type=secret,id=token test \"$(cat /run/secrets/token)\" = correct-horse-\"battery\"-staple\n\
         RUN --mount=type=secret,id=token,env=TOKEN test -n \"$TOKEN\"\nRUN test ! -e /run/secrets/token\n",
    );
    let built = site.build(&["--secret", "id=token,src=token", "--progress", "plain", "-t", "app"]);
    assert!(!built.stderr.contains(SECRET), "{}", built.stderr);
    built.ok();
    let mut open = vec![site.user.path("store")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if let Ok(bytes) = fs::read(&path) {
            assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{}", path.display());
        }
    }
    let (_, said) = site.build(&["--no-cache"]).failed();
    assert!(said.contains("hint: the build was not given the secret `token`"), "{said}");
    site.dockerfile("FROM base\nRUN --mount=type=secret,id=token,required true\n");
    let (_, said) = site.build(&[]).failed();
    assert!(said.contains("was not given the secret `token`") && said.contains("--secret id=token,src=FILE"), "{said}");
}

#[test]
fn the_surroundings_are_as_the_flags_say() {
    let site = Site::new();
    site.dockerfile(
        "FROM base\nRUN while read address name; do case $name in db) echo $address > /db;; esac; done < /etc/hosts\n\
         RUN ulimit -n > /files\nRUN cat /proc/sys/kernel/hostname > /name\n\
         RUN while read what place kind options; do case $place in /dev/shm) echo $options > /shm;; esac; done < /proc/mounts\n",
    );
    let flags = ["--add-host", "db:10.1.2.3", "--ulimit", "nofile=123:456", "--shm-size", "1m", "--network", "none"];
    assert_eq!(site.read("db", &flags), "10.1.2.3\n");
    assert_eq!(site.read("files", &flags), "123\n");
    assert_eq!(site.read("name", &flags), "buildkitsandbox\n");
    assert!(site.read("shm", &flags).contains("size=1024k"));
    site.dockerfile("FROM base\nRUN --security=insecure true\n");
    let (_, said) = site.build(&[]).failed();
    assert!(said.contains("hint: --allow security.insecure"), "{said}");
}

#[test]
fn contexts_have_names() {
    let site = Site::new();
    fs::create_dir(site.user.path("lib")).unwrap();
    fs::write(site.user.path("lib/code"), "of the library\n").unwrap();
    site.dockerfile("FROM base AS first\nRUN echo first > /n\nFROM stand-in\nCOPY --from=library code /code\n");
    let flags = ["--build-context", "library=lib", "--build-context", "stand-in=target:first"];
    assert_eq!(site.read("code", &flags), "of the library\n");
    let flags = ["--build-context", "library=lib", "--build-context", "stand-in=docker-image://base"];
    assert_eq!(site.read("code", &flags), "of the library\n");
}
