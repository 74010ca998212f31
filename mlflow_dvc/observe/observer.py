"""What one process opens below a folder, and what its workers and others do."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from types import FrameType

from mlflow_dvc.observe import loaded, own_reads, workers
from mlflow_dvc.observe.beginning import Beginning
from mlflow_dvc.observe.drainer import Drainer
from mlflow_dvc.observe.event import UNKNOWN_PROCESS, Event
from mlflow_dvc.observe.folders import FolderWalk
from mlflow_dvc.observe.seen_file import SeenFile
from mlflow_dvc.observe.sources import open_source
from mlflow_dvc.paths import lies_in

_FIRST_SECONDS = 0.003  # for folders that are watched while MLflow is imported
_MIN_FOLDERS = 50  # at least: what a small project records must not depend on how busy it is
_CHUNK_SECONDS = 0.05
_MANY_FILES = 1000
_LOOK_SECONDS = 0.05
_TELL_SECONDS, _TELL_SHARE = 0.5, 50  # and no more than a fiftieth of the time
_MAX_FILES = 200_000
_MAX_WORKER_FOLDERS = 5_000
_MAX_FAULTS = 5
_MAX_NEW = 1000  # folders
_DESCRIPTORS = "/proc/self/fd"
_NO_MORE = frozenset({errno.ENOSPC, errno.ENOMEM, errno.EMFILE})
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR})
# CLOCK_REALTIME_COARSE: what Linux stamps files with, a tick behind the exact time. Python has no
# name for it.
_FILE_CLOCK = 5


@dataclass(frozen=True)
class Observation:
    """What is known by now. ``since`` is when observing began, in ns since 1970.

    ``files`` are by their path as the project spells it. ``faults`` say what may have been missed.
    ``new_folders`` came into being since, made by somebody else: they were watched a little later.
    """

    since: int
    files: dict[str, SeenFile]
    faults: tuple[str, ...]
    new_folders: tuple[str, ...] = ()

    def is_unclear(self, places: Set[str]) -> bool:
        """Whether a file in one of these was opened by none but what may be a worker."""
        return any(
            one.may_be_workers and not one.is_mine and not one.is_workers and lies_in(path, places)
            for path, one in self.files.items()
        )


class Observer:
    """Observes what lies below ``root`` from now on."""

    def __init__(
        self, root: str, beginning: Beginning | None, *, parent: Observer | None = None
    ) -> None:
        """``beginning`` is where the program stands now; None in a worker, which begins with it.

        ``parent`` is the observer of the process that this one was forked from.
        """
        self.root = root
        self.since = _now()
        self._beginning = beginning
        self._faults: dict[str, None] = {}
        self._files: dict[str, SeenFile] = {}
        self._written: set[str] = set()  # by whomever
        self._inherited = parent._read_so_far() if parent else {}
        self._source = open_source()
        self._walk: FolderWalk = parent._walk if parent else FolderWalk(root)
        self._watched: list[str] = []
        self._above = parent._names_for_child() if parent else workers.observing_above()
        self._below: dict[int, bool | None] = {}  # None: it had ended when it was asked for
        self._worker_pids: set[int] = set()
        self._new_folders: dict[str, None] = {}
        self._next_told = 0.0
        self._lock = threading.Lock()
        self._drainer = Drainer(self._take)
        if parent:
            self._watch_all(parent._watched)
        else:
            self._note_inherited()
        self.watch_more(_FIRST_SECONDS)

    @property
    def is_watching_all(self) -> bool:
        return self._walk.is_done

    def watch_more(self, seconds: float) -> None:
        """Watch folders that are not watched yet, for about so long, and some in any case."""
        end = time.thread_time() + seconds
        count = 0
        with self._lock:
            while count < _MIN_FOLDERS or time.thread_time() < end:
                if (folder := self._walk.next()) is None:
                    break
                if not self._watch(folder):
                    self._walk.stop()
                    break
                self._walk.look_into(folder)
                count += 1
        if self.is_watching_all and (self._above or self._walk.nfiles > _MANY_FILES):
            self._drainer.start()

    def watch_rest(self, stands_at: Callable[[], FrameType | None]) -> None:
        """Watch all that is left; ``stands_at`` tells where the program is when that is done."""
        had_more = False
        while not self.is_watching_all:
            had_more = True
            self.watch_more(_CHUNK_SECONDS)
        if had_more and self._beginning is not None:
            self._beginning = Beginning(stands_at(), self.root)

    def look_at_beginning(self) -> None:
        """Find out what had run before, which takes a while; for a thread beside the training."""
        if self._beginning is not None:
            _ = self._beginning.fault

    def watch_also(self, folders: Iterable[str]) -> None:
        """Folders that became known only now: what was read there before is not known."""
        with self._lock:
            late = [folder for folder in folders if self._walk.add(folder)]
        if late:
            self._note(f"{self._short(late[0])} was not watched from the beginning")
            self.watch_more(_CHUNK_SECONDS)

    def observe_patiently(self, seconds: float, places: Set[str]) -> Observation:
        """What is known by now. For so long it is waited for workers that still run, if they may
        have opened what this process has not, in one of the ``places``.
        """
        end = time.monotonic() + seconds
        found = self.observe()
        while time.monotonic() < end and found.is_unclear(places) and workers.observing_below():
            time.sleep(_LOOK_SECONDS)
            found = self.observe()
        return found

    def observe(self) -> Observation:
        """What is known by now."""
        with self._lock:
            files = self._seen_here()
            faults = tuple(self._all_faults())
            new = tuple(self._new_folders)
        return Observation(self.since, self._inherited | files, faults, new)

    def _seen_here(self) -> dict[str, SeenFile]:
        """What was opened since this process began, by this one and by its workers."""
        self._source.drain()
        self._digest()
        self._take_over()
        own_reads.refresh()
        files = {self._walk.spelt(path): seen for path, seen in self._files.items()}
        for path, seen in files.items():
            if seen.untold or seen.others:
                is_told = not seen.untold or seen.untold <= own_reads.opens[path]
                may_be = not is_told or any(map(self._may_be_worker, seen.others))
                is_others = not is_told or not seen.others <= own_reads.pids
                files[path] = replace(seen, may_be_workers=may_be, is_others=is_others)
        return files

    def drain(self) -> int:
        """Take what waits, and note what of it nobody has changed by now. Returns when that was."""
        with self._lock:
            self._source.drain()
            self._digest()
            return time.time_ns()

    def before_fork(self) -> None:
        self._drainer.pause()
        self.drain()
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()
        self._drainer.resume()

    def child(self) -> Observer | None:
        """The observer of a forked child. None where that would cost too much."""
        self._source.close()  # the parent's: what waits there is for it
        if len(self._watched) > _MAX_WORKER_FOLDERS:
            return None
        self._lock = threading.Lock()
        return Observer(self.root, None, parent=self)

    def hand_over(self) -> None:
        """Tell the processes above what this one has seen; when it ends."""
        self._drainer.end()  # what it may be telling just now is older
        if self._above:
            self._tell(is_all=True)

    def _tell(self, *, is_all: bool) -> None:
        with self._lock:
            files = self._seen_here()
            faults = tuple(self._all_faults())
        seen = (path for path, one in files.items() if one.is_read)
        read = tuple(dict.fromkeys((*seen, *loaded.copied_so_far())))
        written = tuple(path for path, one in files.items() if one.is_written)
        workers.hand_over(
            self._above, workers.HandedOver(read, written, faults, is_all, loaded.as_rows())
        )

    def close(self) -> None:
        self._drainer.end()
        self._source.close()

    def _note_inherited(self) -> None:
        """Files that are open already, as what a shell has put on standard input."""
        inside = self.root.rstrip(os.sep) + os.sep
        with suppress(OSError):
            for name in os.listdir(_DESCRIPTORS):
                with suppress(OSError):
                    path = os.readlink(f"{_DESCRIPTORS}/{name}")
                    if path.startswith(inside) and not _is_write_only(int(name)):
                        self._files[path] = SeenFile(
                            time.time_ns(), is_mine=True, was_unchanged=True
                        )

    def _take(self) -> None:
        """Called by the thread. A worker may be killed: what it has seen is told by then."""
        with self._lock:
            self._source.drain()
        begun = time.monotonic()
        if self._above and begun > self._next_told and self._source.has_fresh:
            self._tell(is_all=False)
            took = time.monotonic() - begun
            self._next_told = begun + max(_TELL_SECONDS, took * _TELL_SHARE)

    def _watch_all(self, folders: Iterable[str]) -> None:
        for folder in folders:
            if not self._watch(folder):
                break

    def _watch(self, folder: str) -> bool:
        """Whether more can be watched."""
        try:
            self._source.watch(folder)
        except OSError as error:
            is_open = error.errno != errno.EACCES or os.access(folder, os.X_OK)
            if error.errno not in _NOT_THERE and is_open:
                why = error.strerror or str(error)
                self._note(f"{self._short(folder)} could not be watched: {why}")
            return error.errno not in _NO_MORE
        self._watched.append(folder)
        return True

    def _digest(self) -> None:
        me, now = os.getpid(), time.time_ns()
        events = list(self._source.events())
        # First: of what was opened and written since the last time nobody tells the order.
        for event in events:
            if event.is_write:
                self._written.update(event.folder + os.sep + name for name in event.names)
        for event in events:
            if event.is_new_folder:
                for name in event.names:
                    self._note_new(event.folder + os.sep + name, event.pid)
            else:
                self._count(event, me, now)

    def _count(self, event: Event, me: int, now: int) -> None:
        is_mine = event.pid == me
        is_told = event.pid != UNKNOWN_PROCESS
        is_ours = is_mine or (is_told and self._is_below(event.pid))
        if not (is_ours or event.is_open):
            return
        fresh = SeenFile(now)
        before = after = fresh
        was_changed: bool | None = None
        for name in event.names:
            path = event.folder + os.sep + name
            if not self._walk.concerns(event.folder, path):
                continue
            seen = self._files.get(path, fresh)
            if seen is fresh and len(self._files) >= _MAX_FILES:
                self._note(f"more than {_MAX_FILES} files were opened")
                return
            is_told_unchanged = not is_ours or not event.is_open or seen.was_unchanged
            is_changed = not is_told_unchanged and self._is_changed(path)
            if seen is not before or is_changed is not was_changed:  # else as the one before it
                before, was_changed = seen, is_changed
                if is_ours:
                    after = seen.touched(event, is_mine=is_mine, is_changed=is_changed)
                else:
                    after = seen.opened_by(event.pid)
            self._files[path] = after

    def _note_new(self, folder: str, pid: int) -> None:
        """Watch a folder that has come into being, and what lies in it by now.

        What the run makes itself it has not read from there before.
        """
        was_done = self._walk.is_done
        if self._walk.add_new(folder) and pid != os.getpid() and len(self._new_folders) < _MAX_NEW:
            self._new_folders[folder] = None
        while was_done and (path := self._walk.next()) is not None and self._watch(path):
            self._walk.look_into(path)

    def _is_below(self, pid: int) -> bool:
        """Whether the process ``pid`` is known to descend from this one. It has to run still."""
        if pid not in self._below:
            self._below[pid] = workers.is_below(pid, os.getpid())
        return self._below[pid] is True

    def _is_changed(self, path: str) -> bool:
        """Whether somebody has written it since the beginning, as far as is known."""
        try:
            return path in self._written and os.stat(path).st_ctime_ns >= self.since
        except OSError:
            return True

    def _take_over(self) -> None:
        for pid, worker in workers.take_over():
            if worker.is_all:
                self._worker_pids.add(pid)
            new = SeenFile(time.time_ns())
            for path in worker.read:
                seen = self._files.get(path, new)
                self._files[path] = replace(seen, is_workers=True, was_unchanged=True)
            for path in worker.written:
                self._files[path] = replace(self._files.get(path, new), is_written=True)
            for fault in worker.faults:
                self._note(f"a worker process: {fault}")
            with suppress(TypeError):  # damaged: it tells nothing
                loaded.take_rows(worker.loaded)

    def _may_be_worker(self, pid: int) -> bool:
        """Whether a process that is none of the known workers may still be one."""
        is_known = pid in self._worker_pids or pid in own_reads.pids
        return not is_known and self._below.get(pid) is not False

    def _read_so_far(self) -> dict[str, SeenFile]:
        """What a forked child has in its memory as well."""
        files = {self._walk.spelt(path): seen for path, seen in self._files.items()}
        return self._inherited | {
            path: replace(seen, others=frozenset(), untold=0)
            for path, seen in files.items()
            if seen.is_read
        }

    def _names_for_child(self) -> list[str]:
        mine = workers.process_name(os.getppid())
        return [*([mine] if mine else []), *self._above]

    def _note(self, fault: str) -> None:
        if len(self._faults) < _MAX_FAULTS:
            self._faults[fault] = None

    def _all_faults(self) -> Iterator[str]:
        if self._source.fault:
            yield self._source.fault
        if self._beginning is not None and (fault := self._beginning.fault):
            yield fault
        if not self._walk.is_done:
            yield "not all folders were watched yet"
        if self._source.has_overflown:
            yield "so many files were opened at once that some were not told of"
        yield from self._walk.faults
        yield from self._faults

    def _short(self, folder: str) -> str:
        inside = self.root.rstrip(os.sep) + os.sep
        return folder[len(inside) :] if folder.startswith(inside) else folder


def _is_write_only(descriptor: int) -> bool:
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
        flags = next(line for line in file if line.startswith("flags:"))
    return int(flags.split()[1], 8) & os.O_ACCMODE == os.O_WRONLY


def _now() -> int:
    """As files are stamped now, in ns since 1970."""
    is_linux = sys.platform.startswith("linux")
    return time.clock_gettime_ns(_FILE_CLOCK) if is_linux else time.time_ns()
