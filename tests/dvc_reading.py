"""What DVC itself reads in a project, to be held against what we read."""

from __future__ import annotations

import json
import shutil
import textwrap
from typing import Any

from conftest import Project

from mlflow_dvc.capture import workspace
from mlflow_dvc.snapshot import Snapshot

FIELDS = ("path", "algorithm", "hash", "size", "nfiles", "cached", "stage")


# Reads what DVC can read, file by file: one bad file makes `dvc` itself refuse the whole project.
ASK_DVC = """\
import json, os, sys
from dvc.repo import Repo
from dvc.repo.index import collect_files

repo = Repo(sys.argv[1])
rows, refused = [], {}
def on_error(path, error):
    refused[os.path.relpath(path, repo.root_dir)] = type(error).__name__
for path, index in collect_files(repo, onerror=on_error):
    for stage in index.stages:
        file = os.path.relpath(stage.path, repo.root_dir)
        name = getattr(stage, "name", None)
        address = file if name is None else name if file == "dvc.yaml" else f"{file}:{name}"
        for out in stage.outs:
            local = out.protocol == "local" and not os.path.isabs(out.def_path)
            shown = os.path.relpath(out.fs_path, repo.root_dir) if local else out.def_path
            hash = out.hash_info.value if out.hash_info else None
            rows.append([shown, out.hash_name, hash, out.meta.size,
                         out.meta.nfiles, out.use_cache, address])
print(json.dumps([sorted(rows), refused]))
"""


def lay_out(project: Project, files: dict[str, str]) -> None:
    for path, text in files.items():
        project.write(path, textwrap.dedent(text))


def ask_dvc(project: Project, where: str) -> str:
    script = project.root.parent / "ask_dvc.py"
    script.write_text(ASK_DVC)
    return project.run("python", str(script), where, cwd=project.root.parent)


def dvc_reads(project: Project, root: str = ".") -> tuple[list[list[Any]], dict[str, str]]:
    """DVC's entries, and the files it refuses. On a copy, because DVC writes where it looks."""
    copy = project.root.parent / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(project.root, copy, symlinks=True)
    where = str(copy / root)
    answer = ask_dvc(project, where)
    rows, refused = json.loads(answer.splitlines()[-1].replace(str(copy), str(project.root)))
    return rows, refused


def dvc_reads_in_place(project: Project) -> tuple[list[list[Any]], dict[str, str]]:
    """Where absolute paths matter; ours is read from a project that DVC has not touched yet."""
    we_read(project)
    answer = ask_dvc(project, str(project.root))
    rows, refused = json.loads(answer.splitlines()[-1])
    return rows, refused


def we_read(project: Project, root: str = ".") -> tuple[list[list[Any]], Snapshot]:
    snapshot = workspace.inspect(str(project.root / root))[1]
    return [[getattr(entry, field) for field in FIELDS] for entry in snapshot.data], snapshot


def hashed(rows: list[list[Any]]) -> list[list[Any]]:
    """What is not known has neither algorithm nor hash: DVC makes up the first."""
    return [row if row[2] else [row[0], None, None, *row[3:]] for row in rows]


def as_dvc(project: Project, root: str = ".", *, refused: str = "") -> dict[str, str | None]:
    """Path and hash of every entry, after holding all of it against DVC's reading."""
    theirs, faults = dvc_reads(project, root)
    ours, snapshot = we_read(project, root)
    assert hashed(ours) == hashed(theirs)
    if refused:
        assert list(faults) == [refused]
        assert any(refused in warning for warning in snapshot.warnings), snapshot.warnings
    else:
        assert faults == {}
        said = [line for line in snapshot.warnings if "hides it from DVC" not in line]
        assert not said
    return {row[0]: row[2] for row in ours}


def lock(stages: str) -> str:
    return "schema: '2.0'\nstages:\n" + textwrap.indent(textwrap.dedent(stages), "  ")
