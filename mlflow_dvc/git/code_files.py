"""Which files are programs, and which ones DVC writes."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterable

_PROGRAM_SUFFIXES = frozenset({
    ".py", ".pyi", ".pyx", ".ipynb", ".r", ".rmd", ".qmd", ".jl", ".m", ".sh", ".bash", ".zsh",
    ".ps1", ".bat", ".pl", ".rb", ".lua", ".sql", ".js", ".mjs", ".ts", ".java", ".scala",
    ".kt", ".go", ".rs", ".c", ".cc", ".cpp", ".cxx", ".h", ".hpp", ".cu", ".f90", ".cs",
    ".swift", ".php", ".stan", ".wdl", ".smk", ".nf", ".mk",
})  # fmt: skip
_PROGRAM_NAMES = frozenset({"makefile", "dockerfile", "snakefile"})
# JSON and plain text are as often data: they count as such.
_SETTINGS_SUFFIXES = frozenset({".yaml", ".yml", ".toml", ".cfg", ".ini", ".lock"})
_SETTINGS_NAMES = frozenset({"requirements.txt", "pipfile"})

# Folders that are no code even if git tracks them: DVC's own, and what runs leave behind.
_NEVER_CODE = frozenset({".dvc", "mlruns", "mlartifacts", ".hydra", ".ipynb_checkpoints"})
# What tools that track runs write into folders of their own: no code, but for programs.
_TOOL_RESULTS = re.compile(
    r"(?:.*/)?(?:dvclive/|lightning_logs/version_|wandb/(?:(?:offline-)?run-|latest-run/|debug|sweep-))"
    r".*",
    re.DOTALL,
)


def is_never_code(path: str) -> bool:
    """Whether DVC, or a tool that tracks runs, writes the file ``path``, which git may track."""
    name = posixpath.basename(path)
    if name == "dvc.lock" or name.endswith(".dvc"):
        return True
    if _TOOL_RESULTS.fullmatch(path) and not is_program_itself(path):
        return True
    return not _NEVER_CODE.isdisjoint(path.split("/"))


def is_program(path: str) -> bool:
    """Whether a file of this name is a program, or configures one."""
    return is_program_itself(path) or is_settings(path)


def is_settings(path: str) -> bool:
    """Whether a file of this name configures programs. Tools write such files as well."""
    name = posixpath.basename(path).lower()
    return name in _SETTINGS_NAMES or posixpath.splitext(name)[1] in _SETTINGS_SUFFIXES


def is_program_or_text(path: str) -> bool:
    """Whether a file of this name may stand beside programs without anything having run."""
    name = posixpath.basename(path).lower()
    return is_program(path) or name.startswith(".") or name.endswith((".md", ".rst"))


def is_program_itself(path: str) -> bool:
    """Whether a file of this name is a program, rather than settings."""
    name = posixpath.basename(path).lower()
    return name in _PROGRAM_NAMES or posixpath.splitext(name)[1] in _PROGRAM_SUFFIXES


def are_ignores_of_dvc(path: str, lines: Iterable[bytes], is_output: Callable[[str], bool]) -> bool:
    """Whether these lines of the ``.gitignore`` at ``path`` are DVC's, for its outputs."""
    folder = posixpath.dirname(path)
    return all(
        line.startswith(b"/") and is_output(posixpath.join(folder, os.fsdecode(line[1:])))
        for line in lines
        if line.strip()
    )
