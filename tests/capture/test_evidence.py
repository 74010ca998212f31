"""What a stage has read and made, told from what lay there when it began and when it ended."""

from __future__ import annotations

import pytest

from mlflow_dvc.capture.evidence import apply_stage_result
from mlflow_dvc.dvc_backend.lock_entry import LockedStage
from mlflow_dvc.snapshot import DataEntry, Snapshot, with_data_version

DATA, CODE, MODEL = "data.csv", "train.py", "model.txt"


def entry(path: str, value: str | None, **facts: object) -> DataEntry:
    return DataEntry(path, "md5", value, **facts)  # type: ignore[arg-type]


def started(certainty: str) -> Snapshot:
    deps = (
        entry(CODE, "c", role="code", certainty=certainty, cached=False),
        entry(DATA, "d", role="input", certainty=certainty, state="clean"),
    )
    data = (entry(MODEL, "old", role="output", certainty="stale"),)
    return with_data_version(
        Snapshot(root=".", stage="train", deps=deps, data=data, data_status="clean")
    )


def ended(data: str = "d", code: str = "c") -> LockedStage:
    return LockedStage(b"lock", (entry(MODEL, "m"),), (entry(DATA, data), entry(CODE, code)))


@pytest.mark.parametrize(
    ("data", "code", "changed"),
    [("d", "c", ()), ("x", "c", (DATA,)), ("d", "x", (CODE,)), ("x", "x", (CODE, DATA))],
)
def test_what_was_read_stays(data: str, code: str, changed: tuple[str, ...]):
    """The hash of a dependency is the one of the start; what was another at the end is named."""
    before = started("disk")
    after = apply_stage_result(before, ended(data, code), "dvc.yaml", 1.0, touched={DATA, CODE})
    assert {dep.path: dep.hash for dep in after.deps} == {DATA: "d", CODE: "c"}
    assert after.changed == changed
    assert (after.data_version, after.data_status) == (before.data_version, "clean")
    assert [out.hash for out in after.data] == ["m"]


def test_nobody_looked_in_time():
    """A dependency that was touched before it was hashed has no hash; of one that was not touched
    the hash of the end is that of the start."""
    after = apply_stage_result(started("locked"), ended("x"), "dvc.yaml", 1.0, touched={DATA})
    assert {dep.path: dep.hash for dep in after.deps} == {DATA: None, CODE: "c"}
    assert after.changed == (DATA,)
    assert (after.data_version, after.data_status) == (None, "unverified")


def test_only_code_was_touched():
    """What is not known of code says nothing of the data."""
    after = apply_stage_result(started("locked"), ended(code="x"), "dvc.yaml", 1.0, touched={CODE})
    assert {dep.path: dep.hash for dep in after.deps} == {DATA: "d", CODE: None}
    assert (after.changed, after.data_status) == ((CODE,), "clean")
    assert after.data_version == started("disk").data_version
