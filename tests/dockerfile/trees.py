"""A file system in lines of text: what cases are written in, and what images are compared in.

    d 755 0:0 /srv                            a directory
    f 644 0:0 /srv/a "text\\n"                 a regular file with its content, as a JSON string
    f 644 0:0 /srv/b hex:00ff                 the same, of bytes that are no text
    f 644 0:0 /srv/c 4096:1f0e...             the same, of a long content: bytes, SHA-256
    f 644 0:0 /srv/d *4096                    so many zeroes (only where files are made)
    l 0:0 /srv/l -> a                         a symbolic link
    h /srv/h => /srv/a                        another name of a file
    c 666 0:0 /dev/null 1,3                   a character device; `b` is a block device
    p 644 0:0 /srv/fifo                       a FIFO
    - /srv/gone                               what a base has, and the image has not

Extended attributes end a line, each as ` {name="value"}`. A path with a blank or a quote in it is a JSON string. Mode and owner
may be left out where files are made: 644 (755 for a directory), 0:0. Times are no part of this: they are never compared.
"""

import hashlib
import io
import json
import os
import re
import shlex
import stat
import tarfile

LONGEST = 400
TYPES = {"d": stat.S_IFDIR, "f": stat.S_IFREG, "l": stat.S_IFLNK, "c": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
XATTR = re.compile(r' \{([^={}"]+)=("(?:[^"\\]|\\.)*")\}$')
DECODER = json.JSONDecoder()


class TreeError(Exception):
    """A line that says nothing, or a tree that cannot be."""


class Node:
    """What is at a path: type letter, mode, owner, and what the type has besides."""

    def __init__(self, kind, mode=None, uid=0, gid=0, content=b"", target="", device=(0, 0), xattrs=None):
        self.kind, self.uid, self.gid = kind, uid, gid
        self.mode = mode if mode is not None else 0o777 if kind == "l" else 0o755 if kind == "d" else 0o644
        self.content, self.target, self.device, self.xattrs = content, target, device, xattrs or {}

    def __eq__(self, other):
        return isinstance(other, Node) and vars(self) == vars(other)

    def line(self, path):
        """The node as a line of text."""
        mode, owner, name = f"{self.mode:03o}", f"{self.uid}:{self.gid}", quoted(path)
        text = {
            "d": lambda: f"d {mode} {owner} {name}",
            "f": lambda: f"f {mode} {owner} {name} {content_text(self.content)}",
            "l": lambda: f"l {owner} {name} -> {quoted(self.target)}",
            "h": lambda: f"h {name} => {quoted(self.target)}",
            "c": lambda: f"c {mode} {owner} {name} {self.device[0]},{self.device[1]}",
            "b": lambda: f"b {mode} {owner} {name} {self.device[0]},{self.device[1]}",
            "p": lambda: f"p {mode} {owner} {name}",
        }[self.kind]()
        return text + "".join(f" {{{key}={json.dumps(value)}}}" for key, value in sorted(self.xattrs.items()))


def quoted(text):
    return text if re.fullmatch(r"[!-~]+", text) and not text.startswith('"') else json.dumps(text, ensure_ascii=False)


def content_text(content):
    if len(content) > LONGEST:
        return f"{len(content)}:{hashlib.sha256(content).hexdigest()}"
    try:
        return json.dumps(content.decode(), ensure_ascii=False)
    except UnicodeDecodeError:
        return "hex:" + content.hex()


def parse_content(text):
    if text.startswith("*"):
        return bytes(int(text[1:]))
    if text.startswith("hex:"):
        return bytes.fromhex(text[4:])
    try:
        return json.loads(text).encode()
    except ValueError:
        raise TreeError(f"this is no content: {text}") from None


def word(text):
    """The first word of a line, and the rest."""
    if text.startswith('"'):
        value, end = DECODER.raw_decode(text)
        return value, text[end:].lstrip(" ")
    first, _, rest = text.partition(" ")
    return first, rest.lstrip(" ")


def parse_line(line):
    """Returns the path and the node of a line."""
    text, xattrs = line, {}
    while match := XATTR.search(text):
        xattrs[match[1]] = json.loads(match[2])
        text = text[: match.start()]
    kind, rest = word(text)
    if kind not in (*TYPES, "h"):
        raise TreeError(f"no line of a tree: {line}")
    mode, owner = None, (0, 0)
    if re.match(r"[0-7]{3,4} ", rest):
        number, rest = word(rest)
        mode = int(number, 8)
    if re.match(r"\d+:\d+ ", rest):
        ids, rest = word(rest)
        owner = tuple(int(number) for number in ids.split(":"))
    path, rest = word(rest)
    node = Node(kind, mode, *owner, xattrs=xattrs)
    if kind == "f":
        node.content = parse_content(rest or '""')
    elif kind in "lh":
        arrow, rest = word(rest)
        node.target = word(rest)[0]
        if arrow != {"l": "->", "h": "=>"}[kind]:
            raise TreeError(f"a link needs an arrow: {line}")
    elif kind in "cb":
        node.device = tuple(int(number) for number in rest.split(","))
    elif rest:
        raise TreeError(f"more than a line of a tree has: {line}")
    return path, node


def parse(lines):
    """Returns `[(path, node)]` of the lines that are neither blank nor a comment."""
    return [parse_line(line) for line in lines if line.strip() and not line.startswith("#")]


def write(directory, nodes):
    """Makes the nodes in a directory; owners are the caller's. Modes come last, so that none stands in the way."""
    for path, node in nodes:
        place = os.path.join(directory, path.lstrip("/"))
        os.makedirs(place if node.kind == "d" else os.path.dirname(place) or ".", exist_ok=True)
        if node.kind == "f":
            with open(place, "wb") as file:
                file.write(node.content)
        elif node.kind == "l":
            os.symlink(node.target, place)
        elif node.kind == "h":
            os.link(os.path.join(directory, node.target.lstrip("/")), place)
        elif node.kind == "p":
            os.mkfifo(place)
        elif node.kind != "d":
            raise TreeError(f"{path}: a context has no devices")
        for name, value in node.xattrs.items():
            os.setxattr(place, name, value.encode(), follow_symlinks=False)
    for path, node in reversed(nodes):
        if node.kind not in "lh":
            os.chmod(os.path.join(directory, path.lstrip("/")), node.mode)


def tar(nodes, prefix="", root=True):
    """An uncompressed tar of the nodes, in their order and as they say."""
    out = io.BytesIO()
    kinds = {"d": tarfile.DIRTYPE, "f": tarfile.REGTYPE, "l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE}
    kinds |= {"c": tarfile.CHRTYPE, "b": tarfile.BLKTYPE, "p": tarfile.FIFOTYPE}
    by_path = dict(nodes)
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, node in nodes:
            if node.kind == "h":
                # In a tar, every name of a file says the same of it.
                file = by_path[node.target]
                node = Node("h", file.mode, file.uid, file.gid, target=node.target)
            info = tarfile.TarInfo(prefix + (path.lstrip("/") if root else path))
            info.type, info.mode, info.uid, info.gid = kinds[node.kind], node.mode, node.uid, node.gid
            info.linkname = node.target.lstrip("/") if node.kind == "h" and root else node.target
            info.size, info.mtime = len(node.content), 1_000_000_000
            info.devmajor, info.devminor = node.device
            info.pax_headers = {f"SCHILY.xattr.{name}": value for name, value in node.xattrs.items()}
            archive.addfile(info, io.BytesIO(node.content))
    return out.getvalue()


class Image:
    """The file system that layers make, and which names are one file."""

    def __init__(self):
        # Nodes of regular files are shared by the names of one file.
        self.nodes = {"/": Node("d")}

    def apply(self, layer):
        """Puts a layer, an uncompressed tar, on top."""
        with tarfile.open(fileobj=io.BytesIO(layer), mode="r:", errors="surrogateescape") as archive:
            members = archive.getmembers()
            names = [os.path.normpath("/" + member.name) for member in members]
            # A whiteout speaks of the layers below, wherever in the tar it stands.
            for path in names:
                directory, name = os.path.split(path)
                if name == ".wh..wh..opq":
                    self.remove(directory, keep=True)
                elif name.startswith(".wh."):
                    self.remove(os.path.join(directory, name[4:]))
            for member, path in zip(members, names, strict=True):
                if not os.path.basename(path).startswith(".wh."):
                    self.add(archive, member, path)

    def remove(self, path, keep=False):
        inside = path.rstrip("/") + "/"
        for other in [other for other in self.nodes if other.startswith(inside) or (other == path and not keep)]:
            if other != "/":
                del self.nodes[other]

    def add(self, archive, member, path):
        if member.islnk():
            target = os.path.normpath("/" + member.linkname)
            if target not in self.nodes:
                raise TreeError(f"the layer's hard link {path} leads to {target}, which is not there")
            self.remove(path)
            self.nodes[path] = self.nodes[target]
            return
        kinds = {tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l", tarfile.CHRTYPE: "c", tarfile.BLKTYPE: "b"}
        kind = kinds.get(member.type, "p" if member.isfifo() else "f")
        node = Node(kind, member.mode & 0o7777, member.uid, member.gid)
        if kind == "l":
            node.mode, node.target = 0o777, member.linkname
        elif kind in "cb":
            node.device = (member.devmajor, member.devminor)
        elif kind == "f":
            node.content = archive.extractfile(member).read()
        for key, value in member.pax_headers.items():
            if key.startswith("SCHILY.xattr."):
                node.xattrs[key.removeprefix("SCHILY.xattr.")] = value
        if kind != "d" or (path in self.nodes and self.nodes[path].kind != "d"):
            self.remove(path)
        self.nodes[path] = node
        while (path := os.path.dirname(path)) != "/":
            if path not in self.nodes:
                raise TreeError(f"the layer holds {member.name}, but not the directory {path}")

    def lines(self, base):
        """What this has that `base` has not, and the other way round, as sorted lines."""
        lines, first = {}, {}
        for path in sorted(self.nodes):
            node = self.nodes[path]
            known = first.setdefault(id(node), path)
            if known != path:
                lines[path] = Node("h", target=known).line(path)
            elif base.nodes.get(path) != node:
                lines[path] = node.line(path)
        # Names that were one file in the base already say nothing new.
        shared = base.links()
        for path, known in self.links().items():
            if shared.get(path) == known and base.nodes[path] == self.nodes[path]:
                lines.pop(path, None)
        for path in base.nodes:
            if path not in self.nodes and os.path.dirname(path) in self.nodes:
                lines[path] = f"- {quoted(path)}"
        return [lines[path] for path in sorted(lines)]

    def links(self):
        """Each further name of a file, with the first one."""
        first, links = {}, {}
        for path in sorted(self.nodes):
            known = first.setdefault(id(self.nodes[path]), path)
            if known != path:
                links[path] = known
        return links


def config_lines(config, base):
    """What an image's configuration says that its base's does not, as sorted lines: a key and a JSON value."""
    lines = []
    for key in sorted(config.keys() | base.keys()):
        now, before = config.get(key), base.get(key)
        if now in (None, "", [], {}, False):
            now = None
        if before in (None, "", [], {}, False):
            before = None
        if now == before:
            continue
        if key == "Env":
            lines += [f"Env {json.dumps(word, ensure_ascii=False)}" for word in now or [] if word not in (before or [])]
            kept = [word for word in before or [] if word in (now or [])]
            names = [word.split("=", 1)[0] for word in now or []]
            lines += [f"Env -{word.split('=', 1)[0]}" for word in before or [] if word.split("=", 1)[0] not in names]
            # The order of what was there stays; a program may look at the first of two.
            if [word for word in now or [] if word in kept] != kept:
                lines.append(f"Env order {json.dumps(now)}")
        else:
            lines.append(f"{key} {json.dumps(now, ensure_ascii=False, sort_keys=True)}")
    return lines


def split(text):
    """The words of an options line, as a shell splits them."""
    return shlex.split(text, comments=True)
