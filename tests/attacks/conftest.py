"""The laboratory as a fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from attacks.laboratory import Laboratory, build, prepare
from attacks.listener import listening


@pytest.fixture(scope="session")
def prepared(shared: Callable[..., Path], empty_database: Path, started: Path) -> Path:
    return shared("laboratory", lambda folder: prepare(folder, empty_database, started))


@pytest.fixture
def laboratory(prepared: Path, tmp_path: Path) -> Iterator[Laboratory]:
    """A machine of its own, with the attacker's server and the user's."""
    with listening("127.0.0.1") as attacker, listening("localhost") as own:
        yield build(tmp_path / "laboratory", prepared, attacker, own)
