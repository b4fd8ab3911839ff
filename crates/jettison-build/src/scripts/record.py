# Run by every interpreter of a verification at its start: appends the path of each Python source that is loaded to a file.
# It imports nothing, keeps no file open, whose number the program might close and use for another, and fails in silence.
def _record():
    import os
    import sys

    # As they are now: some libraries put others in their place.
    open_, write, close = os.open, os.write, os.close
    realpath, join, split = os.path.realpath, os.path.join, os.path.split
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
    cached, tag = "/__pycache__/", "." + str(sys.implementation.cache_tag) + "."
    directories = {}
    seen = set()

    def note(path):
        # The interpreter asks for `a/__pycache__/b.cpython-313.pyc` before it reads `a/b.py`, and in place of it.
        if path.endswith(".pyc") and cached in path and tag in path:
            directory, name = path.rsplit(cached, 1)
            path = join(directory, name.rsplit(tag, 1)[0] + ".py")
        if not path.endswith(".py") or path in seen:
            return
        seen.add(path)
        try:
            directory, name = split(path)
            if directory not in directories:
                directories[directory] = realpath(directory)
            line = join(directories[directory], name).encode("utf-8", "surrogateescape")
            out = open_("/.jettison/opened", flags)
            try:
                write(out, line + b"\n")
            finally:
                close(out)
        except Exception:
            pass

    def hook(event, args):
        if event == "open" and args and type(args[0]) is str:
            note(args[0])

    sys.addaudithook(hook)
    # Loaded before the hook was there. What is frozen into the interpreter is never read from a file.
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if type(path) is str and getattr(getattr(module, "__spec__", None), "origin", None) == path:
            note(path)


try:
    _record()
except Exception:
    pass
del _record
