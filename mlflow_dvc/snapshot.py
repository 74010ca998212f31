"""The one noun of the package: what code and what data a run saw, as one frozen value.

Capture makes a :class:`Snapshot` of the workspace, record writes it to the run, recall reads it
back. Standard library only, so that it can be read anywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from mlflow_dvc.foreign_values import (
    Check,
    as_bool,
    as_count,
    as_line,
    as_list,
    as_moment,
    as_name,
    as_named_lines,
    as_text,
    as_texts,
    checked,
    one_of,
    optional,
    read_json,
)
from mlflow_dvc.limits import MAX_STAGE_DEPS

SNAPSHOT_SCHEMA = 1
_NEWER = "a newer mlflow-dvc wrote it, by schema {}; this one knows {}"

Role = Literal["input", "output", "code"]
State = Literal["unverified", "clean", "modified", "missing"]
# "locked": as a lock file claims. "stale": the lock's entry is of an earlier run of the stage that
# is running now, or of a stage below it, and so no fact about this run. "disk": of what lay there
# when the run started. "sealed": of what the stage has made, or read, when its process ended.
# "committed": as the files of the run's commit claim, read after the run: it may have seen another.
Certainty = Literal["locked", "stale", "disk", "sealed", "committed"]
Seal = Literal["none", "provisional", "confirmed", "contradicted"]
ReadsStatus = Literal["observed", "partial", "off"]
Reader = Literal["process", "worker", "another"]

SIZES = "sizes"  # of a dataset at an address of which DVC keeps no hash: the name of its sizes

# What is taken over together where a hash is.
_HASH_FIELDS = ("algorithm", "hash", "size", "nfiles")


@dataclass(frozen=True)
class GitState:
    """The code of a run: a commit, and whether it was the whole of it.

    ``sha`` is the full hex of the commit, None before the first one; ``branch`` is None on a
    detached HEAD; ``describe`` is the nearest tag as ``git describe --tags`` names it;
    ``remote_url`` is where the branch is pushed to, without credentials. ``source`` says where the
    commit comes from: the repository of the ``script`` or of the ``working directory``, the name of
    a CI variable, or ``MLFLOW_DVC_SNAPSHOT``.

    ``dirty``: the code differs from the commit, by what is attached as ``code.patch`` less what
    ``omitted`` names, each path with the reason; None where that is not known. ``changes`` is a
    digest of the whole difference, None where some of it is missing. ``uncommitted`` names those
    of DVC's files and of the parameter files that the commit did not have like this, by their path
    from the DVC root; None where nobody looked.
    """

    sha: str | None
    branch: str | None = None
    describe: str | None = None
    dirty: bool | None = None
    remote_url: str | None = None
    source: str = "working directory"
    omitted: tuple[str, ...] = ()
    changes: str | None = None
    uncommitted: tuple[str, ...] | None = None


@dataclass(frozen=True)
class DataEntry:
    """One DVC-tracked output, or one declared dependency of the stage that is running.

    ``path`` is relative to the DVC root, or a URL; ``ds://NAME`` is a dataset of dvc.yaml.
    ``algorithm`` is DVC's name for the hash (``md5``, ``md5-dos2unix``, ``etag``, ``checksum``), of
    a dataset the kind of its version (``rev``, ``rev:PATH``, ``version:…``, ``lock``, ``sizes``).
    ``hash`` is written as DVC writes it (``….dir`` for a directory), None where it is not known; of
    a dataset it is the locked version. ``size`` is in bytes, ``nfiles`` the number of files in a
    directory. ``cached``: DVC keeps the output in its cache. ``stage`` is the address of the stage
    or ``.dvc`` file that the fact comes from, ``source`` the ``url@rev`` of imported data and of
    datasets.

    ``state`` says how the data lay on disk: ``clean``, ``modified``, ``missing``, or ``unverified``
    where nobody looked. A dataset is ``clean`` where its version cannot stand for other data. What
    lies at another address is looked at when DVC locks the stage. ``role`` is ``input``, ``output``
    or ``code`` for the run, None for neither. ``certainty`` says where ``hash`` comes from:
    ``locked`` is a claim of a lock, ``stale`` one of an earlier run of the stage, ``disk`` what lay
    there when the run started, ``sealed`` what the stage had made or read when its process ended,
    ``committed`` a claim of the run's commit that was read after the run.
    """

    path: str
    algorithm: str
    hash: str | None
    size: int | None = None
    nfiles: int | None = None
    cached: bool = True
    stage: str | None = None
    source: str | None = None
    state: State = "unverified"
    role: Role | None = None
    certainty: Certainty = "locked"

    @property
    def is_fact(self) -> bool:
        """Whether ``hash`` may be given out as a fact about the run."""
        return self.hash is not None and self.certainty != "stale"

    @property
    def is_observed(self) -> bool:
        """Whether ``hash`` is that of the file itself, whatever a lock says."""
        return self.hash is not None and self.certainty in ("disk", "sealed")

    @property
    def tells_data(self) -> bool:
        """Whether equal hashes mean equal data."""
        return self.algorithm != SIZES

    def with_hash_of(self, other: Any) -> DataEntry:
        """This entry with the hash of ``other``, an entry or an answer, and what belongs to it."""
        return replace(self, **{name: getattr(other, name) for name in _HASH_FIELDS})


@dataclass(frozen=True)
class StageNode:
    """One stage of the project's pipelines, and the paths that it reads."""

    address: str
    deps: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataRead:
    """Tracked data that was opened while the run was observed.

    ``by`` says by whom: the ``process`` of the run, a ``worker`` of it, or ``another`` program that
    is not known to be one. ``nfiles`` is how many files of a folder were, None for a file, and for
    a folder that was loaded as a whole. ``earlier``: by what happened before the run began.
    """

    path: str
    by: Reader
    nfiles: int | None = None
    earlier: bool = False


@dataclass(frozen=True)
class Reads:
    """What the process of a run was seen to read until the run ended.

    ``status`` is ``observed`` where nothing can have been missed since observing began, ``partial``
    where something can, for the ``reason``, and ``off`` where nobody looked. ``since`` is when it
    began, in seconds since 1970. ``undeclared`` names files that were read, or ran, and that the
    stage does not declare; ``unread`` what it declares and was not read. ``code`` maps the files of
    the project that ran to the md5 of their bytes, empty where they were changed meanwhile.
    """

    status: ReadsStatus
    reason: str | None = None
    since: float | None = None
    data: tuple[DataRead, ...] = ()
    undeclared: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    code: Mapping[str, str] | None = None

    @property
    def read_paths(self) -> frozenset[str]:
        """The tracked data that the run, or a worker of it, has read."""
        return frozenset(one.path for one in self.data if one.by != "another")


@dataclass(frozen=True)
class Snapshot:
    """Everything known of the code and the data behind one run.

    ``stages`` are those of the project, ``data`` its outputs, ``deps`` the declared dependencies of
    the run's stage, or else the datasets of the project. ``root`` is the DVC root relative to the
    git root, None without DVC. ``stage`` is DVC's address of the stage that ``dvc repro`` ran,
    ``script_stage`` that of the one stage that declares a script run by hand; ``experiment`` is
    DVC's name for it.
    ``data_version`` is one name for all data that the run read, ``data_status`` the state of that
    data as a whole. ``seal`` says how far the outputs of the stage are confirmed: ``none``,
    ``provisional``, ``confirmed`` or ``contradicted``.

    ``locks`` maps the path of each lock file to the md5 of its bytes, ``lock`` is the one of the
    run's own lock. ``workspace`` names the checkout that the run was in, ``sealed_at`` is when it
    was sealed, in seconds since 1970, ``stage_before`` the md5 of what the lock said of the stage
    until then. ``stage_failed``: the process failed after the run had ended. ``frozen``: it was
    made beforehand, elsewhere (``mlflow-dvc snapshot``). ``warnings`` says in words what could not
    be read. ``uncovered`` names the DVC files and the tracked paths of which nothing is known, each
    with the reason (``PATH: REASON``). ``changed`` names what the stage declares to read, and what
    was another at its end than when the run began. ``execution`` is equal for the runs of one
    execution of a stage, as far as that can be told. ``attached`` maps the path of each file of
    the project that belongs to the record to the md5 of its bytes; None in a record of before.
    Those of them that ``withheld`` names, each with the reason, are not attached: git has them.
    ``reads`` is what the run was seen to read; None in a record of before, and until the run ends.

    ``reconstructed`` is the commit that all of it was read from after the run, which was not
    recorded (``mlflow-dvc backfill``): what it claims of data is what that commit claims, and
    nothing was seen. ``committed_version`` is what the data version would be if the run had read
    what its commit claims; ``data_version`` is None then.
    """

    git: GitState | None = None
    root: str | None = None
    stage: str | None = None
    script_stage: str | None = None
    experiment: str | None = None
    data: tuple[DataEntry, ...] = ()
    deps: tuple[DataEntry, ...] = ()
    stages: tuple[StageNode, ...] = ()
    data_version: str | None = None
    data_status: State | None = None
    seal: Seal | None = None
    lock: str | None = None
    locks: Mapping[str, str] | None = None
    workspace: str | None = None
    sealed_at: float | None = None
    stage_before: str | None = None
    stage_failed: bool = False
    frozen: bool = False
    warnings: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    execution: str | None = None
    attached: Mapping[str, str] | None = None
    withheld: Mapping[str, str] | None = None
    reads: Reads | None = None
    reconstructed: str | None = None
    committed_version: str | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to record: a git repository or a DVC project."""
        return self.root is not None or self.git is not None

    @property
    def has_stage(self) -> bool:
        """Whether a stage is known, by DVC or by the script: it says what the run reads."""
        return bool(self.stage or self.script_stage)

    @property
    def knows_reads(self) -> bool:
        """Whether the inputs are what was read: of a run without a stage that was observed."""
        seen = self.reads
        is_seen = seen is not None and seen.status == "observed" and bool(seen.read_paths)
        return is_seen and not self.has_stage

    @property
    def claimed_outputs(self) -> tuple[DataEntry, ...]:
        """The cached outputs whose hash is a fact about this run."""
        return tuple(entry for entry in self.data if entry.cached and entry.is_fact)

    @property
    def observed_data(self) -> tuple[DataEntry, ...]:
        """All data whose hash is a fact about this run: these outputs, and what else it read."""
        paths = {entry.path for entry in self.claimed_outputs}
        read = (dep for dep in self.deps if dep.role == "input" and dep.is_observed)
        return (*self.claimed_outputs, *(dep for dep in read if dep.path not in paths))

    @property
    def remarks(self) -> tuple[str, ...]:
        """In words what could not be read, and which files of the project are not attached."""
        return (*self.warnings, *withheld_lines(self.withheld or {}))

    def paths_in_state(self, state: State) -> tuple[str, ...]:
        """The paths of all tracked data, and of what the stage reads, that is ``state``."""
        entries = (*self.data, *self.deps)
        return tuple(dict.fromkeys(entry.path for entry in entries if entry.state == state))

    def to_dict(self) -> dict[str, Any]:
        """As ``dvc/snapshot.json`` holds it: plain JSON values, with a ``schema`` number."""
        # `asdict` copies each value: ten times slower.
        raw = {"schema": SNAPSHOT_SCHEMA, **vars(self)}
        raw["git"] = dict(vars(self.git)) if self.git else None
        raw["reads"] = _reads_to_dict(self.reads) if self.reads else None
        for name in ("data", "deps", "stages"):
            raw[name] = [dict(vars(entry)) for entry in raw[name]]
        return raw

    @classmethod
    def from_dict(cls, raw: Any) -> Snapshot:
        """Read :meth:`to_dict` back. Fields of a newer schema are left out, and a warning says so.

        Raises ValueError, with a short reason, where ``raw`` is no snapshot: it may be anybody's.
        In what is returned each value is of its kind, and of a size and with the characters that
        no reader need guard itself against; see ``foreign_values``. Paths may still lead anywhere.
        """
        try:
            return _snapshot(raw)
        except ValueError as error:
            raise ValueError(f"not a snapshot: {error}") from None


def read_snapshot(content: bytes) -> Snapshot:
    """The one of an attached ``snapshot.json``. Raises ValueError."""
    return Snapshot.from_dict(read_json(content))


_CHECKS: Mapping[Any, Check] = {
    "str": as_text, "str | None": optional(as_text), "bool": as_bool,
    "bool | None": optional(as_bool), "int | None": optional(as_count),
    "float | None": optional(as_moment), "tuple[str, ...]": as_texts,
    "tuple[str, ...] | None": optional(as_texts),
    "Mapping[str, str] | None": optional(as_named_lines),
    "State": one_of(get_args(State)), "State | None": optional(one_of(get_args(State))),
    "Certainty": one_of(get_args(Certainty)), "Role | None": optional(one_of(get_args(Role))),
    "Seal | None": optional(one_of(get_args(Seal))),
    "ReadsStatus": one_of(get_args(ReadsStatus)), "Reader": one_of(get_args(Reader)),
}  # fmt: skip


def _checks(cls: type[Any], **others: Check) -> dict[str, Check]:
    return {one.name: _CHECKS[one.type] for one in fields(cls) if one.type in _CHECKS} | others


_OF_GIT = _checks(GitState)
_OF_ENTRY = _checks(DataEntry, path=as_name, hash=optional(as_line))
_OF_STAGE = _checks(StageNode, address=as_name)
_OF_DATA_READ = _checks(DataRead, path=as_name)
_OF_READS = _checks(Reads, data=lambda raw: _items(DataRead, _OF_DATA_READ, raw))
_OF_SNAPSHOT = _checks(
    Snapshot,
    reconstructed=optional(as_line),
    committed_version=optional(as_line),
    reads=lambda raw: Reads(**{"status": "off", **checked(_OF_READS, raw)}) if raw else None,
    schema=as_count,
    git=lambda raw: GitState(**{"sha": None, **checked(_OF_GIT, raw)}) if raw else None,
    data=lambda raw: _items(DataEntry, _OF_ENTRY, raw),
    deps=lambda raw: _items(DataEntry, _OF_ENTRY, raw),
    stages=lambda raw: _items(StageNode, _OF_STAGE, raw),
)


def _reads_to_dict(reads: Reads) -> dict[str, Any]:
    return {**vars(reads), "data": [dict(vars(one)) for one in reads.data]}


def _snapshot(raw: Any) -> Snapshot:
    newer = _newer_schema(raw)
    try:
        values = checked(_OF_SNAPSHOT, raw)
    except ValueError as error:
        raise ValueError(f"{newer}: {error}" if newer else str(error)) from None
    if not values.pop("schema", 0):
        raise ValueError("its schema is no number")
    found = Snapshot(**values)
    if newer:
        found = replace(
            found, warnings=(f"{newer}: what is new in it is left out", *found.warnings)
        )
    if sum(len(stage.deps) for stage in found.stages) > MAX_STAGE_DEPS:
        raise ValueError(f"its stages have more than {MAX_STAGE_DEPS} dependencies")
    return found


def _newer_schema(raw: Any) -> str:
    """In words that a later version wrote ``raw``; empty where this one knows all of it."""
    number = raw.get("schema") if isinstance(raw, Mapping) else None
    is_newer = isinstance(number, int) and number > SNAPSHOT_SCHEMA
    return _NEWER.format(as_count(number), SNAPSHOT_SCHEMA) if is_newer else ""


def find_newer(snapshot: Snapshot) -> str:
    """The warning that a snapshot is of a newer schema, of which a part was left out; or empty."""
    start = _NEWER.partition("{}")[0]
    return next((line for line in snapshot.warnings if line.startswith(start)), "")


def _items(cls: type[Any], checks: Mapping[str, Check], raw: Any) -> tuple[Any, ...]:
    found = []
    for number, item in enumerate(as_list(raw)):
        try:
            found.append(cls(**checked(checks, item)))
        except ValueError as error:
            raise ValueError(f"{number}: {error}") from None
        except TypeError:  # a field without a default
            raise ValueError(f"{number}: a field is missing") from None
    return tuple(found)


def withheld_lines(withheld: Mapping[str, str]) -> Iterator[str]:
    """A line for each file that is not attached, of its path and the reason."""
    return (f"{path} is not attached: {why}" for path, why in withheld.items())


def with_data_version(snapshot: Snapshot) -> Snapshot:
    """``snapshot`` with the data version of the run's inputs, or with none if one is unknown.

    Without a stage nothing that it may have read must be uncovered.
    """
    is_known = snapshot.has_stage or not uncovered_reads(snapshot)
    return replace(snapshot, data_version=data_version(inputs(snapshot)) if is_known else None)


def uncovered_reads(snapshot: Snapshot) -> list[str]:
    """Of what is uncovered, the lines about what a run without a stage may have read.

    Where it is known what the run read, tracked data that it did not read is none of it; a file of
    DVC's that nobody understands may track anything.
    """
    if not snapshot.knows_reads:
        return list(snapshot.uncovered)
    read = snapshot.reads.read_paths if snapshot.reads else frozenset()
    unread = {entry.path for entry in snapshot.data} - read
    return [line for line in snapshot.uncovered if line.partition(": ")[0] not in unread]


def inputs(snapshot: Snapshot) -> tuple[DataEntry, ...]:
    """What the run reads: the stage's data dependencies, else the data that it was seen to read,
    else every cached output ever made; and every dataset that has a version.
    """
    read = snapshot.deps if snapshot.has_stage else (*snapshot.data, *snapshot.deps)
    return tuple(entry for entry in read if entry.role == "input")


def data_version(entries: Iterable[DataEntry]) -> str | None:
    """One short name for a set of data: equal data, equal name.

    The first 12 hex digits of sha256 over the sorted lines ``path<TAB>algorithm:hash<LF>``; None
    when there are no entries or a hash is unknown, or tells nothing of the data.
    """
    entries = list(entries)
    if not entries or not all(entry.is_fact and entry.tells_data for entry in entries):
        return None
    lines = {f"{entry.path}\t{entry.algorithm}:{entry.hash}\n" for entry in entries}
    text = "".join(sorted(lines))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]
