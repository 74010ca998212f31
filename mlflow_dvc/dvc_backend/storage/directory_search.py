"""Find the versions of directories that hold one file, by the listings that DVC keeps.

A listing of 100,000 files is looked through as text: to parse it takes thirty times as long.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.child_process import call_dvc, describe_dvc_error
from mlflow_dvc.dvc_backend.hash_query import LEGACY
from mlflow_dvc.dvc_backend.readonly_repo import open_read_only
from mlflow_dvc.dvc_backend.storage.stores import open_stores, read_listing_bytes

_MAX_SECONDS = 600.0
_MAX_THREADS = 16
_MAX_ROW_BYTES = 1 << 16  # bytes of a row in a listing
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class DirectoryMatches:
    """What the listings say.

    ``found`` maps the hash of each folder that has the file to the file's hash and its paths there.
    ``unknown`` maps the hash of each folder whose listing could not be had to the reason, in words.
    """

    found: Mapping[str, Sequence[tuple[str, str]]]
    unknown: Mapping[str, str]


def search_directories(
    root: str, folders: Sequence[str], *, md5: str | None = None, paths: Mapping[str, str]
) -> DirectoryMatches:
    """Which of ``folders``, by their hashes, have a file whose hash begins with ``md5``.

    Or, with ``paths``, one at that path within the folder of that hash. ``root`` is the DVC project
    whose cache and remotes are asked. Raises OSError where DVC cannot be asked.
    """
    request = {"root": root, "folders": list(folders), "md5": md5, "paths": dict(paths)}
    answer = call_dvc(run_contains, request, _MAX_SECONDS)
    found = {folder: [(row[0], row[1]) for row in rows] for folder, rows in answer["found"].items()}
    return DirectoryMatches(found, answer["unknown"])


@api.task("repo", "stores")
def run_contains(
    root: str, folders: Sequence[str], md5: str | None, paths: Mapping[str, str]
) -> dict[str, Any]:
    """The task of the child process. It imports DVC and changes the working directory."""
    found: dict[str, list[tuple[str, str]]] = {}
    unknown: dict[str, str] = {}
    with open_read_only(root) as repo:
        trouble: list[str] = []
        places = [*open_stores(repo, "md5", trouble.append)]
        places += [
            place for place in open_stores(repo, LEGACY, trouble.append) if place not in places
        ]

        def look(folder: str) -> None:
            tried = list(dict.fromkeys(trouble))
            for name, odb in places:
                try:
                    content = read_listing_bytes(odb, folder)
                    rows = _matching(content, md5, paths.get(folder))
                except FileNotFoundError:
                    continue
                except Exception as error:
                    tried.append(f"{name}: {describe_dvc_error(error)}")
                    continue
                if rows:
                    found[folder] = rows
                return
            unknown[folder] = "; ".join(tried) or "neither the cache nor a DVC remote lists it"

        with ThreadPoolExecutor(_MAX_THREADS) as pool:
            list(pool.map(look, folders))
    return {"found": dict(sorted(found.items())), "unknown": unknown}


def _matching(content: bytes, md5: str | None, path: str | None) -> list[tuple[str, str]]:
    """Hash and path of each file in the listing that is asked for."""
    needle = f'"{md5}' if md5 is not None else json.dumps(path)
    rows = _rows_around(content, needle.encode())
    return [
        (value, inside)
        for value, inside in rows
        if (value.startswith(md5) if md5 is not None else inside == path)
    ]


def _rows_around(content: bytes, needle: bytes) -> list[tuple[str, str]]:
    """The rows that have ``needle`` in them, as DVC writes them; every row where it did not."""
    found = []
    at = content.find(needle)
    try:
        while at >= 0:
            start = content.rfind(b"{", 0, at)
            text = content[start : start + _MAX_ROW_BYTES].decode("utf-8", "replace")
            found.append(_row(_DECODER.raw_decode(text)[0]))
            at = content.find(needle, at + 1)
    except (ValueError, TypeError, KeyError, AttributeError):  # a brace in the name of a file, say
        return [_row(row) for row in json.loads(content)]
    return list(dict.fromkeys(found))


def _row(raw: Any) -> tuple[str, str]:
    return str(raw.get("md5", "")), str(raw["relpath"])
