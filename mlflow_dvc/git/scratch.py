"""Git with an index and an object store of its own; the user's are not touched."""

from __future__ import annotations

import os
import subprocess
import time
from types import TracebackType

from mlflow_dvc.git.head import common_dir, find_git_dir
from mlflow_dvc.git.run import GitTimeoutError, fault_line, run_git
from mlflow_dvc.scratch_folder import scratch_folder


def objects_apart(root: str, folder: str) -> dict[str, str]:
    """What lets git write objects below ``folder``, and read those of the repository as well."""
    objects = os.path.join(folder, "objects")
    os.mkdir(objects)
    store = os.path.join(common_dir(find_git_dir(root)), "objects")
    quoted = store.replace("\\", "\\\\").replace('"', '\\"')
    return {
        "GIT_OBJECT_DIRECTORY": objects,
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{quoted}"',
    }


class ScratchGit:
    """Git in the work tree at ``root``; all questions together may take ``seconds``.

    The index is empty at first. What is written goes into a folder that is thrown away.
    """

    def __init__(self, root: str, seconds: float) -> None:
        self._root = root
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._scratch = scratch_folder()

    def __enter__(self) -> ScratchGit:
        folder = self._scratch.__enter__()
        self._index = os.path.join(folder, "index")
        self._env = {"GIT_INDEX_FILE": self._index, **objects_apart(self._root, folder)}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._scratch.__exit__(kind, error, trace)

    def _run(self, *words: str, given: bytes = b"") -> bytes:
        done = self._call(*words, given=given)
        if done.returncode != 0:
            # Outside a repository, or in one of another user's, `diff` explains its own usage.
            asked = self._call("rev-parse", "--git-dir")
            said = asked.stderr if asked.returncode != 0 else done.stderr
            raise OSError(fault_line(said) or f"git {words[0]} failed")
        return done.stdout

    def _call(self, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        left = max(self._until - time.monotonic(), 0.1)
        try:
            return run_git(self._root, *words, given=given, seconds=left, env=self._env)
        except GitTimeoutError as error:
            raise GitTimeoutError(f"git needs more than {self._seconds:g} s") from error
