"""Which files are programs, and which ones DVC writes."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable

# Programs, and what configures them. JSON and plain text are as often data: they count as such.
_SUFFIXES = frozenset({
    ".py", ".pyi", ".pyx", ".ipynb", ".r", ".rmd", ".qmd", ".jl", ".m", ".sh", ".bash", ".zsh",
    ".ps1", ".bat", ".pl", ".rb", ".lua", ".sql", ".js", ".mjs", ".ts", ".java", ".scala",
    ".kt", ".go", ".rs", ".c", ".cc", ".cpp", ".cxx", ".h", ".hpp", ".cu", ".f90", ".cs",
    ".swift", ".php", ".stan", ".wdl", ".smk", ".nf", ".yaml", ".yml", ".toml", ".cfg", ".ini",
    ".lock", ".mk",
})  # fmt: skip
_NAMES = frozenset({"makefile", "dockerfile", "snakefile", "requirements.txt", "pipfile"})

# Folders that are no code even if git tracks them: DVC's own, and what runs leave behind.
_NEVER_CODE = frozenset({".dvc", "mlruns", "mlartifacts"})


def is_written_by_dvc(path: str) -> bool:
    """Whether DVC, or the tracking store, writes the file ``path``, which git may track."""
    name = posixpath.basename(path)
    if name == "dvc.lock" or name.endswith(".dvc"):
        return True
    return not _NEVER_CODE.isdisjoint(path.split("/"))


def is_program(path: str) -> bool:
    """Whether a file of this name is a program, or configures one."""
    name = posixpath.basename(path).lower()
    return name in _NAMES or posixpath.splitext(name)[1] in _SUFFIXES


def are_ignores_of_dvc(path: str, lines: Iterable[bytes], is_output: Callable[[str], bool]) -> bool:
    """Whether these lines of the ``.gitignore`` at ``path`` are DVC's, for its outputs."""
    folder = posixpath.dirname(path)
    return all(
        line.startswith(b"/") and is_output(posixpath.join(folder, os.fsdecode(line[1:])))
        for line in lines
        if line.strip()
    )
