"""Stages, outputs and dependencies, out of parsed dvc.yaml, dvc.lock and ``*.dvc``.

The rules are DVC's own: ``dvc/stage/loader.py`` joins dvc.yaml and dvc.lock, ``dvc/output.py``
names a path. A stage that dvc.yaml no longer has is dead, whatever the lock says of it.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from mlflow_dvc.dvcfiles.output_hash import SCHEMES, Raw, is_hash, output_hash, output_size
from mlflow_dvc.secrets.urls import public_url
from mlflow_dvc.snapshot import DataEntry

PARAMS = "params.yaml"
_ALIKE = "several of its dependencies differ in the query of an address alone, and have no hash: {}"


@dataclass(frozen=True)
class Stage:
    """One stage of a dvc.yaml, or one ``.dvc`` file.

    Paths are relative to the DVC root, or URLs. ``address`` is DVC's name for the stage, seen from
    the DVC root; ``name`` is None for a ``.dvc`` file. ``locked_deps`` says of each dependency that
    the lock has, which kind of hash stands there, and the hash.
    """

    address: str
    file: str
    name: str | None
    wdir: str
    deps: tuple[str, ...]
    params: tuple[str, ...]
    outs: tuple[DataEntry, ...]
    locked_deps: Mapping[str, tuple[str, str | None]] = field(default_factory=dict, hash=False)


class InvalidDvcFileError(Exception):
    """A part of a DVC file that is not what DVC allows there."""


class StageParser:
    """Turns the raw content of one DVC root's files into stages; collects what is wrong."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.faults: list[str] = []

    def parse_dvc_file(self, file: str, raw: Raw) -> Stage:
        """The stage of a ``.dvc`` file at ``file`` (relative to the root).

        Raises :class:`InvalidDvcFileError` for what DVC's schema allows and DVC refuses.
        """
        wdir = self._wdir(file, raw.get("wdir"))
        deps = raw.get("deps") or ()
        source = _import_source(deps)
        outs = [
            self._entry(out["path"], wdir, out, file, cached=out.get("cache") is not False)
            for out in raw.get("outs") or ()
        ]
        # What `dvc import` brought lies in another project.
        own = [dep["path"] for dep in deps if dep.get("path") and not dep.get("repo")]
        paths = tuple(self._path(wdir, path) for path in own)
        outs = [replace(out, source=source) for out in outs] if source else outs
        return Stage(file, file, None, wdir, paths, (), tuple(outs))

    def parse_pipeline(self, file: str, stages: Raw, lock: Raw) -> list[Stage]:
        """The stages of the dvc.yaml at ``file``: ``stages`` resolved, ``lock`` by stage name."""
        found = []
        for name, raw in stages.items():
            try:
                found.append(
                    self._stage(file, str(name), _mapping(raw, f"stage {name!r}"), lock.get(name))
                )
            except InvalidDvcFileError as fault:
                self.faults.append(f"{file}: {fault}")
        return found

    def _stage(self, file: str, name: str, raw: Raw, locked: Raw | None) -> Stage:
        wdir = self._wdir(file, raw.get("wdir"))
        address = name if file == "dvc.yaml" else f"{file}:{name}"
        locked_outs = {out["path"]: out for out in (locked or {}).get("outs") or ()}
        outs = []
        for path, flags in _declared_outs(raw):
            info = locked_outs.get(self._as_locked(wdir, path), {})
            cached = flags.get("cache") is not False
            outs.append(self._entry(path, wdir, info, address, cached=cached))
        declared = [_text(dep, "a dependency") for dep in _list(raw.get("deps"), "deps")]
        shown = [self._path(wdir, dep) for dep in declared]
        deps = tuple(dict.fromkeys(shown))
        if alike := _told_apart_by_query(shown, declared):
            self.faults.append(f"{address}: {_ALIKE.format(', '.join(alike))}")
        infos = {dep.get("path"): dep for dep in (locked or {}).get("deps") or ()}
        locked_deps = {
            seen: self._locked_hash(path, seen, infos[self._as_locked(wdir, path)])
            for path, seen in zip(declared, shown, strict=True)
            if self._as_locked(wdir, path) in infos and seen not in alike
        }
        params = tuple(self._path(wdir, path) for path in _params_files(raw.get("params")))
        return Stage(address, file, name, wdir, deps, params, tuple(outs), locked_deps)

    def _entry(self, path: str, wdir: str, info: Raw, address: str, *, cached: bool) -> DataEntry:
        if path.endswith(".dvc") or posixpath.basename(path) == "dvc.yaml":
            raise InvalidDvcFileError(f"the output {path!r} has the name of a DVC file")
        if not path or "\0" in path:
            raise InvalidDvcFileError(f"{path!r} is no path")
        shown = self._path(wdir, path)
        algorithm, value = output_hash(path, shown, info)
        size, nfiles = output_size(info)
        if value is not None and not is_hash(algorithm, value):
            self.faults.append(f"{address}: {str(value)[:40]!r} is no {algorithm} hash ({shown})")
            value = None
        return DataEntry(shown, algorithm, value, size, nfiles, cached, address)

    def _locked_hash(self, path: str, shown: str, info: Raw) -> tuple[str, str | None]:
        algorithm, value = output_hash(path, shown, info)
        return algorithm, value if is_hash(algorithm, value) else None

    def _wdir(self, file: str, wdir: Any) -> str:
        base = posixpath.dirname(file)
        return self._path(base, _text(wdir, "wdir")) if wdir else base or "."

    def _path(self, wdir: str, path: str) -> str:
        if "\0" in path or "\0" in wdir:
            raise InvalidDvcFileError("a path has a NUL in it")
        if _is_address(path):
            return public_url(path)
        if _is_normalized(path) and (wdir == "." or _is_normalized(wdir)):
            return path if wdir == "." else f"{wdir}/{path}"
        full = os.path.normpath(os.path.join(self.root, wdir, path))
        if (inside := _relative_to_root(full, self.root)) is not None:
            return inside
        return full if os.path.isabs(path) else os.path.relpath(full, self.root)

    def _as_locked(self, wdir: str, path: str) -> str:
        """The spelling that dvc.lock uses for a path of dvc.yaml."""
        if os.path.isabs(path) and (inside := _relative_to_root(path, self.root)) is not None:
            return posixpath.relpath(inside, wdir)
        return path


def _told_apart_by_query(shown: Sequence[str], declared: Sequence[str]) -> list[str]:
    """The addresses that stand for several, which differ in what is not shown."""
    raw: dict[str, set[str]] = {}
    for path, given in zip(shown, declared, strict=True):
        raw.setdefault(path, set()).add(given)
    return sorted(path for path, all_ in raw.items() if len(all_) > 1 and "://" in path)


def templated_stages(content: bytes, stages: Raw) -> frozenset[str]:
    """The stages whose text does not itself say their names, paths and outputs.

    ``content`` is the text of the whole file.
    """
    whole = _may_have_templates(content)
    return frozenset(name for name, raw in stages.items() if _needs_resolving(raw, whole=whole))


def has_templates(content: bytes, part: Any) -> bool:
    """Whether a ``part`` of the file, whose whole text is ``content``, is to be filled in."""
    return _may_have_templates(content) and any("${" in text for text in _texts(part))


def _may_have_templates(content: bytes) -> bool:
    # In double quotes, `\u0024` is a dollar as well.
    return b"${" in content or b"\\" in content


def _needs_resolving(raw: Any, *, whole: bool) -> bool:
    if not isinstance(raw, Mapping):
        return False
    if "foreach" in raw or "matrix" in raw:
        return True
    parts = (raw.get(key) for key in ("wdir", "deps", "params", "outs", "metrics", "plots"))
    return whole and any("${" in text for part in parts for text in _texts(part))


def _declared_outs(raw: Raw) -> Iterator[tuple[str, Raw]]:
    for key in ("outs", "metrics", "plots"):
        merged: dict[str, dict[str, Any]] = {}
        for item in _list(raw.get(key), key):
            for path, flags in (
                [(item, {})] if isinstance(item, str) else _mapping(item, key).items()
            ):
                merged.setdefault(_text(path, key), {}).update(_flags(flags))
        yield from merged.items()


def _flags(flags: Any) -> Raw:
    if isinstance(flags, Mapping):
        return flags
    if isinstance(flags, list):  # a plot may be drawn in several ways
        return {
            key: value for flag in flags if isinstance(flag, Mapping) for key, value in flag.items()
        }
    return {}


def _params_files(raw: Any) -> Iterator[str]:
    """``params: [lr, {other.yaml: [a, b]}]``: a bare name is a key of params.yaml."""
    files = [
        path
        for item in _list(raw, "params")
        for path in (item if isinstance(item, Mapping) else [PARAMS])
    ]
    yield from dict.fromkeys(str(path) for path in files)


def _import_source(deps: Sequence[Raw]) -> str | None:
    """``url@rev`` of what ``dvc import`` or ``dvc import-url`` brought."""
    for dep in deps:
        if repo := dep.get("repo"):
            rev = repo.get("rev_lock") or repo.get("rev")
            url = public_url(repo["url"])
            return f"{url}@{rev}" if rev else url
        if dep.get("path"):
            return public_url(dep["path"])
    return None


def _is_address(path: str) -> bool:
    """Whether ``path`` is a URL. Raises InvalidDvcFileError for one of no storage that DVC
    knows.
    """
    if "//" not in path:
        return False
    try:
        parts = urlsplit(path)
    except ValueError:  # such as brackets that are no address
        raise InvalidDvcFileError(f"{path!r} is no path and no URL") from None
    if parts.netloc and parts.scheme not in SCHEMES:
        raise InvalidDvcFileError(f"{path!r} is of no storage that DVC knows")
    return "://" in path


def _is_normalized(path: str) -> bool:
    """Whether ``path`` is relative and as short as it can be, which most are."""
    return (
        path != ""
        and os.sep == "/"
        and "./" not in path
        and "//" not in path
        and not path.startswith(("/", "."))
        and not path.endswith(("/", "."))
    )


def _relative_to_root(path: str, root: str) -> str | None:
    path = os.path.normpath(path)
    start = root.rstrip(os.sep) + os.sep
    return path[len(start) :].replace(os.sep, "/") if path.startswith(start) else None


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, Mapping):
        for key, value in part.items():
            yield from _texts(key)
            yield from _texts(value)
    elif isinstance(part, Sequence):
        for item in part:
            yield from _texts(item)


def _mapping(value: Any, what: str) -> Raw:
    if not isinstance(value, Mapping):
        raise InvalidDvcFileError(f"{what} is no mapping")
    return value


def _list(value: Any, what: str) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidDvcFileError(f"{what} is no list")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidDvcFileError(f"{what} is no text")
    return value
