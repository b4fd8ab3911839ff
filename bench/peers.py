"""The builders that are measured, and the daemons that they need. Each builder has the same four verbs:

- `prepare(base_tar)` once: start what has to run, take in the base image.
- `forget()`: drop everything derived, as on a machine that has never built this, but for the base image.
- `build(project, name)`: build a directory and push the result under a name.
- `peak_rss()`: the most memory that one of its processes held, in bytes.

Every daemon is started here, by its path, below the work directory, and is ended by its process id.
"""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
# The two-stage Dockerfile that the builders are compared on, where nothing else is said.
DOCKERFILE = os.path.join(HERE, "Dockerfile")


def run(argv, env=None, **more):
    """Runs a command to its end; raises with its output when it fails."""
    done = subprocess.run(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: exit status {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


class Daemon:
    """A process that runs until `stop`; its output goes to a file."""

    def __init__(self, argv, log, ready, env=None):
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        deadline = time.monotonic() + 60
        while not ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                with open(log, encoding="utf-8", errors="replace") as file:
                    raise RuntimeError(f"{argv[0]} did not start:\n{file.read()[-3000:]}")
            time.sleep(0.05)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def answers(url):
    try:
        urllib.request.urlopen(url, timeout=1).close()
        return True
    except OSError:
        return False


class Registry:
    """Debian's docker-registry. `wipe` gives an empty one."""

    def __init__(self, work, port):
        self.address = f"127.0.0.1:{port}"
        self.work = os.path.join(work, "registry")
        self.daemon = None
        self.wipe()

    def wipe(self):
        self.stop()
        shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work)
        config = os.path.join(self.work, "config.json")
        with open(config, "w", encoding="utf-8") as file:
            storage = {"filesystem": {"rootdirectory": os.path.join(self.work, "data")}}
            log = {"level": "error", "accesslog": {"disabled": True}}
            json.dump({"version": 0.1, "log": log, "storage": storage, "http": {"addr": self.address}}, file)
        argv = ["docker-registry", "serve", config]
        self.daemon = Daemon(argv, os.path.join(self.work, "log"), lambda: answers(f"http://{self.address}/v2/"))

    def stop(self):
        if self.daemon:
            self.daemon.stop()

    def manifest(self, name):
        """The manifest of `host/repository:tag`."""
        repository, tag = name.split("/", 1)[1].rsplit(":", 1)
        types = ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"]
        url = f"http://{self.address}/v2/{repository}/manifests/{tag}"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": ", ".join(types)})) as answer:
            return json.load(answer)

    def sizes(self, name):
        """Bytes compressed and unpacked of an image's layers, and their number."""
        layers = self.manifest(name)["layers"]
        repository = name.split("/", 1)[1].rsplit(":", 1)[0]
        unpacked = 0
        for layer in layers:
            url = f"http://{self.address}/v2/{repository}/blobs/{layer['digest']}"
            with urllib.request.urlopen(url) as blob:
                data = blob.read()
            # A gzip stream may have several members.
            while data:
                member = zlib.decompressobj(31)
                unpacked += len(member.decompress(data))
                data = member.unused_data
        return sum(layer["size"] for layer in layers), unpacked, len(layers)


class Watch:
    """Notes the high-water mark of a process's resident memory while it runs."""

    def __init__(self, pid):
        self.pid, self.peak, self.over = pid, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        while not self.over.wait(0.02):
            self.peak = max(self.peak, high_water(self.pid))

    def stop(self):
        self.over.set()
        self.thread.join()
        return self.peak


def high_water(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            rows = [line.split()[1] for line in file if line.startswith("VmHWM:")]
        return int(rows[0]) * 1024 if rows else 0
    except OSError:
        return 0


class Docker:
    """dockerd with its BuildKit."""

    name = "BuildKit"

    def __init__(self, work, registry):
        self.root = os.path.join(work, "docker")
        os.makedirs(self.root)
        self.registry, self.daemon, self.peak = registry, None, 0
        self.socket = f"unix://{self.root}/s"
        self.env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": self.root, "DOCKER_BUILDKIT": "1"}
        self.base = f"{registry.address}/base:1"

    def version(self):
        return run(
            ["/usr/bin/docker", "-H", self.socket, "version", "-f", "dockerd {{.Server.Version}}"], self.env
        ).strip()

    def docker(self, *argv):
        return run(["/usr/bin/docker", "-H", self.socket, *argv], self.env)

    def prepare(self, base_tar):
        flags = ["--data-root", "data", "--exec-root", "exec", "--pidfile", "pid"]
        flags = [os.path.join(self.root, flag) if index % 2 else flag for index, flag in enumerate(flags)]
        off = ["iptables", "ip6tables", "ip-forward", "ip-masq", "userland-proxy"]
        flags += [f"--{name}=false" for name in off] + ["--bridge=none", "--storage-driver=overlay2"]
        flags += ["--insecure-registry", self.registry.address]

        def ready():
            try:
                return bool(self.docker("version"))
            except RuntimeError:
                return False

        self.daemon = Daemon(
            ["/usr/sbin/dockerd", "-H", self.socket, *flags], os.path.join(self.root, "log"), ready, self.env
        )
        self.docker("import", base_tar, self.base)

    def forget(self):
        listing = self.docker("images", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}")
        rows = [row.split() for row in listing.splitlines()]
        base = next(image for image, name in rows if name == self.base)
        others = {image for image, _ in rows} - {base}
        if others:
            self.docker("rmi", "-f", *others)
        self.docker("builder", "prune", "-af")

    def build(self, project, name, dockerfile=DOCKERFILE, push=True):
        argument = f"BASE={self.base}"
        self.docker("build", "-q", "--network=host", "-f", dockerfile, "--build-arg", argument, "-t", name, project)
        if push:
            self.docker("push", "-q", name)

    def peak_rss(self):
        return high_water(self.daemon.process.pid)

    def stop(self):
        if self.daemon:
            self.daemon.stop()


class CurrentDocker(Docker):
    """A newer dockerd with the image store that writes OCI archives, on the machine of tests/dockerfile/peer.py; it sees the
    work directory alone."""

    name = "current BuildKit"

    def __init__(self, work, registry, machine):
        super().__init__(work, registry)
        self.machine = machine

    def version(self):
        return "current: " + self.docker("version", "-f", "dockerd {{.Server.Version}}").strip()

    def docker(self, *argv):
        return run(self.machine.argv("docker", *argv), self.machine.environment)

    def prepare(self, base_tar):
        self.machine.start()
        self.docker("import", base_tar, self.base)

    def archive(self, project, name, path, dockerfile=DOCKERFILE):
        """Builds, and writes an OCI archive."""
        argv = ["--network=host", "--provenance=false", "-f", dockerfile, "--build-arg", f"BASE={self.base}"]
        self.docker("buildx", "build", "-q", *argv, f"--output=type=oci,dest={path}", project)

    def peak_rss(self):
        return high_water(self.machine.process.pid)

    def stop(self):
        self.machine.stop()


class Buildah:
    """buildah with its layer cache."""

    name = "buildah"

    def __init__(self, work, registry):
        self.root = os.path.join(work, "buildah")
        os.makedirs(self.root)
        self.registry, self.peak = registry, 0
        self.base = "localhost/base:1"
        self.flags = ["--root", f"{self.root}/root", "--runroot", f"{self.root}/run", "--storage-driver", "overlay"]
        self.env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": self.root}

    def version(self):
        return " ".join(run(["buildah", "--version"]).split()[:3])

    def buildah(self, *argv):
        process = subprocess.Popen(
            ["buildah", *self.flags, *argv], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.peak = max(self.peak, usage.ru_maxrss * 1024)
        if process.returncode != 0:
            raise RuntimeError(f"buildah {argv[0]}: exit status {process.returncode}\n{output[-4000:]}")
        return output

    def prepare(self, base_tar):
        container = self.buildah("from", "scratch").split()[-1]
        self.buildah("add", container, base_tar, "/")
        self.buildah("commit", "--rm", container, self.base)
        self.peak = 0

    def forget(self):
        images = json.loads(self.buildah("images", "--all", "--json"))
        others = [image["id"] for image in images if self.base not in (image.get("names") or [])]
        if others:
            self.buildah("rmi", "-f", *others)

    def build(self, project, name, dockerfile=DOCKERFILE, push=True):
        argument = f"BASE={self.base}"
        flags = ["--layers", "--network=host", "--pull=never", "--runtime=/usr/sbin/runc", "-q"]
        self.buildah("build", *flags, "-f", dockerfile, "--build-arg", argument, "-t", name, project)
        if push:
            self.buildah("push", "-q", "--tls-verify=false", name)

    def archive(self, project, name, path, dockerfile=DOCKERFILE):
        """Builds, and writes an OCI archive."""
        self.build(project, name, dockerfile, push=False)
        self.buildah("push", "-q", name, f"oci-archive:{path}")

    def peak_rss(self):
        return self.peak

    def stop(self):
        pass


class Jettison:
    """What all of this is about."""

    name = "jettison"

    def __init__(self, work, registry, program, mirror):
        self.root = os.path.join(work, "jettison")
        os.makedirs(self.root)
        self.program, self.registry, self.mirror, self.peak = os.path.abspath(program), registry, mirror, 0
        self.store = os.path.join(self.root, "store")
        self.env = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": self.root,
            "http_proxy": mirror,
            "no_proxy": "127.0.0.1",
            # For a private CA of the machine, and for nothing that ends up in an image.
            **{name: os.environ[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ},
        }
        self.arguments = ["--no-verify"]
        self.last = {}

    def version(self):
        return run([self.program, "--version"], self.env).strip()

    def prepare(self, base_tar):
        pass

    def forget(self):
        shutil.rmtree(self.store, ignore_errors=True)

    def build(self, project, name):
        argv = [self.program, "build", project, "--store", self.store, "--index-url", f"{self.mirror}/simple", "--json"]
        argv += ["-t", name, "--push", "--insecure-registry", self.registry.address, *self.arguments]
        process = subprocess.Popen(argv, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        watch = Watch(process.pid)
        output, errors = process.communicate()
        self.peak = max(self.peak, watch.stop())
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: exit status {process.returncode}\n{errors[-4000:]}")
        self.last = json.loads(output)

    def peak_rss(self):
        return self.peak

    def stop(self):
        pass
