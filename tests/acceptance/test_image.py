"""The image of examples/image: the steps of its Dockerfile, in a folder that stands for its root.

No engine is needed for that; what the base image has, this environment has.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Project

import mlflow_dvc

pytestmark = [pytest.mark.fresh, pytest.mark.clients]

EXAMPLE = Path(__file__).parents[2] / "examples/image"


class Image:
    """What the steps of a Dockerfile make, below the folder ``root``."""

    def __init__(self, root: Path, context: Path) -> None:
        self.root, self.context = root, context
        self.directory = root
        self.env: dict[str, str] = {}
        self.command: list[str] = []

    def build(self) -> None:
        for line in (self.context / "Dockerfile").read_text().splitlines():
            step, _, words = line.partition(" ")
            getattr(self, f"_{step.lower()}")(words)

    def start(self, **env: str) -> str:
        return Project(self.directory).run(*self.command, **self.env, **env)

    def _inside(self, path: str) -> Path:
        return self.root / path[1:] if path.startswith("/") else self.directory / path

    def _from(self, image: str) -> None:
        assert image.startswith("python:")

    def _workdir(self, path: str) -> None:
        self.directory = self._inside(path)
        self.directory.mkdir(parents=True)

    def _copy(self, words: str) -> None:
        *sources, target = words.split()
        self._inside(target).mkdir(exist_ok=True)
        for source in sources:
            shutil.copy(self.context / source, self._inside(target))

    def _run(self, command: str) -> None:
        # All must be here already: nothing is fetched.
        Project(self.directory).run("sh", "-c", command, PIP_NO_INDEX="1")

    def _env(self, words: str) -> None:
        name, _, value = words.partition("=")
        self.env[name] = str(self._inside(value)) if value.startswith("/") else value

    def _cmd(self, words: str) -> None:
        self.command = json.loads(words) if words.startswith("[") else shlex.split(words)


def test_image(
    make_project: Callable[..., Project], runs: Any, attached: Any, tmp_path: Path
) -> None:
    """A run of the image has the record that was frozen beside the code; that this file lies in
    the project makes the next one no other."""
    project = make_project()
    shutil.copytree(EXAMPLE, project.root, dirs_exist_ok=True)
    project.dvc("add", "--quiet", "data/train.csv")
    commit = project.commit("churn")
    digest = hashlib.md5((project.root / "data/train.csv").read_bytes()).hexdigest()
    version = mlflow_dvc.status(str(project.root)).data_version
    for number in (1, 2):
        done = project.cli("snapshot", "-o", "record.json")
        assert done.returncode == 0, done.stderr
        image = Image(tmp_path / f"image-{number}", project.root)
        image.build()
        assert image.start(MLFLOW_DVC_STRICT="1") == "churn 0.517\n"
    for run in runs():
        tags = run.data.tags
        assert (tags["git_sha"], tags["git_dirty"]) == (commit, "false")
        assert (tags["dvc.data_version"], tags["dvc.data_status"]) == (version, "unverified")
        assert tags["dvc.reads"] == "off"
        assert tags["dvc.out.data/train.csv"] == digest
        snapshot = json.loads(attached(run.info.run_id)["snapshot.json"])
        assert snapshot["git"]["source"] == "MLFLOW_DVC_SNAPSHOT"
    assert len(runs()) == 2
