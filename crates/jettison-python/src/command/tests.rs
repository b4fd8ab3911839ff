use std::collections::BTreeMap;

use super::*;

struct Files(BTreeMap<String, String>);

impl SourceTree for Files {
    fn files(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.get(path).map(|text| text.clone().into_bytes()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// What is detected in `files` with these dependencies. `pyproject.toml` among the files declares the project.
fn detect(dependencies: &[&str], files: &[(&str, &str)]) -> Result<StartCommand, CommandError> {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let project = Project::read(directory.path()).unwrap();
    let names: Vec<_> = dependencies.iter().map(|name| NormalizedName::parse(name).unwrap()).collect();
    let files = Files(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect());
    StartCommand::detect(&project, &names, &files, DEFAULT_PORT)
}

/// The command in one line, with its import root and port behind it; or why there is none.
fn shown(dependencies: &[&str], files: &[(&str, &str)]) -> String {
    match detect(dependencies, files) {
        Ok(StartCommand::Detected(detected)) => {
            let root =
                if detected.import_root.is_empty() { String::new() } else { format!(" in {}", detected.import_root) };
            let port = detected.port.map_or(String::new(), |port| format!(" :{port}"));
            let env: String = detected.env.iter().map(|(name, value)| format!("{name}={value} ")).collect();
            format!("{env}{}{root}{port}", detected.argv.join(" "))
        }
        Ok(StartCommand::Unclear(unclear)) => format!("unclear: {}", unclear.why),
        Err(e) => format!("error: {e}"),
    }
}

const FASTAPI: &str = "from fastapi import FastAPI\napp = FastAPI()\n";
const FLASK: &str = "from flask import Flask\napp = Flask(__name__)\n";

#[test]
fn frameworks_and_servers() {
    let cases: &[(&[&str], &str, &str)] = &[
        (&["fastapi", "uvicorn"], FASTAPI, "uvicorn main:app --host 0.0.0.0 --port 8000 :8000"),
        (&["fastapi", "hypercorn"], FASTAPI, "hypercorn main:app --bind 0.0.0.0:8000 :8000"),
        (&["fastapi", "granian"], FASTAPI, "granian --interface asgi --host 0.0.0.0 --port 8000 main:app :8000"),
        (&["fastapi", "fastapi-cli"], FASTAPI, "fastapi run main.py --host 0.0.0.0 --port 8000 :8000"),
        (
            &["fastapi", "gunicorn", "uvicorn-worker"],
            FASTAPI,
            "gunicorn main:app --worker-class uvicorn_worker.UvicornWorker --bind 0.0.0.0:8000 :8000",
        ),
        (
            &["fastapi", "gunicorn"],
            FASTAPI,
            "unclear: `app` in main.py is a FastAPI application, but no server for it is among the dependencies",
        ),
        (
            &["fastapi", "uvicorn"],
            "import fastapi as f\nserver: f.FastAPI = f.FastAPI(title='x')\n",
            "uvicorn main:server --host 0.0.0.0 --port 8000 :8000",
        ),
        (
            &["fastapi", "uvicorn"],
            "from fastapi import FastAPI as F\nother = F()\napi = F()\n",
            "uvicorn main:api --host 0.0.0.0 --port 8000 :8000",
        ),
        (
            &["fastapi", "uvicorn"],
            "from fastapi import FastAPI\nclass App(FastAPI): ...\napp = App()\n",
            "uvicorn main:app --host 0.0.0.0 --port 8000 :8000",
        ),
        (
            &["fastapi", "uvicorn"],
            "from fastapi import FastAPI\ndef create_app(debug=False):\n    app = FastAPI()\n    return app\n",
            "uvicorn main:create_app --host 0.0.0.0 --port 8000 --factory :8000",
        ),
        (
            &["fastapi", "uvicorn"],
            "from fastapi import FastAPI\ndef create_app() -> FastAPI: ...\napp = create_app()\n",
            "uvicorn main:app --host 0.0.0.0 --port 8000 :8000",
        ),
        (
            &["fastapi", "uvicorn"],
            "try:\n    from fastapi import FastAPI\nexcept ImportError:\n    raise\nif True:\n    app = FastAPI()\n",
            "uvicorn main:app --host 0.0.0.0 --port 8000 :8000",
        ),
        (
            &["starlette", "uvicorn"],
            "from starlette.applications import Starlette\napp = Starlette(routes=[])\n",
            "uvicorn main:app --host 0.0.0.0 --port 8000 :8000",
        ),
        (
            &["litestar", "uvicorn"],
            "from litestar import Litestar, get\n@get('/')\nasync def f() -> str: ...\napp = Litestar([f])\n",
            "uvicorn main:app --host 0.0.0.0 --port 8000 :8000",
        ),
        (
            &["quart", "hypercorn"],
            "import quart\napp = quart.Quart(__name__)\n",
            "hypercorn main:app --bind 0.0.0.0:8000 :8000",
        ),
        (
            &["sanic"],
            "from sanic import Sanic\napp = Sanic('x')\n",
            "sanic main:app --host 0.0.0.0 --port 8000 --single-process :8000",
        ),
        (&["flask", "gunicorn"], FLASK, "gunicorn main:app --bind 0.0.0.0:8000 :8000"),
        (&["flask", "waitress"], FLASK, "waitress-serve --listen=0.0.0.0:8000 main:app :8000"),
        (&["flask", "hypercorn"], FLASK, "hypercorn main:app --bind 0.0.0.0:8000 :8000"),
        (&["flask", "uwsgi"], FLASK, "uwsgi --http-socket 0.0.0.0:8000 --master --die-on-term --module main:app :8000"),
        (&["flask"], FLASK, "flask --app main:app run --host 0.0.0.0 --port 8000 :8000"),
        (&["flask", "uvicorn"], FLASK, "flask --app main:app run --host 0.0.0.0 --port 8000 :8000"),
        (
            &["flask", "gunicorn"],
            "from flask import Flask\ndef make_app():\n    return Flask(__name__)\n",
            "gunicorn main:make_app() --bind 0.0.0.0:8000 :8000",
        ),
        (
            &["flask", "waitress"],
            "from flask import Flask\ndef make_app():\n    return Flask(__name__)\n",
            "waitress-serve --call --listen=0.0.0.0:8000 main:make_app :8000",
        ),
        (
            &["dash", "gunicorn"],
            "import dash\napp = dash.Dash(__name__)\n",
            "gunicorn main:app.server --bind 0.0.0.0:8000 :8000",
        ),
        (
            &["pyramid", "waitress"],
            "from pyramid.config import Configurator\nconfig = Configurator()\napp = config.make_wsgi_app()\n",
            "waitress-serve --listen=0.0.0.0:8000 main:app :8000",
        ),
        // Not applications: a comment, a string, a function that needs a parameter, an app inside a guard.
        (
            &["fastapi", "uvicorn"],
            "# app = FastAPI()\nx = 'app = FastAPI()'\n",
            "unclear: `main.py`, the one Python file, neither makes an application nor runs as a program",
        ),
        (
            &["flask", "gunicorn"],
            "from flask import Flask\ndef create_app(config):\n    return Flask(__name__)\n",
            "unclear: `main.py`, the one Python file, neither makes an application nor runs as a program",
        ),
        (
            &["flask", "gunicorn"],
            "from flask import Flask\nif __name__ == '__main__':\n    app = Flask(__name__)\n    app.run(port=5000)\n",
            "python main.py",
        ),
    ];
    for (dependencies, source, expected) in cases {
        assert_eq!(shown(dependencies, &[("main.py", source)]), *expected, "{source}");
    }
}

#[test]
fn where_modules_are_imported_from() {
    let web: &[&str] = &["fastapi", "uvicorn"];
    let target = |files: &[(&str, &str)]| {
        let shown = shown(web, files);
        shown.replace("uvicorn ", "").replace(" --host 0.0.0.0 --port 8000", "").replace(" :8000", "")
    };
    let inner = "from fastapi import FastAPI\nfrom app.routes import r\napp = FastAPI()\n";
    let sibling = "from fastapi import FastAPI\nimport routes\napp = FastAPI()\n";
    assert_eq!(target(&[("app/__init__.py", ""), ("app/main.py", FASTAPI)]), "app.main:app");
    assert_eq!(target(&[("app/main.py", FASTAPI)]), "app.main:app");
    assert_eq!(target(&[("app/main.py", inner), ("app/routes.py", "r = 1")]), "app.main:app");
    assert_eq!(target(&[("app/main.py", sibling), ("app/routes.py", "r = 1")]), "main:app in app");
    assert_eq!(target(&[("src/shop/__init__.py", ""), ("src/shop/main.py", FASTAPI)]), "shop.main:app in src");
    assert_eq!(target(&[("src/main.py", FASTAPI)]), "main:app in src");
    assert_eq!(
        target(&[("src/main.py", &inner.replace("app.routes", "src.routes")), ("src/routes.py", "")]),
        "src.main:app"
    );
    assert_eq!(target(&[("backend/app/main.py", inner), ("backend/app/routes.py", "")]), "app.main:app in backend");
    assert_eq!(target(&[("shop/__init__.py", FASTAPI)]), "shop:app");
    // The likelier name, the shallower file, the project's own package; tests and docs never.
    assert_eq!(target(&[("main.py", FASTAPI), ("lib/api.py", FASTAPI), ("tests/main.py", FASTAPI)]), "main:app");
    assert_eq!(
        target(&[
            ("pyproject.toml", "[project]\nname='shop'\nversion='1'\n"),
            ("other/main.py", FASTAPI),
            ("shop/main.py", FASTAPI)
        ]),
        "shop.main:app"
    );
    assert_eq!(
        target(&[("a/main.py", FASTAPI), ("b/main.py", FASTAPI)]),
        "unclear: there are several applications: `app` in a/main.py, `app` in b/main.py"
    );
    // A factory in another file, and an application that is only passed on.
    let factory = "from fastapi import FastAPI\ndef create_app():\n    return FastAPI()\n";
    assert_eq!(
        target(&[
            ("shop/__init__.py", ""),
            ("shop/factory.py", factory),
            ("main.py", "from shop.factory import create_app\napp = create_app()\n")
        ]),
        "main:app"
    );
    assert_eq!(
        target(&[
            ("shop/__init__.py", factory),
            ("shop/wsgi.py", "from . import create_app\napplication = create_app()\n")
        ]),
        "shop.wsgi:application"
    );
}

#[test]
fn both_gunicorn_and_uvicorn_declared() {
    let pyproject = "[project]\nname='x'\nversion='1'\ndependencies=['fastapi','uvicorn','gunicorn']\n";
    let expected = "gunicorn main:app --worker-class uvicorn.workers.UvicornWorker --bind 0.0.0.0:8000 :8000";
    assert_eq!(shown(&[], &[("pyproject.toml", pyproject), ("main.py", FASTAPI)]), expected);
    let standard = "[project]\nname='x'\nversion='1'\ndependencies=['fastapi[standard]']\n";
    assert_eq!(
        shown(&[], &[("pyproject.toml", standard), ("main.py", FASTAPI)]),
        "uvicorn main:app --host 0.0.0.0 --port 8000 :8000"
    );
}

#[test]
fn django() {
    let manage = "import os, sys\ndef main():\n    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n    from django.core.management import execute_from_command_line\n\
                  if __name__ == '__main__':\n    main()\n";
    let wsgi = "import os\nfrom django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n";
    let asgi = &wsgi.replace("wsgi", "asgi");
    let files = [
        ("manage.py", manage),
        ("shop/__init__.py", ""),
        ("shop/asgi.py", asgi),
        ("shop/settings.py", ""),
        ("shop/wsgi.py", wsgi),
    ];
    assert_eq!(shown(&["django", "gunicorn"], &files), "gunicorn shop.wsgi:application --bind 0.0.0.0:8000 :8000");
    assert_eq!(shown(&["django", "uvicorn"], &files), "uvicorn shop.asgi:application --host 0.0.0.0 --port 8000 :8000");
    assert_eq!(shown(&["django", "daphne"], &files), "daphne -b 0.0.0.0 -p 8000 shop.asgi:application :8000");
    assert_eq!(shown(&["django"], &files), "python manage.py runserver --noreload 0.0.0.0:8000 :8000");
    let nested: Vec<_> = files.iter().map(|(path, text)| (format!("backend/{path}"), *text)).collect();
    let nested: Vec<_> = nested.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    assert_eq!(
        shown(&["django", "gunicorn"], &nested),
        "gunicorn shop.wsgi:application --bind 0.0.0.0:8000 in backend :8000"
    );
    let channels = "from channels.routing import ProtocolTypeRouter\nfrom django.core.asgi import get_asgi_application\n\
                    application = ProtocolTypeRouter({'http': get_asgi_application()})\n";
    let files = [("manage.py", manage), ("shop/__init__.py", ""), ("shop/asgi.py", channels)];
    assert_eq!(shown(&["django", "uvicorn"], &files), "uvicorn shop.asgi:application --host 0.0.0.0 --port 8000 :8000");
    let Ok(StartCommand::Detected(detected)) = detect(&["django"], &files) else { panic!() };
    assert_eq!(detected.module.as_deref(), Some("shop.settings"));
    assert!(detected.warnings[0].contains("gunicorn"));
}

#[test]
fn procfile_lines() {
    let cases = [
        ("web: gunicorn app:app --bind 0.0.0.0:$PORT", "gunicorn app:app --bind 0.0.0.0:8000 :8000"),
        (
            "# x\nworker: celery\nweb: exec uvicorn 'a b:app' --port \"${PORT:-5000}\"\n",
            "uvicorn a b:app --port 8000 :8000",
        ),
        ("web: DEBUG=1 MODE=\"x y\" python main.py", "DEBUG=1 MODE=x y python main.py"),
        ("web: gunicorn -w ${WEB_CONCURRENCY:-2} -b :5000 a:b", "gunicorn -w 2 -b :5000 a:b :5000"),
        ("web: gunicorn a:create_app\\(\\)", "gunicorn a:create_app()"),
        (
            "web: python manage.py migrate && gunicorn a:b",
            "unclear: the `web` line of the Procfile cannot run without a shell: `&` needs a shell",
        ),
        (
            "web: gunicorn -w $WORKERS a:b",
            "unclear: the `web` line of the Procfile cannot run without a shell: `$WORKERS` is filled in by a shell, and has no default",
        ),
        (
            "web: ./start.sh",
            "unclear: the `web` line of the Procfile cannot run without a shell: it runs the shell script `./start.sh`",
        ),
        ("web: sh -c 'x'", "unclear: the `web` line of the Procfile cannot run without a shell: it runs a shell"),
        ("worker: celery", "unclear: there is no Python source in the project"),
    ];
    for (procfile, expected) in cases {
        assert_eq!(shown(&["gunicorn"], &[("Procfile", procfile)]), expected, "{procfile}");
    }
}

#[test]
fn console_scripts() {
    let package = |scripts: &str| {
        format!(
            "[project]\nname='shop'\nversion='1'\n[project.scripts]\n{scripts}\n[build-system]\nrequires=['hatchling']\n"
        )
    };
    let one = package("shop='shop.cli:main'");
    let serving = "import uvicorn\nPORT = 9000\ndef main():\n    uvicorn.run('shop:app', host='0.0.0.0', port=PORT)\n";
    assert_eq!(shown(&[], &[("pyproject.toml", &one), ("src/shop/cli.py", "def main(): ...")]), "shop");
    assert_eq!(shown(&[], &[("pyproject.toml", &one), ("src/shop/cli.py", serving)]), "shop :9000");
    // A command-line tool beside a web application is not what the image starts; a script that serves it is.
    let app = ("src/shop/main.py", FASTAPI);
    let web = ["fastapi", "uvicorn"];
    assert_eq!(
        shown(
            &web,
            &[("pyproject.toml", &one), ("src/shop/__init__.py", ""), ("src/shop/cli.py", "def main(): ..."), app]
        ),
        "uvicorn shop.main:app --host 0.0.0.0 --port 8000 in src :8000"
    );
    assert_eq!(shown(&web, &[("pyproject.toml", &one), ("src/shop/cli.py", serving), app]), "shop :9000");
    let several = package("a='shop.a:main'\nb='shop.b:main'");
    assert_eq!(shown(&[], &[("pyproject.toml", &several)]), "unclear: the project has several console scripts: a, b");
    assert_eq!(shown(&[], &[("pyproject.toml", &package("a='shop.a:main'\nshop='shop.b:main'"))]), "shop");
    let uninstalled = "[project]\nname='shop'\nversion='1'\n[project.scripts]\nshop='main:main'\n";
    assert_eq!(shown(&[], &[("pyproject.toml", uninstalled), ("main.py", "print('x')\n")]), "python main.py");
}

#[test]
fn programs() {
    assert_eq!(shown(&[], &[("main.py", "print('hello')\n")]), "python main.py");
    assert_eq!(shown(&[], &[("tool.py", "def f(): ...\nif __name__ == \"__main__\":\n    f()\n")]), "python tool.py");
    assert_eq!(shown(&[], &[("job/__init__.py", ""), ("job/__main__.py", "print(1)\n")]), "python -m job");
    assert_eq!(
        shown(&[], &[("src/job/__init__.py", ""), ("src/job/__main__.py", "print(1)\n")]),
        "python -m job in src"
    );
    assert_eq!(
        shown(&["streamlit"], &[("app.py", "import streamlit as st\nst.title('x')\n")]),
        "streamlit run app.py --server.address 0.0.0.0 --server.port 8000 --server.headless true :8000"
    );
    let server = "from http.server import HTTPServer, BaseHTTPRequestHandler\nHTTPServer(('', 8000), BaseHTTPRequestHandler).serve_forever()\n";
    assert_eq!(shown(&[], &[("main.py", server)]), "python main.py :8000");
    let guarded = "if __name__ == '__main__':\n    pass\n";
    assert_eq!(shown(&[], &[("a.py", guarded), ("b.py", guarded)]), "unclear: there are several programs: a.py, b.py");
    assert_eq!(shown(&[], &[("a.py", guarded), ("main.py", guarded)]), "python main.py");
    assert_eq!(
        shown(&[], &[("lib.py", "x = 1\n")]),
        "unclear: `lib.py`, the one Python file, neither makes an application nor runs as a program"
    );
    let Ok(StartCommand::Detected(detected)) = detect(
        &[],
        &[("main.py", "import uvicorn\nif __name__ == '__main__':\n    uvicorn.run('x:app', port=8080)\n")],
    ) else {
        panic!()
    };
    assert_eq!(detected.port, Some(8080));
    assert!(detected.warnings[0].starts_with("line 3: it listens on 127.0.0.1"), "{:?}", detected.warnings);
}

#[test]
fn a_syntax_error_in_what_would_start_is_an_error_with_its_place() {
    let broken = "from fastapi import FastAPI\napp = FastAPI()\n\n@app.get('/')\ndef root(:\n    return {}\n";
    assert_eq!(
        shown(&["fastapi", "uvicorn"], &[("main.py", broken)]),
        "error: main.py:5:10: the source of the application has a syntax error: `def root(:`"
    );
    assert!(
        shown(&["fastapi", "uvicorn"], &[("main.py", "from fastapi import FastAPI\napp = FastAPI(\n")])
            .starts_with("error: main.py:")
    );
    assert!(shown(&[], &[("main.py", "print('x'\n")]).starts_with("error: main.py:1:"));
    // A broken file that is not started is not this step's affair.
    assert!(shown(&["fastapi", "uvicorn"], &[("main.py", FASTAPI), ("notes.py", broken)]).starts_with("uvicorn"));
}

#[test]
fn the_trail_says_what_was_looked_at() {
    let Ok(StartCommand::Unclear(unclear)) = detect(&[], &[("Procfile", "worker: x"), ("app.py", "import flask\n")])
    else {
        panic!()
    };
    let trail: Vec<_> = unclear.looked_at.iter().map(|looked| format!("{}: {}", looked.path, looked.verdict)).collect();
    assert_eq!(
        trail,
        [
            "Procfile: has no `web` process, only worker",
            "app.py: uses a web framework, but makes no application at its top level"
        ]
    );
    assert!(unclear.hint.contains("[tool.jettison] command"));
}

#[test]
fn libraries_that_are_loaded_by_name() {
    let text = "import ctypes\nfrom ctypes.util import find_library as fl\nimport ctypes.util\nNAME = 'libfoo.so.2'\n\
                a = fl('magic')\nb = ctypes.CDLL('libpq.so.5')\nc = ctypes.CDLL(NAME)\nd = ctypes.cdll.LoadLibrary(compute())\n\
                e = ctypes.util.find_library('zbar')\nf = ctypes.CDLL('/opt/x.so')\ng = ctypes.CDLL('user32.dll')\n\
                h = ctypes.CDLL(None)\n# ctypes.CDLL('libcomment.so')\n";
    let found: Vec<_> =
        libraries::of_source("x.py", text).iter().map(|l| format!("{} {} {}", l.place, l.name, l.is_soname)).collect();
    assert_eq!(
        found,
        ["x.py:5:5 magic false", "x.py:6:5 libpq.so.5 true", "x.py:7:5 libfoo.so.2 true", "x.py:9:5 zbar false"]
    );
    let tree =
        Files([("a.py".to_owned(), text.to_owned()), ("b.txt".to_owned(), text.to_owned())].into_iter().collect());
    assert_eq!(libraries::of_tree(&tree).unwrap().len(), 4);
}
