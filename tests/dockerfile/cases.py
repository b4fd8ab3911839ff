"""Case files: what is built, and what must come out.

A file is a group of cases. A case begins with `=== name: what it shows`; its sections begin with `--- `:

    --- Dockerfile                 the Dockerfile, at the top of the context
    --- context                    lines of trees.py: the context
    --- file PATH [mode=755]       one file of it with the text below
    --- archive NAME               lines of trees.py, as a tar in the context; compressed as its name says
    --- outside                    lines of trees.py, in a directory beside the context
    --- served NAME                a text that is served at {http}/NAME
    --- served-archive NAME        an archive that is served
    --- git NAME [branch=B|tag=T]  a commit with these lines as its tree, in {http}/git/NAME; several make a history
    --- input                      what stands in the place of the context: `-` with `tar`, `tar.gz`, `Dockerfile`, or a URL
    --- build                      options of `docker buildx build`
    --- env                        NAME=VALUE of the build command's environment
    --- peer NAME: why             the peer that this is compared with instead of BuildKit; `none` when checked by hand
    --- expect                     the file system: what differs from the base, in lines of trees.py
    --- config                     the configuration: what differs from the base
    --- history                    what the image's history says on top of the base: `layer` or `empty`, and the words
    --- fails                      it must not build; each line is a part of what jettison says

In the Dockerfile, the options and what is served, `{http}` is the loopback server, `{outside}` the directory beside the context,
`{agent}` the socket of an ssh agent; `{byte-e9}` is that byte.
"""

import bz2
import gzip
import lzma
import os
import re
import shlex

import trees

SECTIONS = (
    "Dockerfile context file archive outside served served-archive git input build env peer expect config history fails".split()
)


class CaseError(Exception):
    """A case file that cannot be understood."""


class Section:
    """A heading and what is below it, up to the next."""

    def __init__(self, kind, argument):
        self.kind, self.argument, self.body = kind, argument, []

    def lines(self):
        """The lines without the blank ones at the end."""
        lines = list(self.body)
        while lines and not lines[-1].strip():
            lines.pop()
        return lines

    def text(self):
        return "".join(line + "\n" for line in self.lines())

    def attributes(self):
        """The name, and what follows it as NAME=VALUE."""
        name, *rest = shlex.split(self.argument)
        return name, dict(part.split("=", 1) for part in rest)


class Case:
    """One build and what is known of it."""

    def __init__(self, group, name, title):
        self.group, self.slug, self.title, self.sections = group, name, title, []

    @property
    def name(self):
        return f"{self.group}/{self.slug}"

    def all(self, kind):
        return [section for section in self.sections if section.kind == kind]

    def one(self, kind):
        found = self.all(kind)
        return found[0] if found else None

    def lines(self, kind):
        """The lines of a section that say something."""
        section = self.one(kind)
        return [line for line in section.lines() if line.strip()] if section else []

    @property
    def fails(self):
        return self.one("fails") is not None

    @property
    def peer(self):
        section = self.one("peer")
        return section.argument.partition(":")[0].strip() if section else "buildkit"

    def put(self, kind, lines):
        """Sets a section's lines; one without lines goes."""
        at = next((index for index, section in enumerate(self.sections) if section.kind == kind), None)
        if not lines:
            if at is not None:
                del self.sections[at]
            return
        section = Section(kind, "")
        section.body = [*lines, ""]
        if at is None:
            last = self.sections[-1]
            last.body = [*last.lines()]
            self.sections.append(section)
        else:
            self.sections[at] = section

    def text(self):
        out = f"=== {self.slug}: {self.title}\n"
        for section in self.sections:
            out += f"--- {section.kind} {section.argument}".rstrip() + "\n" + section.text()
        return out + "\n"


class Group:
    """A case file."""

    def __init__(self, path):
        self.path, self.cases, head = path, [], []
        name = os.path.splitext(os.path.basename(path))[0]
        with open(path, encoding="utf-8", newline="") as file:
            lines = file.read().split("\n")
        for number, line in enumerate(lines, 1):
            if match := re.fullmatch(r"=== ([a-z0-9-]+): (.+)", line):
                self.cases.append(Case(name, match[1], match[2]))
            elif line.startswith("=== ") or (line.startswith("--- ") and not self.cases):
                raise CaseError(f"{path}:{number}: no heading of a case: {line}")
            elif line.startswith("--- "):
                kind, _, argument = line[4:].partition(" ")
                if kind not in SECTIONS:
                    raise CaseError(f"{path}:{number}: there is no section {kind}")
                self.cases[-1].sections.append(Section(kind, argument))
            elif self.cases and self.cases[-1].sections:
                self.cases[-1].sections[-1].body.append(line)
            elif not self.cases:
                head.append(line)
        self.head = "\n".join(head).strip()
        names = [case.slug for case in self.cases]
        if twice := {name for name in names if names.count(name) > 1}:
            raise CaseError(f"{path}: two cases are called {', '.join(twice)}")

    def text(self):
        return self.head + "\n\n" + "".join(case.text() for case in self.cases).rstrip("\n") + "\n"

    def write(self):
        with open(self.path, "w", encoding="utf-8", newline="") as file:
            file.write(self.text())


def read(directory):
    """All groups, in the order of their names."""
    names = sorted(name for name in os.listdir(directory) if name.endswith(".case"))
    return [Group(os.path.join(directory, name)) for name in names]


class Place:
    """A case laid out on disk: `context`, `outside`, and what the command line needs."""

    def __init__(self, case, directory, server):
        self.case, self.directory, self.server = case, directory, server
        self.context, self.outside = os.path.join(directory, "context"), os.path.join(directory, "outside")
        os.makedirs(self.context)
        os.makedirs(self.outside)
        # Builders take a case at the same time, and each gets what is served of its own.
        self.name = f"{case.name}/{os.path.basename(directory)}"
        self.served = f"{server.url}/{self.name}"
        for section in case.sections:
            self.lay(section)
        # Last, so that directories can be closed to their owner.
        for section in case.all("context"):
            trees.write(self.context, trees.parse(section.lines()))

    def lay(self, section):
        """Makes what one section says."""
        if section.kind == "Dockerfile" and not self.dockerfile_on_stdin():
            self.put("Dockerfile", self.fill(section.text()).encode().replace(b"{byte-e9}", b"\xe9"), 0o644)
        elif section.kind == "file":
            name, attributes = section.attributes()
            self.put(name, self.fill(section.text()).encode(), int(attributes.get("mode", "644"), 8))
        elif section.kind == "archive":
            self.put(section.argument, self.archive(section), 0o644)
        elif section.kind == "outside":
            trees.write(self.outside, trees.parse(section.lines()))
        elif section.kind == "served":
            self.server.put(f"{self.name}/{section.argument}", section.text().encode())
        elif section.kind == "served-archive":
            self.server.put(f"{self.name}/{section.argument}", self.archive(section))
        elif section.kind == "git":
            name, attributes = section.attributes()
            self.server.commit(f"{self.name}/git/{name}", trees.parse(section.lines()), **attributes)

    def archive(self, section):
        return compress(section.argument, trees.tar(trees.parse(section.lines())))

    def put(self, name, content, mode):
        path = os.path.join(self.context, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, mode)

    def fill(self, text):
        """The text with the places of this run in it."""
        text = text.replace("{http}", self.served).replace("{outside}", self.outside).replace("{context}", self.context)
        return text.replace("{agent}", self.server.agent)

    def options(self):
        return shlex.split(" ".join(self.fill(line) for line in self.case.lines("build")), comments=True)

    def environment(self):
        return dict(self.fill(line).split("=", 1) for line in self.case.lines("env"))

    def dockerfile_on_stdin(self):
        options = self.options()
        piped = any(options[index : index + 2] in (["-f", "-"], ["--file", "-"]) for index in range(len(options)))
        return piped or "Dockerfile" in self.case.lines("input")

    def input(self):
        """The last argument of the command, and the bytes of its standard input."""
        wanted = " ".join(self.case.lines("input"))
        if wanted.startswith("tar"):
            return "-", compress(f"context.{wanted}", tar_of(self.context))
        if wanted and wanted != "Dockerfile":
            return self.fill(wanted), None
        if self.dockerfile_on_stdin():
            return "-" if wanted else self.context, self.fill(self.case.one("Dockerfile").text()).encode()
        return self.context, None


def tar_of(directory):
    """A directory as a tar, owned by root."""
    nodes = []
    for root, directories, files in os.walk(directory):
        for name in sorted([*directories, *files]):
            path = os.path.join(root, name)
            inside, mode = os.path.relpath(path, directory), os.lstat(path).st_mode & 0o7777
            if os.path.islink(path):
                nodes.append((inside, trees.Node("l", target=os.readlink(path))))
            elif os.path.isdir(path):
                nodes.append((inside, trees.Node("d", mode)))
            else:
                with open(path, "rb") as file:
                    nodes.append((inside, trees.Node("f", mode, content=file.read())))
    return trees.tar(nodes)


def compress(name, data):
    """Compresses as a file's name says."""
    if name.endswith((".gz", ".tgz")):
        return gzip.compress(data, mtime=0)
    if name.endswith((".bz2", ".tbz2")):
        return bz2.compress(data)
    if name.endswith((".xz", ".txz")):
        return lzma.compress(data)
    if name.endswith((".zst", ".tzst")):
        return zstd(data)
    return data


def zstd(data):
    """A Zstandard frame of uncompressed blocks (RFC 8878, 3.1.1)."""
    size = 1 << 17
    blocks = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
    out = b"\x28\xb5\x2f\xfd" + b"\xa0" + len(data).to_bytes(4, "little")
    for index, block in enumerate(blocks):
        out += ((len(block) << 3) | (index == len(blocks) - 1)).to_bytes(3, "little") + block
    return out
