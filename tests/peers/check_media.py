"""Other people's tools take what jettison writes: skopeo, umoci, crun, podman and a real registry."""

import contextlib
import hashlib
import json
import os
import subprocess

from harness import check, expect, fetch, free_port, running, tool
from servers import registry, skopeo

EXAMPLE = "flask"


def manifest_digest(path):
    """The digest of the one manifest of an OCI layout."""
    with open(os.path.join(path, "index.json"), encoding="utf-8") as file:
        manifests = json.load(file)["manifests"]
    expect(len(manifests) == 1, f"{path} holds {len(manifests)} images")
    return manifests[0]["digest"]


@check("skopeo inspects and copies an OCI layout, and the digest stays")
def _(context):
    layout, report = context.layout(EXAMPLE), context.first.example(EXAMPLE)
    about = json.loads(skopeo("inspect", f"oci:{layout}"))
    expect(about["Digest"] == report["digest"], f"skopeo sees {about['Digest']}, jettison said {report['digest']}")
    expect(about["Layers"] == [layer["digest"] for layer in report["layers"]], "skopeo sees other layers")
    config = json.loads(skopeo("inspect", "--config", f"oci:{layout}"))
    expect(config["config"]["User"].startswith("65532"), f"the user is {config['config'].get('User')}")
    history = [row for row in config["history"] if not row.get("empty_layer")]
    expect(len(history) == len(report["layers"]), "history and layers differ")
    copy = os.path.join(context.directory("copy"), "layout")
    skopeo("copy", f"oci:{layout}", f"oci:{copy}:app")
    expect(manifest_digest(copy) == report["digest"], "the copy has another digest")


@check("skopeo reads the docker-archive")
def _(context):
    account = context.first
    account.example(EXAMPLE)
    archive = os.path.join(account.work, "image.tar")
    account.build(os.path.join(account.examples, EXAMPLE), "-t", "example/app:1", "-o", f"type=docker,dest={archive}")
    about = json.loads(skopeo("inspect", f"docker-archive:{archive}"))
    expect(about["Architecture"] in ("amd64", "arm64"), f"the architecture is {about['Architecture']}")
    skopeo("copy", f"docker-archive:{archive}", f"dir:{context.directory('from-archive')}/dir")


@check("a pushed image comes out of a real registry as it went in")
def _(context):
    account, report = context.first, context.first.example(EXAMPLE)
    project = os.path.join(account.examples, EXAMPLE)
    with registry(context) as address:
        name = f"{address}/team/app:1"
        pushed = account.build(project, "-t", name, "--push", "--insecure-registry", address)
        expect(pushed["digest"] == report["digest"], "the pushed image has another digest")
        about = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))
        expect(about["Digest"] == report["digest"], f"the registry has {about['Digest']}")
        copy = os.path.join(context.directory("from-registry"), "layout")
        skopeo("copy", "--src-tls-verify=false", f"docker://{name}", f"oci:{copy}:app")
        expect(manifest_digest(copy) == report["digest"], "what skopeo fetched has another digest")
        account.build(project, "-t", name, "--push", "--insecure-registry", address)

        store = ["--store", os.path.join(account.work, "other-store")]
        account.jettison("pull", name, "--insecure-registry", address, *store)
        mine = os.path.join(account.work, "pulled")
        account.jettison("copy", f"docker://{name}", f"oci:{mine}:app", "--insecure-registry", address)
        expect(manifest_digest(mine) == report["digest"], "what jettison fetched has another digest")
        other = f"{address}/team/copy:1"
        account.jettison("copy", f"oci:{mine}:app", f"docker://{other}", "--insecure-registry", address)
        about = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{other}"))
        expect(about["Digest"] == report["digest"], "the copy in the registry has another digest")


@check("zstd layers are read by skopeo and podman")
def _(context):
    account = context.first
    account.example(EXAMPLE)
    path = os.path.join(account.work, "layouts", "zstd")
    account.build(
        os.path.join(account.examples, EXAMPLE), "--compression", "zstd", "-o", f"type=oci,tar=false,dest={path}"
    )
    raw = json.loads(skopeo("inspect", "--raw", f"oci:{path}"))
    types = {layer["mediaType"] for layer in raw["layers"]}
    expect(types == {"application/vnd.oci.image.layer.v1.tar+zstd"}, f"the media types are {types}")
    skopeo("inspect", f"oci:{path}")
    # Which unpacks every layer and holds it against its diff ID.
    tool(*podman(context), "pull", "-q", f"oci:{path}")


def runtime():
    """crun, or runc where cgroups are laid out in the hybrid way that crun does not take."""
    return "runc" if os.path.isdir("/sys/fs/cgroup/unified") else "crun"


def podman(context):
    """podman with a storage of its own, as far as its arguments go."""
    root = os.path.join(context.work, "scratch", "podman")
    own = ["--root", f"{root}/root", "--runroot", f"{root}/run", "--tmpdir", f"{root}/tmp", "--storage-driver=vfs"]
    return ["podman", *own, "--events-backend=file", "--cgroup-manager=cgroupfs", "--runtime", runtime()]


@contextlib.contextmanager
def tagged(context):
    """The layout under the tag that umoci and podman ask for."""
    copy = os.path.join(context.directory("tagged"), "layout")
    skopeo("copy", f"oci:{context.layout(EXAMPLE)}", f"oci:{copy}:app")
    yield copy


@check("umoci unpacks it and an OCI runtime runs it")
def _(context):
    bundle = os.path.join(context.directory("umoci"), "bundle")
    with tagged(context) as layout:
        tool("umoci", "unpack", "--image", f"{layout}:app", bundle)
    config_path = os.path.join(bundle, "config.json")
    with open(config_path, encoding="utf-8") as file:
        config = json.load(file)
    expect(config["process"]["user"]["uid"] == 65532, f"it runs as {config['process']['user']}")
    config["process"]["terminal"] = False
    port = free_port()
    config["process"]["args"] = on_port(config["process"]["args"], port)
    # The port must be reachable from here, and cgroups are not what is checked.
    linux = config["linux"]
    linux["namespaces"] = [kind for kind in linux["namespaces"] if kind["type"] not in ("network", "cgroup")]
    linux.pop("resources", None)
    config["mounts"] = [mount for mount in config["mounts"] if mount["type"] != "cgroup"]
    with open(config_path, "w", encoding="utf-8") as file:
        json.dump(config, file)
    name = f"jettison-{port}"
    oci = [runtime(), "--root", context.directory("runtime")]
    disabled = ["--cgroup-manager=disabled"] if runtime() == "crun" else []
    try:
        serves([*oci, *disabled, "run", "-b", bundle, name], port)
    finally:
        # Where it did not end by itself.
        subprocess.run([*oci, "delete", "-f", name], capture_output=True, check=False)


@check("podman runs it")
def _(context):
    with tagged(context) as layout:
        image = tool(*podman(context), "pull", "-q", f"oci:{layout}:app").strip().splitlines()[-1]
    port = free_port()
    args = json.loads(tool(*podman(context), "image", "inspect", image))[0]["Config"]
    argv = on_port((args.get("Entrypoint") or []) + (args.get("Cmd") or []), port)
    name = f"jettison-{port}"
    flags = ["--rm", "--name", name, "--network=host", "--entrypoint", json.dumps(argv[:1])]
    # Its own limits are higher than a container around all of this may allow.
    flags += ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]
    flags += ["--cgroups=disabled"] if runtime() == "crun" else []
    try:
        serves([*podman(context), "run", *flags, image, *argv[1:]], port)
    finally:
        subprocess.run([*podman(context), "rm", "-f", "-t", "0", name], capture_output=True, check=False)


def on_port(argv, port):
    """The start command with a free port in place of its own."""
    changed = [word.replace("8000", str(port)) for word in argv]
    expect(changed != argv, f"there is no port 8000 in {argv}")
    return changed


def serves(argv, port):
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with running(process, argv):
        status, body = fetch(f"http://127.0.0.1:{port}/", 60, process)
        expect(status == 200, f"it answers {status}: {body[:300]}")


@check("every blob of the layout has the digest that its name says")
def _(context):
    blobs = os.path.join(context.layout(EXAMPLE), "blobs", "sha256")
    for name in os.listdir(blobs):
        with open(os.path.join(blobs, name), "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        expect(digest == name, f"{name} has the digest {digest}")
