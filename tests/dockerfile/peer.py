#!/usr/bin/env python3
"""A current BuildKit and buildah from Debian packages alone, in a root file system of their own.

1. `make`: mmdebstrap of a suite whose docker.io has a new enough BuildKit, kept in a directory from one run to the next.
2. `Machine`: a mount namespace whose root is that directory (pivot_root, since runc refuses a mere chroot), with the work
   directory at its own path. dockerd runs in it; other programs join it.
3. As a program: `peer.py DIRECTORY COMMAND...` runs one command in it, with dockerd up and DOCKER_HOST set.

Needs root, mmdebstrap and a mirror of the Debian archive. No network is set up: containers use the host's.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

# In the order in which they are tried: testing has the newest that may be expected to install; stable has an old one.
SUITES = ("forky", "trixie")
PACKAGES = "docker.io docker-cli docker-buildx buildah netavark crun runc iptables ca-certificates git busybox-static xz-utils"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# $1 is the root, $2 the work directory; what follows is the program. /run is emptied so that nothing of an earlier run is found.
ENTER = """
set -e
root=$1 work=$2; shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root$work" "$root/old"
mount --bind "$work" "$root$work"
cd "$root"
pivot_root . old
umount -l /old
exec "$@"
"""


class PeerError(Exception):
    """A peer could not be set up."""


def make(directory, suites=SUITES, mirror="http://deb.debian.org/debian"):
    """Makes the root file system unless it is there; returns its suite."""
    mark = os.path.join(directory, "etc", "peer-suite")
    if os.path.exists(mark):
        with open(mark, encoding="ascii") as file:
            return file.read().strip()
    said = ""
    for suite in suites:
        shutil.rmtree(directory, ignore_errors=True)
        # The date in a mirror's Release file may have passed when the mirror is a frozen one; its signature holds all the same.
        source = f"deb [check-valid-until=no] {mirror} {suite} main"
        include = PACKAGES.replace(" ", ",")
        done = subprocess.run(
            ["mmdebstrap", "--variant=minbase", f"--include={include}", suite, directory, source],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            with open(mark, "w", encoding="ascii") as file:
                file.write(suite + "\n")
            return suite
        said += f"{suite}:\n{done.stdout[-1500:]}\n"
    raise PeerError(f"mmdebstrap made none of {', '.join(suites)}\n{said}")


class Machine:
    """dockerd in the namespace of a root file system, from `start` to `stop`. `work` is seen inside at the same path."""

    def __init__(self, root, work, registry=None):
        self.root, self.work = os.path.abspath(root), os.path.abspath(work)
        self.registry, self.process = registry, None
        self.socket = f"unix://{self.work}/docker.sock"
        self.log = os.path.join(self.work, "dockerd.log")
        self.environment = {"PATH": PATH, "HOME": os.path.join(self.work, "home"), "DOCKER_HOST": self.socket}

    def start(self):
        """Starts dockerd; returns when it answers."""
        os.makedirs(self.environment["HOME"], exist_ok=True)
        flags = ["--data-root", "data", "--exec-root", "exec", "--pidfile", "dockerd.pid"]
        flags = [os.path.join(self.work, flag) if index % 2 else flag for index, flag in enumerate(flags)]
        flags += [f"--{name}=false" for name in ("iptables", "ip6tables", "ip-forward", "ip-masq", "userland-proxy")]
        # The image store of containerd is what can write an OCI archive.
        flags += ["--bridge=none", "--feature=containerd-snapshotter=true"]
        if self.registry:
            flags += [f"--registry-mirror=http://{self.registry}", "--insecure-registry", self.registry]
        argv = ["unshare", "--mount", "sh", "-c", ENTER, "enter", self.root, self.work]
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                [*argv, "dockerd", "-H", self.socket, *flags],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        deadline = time.monotonic() + 60
        while self.run("docker", "version", check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                with open(self.log, encoding="utf-8", errors="replace") as file:
                    raise PeerError(f"dockerd did not start:\n{file.read()[-3000:]}")
            time.sleep(0.2)
        return self

    def argv(self, *command):
        """The command as it is run from outside."""
        return ["nsenter", f"--target={self.process.pid}", "--mount", "--", *command]

    def run(self, *command, env=None, check=True, **more):
        """Runs a program inside to its end."""
        done = subprocess.run(
            self.argv(*command),
            env=self.environment | (env or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            **more,
        )
        if check and done.returncode != 0:
            said = done.stdout.decode(errors="replace")[-3000:]
            raise PeerError(f"{' '.join(command)}: exit status {done.returncode}\n{said}")
        return done

    def stop(self):
        """Ends dockerd, and with it the namespace and its mounts."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def main():
    if len(sys.argv) < 3:
        sys.exit(f"usage: {sys.argv[0]} DIRECTORY COMMAND...")
    root = os.path.abspath(sys.argv[1])
    print(f"{make(root)} in {root}", file=sys.stderr)
    work = tempfile.mkdtemp(prefix="peer-", dir="/var/tmp")
    machine = Machine(root, work).start()
    try:
        return subprocess.run(machine.argv(*sys.argv[2:]), env=machine.environment, check=False).returncode
    finally:
        machine.stop()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
