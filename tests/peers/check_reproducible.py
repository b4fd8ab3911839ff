"""The same inputs, the same digest: from scratch, from another directory, with another clock and umask."""

import os
import shutil

from harness import check, expect

EXAMPLE = "flask"


def elsewhere(context, name):
    """A copy of the example, as it is after its first build, in another directory."""
    account = context.first
    account.example(EXAMPLE)
    target = os.path.join(account.work, "elsewhere", name, "project")
    shutil.copytree(os.path.join(account.examples, EXAMPLE), target, symlinks=True)
    # Times are no input.
    for root, directories, files in os.walk(target):
        for entry in directories + files:
            os.utime(os.path.join(root, entry), (1_000_000_000, 1_000_000_000), follow_symlinks=False)
    account.own(os.path.join(account.work, "elsewhere"))
    return target


@check("a second build is the same image")
def _(context):
    account = context.first
    built = account.example(EXAMPLE)["digest"]
    again = account.build(os.path.join(account.examples, EXAMPLE))
    expect(again["digest"] == built, f"{built} the first time, {again['digest']} the second")


@check("from another directory, in an empty store, it is the same image")
def _(context):
    account = context.first
    target = elsewhere(context, "verified")
    store = os.path.join(account.work, "elsewhere", "store")
    again = account.build(target, "--store", store)
    built = account.example(EXAMPLE)["digest"]
    expect(again["digest"] == built, f"{built} at first, {again['digest']} elsewhere")


@check("whether it was verified makes no difference")
def _(context):
    account = context.first
    target = elsewhere(context, "unverified")
    again = account.build(target, "--no-verify", "--store", os.path.join(account.work, "elsewhere", "store-2"))
    built = account.example(EXAMPLE)["digest"]
    expect(again["digest"] == built, f"{built} verified, {again['digest']} not verified")


@check("neither umask nor locale nor time zone makes a difference")
def _(context):
    account = context.first
    target = elsewhere(context, "environment")
    store = os.path.join(account.work, "elsewhere", "store-3")
    command = f'umask 077; exec "{account.program}" build "{target}" --store "{store}" --no-verify --json'
    env = {"LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati", "HOSTNAME": "other", "PYTHONHASHSEED": "7"}
    done = account.run("/bin/sh", "-c", command, env=env)
    expect(done.status == 0, str(done))
    built = account.example(EXAMPLE)["digest"]
    expect(f'"{built}"' in done.stdout, f"{built} at first, another with other settings: {done.stdout[:200]}")


@check("the store can be looked at and emptied")
def _(context):
    account = context.first
    store = ["--store", os.path.join(account.work, "elsewhere", "store")]
    account.example(EXAMPLE)
    account.jettison("cache", "du", *store)
    account.jettison("cache", "prune", "--all", *store)
