"""What is code among the files that a stage depends on; the rest is data."""

from __future__ import annotations

import posixpath

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
