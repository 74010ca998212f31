"""What an attack has left: files that changed, requests that carry a secret, programs that ran."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

from attacks.laboratory import MARKS, Laboratory

# What may be written: caches of git, DVC and the package, MLflow's store, what git keeps of objects
# and of times of files, the tag of a pin. In the scratch folder nothing may be left, which is asked
# apart.
ALLOWED = (
    "home/.cache/", "home/dvc-site", "home/ssh.log", "mlflow.db", "artifacts", "targets/",
    "project/.git/worktrees", "project/.git/objects", "project/.git/FETCH_HEAD",
    "project/.git/shallow", "project/.git/index", "project/.git/refs/tags/mlflow-dvc",
    "ran/", "home/.cache", "results", "scratch/",
)  # fmt: skip
Listing = Mapping[str, tuple[int, ...]]


def listing(lab: Laboratory) -> Listing:
    """Every file with its time and size, every folder with its mode; no link is followed."""
    return dict(_rows(lab.root, len(str(lab.root)) + 1))


def _rows(folder: Path, cut: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = entry.path[cut:]
            if path.startswith(ALLOWED) or path == "targets":
                continue
            found = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                yield path, (found.st_mode,)
                yield from _rows(Path(entry.path), cut)
            else:
                yield path, (found.st_mode, found.st_size, found.st_mtime_ns)


def changed(before: Listing, after: Listing) -> list[str]:
    found = [path for path in after if path not in before]
    found += [path for path in before if before[path] != after.get(path)]
    return sorted(found)


def secrets_seen(lab: Laboratory) -> list[str]:
    """The first line of each request to the attacker that carries a secret of the user's."""
    found = [request for request in lab.listener.requests if any(m in request for m in MARKS)]
    lines = [request.partition(b"\n")[0].decode("utf-8", "replace") for request in found]
    return sorted(set(lines))


OWN = (".git", "m/.git")  # of the tree itself, and of the submodule that some records have


def git_names(folder: Path) -> list[str]:
    """What lies in a restored tree under a name that git, on some system, takes for ``.git``."""
    found = []
    for here, folders, files in os.walk(folder):
        inside = os.path.relpath(here, folder)
        for name in (*folders, *files):
            path = os.path.normpath(os.path.join(inside, name))
            if is_git_name(name) and path not in OWN:
                found.append(path)
        folders[:] = [name for name in folders if name != ".git" or inside != "."]
    return found


# As git does on HFS+ and NTFS (``is_hfs_dotgit``, ``is_ntfs_dotgit``).
_IGNORED = frozenset(
    map(chr, (*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF))
)


def is_git_name(name: str) -> bool:
    plain = "".join(char for char in name if char not in _IGNORED).casefold()
    plain = plain.partition(":")[0].rstrip(" .")
    return plain in (".git", "git~1")


def unprintable(text: str) -> list[str]:
    """Characters that act on a terminal, or hide in it."""
    odd = {c for c in text if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Cs")}
    return sorted(map(ascii, odd))
