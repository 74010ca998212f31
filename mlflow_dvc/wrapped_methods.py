"""Methods of MLflow with a wrapper of ours around them, each of which can be put back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from mlflow_dvc.mlflow_api import Need


class WrappedMethods:
    """Truthy while any is wrapped."""

    def __init__(self) -> None:
        self._wrapped: dict[tuple[Any, str], tuple[Any, Any]] = {}

    def __bool__(self) -> bool:
        return bool(self._wrapped)

    def wrap(self, need: Need, around: Callable[..., Any]) -> bool:
        """Whether it is wrapped now; a second call changes nothing.

        ``around`` is given MLflow's own function, and then the arguments of the call.
        """
        found = need.find()
        if found is None:
            return False
        owner, original = found
        name = original.__name__
        if (owner, name) in self._wrapped:
            return True

        @functools.wraps(original)
        def mlflow_dvc_wrapper(*args: Any, **kwargs: Any) -> Any:
            if (owner, name) not in self._wrapped:
                return original(*args, **kwargs)
            return around(original, *args, **kwargs)

        self._wrapped[owner, name] = (original, mlflow_dvc_wrapper)
        setattr(owner, name, mlflow_dvc_wrapper)
        return True

    def restore(self) -> None:
        """Put MLflow's own back, wherever nobody has wrapped ours since."""
        for (owner, name), (original, wrapper) in list(self._wrapped.items()):
            if owner.__dict__.get(name) is wrapper:
                setattr(owner, name, original)
            del self._wrapped[owner, name]
