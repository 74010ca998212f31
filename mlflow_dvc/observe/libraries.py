"""Libraries that read tracked data and open no file of the project for it.

The methods of theirs that do are wrapped as soon as the library is loaded.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from mlflow_dvc.guard import guard
from mlflow_dvc.module_finder import ModuleFinder
from mlflow_dvc.observe.loaded import LoadedData, note_copied, note_loaded, note_object

# https://dvc.org/doc/user-guide/project-structure/internal-files#structure-of-the-cache-directory
_OBJECT = re.compile(r"files[/\\]md5[/\\]([0-9a-f]{2})[/\\]([0-9a-f]{30})$")
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_finders: list[ModuleFinder] = []  # one, or none
_wrapped: set[str] = set()
_methods: dict[tuple[Any, str], tuple[Any, Any]] = {}  # the library's, and ours


def watch_libraries() -> None:
    """Wrap those that are loaded, and the others when they will be."""
    for name in _WRAPS.keys() - _wrapped:
        module = sys.modules.get(name)
        if module is not None:
            _wrap_module(name, module)
    waiting = _WRAPS.keys() - sys.modules.keys()
    if waiting and not _finders:
        _finders.append(ModuleFinder(waiting, _wrap_module, guarded=_guarded))
        _finders[0].install()


def unwatch_libraries() -> None:
    """Put their own methods back, wherever nobody has wrapped ours since."""
    while _finders:
        _finders.pop().remove()
    while _methods:
        (owner, name), (host, wrapper) = _methods.popitem()
        if getattr(owner, name) is wrapper:
            setattr(owner, name, host)
    _wrapped.clear()


def unseen_library() -> str | None:
    """One that is loaded, and of which nobody tells what it reads."""
    return next((name for name in _WRAPS.keys() - _wrapped if _is_installed(name)), None)


def _is_installed(name: str) -> bool:
    """Whether it is loaded, and no module of the project that happens to have that name."""
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return not _INSTALLED.isdisjoint(Path(file).parts)


def _guarded(name: str) -> guard:
    return guard(f"see what {name} reads")


def _wrap_module(name: str, module: ModuleType) -> None:
    with _guarded(name):
        owner_name, method, note = _WRAPS[name]
        owner = getattr(module, owner_name, None)
        if hasattr(owner, method) and (owner, method) not in _methods:
            _wrap(name, owner, method, note)
            _wrapped.add(name)


def _wrap(library: str, owner: Any, name: str, note: Callable[..., None]) -> None:
    """Let ``note`` see the arguments of each call that has come to an end."""
    host = getattr(owner, name)

    @functools.wraps(host)
    def mlflow_dvc_wrapper(*args: Any, **kwargs: Any) -> Any:
        answer = host(*args, **kwargs)
        is_noted = False
        with guard(f"note what {library} reads"):
            note(*args, **kwargs)
            is_noted = True
        if not is_noted:
            _wrapped.discard(library)
        return answer

    _methods[owner, name] = host, mlflow_dvc_wrapper
    setattr(owner, name, mlflow_dvc_wrapper)


def _note_opened(_: Any, path: Any, mode: str = "rb", *args: Any, **kwargs: Any) -> None:
    if "r" in mode and (match := _OBJECT.search(str(path))):
        note_object(match[1] + match[2])


def _note_read_by_dvc(filesystem: Any, path: Any, info: Any = None) -> None:
    key = filesystem._get_key(path)
    entries = ((end, filesystem.index.get(key[:end])) for end in range(len(key) + 1))
    found = ((end, one) for end, one in entries if one is not None and one.hash_info)
    end, entry = next(found)  # the output: a file, or the folder that has it
    own = filesystem.index.get(key)
    data = LoadedData("/".join(key[:end]), entry.hash_info.value, "/".join(key[end:]))
    note_loaded(data, object_hash=own.hash_info.value if own and own.hash_info else None)


def _note_data_files(builder: Any, *args: Any, **kwargs: Any) -> None:
    """It copies data into a cache of its own, and does not open the data again."""
    if not hasattr(builder, "BASE_FEATURE"):  # of images it keeps the names, and opens them later
        files = builder.config.data_files or {}
        note_copied(path for split in files.values() for path in map(str, split))


# By the module: the class, its method, and who notes what it reads.
_WRAPS: dict[str, tuple[str, str, Callable[..., None]]] = {
    "dvc_data.fs": ("DataFileSystem", "_get_fs_path", _note_read_by_dvc),
    "fsspec.spec": ("AbstractFileSystem", "open", _note_opened),
    "datasets.builder": ("DatasetBuilder", "as_dataset", _note_data_files),
}
