"""Values in a parameter file, as DVC reads them and writes them into a lock."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.child_process import call_dvc
from mlflow_dvc.limits import MAX_PARAMS_BYTES
from mlflow_dvc.scratch_folder import scratch_folder

_MAX_SECONDS = 60


def read_params(files: Mapping[str, tuple[str, list[str]]]) -> dict[str, dict[str, Any]]:
    """By path: the values of the named keys in a text. Raises OSError where DVC cannot be asked.

    A file that DVC cannot read, one that is larger than those that are recorded, and a key that it
    does not have, are not in the answer.
    """
    small = {path: asked for path, asked in files.items() if len(asked[0]) <= MAX_PARAMS_BYTES}
    raw = call_dvc(run_params, {"files": small}, _MAX_SECONDS)
    return dict(raw)


@api.task("params")
def run_params(files: Mapping[str, tuple[str, list[str]]]) -> dict[str, dict[str, Any]]:
    """The task of the child process. It imports DVC."""
    found = {}
    with scratch_folder() as folder:
        for number, (path, (text, keys)) in enumerate(files.items()):
            # DVC tells the format by the suffix.
            copy = os.path.join(folder, f"{number}{os.path.splitext(path)[1]}")
            with open(copy, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            try:
                found[path] = dict(api.read_param_file(api.localfs, copy, keys, flatten=True))
            except Exception:  # noqa: S112 - what DVC cannot read agrees with nothing
                continue
    return found
