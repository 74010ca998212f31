"""Git on behalf of a person: fetch a commit, apply a patch, check out a tree.

Whatever comes from a run is other people's input: a commit is named by hex digits alone, no hook
runs, a URL may only be of the protocols that move data, and a patch goes through an index, where
git refuses every path outside of the tree.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from mlflow_dvc.addresses import Address, OwnAddresses, why_anonymous
from mlflow_dvc.errors import MlflowDvcError
from mlflow_dvc.git.commit_files import blob_names
from mlflow_dvc.git.credentials import GitAccess, git_access, is_foreign, redirected
from mlflow_dvc.git.head import common_dir, find_git_dir, is_relative_path, is_same_remote, is_sha
from mlflow_dvc.git.links import links_out
from mlflow_dvc.git.run import GitTimeoutError, ask_remote_once, fault_line, run_git
from mlflow_dvc.scratch_folder import scratch_folder

# Names that git refuses for the sake of some other system are never written.
_SETTINGS = (
    "core.sparseCheckout=false", "protocol.ext.allow=never", "core.protectHFS=true",
    "core.protectNTFS=true",
)  # fmt: skip
RESTORED = "mlflow-dvc-restore.json"  # in the git directory of a tree that was restored
# A person waits for it: what a partial clone lacks is fetched.
_ENVIRONMENT = {"GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh", "GIT_NO_LAZY_FETCH": "0"}
_MAX_TIPS = 1000
_FOREIGN_SECONDS = 600.0  # for one question to an address that a record names
_LISTING_SECONDS = 8.0
# Of these addresses, whether they have answered to this process; none is waited for twice.
_answering: set[str] = set()
_silent: set[str] = set()
_SHA256_DIGITS = 64  # digits
_MAX_HEAD_BYTES = 200  # of an answer: the name, the kind and the size of an object
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


@dataclass(frozen=True)
class CodeTree:
    """A tree by its name, and where each link leads to that is left out of it.

    ``fault`` says why the patch does not apply; empty where it does.
    """

    name: str
    links_out: Mapping[str, str]
    fault: str = ""


class Repository:
    """The one whose work tree is at ``root``.

    ``own`` are the addresses at which it may use the user's credentials: without it those of its
    remotes, unless they came with a tree that was restored.
    """

    def __init__(self, root: str, own: OwnAddresses | None = None) -> None:
        self.root = root
        self._own = own
        self._access = GitAccess()

    @classmethod
    def create(cls, root: str, sha: str, own: OwnAddresses, *options: str) -> Repository:
        """A new one, that can have the object ``sha``, or the one that is there already."""
        os.makedirs(root, exist_ok=True)
        repository = cls(root, own)
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

    def files_among(self, sha: str, paths: Iterable[str]) -> set[str]:
        """Those of ``paths`` that the commit has. Raises GitError for one that leads elsewhere."""
        words = ("ls-tree", "--full-tree", "--name-only", "-z", sha, "--", *paths)
        return {os.fsdecode(path) for path in self.git(*words).split(b"\0")}

    def ref_containing(self, sha: str) -> str | None:
        """A branch or tag, of here or of a remote, on which the commit is."""
        found = self.git("for-each-ref", "--count=1", "--format=%(refname)", "--contains", sha)
        return found.decode("utf-8", "replace").strip() or None

    def remotes(self) -> list[str]:
        return self.git("remote").decode("utf-8", "replace").split()

    def top_level(self) -> Repository | None:
        """The repository that the folder is in; None where it is in none."""
        try:
            root = os.fsdecode(self.git("rev-parse", "--show-toplevel")).rstrip("\n")
        except GitError:
            return None
        return Repository(root) if root else None

    @cached_property
    def own(self) -> OwnAddresses:
        if self._own is not None:
            return self._own
        is_foreign = self.is_restored and self.main_root == self.root
        return OwnAddresses(map(Address.of, () if is_foreign else self._remote_urls()))

    @cached_property
    def is_restored(self) -> bool:
        """Whether a run was restored here, so that what lies here is not the user's."""
        return os.path.lexists(os.path.join(find_git_dir(self.root), RESTORED))

    @cached_property
    def main_root(self) -> str:
        """The work tree that a linked one belongs to; else its own."""
        git_dir = find_git_dir(self.root)
        common = common_dir(git_dir)
        return self.root if common == git_dir else os.path.dirname(common)

    def _remote_urls(self) -> list[str]:
        """As they are written; a remote may have several."""
        pattern = ("config", "-z", "--get-regexp", r"^remote\..*\.url$")
        rows = os.fsdecode(self._call(pattern, b"").stdout).split("\0")
        return [row.partition("\n")[2] for row in rows if row]

    def is_of_remote(self, url: str) -> bool:
        """Whether it is a clone of ``url``, or the repository itself that is named so."""
        if is_relative_path(url):
            return False
        main = os.path.dirname(common_dir(find_git_dir(self.root)))  # a linked work tree has two
        # As they are written, and as git reads them.
        known = [*self._remote_urls(), *(self.url_of(name) for name in self.remotes())]
        beside = [os.path.join(self.root, one) if is_relative_path(one) else one for one in known]
        here = (*beside, self.root, main)
        if any(is_same_remote(url, one) for one in here):
            return True
        moved = redirected(self.root, url)
        return moved != url and any(is_same_remote(moved, one) for one in here)

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
                self._ask(source, "fetch", *quietly, *options, "--", source, *wanted)
            except GitError as error:
                said = said or str(error)
            if self.has(sha):
                return None
        return said or f"{source} does not have it"

    def why_not_on_remote(self, remote: str, sha: str) -> str | None:
        """In words why the commit cannot be had from a remote or URL, ignoring local objects."""
        url = self.url_of(remote)

        def ask() -> str | None:
            with scratch_folder() as folder:
                elsewhere = Repository.create(folder, sha, self.own, "--bare")
                return elsewhere.fetch(sha, url, "--depth=1", "--filter=tree:0")

        return ask_remote_once(("has", self.root, url, sha), ask)  # it may be relative

    def fetch_apart(self, folder: str, sha: str, sources: Iterable[str]) -> Repository | None:
        """A repository in ``folder`` with the trees of the commit, from the first that has it."""
        elsewhere = Repository.create(folder, sha, self.own, "--bare")
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
        def ask() -> bool:
            try:
                self._ask(source, "ls-remote", "--heads", "--", source)
            except GitError:
                return False
            return True

        return ask_remote_once(("answers", self.root, source), ask)

    def fetch_revision(self, url: str, rev: str | None) -> str:
        """The commit that ``rev`` (its default branch, if None) names at ``url``, fetched."""
        if full_sha_or_none(rev) is None:
            every = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
            wanted = every if rev else ("+HEAD:refs/heads/default",)
            self._ask(url, "fetch", "--quiet", "--no-tags", "--", url, *wanted)
            rev = self.resolve(rev or "refs/heads/default")
        elif reason := self.fetch(rev or "", url, "--depth=1"):
            raise GitError(reason)
        if rev is None:
            raise GitError(f"{url} has no such revision")
        return rev

    def push(self, remote: str, refspec: str) -> None:
        """Nothing that the remote has under this name is replaced."""
        self._ask(remote, "push", "--quiet", "--no-verify", "--", remote, refspec)

    def default_remote(self) -> str | None:
        """The remote of the branch that is checked out, else ``origin``, else the only one."""
        branch = self._call(("symbolic-ref", "--quiet", "--short", "HEAD")).stdout.decode().strip()
        named = self._call(("config", "--get", f"branch.{branch}.remote")).stdout.decode().strip()
        remotes = self.remotes()
        if len(remotes) == 1:
            return remotes[0]
        return next((one for one in (named, "origin") if one in remotes), None)

    def _tips(self, source: str) -> list[str]:
        """A server of before 2018 gives no commit by its name, only what a branch points to."""
        listed = self._ask(source, "ls-remote", "--heads", "--tags", "--", source)
        tips = listed.decode("utf-8", "replace").split()[1::2]
        if not tips:
            raise GitError(f"{source} has no branch")
        return [tip for tip in tips if not tip.endswith("^{}")][:_MAX_TIPS]

    # --- trees ---

    def tree(self, sha: str, patch: bytes = b"") -> str:
        """The tree of the commit with ``patch``, less links that lead out of it.

        No commit, an empty text, is a tree without a file. Raises GitError where the patch does not
        apply.
        """
        return self._tree_and_links(sha, patch)[0]

    def code_tree(self, sha: str, patch: bytes) -> CodeTree:
        """:meth:`tree`, without the patch where that does not apply."""
        try:
            return CodeTree(*self._tree_and_links(sha, patch))
        except GitError as error:
            return CodeTree(*self._tree_and_links(sha, b""), str(error))

    def _tree_and_links(self, sha: str, patch: bytes) -> tuple[str, dict[str, str]]:
        with scratch_folder() as folder:
            index = {"GIT_INDEX_FILE": os.path.join(folder, "index")}
            self.read_code(sha, patch, index)
            tree = self.git("write-tree", env=index).decode().strip()
            if out := links_out(self.git, tree):
                given = b"".join(os.fsencode(path) + b"\0" for path in out)
                self.git("update-index", "--force-remove", "-z", "--stdin", given=given, env=index)
                tree = self.git("write-tree", env=index).decode().strip()
            return tree, out

    def read_code(self, sha: str, patch: bytes, index: dict[str, str]) -> None:
        """Let the index that the environment ``index`` names be the commit with the patch."""
        self.git("read-tree", sha or "--empty", env=index)
        if patch:
            self.git(*_APPLY_WORDS, given=patch, env=index)

    def add_work_tree(self, directory: str, sha: str) -> Repository:
        """A work tree of this repository at the commit, in which no file lies yet."""
        self.git("worktree", "add", "--quiet", "--no-checkout", "--detach", directory, sha)
        return Repository(directory)

    def check_out(self, tree: str, sha: str) -> None:
        """Let the work tree and the index be ``tree``, and HEAD the commit."""
        if sha:
            self.git("update-ref", "--no-deref", "HEAD", sha)
        self.git("read-tree", "--reset", "-u", tree, env=self._large_files(tree))

    def _large_files(self, tree: str) -> dict[str, str]:
        """Git LFS asks the server that a commit names, with what the user has for any host."""
        words = ("config", "-z", "--blob", f"{tree}:.lfsconfig", "--get-regexp", r"url$")
        rows = os.fsdecode(self._call(words).stdout).split("\0")
        urls = [*self._remote_urls(), *(row.partition("\n")[2] for row in rows if row)]
        is_kept = not any(is_foreign(url, self.own) for url in urls)
        return {} if is_kept else {"GIT_LFS_SKIP_SMUDGE": "1"}

    def leave_uncommitted(self) -> None:
        """Let what the work tree has besides HEAD be uncommitted, as it was when the run began."""
        self.git("read-tree", *(("--reset", "HEAD") if self.resolve("HEAD") else ("--empty",)))
        self._succeeds("update-index", "-q", "--refresh")

    def changed_since(self, tree: str) -> list[str]:
        """The paths at which the work tree is not ``tree``; of new files none."""
        with scratch_folder() as folder:
            index = {"GIT_INDEX_FILE": os.path.join(folder, "index")}
            self.git("read-tree", tree, env=index)
            self._call(("update-index", "-q", "--refresh"), env=index)
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

    def blobs(self, tree: str) -> dict[str, str]:
        """Every file of a commit, or of a tree, with the name of its content; no link."""
        rows = self.git("ls-tree", "-r", "-z", "--full-tree", tree).split(b"\0")
        files = (row.partition(b"\t") for row in rows if row.startswith(b"100"))
        return {os.fsdecode(path): head.split()[-1].decode() for head, _, path in files}

    def read_blobs(self, names: Iterable[str]) -> dict[str, bytes]:
        """The content of each, all in one go. Raises GitError for one that is not there."""
        wanted = list(dict.fromkeys(names))
        answer = self.git("cat-file", "--batch", given="".join(f"{n}\n" for n in wanted).encode())
        found, at = {}, 0
        for name in wanted:
            head, _, _ = answer[at : at + _MAX_HEAD_BYTES].partition(b"\n")
            words = head.split()
            if words[1:2] != [b"blob"]:
                raise GitError(f"git does not have {name}, which the commit names")
            start = at + len(head) + 1
            at = start + int(words[2]) + 1
            found[name] = answer[start : at - 1]
        return found

    # --- git ---

    def git(self, *words: str, given: bytes = b"", env: dict[str, str] | None = None) -> bytes:
        """Raises GitError with what git says is wrong."""
        return _output(words, self._call(words, given, env=env))

    def _ask(self, source: str, *words: str) -> bytes:
        """A remote or a URL; of one that the user has not configured without credentials."""
        url = self.url_of(source)
        with git_access(self.root, url, self.own) as access:
            limit = None
            if access.is_anonymous:
                limit = _FOREIGN_SECONDS
                if self._own is not None:
                    self._access = access  # what it lacks, git asks for by itself later
                self._refuse_endless(url, access)
            done = self._call(words, settings=access.settings, env=dict(access.env), seconds=limit)
        try:
            return _output(words, done)
        except GitError as error:
            if not access.is_anonymous:
                raise
            raise GitError(f"{error} ({why_anonymous(Address.of(url))})") from error

    def _refuse_endless(self, url: str, access: GitAccess) -> None:
        """A server that only a record names first lists what it has, and that in time."""
        if url in _answering:
            return
        words = ("ls-remote", "--heads", "--quiet", "--", url)
        if url not in _silent:
            _silent.add(url)
            env = dict(access.env)
            self._call(words, settings=access.settings, env=env, seconds=_LISTING_SECONDS)
            _silent.discard(url)
            _answering.add(url)
            return
        raise GitError(f"{url} has not answered in {_LISTING_SECONDS:g} s")

    def _succeeds(self, *words: str) -> bool:
        return self._call(words).returncode == 0

    def _call(
        self,
        words: tuple[str, ...],
        given: bytes = b"",
        *,
        settings: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
        seconds: float | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        try:
            return run_git(
                self.root,
                *words,
                given=given,
                settings=(*_SETTINGS, *self._access.settings, *settings),
                env={**_ENVIRONMENT, **self._access.env, **(env or {})},
                seconds=seconds,
            )
        except GitTimeoutError as error:
            raise GitError(str(error)) from error
        except OSError as error:
            raise GitError(f"git cannot be called: {error.strerror}") from error


def _output(words: tuple[str, ...], done: subprocess.CompletedProcess[bytes]) -> bytes:
    if done.returncode == 0:
        return done.stdout
    raise GitError(fault_line(done.stderr) or f"git {words[0]} failed")
