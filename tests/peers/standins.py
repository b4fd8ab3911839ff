"""Stand-ins for the base images of Docker Hub, which is not asked: a registry on loopback, given as the mirror of docker.io.

They are made of a Debian root file system by the Dockerfile engine (standins/base.Dockerfile), once for all checks:
python:3.12 and python:3.12-slim, python:3.12-trixie and python:3.12-slim-trixie, debian:trixie and debian:trixie-slim; and for the
distroless image with Python, of gcr.io. Archives of Debian
and of PyPI are fetched through a cache on loopback, as far as the installers let themselves be told.
"""

import contextlib
import os
import shutil
import sys

from harness import PATH, expect, fetch, free_port, tool
from servers import daemon, registry

HERE = os.path.dirname(os.path.abspath(__file__))
SUITE = "trixie"
DEBIAN = "http://deb.debian.org/debian"
# Stages of the Dockerfile, and what they stand for.
IMAGES = {
    "debian": ["library/debian:trixie", "library/debian:trixie-slim"],
    "slim": ["library/python:3.12-slim", "library/python:3.12-slim-trixie", "library/python:3.13-slim-trixie"],
    "full": ["library/python:3.12", "library/python:3.12-trixie"],
    "distroless": ["distroless/python3-debian13:nonroot"],
}


class StandIns:
    """The registry with the bases, and the cache."""

    def __init__(self, context):
        self.context = context
        self.account = context.first
        self.stack = contextlib.ExitStack()
        self.mirror, self.registry = None, None
        self.is_ready = False

    def start(self):
        self.registry = self.stack.enter_context(registry(self.context, "standins-registry"))
        port = free_port()
        program = os.path.join(HERE, "../../bench/mirror.py")
        argv = [sys.executable, program, str(port), os.path.join(self.context.work, "mirror"), "https://pypi.org/simple"]
        process = self.stack.enter_context(daemon(argv, os.path.join(self.context.work, "mirror.log")))
        self.mirror = f"http://127.0.0.1:{port}"
        fetch(f"{self.mirror}/stats", 30, process)

    def make(self):
        """Builds the stand-ins and pushes them."""
        project = self.account.project("bases", {"pip.conf": f"[global]\nindex-url = {self.mirror}/simple\n"})
        for name in os.listdir(os.path.join(HERE, "standins")):
            shutil.copy(os.path.join(HERE, "standins", name), project)
        trusted = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
        shutil.copy(trusted, os.path.join(project, "certificates.crt"))
        # What the slim images leave out.
        excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
        proxy = f'Acquire::http::Proxy "{self.mirror}";'
        hook = f"--customize-hook=printf '{proxy}\\n' > \"$1/etc/apt/apt.conf.d/90mirror\""
        cleaning = '--customize-hook=rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin'
        argv = ["mmdebstrap", "--variant=minbase", f"--aptopt={proxy}", *excluded, hook, cleaning]
        tool(*argv, SUITE, os.path.join(project, "debian.tar"), DEBIAN, env={"PATH": PATH, "HOME": "/root"}, timeout=600)
        self.account.own(project)
        for target, names in IMAGES.items():
            tags = [word for name in names for word in ("-t", f"{self.registry}/{name}")]
            arguments = ["-f", os.path.join(project, "base.Dockerfile"), "--target", target, *tags, "--push"]
            self.account.build(project, *arguments, "--insecure-registry", self.registry)

    def flags(self):
        """What makes jettison take them for the images of Docker Hub and gcr.io."""
        return [word for name in ("docker.io", "gcr.io") for word in ("--registry-mirror", f"{name}=http://{self.registry}")]


MADE = []


def standins(context):
    """What all checks share: made by the first that asks."""
    if not MADE:
        made = StandIns(context)
        MADE.append(made)
        made.start()
        context.at_end(made.stack.close)
        made.make()
        made.is_ready = True
    expect(MADE[0].is_ready, "the stand-ins were not built, see above")
    return MADE[0]
