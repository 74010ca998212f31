"""Disks that are full, and folders that nobody can write into, where this process may mount."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


def mount(*words: str) -> None:
    if subprocess.run(["mount", *words], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")


def fill_disk(folder: Path) -> None:
    """A disk of its own at the new ``folder``, without room for a byte more."""
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder))
    (folder / "fill").write_bytes(b"x" * (64 << 10))


def make_read_only(folder: Path) -> None:
    mount("--bind", str(folder), str(folder))
    mount("-o", "remount,bind,ro", str(folder))


def unmount(folder: Path) -> None:
    """Whatever is mounted at ``folder`` or below."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        if Path(line.split()[1]).is_relative_to(folder):
            subprocess.run(["umount", "-l", line.split()[1]], check=True)
