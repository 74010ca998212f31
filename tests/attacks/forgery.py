"""A run as an attacker would log it: made out of an honest one, and of one piece with itself."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conftest import PIPELINE, files_of_record

from attacks.laboratory import Laboratory
from mlflow_dvc import tags as tag
from mlflow_dvc.snapshot import Snapshot

MAX_TAG = 5000


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@dataclass
class Forgery:
    """``files`` are attached below ``dvc/``. ``snapshot`` is written as it is where it is bytes.

    ``sources`` are those of datasets that the run logs as inputs. ``tags`` come last, over what
    the snapshot would make. ``keep_sums``: what the snapshot says of the files stays as it is.
    """

    lab: Laboratory
    snapshot: dict[str, Any] | bytes
    files: dict[str, bytes]
    sources: list[Any] = field(default_factory=list)
    tags: dict[str, str | None] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    keep_sums: bool = False
    ends: list[Callable[[Path], None]] = field(default_factory=list)
    name: str = "evil"
    digest: str | None = None
    dataset: str | None = None

    @property
    def said(self) -> dict[str, Any]:
        """The snapshot, to be changed."""
        assert isinstance(self.snapshot, dict)
        return self.snapshot

    @property
    def is_only_inputs(self) -> bool:
        """Whether nothing but the datasets differs from the honest run."""
        return vars(self) | APART == vars(forge(self.lab)) | APART

    def commit(self, files: Mapping[str, str | bytes | Path | None]) -> None:
        """Let the run be of a commit of the attacker's; DVC's files in it are attached too."""
        self.of_commit(self.lab.commit(files))
        for path, content in files.items():
            name = path.rpartition("/")[2]
            if isinstance(content, Path) or content is None or path.startswith(".dvc/"):
                continue
            if name in ("dvc.yaml", "dvc.lock", "params.yaml") or name.endswith(".dvc"):
                self.files[path] = content.encode() if isinstance(content, str) else content

    def of_commit(self, sha: str) -> None:
        self.said["git"] |= {"sha": sha, "dirty": False, "remote_url": self.lab.git_url}

    def add_patch(self, patch: bytes) -> None:
        self.files["code.patch"] = patch
        self.said["git"] |= {"dirty": True, "changes": md5(patch), "uncommitted": []}

    def add_data(self, path: str, hash_: str | None = None, **more: Any) -> dict[str, Any]:
        """An output that the run claims to have read; its ``.dvc`` file is attached."""
        digest = hash_ or self.raw_hash
        entry = {
            "path": path, "algorithm": "md5", "hash": digest, "size": 8, "nfiles": None,
            "cached": True, "stage": f"{path}.dvc", "source": None, "state": "clean",
            "role": "input", "certainty": "disk",
        } | more  # fmt: skip
        self.said["data"].append(entry)
        return entry

    def add_import(self, path: str, url: str, inside: str, hash_: str | None = None) -> None:
        """A ``.dvc`` file as `dvc import` writes it."""
        digest = hash_ or self.raw_hash
        text = (
            f"deps:\n- path: {inside}\n  repo:\n    url: {json.dumps(url)}\n"
            f"    rev_lock: {self.said['git']['sha']}\n"
            f"outs:\n- md5: {digest}\n  size: 8\n  path: {json.dumps(path.rpartition('/')[2])}\n"
        )
        folder = path.rpartition("/")[0]
        name = f"{folder}/imported.dvc" if folder else "imported.dvc"
        self.files[name] = text.encode()
        self.add_data(path, digest, source=f"{url}@{self.said['git']['sha']}", stage=name)

    def run_stage(self, command: str, **more: Any) -> None:
        """Let the stage be another than in the commit."""
        text = PIPELINE.replace("python src/train.py", json.dumps(command))
        self.files["dvc.yaml"] = text.encode()

    @property
    def raw_hash(self) -> str:
        """Of ``data/raw.csv``, which the cache has."""
        return next(e["hash"] for e in HONEST_DATA if e["path"] == "data/raw.csv")

    def listing(self, *rows: Mapping[str, Any]) -> str:
        """The hash of a folder with these rows, which the cache and the remote of the user have."""
        text = json.dumps(list(rows)).encode()
        digest = md5(text)
        for store in (self.lab.project.root / ".dvc/cache", self.lab.root / "remote"):
            where = store / "files/md5" / digest[:2] / f"{digest[2:]}.dir"
            where.parent.mkdir(parents=True, exist_ok=True)
            where.write_bytes(text)
        return f"{digest}.dir"

    def object(self, content: bytes) -> str:
        """The hash of a file that the cache has."""
        digest = md5(content)
        where = self.lab.project.root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(content)
        return digest

    def log(self) -> str:
        """Put it on the server; the id of the run."""
        import mlflow

        client = mlflow.MlflowClient(self.lab.uri)
        found = client.get_experiment_by_name("hostile")
        folder = self.lab.root / "artifacts"
        experiment = found or client.get_experiment(
            client.create_experiment("hostile", folder.as_uri())
        )
        run = client.create_run(experiment.experiment_id, run_name=self.name)
        run_id: str = run.info.run_id
        artifacts = Path(run.info.artifact_uri.removeprefix("file://"))
        content = self._sealed()
        for path, text in {"dvc/snapshot.json": content, **self._attached()}.items():
            with suppress(OSError):  # no file system has such a name: then nobody can attach it
                where = artifacts / path
                where.parent.mkdir(parents=True, exist_ok=True)
                where.write_bytes(text)
        for end in self.ends:
            end(artifacts)
        self._write_tags(run_id)
        self._log_sources(client, run_id)
        client.set_terminated(run_id)
        return run_id

    def _attached(self) -> dict[str, bytes]:
        return {f"dvc/{path}": text for path, text in self.files.items()} | self.artifacts

    def _sealed(self) -> bytes:
        """The snapshot, which knows the sums of what is attached."""
        if isinstance(self.snapshot, bytes):
            return self.snapshot
        if not self.keep_sums:
            own = {path: md5(text) for path, text in self.files.items() if is_project_file(path)}
            self.snapshot["attached"] = own
            locks = {path: own[path] for path in own if path.endswith("dvc.lock")}
            self.snapshot |= {"locks": locks, "lock": locks.get("dvc.lock")}
        return json.dumps(self.snapshot).encode()

    def _write_tags(self, run_id: str) -> None:
        """Past MLflow's client, which would refuse some of them: the attacker has the server."""
        tags: dict[str, str | None] = {}
        try:
            snapshot = Snapshot.from_dict(json.loads(self._sealed()))
            tags |= tag.to_tags(snapshot) | tag.mlflow_git_tags(snapshot.git)
        except Exception:  # it is broken; then let it look like an honest run
            tags |= HONEST_TAGS
        tags |= self.tags
        rows = [(run_id, key, value) for key, value in tags.items() if value is not None]
        rows = [row for row in rows if all(map(_is_storable, row))]
        with closing(sqlite3.connect(self.lab.root / "mlflow.db")) as database, database:
            database.executemany("INSERT OR REPLACE INTO tags(run_uuid, key, value)"
                                 " VALUES (?, ?, ?)", rows)  # fmt: skip

    def _log_sources(self, client: Any, run_id: str) -> None:
        from mlflow.entities import Dataset, DatasetInput

        for number, source in enumerate(self.sources):
            text = source if isinstance(source, str) else json.dumps(source)
            name = self.dataset or f"data-{number}"
            digest = self.digest or md5(text.encode("utf-8", "replace"))
            given = Dataset(name, digest, "dvc", text, None, json.dumps({"path": "data"}))
            client.log_inputs(run_id, [DatasetInput(given, [])])


def _is_storable(text: str) -> bool:
    with suppress(UnicodeEncodeError):
        text.encode()
        return True
    return False


def is_project_file(path: str) -> bool:
    own = ("snapshot.json", "record.md", "report.html", "code.patch", ".dvcignore")
    return path not in own and not path.startswith(("code/", "submodules/", "resume-"))


APART: dict[str, Any] = dict.fromkeys(("sources", "lab"))
HONEST_DATA: list[dict[str, Any]] = []
HONEST_TAGS: dict[str, str] = {}


def honest_run(lab: Laboratory) -> Any:
    """The one that the project made."""
    import mlflow

    client = mlflow.MlflowClient(lab.uri)
    experiment = client.get_experiment_by_name("honest")
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def forge(lab: Laboratory) -> Forgery:
    """A run that is the honest one in all that it says."""
    run = honest_run(lab)
    artifacts = Path(run.info.artifact_uri.removeprefix("file://"), "dvc")
    files = files_of_record(artifacts)
    snapshot = json.loads(files.pop("snapshot.json"))
    # Its own place, and not that of the honest one.
    snapshot |= {"workspace": None, "execution": None}
    HONEST_DATA[:] = snapshot["data"]
    HONEST_TAGS.update(tag.own_tags(run.data.tags))
    return Forgery(lab, snapshot, files)
