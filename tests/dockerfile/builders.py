"""The builders that take a case: BuildKit and buildah of a peer machine, and jettison as one account or another.

Each has a `name` and `build(place, out)`, which returns the exit status and what was said; with status 0 there is an OCI layout
in a tar at `out`.
"""

import os
import pwd
import shutil
import subprocess

NETWORK_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TIMEOUT = 120


def finished(argv, **more):
    """Exit status and output of a program, which is ended when it takes too long."""
    try:
        done = subprocess.run(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT, check=False, **more
        )
        return done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"").decode(errors="replace")
        return 124, f"{said}\n(killed after {TIMEOUT} s)"


class Builder:
    """What all of them do with a case's input."""

    account = None
    # The names under which differences.txt speaks of it.
    keys = ()

    @staticmethod
    def piped(stdin):
        return {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}


class BuildKit(Builder):
    """dockerd's BuildKit, by `docker buildx build`."""

    name = "buildkit"
    keys = ("buildkit",)

    def __init__(self, machine):
        self.machine = machine

    def version(self):
        said = self.machine.run("docker", "version", "--format", "dockerd {{.Server.Version}}").stdout
        return said.decode().strip().splitlines()[-1]

    def build(self, place, out):
        context, stdin = place.input()
        argv = ["docker", "buildx", "build", "--network=host", "--progress=plain", "--provenance=false"]
        argv += [f"--output=type=oci,dest={out}", *place.options(), context]
        environment = self.machine.environment | place.environment()
        return finished(self.machine.argv(*argv), env=environment, cwd="/", **self.piped(stdin))


class Buildah(Builder):
    """buildah, with a store of its own."""

    name = "buildah"
    keys = ("buildah",)

    def __init__(self, machine, registry):
        self.machine, self.store = machine, os.path.join(machine.work, "buildah")
        os.makedirs(self.store)
        registries = os.path.join(self.store, "registries.conf")
        with open(registries, "w", encoding="utf-8") as file:
            file.write(
                'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "permissive"\n'
                '[[registry]]\nprefix = "docker.io"\nlocation = "docker.io"\n'
                f'[[registry.mirror]]\nlocation = "{registry}"\ninsecure = true\n'
            )
        # It would raise limits, which a container of CI's may not.
        containers = os.path.join(self.store, "containers.conf")
        with open(containers, "w", encoding="utf-8") as file:
            file.write('[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n')
        policy = os.path.join(self.store, "policy.json")
        with open(policy, "w", encoding="utf-8") as file:
            file.write('{"default": [{"type": "insecureAcceptAnything"}]}\n')
        self.environment = {"CONTAINERS_REGISTRIES_CONF": registries, "CONTAINERS_CONF": containers}
        self.flags = ["--root", f"{self.store}/root", "--runroot", f"{self.store}/run", "--storage-driver=overlay"]
        self.policy = policy

    def version(self):
        return " ".join(self.machine.run("buildah", "--version").stdout.decode().split()[:3])

    def build(self, place, out):
        context, stdin = place.input()
        argv = ["buildah", *self.flags, "build", "--network=host", "--isolation=oci", "--runtime=/usr/sbin/runc"]
        argv += [f"--signature-policy={self.policy}", "--format=oci", "--layers", "--identity-label=false", "--tag", f"oci-archive:{out}"]
        environment = self.machine.environment | self.environment | place.environment()
        return finished(self.machine.argv(*argv, *place.options(), context), env=environment, cwd="/", **self.piped(stdin))


def has_subordinate_ids(name):
    """Whether a user has ids besides its own, and a way to map them (subuid(5), newuidmap(1))."""
    for path in ("/etc/subuid", "/etc/subgid"):
        try:
            with open(path, encoding="utf-8") as file:
                if not any(line.startswith(f"{name}:") for line in file):
                    return False
        except FileNotFoundError:
            return False
    return shutil.which("newuidmap") is not None


class Jettison(Builder):
    """What all of this is about."""

    def __init__(self, program, work, registry, user):
        entry = pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
        own = entry.pw_uid == os.geteuid()
        self.name = "jettison" if own else f"jettison as {user}"
        self.account = None if own else (entry.pw_uid, entry.pw_gid)
        self.keys = ("jettison",)
        if entry.pw_uid:
            self.keys += ("rootless",) if has_subordinate_ids(entry.pw_name) else ("rootless", "one-id")
        self.registry, self.home = registry, os.path.join(work, f"home-{entry.pw_name}")
        os.makedirs(self.home)
        # The binary may lie where only its owner can reach it.
        self.program = shutil.copy2(program, os.path.join(self.home, "jettison"))
        os.chmod(self.program, 0o755)
        self.environment = {"PATH": NETWORK_PATH, "HOME": self.home, "JETTISON_STORE": os.path.join(self.home, "store")}
        self.give(self.home)

    def version(self):
        return finished([self.program, "--version"], env=self.environment)[1].strip()

    def give(self, path):
        """Makes a tree this account's."""
        if self.account:
            for root, directories, files in os.walk(path):
                for name in [".", *directories, *files]:
                    path = os.path.join(root, name)
                    mode = os.lstat(path).st_mode
                    os.chown(path, *self.account, follow_symlinks=False)
                    # A new owner takes the bits away that let others be the owner.
                    if mode & 0o6000 and not os.path.islink(path):
                        os.chmod(path, mode & 0o7777)

    def build(self, place, out):
        context, stdin = place.input()
        argv = [self.program, "build", f"--registry-mirror=docker.io={self.registry}", "--insecure-registry", self.registry]
        argv += [f"--output=type=oci,dest={out}", *place.options(), context]
        ids = {"user": self.account[0], "group": self.account[1], "extra_groups": []} if self.account else {}
        environment = self.environment | place.environment()
        return finished(argv, env=environment, cwd=self.home, **self.piped(stdin), **ids)
