#!/usr/bin/env python3
"""Builds every case of cases/ and compares what comes out, file by file and field by field.

1. Without --peers: jettison against the facts that the case files hold. Needs no network, no privileges and no tools but git.
2. With --peers, as root: the facts against a current BuildKit and a buildah as well, which are set up from Debian packages.
3. What differs, and is known to, is in differences.txt line by line; it has to differ in just these lines.
4. With --record: a peer writes the facts of the cases that have none.

The last line is `N passed, N failed`; the exit status is 1 when one failed.
"""

import argparse
import concurrent.futures
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback

sys.dont_write_bytecode = True
import builders  # noqa: E402
import cases  # noqa: E402
import images  # noqa: E402
import peer  # noqa: E402
import servers  # noqa: E402
import trees  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FAILED_TO_BUILD, BUILT = "it does not build", "it builds"


class Differences:
    """differences.txt: `BUILDER CASE: why`, then the lines that differ, `-` as expected and `+` as found.

    The builder is `buildkit`, `buildah`, `jettison`, `rootless`, which is jettison as an ordinary user, or `one-id`, which is as one
    who has no subordinate ids.
    """

    def __init__(self, path):
        self.known = {}
        entry = None
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                line = line.rstrip("\n")
                if not line.strip() or line.startswith("#"):
                    continue
                if line.startswith(("-", "+")):
                    if entry is None:
                        raise cases.CaseError(f"{path}:{number}: a line of no difference")
                    entry.append(line)
                else:
                    head, colon, why = line.partition(": ")
                    builder, _, name = head.partition(" ")
                    if not (colon and why and name):
                        raise cases.CaseError(f"{path}:{number}: wanted `BUILDER CASE: why`")
                    entry = self.known.setdefault((builder, name), [])

    def of(self, builder, case):
        return [line for key in builder.keys for line in self.known.get((key, case.name), [])]


class Result:
    """What a builder made of a case: facts, or that it failed."""

    def __init__(self, status, said, facts=None):
        self.status, self.said, self.facts = status, said, facts


class Runner:
    """Builds cases, each in a directory of its own."""

    def __init__(self, work, options, images_, server):
        self.work, self.options, self.images, self.server = work, options, images_, server
        self.lock, self.count = threading.Lock(), 0

    def build(self, builder, case):
        with self.lock:
            self.count += 1
            directory = os.path.join(self.work, "places", str(self.count))
        os.makedirs(directory)
        try:
            place = cases.Place(case, directory, self.server)
            out = os.path.join(directory, "out.tar")
            if builder.account:
                builder.give(directory)
            status, said = builder.build(place, out)
            if status != 0:
                return Result(status, said)
            built = images.Built(out, self.images)
            facts = tuple([self.general(line, place) for line in lines] for lines in built.facts(case))
            return Result(status, said, facts)
        finally:
            if not self.options.keep:
                shutil.rmtree(directory, ignore_errors=True)

    @staticmethod
    def general(line, place):
        """A line without what changes from run to run."""
        return line.replace(place.served, "{http}").replace(place.outside, "{outside}")


def differing(case, result, ours):
    """What differs from the case's facts, as lines with `-` and `+`."""
    if case.fails:
        if result.status == 0:
            return [f"-{FAILED_TO_BUILD}", f"+{BUILT}"]
        wanted = case.lines("fails") if ours else []
        return [f"-says {text}" for text in wanted if text not in result.said]
    if result.status != 0:
        return [f"-{BUILT}", f"+{FAILED_TO_BUILD}"]
    lines = []
    for kind, found in zip(("expect", "config", "history"), result.facts, strict=True):
        expected = case.lines(kind)
        # Buildah's words are its own, and where only it builds there are no others.
        if kind == "history" and case.peer != "buildkit":
            continue
        if kind == "history" and found != expected and set(found) == set(expected):
            lines.append("-history in this order, and so many")
        lines += [f"-{line}" for line in expected if line not in found]
        lines += [f"+{line}" for line in found if line not in expected]
    return lines


def check(runner, builder, case, differences):
    """Returns whether a builder does what the case says, what to print, and the result."""
    try:
        result = runner.build(builder, case)
    except (images.ImageError, trees.TreeError, cases.CaseError) as error:
        return False, f"{type(error).__name__}: {error}", None
    except Exception:  # pylint: disable=broad-except
        return False, traceback.format_exc(), None
    lines = differing(case, result, builder.name.startswith("jettison"))
    known = differences.of(builder, case)
    if lines == known:
        return True, "", result
    if known and not lines:
        return False, "no longer differs: remove it from differences.txt", result
    text = "\n".join(lines)
    if known:
        text += "\nbut differences.txt says:\n" + "\n".join(known)
    if result.status != 0:
        text += f"\nexit status {result.status}:\n{result.said.strip()[-2500:]}"
    return False, text, result


def record(group, case, result):
    """Writes a peer's facts into the case."""
    if result and result.facts and not case.fails:
        for kind, lines in zip(("expect", "config", "history"), result.facts, strict=True):
            if kind != "history" or case.peer == "buildkit":
                case.put(kind, lines)
        group.write()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jettison", help="the binary")
    parser.add_argument("--user", action="append", default=[], help="as root: an ordinary user, who builds everything too")
    parser.add_argument("--peers", action="store_true", help="check the facts against BuildKit and buildah as well")
    parser.add_argument("--peer-root", default="/var/tmp/jettison-peer", help="where the peers live, default: %(default)s")
    parser.add_argument("--suite", action="append", help="the Debian suite of the peers; default: forky, then trixie")
    parser.add_argument("--only", help="only cases whose name has this in it")
    parser.add_argument("--record", action="store_true", help="write the facts that cases lack, as the peer has them")
    parser.add_argument("--rewrite", action="store_true", help="with --record: also those that they have")
    parser.add_argument("--busybox", help="a static busybox; default: the machine's, or Debian's")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="builds at once, default: %(default)s")
    parser.add_argument("--keep", action="store_true", help="leave the work directory")
    parser.add_argument("--verbose", action="store_true", help="also print what passed, with the reasons of what had to fail")
    options = parser.parse_args()
    if options.peers and os.geteuid() != 0:
        parser.error("--peers needs root")
    if not options.jettison and not options.peers:
        parser.error("wanted --jettison, --peers or both")

    groups = cases.read(os.path.join(HERE, "cases"))
    differences = Differences(os.path.join(HERE, "differences.txt"))
    wanted = [(group, case) for group in groups for case in group.cases if (options.only or "") in case.name]
    # Short, since sockets live below it.
    work = tempfile.mkdtemp(prefix="jd-", dir="/var/tmp")
    os.chmod(work, 0o755)
    cache = os.path.join(work, "cache")
    os.makedirs(cache)
    machine = server = None
    passed = failed = 0
    begun = time.monotonic()
    try:
        given = options.busybox
        if options.peers and not given:
            print(f"peers: {peer.make(options.peer_root, options.suite or peer.SUITES)}", file=sys.stderr)
            given = os.path.join(options.peer_root, "usr/bin/busybox")
        made = images.Images(images.find_busybox(cache, given))
        server = servers.Server(work, made.served)
        server.start_agent()
        able = []
        if options.peers:
            machine = peer.Machine(options.peer_root, work, server.address).start()
            able += [builders.BuildKit(machine), builders.Buildah(machine, server.address)]
        if options.jettison:
            able += [
                builders.Jettison(options.jettison, work, server.address, user)
                for user in [None, *options.user]
            ]
        print("; ".join(builder.version() for builder in able), file=sys.stderr)
        runner = Runner(work, options, made, server)
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            tasks = []
            for group, case in wanted:
                for builder in able:
                    if builder.name.startswith("jettison") or builder.name == case.peer:
                        tasks.append((group, case, builder, pool.submit(check, runner, builder, case, differences)))
            for group, case, builder, task in tasks:
                good, text, result = task.result()
                unknown = not case.fails and not any(case.one(kind) for kind in ("expect", "config", "history"))
                if options.record and (unknown or options.rewrite) and builder.name == case.peer:
                    record(group, case, result)
                    good, text = result is not None and result.facts is not None, text if result else text
                passed, failed = passed + good, failed + (not good)
                if not good:
                    print(f"FAILED  {builder.name}: {case.name}: {case.title}")
                    print("        " + text.strip().replace("\n", "\n        "), flush=True)
                elif options.verbose:
                    # Of a build that has to fail, why it did is what matters.
                    why = result.said.strip().splitlines()[-1:] if case.fails else []
                    print(f"ok      {builder.name}: {case.name} {''.join(why)}", flush=True)
    finally:
        if machine:
            machine.stop()
        if server:
            server.stop()
        if options.keep:
            print(f"kept: {work}", file=sys.stderr)
        else:
            shutil.rmtree(work, ignore_errors=True)
    print(f"{len(wanted)} cases, {time.monotonic() - begun:.0f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
