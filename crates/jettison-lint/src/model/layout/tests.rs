use super::*;
use crate::model::{Scripts, Subject};
use crate::{Config, Context};
use jettison_dockerfile::Dockerfile;
use jettison_tree::TreePath;

/// What `tell` says of a Dockerfile in a context of these files.
fn told(text: &str, files: &[(&str, &str)], tell: impl Fn(&Subject<'_>) -> String) -> String {
    let file = Dockerfile::parse(text);
    let files = files.iter().map(|(path, text)| (TreePath::parse(path).unwrap(), (*text).to_owned()));
    let (scripts, context, config) = (Scripts::default(), Context::none().with(files), Config::default());
    tell(&Subject::new(&file, &scripts, &context, &(), &config))
}

#[test]
fn distributions_go_where_the_installer_puts_them() {
    for (steps, expected) in [
        ("RUN pip install flask", "System"),
        ("RUN python3.12 -m pip install --prefix=/install flask", "Prefix(\"/install\")"),
        ("WORKDIR /app\nRUN pip install -t lib flask", "Target(\"/app/lib\")"),
        ("RUN pip install --user flask", "User(\"/root/.local\")"),
        ("USER app\nRUN pip install flask", "User(\"/home/app/.local\")"),
        ("RUN python -m venv /opt/venv\nENV PATH=/opt/venv/bin:$PATH\nRUN pip install flask", "Venv(\"/opt/venv\")"),
        (
            "ENV VIRTUAL_ENV=/v\nENV PATH=\"$VIRTUAL_ENV/bin:$PATH\"\nRUN python -m venv $VIRTUAL_ENV && pip install flask",
            "Venv(\"/v\")",
        ),
        ("RUN python -m venv /opt/e && . /opt/e/bin/activate && pip install flask", "Venv(\"/opt/e\")"),
        ("WORKDIR /app\nRUN python -m venv venv && venv/bin/pip install flask", "Venv(\"/app/venv\")"),
        ("ENV PATH=/opt/tools/bin:$PATH\nRUN pip install flask", "System"),
        ("RUN pip wheel -w /wheels flask", "Wheels(\"/wheels\")"),
        ("RUN uv pip install --system flask", "System"),
        ("RUN uv venv /opt/venv\nENV VIRTUAL_ENV=/opt/venv\nRUN uv pip install flask", "Venv(\"/opt/venv\")"),
        ("WORKDIR /app\nRUN uv sync --frozen", "Venv(\"/app/.venv\")"),
        ("ENV UV_PROJECT_ENVIRONMENT=/usr/local\nRUN uv sync", "System"),
        ("ENV UV_PROJECT_ENVIRONMENT=/opt/venv\nRUN uv sync", "Venv(\"/opt/venv\")"),
        ("RUN uv tool install ruff", "Elsewhere"),
        ("WORKDIR /app\nRUN poetry config virtualenvs.create false && poetry install", "System"),
        ("WORKDIR /app\nENV POETRY_VIRTUALENVS_IN_PROJECT=1\nRUN poetry install", "Venv(\"/app/.venv\")"),
        ("RUN poetry install", "Elsewhere"),
        ("RUN pipenv install --system --deploy", "System"),
        ("WORKDIR /app\nRUN PIPENV_VENV_IN_PROJECT=1 pipenv sync", "Venv(\"/app/.venv\")"),
        ("RUN conda install numpy", "Elsewhere"),
        ("RUN pip install --dry-run flask", ""),
        ("CMD pip install flask", ""),
    ] {
        let found = told(&format!("FROM python:3.12\n{steps}\n"), &[], |subject| {
            let installs = &subject.layouts()[0].installs;
            installs.iter().map(|install| format!("{:?}", install.into)).collect::<Vec<_>>().join(" ")
        });
        assert_eq!(found, expected, "{steps}");
    }
}

#[test]
fn packages_that_the_same_instruction_removes_do_not_stay() {
    for (run, expected) in [
        ("apt-get update && apt-get install -y gcc libpq-dev", "gcc libpq-dev"),
        ("apt-get install -y gcc=4:12 && pip install x && apt-get purge -y gcc", "-gcc"),
        ("apt-get install -y gcc && apt-get purge -y --auto-remove $DEPS", "-gcc"),
        ("apk add --virtual .build gcc musl-dev && pip install x && apk del .build", "-gcc -musl-dev"),
        ("apk add --no-cache libpq && apk add -t .b gcc && apk del .b", "libpq -gcc"),
        ("apt-mark auto '.*' && apt-get install gcc && apt-get purge -y --auto-remove x", "-gcc"),
        ("apt-get install -y gcc libx-dev && apt-get purge -y '*-dev'", "gcc -libx-dev"),
        ("apt-get install -y gcc && apt-get autoremove -y", "gcc"),
    ] {
        let found = told(&format!("FROM python:3.12\nRUN {run}\n"), &[], |subject| {
            let told = |package: &OsPackage| format!("{}{}", if package.is_removed { "-" } else { "" }, package.name);
            subject.layouts()[0].packages.iter().map(told).collect::<Vec<_>>().join(" ")
        });
        assert_eq!(found, expected, "{run}");
    }
}

#[test]
fn what_is_copied_is_followed_to_the_image() {
    let tell = |subject: &Subject<'_>| {
        let last = subject.last().unwrap();
        let shipped =
            subject.ships(last).iter().map(|shipped| format!("{:?} at {:?}", shipped.install.into, shipped.path));
        let venvs = subject.layout(last).venvs.iter().map(|venv| format!("{} from {}", venv.path, venv.made_at));
        shipped.chain(venvs).collect::<Vec<_>>().join("; ")
    };
    let builder = "FROM python:3.12 AS b\nRUN python -m venv /opt/venv\nENV PATH=/opt/venv/bin:$PATH\nRUN pip install x\nFROM python:3.12-slim\n";
    for (text, expected) in [
        (
            format!("{builder}COPY --from=b /opt/venv /opt/venv\n"),
            "Venv(\"/opt/venv\") at Some(\"/opt/venv\"); /opt/venv from /opt/venv",
        ),
        (
            format!("{builder}COPY --from=0 /opt/venv /venv/\n"),
            "Venv(\"/opt/venv\") at Some(\"/venv\"); /venv from /opt/venv",
        ),
        (format!("{builder}COPY --from=b /opt/other /venv\n"), ""),
        (
            "FROM python:3.12 AS b\nRUN pip install --prefix=/install x\nFROM python:3.12-slim\nCOPY --from=b /install /usr/local\n".into(),
            "Prefix(\"/install\") at Some(\"/usr/local\")",
        ),
        (
            "FROM python:3.12 AS b\nRUN pip install x\nFROM python:3.12-slim\n\
             COPY --from=b /usr/local/lib/python3.12/site-packages /usr/local/lib/python3.12/site-packages\n"
                .into(),
            "System at None",
        ),
        ("FROM python:3.12 AS b\nRUN pip install x\nFROM b\n".into(), "System at Some(\"/usr/local/lib\")"),
        ("FROM python:3.12 AS b\nRUN pip install x\nFROM python:3.12\nCOPY --from=b /usr/local/bin /usr/local/bin\n".into(), ""),
    ] {
        assert_eq!(told(&text, &[], tell), expected, "{text}");
    }
}

#[test]
fn demands_come_from_words_files_and_locks() {
    let tell = |subject: &Subject<'_>| {
        let demands = subject.demands_of(subject.last().unwrap());
        let one = |demand: &crate::model::Demand| {
            let place = demand.file.as_ref().map(|(file, line)| format!("@{file}:{line}")).unwrap_or_default();
            format!("{}{}{place}", demand.name, demand.versions)
        };
        let all: Vec<_> = demands.all.iter().map(one).collect();
        format!("{} {}", all.join(" "), demands.is_complete)
    };
    let files = [
        ("requirements.txt", "-r base.txt\nflask==3.0\n"),
        ("base.txt", "# x\npsycopg2>=2.9\n"),
        ("sub/pyproject.toml", "[project]\nname = \"x\"\ndependencies = [\"httpx\"]\n"),
        (
            "uv.lock",
            "[[package]]\nname = \"me\"\nsource = { virtual = \".\" }\n[[package]]\nname = \"lxml\"\nversion = \"5\"\nsdist = {}\n",
        ),
        ("Pipfile.lock", "{\"default\": {\"six\": {\"version\": \"==1.16\"}}}"),
    ];
    for (steps, expected) in [
        ("RUN pip install 'a>=1' B_c $X", "a>=1 b-c false"),
        (
            "WORKDIR /app\nCOPY . .\nRUN pip install -r requirements.txt",
            "psycopg2>=2.9@base.txt:2 flask==3.0@requirements.txt:2 true",
        ),
        ("WORKDIR /app\nCOPY sub ./sub\nRUN pip install ./sub", "httpx@sub/pyproject.toml:1 true"),
        ("WORKDIR /app\nRUN --mount=type=bind,source=uv.lock,target=uv.lock uv sync", "lxml==5@uv.lock:5 true"),
        ("WORKDIR /app\nCOPY Pipfile* ./\nRUN pipenv install --system", "six==1.16@Pipfile.lock:1 true"),
        ("RUN pip install -r requirements.txt", " false"),
    ] {
        assert_eq!(told(&format!("FROM python:3.12\n{steps}\n"), &files, tell), expected, "{steps}");
    }
}

/// Each stage has twice what the one before has.
#[test]
fn copies_of_copies_do_not_multiply_without_end() {
    let mut text = "FROM python:3.12 AS s0\nRUN python -m venv /v && /v/bin/pip install x\n".to_owned();
    for number in 1..60 {
        let before = number - 1;
        text += &format!("FROM scratch AS s{number}\nCOPY --from=s{before} / /a\nCOPY --from=s{before} / /b\n");
    }
    let counted = told(&text, &[], |subject| {
        let last = subject.last().unwrap();
        format!("{} {}", subject.ships(last).len(), subject.layout(last).venvs.len())
    });
    assert_eq!(counted, format!("{MAX_SHIPPED} {MAX_SHIPPED}"));
}
