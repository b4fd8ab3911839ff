# Builds a wheel with a build backend (PEP 517). Argument: a JSON file with the backend and its path, the directory of the build environment,
# the source tree, where the wheel goes, and where to write the result. Where it holds "requires" the backend is asked first what else it
# needs, in a process and on a tree of its own; if that is more, nothing is built and the result says what it is.
import importlib
import json
import os
import site
import sys


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
    """Lets distutils compile the sources of one extension at a time on each core. The order of objects, and so the result, stays."""
    cores = len(os.sched_getaffinity(0))
    if cores < 2 or "setuptools" not in sys.modules:
        return
    for package in ("distutils", "setuptools._distutils"):
        try:
            base = importlib.import_module(package + ".ccompiler").CCompiler
            unix = importlib.import_module(package + ".unixccompiler").UnixCCompiler
        except (ImportError, AttributeError):
            continue
        if base.compile.__module__ != __name__:
            base.compile = on_all_cores(base.compile, unix._compile, cores)


def on_all_cores(one_by_one, plain, cores):
    def compile(self, sources, output_dir=None, macros=None, include_dirs=None, debug=0,
                extra_preargs=None, extra_postargs=None, depends=None):
        # Whoever has a way of their own to compile one source may count on doing it alone.
        if getattr(type(self), "_compile", None) is not plain or "_compile" in vars(self) or len(sources) < 2:
            return one_by_one(self, sources, output_dir, macros, include_dirs, debug,
                              extra_preargs, extra_postargs, depends)
        from threading import Thread

        macros, objects, extra_postargs, options, build = self._setup_compile(
            output_dir, macros, include_dirs, sources, depends, extra_postargs)
        arguments = self._get_cc_args(options, debug, extra_preargs)
        waiting = iter([o for o in objects if o in build])
        failed = {}

        def work():
            # Iterators of lists are safe to share. All is compiled even after a failure: the output then names everything that is missing.
            for object in waiting:
                source, ending = build[object]
                try:
                    self._compile(object, source, ending, arguments, extra_postargs, options)
                except BaseException as error:
                    failed[object] = error

        threads = [Thread(target=work) for _ in range(cores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for object in objects:
            if object in failed:
                raise failed[object]
        return objects

    return compile


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
