"""Archives of files that do not hold what they say, or hold what is to go elsewhere."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable, Iterable
from functools import partial

from attacks.forgery import Forgery
from attacks.kinds import hostile

Entry = tuple[str, bytes]
SINGLE = b"outs:\n- md5: " + b"a" * 32 + b"\n  path: evil\n"


def packed(entries: Iterable[Entry], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    found = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(found, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content in entries:
            archive.writestr(name, content)
    return found.getvalue()


def named(name: str) -> Callable[[], bytes]:
    return lambda: packed([("dvc.yaml", b"stages: {}\n"), (name, SINGLE)])


def lying() -> bytes:
    """A gigabyte that is said to be eight bytes."""
    content = packed([("params.yaml", b"\0" * 10**9)])
    at = content.rindex(b"PK\1\2") + 24
    return content[:at] + (8).to_bytes(4, "little") + content[at + 4 :]


def encrypted() -> bytes:
    content = bytearray(packed([("params.yaml", b"lr: 1\n")]))
    content[6] |= 1
    content[content.rindex(b"PK\1\2") + 8] |= 1
    return bytes(content)


ARCHIVES: dict[str, Callable[[], bytes]] = {
    "bomb": lambda: packed((f"{number}.dvc", b"\0" * 10**8) for number in range(10)),
    "lying": lying,
    "many": lambda: packed((f"{number}.dvc", b"") for number in range(100_000)),
    "twice": lambda: packed([("evil.dvc", SINGLE), ("evil.dvc", b"outs: []\n")]),
    "encrypted": encrypted,
    "other-method": lambda: packed([("evil.dvc", SINGLE)], zipfile.ZIP_LZMA),
    "cut": lambda: packed([("evil.dvc", SINGLE)])[:-30],
    "no-archive": lambda: b"PK\5\6" + b"\xff" * 18,
    "up": named("../../evil.dvc"),
    "absolute": named("/tmp/canary/evil.dvc"),
    "git": named("data/.git/config"),
    "part": named("resume-1/snapshot.json"),
    "snapshot": lambda: packed([("snapshot.json", b"[" * 200_000)]),
    "archive": lambda: packed([("project.zip", packed([("evil.dvc", SINGLE)]))]),
}


def attach(make: Callable[[], bytes], run: Forgery) -> None:
    run.artifacts["dvc/project.zip"] = make()


def attach_alone(run: Forgery) -> None:
    """There is no other snapshot than the one in the archive, and it is broken."""
    broken = json.dumps({"schema": 1, "data": 5}).encode()
    run.artifacts["dvc/project.zip"] = packed([("snapshot.json", broken)])
    run.ends.append(lambda artifacts: (artifacts / "dvc/snapshot.json").unlink())


for _name, _make in ARCHIVES.items():
    hostile(f"archive-{_name}", fast=_name == "up")(partial(attach, _make))
hostile("archive-alone")(attach_alone)


def attach_to_parts(name: str, run: Forgery) -> None:
    """Each is as large as a record may be, and there are many of them."""
    content = packed([(name, b"[" * 90 * 10**6)])
    for number in range(1, 60):
        run.artifacts[f"dvc/resume-{number}/project.zip"] = content


for _name in ("params.yaml", "snapshot.json"):
    hostile(f"archive-of-each-part-{_name}")(partial(attach_to_parts, _name))
