"""Everything that this package uses of DVC, most of it private: one table, one check.

DVC promises none of it. A process that works with DVC looks first for what its task needs. Where a
newer DVC lacks something, that task says so and does nothing, rather than something else: a
``Repo`` whose ``_ignore`` has another name would write into the project.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dis import get_instructions
from importlib import import_module
from importlib.util import find_spec
from types import CodeType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

# From the first one on, and below the second one; README.md says the same.
SUPPORTED_VERSIONS = ((3, 50), (4,))

_OBJECTS = {
    "CacheManager": "dvc.cachemgr:CacheManager",
    "Callback": "fsspec.callbacks:Callback",
    "Config": "dvc.config:Config",
    "DataCloud": "dvc.data_cloud:DataCloud",
    "DataResolver": "dvc.parsing:DataResolver",
    "HashFileDB": "dvc_data.hashfile.db:HashFileDB",
    "LocalFileSystem": "dvc.fs:LocalFileSystem",
    "Lockfile": "dvc.dvcfile:Lockfile",
    "ObjectDB": "dvc_objects.db:ObjectDB",
    "Output": "dvc.output:Output",
    "Remote": "dvc.data_cloud:Remote",
    "Repo": "dvc.repo:Repo",
    "Stage": "dvc.stage:Stage",
    "StageLoad": "dvc.repo.stage:StageLoad",
    "StageCache": "dvc.stage.cache:StageCache",
    "State": "dvc_data.hashfile.state:State",
    "build": "dvc_data.hashfile.build:build",
    "get_cache_hash": "dvc.stage.cache:_get_cache_hash",
    "fs_module": "dvc.fs",
    "get_cloud_fs": "dvc.fs:get_cloud_fs",
    "get_fs_config": "dvc.fs:get_fs_config",
    "get_index": "dvc_data.hashfile.db:get_index",
    "get_odb": "dvc_data.hashfile.db:get_odb",
    "hash_module": "dvc_data.hashfile.hash",
    "localfs": "dvc.fs:localfs",
    "lock_repo": "dvc.repo:lock_repo",
    "merge_config": "dvc.config:merge",
    "output_module": "dvc.output",
    "parse_yaml": "dvc.utils.serialize:parse_yaml",
    "read_param_file": "dvc.dependency.param:read_param_file",
}

# By feature: in words what is lost without it, and what it needs. `A.b` is an attribute of A, of
# the class or made by its __init__, `A[b]` a key that this makes; `A.b(c, d)` takes these.
FEATURES: dict[str, tuple[str, tuple[str, ...]]] = {
    "repo": (
        "a project cannot be opened without writing into it",
        (
            "Output.ignore", "Repo(root_dir, config)", "Repo._btime", "Repo._ignore", "Repo.cache",
            "Repo.config", "Repo.dvcignore", "Repo.fs", "Repo.site_cache_dir", "Repo.state",
            "Repo.tmp_dir", "State.close", "Config.load_one(level)",
        ),
    ),
    "hash": (
        "what lies on disk is not hashed",
        (
            "CacheManager.__getattr__", "CacheManager[legacy]", "hash_module.fobj_md5",
            "build(odb, path, fs, name, dry_run, ignore)", "get_odb(fs, path)", "localfs",
        ),
    ),
    "seal": (
        "what a stage made is not recorded at its end",
        (
            "Lockfile(repo, path)", "Lockfile.dump(stage)", "Repo.stage", "Stage.save(run_cache)",
            "StageLoad.load_one(path, name)", "State.get(path, fs)", "Output.hash_name",
            "Output.hash_info", "Output.meta", "Output.use_cache", "Output.def_path",
        ),
    ),
    "run cache": (
        "which execution a lock is of is not known",
        (
            "StageCache(repo)", "StageCache._get_cache_dir(key)", "get_cache_hash(cache, key)",
            "parse_yaml(text, path)", "Repo.stage", "StageLoad.load_one(path, name)",
            "Output.is_metric", "Output.is_plot", "Output.use_cache", "Output.persist",
            "Output.protocol", "Output.is_in_repo", "Stage.always_changed", "Stage.deps",
            "Stage.outs",
        ),
    ),
    "templates": (
        "templates in dvc.yaml are not filled in",
        (
            "DataResolver(repo, wdir, d)", "DataResolver.definitions", "DataResolver.get_keys",
            "DataResolver.resolve_one(name)", "DataResolver.resolve_datasets", "localfs",
            "parse_yaml(text, path)",
        ),
    ),
    "params": (
        "parameters are not compared",
        ("localfs", "read_param_file(fs, path, key_paths, flatten)"),
    ),
    "stage": (
        "the command of a stage is not known",
        ("Repo.stage", "Stage.cmd", "Stage.outs", "Stage.wdir", "StageLoad.collect(target)"),
    ),
    "stores": (
        "caches and remotes are not asked",
        (
            "CacheManager.__getattr__", "CacheManager[legacy]",
            "DataCloud.get_remote_odb(name, hash_name)", "Repo.cloud", "Repo.dvcfs",
            "Repo.open", "get_cloud_fs", "get_odb(fs, path)",
        ),
    ),
    "push": (
        "whether data was pushed is not known",
        (
            "DataCloud.get_remote(name)", "Output.can_push", "Output.remote", "Output.is_in_repo",
            "Remote.legacy_odb", "Remote.odb", "Remote.worktree", "Repo.index",
        ),
    ),
    "gc": (
        "what nobody needs is not removed",
        (
            "CacheManager.by_scheme", "ObjectDB.all", "ObjectDB.oid_to_path",
            "HashFileDB._remove_unpacked_dir(hash_)", "Output.files", "Output.hash_info",
            "Output.remote", "Output.use_cache", "Repo.brancher", "Repo.index", "Repo.lock",
            "Repo.scm", "get_index(odb)", "lock_repo(repo)",
        ),
    ),
    "trust": (
        "what is not the user's cannot be told from what is",
        (
            "Config(dvc_dir, validate)", "Config.load_one(level)", "Config.files", "Config.fs",
            "Config.dvc_dir", "Config.local_dvc_dir",
            "get_cloud_fs(repo_config)", "get_fs_config(config)", "output_module.get_cloud_fs",
            "LocalFileSystem(fs)",
        ),
    ),
    "share": (
        "a restored tree does not know the project's remotes",
        ("Config.edit(level)", "merge_config(into, update)"),
    ),
}  # fmt: skip


# Exit codes: the DVC of a process lacks what its task needs; there is none in its environment.
HOST_CHANGED, NOT_INSTALLED = 3, 6


class HostChangedError(Exception):
    """This DVC lacks what a task needs; the message says what is off."""


def __getattr__(name: str) -> Any:
    """What ``_OBJECTS`` names, imported when it is first used."""
    if name not in _OBJECTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _OBJECTS[name].partition(":")
    found = import_module(module)
    return getattr(found, attribute) if attribute else found


def task(*features: str) -> Callable[[F], F]:
    """Mark what a process with DVC is asked to do by the features that it needs."""

    def mark(work: F) -> F:
        setattr(work, "features", features)  # noqa: B010 - a function has no such attribute
        return work

    return mark


def is_installed() -> bool:
    """Whether this environment has DVC; a folder of that name on the path is none."""
    found = find_spec("dvc")
    return found is not None and found.origin is not None


def require(*features: str) -> None:
    """Raise HostChangedError where this DVC lacks something that one of these features needs."""
    for feature in features:
        if lacking := list(find_missing(feature)):
            loss, _ = FEATURES[feature]
            raise HostChangedError(f"this DVC has no {', '.join(lacking)}: {loss}")


def find_missing(feature: str) -> Iterator[str]:
    """What the feature needs and this DVC does not have. Imports DVC."""
    _, needs = FEATURES[feature]
    for need in needs:
        name, _, parameters = need.removesuffix(")").partition("(")
        if not _has(name, [word for word in parameters.split(", ") if word]):
            yield need


@task()
def list_missing() -> list[str]:
    """In words what is off with this DVC, one line for each feature."""
    lines = []
    for feature in FEATURES:
        try:
            require(feature)
        except HostChangedError as error:
            lines.append(str(error))
    return lines


def _has(name: str, parameters: list[str]) -> bool:
    top, _, key = name.removesuffix("]").partition("[")
    top, _, member = top.partition(".")
    try:
        found = __getattr__(top)
    except (ImportError, AttributeError):
        return False
    if key:
        return key in _init(found).co_consts
    if member:
        if not hasattr(found, member):
            return member in _made_by(_init(found))
        found = getattr(found, member)
    if getattr(found, "__isabstractmethod__", False):
        return False
    return not parameters or _takes(found, parameters)


def _init(owner: Any) -> CodeType:
    code = getattr(getattr(owner, "__init__", None), "__code__", None)
    return code if isinstance(code, CodeType) else compile("", "nothing", "exec")


def _made_by(code: CodeType) -> set[str]:
    """The attributes that a method sets, of whatever."""
    return {step.argval for step in get_instructions(code) if step.opname == "STORE_ATTR"}


def _takes(function: Any, parameters: list[str]) -> bool:
    try:
        known = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    takes_any = any(one.kind is one.VAR_KEYWORD for one in known.values())
    return takes_any or all(name in known for name in parameters)
