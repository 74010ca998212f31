"""What never ends, or is far too much: devices, pipes, the whole disk, the network."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

from attacks.forgery import Forgery
from attacks.kinds import hostile

ABSENT = "0123456789abcdef0123456789abcdef"
PATHS = {
    "zero": "/dev/zero",
    "random": "../../../../../../../../../dev/urandom",
    "lib": "../../../../../../../../../usr/lib",
    "root": "/",
    "proc": "/proc/self/fd/0",
    "stdin": "/dev/stdin",
    "fifo": "../targets/fifo",
    "address": "http://127.0.0.1:1/x",
}


def source_at(path: str, run: Forgery) -> None:
    os.mkfifo(run.lab.root / "targets/fifo")
    run.sources.append({"path": path, "algorithm": "md5", "hash": ABSENT})


for _name, _path in PATHS.items():
    hostile(f"endless-source-{_name}", fast=_name == "lib")(partial(source_at, _path))


def data_at(path: str, run: Forgery) -> None:
    os.mkfifo(run.lab.root / "targets/fifo")
    run.add_data(path, ABSENT)


for _name in ("zero", "lib", "fifo"):
    hostile(f"endless-data-{_name}")(partial(data_at, PATHS[_name]))


@hostile("endless-source-remote")
def remote(run: Forgery) -> None:
    at = run.lab.listener.address
    run.sources.append({"path": "x", "algorithm": "md5", "hash": ABSENT, "remote": f"{at}/endless"})


@hostile("endless-source-repository")
def repository(run: Forgery) -> None:
    at = run.lab.listener.address
    run.sources.append(
        {"path": "x", "algorithm": "md5", "hash": ABSENT, "repo": f"{at}/endless", "rev": "x"}
    )


@hostile("endless-git-url")
def git_url(run: Forgery) -> None:
    run.said["git"] |= {"remote_url": f"{run.lab.listener.address}/endless", "sha": "5" * 40}


@hostile("endless-links-in-commit")
def links_in_commit(run: Forgery) -> None:
    """Files of the project that are links to what never ends, and a loop of folders."""
    run.commit(
        {
            "params.yaml": Path("/dev/zero"),
            "data/raw.csv.dvc": Path("/dev/zero"),
            "sub/loop": Path(".."),
            "sub/dvc.yaml": Path("/dev/zero"),
        }
    )
    run.files["params.yaml"] = b"lr: 0.1\n"


@hostile("endless-link-to-secret")
def link_to_secret(run: Forgery) -> None:
    """A source that is a link out of the project, in a tree that was restored."""
    run.commit({"data/leak": run.lab.home / ".aws/credentials"})
    run.sources.append({"path": "data/leak", "algorithm": "md5", "hash": ABSENT})


@hostile("endless-many-sources")
def many_sources(run: Forgery) -> None:
    run.sources += [
        {"path": f"x{number}", "algorithm": "md5", "hash": ABSENT, "repo": "file:///dev/null"}
        for number in range(3)
    ]


SOURCES: dict[str, object] = {
    "nested": "[" * 60_000,
    "list": [],
    "null": None,
    "numbers": {"path": 5, "algorithm": 6, "hash": 7, "repo": 8},
    "no-path": {"algorithm": "md5", "hash": ABSENT},
    "algorithm": {"path": "x", "algorithm": "../../x", "hash": ABSENT},
    "hash-path": {"path": "x", "algorithm": "md5", "hash": "../../../../canary/file"},
    "hash-dir": {"path": "x", "algorithm": "md5", "hash": "../../../x.dir"},
    "hash-short": {"path": "x", "algorithm": "md5", "hash": "a"},
    "rev-path": {"path": "x", "algorithm": "md5", "hash": ABSENT, "rev": "../../x"},
    "lists": {"path": ["x"], "algorithm": ["md5"], "hash": [ABSENT], "remote": {"x": 1}},
}


def source_of(raw: object, run: Forgery) -> None:
    run.sources.append(raw if isinstance(raw, str) else json.dumps(raw))


for _name, _raw in SOURCES.items():
    hostile(f"broken-source-{_name}")(partial(source_of, _raw))
