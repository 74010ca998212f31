"""Git on behalf of a person: fetch a commit, apply a patch, check out a tree.

Whatever comes from a run is other people's input: a commit is named by hex digits alone, no hook
runs, a URL may only be of the protocols that move data, and a patch goes through an index, where
git refuses every path outside of the tree.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable

from mlflow_dvc.errors import MlflowDvcError
from mlflow_dvc.git.commit_files import blob_names
from mlflow_dvc.git.head import common_dir, find_git_dir, is_relative_path, is_same_remote, is_sha
from mlflow_dvc.git.run import fault_line, run_git

_SETTINGS = ("core.sparseCheckout=false", "protocol.ext.allow=never")
# A person waits for it: what a partial clone lacks is fetched.
_ENVIRONMENT = {"GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh", "GIT_NO_LAZY_FETCH": "0"}
_MAX_TIPS = 1000
_SHA256_DIGITS = 64  # digits
_INDEX_LINE = re.compile(rb"^index [0-9a-f]+\.\.([0-9a-f]+)", re.MULTILINE)
_APPLY_WORDS = ("apply", "--cached", "--binary", "--whitespace=nowarn", "-")


class GitError(MlflowDvcError):
    """What git said when it would not do something, on one line."""


def full_sha_or_none(text: str | None) -> str | None:
    """``text`` if it can name a commit in full."""
    return text if is_sha(text) else None


def object_in_patch(patch: bytes) -> str:
    """The name of an object that a patch is about, which tells the kind of its repository."""
    found = _INDEX_LINE.search(patch)
    return found[1].decode() if found else ""


class Repository:
    """The one whose work tree is at ``root``."""

    def __init__(self, root: str) -> None:
        self.root = root

    @classmethod
    def create(cls, root: str, sha: str, *options: str) -> Repository:
        """A new one, that can have the object ``sha``, or the one that is there already."""
        os.makedirs(root, exist_ok=True)
        repository = cls(root)
        kind = "sha256" if len(sha) == _SHA256_DIGITS else "sha1"
        repository.git("init", "--quiet", f"--object-format={kind}", *options)
        return repository

    # --- what it has ---

    def has(self, sha: str) -> bool:
        return self._succeeds("cat-file", "-e", f"{sha}^{{commit}}")

    def has_any_blob(self, contents: Iterable[bytes]) -> bool:
        """Whether some commit, or the index, has a file with one of these contents."""
        names = {name for content in contents for name in blob_names(content)}
        given = "".join(f"{name}\n" for name in sorted(names)).encode()
        rows = self.git("cat-file", "--batch-check=%(objecttype)", given=given).splitlines()
        return b"blob" in rows

    def file(self, sha: str, path: str) -> bytes | None:
        """Its content in the commit; None where it has none."""
        try:
            return self.git("cat-file", "blob", f"{sha}:{path}")
        except GitError:
            return None

    def ref_containing(self, sha: str) -> str | None:
        """A branch or tag, of here or of a remote, on which the commit is."""
        found = self.git("for-each-ref", "--count=1", "--format=%(refname)", "--contains", sha)
        return found.decode("utf-8", "replace").strip() or None

    def remotes(self) -> list[str]:
        return self.git("remote").decode("utf-8", "replace").split()

    def is_of_remote(self, url: str) -> bool:
        """Whether it is a clone of ``url``, or the repository itself that is named so."""
        if is_relative_path(url):
            return False
        main = os.path.dirname(common_dir(find_git_dir(self.root)))  # a linked work tree has two
        pattern = ("config", "-z", "--get-regexp", r"^remote\..*\.url$")
        rows = os.fsdecode(self._call(pattern, b"", None).stdout).split("\0")
        # As they are written, of which a remote may have several, and as git reads them.
        known = [row.partition("\n")[2] for row in rows if row]
        known += (self.url_of(name) for name in self.remotes())
        beside = (os.path.join(self.root, one) if is_relative_path(one) else one for one in known)
        return any(is_same_remote(url, one) for one in (*beside, self.root, main))

    def resolve(self, revision: str) -> str | None:
        """The commit that ``revision`` names here, None where it names none."""
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        try:
            return full_sha_or_none(self.git(*words).decode().strip())
        except GitError:
            return None

    def latest_before(self, seconds: float, branch: str | None) -> str | None:
        """The last commit of ``branch`` (of HEAD, where it is gone) that was there by then."""
        named = [f"refs/heads/{branch}", f"refs/remotes/origin/{branch}"] if branch else []
        start = next(filter(None, map(self.resolve, [*named, "HEAD"])), None)
        if start is None:
            return None
        return full_sha_or_none(
            self.git("log", "-1", "--format=%H", f"--before={int(seconds)}", start).decode().strip()
        )

    # --- what is fetched ---

    def fetch(self, sha: str, source: str, *options: str) -> str | None:
        """Get the commit from ``source``, a remote or a URL; in words why it cannot be had.

        Only objects come: no branch here is moved.
        """
        quietly = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        said = None
        for by_name in (True, False):
            try:
                wanted = [sha] if by_name else self._tips(source)
                if not by_name:  # the commit may lie below
                    options = tuple(word for word in options if not word.startswith("--depth"))
                self.git("fetch", *quietly, *options, "--", source, *wanted)
            except GitError as error:
                said = said or str(error)
            if self.has(sha):
                return None
        return said or f"{source} does not have it"

    def why_not_on_remote(self, remote: str, sha: str) -> str | None:
        """In words why the commit cannot be had from a remote or URL, ignoring local objects."""
        url = self.url_of(remote)
        with tempfile.TemporaryDirectory(prefix="mlflow-dvc-") as folder:
            elsewhere = Repository.create(folder, sha, "--bare")
            return elsewhere.fetch(sha, url, "--depth=1", "--filter=tree:0")

    def fetch_apart(self, folder: str, sha: str, sources: Iterable[str]) -> Repository | None:
        """A repository in ``folder`` with the trees of the commit, from the first that has it."""
        elsewhere = Repository.create(folder, sha, "--bare")
        for source in sources:
            url = self.url_of(source)
            if elsewhere.fetch(sha, url, "--depth=1", "--filter=blob:none") is None:
                return elsewhere
        return None

    def url_of(self, remote: str) -> str:
        """Of a remote; of anything else itself."""
        if remote not in self.remotes():
            return remote
        url = os.fsdecode(self.git("remote", "get-url", "--", remote)).rstrip("\n")
        beside = os.path.join(self.root, url)
        return beside if os.path.exists(beside) else url

    def answers(self, source: str) -> bool:
        return self._succeeds("ls-remote", "--heads", "--", source)

    def _tips(self, source: str) -> list[str]:
        """A server of before 2018 gives no commit by its name, only what a branch points to."""
        listed = self.git("ls-remote", "--heads", "--tags", "--", source)
        tips = listed.decode("utf-8", "replace").split()[1::2]
        if not tips:
            raise GitError(f"{source} has no branch")
        return [tip for tip in tips if not tip.endswith("^{}")][:_MAX_TIPS]

    # --- trees ---

    def tree(self, sha: str, patch: bytes = b"") -> str:
        """The tree of the commit with ``patch``. Raises GitError where it does not apply.

        No commit, an empty text, is a tree without a file.
        """
        with tempfile.TemporaryDirectory(prefix="mlflow-dvc-") as folder:
            index = {"GIT_INDEX_FILE": os.path.join(folder, "index")}
            self.git("read-tree", sha or "--empty", env=index)
            if patch:
                self.git(*_APPLY_WORDS, given=patch, env=index)
            return self.git("write-tree", env=index).decode().strip()

    def add_work_tree(self, directory: str, sha: str) -> Repository:
        """A work tree of this repository at the commit, in which no file lies yet."""
        self.git("worktree", "add", "--quiet", "--no-checkout", "--detach", directory, sha)
        return Repository(directory)

    def check_out(self, tree: str, sha: str) -> None:
        """Let the work tree and the index be ``tree``, and HEAD the commit."""
        if sha:
            self.git("update-ref", "--no-deref", "HEAD", sha)
        self.git("read-tree", "--reset", "-u", tree)

    def leave_uncommitted(self) -> None:
        """Let what the work tree has besides HEAD be uncommitted, as it was when the run began."""
        self.git("read-tree", *(("--reset", "HEAD") if self.resolve("HEAD") else ("--empty",)))
        self._succeeds("update-index", "-q", "--refresh")

    def changed_since(self, tree: str) -> list[str]:
        """The paths at which the work tree is not ``tree``; of new files none."""
        with tempfile.TemporaryDirectory(prefix="mlflow-dvc-") as folder:
            index = {"GIT_INDEX_FILE": os.path.join(folder, "index")}
            self.git("read-tree", tree, env=index)
            self._call(("update-index", "-q", "--refresh"), b"", index)
            words = ("--name-only", "-z", "--ignore-submodules=all")
            found = self.git("diff-files", *words, env=index)
        return [os.fsdecode(path) for path in found.split(b"\0") if path]

    def untracked(self) -> list[str]:
        """Files that are not in the index, less those that git is told to ignore."""
        found = self.git("ls-files", "--others", "--exclude-standard", "-z")
        return [os.fsdecode(path) for path in found.split(b"\0") if path]

    def paths(self, tree: str) -> list[str]:
        found = self.git("ls-tree", "-r", "--name-only", "-z", tree)
        return [os.fsdecode(path) for path in found.split(b"\0") if path]

    # --- git ---

    def git(self, *words: str, given: bytes = b"", env: dict[str, str] | None = None) -> bytes:
        """Raises GitError with what git says is wrong."""
        done = self._call(words, given, env)
        if done.returncode == 0:
            return done.stdout
        raise GitError(fault_line(done.stderr) or f"git {words[0]} failed")

    def _succeeds(self, *words: str) -> bool:
        return self._call(words, b"", None).returncode == 0

    def _call(
        self, words: tuple[str, ...], given: bytes, env: dict[str, str] | None
    ) -> subprocess.CompletedProcess[bytes]:
        try:
            return run_git(
                self.root, *words, given=given, settings=_SETTINGS, env=_ENVIRONMENT | (env or {})
            )
        except OSError as error:
            raise GitError(f"git cannot be called: {error.strerror}") from error
