"""Git with an index and an object store of its own: the user's are not touched."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from types import TracebackType

from mlflow_dvc.git.head import common_dir, find_git_dir

NOT_INHERITED = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX", "GIT_EXTERNAL_DIFF", "GIT_DIFF_OPTS",
    "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS",
)  # fmt: skip
# No program of the user's is run, and nothing of theirs written: a split index has files beside it.
GIT_SETTINGS = (
    "core.fsmonitor=false", "core.quotePath=false", "core.safecrlf=false", "core.splitIndex=false",
    f"core.hooksPath={os.devnull}", f"diff.orderFile={os.devnull}",
)  # fmt: skip


class GitTimeoutError(OSError):
    """Git was not done in time."""


class ScratchGit:
    """Git in the work tree at ``root``; all questions together may take ``seconds``.

    The index is empty at first. What is written goes into a folder that is thrown away.
    """

    def __init__(self, root: str, seconds: float) -> None:
        self._root = root
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._scratch = tempfile.TemporaryDirectory(prefix="mlflow-dvc-")
        self._index = os.path.join(self._scratch.name, "index")

    def __enter__(self) -> ScratchGit:
        objects = os.path.join(self._scratch.name, "objects")
        os.mkdir(objects)
        store = os.path.join(common_dir(find_git_dir(self._root)), "objects")
        quoted = store.replace("\\", "\\\\").replace('"', '\\"')
        kept = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        self._env = kept | {
            "GIT_INDEX_FILE": self._index,
            "GIT_OBJECT_DIRECTORY": objects,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{quoted}"',
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "LC_ALL": "C",
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._scratch.cleanup()

    def _run(self, *words: str, given: bytes = b"") -> bytes:
        done = self._call(*words, given=given)
        if done.returncode != 0:
            # Outside a repository, or in one of another user's, `diff` explains its own usage.
            asked = self._call("rev-parse", "--git-dir")
            said = asked.stderr if asked.returncode != 0 else done.stderr
            lines = said.decode("utf-8", "replace").strip().splitlines()
            fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
            raise OSError([*fatal, *lines, f"git {words[0]} failed"][0])
        return done.stdout

    def _call(self, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        settings = [word for setting in GIT_SETTINGS for word in ("-c", setting)]
        try:
            return subprocess.run(
                ["git", *settings, *words],
                cwd=self._root,
                env=self._env,
                input=given,
                capture_output=True,
                check=False,
                timeout=max(self._until - time.monotonic(), 0.1),
            )
        except subprocess.TimeoutExpired as error:
            raise GitTimeoutError(f"git needs more than {self._seconds:g} s") from error
