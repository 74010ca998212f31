"""Records that are damaged, or of the wrong kinds: one line for that run, and no more."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from attacks.forgery import Forgery
from attacks.kinds import hostile

RAW: dict[str, bytes] = {
    "nested-lists": b"[" * 200_000,
    "nested-objects": b'{"a":' * 100_000,
    "null": b"null",
    "not-utf8": b"\xff\xfe{}",
    "huge-number": b'{"schema": 1, "sealed_at": ' + b"9" * 5000 + b"}",
    "not-finite": b'{"schema": 1, "git": null, "sealed_at": Infinity}',
    "schema-future": b'{"schema": 999999999, "git": {"sha": 5}}',
    "nul": b"\0" * 1000,
}


def raw(content: bytes, run: Forgery) -> None:
    run.snapshot = content


for _name, _content in RAW.items():
    hostile(f"broken-snapshot-{_name}", fast=_name == "nested-lists")(partial(raw, _content))

Change = Callable[[dict[str, Any]], object]


def put(*path: Any) -> Change:
    """The last word is the value, those before it say where."""
    *keys, last, value = path

    def change(said: dict[str, Any]) -> None:
        for key in keys:
            said = said[key]
        said[last] = value

    return change


CHANGES: dict[str, Change] = {
    "locks-number": put("locks", 5),
    "locks-odd": put("locks", {"../dvc.lock": "x", "": "", "\0": "y", "/dev/zero": "z"}),
    "data-number": put("data", 5),
    "path-number": put("data", 0, "path", 5),
    "hash-path": put("data", 0, "hash", "../../../canary/file"),
    "hash-surrogate": put("data", 0, "hash", "\ud800" * 32),
    "size-huge": put("data", 0, "size", 10**400),
    "state-odd": put("data", 0, "state", "\x1b[31m"),
    "stage-odd": put("data", 0, "stage", "../../x.dvc"),
    "git-text": put("git", "main"),
    "git-omitted": put("git", "omitted", 5),
    "git-uncommitted": put("git", "uncommitted", [["x"]]),
    "branch-nul": put("git", "branch", "main\0evil"),
    "branch-surrogate": put("git", "branch", "main\udcff"),
    "sealed-huge": put("sealed_at", 10**400),
    "stages-text": put("stages", "abc"),
    "stage-nul": put("stage", "tr\0ain"),
    "stage-surrogate": put("stage", "train\udcff"),
    "root-nul": put("root", "a\0b"),
    "root-absolute": put("root", "/"),
    "status-odd": put("data_status", "\u202eclean"),
    "warnings-number": put("warnings", 5),
}


def change_it(change: Change, run: Forgery) -> None:
    change(run.said)


for _name, _change in CHANGES.items():
    hostile(f"broken-field-{_name}", fast=_name == "size-huge")(partial(change_it, _change))


FILES: dict[str, tuple[str, bytes]] = {
    "lock-nested": ("dvc.lock", b"[" * 100_000),
    "lock-bomb": (
        "dvc.lock",
        b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(
            b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in range(98, 112)
        ),
    ),
    "lock-not-utf8": ("dvc.lock", b"\xff\xfe\0"),
    "lock-list": ("dvc.lock", b"- 1\n- 2\n"),
    "lock-tag": ("dvc.lock", b"!!python/object/apply:os.system ['touch ran/yaml']\n"),
    "lock-hash": (
        "dvc.lock",
        b"schema: '2.0'\nstages:\n  train:\n    cmd: x\n    outs:\n    - path: ../x\n"
        b"      md5: [1]\n      size: 1e400\n",
    ),
    "yaml-nested": ("dvc.yaml", b"{a: " * 50_000),
    "yaml-tag": ("dvc.yaml", b"stages: !!python/object/apply:os.system ['touch ran/yaml']\n"),
    "yaml-merge": ("dvc.yaml", b"a: &a {<<: *a}\nstages: *a\n"),
    "params-nested": ("params.yaml", b"[" * 100_000),
    "dvc-nested": ("data/raw.csv.dvc", b"[" * 100_000),
    "dvc-wrong": ("data/raw.csv.dvc", b"outs: 5\ndeps: {x: y}\n"),
    "dvc-wdir": (
        "data/raw.csv.dvc",
        b"wdir: ../../..\nouts:\n- md5: e5ebd4c02cefbe7955977c67ada242b7\n  path: canary/x\n",
    ),
}  # fmt: skip


def attach(path: str, content: bytes, run: Forgery) -> None:
    run.files[path] = content


for _name, (_path, _content) in FILES.items():
    hostile(f"broken-{_name}")(partial(attach, _path, _content))


@hostile("broken-resumed")
def resumed(run: Forgery) -> None:
    """Parts of a resumed run that are damaged, and of a number that no run has."""
    run.files |= {
        "resume-1/snapshot.json": b"[" * 100_000,
        "resume-2/snapshot.json": json.dumps(run.said | {"locks": 5}).encode(),
        "resume-999999/snapshot.json": b"{}",
        "resume-3": b"no folder",
    }


@hostile("broken-parent-of-itself")
def parent_of_itself(run: Forgery) -> None:
    run.tags["mlflow.parentRunId"] = "../../x"


@hostile("broken-tags-only")
def tags_only(run: Forgery) -> None:
    """No snapshot, and tags of odd values."""
    run.snapshot = b""
    run.files.clear()
    run.tags = {
        "git_sha": "x" * 40, "git_dirty": "maybe", "dvc.root": "../../..", "dvc.lock": "\u202e",
        "dvc.out.../x": "../../x.dir", "dvc.out.a": "\x1b[2J", "dvc.hashes": " " * 4000,
        "dvc.stages": "\n" * 4000, "mlflow.source.git.repoURL": "ext::sh -c x",
    }  # fmt: skip


@hostile("broken-tampered-sums")
def tampered_sums(run: Forgery) -> None:
    run.keep_sums = True
    run.files["dvc.lock"] += b"# changed\n"


@hostile("swapped-file-not-named", fast=True)
def not_named(run: Forgery) -> None:
    """An attached file which the snapshot does not name."""
    run.keep_sums = True
    run.files["sub/dvc.yaml"] = b"stages: {evil: {cmd: 'touch ran/stage'}}\n"
    run.files["sub/params.yaml"] = b"x: 1\n"


@hostile("swapped-command")
def swapped_command(run: Forgery) -> None:
    run.run_stage(f"{run.lab.program('stage')}; python src/train.py")


@hostile("swapped-command-kept-sums")
def swapped_command_kept_sums(run: Forgery) -> None:
    run.keep_sums = True
    run.run_stage(run.lab.program("stage"))


@hostile("swapped-params")
def swapped_params(run: Forgery) -> None:
    run.files["params.yaml"] = b"lr: 1000\n"


@hostile("swapped-command-of-commit")
def command_of_commit(run: Forgery) -> None:
    text = run.files["dvc.yaml"].decode()
    command = json.dumps(f"{run.lab.program('stage')}" + "\n" * 80 + "python src/train.py")
    run.commit({"dvc.yaml": text.replace("python src/train.py", command)})


@hostile("swapped-attached-is-a-link")
def attached_is_a_link(run: Forgery) -> None:
    """In the artifact store, which the attacker can write to as a folder."""

    def end(artifacts: Any) -> None:
        (artifacts / "dvc/params.yaml").unlink()
        (artifacts / "dvc/params.yaml").symlink_to("/dev/zero")

    run.ends.append(end)
