# Compiles sources to unchecked-hash .pyc (PEP 552). Arguments: a file with the path and the SHA-256 of each source, all ended by
# NUL, and a file to write: a byte when the interpreter is up, then for each source in order the length of its .pyc and how much of
# that is code, in four bytes each, little endian, and the .pyc. A source that does not compile has length 0 and nothing more; one that is
# another has length 2**32 - 1.
#
# What comes out for a source must not depend on what else is compiled. From 3.11 on it does not. Before, marshal marks
# names that this process happens to know as shared, so there each source gets a process in the same state.
import importlib.util
import os
import sys
import warnings
from importlib._bootstrap_external import _code_to_hash_pyc

try:
    from _sha2 import sha256
except ImportError:
    try:
        from _sha256 import sha256
    except ImportError:
        from hashlib import sha256


def code_bytes(code):
    inner = (constant for constant in code.co_consts if isinstance(constant, type(code)))
    # Up to 3.10 there were no caches in it, and it was half as long.
    return len(code.co_code) * (1 if sys.version_info >= (3, 11) else 2) + sum(map(code_bytes, inner))


def compiled(path, digest):
    try:
        with open(path, "rb") as f:
            source = f.read()
    except OSError:
        return None
    if sha256(source).hexdigest().encode() != digest:
        return None
    try:
        code = compile(source, os.fsdecode(path), "exec", dont_inherit=True, optimize=0)
        pyc = bytes(_code_to_hash_pyc(code, importlib.util.source_hash(source), False))
        return code_bytes(code).to_bytes(4, "little") + pyc
    # A template, a leftover of Python 2, a test of the parser.
    except Exception:
        return b""


def write(out, pyc):
    if pyc is None:
        out.write(b"\xff" * 4)
    else:
        out.write(max(len(pyc) - 4, 0).to_bytes(4, "little") + pyc)
    out.flush()


def main():
    warnings.simplefilter("ignore")
    with open(sys.argv[1], "rb") as f:
        words = f.read().split(b"\0")[:-1]
    with open(sys.argv[2], "wb") as out:
        out.write(b"\n")
        out.flush()
        for path, digest in zip(words[::2], words[1::2]):
            if sys.version_info >= (3, 11):
                write(out, compiled(path, digest))
                continue
            child = os.fork()
            if child == 0:
                write(out, compiled(path, digest))
                os._exit(0)
            if os.waitpid(child, 0)[1] != 0:
                write(out, b"")


main()
