"""Templates in dvc.yaml (``foreach``, ``matrix``, ``${}``), resolved by DVC's own resolver.

The answer is remembered outside the project, by the content of everything that went into it, so
that DVC is asked once for each version of a pipeline.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mlflow_dvc import user_cache
from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.child_process import call_dvc, describe_dvc_error
from mlflow_dvc.dvc_backend.resource_limits import limit_resources
from mlflow_dvc.limits import MAX_GENERATED_STAGES

_VERSION = 3
_MAX_VARIANTS = 8
_MAX_SECONDS = 120
_MAX_STAGES = 200_000  # of the user's own dvc.yaml; DVC takes a minute for these
_KEYS = ("cmd", "wdir", "deps", "params", "outs", "metrics", "plots")


@dataclass(frozen=True)
class ResolvedStages:
    """The stages of one dvc.yaml with every template filled in.

    ``datasets`` are those that it defines, None where DVC cannot fill them in.
    ``reads`` maps the path of each file that the answer depends on (relative to the DVC root) to
    the md5 of its bytes, None for a file that was not there. ``faults`` are DVC's own words.
    """

    stages: Mapping[str, Any]
    reads: Mapping[str, str | None]
    faults: tuple[str, ...] = ()
    datasets: Any = None


# Where the cache cannot be written, each process still asks only once.
_asked: dict[str, tuple[ResolvedStages, ...]] = {}


def cached_answer(root: str, file: str, content: bytes) -> ResolvedStages | None:
    """What :func:`resolve` once said, if nothing that it depends on has changed since."""
    key = _key(file, content)
    for variant in (*_asked.get(key, ()), *_variants(key)):
        if all(_digest(root, path) == md5 for path, md5 in variant.reads.items()):
            return variant
    return None


def resolve(root: str, file: str, content: bytes, *, foreign: bool = False) -> ResolvedStages:
    """Ask DVC, in a child process, about the dvc.yaml ``file`` (relative to ``root``).

    ``foreign``: it is not the user's own, and is resolved within limits. Raises OSError
    or ValueError where DVC could not be asked.
    """
    if known := cached_answer(root, file, content):
        return known
    request = {"root": root, "file": file, "text": content.decode("utf-8-sig"), "foreign": foreign}
    resolved = _parsed(call_dvc(run_resolve, request, _MAX_SECONDS))
    key = _key(file, content)
    if foreign and resolved.faults:  # one's own project may do what a record may not
        return resolved
    _asked[key] = (resolved,)
    _remember(key, resolved)
    return resolved


@api.task("templates")
def run_resolve(root: str, file: str, text: str, foreign: bool) -> dict[str, Any]:
    """The task of the child process. It imports DVC, changes the directory, traces ``open``."""
    max_stages = MAX_GENERATED_STAGES if foreign else _MAX_STAGES
    if foreign:
        limit_resources()
    os.chdir(root)
    opened: set[str] = set()
    sys.addaudithook(lambda event, args: _note_open(event, args, opened))

    # Imported before ``open`` is watched.
    localfs, resolver_class, parse_yaml = api.localfs, api.DataResolver, api.parse_yaml
    stages: dict[str, Any] = {}
    resolver: Any = None
    faults: list[str] = []
    opened.clear()
    raw: Any = {}
    try:
        raw = parse_yaml(text, file)
        # The resolver wants a file system and a configuration of the Repo, whose making would
        # write into the project.
        repo = SimpleNamespace(fs=localfs, config={})
        resolver = resolver_class(repo, os.path.dirname(file), raw)
        _refuse_many(resolver, max_stages)
        names = list(resolver.get_keys())
    except Exception as error:
        faults.append(describe_dvc_error(error))
        names = []
    for name in names:
        try:
            resolved = resolver.resolve_one(name)[name]
            stages[name] = {key: resolved[key] for key in _KEYS if key in resolved}
        except Exception as error:
            faults.append(describe_dvc_error(error))
    datasets = _resolve_datasets(resolver, faults)
    reads = {
        path: _digest(root, path) for path in sorted(_inside(root, opened) | _named(file, raw))
    }
    return asdict(ResolvedStages(stages, reads, tuple(faults), datasets))


def _refuse_many(resolver: Any, most: int) -> None:
    """A few lines may stand for 100^5 stages, and DVC would make a list of them."""
    total = 0
    for name, definition in resolver.definitions.items():
        made = getattr(definition, "resolved_iterable", None)
        if made is None:  # a stage of its own
            continue
        is_matrix = hasattr(definition, "matrix_data")
        total += prod(len(axis) for axis in made.values()) if is_matrix else len(made)
        if total > most:
            raise ValueError(f"stage {name}: it stands for more than {most} stages")


def _resolve_datasets(resolver: Any, faults: list[str]) -> Any:
    try:
        return resolver.resolve_datasets() if resolver else None
    except Exception as error:
        faults.append(describe_dvc_error(error))
        return None


def _note_open(event: str, args: tuple[Any, ...], opened: set[str]) -> None:
    if event == "open" and args and isinstance(args[0], str):
        opened.add(os.path.abspath(args[0]))


def _inside(root: str, opened: set[str]) -> set[str]:
    return {os.path.relpath(path, root) for path in opened if path.startswith(root + os.sep)}


def _named(file: str, raw: Any) -> set[str]:
    """The files that ``vars`` names, and the default one: what is missing now may come later."""
    here = os.path.dirname(file)
    named = {os.path.join(here, "params.yaml")}
    sections = [(here, raw.get("vars"))] if isinstance(raw, dict) else []
    stages = raw.get("stages") if isinstance(raw, dict) else None
    for stage in stages.values() if isinstance(stages, dict) else ():
        if isinstance(stage, dict):
            sections.append((os.path.join(here, str(stage.get("wdir") or "")), stage.get("vars")))
    for base, names in sections:
        for name in names if isinstance(names, list) else ():
            if isinstance(name, str):
                named.add(os.path.normpath(os.path.join(base, name.partition(":")[0])))
    return named


def _parsed(raw: Any) -> ResolvedStages:
    if not isinstance(raw, dict) or not {"stages", "reads", "faults"} <= raw.keys():
        raise ValueError("not an answer of the resolver")
    return ResolvedStages(raw["stages"], raw["reads"], tuple(raw["faults"]), raw.get("datasets"))


def _key(file: str, content: bytes) -> str:
    return hashlib.sha256(b"%d\0%s\0%s" % (_VERSION, os.fsencode(file), content)).hexdigest()


def _variants(key: str) -> list[ResolvedStages]:
    try:
        return [_parsed(raw) for raw in json.loads(user_cache.read("resolved", key) or b"[]")]
    except ValueError:
        return []


def _remember(key: str, resolved: ResolvedStages) -> None:
    variants = [resolved, *_variants(key)][:_MAX_VARIANTS]
    user_cache.write(
        "resolved", key, json.dumps([asdict(variant) for variant in variants]).encode()
    )


def _digest(root: str, path: str) -> str | None:
    try:
        content = Path(root, path).read_bytes()
    except OSError:
        return None
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
