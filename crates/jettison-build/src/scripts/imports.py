# Imports modules one after the other and writes a JSON line when it begins with one and when it is done. Arguments: a file with
# the names, one a line, and the file to append to. What is imported may do anything: print, exit, fork, close files.
import os
import sys


def failed(name, error):
    import json
    import traceback

    # What is missing may be hidden behind the error that says what to do about it.
    missing, cause = None, error
    for _ in range(20):
        if isinstance(cause, ModuleNotFoundError) and isinstance(cause.name, str):
            missing = cause.name
            break
        if cause is None:
            break
        cause = cause.__cause__ or cause.__context__
    try:
        said = str(error)
    except Exception:
        said = ""
    # Without the frame of this file.
    frames = error.__traceback__ and error.__traceback__.tb_next
    try:
        shown = "".join(traceback.format_exception(type(error), error, frames))
    except Exception:
        shown = f"{type(error).__name__}: {said}"
    standard = getattr(sys, "stdlib_module_names", ())
    row = {
        "module": name,
        "state": "failed",
        "kind": type(error).__name__,
        "error": said,
        "missing": missing,
        "standard": bool(missing) and missing.partition(".")[0] in standard,
        "traceback": shown,
    }
    return json.dumps(row)


def main():
    wanted, written = sys.argv[1:3]
    with open(wanted, encoding="utf-8") as f:
        modules = f.read().split("\n")
    # Nothing beside this script is a module.
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(wanted)]
    sys.argv[:] = [""]
    me, open_, write, close, getpid, exit_ = os.getpid(), os.open, os.write, os.close, os.getpid, os._exit
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC

    def say(line):
        out = open_(written, flags)
        try:
            write(out, line.encode("utf-8", "backslashreplace") + b"\n")
        finally:
            close(out)

    for name in modules:
        say('{"module": "%s", "state": "importing"}' % name)
        line = '{"module": "%s", "state": "imported"}' % name
        try:
            __import__(name)
        except BaseException as error:
            line = failed(name, error)
        if getpid() != me:
            exit_(0)
        say(line)
    # What was imported may have left threads that never end.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    exit_(0)


if __name__ == "__main__":
    main()
