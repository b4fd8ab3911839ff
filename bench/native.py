#!/usr/bin/env python3
"""Measures the native build against the two-stage Dockerfile, built by dockerd's BuildKit and by buildah, in one run.

1. A caching mirror on loopback stands between every builder and the network; one untimed round fills it. From then on nothing
   comes from outside (the report counts what did), and that is what "warm package cache" means here, for all sides alike:
   packages arrive at loopback speed, and nothing made of them is there yet.
2. `cold`: a fresh project, a builder that has forgotten all but its base image, an empty registry. Build and push.
3. `nothing`: the same again. `code`: one line of the application changed. `dependency`: one more requirement.
4. Builders take turns within every repetition, in an order that rotates. The report has medians, extremes, and the median of
   the ratios of neighbours.

Needs root and Debian's docker.io, buildah, runc, docker-registry and mmdebstrap.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.dont_write_bytecode = True
from peers import HERE, Buildah, Daemon, Docker, Jettison, Registry, answers, run  # noqa: E402

# Ratio to the slowest acceptable result, as the project has promised.
BARS = {"cold": 3, "nothing": 8, "code": 8, "dependency": 10}
# One for each repetition: small distributions without dependencies.
ADDITIONS = [
    "itsdangerous",
    "blinker",
    "tomli-w",
    "packaging",
    "humanize",
    "tabulate",
    "inflection",
    "pyfiglet",
    "termcolor",
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_base(work, mirror, suite, debian):
    """The stand-in for python:3.x-slim: Debian's Python with pip, venv and headers, as the official image has them."""
    path = os.path.join(work, "base.tar")
    packages = "ca-certificates,python3,python3-pip,python3-venv,libpython3-dev"
    hooks = [
        'ln -s python3 "$1/usr/bin/python"',
        f'printf "[global]\\nindex-url = {mirror}/simple\\n" > "$1/etc/pip.conf"',
        f'printf \'Acquire::http::Proxy "{mirror}";\\n\' > "$1/etc/apt/apt.conf.d/90mirror"',
        'rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin',
        # Debian's headers come with static interpreters that the official image has not.
        'find "$1/usr/lib" -name "libpython*.a" -delete',
    ]
    hooks = [f"--customize-hook={hook}" for hook in hooks]
    # What the slim images leave out.
    hooks += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
    proxy = f'--aptopt=Acquire::http::Proxy "{mirror}"'
    run(["mmdebstrap", "--variant=minbase", f"--include={packages}", proxy, *hooks, suite, path, debian])
    return path


class Projects:
    """The measured project, a copy for every builder."""

    def __init__(self, work):
        self.work = os.path.join(work, "projects")

    def path(self, builder):
        return os.path.join(self.work, builder.name)

    def fresh(self, builder):
        shutil.rmtree(self.path(builder), ignore_errors=True)
        return shutil.copytree(os.path.join(HERE, "app"), self.path(builder))

    def append(self, builder, name, line):
        with open(os.path.join(self.path(builder), name), "a", encoding="utf-8") as file:
            file.write(line + "\n")


class Measurement:
    def __init__(self, builders, registry, projects, mirror):
        self.builders, self.registry, self.projects, self.mirror = builders, registry, projects, mirror
        self.seconds = {}

    def note(self, scenario, builder, project, name):
        start = time.perf_counter()
        builder.build(project, name)
        seconds = time.perf_counter() - start
        self.seconds.setdefault(scenario, {}).setdefault(builder.name, []).append(seconds)
        print(f"  {scenario:<11} {builder.name:<9} {seconds:8.2f} s", file=sys.stderr, flush=True)

    def turns(self, repetition):
        """The builders, each time from another one on."""
        cut = repetition % len(self.builders)
        return self.builders[cut:] + self.builders[:cut]

    def name(self, builder, repository="app"):
        return f"{self.registry.address}/{builder.name.lower()}/{repository}:v1"

    def fill_mirror(self):
        """One round of everything, untimed; nothing is kept but what the mirror has seen."""
        for builder in self.builders:
            project = self.projects.fresh(builder)
            builder.build(project, self.name(builder))
            for addition in ADDITIONS:
                self.projects.append(builder, "requirements.txt", addition)
            builder.build(project, self.name(builder))

    def cold(self, repetitions):
        for repetition in range(repetitions):
            for builder in self.turns(repetition):
                builder.forget()
                self.registry.wipe()
                self.note("cold", builder, self.projects.fresh(builder), self.name(builder))

    def warm(self, repetitions):
        self.registry.wipe()
        for builder in self.builders:
            builder.build(self.projects.fresh(builder), self.name(builder))
        for repetition in range(repetitions):
            for builder in self.turns(repetition):
                self.note("nothing", builder, self.projects.path(builder), self.name(builder))
            for builder in self.turns(repetition):
                self.projects.append(builder, "main.py", f"# revision {repetition}")
                self.note("code", builder, self.projects.path(builder), self.name(builder))
            for builder in self.turns(repetition):
                self.projects.append(builder, "requirements.txt", ADDITIONS[repetition % len(ADDITIONS)])
                self.note("dependency", builder, self.projects.path(builder), self.name(builder))

    def verified(self, repetitions):
        """What verification costs us; the others have none."""
        for builder in self.builders:
            if isinstance(builder, Jettison):
                arguments, builder.arguments = builder.arguments, []
                for repetition in range(repetitions):
                    self.projects.append(builder, "main.py", f"# verified revision {repetition}")
                    self.note("code, verified", builder, self.projects.path(builder), self.name(builder))
                builder.arguments = arguments


def misses(mirror):
    with urllib.request.urlopen(f"{mirror}/stats") as answer:
        return json.load(answer)


def report(measurement, sizes, outside):
    """The lines that are printed, and the same as one value."""
    builders = [builder.name for builder in measurement.builders]
    lines = [f"{'seconds':<16}" + "".join(f"{name:>26}" for name in builders)]
    rows = {}
    for scenario, of in measurement.seconds.items():
        cells = ""
        for name in builders:
            times = of.get(name)
            cells += (
                f"{statistics.median(times):10.2f} ({min(times):.2f}-{max(times):.2f})".rjust(26) if times else " " * 26
            )
        lines.append(f"{scenario:<16}{cells}")
        rows[scenario] = {"seconds": of}
    lines.append("")
    kept = True
    for scenario, of in measurement.seconds.items():
        ours = of.get("jettison")
        for name in builders:
            if ours and name != "jettison" and of.get(name):
                ratio = statistics.median(theirs / our for theirs, our in zip(of[name], ours, strict=True))
                bar = BARS[scenario]
                kept &= ratio >= bar
                verdict = "" if ratio >= bar else "  BELOW"
                lines.append(f"{scenario}: {ratio:.1f} times as fast as {name} (promised: {bar}){verdict}")
                rows[scenario].setdefault("ratios", {})[name] = ratio
    lines.append("")
    for builder in measurement.builders:
        compressed, unpacked, layers = sizes[builder.name]
        memory = builder.peak_rss() / 1e6
        lines.append(
            f"{builder.name:<9} image {compressed / 1e6:6.1f} MB compressed, {unpacked / 1e6:6.1f} MB unpacked, "
            f"{layers} layers; peak memory {memory:.0f} MB"
        )
    lines.append(f"from outside while the clock ran: {outside[0]} requests, {outside[1]} bytes")
    peak = {builder.name: builder.peak_rss() for builder in measurement.builders}
    return lines, {"scenarios": rows, "sizes": sizes, "peak_rss": peak, "outside": outside, "bars_kept": kept}


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{os.cpu_count()} x {models[0] if models else os.uname().machine}, load {os.getloadavg()[0]:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jettison", help="the release binary; without it only the peers are measured")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--cold-repetitions", type=int, default=3)
    parser.add_argument("--peers", default="docker,buildah", help="which peers, default: %(default)s")
    parser.add_argument("--suite", default="trixie", help="the Debian suite of the stand-in base, default: %(default)s")
    parser.add_argument(
        "--debian", default="http://deb.debian.org/debian", help="the Debian mirror, default: %(default)s"
    )
    parser.add_argument("--index", default="https://pypi.org/simple", help="the package index, default: %(default)s")
    parser.add_argument("--cache", help="where the mirror keeps what it fetched from one run to the next")
    parser.add_argument("--json", help="write the numbers to this file")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a ratio is below what was promised")
    options = parser.parse_args()

    tools = ["/usr/sbin/dockerd", "buildah", "runc", "docker-registry", "mmdebstrap"]
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing or os.geteuid() != 0:
        parser.error(f"needs root and {', '.join(missing) or 'nothing else'}")

    # Short, since sockets live below it.
    work = tempfile.mkdtemp(prefix="jb-", dir="/var/tmp")
    running = []
    try:
        port = free_port()
        mirror = f"http://127.0.0.1:{port}"
        cache = options.cache or os.path.join(work, "mirror")
        argv = [sys.executable, os.path.join(HERE, "mirror.py"), str(port), cache, options.index]
        running.append(Daemon(argv, os.path.join(work, "mirror.log"), lambda: answers(f"{mirror}/stats")))
        print("making the base image ...", file=sys.stderr)
        base_tar = make_base(work, mirror, options.suite, options.debian)
        registry = Registry(work, free_port())
        running.append(registry)
        builders = []
        if options.jettison:
            builders.append(Jettison(work, registry, options.jettison, mirror))
        builders += [
            {"docker": Docker, "buildah": Buildah}[peer](work, registry) for peer in options.peers.split(",") if peer
        ]
        for builder in builders:
            running.append(builder)
            builder.prepare(base_tar)
        measurement = Measurement(builders, registry, Projects(work), mirror)
        print("filling the mirror ...", file=sys.stderr)
        measurement.fill_mirror()
        before = misses(mirror)
        measurement.cold(options.cold_repetitions)
        measurement.warm(options.repetitions)
        measurement.verified(options.repetitions)
        outside = [after - earlier for after, earlier in zip(misses(mirror), before, strict=True)]
        sizes = {builder.name: registry.sizes(measurement.name(builder)) for builder in builders}
        lines, values = report(measurement, sizes, outside)
        values["machine"], values["versions"] = machine(), [builder.version() for builder in builders]
        print(f"{values['machine']}; {', '.join(values['versions'])}")
        print(
            f"base of the peers: Debian {options.suite} (minbase) with its Python, pip, venv and headers, standing in for\n"
            "python:3.x-slim; it is there before their cold builds begin.\n"
            "Every time includes the push to a registry on loopback.\n"
        )
        print("\n".join(lines))
        if options.json:
            with open(options.json, "w", encoding="utf-8") as file:
                json.dump(values, file, indent=1)
        return 1 if options.check and not values["bars_kept"] else 0
    finally:
        for process in reversed(running):
            process.stop()
        # What a daemon mounted and did not unmount would keep its directory busy.
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mounts = [line.split()[4] for line in file]
        for mount in sorted((mount for mount in mounts if mount.startswith(work + "/")), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
