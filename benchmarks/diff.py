"""What `mlflow-dvc diff` takes for one folder: two listings in a cache, no file of either.

python benchmarks/diff.py [FILES ...]

One file in a hundred is modified, one added, one deleted, one renamed. Prints the seconds of the
whole child process, its memory, and the seconds of the comparison alone, ours and DVC's own.
"""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow_dvc.dvc_backend.storage import directory_diff

SIZES = (10_000, 100_000, 1_000_000)
BY_DVC_AT_MOST = 1_000_000


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def states(count: int) -> Iterator[dict[str, str]]:
    def path(number: int) -> str:
        return f"class{number % 1000:04}/image{number:08}.jpg"

    old = {path(number): md5(str(number)) for number in range(count)}
    new = dict(old)
    for number in range(0, count, 100):
        new[path(number)] = md5(f"modified {number}")
        new[path(count + number)] = md5(f"added {number}")
        del new[path(number + 1)]
        new[path(number + 2) + ".renamed"] = new.pop(path(number + 2))
    yield from (old, new)


def keep(root: Path, state: Mapping[str, str]) -> str:
    """A listing as DVC writes it, into the cache; its hash."""
    rows = [{"md5": value, "relpath": path} for path, value in sorted(state.items())]
    content = json.dumps(rows, sort_keys=True)
    value = md5(content) + ".dir"
    target = root / ".dvc/cache/files/md5" / value[:2] / value[2:]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content)
    return value


def by_dvc(old: Mapping[str, str], new: Mapping[str, str]) -> None:
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.index import DataIndex, DataIndexEntry
    from dvc_data.index.diff import diff as index_diff

    def index(state: Mapping[str, str]) -> Any:
        entries = {
            (key := tuple(path.split("/"))): DataIndexEntry(
                key=key, hash_info=HashInfo("md5", value)
            )
            for path, value in state.items()
        }
        return DataIndex(entries)

    for _ in index_diff(index(old), index(new), with_renames=True, hash_only=True):
        pass


def seconds(work: Any, *words: Any) -> float:
    start = time.perf_counter()
    work(*words)
    return time.perf_counter() - start


def main() -> None:
    print(f"{'files':>9} {'child':>9} {'memory':>9} {'ours':>9} {'DVC':>9}")
    for count in map(int, sys.argv[1:] or SIZES):
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory)
            subprocess.run(
                [sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=root, check=True
            )
            old, new = states(count)
            pair = directory_diff.DirectoryPair("data", "md5", keep(root, old), keep(root, new))
            child = seconds(directory_diff.compare_directories, str(root), [pair])
            # Linux counts in kB, and of all children the largest.
            memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
            ours = seconds(directory_diff.compare_rows, old, new)
            theirs = f"{seconds(by_dvc, old, new):7.1f} s" if count <= BY_DVC_AT_MOST else "-"
            print(f"{count:9} {child:7.1f} s {memory:6.0f} MB {ours:7.2f} s {theirs:>9}")


if __name__ == "__main__":
    main()
