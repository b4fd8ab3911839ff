#!/usr/bin/env python3
"""Runs `jettison lint` with the installed ShellCheck over the Dockerfiles of shellcheck.cases.

1. What is found has to be what the case says, at its place in the Dockerfile; of a script that cannot be parsed only the line counts,
   since versions of ShellCheck differ there.
2. Where the case says what the fixes make of it, they have to.
3. One process of ShellCheck has to do for one Dockerfile.

The last line is `N passed, N failed`; the exit status is 1 when one failed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import check_hadolint  # noqa: E402

CASES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shellcheck.cases")
# A parse error is followed by as many notes as a version likes.
PARSE_ERRORS = range(1000, 2000)


def lint(program, path, *options):
    command = [program, "lint", "--select", "shellcheck", "--fail-on", "never", *options, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"exit status {done.returncode}: {done.stderr}")
    return done.stdout


def found(text):
    places = []
    for finding in json.loads(text)["findings"]:
        code = next(alias for alias in finding["aliases"] if alias.startswith("SC"))
        is_parse_error = int(code[2:]) in PARSE_ERRORS
        places.append("parse error" if is_parse_error else f"{code} {finding['line']}:{finding['column']}")
    return sorted(set(places))


def expected(section):
    lines = [line for line in section.split("\n") if line]
    return sorted({"parse error" if int(line[2:6]) in PARSE_ERRORS else line for line in lines})


def check(program, case, directory):
    path, _ = check_hadolint.write(directory, case)
    faults = []
    is_, should = found(lint(program, path, "--format", "json")), expected(case.sections["found"])
    if is_ != should:
        faults.append(f"found {is_}, expected {should}")
    if "fixed" in case.sections:
        lint(program, path, "--unsafe-fixes")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if text != case.sections["fixed"]:
            faults.append(f"the fixes made:\n{text}")
    return faults


def counts_processes(program, real, directory):
    """A stand-in for ShellCheck notes each start, and goes on as the real one."""
    log, stand_in = os.path.join(directory, "starts"), os.path.join(directory, "stand-in")
    with open(stand_in, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\necho started >>{log}\nexec {real} "$@"\n')
    os.chmod(stand_in, 0o755)
    path = os.path.join(directory, "Dockerfile")
    with open(path, "w", encoding="utf-8") as file:
        file.write("FROM debian:12-slim\nRUN echo $a\nRUN echo $b\nFROM debian:12-slim\nRUN echo $a\n")
    places = found(lint(program, path, "--format", "json", "--shellcheck", stand_in))
    with open(log, encoding="utf-8") as file:
        starts = len(file.readlines())
    if (len(places), starts) != (3, 1):
        return [f"{len(places)} findings and {starts} processes"]
    return []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jettison", default="target/release/jettison", help="the program [default: %(default)s]")
    options = parser.parse_args()
    program, real = os.path.abspath(options.jettison), shutil.which("shellcheck")
    if real is None:
        sys.exit("error: ShellCheck is not installed: apt-get install shellcheck")
    _, cases = check_hadolint.read(CASES)
    passed = failed = 0
    with tempfile.TemporaryDirectory() as directory:
        checks = [(case.name, lambda case=case: check(program, case, directory)) for case in cases]
        checks.append(("one-process", lambda: counts_processes(program, real, directory)))
        for name, run in checks:
            try:
                faults = run()
            except (RuntimeError, ValueError, KeyError) as error:
                faults = [repr(error)]
            passed, failed = passed + (not faults), failed + bool(faults)
            for fault in faults:
                print(f"FAILED  {name}: {fault}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
