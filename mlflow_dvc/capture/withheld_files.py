"""Files of a project that are not attached, as they look like they hold a secret.

They cannot be cleaned: a record is proved by their bytes. Its md5 tells which file it was, and git
has it; ``recall/withheld.py`` takes it from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mlflow_dvc.capture.run_capture import RunCapture
from mlflow_dvc.secrets.names import is_secret_name
from mlflow_dvc.secrets.search import Findings, search


def withhold_files(capture: RunCapture) -> RunCapture:
    """``capture`` that knows which files of the project may be attached.

    Of a record that was made beforehand this was decided then.
    """
    if capture.data_capture.frozen:
        return capture
    found = reasons_to_withhold({**capture.project_files, **capture.sealed_locks})
    return replace(capture, withheld=found)


def reasons_to_withhold(files: Mapping[str, bytes]) -> dict[str, str]:
    """Which of ``files`` must not be attached, each with the reason."""
    answers = search(files)
    return {path: one.reason for path, one in answers.items() if _is_secret(path, one)}


def _is_secret(path: str, one: Findings) -> bool:
    return not one.is_clean or is_secret_name(path)
