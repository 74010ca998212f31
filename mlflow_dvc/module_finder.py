"""Be told of a module as soon as it was loaded, by whomever."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class ModuleFinder:
    """Finds no module itself: it has ``loaded`` called after whoever finds one has loaded it.

    ``guarded`` is what stands around our part of loading a module of that name.
    """

    def __init__(
        self,
        names: Collection[str],
        loaded: Callable[[str, ModuleType], None],
        guarded: Callable[[str], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self._names = names
        self._loaded = loaded
        self._guarded = guarded

    def install(self) -> None:
        """From now on; of what is loaded already nothing is told."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def remove(self) -> None:
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._names:
            return None
        for finder in sys.meta_path:
            if isinstance(finder, ModuleFinder) or not hasattr(finder, "find_spec"):
                continue
            if spec := finder.find_spec(name, path, target):
                with self._guarded(name):
                    self._tell_when_loaded(spec)
                return spec
        return None

    def _tell_when_loaded(self, spec: ModuleSpec) -> None:
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self._loaded(spec.name, module)

        loader.exec_module = exec_module  # of this one loader of this one module
