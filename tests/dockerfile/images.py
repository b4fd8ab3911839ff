"""The images that cases build upon, made of one static busybox; and how an image that was built is read back.

    base:1        a small root file system with users, links and a busybox; PATH and Cmd alone are set
    base:2        the same with another /etc/release
    configured:1  base:1 with every field of the configuration set
    layered:1     base:1 with a second layer that removes, replaces, and hides directories of the first
    onbuild:1     base:1 with ONBUILD triggers
    elsewhere:1   base:1 with a user, and a working directory that is not there
    multi:1       an index of linux/amd64, linux/arm64 and linux/arm/v7
"""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile

import trees

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

ROOT = r"""
d 755 /bin
d 755 /dev
d 755 /etc
f 644 /etc/passwd "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nwww:x:33:33:www:/var/www:/bin/false\napp:x:1000:1000:app:/home/app:/bin/sh\nsolo:x:1001:2000::/home/solo:/bin/sh\n"
f 644 /etc/group "root:x:0:\ndaemon:x:1:\ntty:x:5:\nwww:x:33:app\napp:x:1000:\nstaff:x:50:app,solo\nsolos:x:2000:\n"
f 644 /etc/release "one\n"
d 755 /home
d 750 1000:1000 /home/app
f 600 1000:1000 /home/app/.profile "umask 022\n"
d 755 /opt
d 755 /opt/tool
f 755 /opt/tool/run "#!/bin/sh\necho run\n"
l /opt/current -> tool
l /opt/absolute -> /opt/tool
l /opt/escape -> ../../../../opt/tool
l /opt/dangling -> /nowhere/at/all
l /opt/loop -> loop
d 755 /proc
d 700 /root
d 755 /srv
d 755 /sys
d 1777 /tmp
d 755 /usr
d 755 /usr/bin
d 755 /usr/lib
f 644 /usr/lib/a "a\n"
h /usr/lib/b => /usr/lib/a
d 755 /usr/local
d 755 /usr/local/bin
l /usr/sbin -> bin
d 755 /var
d 2775 33:50 /var/www
f 664 33:50 /var/www/index.html "hello\n"
"""

SECOND = r"""
d 755 /etc
f 644 /etc/.wh.release
f 644 /etc/issue "layered\n"
d 755 /opt
d 755 /opt/tool
f 644 /opt/tool/.wh..wh..opq
f 644 /opt/tool/new "new\n"
d 755 /srv
f 644 /srv/shared "shared\n"
h /srv/again => /srv/shared
f 4755 /srv/setuid "setuid\n"
f 755 1000:1000 /srv/attributed "attributed\n" {user.colour="red"}
"""

CONFIG = {"Env": [f"PATH={PATH}"], "Cmd": ["sh"]}

CONFIGURED = CONFIG | {
    "Env": [f"PATH={PATH}", "COLOUR=red", "EMPTY="],
    "Entrypoint": ["/bin/busybox"],
    "Cmd": ["echo", "configured"],
    "User": "app:staff",
    "WorkingDir": "/home/app",
    "Labels": {"org.example.from": "base", "keep": "1"},
    "ExposedPorts": {"80/tcp": {}},
    "Volumes": {"/data": {}},
    "StopSignal": "SIGINT",
    "Shell": ["/bin/sh", "-ec"],
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5_000_000_000, "Retries": 2},
}

ONBUILD = CONFIG | {
    "OnBuild": ["ARG WHO=trigger", "RUN echo onbuild $WHO > /onbuild", "COPY trigger.txt /from-trigger", "ENV TRIGGERED=yes"]
}

ELSEWHERE = CONFIG | {"User": "app", "WorkingDir": "/not/there"}

# The fields of a configuration that cases speak of.
FIELDS = "Env Cmd Entrypoint User WorkingDir Labels ExposedPorts Volumes StopSignal Healthcheck Shell OnBuild".split()


class ImageError(Exception):
    """An image that cannot be read, or not be made."""


def find_busybox(cache, given=None):
    """A static busybox: the one given, the machine's, or Debian's."""
    for path in (given, os.path.join(cache, "busybox"), "/bin/busybox", "/usr/bin/busybox"):
        if path and os.path.exists(path) and static(path):
            return path
    package = os.path.join(cache, "package")
    os.makedirs(package, exist_ok=True)
    # apt gives up root for its download, so it must be let in.
    os.chmod(package, 0o777)
    done = subprocess.run(
        "apt-get -q download busybox-static && dpkg-deb -x busybox-static_*.deb .",
        shell=True,
        cwd=package,
        capture_output=True,
        text=True,
        check=False,
    )
    for path in ("bin/busybox", "usr/bin/busybox"):
        if os.path.exists(os.path.join(package, path)):
            return shutil.copy2(os.path.join(package, path), os.path.join(cache, "busybox"))
    raise ImageError(f"there is no static busybox here, and apt-get fetched none:\n{done.stderr[-1000:]}")


def static(program):
    """Whether an ELF program has no PT_INTERP."""
    with open(program, "rb") as file:
        head = file.read(4096)
    if head[:5] != b"\x7fELF\x02":
        return False
    start, size, count = (int.from_bytes(head[at : at + length], "little") for at, length in ((32, 8), (54, 2), (56, 2)))
    return all(int.from_bytes(head[start + size * index :][:4], "little") != 3 for index in range(count))


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def dump(value):
    return json.dumps(value, sort_keys=True).encode()


class Images:
    """What the registry has. `served` is by `name:tag` and by digest; `bases` is by the digests of the layers."""

    def __init__(self, busybox):
        self.served, self.bases = {}, {}
        with open(busybox, "rb") as file:
            program = file.read()
        listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
        nodes = trees.parse(ROOT.splitlines())
        nodes.append(("/bin/busybox", trees.Node("f", 0o755, content=program)))
        nodes += [(f"/bin/{name}", trees.Node("l", target="busybox")) for name in sorted(listed) if name != "busybox"]
        root = trees.tar(nodes)
        release = dict(nodes) | {"/etc/release": trees.Node("f", content=b"two\n")}
        self.add("base:1", [root], CONFIG)
        self.add("base:latest", [root], CONFIG)
        self.add("base:2", [trees.tar(list(release.items()))], CONFIG)
        self.add("configured:1", [root], CONFIGURED)
        self.add("layered:1", [root, trees.tar(trees.parse(SECOND.splitlines()))], CONFIG)
        self.add("onbuild:1", [root], ONBUILD)
        self.add("elsewhere:1", [root], ELSEWHERE)
        platforms = []
        for architecture, variant in (("amd64", None), ("arm64", None), ("arm", "v7")):
            # The programs do not run elsewhere, but nothing is run there.
            mark = trees.tar(trees.parse([f'f 644 /etc/architecture "{architecture}{variant or ""}\\n"']))
            platforms.append(self.add(None, [root, mark], CONFIG, architecture, variant))
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": platforms}
        self.serve("multi:1", index["mediaType"], dump(index))

    def serve(self, name, media_type, body):
        self.served[digest(body)] = (media_type, body)
        if name:
            self.served[name] = (media_type, body)

    def add(self, name, layers, config, architecture="amd64", variant=None):
        """Adds an image; returns its descriptor."""
        blobs = [gzip.compress(layer, 6, mtime=0) for layer in layers]
        history = [{"created": "2001-09-09T01:46:40Z", "created_by": f"layer {number}"} for number in range(len(layers))]
        platform = {"architecture": architecture, "os": "linux"} | ({"variant": variant} if variant else {})
        diff_ids = [digest(layer) for layer in layers]
        document = platform | {"created": "2001-09-09T01:46:40Z", "config": config, "history": history}
        document = dump(document | {"rootfs": {"type": "layers", "diff_ids": diff_ids}})
        described = []
        for blob in blobs:
            self.serve(None, "application/octet-stream", blob)
            media_type = "application/vnd.oci.image.layer.v1.tar+gzip"
            described.append({"mediaType": media_type, "digest": digest(blob), "size": len(blob)})
        self.serve(None, "application/octet-stream", document)
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest(document),
                "size": len(document),
            },
            "layers": described,
        }
        body = dump(manifest)
        self.serve(name, manifest["mediaType"], body)
        tree = trees.Image()
        for layer in layers:
            tree.apply(layer)
        # Images with the same layers differ in their configuration: the names tell them apart.
        self.bases.setdefault(tuple(diff_ids), {})[name or architecture] = (tree, fields(config), len(history))
        return {"mediaType": manifest["mediaType"], "digest": digest(body), "size": len(body), "platform": platform}


def fields(config):
    """The fields that are compared."""
    return {name: config[name] for name in FIELDS if name in config}


class Built:
    """An image as a builder wrote it: an OCI layout in a tar."""

    def __init__(self, path, images):
        with tarfile.open(path) as archive:
            self.members = {member.name.removeprefix("./"): member for member in archive.getmembers() if member.isfile()}
            self.archive = archive
            document = json.loads(self.read("index.json"))
            while "manifests" in document:
                real = [each for each in document["manifests"] if not attestation(each)]
                if len(real) != 1:
                    raise ImageError(f"the layout holds {len(real)} images")
                document = self.blob(real[0])
            self.document = self.blob(document["config"])
            layers, diff_ids = document["layers"] or [], self.document["rootfs"]["diff_ids"] or []
            if len(diff_ids) != len(layers):
                raise ImageError(f"{len(diff_ids)} diff_ids, but {len(layers)} layers")
            self.history = self.document.get("history", [])
            if len(diff_ids) != sum(not step.get("empty_layer") for step in self.history):
                raise ImageError(f"{len(diff_ids)} layers, but another number in the history")
            self.tree = trees.Image()
            for descriptor, diff_id in zip(layers, diff_ids, strict=True):
                data = self.read(f"blobs/{descriptor['digest'].replace(':', '/')}")
                layer = unpacked(data)
                if digest(layer) != diff_id or digest(data) != descriptor["digest"]:
                    raise ImageError(f"layer {descriptor['digest']} is not what its digests say")
                self.tree.apply(layer)
        self.bases = self.find_base(images, diff_ids)

    def read(self, name):
        if name not in self.members:
            raise ImageError(f"the layout has no {name}")
        return self.archive.extractfile(self.members[name]).read()

    def blob(self, descriptor):
        return json.loads(self.read(f"blobs/{descriptor['digest'].replace(':', '/')}"))

    @staticmethod
    def find_base(images, diff_ids):
        """The images with the most layers that this one begins with, or nothing."""
        for count in range(len(diff_ids), 0, -1):
            if tuple(diff_ids[:count]) in images.bases:
                return images.bases[tuple(diff_ids[:count])]
        return {"scratch": (trees.Image(), {}, 0)}

    def facts(self, case):
        """The lines of `expect`, of `config` and of `history`."""
        text = case.one("Dockerfile").text() if case.one("Dockerfile") else ""
        tree, base, steps = self.bases[max(self.bases, key=text.rfind)]
        config = fields(self.document.get("config", {}))
        lines = trees.config_lines(config, base)
        if (architecture := self.document["architecture"]) != "amd64":
            variant = self.document.get("variant")
            # Every arm64 is v8: some say so, some do not.
            lines.append(f"Platform {self.document['os']}/{architecture}{'/v7' if variant == 'v7' else ''}")
        return self.tree.lines(tree), lines, [history_line(step) for step in self.history[steps:]]


def history_line(step):
    """A step of the history in a line."""
    said = step.get("created_by", "").replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    return f"{'empty' if step.get('empty_layer') else 'layer'} {said}".rstrip()


def attestation(descriptor):
    return descriptor.get("annotations", {}).get("vnd.docker.reference.type") == "attestation-manifest"


def unpacked(data):
    """A layer's tar."""
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout
    return data
