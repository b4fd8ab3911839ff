"""The runner: checks, the accounts they run as, and the few verbs they share.

A check is a function with `@check`; it fails by raising. They run in the order in which they stand, since later ones use the
images that earlier ones built. A check whose images were not built fails too, and says so: nothing is skipped.
"""

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request

CHECKS = []
# What a machine needs to reach the network; nothing else of the caller's environment is passed on.
NETWORK = (
    "http_proxy https_proxy no_proxy all_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY SSL_CERT_FILE SSL_CERT_DIR"
)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Failure(Exception):
    """A check does not hold."""


def expect(condition, message):
    if not condition:
        raise Failure(message)


def check(name):
    """Registers a check under a sentence that says what holds."""

    def register(function):
        CHECKS.append((name, function))
        return function

    return register


class Done:
    """A process that has ended."""

    def __init__(self, argv, status, stdout, stderr, seconds):
        self.argv, self.status, self.stdout, self.stderr, self.seconds = argv, status, stdout, stderr, seconds

    def __str__(self):
        tail = (self.stderr or self.stdout)[-3000:]
        return f"`{' '.join(self.argv)}` ended with {self.status} after {self.seconds:.1f} s:\n{tail}"


class Account:
    """Who runs jettison: a user with a directory of its own, which holds a copy of the examples and a store."""

    def __init__(self, name, program, examples, work):
        entry = pwd.getpwnam(name)
        self.name, self.uid, self.gid, self.program = name, entry.pw_uid, entry.pw_gid, program
        self.work = os.path.join(work, name)
        self.store = os.path.join(self.work, "store")
        self.examples = os.path.join(self.work, "examples")
        os.mkdir(self.work)
        os.mkdir(os.path.join(self.work, "home"))
        shutil.copytree(examples, self.examples, symlinks=True)
        self.own(self.work)
        self.images = {}

    def own(self, path):
        """Gives a tree that the runner made to this account."""
        for root, directories, files in os.walk(path):
            for name in [".", *directories, *files]:
                os.chown(os.path.join(root, name), self.uid, self.gid, follow_symlinks=False)
        return path

    def project(self, name, files):
        """Makes a project of `{path: text}`, in place of any earlier one of this name."""
        root = os.path.join(self.work, "projects", name)
        shutil.rmtree(root, ignore_errors=True)
        for path, text in files.items():
            path = os.path.join(root, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(text if isinstance(text, bytes) else text.encode())
        self.own(os.path.join(self.work, "projects"))
        return root

    def environment(self, more=None):
        environment = {name: os.environ[name] for name in NETWORK.split() if name in os.environ}
        environment |= {"PATH": PATH, "HOME": os.path.join(self.work, "home"), "JETTISON_STORE": self.store}
        return environment | (more or {})

    def start(self, argv, env=None, **more):
        ids = {} if os.geteuid() == self.uid else {"user": self.uid, "group": self.gid, "extra_groups": []}
        return subprocess.Popen(
            argv, env=self.environment(env), cwd=self.work, stdin=subprocess.DEVNULL, text=True, **ids, **more
        )

    def run(self, *argv, env=None, timeout=900):
        """Runs any program to its end."""
        begun = time.monotonic()
        process = self.start(list(argv), env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
            stderr += f"\n(killed after {timeout} s)"
        return Done(list(argv), process.returncode, stdout, stderr, time.monotonic() - begun)

    def jettison(self, *arguments, env=None, status=0):
        """Runs jettison and holds it to an exit status."""
        done = self.run(self.program, *arguments, env=env)
        expect(done.status == status, f"wanted exit status {status}: {done}")
        return done

    def build(self, project, *arguments, env=None):
        """Builds a project; returns the object of `--json`."""
        done = self.jettison("build", project, "--json", *arguments, env=env)
        try:
            return json.loads(done.stdout)
        except ValueError as error:
            raise Failure(f"--json printed something else: {error}\n{done.stdout[:500]}") from None

    def example(self, name):
        """The report of an example that was built earlier."""
        expect(name in self.images, f"{name} was not built as {self.name}, see above")
        return self.images[name]

    @contextlib.contextmanager
    def running_image(self, image, *arguments, command):
        """Runs `command` and a free port in an image with the host's network until the block ends; yields its URL."""
        port = free_port()
        argv = [self.program, "run", "--network", "host", *arguments, image, *command, str(port)]
        with running(self.start(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT), argv):
            yield f"http://127.0.0.1:{port}"

    @contextlib.contextmanager
    def serving(self, project, report, *arguments, network="none"):
        """Runs an image until the block ends; yields the URL at which it is served."""
        port = own = report["command"]["port"]
        argv = [self.program, "run", "--network", network, *arguments]
        if network == "none":
            own = free_port()
            argv += ["--publish", f"127.0.0.1:{own}:{port}"]
        argv.append(project)
        with running(self.start(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT), argv):
            yield f"http://127.0.0.1:{own}"


@contextlib.contextmanager
def running(process, argv):
    """Ends a process with SIGTERM when the block ends; it must have run until then and go when it is told to."""
    try:
        yield process
        expect(process.poll() is None, f"`{' '.join(argv)}` ended by itself with {process.returncode}")
    except Exception as error:
        process.terminate()
        raise Failure(f"{error}\n{drain(process)}") from error
    process.send_signal(signal.SIGTERM)
    drain(process)


def drain(process):
    """Waits for the end, and returns the last of what was printed."""
    try:
        output, _ = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        raise Failure(f"SIGTERM did not end it within 30 seconds\n{(output or '')[-2000:]}") from None
    return (output or "")[-2000:]


def fetch(url, seconds=60, process=None):
    """Fetches a URL as soon as it answers; returns status and body."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except OSError as error:
            gone = process is not None and process.poll() is not None
            if gone or time.monotonic() > deadline:
                raise Failure(f"{url} did not answer: {error}") from None
            time.sleep(0.1)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tool(*argv, env=None, status=0, timeout=300):
    """Runs a tool of the machine, as the caller."""
    expect(shutil.which(argv[0]), f"{argv[0]} is not installed")
    begun = time.monotonic()
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=timeout, check=False)
    done = Done(list(argv), done.returncode, done.stdout, done.stderr, time.monotonic() - begun)
    expect(done.status == status, str(done))
    return done.stdout


class Context:
    """What the checks share."""

    def __init__(self, options, work):
        self.work = work
        program = os.path.join(work, "jettison")
        shutil.copy2(options.jettison, program)
        os.chmod(program, 0o755)
        names = [pwd.getpwuid(os.geteuid()).pw_name] + ([options.user] if options.user else [])
        self.accounts = [Account(name, program, options.examples, work) for name in names]
        self.first = self.accounts[0]
        self.syft = options.syft
        self.ending = contextlib.ExitStack()

    def at_end(self, function):
        """Calls `function` when all checks are over."""
        self.ending.callback(function)

    def directory(self, name):
        """A fresh directory of the runner's own."""
        path = os.path.join(self.work, "scratch", name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path

    def layout(self, example):
        """An OCI layout of an example's image."""
        path = os.path.join(self.first.work, "layouts", example)
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self.first.own(os.path.dirname(path))
            report = self.first.build(
                os.path.join(self.first.examples, example), "-o", f"type=oci,tar=false,dest={path}"
            )
            built = self.first.example(example)["digest"]
            expect(report["digest"] == built, f"written as a layout it is {report['digest']}, not {built}")
        return path


def main(options):
    """Runs the checks; returns how many passed and failed."""
    work = tempfile.mkdtemp(prefix="jp-", dir="/var/tmp")
    os.chmod(work, 0o755)
    passed = failed = 0
    context = None
    try:
        context = Context(options, work)
        for name, function in CHECKS:
            if options.only and options.only not in name:
                continue
            begun = time.monotonic()
            try:
                function(context)
                passed += 1
                print(f"ok      {name} ({time.monotonic() - begun:.1f} s)", flush=True)
            except Exception as error:  # pylint: disable=broad-except
                failed += 1
                text = str(error) if isinstance(error, Failure) else traceback.format_exc()
                print(f"FAILED  {name} ({time.monotonic() - begun:.1f} s)", flush=True)
                print("        " + text.strip().replace("\n", "\n        "), flush=True)
    finally:
        if context:
            context.ending.close()
        if options.keep:
            print(f"kept: {work}", file=sys.stderr)
        else:
            # Sub-uid files and read-only directories are no obstacle to root; to others the store removes its own.
            shutil.rmtree(work, ignore_errors=True)
    return passed, failed
