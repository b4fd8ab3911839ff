//! What commands ask of package managers.

use jettison_shell::packages::{Action, Manager, OperandKind};
use jettison_shell::{Dialect, PackageCall, Script};

fn calls(text: &str) -> Vec<String> {
    let script = Script::parse(text, Dialect::Bash);
    script
        .commands()
        .iter()
        .filter_map(PackageCall::of)
        .map(|call| {
            let mut shown = format!("{:?} {:?}", call.manager, call.action);
            for operand in &call.operands {
                let kind = match operand.kind {
                    OperandKind::Package => String::new(),
                    kind => format!("{kind:?}:"),
                };
                let extras =
                    if operand.extras.is_empty() { String::new() } else { format!("[{}]", operand.extras.join("+")) };
                let version = operand.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
                shown.push_str(&format!(" <{kind}{}{extras}{version}>", operand.name));
                let written = &text[operand.range.clone()];
                assert!(
                    written.contains(operand.text.trim_matches('\'')) || written.contains(['\\', '"', '\'']),
                    "{written} is {operand:?}"
                );
            }
            shown
        })
        .collect()
}

#[test]
fn calls_of_managers() {
    let cases: &[(&str, &str)] = &[
        ("apt-get update", "AptGet Update"),
        (
            "apt-get -y -o Acquire::Retries=3 install --no-install-recommends gcc=4:12.2.0-3 libpq-dev/bookworm $EXTRA",
            "AptGet Install <gcc =4:12.2.0-3> <libpq-dev /bookworm> <Unknown:$EXTRA>",
        ),
        ("apt-get install -y gcc=${V} ./a.deb", "AptGet Install <gcc =${V}> <Path:./a.deb>"),
        ("sudo apt install -t bookworm-backports a", "Apt Install <a>"),
        ("apt-get install -qq -t=stable a", "AptGet Install <a>"),
        ("aptitude safe-upgrade", "Aptitude Upgrade"),
        ("apt-get purge -y --auto-remove gcc", "AptGet Remove <gcc>"),
        ("apt-get autoremove -y", "AptGet Autoremove"),
        ("apt-get clean", "AptGet Clean"),
        ("apt-get build-dep -y python3", "AptGet BuildDep <python3>"),
        ("dpkg -i /tmp/a.deb", "Dpkg Install <Path:/tmp/a.deb>"),
        ("dpkg --print-architecture", "Dpkg Other"),
        (
            "apk add --no-cache --virtual .build-deps gcc musl-dev~=1.2 a@edge b=1.0-r0",
            "Apk Install <gcc> <musl-dev ~=1.2> <a> <b =1.0-r0>",
        ),
        ("apk add -t .d gcc", "Apk Install <gcc>"),
        ("apk --no-cache add gcc", "Apk Install <gcc>"),
        ("apk del --no-network .build-deps", "Apk Remove <.build-deps>"),
        ("apk -U upgrade", "Apk Upgrade"),
        (
            "dnf install -y --setopt=install_weak_deps=False gcc-12.2.1-2.el9 python3-devel @tools",
            "Dnf Install <gcc -12.2.1-2.el9> <python3-devel> <Group:@tools>",
        ),
        ("yum -y update", "Yum Upgrade"),
        ("yum clean all", "Yum Clean <all>"),
        ("microdnf install python3", "Microdnf Install <python3>"),
        ("zypper --non-interactive install gcc=12", "Zypper Install <gcc =12>"),
        ("pacman -Syu --noconfirm gcc", "Pacman Install <gcc>"),
        ("pacman -Scc", "Pacman Clean"),
        (
            "pip install --no-cache-dir -r requirements.txt -c c.txt",
            "Pip Install <Requirements:requirements.txt> <Constraints:c.txt>",
        ),
        (
            "pip3 install 'fastapi[all, test]>=0.1,<1' uvicorn==0.2 'a; python_version<\"3\"'",
            "Pip Install <fastapi[all+test] >=0.1,<1> <uvicorn ==0.2> <a ; python_version<\"3\">",
        ),
        ("python3.12 -m pip install -U pip", "Pip Install <pip>"),
        ("/opt/venv/bin/python -Im pip --no-cache-dir install a", "Pip Install <a>"),
        ("python -X dev -m pip install a", "Pip Install <a>"),
        ("python -m venv /opt/venv", ""),
        ("python app.py -m pip install", ""),
        ("python -c 'import a' -m pip", ""),
        ("pip install -e .", "Pip Install <Editable:.>"),
        ("pip install -e .[dev] .", "Pip Install <Editable:.[dev]> <Path:.>"),
        ("pip install '.[dev]' ./dist/*.whl", "Pip Install <Path:.[dev]> <Path:./dist/*.whl>"),
        (
            "pip install git+https://x/y.git@main 'a @ https://x/a.whl' https://x/b.whl",
            "Pip Install <Url:git+https://x/y.git@main> <Url:a> <Url:https://x/b.whl>",
        ),
        ("pip install --index-url https://u:p@x/ a", "Pip Install <a>"),
        ("pip install a==$V \"$P\" $P==1", "Pip Install <a ==$V> <Unknown:$P> <Unknown:$P==1 ==1>"),
        ("pip wheel --no-deps --wheel-dir /wheels -r r.txt", "Pip Wheel <Requirements:r.txt>"),
        ("pip download -d /w a", "Pip Download <a>"),
        ("pip cache purge", "Pip Clean"),
        ("pip uninstall -y a", "Pip Remove <a>"),
        ("pip --version", "Pip Other"),
        ("pip freeze", "Pip Other"),
        ("pipx install poetry==1.8", "Pipx Install <poetry ==1.8>"),
        ("uv pip install --system -r r.txt a", "UvPip Install <Requirements:r.txt> <a>"),
        ("uv pip sync r.txt", "UvPip Sync <r.txt>"),
        ("uv sync --frozen --no-dev --extra x", "Uv Sync"),
        ("uv tool install ruff@0.1", "Uv Install <ruff @0.1>"),
        ("uv run --frozen pip install a", "Pip Install <a>"),
        ("uv run pytest", "Uv Other <pytest>"),
        ("python -m uv pip install a", "UvPip Install <a>"),
        ("poetry install --only main --no-root", "Poetry Sync"),
        ("poetry config virtualenvs.create false", "Poetry Other <virtualenvs.create> <false>"),
        ("poetry run pip install a", "Pip Install <a>"),
        ("poetry export -f requirements.txt -o r.txt", "Poetry Lock"),
        ("pipenv install --deploy --system", "Pipenv Sync"),
        ("pipenv install a", "Pipenv Install <a>"),
        ("pipenv sync", "Pipenv Sync"),
        ("pdm install --prod", "Pdm Sync"),
        ("conda install -y -c conda-forge numpy=1.2 conda-forge::a>=2", "Conda Install <numpy =1.2> <a>"),
        ("conda install 'a>=2'", "Conda Install <a >=2>"),
        ("conda env create -f environment.yml", "Conda Create <Requirements:environment.yml>"),
        ("conda clean -afy", "Conda Clean"),
        ("conda run -n x pip install a", "Pip Install <a>"),
        ("npm install -g @a/b@1.2 c", "Npm Install <@a/b @1.2> <c>"),
        ("npm ci --omit=dev", "Npm Sync"),
        ("npm install", "Npm Sync"),
        ("npm cache clean --force", "Npm Clean"),
        ("yarn", "Yarn Sync"),
        ("yarn global add a@1", "Yarn Install <a @1>"),
        ("pnpm add a", "Pnpm Install <a>"),
        ("gem install rails:7.1 -v 1", "Gem Install <rails :7.1>"),
        ("bundle install --jobs 4", "Bundler Sync"),
        ("go install -ldflags '-s -w' golang.org/x/a@latest", "Go Install <golang.org/x/a @latest>"),
        ("go mod download", "Go Sync"),
        ("cargo install --locked a@1.2", "Cargo Install <a @1.2>"),
        ("find . -name x | xargs apt-get install -y", "AptGet Install"),
        ("xargs -a p.txt pip install b", "Pip Install <b>"),
        ("echo pip install a", ""),
        ("apt-get $VERB a", "AptGet Other <a>"),
        ("env PIP_NO_CACHE_DIR=1 timeout 60 pip install a", "Pip Install <a>"),
    ];
    let mut wrong = String::new();
    for (text, expected) in cases {
        let found = calls(text).join(" | ");
        if found != *expected {
            wrong.push_str(&format!("{text}\n  expected {expected}\n     found {found}\n"));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn options_and_places() {
    let text = "sudo python3 -m pip --quiet install -qy --prefix=/x -i http://i a";
    let script = Script::parse(text, Dialect::Posix);
    let call = PackageCall::of(&script.commands()[0]).unwrap();
    assert_eq!((call.manager, call.action), (Manager::Pip, Action::Install));
    assert_eq!(&text[call.program.clone()], "python3 -m pip");
    assert_eq!(&text[call.verb.clone().unwrap()], "install");
    assert!(call.has(&["-q"]) && call.has(&["-y"]) && call.has(&["--quiet"]) && !call.has(&["--no-cache-dir"]));
    assert_eq!(call.value(&["--prefix"]).unwrap().text, "/x");
    assert_eq!(call.value(&["-i", "--index-url"]).unwrap().text, "http://i");
    assert_eq!(call.packages().count(), 1);
    let text = "apt-get -o A=1 -oB=2 install x";
    let script = Script::parse(text, Dialect::Posix);
    let call = PackageCall::of(&script.commands()[0]).unwrap();
    assert_eq!(call.values(&["-o"]).map(|value| &*value.text).collect::<Vec<_>>(), ["A=1", "B=2"]);
}

#[test]
fn pins() {
    let pinned = |text: &str| {
        let script = Script::parse(text, Dialect::Posix);
        let call = PackageCall::of(&script.commands()[0]).unwrap();
        call.operands[0].is_pinned()
    };
    for text in [
        "apt-get install a=1",
        "apk add a=1",
        "pip install a==1",
        "pip install a==$V",
        "npm i -g a@1.2.3",
        "dnf install a-1.2.3",
    ] {
        assert!(pinned(text), "{text}");
    }
    for text in [
        "apt-get install a",
        "apk add 'a>1'",
        "pip install 'a>=1'",
        "pip install 'a==1.*'",
        "npm i a@latest",
        "npm i a@^1",
        "apk add a@edge",
    ] {
        assert!(!pinned(text), "{text}");
    }
}
