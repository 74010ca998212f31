"""Links in a tree that lead out of it."""

from __future__ import annotations

import os
from collections.abc import Callable

from mlflow_dvc.paths import leads_out


def links_out(git: Callable[..., bytes], tree: str) -> dict[str, str]:
    """By path where each of them leads to. ``git`` runs git in the repository of the tree."""
    rows = git("ls-tree", "-r", "-z", tree).split(b"\0")
    links = [row.partition(b"\t") for row in rows if row.startswith(b"120000 ")]
    if not links:
        return {}
    names = b"".join(head.split()[2] + b"\n" for head, _, _ in links)
    text = git("cat-file", "--batch=%(objectsize)", given=names)
    found = {}
    for _, _, name in links:
        size, _, text = text.partition(b"\n")
        where, text = text[: int(size)], text[int(size) + 1 :]
        if leads_out(os.fsdecode(name), os.fsdecode(where)):
            found[os.fsdecode(name)] = os.fsdecode(where)
    return found
