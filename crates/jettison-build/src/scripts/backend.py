# Builds a wheel with a build backend (PEP 517). Argument: a JSON file with the backend and its path, the directory of the build environment,
# the source tree, where the wheel goes, and where to write the result. Where it holds "requires" the backend is asked first what else it
# needs, in a process and on a tree of its own; if that is more, nothing is built and the result says what it is.
import copy
import importlib
import json
import os
import site
import sys
import threading


def asked(backend, source, directory):
    """What the backend asks for. One whose hook fails says so again when it builds."""
    hook = getattr(backend, "get_requires_for_build_wheel", None)
    if hook is None:
        return []
    answer = os.path.join(directory, "answer.json")
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            import shutil

            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            tree = os.path.join(directory, "source")
            shutil.copytree(source, tree, symlinks=True)
            os.chdir(tree)
            more = hook()
            with open(answer, "w") as f:
                json.dump(more, f)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    try:
        with open(answer) as f:
            return json.load(f) or []
    except (OSError, ValueError):
        return []


def compile_on_all_cores():
    """Lets distutils compile the sources of one extension on all cores. The order of objects, and so the result, stays."""
    cores = len(os.sched_getaffinity(0))
    if cores < 2 or "setuptools" not in sys.modules or not hasattr(sys, "addaudithook"):
        return
    for package in ("distutils", "setuptools._distutils"):
        try:
            base = importlib.import_module(package + ".ccompiler").CCompiler
            unix = importlib.import_module(package + ".unixccompiler").UnixCCompiler
        except (ImportError, AttributeError):
            continue
        if base.compile.__module__ != __name__:
            run = "call" if hasattr(base, "call") else "spawn"
            base.compile = on_all_cores(base.compile, unix._compile, run, cores)


def on_all_cores(one_by_one, plain, run, cores):
    """`compile` as it was, with the commands that are sure to come run ahead. `plain` is the `_compile` that tells them, by calling the
    method `run`. A project may have put a function of its own around that: it is called as ever, in its turn."""
    busy = threading.Lock()

    def expected(self, sources, output_dir, macros, include_dirs, debug, extra_preargs, extra_postargs, depends):
        commands = []
        setattr(self, run, lambda command, **more: commands.append(tuple(command)))
        macros, objects, extra_postargs, options, build = self._setup_compile(
            output_dir, macros, include_dirs, sources, depends, extra_postargs)
        arguments = self._get_cc_args(options, debug, extra_preargs)
        for object in objects:
            if object in build:
                plain(self, object, *build[object], arguments, extra_postargs, options)
        return commands

    def compile(self, sources, output_dir=None, macros=None, include_dirs=None, debug=0,
                extra_preargs=None, extra_postargs=None, depends=None):
        arguments = (sources, output_dir, macros, include_dirs, debug, extra_preargs, extra_postargs, depends)
        is_plain = getattr(type(self), "_compile", None) is plain and run not in vars(self)
        # A project may compile several extensions at once by itself.
        if not is_plain or len(sources) < 2 or not busy.acquire(blocking=False):
            return one_by_one(self, *arguments)
        try:
            ahead = Ahead(expected(copy.copy(self), *arguments), cores)
            really, owner = getattr(self, run), threading.get_ident()

            def run_or_know(command, **more):
                if more or threading.get_ident() != owner or not ahead.knows(tuple(command)):
                    really(command, **more)

            setattr(self, run, run_or_know)
            try:
                return one_by_one(self, *arguments)
            finally:
                delattr(self, run)
                ahead.stop()
        finally:
            busy.release()

    return compile


class Ahead:
    """Commands that are run on all cores as soon as the first of them is asked for. Where anything else happens in between that may change
    what the next one gives, such as another command or a write to a file, nothing is known from then on."""

    def __init__(self, commands, cores):
        self.commands, self.cores = commands, cores
        self.pool, self.workers, self.results = None, set(), {}
        self.is_over = False

    def knows(self, command):
        """Whether a command was run, and well. What it wrote is written now."""
        if not self.is_over and self.pool is None and command in self.commands:
            self.start()
        if self.is_over or command not in self.results:
            self.stop()
            return False
        done = self.results.pop(command).result()
        if done.returncode == 0:
            self.tell(command, done)
            return True
        # Those after it are compiled all the same: the output then names everything that is missing.
        for other in list(self.results):
            later = self.results.pop(other).result()
            if later.returncode != 0:
                self.tell(other, later)
        self.stop()
        return False

    def start(self):
        import subprocess
        from concurrent.futures import ThreadPoolExecutor

        def run(command):
            self.workers.add(threading.get_ident())
            return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

        sys.addaudithook(self.notice)
        self.pool = ThreadPoolExecutor(self.cores)
        self.results = {command: self.pool.submit(run, command) for command in self.commands}

    def notice(self, event, arguments):
        if self.is_over or threading.get_ident() in self.workers:
            return
        if event == "open":
            # Path, mode, flags.
            writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
            self.is_over = isinstance(arguments[2], int) and arguments[2] & writes != 0
        elif event.startswith(("os.", "shutil.", "subprocess.")):
            self.is_over = event not in ("os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.getxattr", "os.listxattr")

    def stop(self):
        self.is_over = True
        if self.pool is not None:
            for result in self.results.values():
                result.cancel()
            # What is being written is written before anybody writes it anew.
            self.pool.shutdown()

    def tell(self, command, done):
        print(*command, flush=True)
        sys.stdout.buffer.write(done.stdout)
        sys.stdout.flush()


with open(sys.argv[1]) as f:
    call = json.load(f)
sys.argv = ["backend"]
os.chdir(call["source"])
before = len(sys.path)
site.addsitedir(call["environment"])
# The environment goes in front of the interpreter's own site directories, the backend's path in front of that.
sys.path[:] = [os.path.join(call["source"], p) for p in call["backend_path"]] + sys.path[before:] + sys.path[:before]
module, _, path = call["backend"].partition(":")
backend = importlib.import_module(module)
for name in path.split(".") if path else []:
    backend = getattr(backend, name)
result = {}
if call["requires"] is not None:
    more = asked(backend, call["source"], call["asking"])
    if any(requirement not in call["requires"] for requirement in more):
        result["requires"] = more
if not result:
    compile_on_all_cores()
    backend.build_wheel(call["wheels"])
with open(call["result"], "w") as f:
    json.dump(result, f)
