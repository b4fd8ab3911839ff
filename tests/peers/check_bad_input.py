"""Bad input: one clear error with a place and a hint, the promised exit status, nothing half-written, and the next build
works.
"""

import base64
import hashlib
import io
import os
import zipfile

from harness import check, expect
from servers import dying, registry, tampering

MAIN = (
    'from http.server import HTTPServer, SimpleHTTPRequestHandler\n\nif __name__ == "__main__":\n'
    '    HTTPServer(("0.0.0.0", 8000), SimpleHTTPRequestHandler).serve_forever()\n'
)


def refused(account, project, *says, status=2, env=None, arguments=(), hint=True):
    """Builds, and holds the refusal to its form; `says` are words that the error must have."""
    out = os.path.join(account.work, "refused")
    done = account.jettison(
        "build", project, "--no-verify", "-o", f"type=oci,dest={out}", *arguments, env=env, status=status
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith("error")]
    expect(len(errors) == 1, f"wanted one error, not {len(errors)}: {done}")
    for word in says:
        expect(word in done.stderr, f"the error does not say `{word}`: {done}")
    expect(not hint or "hint" in done.stderr, f"there is no hint: {done}")
    expect(not done.stdout.strip(), f"something is on stdout: {done.stdout}")
    expect("panicked" not in done.stderr, str(done))
    expect(not os.path.exists(out), "something was written although it failed")


def accepted(account, project, *arguments):
    account.build(project, "--no-verify", *arguments)


def wheel(name, members):
    """A wheel of these members, with a RECORD that is true."""
    info = f"{name}-1.0.dist-info"
    members = members | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: check\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text)}\n"
    members[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path, text in members.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return data.getvalue()


@check("a wheel with another hash than the lock's is refused")
def _(context):
    account = context.first
    wrong = "six==1.17.0 --hash=sha256:" + "0" * 64 + "\n"
    project = account.project("wrong-hash", {"requirements.txt": wrong, "main.py": MAIN})
    refused(account, project, "six")
    right = "six==1.17.0 --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274\n"
    accepted(account, account.project("wrong-hash", {"requirements.txt": right, "main.py": MAIN}))


@check("a wheel that climbs out is refused")
def _(context):
    account = context.first
    files = {"requirements.txt": "./evil-1.0-py3-none-any.whl\n", "main.py": MAIN}
    for path in ("../../../evil.py", "/evil.py", "evil/../../evil.py"):
        files["evil-1.0-py3-none-any.whl"] = wheel("evil", {"evil/__init__.py": "", path: "x = 1\n"})
        refused(account, account.project("climbing", files), "evil")
    files["evil-1.0-py3-none-any.whl"] = wheel("evil", {"evil/__init__.py": ""})
    accepted(account, account.project("climbing", files))


@check("a lock for another platform is refused")
def _(context):
    account = context.first
    lock = (
        'lock-version = "1.0"\ncreated-by = "check"\n\n[[packages]]\nname = "pywin32"\nversion = "311"\n\n'
        '[[packages.wheels]]\nname = "pywin32-311-cp313-cp313-win_amd64.whl"\n'
        'url = "https://files.pythonhosted.org/packages/pywin32-311-cp313-cp313-win_amd64.whl"\n'
        f'hashes = {{sha256 = "{"0" * 64}"}}\n'
    )
    refused(account, account.project("platform", {"pylock.toml": lock, "main.py": MAIN}), "pywin32", "Windows")
    accepted(account, account.project("platform", {"main.py": MAIN}))


@check("a syntax error in the entry point is told with its place")
def _(context):
    account = context.first
    broken = MAIN.replace('if __name__ == "__main__":', 'if __name__ == "__main__"')
    refused(account, account.project("syntax", {"main.py": broken}), "main.py:3", hint=False)
    accepted(account, account.project("syntax", {"main.py": MAIN}))


@check("an unknown key in the settings is an error with a suggestion")
def _(context):
    account = context.first
    project = {"main.py": MAIN, "pyproject.toml": "[tool.jettison]\nbytecod = 'none'\n"}
    refused(account, account.project("settings", project), "bytecod", "bytecode", "pyproject.toml")


def fresh_store(account, name):
    return ["--store", os.path.join(account.work, "bad", name)]


def prepared(context):
    """A project of no dependencies, and an account with a directory for stores."""
    account = context.first
    os.makedirs(os.path.join(account.work, "bad"), exist_ok=True)
    account.own(os.path.join(account.work, "bad"))
    return account, account.project("plain", {"main.py": MAIN})


@check("an InRelease with a broken signature is refused")
def _(context):
    account, project = prepared(context)
    store = fresh_store(account, "release")
    with tampering("InRelease", lambda body: body.replace(b"Origin: Debian", b"Origin: Debiam")) as env:
        refused(account, project, "InRelease", env=env, arguments=store)
    accepted(account, project, *store)


@check("a truncated .deb is refused")
def _(context):
    account, project = prepared(context)
    store = fresh_store(account, "deb")
    with tampering(".deb", lambda body: body[: len(body) // 2]) as env:
        refused(account, project, ".deb", env=env, arguments=store)
    accepted(account, project, *store)


@check("an altered .deb is refused")
def _(context):
    account, project = prepared(context)
    store = fresh_store(account, "altered")
    with tampering(".deb", lambda body: body[:-1] + bytes([body[-1] ^ 1])) as env:
        refused(account, project, ".deb", env=env, arguments=store)
    accepted(account, project, *store)


@check("an archive that is down is worth another try")
def _(context):
    account, project = prepared(context)
    env = {"http_proxy": "http://127.0.0.1:9"}
    refused(account, project, status=75, env=env, arguments=fresh_store(account, "down"))
    accepted(account, project, *fresh_store(account, "down"))


@check("a registry that dies in mid-upload leaves nothing behind but a second try")
def _(context):
    account = context.first
    account.example("flask")
    project = os.path.join(account.examples, "flask")
    with registry(context, "dying-registry") as address:
        with dying(address, 3_000_000) as relay:
            arguments = ["-t", f"{relay}/team/app:1", "--push", "--insecure-registry", relay]
            done = account.jettison("build", project, *arguments, status=75)
            errors = [line for line in done.stderr.splitlines() if line.startswith("error")]
            expect(len(errors) == 1, f"wanted one error: {done}")
        account.build(project, "-t", f"{address}/team/app:1", "--push", "--insecure-registry", address)


@check("--locked refuses to resolve, --offline to fetch")
def _(context):
    account = context.first
    project = account.project("unlocked", {"requirements.txt": "six\n", "main.py": MAIN})
    refused(account, project, "lock", arguments=["--locked"])
    refused(account, project, "offline", arguments=["--offline", *fresh_store(account, "offline")])
    accepted(account, project)
    accepted(account, project, "--locked", "--offline")
