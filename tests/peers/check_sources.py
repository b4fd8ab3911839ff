"""What has no wheel on an index: commits of repositories, and sdists that need a real compiler; and indices that ask who is there."""

import base64
import gzip
import hashlib
import http.server
import io
import os
import shutil
import subprocess
import tarfile
import threading
import urllib.request
import zipfile

from harness import check, expect

MAIN = """from http.server import HTTPServer, SimpleHTTPRequestHandler

{imports}

if __name__ == "__main__":
    HTTPServer(("0.0.0.0", 8000), SimpleHTTPRequestHandler).serve_forever()
"""
PURE = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
SECRET = "s3cr3t-t0ken"


def repository(account, name):
    """A repository whose project is in a subdirectory: tag v1, then a branch with another answer. Returns its path."""
    path = account.project(name, {
        "py/pyproject.toml": f'{PURE}[project]\nname = "git-lib"\nversion = "1.2"\n[tool.setuptools]\npackages = ["git_lib"]\n',
        "py/git_lib/__init__.py": "answer = 'v1'\n",
    })

    def git(*arguments):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "safe.directory=*"]
        done = subprocess.run(["git", *identity, "-C", path, *arguments], capture_output=True, text=True, check=False)
        expect(done.returncode == 0, done.stderr)
        return done.stdout.strip()

    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    git("tag", "v1")
    first = git("rev-parse", "HEAD")
    with open(os.path.join(path, "py/git_lib/__init__.py"), "w", encoding="utf-8") as file:
        file.write("answer = 'main'\n")
    git("commit", "-q", "-a", "-m", "two")
    account.own(path)
    return path, first


@check("a tag, a branch and a commit of a git repository are resolved, locked, fetched and recorded")
def _(context):
    for account in context.accounts:
        path, commit = repository(account, "git-lib")
        for revision, answer in (("v1", "v1"), ("main", "main"), (commit, "v1")):
            project = account.project("uses-git", {
                "requirements.txt": f"git-lib @ git+file://{path}@{revision}#subdirectory=py\n",
                "main.py": MAIN.format(imports=f"from git_lib import answer\nassert answer == '{answer}', answer"),
            })
            built = account.build(project, "--port", "8000")
            expect(built["verify"]["http_status"] == 200, str(built["verify"]))
            store = os.path.join(account.work, f"git-{revision[:8]}")
            again = account.build(project, "--locked", "--store", store, "--port", "8000")
            expect(again["digest"] == built["digest"], f"{revision}: {built['digest']}, then {again['digest']}")
            into = os.path.join(account.work, f"git-root-{revision[:8]}")
            account.build(project, "--locked", "--port", "8000", "-o", f"type=oci,tar=false,dest={into}")
            found = records(into)
            expect(any('"vcs_info"' in record and '"py"' in record for record in found), str(found))


def git_in(path):
    """What runs git in a directory, as nobody in particular."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "safe.directory=*"]

    def git(*arguments):
        done = subprocess.run(["git", *identity, "-C", path, *arguments], capture_output=True, text=True, check=False)
        expect(done.returncode == 0, done.stderr)
        return done.stdout.strip()

    return git


# Tools that ask git for the version: `pyproject.toml` without the name.
VERSIONED = {
    "setuptools-scm": """[build-system]
requires = ["setuptools>=77", "setuptools-scm>=8"]
build-backend = "setuptools.build_meta"
[project]
name = "NAME"
dynamic = ["version"]
[tool.setuptools]
packages = ["NAME"]
[tool.setuptools_scm]
version_file = "NAME/_version.py"
""",
    "hatch-vcs": """[build-system]
requires = ["hatchling", "hatch-vcs"]
build-backend = "hatchling.build"
[project]
name = "NAME"
dynamic = ["version"]
[tool.hatch.version]
source = "vcs"
""",
    "versioningit": """[build-system]
requires = ["setuptools", "versioningit"]
build-backend = "setuptools.build_meta"
[project]
name = "NAME"
dynamic = ["version"]
[tool.setuptools]
packages = ["NAME"]
[tool.versioningit]
""",
    "pdm": """[build-system]
requires = ["pdm-backend"]
build-backend = "pdm.backend"
[project]
name = "NAME"
dynamic = ["version"]
[tool.pdm.version]
source = "scm"
""",
    "poetry": """[build-system]
requires = ["poetry-core", "poetry-dynamic-versioning"]
build-backend = "poetry_dynamic_versioning.backend"
[project]
name = "NAME"
dynamic = ["version"]
[tool.poetry]
version = "0"
[tool.poetry-dynamic-versioning]
enable = true
""",
}


def versioned(account, tool):
    """A repository whose version is in its tags: v3.1, then another commit. A tracked data file is named nowhere. Returns name and path."""
    name = "by_" + tool.replace("-", "_")
    path = account.project(f"repository-{tool}", {
        "pyproject.toml": VERSIONED[tool].replace("NAME", name),
        f"{name}/__init__.py": "",
        f"{name}/data.txt": "data\n",
        ".gitignore": "_version.py\n",
    })
    git = git_in(path)
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    git("tag", "v3.1")
    git("commit", "-q", "--allow-empty", "-m", "two")
    account.own(path)
    return name, path


@check("a version that only git knows is that of the commit, whatever tool asks, in a repository and in a directory")
def _(context):
    for account in context.accounts:
        wanted, asserts, places = [], ["import importlib.metadata as m, importlib.resources as r"], {}
        for tool in VERSIONED:
            name, path = places[tool] = versioned(account, tool)
            wanted.append(f"{name} @ git+file://{path}@v3.1")
            asserts.append(f"assert m.version('{name}') == '3.1', m.version('{name}')")
            # It asks git for nothing else, and setuptools alone does not take the file.
            if tool != "versioningit":
                asserts.append(f"assert (r.files('{name}') / 'data.txt').is_file(), '{name}'")
        project = account.project("uses-versions", {
            "requirements.txt": "\n".join(wanted) + "\n",
            "main.py": MAIN.format(imports="\n".join(asserts)),
        })
        built = account.build(project, "--port", "8000")
        expect(built["verify"]["http_status"] == 200, str(built["verify"]))
        store = os.path.join(account.work, "versions")
        again = account.build(project, "--locked", "--store", store, "--port", "8000")
        expect(again["digest"] == built["digest"], f"{built['digest']}, then {again['digest']}")

        # One commit after the tag; and below a repository, as a part of it.
        name, path = places["setuptools-scm"]
        other = "by_hatch_vcs"
        project = account.project("monorepo", {
            "app/requirements.txt": f"{name} @ git+file://{path}@main\n{other} @ file://{account.work}/projects/monorepo/lib\n",
            "app/main.py": MAIN.format(imports=(
                "import importlib.metadata as m\n"
                f"assert m.version('{name}').startswith('3.2.dev1+g'), m.version('{name}')\n"
                f"assert m.version('{other}') == '7.0', m.version('{other}')"
            )),
            "lib/pyproject.toml": VERSIONED["hatch-vcs"].replace("NAME", other)
            + '[tool.hatch.version.raw-options]\nroot = ".."\n',
            f"lib/{other}/__init__.py": "",
        })
        git = git_in(project)
        git("init", "-q", "-b", "main")
        git("add", "lib")
        git("commit", "-q", "-m", "one")
        git("tag", "7.0")
        account.own(project)
        built = account.build(os.path.join(project, "app"), "--port", "8000")
        expect(built["verify"]["http_status"] == 200, str(built["verify"]))


def git_server(directory):
    """The repositories below a directory over smart HTTP, for one user."""
    allowed = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()
    backend = os.path.join(subprocess.check_output(["git", "--exec-path"], text=True).strip(), "git-http-backend")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.headers.get("Authorization") != allowed:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            env = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": directory,
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type") or "",
                "CONTENT_LENGTH": str(len(body)),
                "REMOTE_USER": "me",
            }
            answer = subprocess.run([backend], input=body, env=env, stdout=subprocess.PIPE, check=False).stdout
            head, _, content = answer.partition(b"\r\n\r\n")
            headers = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
            status = next((value for name, value in headers if name == "Status"), "200")
            self.send_response(int(status.split()[0]))
            for name, value in headers:
                if name != "Status":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def expect_secret_nowhere(secret, what, *directories):
    """No file below the directories has it."""
    for root, _, names in (found for directory in directories for found in os.walk(directory)):
        for name in names:
            path = os.path.join(root, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    expect(secret.encode() not in file.read(), f"{what}: the password is in {path}")


@check("a repository behind HTTP is fetched with netrc's password, kept for builds without network, and refused with another")
def _(context):
    for account in context.accounts:
        path, commit = repository(account, "git-lib")
        served = os.path.join(account.work, "served")
        shutil.rmtree(served, ignore_errors=True)
        # A copy is the server's own; git takes no repository of somebody else.
        shutil.copytree(os.path.join(path, ".git"), os.path.join(served, "git-lib.git"))
        server = git_server(served)
        context.at_end(server.shutdown)
        url = f"http://127.0.0.1:{server.server_port}/git-lib.git"
        netrc = os.path.join(account.work, "home", ".netrc")
        store = os.path.join(account.work, "served-store")
        project = account.project("uses-http", {
            "requirements.txt": f"git-lib @ git+{url}@v1#subdirectory=py\n",
            "main.py": MAIN.format(imports="from git_lib import answer\nassert answer == 'v1', answer"),
        })
        command = ("build", project, "--json", "--port", "8000", "--store", store)

        def password(word):
            with open(netrc, "w", encoding="utf-8") as file:
                file.write(f"machine 127.0.0.1 login me password {word}\n")
            account.own(os.path.join(account.work, "home"))

        password("wr0ng-w0rd")
        refused = account.jettison(*command, status=2)
        expect("git-lib" in refused.stderr and "hint:" in refused.stderr, refused.stderr)
        expect("wr0ng-w0rd" not in refused.stderr, "the wrong password is printed")
        os.remove(netrc)
        with_password = url.replace("//", "//me:wr0ng-w0rd@")
        named = {"main.py": "", "requirements.txt": f"git-lib @ git+{with_password}@v1#subdirectory=py\n"}
        refused = account.jettison("build", account.project("names-password", named), "--store", store, status=2)
        expect("git-lib" in refused.stderr and "hint:" in refused.stderr, refused.stderr)
        expect("wr0ng-w0rd" not in refused.stderr, f"the wrong password is printed: {refused.stderr}")
        password(SECRET)
        try:
            done = account.jettison(*command)
            with open(os.path.join(project, "pylock.toml"), encoding="utf-8") as file:
                lock = file.read()
            expect(commit in lock and url in lock, lock)
            expect(SECRET not in done.stdout + done.stderr, "the password is printed")
            # The lock is followed where nothing was fetched yet, by a password that is wrong.
            password("wr0ng-w0rd")
            elsewhere = ("--locked", "--store", os.path.join(account.work, "served-elsewhere"))
            refused = account.jettison(*command[:-2], *elsewhere, status=2)
            expect(f"cannot fetch {url}" in refused.stderr and "hint:" in refused.stderr, refused.stderr)
            expect("wr0ng-w0rd" not in refused.stderr, "the wrong password is printed")
        finally:
            os.remove(netrc)
        server.shutdown()
        server.server_close()
        # Another time in the wheel: it is built again, from what is in the store.
        account.jettison(*command, "--locked", "--offline", env={"SOURCE_DATE_EPOCH": "1700000000"})
        expect_secret_nowhere(SECRET, "netrc", project, store)


def records(layout):
    """Every direct_url.json in the layers of a layout."""
    found = []
    for root, _, files in os.walk(os.path.join(layout, "blobs")):
        for name in files:
            try:
                with tarfile.open(os.path.join(root, name)) as layer:
                    for member in layer:
                        if member.name.endswith("direct_url.json"):
                            found.append(layer.extractfile(member).read().decode())
            except tarfile.ReadError:
                pass
    return found


BACKEND = """
import os
from setuptools import build_meta as real
from setuptools.build_meta import *

def get_requires_for_build_wheel(config_settings=None):
    return ["setuptools", "wheel", "toml"]

def build_wheel(directory, config_settings=None, metadata_directory=None):
    import toml
    assert toml.loads("a = 1")["a"] == 1
    return real.build_wheel(directory, config_settings, metadata_directory)
"""
EXTENSION = r"""
#include <Python.h>
#include <mosquitto.h>
#include "turn.h"
int second(void);
int third(void);
static PyObject *answer(PyObject *self, PyObject *none) {
    return PyLong_FromLong(MOSQ_ERR_SUCCESS + 100 * TURN + 10 * second() + third());
}
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "odd_ext", NULL, -1, methods};
PyMODINIT_FUNC PyInit_odd_ext(void) { return PyModule_Create(&module); }
"""
# Each source is compiled with a header of its own.
SETUP = """
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

class Turns(build_ext):
    def build_extension(self, extension):
        compile, turns = self.compiler._compile, iter((1, 2, 3))
        def turn(*arguments):
            with open("turn.h", "w") as header:
                header.write(f"#define TURN {next(turns)}\\n")
            return compile(*arguments)
        self.compiler._compile = turn
        build_ext.build_extension(self, extension)

extension = Extension("odd_ext", ["odd_ext.c", "second.c", "third.c"], include_dirs=["."])
setup(name="odd-ext", version="1.0", py_modules=[], ext_modules=[extension], cmdclass={"build_ext": Turns})
"""


def sdist():
    """An sdist whose backend asks for more, whose extension needs a header that no table knows, and which compiles in its own way."""
    files = {
        "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": BACKEND,
        "odd_ext.c": EXTENSION,
        "second.c": '#include "turn.h"\nint second(void) { return TURN; }\n',
        "third.c": '#include "turn.h"\nint third(void) { return TURN; }\n',
        "setup.py": SETUP,
        "PKG-INFO": "Metadata-Version: 2.2\nName: odd-ext\nVersion: 1.0\n",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"odd_ext-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


@check("an sdist gets what its backend asks for and the header that it misses, and is the same for everybody")
def _(context):
    packed = sdist()
    digests = {}
    locks = {}
    for account in context.accounts:
        project = account.project("from-source", {
            "requirements.txt": "./odd_ext-1.0.tar.gz\n",
            "odd_ext-1.0.tar.gz": packed,
            "main.py": MAIN.format(imports="import odd_ext\nassert odd_ext.answer() == 123"),
        } | locks)
        digests[account.name, "first"] = account.build(project, "--port", "8000")["digest"]
        with open(os.path.join(project, "jettison.lock"), encoding="utf-8") as file:
            lock = file.read()
        expect("libmosquitto-dev" in lock and "toml-" in lock, "the lock names neither header nor requirement")
        fresh = ["--locked", "--store", os.path.join(account.work, "sources")]
        digests[account.name, "locked, in an empty store"] = account.build(project, "--port", "8000", *fresh)["digest"]
        digests[account.name, "offline"] = account.build(project, "--port", "8000", "--locked", "--offline")["digest"]
        # The others begin with this lock, so that an archive that changes meanwhile changes nothing.
        for name in ("jettison.lock", "pylock.toml"):
            with open(os.path.join(project, name), encoding="utf-8") as file:
                locks[name] = file.read()
    expect(len(set(digests.values())) == 1, str(digests))


def private_index():
    """An index on loopback with one wheel, which passes everything else on to PyPI, for one user."""
    name = "private_lib-1.0-py3-none-any.whl"
    packed = io.BytesIO()
    info = "private_lib-1.0.dist-info"
    files = {
        "private_lib.py": "answer = 42\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: private-lib\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    hashes = {
        path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        for path, text in files.items()
    }
    rows = [f"{path},sha256={hashes[path]},{len(text)}\n" for path, text in files.items()]
    files[f"{info}/RECORD"] = "".join(rows) + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(packed, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    allowed = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.headers.get("Authorization") != allowed:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body, kind = b"", "text/html"
            if self.path == f"/files/{name}":
                body, kind = packed.getvalue(), "application/octet-stream"
            elif self.path == "/simple/private-lib/":
                body = f'<a href="/files/{name}">{name}</a>'.encode()
            elif self.path == "/simple/uv/":
                with urllib.request.urlopen("https://pypi.org/simple/uv/") as answer:
                    body = answer.read()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@check("a private index is resolved from by URL, netrc and variables, and the password is written nowhere")
def _(context):
    account = context.first
    server = private_index()
    context.at_end(server.shutdown)
    open_url = f"http://127.0.0.1:{server.server_port}/simple"
    secret_url = open_url.replace("//", f"//me:{SECRET}@")
    netrc = os.path.join(account.work, "netrc")
    with open(netrc, "w", encoding="utf-8") as file:
        file.write(f"machine 127.0.0.1 login me password {SECRET}\n")
    account.own(account.work)
    named = f'[project]\nname = "app"\nversion = "1"\ndependencies = ["private-lib"]\n[[tool.uv.index]]\nname = "corp"\nurl = "{open_url}"\n'
    ways = {
        "url": ({"UV_DEFAULT_INDEX": secret_url}, None),
        "netrc": ({"UV_DEFAULT_INDEX": open_url, "NETRC": netrc}, None),
        "variables": ({"UV_INDEX_CORP_USERNAME": "me", "UV_INDEX_CORP_PASSWORD": SECRET}, named),
    }
    for way, (env, pyproject) in ways.items():
        files = {"main.py": MAIN.format(imports="from private_lib import answer\nassert answer == 42")}
        files |= {"pyproject.toml": pyproject} if pyproject else {"requirements.txt": "private-lib\n"}
        project = account.project(f"private-{way}", files)
        store = os.path.join(account.work, f"private-{way}")
        command = ("build", project, "--json", "--port", "8000", "--command", "python main.py", "--store", store)
        done = account.jettison(*command, env=env)
        again = account.jettison(*command, "--locked", env=env)
        for said in (done, again):
            expect(SECRET not in said.stdout + said.stderr, f"{way}: the password is printed")
        for root, _, names in [*os.walk(project), *os.walk(os.path.join(store, "blobs"))]:
            for name in names:
                with open(os.path.join(root, name), "rb") as file:
                    expect(SECRET.encode() not in file.read(), f"{way}: the password is in {name}")
        shutil.rmtree(store, ignore_errors=True)
