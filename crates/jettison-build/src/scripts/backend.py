# Calls one hook of a build backend (PEP 517). Argument: a JSON file with the hook, its arguments, the backend and its path, the
# directory of the build environment, and where to write the result.
import importlib
import json
import os
import site
import sys

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
hook = getattr(backend, call["hook"], None)
result = None if hook is None else hook(*call["arguments"])
with open(call["result"], "w") as f:
    json.dump(result, f)
