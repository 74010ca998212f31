"""Made-up input for every reader of other people's bytes: a few of it, or for a time.

FUZZ_SECONDS is the time for all these tests together, which each of them gets a share of. Without
it the few are the same each time: what fails then is the change that was made.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")
Hunt = Callable[[Callable[[T], None], SearchStrategy[T], int], None]


@pytest.fixture
def hunt(request: pytest.FixtureRequest) -> Hunt[T]:
    """``hunt(check, inputs, few)``: no input makes ``check`` fail."""
    together = sum("hunt" in getattr(item, "fixturenames", ()) for item in request.session.items)
    share = float(os.environ.get("FUZZ_SECONDS", "0")) / together

    def run(check: Callable[[T], None], inputs: SearchStrategy[T], few: int) -> None:
        limits = settings(
            max_examples=few, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        begun = time.monotonic()
        while True:
            number = random.randrange(2**32) if share else 0
            print(f"seed {number}")
            seed(number)(limits(given(inputs)(check)))()
            if time.monotonic() - begun >= share:
                return

    return run
