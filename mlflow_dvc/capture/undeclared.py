"""What stages of a project read and did not declare when they last ran on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from mlflow_dvc import user_cache
from mlflow_dvc.enumeration import first_of
from mlflow_dvc.foreign_values import as_mapping, as_texts, read_json
from mlflow_dvc.paths import lies_in
from mlflow_dvc.snapshot import StageNode

_KIND = "undeclared"
_MAX_NAMED = 3


def remember_undeclared(root: str, stage: str, paths: Iterable[str]) -> None:
    """For a look at the project later, see :func:`undeclared_warnings`."""
    before, now = remembered_undeclared(root), tuple(paths)
    if before.get(stage, ()) != now:
        content = json.dumps({**before, stage: now}).encode()
        user_cache.write(_KIND, user_cache.folder_key(root), content)


def undeclared_warnings(root: str, stages: Iterable[StageNode]) -> Iterator[str]:
    """One line for each of the ``stages`` that does not declare it by now."""
    remembered = remembered_undeclared(root)
    for stage in stages:
        deps = frozenset(stage.deps)
        paths = [one for one in remembered.get(stage.address, ()) if not lies_in(one, deps)]
        if paths:
            named = first_of(paths, _MAX_NAMED)
            yield (
                f"stage {stage.address} read {named} when it last ran, which it does not declare: "
                "DVC will not run it again when that changes (mlflow-dvc doctor --fix)"
            )


def remembered_undeclared(root: str) -> Mapping[str, tuple[str, ...]]:
    """By the address of a stage, of those that have run here."""
    content = user_cache.read(_KIND, user_cache.folder_key(root))
    try:
        raw = as_mapping(read_json(content or b"{}"))
        return {stage: as_texts(paths) for stage, paths in raw.items()}
    except ValueError:  # damaged: it tells nothing
        return {}
