"""What a program said, so that the same one said it again with us and without."""

from __future__ import annotations

import re
from pathlib import Path


def without_ours(text: str) -> str:
    """Less what we say on the log, and our frames in a traceback."""
    kept: list[str] = []
    is_ours = False
    for line in text.splitlines():
        if line.startswith("  File "):
            is_ours = "/mlflow_dvc/" in line
        elif not line.startswith("    "):
            is_ours = False
        if not is_ours and "mlflow-dvc" not in line and not line.startswith("[parameters:"):
            kept.append(line)
    return "\n".join(kept)


def alike(text: str, top: Path) -> str:
    """Less what differs between any two programs: ids, times, addresses, numbers of processes."""
    text = text.replace(str(top), "TOP")
    text = re.sub(r"\b[0-9a-f]{32}\b", "ID", text)
    text = re.sub(r"0x[0-9a-f]+", "ADDRESS", text)
    return re.sub(r"\d{4}[/-]\d\d[/-]\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?|(pid|process)\W+\d+", "T", text)
