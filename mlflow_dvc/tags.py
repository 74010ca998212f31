"""A Snapshot as MLflow tags, and back. Every tag name and limit of the package stands here.

The limits are those of MLflow's strictest store. Its SQL stores check nothing when a run is created
and PostgreSQL then fails on what is too long, taking the user's ``start_run`` with it; the file
store makes files of keys.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import get_args

from mlflow_dvc.foreign_values import Check, as_line, as_text, encodable, one_of
from mlflow_dvc.limits import MAX_TAGS
from mlflow_dvc.paths import parents
from mlflow_dvc.snapshot import (
    Certainty,
    DataEntry,
    GitState,
    Reads,
    ReadsStatus,
    Seal,
    Snapshot,
    State,
    inputs,
)

GIT_SHA = "git_sha"
GIT_BRANCH = "git_branch"
GIT_DESCRIBE = "git_describe"
GIT_DIRTY = "git_dirty"
OUT = "dvc.out."
DEP = "dvc.dep."
SOURCE = "dvc.source."
STAGE = "dvc.stage"
SCRIPT_STAGE = "dvc.script_stage"
EXPERIMENT = "dvc.exp"
ROOT = "dvc.root"
DATA_VERSION = "dvc.data_version"
DATA_STATUS = "dvc.data_status"
MODIFIED = "dvc.modified"
MISSING = "dvc.missing"
HASHES = "dvc.hashes"
LOCK = "dvc.lock"
SEAL = "dvc.seal"
UNCOVERED = "dvc.uncovered"
CHANGED = "dvc.changed"
READS = "dvc.reads"
READ_FILES = "dvc.read."  # of a folder: how many files of it were read
UNDECLARED = "dvc.undeclared"
RESUMES = "dvc.resumes"  # how many records the run has beside its first one
STAGES = "dvc.stages"  # of a run that went on in other stages: all of them, one in a line
OUTS = "dvc.outs"
DEPS = "dvc.deps"
# Of an input of a run, beside MLflow's own: catalogues keep these, and drop digest and source.
INPUT_PATH = "dvc.path"
INPUT_HASH = "dvc.hash"
INPUT_REV = "dvc.rev"
INPUT_CONTEXT = "mlflow.data.context"
RECONSTRUCTED = "dvc.reconstructed"  # by `mlflow-dvc backfill`, from which commit
COMMITTED_VERSION = "dvc.committed_version"  # what the data version of a reconstructed run would be
REPRODUCES = "dvc.reproduces"  # of a run that `mlflow-dvc reproduce` made: the id of which

# MLflow's own tags for the same facts, filled only where MLflow itself left them empty.
MLFLOW_GIT_COMMIT = "mlflow.source.git.commit"
MLFLOW_GIT_BRANCH = "mlflow.source.git.branch"
MLFLOW_GIT_URL = "mlflow.source.git.repoURL"
MLFLOW_SOURCE = "mlflow.source.name"
MLFLOW_PARENT = "mlflow.parentRunId"
MLFLOW_USER = "mlflow.user"
MLFLOW_NOTE = "mlflow.note.content"  # the description of a run

_NAMES = frozenset({
    GIT_SHA, GIT_BRANCH, GIT_DESCRIBE, GIT_DIRTY, STAGE, SCRIPT_STAGE, EXPERIMENT, ROOT,
    DATA_VERSION, DATA_STATUS, MODIFIED, MISSING, LOCK, SEAL, OUTS, DEPS, UNCOVERED, CHANGED,
    RESUMES, STAGES, READS, UNDECLARED, RECONSTRUCTED, COMMITTED_VERSION,
})  # fmt: skip
_PREFIXES = (OUT, DEP, SOURCE, HASHES, READ_FILES)

MAX_KEY_CHARACTERS = 250
MAX_VALUE_CHARACTERS = 5000
MAX_INPUT_TAG_CHARACTERS = 500
MAX_PATH_TAGS = 50
MAX_HASHES = 1000
MAX_HASH_TAGS = 10
MAX_CORE_BYTES = 16_000
_COMPONENT_BYTES = 250  # a file name has 255 at most, and the file store makes files of keys
_ILLEGAL = re.compile(r"[^\w./\- ]")
_SUFFIX_CHARACTERS = 9  # "-" and 8 hex digits
_MAX_READ_CHARACTERS = 10_000  # MLflow takes 8,000
_MAX_FAULTS = 5
_CHECKS: Mapping[str, Check] = {
    OUT: as_line, DEP: as_line, DATA_VERSION: as_line, LOCK: as_line, RECONSTRUCTED: as_line,
    COMMITTED_VERSION: as_line,
    DATA_STATUS: one_of(get_args(State)), SEAL: one_of(get_args(Seal)),
}  # fmt: skip
_FROM_COMMIT = "from commit "
_MORE = re.compile(r"and \d+ more")
_RESPELT = re.compile(r"-[0-9a-f]{8}$")


def to_tags(snapshot: Snapshot) -> dict[str, str]:
    """All tags for ``snapshot``, each legal in every MLflow store."""
    return git_tags(snapshot.git) | data_tags(snapshot)


def input_tags(entry: DataEntry, sha: str | None) -> dict[str, str]:
    """Those of an input of a run that was of the commit ``sha``."""
    found = {INPUT_PATH: entry.path, INPUT_HASH: entry.hash, INPUT_REV: sha}
    return {
        key: value
        for key, value in found.items()
        if value and len(value) <= MAX_INPUT_TAG_CHARACTERS
    }


def git_tags(git: GitState | None) -> dict[str, str]:
    """Those that tell the code."""
    if git is None:
        return {}
    found = {
        GIT_SHA: git.sha,
        GIT_BRANCH: _truncate(git.branch),
        GIT_DESCRIBE: _truncate(git.describe),
        GIT_DIRTY: {True: "true", False: "false", None: None}[git.dirty],
    }
    return {key: value for key, value in found.items() if value}


def data_tags(snapshot: Snapshot) -> dict[str, str]:
    """Those that tell the data, and what ran."""
    tags = {key: value for key, value in _scalar_tags(snapshot) if value}
    ranked = _inputs_first(snapshot)
    facts = [entry for entry in ranked if entry.cached and entry.is_fact]
    tags |= _counted(OUT, OUTS, facts)
    deps = sorted(snapshot.deps, key=lambda dep: (dep.role != "input", dep.path))
    tags |= _counted(DEP, DEPS, [dep for dep in deps if dep.is_observed])
    sources = {entry.path: entry.source for entry in (*deps, *ranked) if entry.source}
    tags |= path_tags(SOURCE, dict(list(sources.items())[:MAX_PATH_TAGS]))
    tags |= _reads_tags(snapshot)
    also_read = [dep for dep in deps if dep.is_observed and dep.role == "input"]
    return tags | hash_tags(entry.hash or "" for entry in (*facts, *also_read))


def later_tags(snapshot: Snapshot) -> dict[str, str]:
    """Those which a run gets that goes on and sees ``snapshot``: its first record keeps the others.

    Hashes go beside those that are there: see :func:`more_hash_tags`.
    """
    prefixes = (OUT, DEP, SOURCE, CHANGED)
    found = data_tags(snapshot)
    return {key: found[key] for key in found if key.startswith(prefixes)}


def _counted(prefix: str, count: str, entries: Sequence[DataEntry]) -> dict[str, str]:
    """One tag for each of the first entries; how many there are if that is not all."""
    tags = path_tags(prefix, {entry.path: entry.hash or "" for entry in entries[:MAX_PATH_TAGS]})
    more = {count: f"{MAX_PATH_TAGS} of {len(entries)}"} if len(entries) > MAX_PATH_TAGS else {}
    return tags | more


def from_tags(tags: Mapping[str, str]) -> Snapshot:
    """As much of the Snapshot as the tags hold. Empty (falsy) where they hold none of ours.

    Paths are as the keys spell them, which is not always as the project does; the true ones are in
    the run's ``dvc/snapshot.json``. A tag that we would not have written so is left out, and named
    in ``warnings``: whoever may write to the server may set any.
    """
    tags, warnings = _readable(tags)
    git = GitState(
        sha=tags.get(GIT_SHA),
        branch=tags.get(GIT_BRANCH),
        describe=tags.get(GIT_DESCRIBE),
        dirty={"true": True, "false": False}.get(tags.get(GIT_DIRTY, "")),
        remote_url=tags.get(MLFLOW_GIT_URL),
    )
    sources = dict(_paths(SOURCE, tags))
    certainty: Certainty = "committed" if RECONSTRUCTED in tags else "locked"
    gone = set(tags.get(MISSING, "").split(", "))
    data = tuple(
        DataEntry(
            path,
            "md5",
            value,
            source=sources.get(path),
            state="missing" if path in gone else "unverified",
            certainty=certainty,
        )
        for path, value in _paths(OUT, tags)
    )
    deps = tuple(
        DataEntry(path, "md5", value, cached=False, source=sources.get(path), certainty="disk")
        for path, value in _paths(DEP, tags)
    )
    has_dvc = names_data(tags)
    return Snapshot(
        git=git if git.sha or git.dirty is not None else None,
        root=tags.get(ROOT, ".") if has_dvc else None,
        stage=tags.get(STAGE),
        script_stage=tags.get(SCRIPT_STAGE),
        experiment=tags.get(EXPERIMENT),
        data=data,
        deps=deps,
        data_version=tags.get(DATA_VERSION),
        data_status=tags.get(DATA_STATUS),  # type: ignore[arg-type]  # of the vocabulary: checked
        seal=tags.get(SEAL),  # type: ignore[arg-type]
        lock=tags.get(LOCK),
        uncovered=tuple(filter(None, tags.get(UNCOVERED, "").split("\n"))),
        changed=tuple(filter(None, tags.get(CHANGED, "").split(", "))),
        warnings=warnings,
        reads=_reads_in(tags),
        reconstructed=tags.get(RECONSTRUCTED, "").removeprefix(_FROM_COMMIT) or None,
        committed_version=tags.get(COMMITTED_VERSION),
    )


def _readable(tags: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    found, faults = {}, []
    for key, value in own_tags(tags).items():
        try:
            found[key] = _read_tag(key, value)
        except ValueError as error:
            faults.append(f"the tag {encodable(key[:MAX_KEY_CHARACTERS])} is not read: it {error}")
    if MLFLOW_GIT_URL in tags:
        found[MLFLOW_GIT_URL] = tags[MLFLOW_GIT_URL]
    if len(faults) > _MAX_FAULTS:
        faults[_MAX_FAULTS:] = [f"{len(faults) - _MAX_FAULTS} more tags are not read"]
    return found, tuple(faults)


def _read_tag(key: str, value: str) -> str:
    if len(value) > MAX_VALUE_CHARACTERS:
        raise ValueError(f"has more than {MAX_VALUE_CHARACTERS} characters")
    prefix = next((one for one in (OUT, DEP) if key.startswith(one)), key)
    if key in (OUT, DEP):
        raise ValueError("names no path")
    check: Check = _CHECKS.get(prefix, as_text)
    return str(check(value))


def bounded(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags of a run of a shared server, as far as they are looked at.

    Each value is cut behind what MLflow takes, and has an escape for what cannot be printed or
    stored; of ours there are as many as any record has at most.
    """
    ours = sorted(own_tags(tags))[MAX_TAGS:]
    left_out = {*ours, *(key for key in tags if len(key) > MAX_KEY_CHARACTERS)}
    return {
        encodable(key): encodable(value[:_MAX_READ_CHARACTERS].replace("\0", "\\x00"))
        for key, value in tags.items()
        if key not in left_out
    }


def own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags among ``tags`` that carry a name of ours."""
    return {key: value for key, value in tags.items() if key in _NAMES or key.startswith(_PREFIXES)}


def has_record(tags: Mapping[str, str]) -> bool:
    """Whether a run with ``tags`` was recorded in a DVC project: these two stand in every record.

    A ``git_sha`` or a ``dvc.data_version`` alone may be the user's own.
    """
    return DATA_STATUS in tags and SEAL in tags


def identity(tags: Mapping[str, str]) -> dict[str, str]:
    """Those of ``tags`` that tell one code and one data from another."""
    names = (GIT_SHA, GIT_DIRTY, LOCK, DATA_VERSION, STAGE, SCRIPT_STAGE, RECONSTRUCTED)
    return {key: value for key, value in tags.items() if key in names or key.startswith(OUT)}


def mlflow_git_tags(git: GitState | None) -> dict[str, str]:
    """MLflow's own names for the code, to be set only where MLflow did not."""
    if git is None or not git.sha:
        return {}
    named = {
        MLFLOW_GIT_COMMIT: git.sha,
        MLFLOW_GIT_BRANCH: git.branch,
        MLFLOW_GIT_URL: git.remote_url,
    }
    return {key: value[:MAX_VALUE_CHARACTERS] for key, value in named.items() if value}


def limit_size(tags: Mapping[str, str]) -> dict[str, str]:
    """``tags`` without the largest, so that they take less than 16 KB of JSON.

    MLflow copies what a context provider returns into the source of every dataset it builds, and
    fails to log a dataset whose source is longer than 65,535 characters.
    """
    kept = dict(tags)
    hash_keys = [hashes_key(number) for number in range(1, MAX_HASH_TAGS + 1)]
    for key in sorted(tags, key=lambda key: -len(tags[key]) - len(key)):
        if len(json.dumps(kept)) <= MAX_CORE_BYTES:
            break
        # Of hashes the last tag: a search stops at the first that is not there.
        there = [one for one in hash_keys if one in kept]
        del kept[there[-1] if key in hash_keys else key]
    return kept


def path_tags(prefix: str, values: Mapping[str, str]) -> dict[str, str]:
    """One tag per path. A key that is another's too, or a folder of another's, gets a suffix."""
    keys = {path: path_key(prefix, path) for path in values}
    taken = Counter(keys.values())
    taken.update({parent for key in keys.values() for parent in parents(key)})
    tags = {}
    for path, value in values.items():
        in_the_way = taken[keys[path]] > 1
        tags[path_key(prefix, path, suffixed=in_the_way)] = value[:MAX_VALUE_CHARACTERS]
    return tags


def path_key(prefix: str, path: str, *, suffixed: bool = False) -> str:
    """The key for ``path``: as it is where that is legal, else spelt legally with a suffix."""
    exact = unicodedata.normalize("NFC", prefix + path)
    legal = "/".join("_" if part == ".." else part for part in exact.split("/"))
    legal = posixpath.normpath(_ILLEGAL.sub("_", legal))
    legal = "/".join(_fitted(part, _COMPONENT_BYTES) for part in legal.split("/"))
    if legal == exact and len(legal) <= MAX_KEY_CHARACTERS and not suffixed:
        return legal
    digest = hashlib.md5(path.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()[
        :8
    ]
    head, _, tail = legal[: MAX_KEY_CHARACTERS - _SUFFIX_CHARACTERS].rpartition("/")
    tail = _fitted(tail, _COMPONENT_BYTES - _SUFFIX_CHARACTERS)
    return f"{head}/{tail}-{digest}" if head else f"{tail}-{digest}"


def is_respelt(entry: DataEntry) -> bool:
    """Whether the path of an entry that was read from tags may be another one."""
    return _RESPELT.search(entry.path) is not None


def hash_tags(hashes: Iterable[str], first: int = 1) -> dict[str, str]:
    """``dvc.hashes``, ``dvc.hashes.2``, …: every hash once, each with a space before it.

    Hashes beyond the first 1,000, and tags beyond the tenth, are left out. ``first`` is the number
    of the first tag.
    """
    packed: list[str] = []
    for value in list(dict.fromkeys(hashes))[:MAX_HASHES]:
        piece = f" {value}"
        if not packed or len(packed[-1]) + len(piece) > MAX_VALUE_CHARACTERS:
            packed.append("")
        packed[-1] += piece
    numbered = zip(range(first, MAX_HASH_TAGS + 1), packed, strict=False)
    return {hashes_key(number): value for number, value in numbered}


def more_hash_tags(there: Mapping[str, str], hashes: Iterable[str]) -> dict[str, str]:
    """The tags to add to a run with the tags ``there``, so that it is found by ``hashes`` too."""
    fresh = sorted(set(hashes) - hashes_in(there))
    used = [number for number in range(1, MAX_HASH_TAGS + 1) if hashes_key(number) in there]
    return hash_tags(fresh, first=max(used, default=0) + 1) if fresh else {}


def add_stage(there: Mapping[str, str], stage: str | None) -> dict[str, str]:
    """The tag of a run with the tags ``there`` that goes on in ``stage``; none if it was there."""
    known = stages_in(there)
    if stage is None or stage in known:
        return {}
    return {STAGES: _listed([*known, stage], "\n")}


def stages_in(tags: Mapping[str, str]) -> list[str]:
    """The stages that DVC ran a run with ``tags`` in, each of its parts in one."""
    return [stage for stage in tags.get(STAGES, tags.get(STAGE, "")).split("\n") if stage]


def undeclared_in(tags: Mapping[str, str]) -> list[str]:
    """The paths that a run with ``tags`` read and its stage does not declare, as far as told."""
    lines = tags.get(UNDECLARED, "").split("\n")
    return [line for line in lines if line and not _MORE.fullmatch(line)]


def hashes_key(number: int) -> str:
    return HASHES if number == 1 else f"{HASHES}.{number}"


def hashes_in(tags: Mapping[str, str]) -> set[str]:
    """Every hash that the ``dvc.hashes`` tags name."""
    return {
        word
        for number in range(1, MAX_HASH_TAGS + 1)
        for word in tags.get(hashes_key(number), "").split()
    }


def names_data(tags: Mapping[str, str]) -> bool:
    """Whether a run with ``tags`` was recorded with data, or with a part of such a record."""
    return any(not key.startswith("git_") for key in own_tags(tags))


def is_all_named(tags: Mapping[str, str]) -> bool:
    """Whether the tags have the hash of everything, as far as they tell themselves."""
    return len(hashes_in(tags)) < MAX_HASHES


def _scalar_tags(snapshot: Snapshot) -> Iterator[tuple[str, str | None]]:
    yield STAGE, _truncate(snapshot.stage)
    yield SCRIPT_STAGE, _truncate(snapshot.script_stage)
    yield EXPERIMENT, _truncate(snapshot.experiment)
    if snapshot.root not in (None, "."):
        yield ROOT, _truncate(snapshot.root)
    commit = snapshot.reconstructed
    yield RECONSTRUCTED, _truncate(commit and f"{_FROM_COMMIT}{commit}")
    yield COMMITTED_VERSION, _truncate(snapshot.committed_version)
    yield DATA_VERSION, snapshot.data_version
    yield LOCK, snapshot.lock
    yield DATA_STATUS, snapshot.data_status
    yield MODIFIED, _listed(snapshot.paths_in_state("modified"))
    yield MISSING, _listed(snapshot.paths_in_state("missing"))
    yield CHANGED, _listed(snapshot.changed)
    yield SEAL, snapshot.seal
    yield UNCOVERED, _listed(snapshot.uncovered, "\n")


def _reads_tags(snapshot: Snapshot) -> dict[str, str]:
    seen = snapshot.reads
    if seen is None:
        return {}
    total = {entry.path: entry.nfiles for entry in snapshot.data}
    counts = {
        one.path: f"{one.nfiles} of {total.get(one.path) or '?'}"
        for one in seen.data
        if one.nfiles is not None and one.by != "another"
    }
    status = f"{seen.status}: {seen.reason}" if seen.reason else seen.status
    found = {READS: _truncate(status), UNDECLARED: _listed(seen.undeclared, "\n")}
    listed = path_tags(READ_FILES, dict(list(counts.items())[:MAX_PATH_TAGS]))
    return {key: value for key, value in found.items() if value} | listed


def _reads_in(tags: Mapping[str, str]) -> Reads | None:
    status, _, reason = tags.get(READS, "").partition(": ")
    if status not in get_args(ReadsStatus):
        return None
    undeclared = tuple(undeclared_in(tags))
    return Reads(status, reason or None, undeclared=undeclared)  # type: ignore[arg-type]


def _inputs_first(snapshot: Snapshot) -> list[DataEntry]:
    read = {entry.path for entry in inputs(snapshot)}
    return sorted(snapshot.data, key=lambda entry: (entry.path not in read, entry.path))


def _paths(prefix: str, tags: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key in sorted(tags):
        if key.startswith(prefix):
            yield key[len(prefix) :], tags[key]


def _fitted(part: str, size: int) -> str:
    return part.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def _listed(items: Sequence[str], between: str = ", ") -> str:
    """As many as fit, and how many there are besides."""
    text = between.join(items)
    kept = len(items)
    while len(text) > MAX_VALUE_CHARACTERS:
        kept = kept * 3 // 4
        text = between.join([*items[:kept], f"and {len(items) - kept} more"])
    return text


def _truncate(value: str | None) -> str | None:
    return value[:MAX_VALUE_CHARACTERS] if value else None
