"""The code that no commit holds: how the work tree differs from a commit, as a patch.

Git's own index and object store stay as they are: git works on a copy of the index, which keeps its
time stamp (by which git knows what it must look at again), and puts new objects into a folder that
is thrown away. Data is no code: what DVC writes is left out. So is whatever gives something away.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mlflow_dvc.capture.code import is_program
from mlflow_dvc.capture.git import common_dir, find_git_dir, read_head

PATCH = "code.patch"
BYTES_AT_MOST = 10 * 1024 * 1024
SECONDS_AT_MOST = 20.0
_PATHS_AT_ONCE = 500
_NAMED_AT_MOST = 200
_DEEPEST = 5

# Not even if git tracks them.
_SECRET_NAMES = re.compile(
    r"\.env.*|.*\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ppk|asc|gpg)|id_(?:rsa|dsa|ecdsa|ed25519).*"
    r"|\.?netrc|\.pypirc|\.npmrc|\.htpasswd|.*credentials.*|.*secrets?\..*|mlflow\.db.*",
    re.IGNORECASE,
)
_NO_CODE = frozenset({
    ".dvc", ".git", ".aws", ".ssh", ".gnupg", "mlruns", "mlartifacts", "wandb", "node_modules",
    "__pycache__", "site-packages", ".venv", "venv", ".ipynb_checkpoints",
})  # fmt: skip
# `//user:password@host` and tokens of known services; `{password}` and the like are no secrets.
_SECRET = re.compile(
    rb"(?<=://)[^/\s:@'\"{}$<>%]*:[^/\s@'\"{}$<>%]+(?=@)"
    rb"|(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|hf_|AKIA)[A-Za-z0-9_-]{16,}"
)
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_HIDDEN = b"***"
_OURS_TO_SET = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX", "GIT_EXTERNAL_DIFF", "GIT_DIFF_OPTS",
    "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS",
)  # fmt: skip
_CONFIG = ("core.fsmonitor=false", "core.quotePath=false", f"diff.orderFile={os.devnull}")
_DIFF = ("diff", "--no-renames", "--no-relative", "--ignore-submodules=dirty", "--no-ext-diff")
_AS_PATCH = (
    "--binary", "--full-index", "--no-textconv", "--no-color", "--unified=3",
    "--inter-hunk-context=0", "--submodule=short", "--src-prefix=a/", "--dst-prefix=b/",
)  # fmt: skip


@dataclass(frozen=True)
class Patch:
    """``files``: by their path below ``dvc/``, what turns the commit into the work tree.

    ``omitted`` names what is missing there, each with the reason.
    """

    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    omitted: tuple[str, ...] = ()

    @property
    def is_dirty(self) -> bool:
        return bool(self.files or self.omitted)


def patch_of(
    root: str, sha: str, outs: Set[str], *, untracked: bool, limit: int = BYTES_AT_MOST
) -> Patch:
    """How the code in the work tree at ``root`` differs from the commit ``sha``.

    ``outs`` are the absolute paths of outputs, which are data. With ``untracked``, programs that
    git does not know yet are code as well. Raises OSError where git cannot tell, or not in time.
    """
    budget = _Budget(limit, time.monotonic() + SECONDS_AT_MOST)
    files: dict[str, bytes] = {}
    omitted: list[str] = []
    for folder, path, commit in [("", root, sha), *_submodules(root)]:
        found = _patch_of_one(path, commit, outs, budget, untracked=untracked)
        files |= {posixpath.join(folder, name): content for name, content in found.files.items()}
        omitted += (posixpath.join(folder, line) for line in found.omitted)
        if budget.left < 0:
            changed = sorted(budget.changed)[:_NAMED_AT_MOST]
            return Patch({}, (*omitted, *(f"{path}: the patch is too large" for path in changed)))
    return Patch(files, tuple(omitted))


@dataclass
class _Budget:
    """Bytes that may still be attached, the time at which git must be done; what has changed."""

    left: int
    until: float
    changed: list[str] = field(default_factory=list)


def _patch_of_one(
    root: str, sha: str, outs: Set[str], budget: _Budget, *, untracked: bool
) -> Patch:
    with tempfile.TemporaryDirectory(prefix="mlflow-dvc-") as scratch:
        git = _Git(root, scratch, budget.until)
        before = git.changed(sha)
        new = [path for path in git.untracked() if is_program(path)] if untracked else []
        sort = _Sorter(root, outs, budget.left)
        sizes = {
            path: max(before.get(path, 0), _size(os.path.join(root, path)))
            for path in dict.fromkeys((*before, *new))
        }
        code = {path: size for path, size in sizes.items() if sort.is_code(path, size)}
        budget.changed += code
        git.add(path for path in new if path in code)
        files: dict[str, bytes] = {}
        text = b"".join(_cleaned(git.diff(sha, code, budget.left), sort))
        budget.left -= len(text)
        for path in git.filtered(path for path in code if os.path.isfile(os.path.join(root, path))):
            content = Path(root, path).read_bytes()
            budget.left -= len(content)
            if _SECRET.search(content) or _PRIVATE_KEY.search(content):
                sort.omitted.append(f"{path}: it holds credentials")
            else:
                files[f"code/{path}"] = content
    return Patch({PATCH: text, **files} if text else files, tuple(sort.omitted))


class _Sorter:
    """Tells code from the rest, and notes what is left out of it."""

    def __init__(self, root: str, outs: Set[str], limit: int) -> None:
        self.root = root
        self.omitted: list[str] = []
        self._outs = outs
        self._limit = limit

    def is_code(self, path: str, size: int) -> bool:
        name = posixpath.basename(path)
        if name == "dvc.lock" or name.endswith(".dvc") or self.is_data(path):
            return False
        if not _NO_CODE.isdisjoint(path.split("/")):
            return False
        if _SECRET_NAMES.fullmatch(name):
            self.omitted.append(f"{path}: files of this name hold credentials")
            return False
        if size > self._limit:
            self.omitted.append(f"{path}: too large ({size / 1e6:.0f} MB)")
            return False
        return True

    def is_data(self, path: str) -> bool:
        """Whether DVC tracks ``path``, or a folder that it lies in."""
        where = os.path.join(self.root, path)
        while len(where) > len(self.root):
            if where in self._outs:
                return True
            where = os.path.dirname(where)
        return False


class _Git:
    """Git on the work tree at ``root``, with an index and an object store of its own."""

    def __init__(self, root: str, scratch: str, until: float) -> None:
        self._root = root
        self._until = until
        git_dir = find_git_dir(root)
        index, objects = os.path.join(scratch, "index"), os.path.join(scratch, "objects")
        os.mkdir(objects)
        with suppress(FileNotFoundError):  # nothing was ever checked out or added
            shutil.copy2(os.path.join(git_dir, "index"), index)
        store = os.path.join(common_dir(git_dir), "objects")
        quoted = store.replace("\\", "\\\\").replace('"', '\\"')
        kept = {name: value for name, value in os.environ.items() if name not in _OURS_TO_SET}
        self._env = kept | {
            "GIT_INDEX_FILE": index,
            "GIT_OBJECT_DIRECTORY": objects,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{quoted}"',
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "LC_ALL": "C",
        }

    def changed(self, sha: str) -> dict[str, int]:
        """The paths that differ from the commit, with the size that each has there."""
        words = self._run(*_DIFF, "--raw", "--no-abbrev", "-z", sha, "--").split(b"\0")
        # `:100644 100644 <blob> <blob> M`, then the path.
        blobs = [row.split(b" ")[2] for row in words[0:-1:2]]
        given = b"".join(blob + b"\n" for blob in blobs)
        rows = self._run("cat-file", "--batch-check=%(objectsize)", given=given).splitlines()
        sizes = [int(row) if row.isdigit() else 0 for row in rows]
        return dict(zip(map(os.fsdecode, words[1::2]), sizes, strict=True))

    def untracked(self) -> list[str]:
        return self._paths("ls-files", "--others", "--exclude-standard", "-z")

    def add(self, paths: Iterable[str]) -> None:
        """To the copy of the index, so that a diff shows them."""
        if names := b"".join(os.fsencode(path) + b"\0" for path in paths):
            self._run("update-index", "--add", "--replace", "-z", "--stdin", given=names)

    def diff(self, sha: str, sizes: Mapping[str, int], limit: int) -> Iterator[bytes]:
        """The patch, file by file; broken off when it is longer than ``limit``."""
        for paths in _portions(sizes, limit):
            text = self._run("--literal-pathspecs", *_DIFF, *_AS_PATCH, sha, "--", *paths)
            for part in re.split(rb"^(?=diff --git )", text, flags=re.MULTILINE):
                yield part
                limit -= len(part)
            if limit < 0:
                return

    def filtered(self, paths: Iterable[str]) -> list[str]:
        """Those whose bytes git changes when it takes them in, such as the ends of lines."""
        named = [path for path in paths if "\n" not in path]
        given = "".join(f"{path}\n" for path in named).encode("utf-8", "surrogateescape")
        if not named:
            return []
        stored = self._run("hash-object", "--stdin-paths", given=given).split()
        plain = self._run("hash-object", "--no-filters", "--stdin-paths", given=given).split()
        pairs = zip(named, stored, plain, strict=True)
        return [path for path, one, other in pairs if one != other]

    def _paths(self, *words: str) -> list[str]:
        return [os.fsdecode(path) for path in self._run(*words).split(b"\0") if path]

    def _run(self, *words: str, given: bytes = b"") -> bytes:
        settings = [word for setting in _CONFIG for word in ("-c", setting)]
        try:
            done = subprocess.run(
                ["git", *settings, *words],
                cwd=self._root,
                env=self._env,
                input=given,
                capture_output=True,
                check=False,
                timeout=max(self._until - time.monotonic(), 0.1),
            )
        except subprocess.TimeoutExpired as error:
            raise OSError(f"git needs more than {SECONDS_AT_MOST:g} s") from error
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise OSError(said or f"git {words[0]} failed")
        return done.stdout


def _portions(sizes: Mapping[str, int], limit: int) -> Iterator[list[str]]:
    """The paths in groups that neither a command line nor the memory is too small for."""
    group: list[str] = []
    total = 0
    for path, size in sizes.items():
        if group and (len(group) >= _PATHS_AT_ONCE or total + size > 2 * limit):
            yield group
            group, total = [], 0
        group.append(path)
        total += size
    if group:
        yield group


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:  # deleted
        return 0


def _cleaned(parts: Iterable[bytes], sort: _Sorter) -> Iterator[bytes]:
    """Less what is DVC's own, and less credentials."""
    for part in filter(None, parts):
        path = _path_of(part)
        if posixpath.basename(path) == ".gitignore" and _is_of_dvc(part, path, sort):
            continue
        lines = part.splitlines(keepends=True)
        kept = b"".join(line for line in lines if not line.startswith(b"+"))
        if _PRIVATE_KEY.search(part) or _SECRET.search(kept):
            sort.omitted.append(f"{path}: it holds credentials")
            continue
        clean = b"".join(
            _SECRET.sub(_HIDDEN, line) if line.startswith(b"+") else line for line in lines
        )
        if clean != part:
            sort.omitted.append(f"{path}: credentials were taken out")
        yield clean


def _path_of(part: bytes) -> str:
    """The path that a part of a patch is about."""
    head = part.partition(b"\n")[0].removeprefix(b"diff --git ")
    # `a/PATH b/PATH`, both the same, as renames are not looked for; in quotes where it is odd.
    half = head[: len(head) // 2]
    return half.strip(b'"').removeprefix(b"a/").decode("utf-8", "surrogateescape")


def _is_of_dvc(part: bytes, path: str, sort: _Sorter) -> bool:
    """Whether all that changed in a ``.gitignore`` is lines that DVC keeps there for outputs."""
    body = part.partition(b"\n@@")[2].splitlines()
    changed = [line[1:] for line in body if line.startswith((b"+", b"-"))]
    folder = posixpath.dirname(path)
    return all(
        line.startswith(b"/") and sort.is_data(posixpath.join(folder, os.fsdecode(line[1:])))
        for line in changed
        if line.strip()
    )


def _submodules(root: str, depth: int = 0) -> Iterator[tuple[str, str, str]]:
    """Each one that is checked out: where its patch goes, where it lies and its commit."""
    if depth >= _DEEPEST:
        return
    try:
        text = Path(root, ".gitmodules").read_text("utf-8", "replace")
    except OSError:
        return
    for path in re.findall(r"^\s*path\s*=\s*(.*?)\s*$", text, re.MULTILINE):
        where = os.path.join(root, path)
        if ".." in path.split("/") or not os.path.exists(os.path.join(where, ".git")):
            continue
        state, _ = read_head(where)
        if state and state.sha:
            yield f"submodules/{path}", where, state.sha
            for folder, inner, sha in _submodules(where, depth + 1):
                yield f"submodules/{path}/{folder}", inner, sha
