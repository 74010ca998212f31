"""Hostile records, each with a name: a function that changes a forgery of an honest run."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module

from attacks.forgery import Forgery

Attack = Callable[[Forgery], object]

RECORDS: dict[str, Attack] = {}
FAST: set[str] = set()  # a handful of them, one or two of each kind


def hostile(name: str, *, fast: bool = False) -> Callable[[Attack], Attack]:
    """Add the function as the record ``name``."""

    def add(attack: Attack) -> Attack:
        assert name not in RECORDS, name
        RECORDS[name] = attack
        if fast:
            FAST.add(name)
        return attack

    return add


for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
