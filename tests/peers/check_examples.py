"""Every example is built, verified, run and fetched, by root and by an ordinary user, within the promised sizes."""

import json
import os

from harness import CHECKS, check, expect, fetch
from servers import postgres

EXAMPLES = ["plain", "flask", "django", "poetry", "fastapi-postgres", "pandas"]
# Megabytes: compressed as pushed, unpacked.
SIZES = {"fastapi-postgres": (27, 80), "pandas": (43, 135), "flask": (15, 42)}


def build(context, account, name):
    project = os.path.join(account.examples, name)
    report = account.build(project)
    verify = report["verify"]
    expect(verify, f"it was not verified: {report.get('not_verified')}")
    expect(verify["started"], f"the start command did not run: {verify}")
    expect(verify["http_status"], f"the port did not answer: {verify}")
    distributions = [owner for owner in report["owners"] if owner["kind"] == "distribution"]
    expect(name == "plain" or verify["imported"], "no module was imported")
    expect(name == "plain" or distributions, "no distribution is in the report")
    for total in ("compressed_bytes", "unpacked_bytes"):
        layers = sum(layer[total] for layer in report["layers"])
        expect(report[total] == layers, f"{total}: {report[total]} in all, {layers} in the layers")
    owned = sum(owner["bytes"] for owner in report["owners"])
    expect(owned == report["unpacked_bytes"], f"the owners hold {owned} bytes, the layers {report['unpacked_bytes']}")
    account.images[name] = report


def serve(context, account, name):
    report = account.example(name)
    with account.serving(os.path.join(account.examples, name), report) as url:
        status, body = fetch(url + "/")
        expect(status < 500, f"GET / is answered with {status}: {body[:500]}")


def register(account_index, account_name):
    for name in EXAMPLES:

        def built(context, name=name):
            build(context, context.accounts[account_index], name)

        def served(context, name=name):
            serve(context, context.accounts[account_index], name)

        CHECKS.append((f"{name} is built and verified {account_name}", built))
        CHECKS.append((f"{name} is run and answers HTTP {account_name}", served))


def register_all(options):
    """The checks above, for every account."""
    register(0, "by the caller")
    if options.user:
        register(1, "by an ordinary user")

        @check("every example has one digest, whoever builds it")
        def _(context):
            caller, other = context.accounts
            for name in EXAMPLES:
                ours, theirs = caller.example(name)["digest"], other.example(name)["digest"]
                expect(ours == theirs, f"{name}: {ours} by {caller.name}, {theirs} by {other.name}")


def after_all():
    """The checks that follow those of every account."""

    @check("fastapi-postgres queries a real PostgreSQL")
    def _(context):
        account = context.first
        report = account.example("fastapi-postgres")
        with postgres(context) as port:
            url = f"DATABASE_URL=postgresql+psycopg2://postgres@127.0.0.1:{port}/postgres"
            project = os.path.join(account.examples, "fastapi-postgres")
            with account.serving(project, report, "--env", url, network="host") as base:
                status, body = fetch(base + "/db")
                expect(status == 200, f"GET /db is answered with {status}: {body[:800]}")
                said = json.loads(body)
                expect(said["answer"] == 42 and "PostgreSQL" in said["version"], f"GET /db says {body}")

    @check("images are as small as promised")
    def _(context):
        within({name: (context.first.example(name), *bars) for name, bars in SIZES.items()})

    @check("fastapi-postgres without bytecode is as small as promised")
    def _(context):
        account = context.first
        account.example("fastapi-postgres")
        project = os.path.join(account.examples, "fastapi-postgres")
        report = account.build(project, "--bytecode", "none", "--no-verify")
        within({"fastapi-postgres": (report, 22, 66)})


def within(images):
    """Prints the sizes of `{name: (report, compressed, unpacked)}` and holds them to their bars, all before it complains."""
    rows, kept = [], True
    for name, (report, compressed, unpacked) in images.items():
        sizes = report["compressed_bytes"] / 1e6, report["unpacked_bytes"] / 1e6
        rows.append(f"{name}: {sizes[0]:.1f} of {compressed} MB compressed, {sizes[1]:.1f} of {unpacked} MB unpacked")
        kept &= sizes[0] <= compressed and sizes[1] <= unpacked
    print("        " + "\n        ".join(rows))
    expect(kept, "\n".join(rows))
