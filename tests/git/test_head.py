"""HEAD, remotes and tags, read from git's own files, against what git itself says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Project

from mlflow_dvc.git.head import describe, read_head
from mlflow_dvc.git.history import GitHistory
from mlflow_dvc.git.inspection import GitInspection
from mlflow_dvc.git.repository import Repository
from mlflow_dvc.secrets.urls import public_url
from mlflow_dvc.snapshot import GitState


@pytest.fixture
def repository(make_project: Callable[..., Project]) -> Project:
    return make_project("repository", dvc=False)


def head(project: Project) -> GitState:
    """What we read, where nothing may be wrong."""
    state, fault = read_head(str(project.root))
    assert fault is None
    assert state is not None
    return state


def as_git_says(project: Project) -> tuple[str | None, str | None]:
    sha = project.call("git", "rev-parse", "--verify", "--quiet", "HEAD").stdout.strip()
    branch = project.call("git", "symbolic-ref", "--short", "--quiet", "HEAD").stdout.strip()
    return sha or None, branch or None


def agrees(project: Project) -> bool:
    state = head(project)
    return (state.sha, state.branch) == as_git_says(project)


@pytest.mark.parametrize(
    "name", ["main", "feature/deep/er", "fix-#12", "v1.2", "ünï", "a.b/c_d", "x" * 200]
)
def test_branch(repository: Project, name: str):
    """A branch keeps its whole name, slashes and all."""
    repository.git("checkout", "--quiet", "-B", name)
    repository.commit("on it")
    assert agrees(repository)
    assert head(repository).branch == name


def test_detached_head(repository: Project):
    """A detached HEAD has a commit and no branch."""
    repository.commit("second")
    repository.git("checkout", "--quiet", "--detach", "HEAD~1")
    assert agrees(repository)
    assert head(repository).branch is None


def test_packed_refs(repository: Project):
    """A branch that only packed-refs holds is found there, and a loose one is newer than it."""
    for name in ("main-2", "ma", "main"):
        repository.git("branch", "--force", f"other/{name}")
    repository.git("tag", "--annotate", "v1", "--message", "peeled lines stand in between")
    repository.git("pack-refs", "--all")
    assert not (repository.root / ".git/refs/heads/main").exists()
    assert agrees(repository)
    repository.commit("newer")
    assert agrees(repository)


def test_no_commit(directory: Project):
    """A repository without a commit has a branch, and nothing is wrong with that."""
    directory.git("init", "--quiet", "--initial-branch=trunk")
    assert head(directory) == GitState(sha=None, branch="trunk")


def test_worktree(repository: Project, tmp_path: Path):
    """In a worktree ``.git`` is a file; HEAD is its own, branches and remotes are shared."""
    repository.git("remote", "add", "origin", "https://example.org/repo.git")
    repository.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    side = Project(tmp_path / "side")
    side.commit("in the worktree")
    assert agrees(side)
    assert agrees(repository)
    repository.git("pack-refs", "--all")
    assert agrees(side)
    assert head(side).branch == "side"
    assert head(side).remote_url == "https://example.org/repo.git"


def test_submodule(repository: Project, make_project: Callable[..., Project]):
    """A submodule's ``.git`` is a file with a relative path; its commit is its own."""
    library = make_project("library", dvc=False)
    library.commit("of its own")
    allow = ["-c", "protocol.file.allow=always"]
    repository.git(*allow, "submodule", "--quiet", "add", str(library.root), "libs/library")
    inner = Project(repository.root / "libs/library")
    assert (inner.root / ".git").is_file()
    assert agrees(inner)
    assert head(inner).sha == library.git("rev-parse", "HEAD") != head(repository).sha


def test_separate_git_dir(tmp_path: Path):
    """A git directory that lies elsewhere is followed by its absolute path."""
    project = Project(tmp_path / "work")
    project.root.mkdir()
    project.git("init", "--quiet", "--separate-git-dir", str(tmp_path / "else where"))
    project.commit()
    assert agrees(project)


def test_shallow_clone(repository: Project, tmp_path: Path):
    """A shallow clone at a detached commit, as CI makes it, is read like any other."""
    for number in range(3):
        repository.commit(f"{number}")
    clone = Project(tmp_path / "clone")
    repository.git("clone", "--quiet", "--depth=1", repository.root.as_uri(), str(clone.root))
    assert agrees(clone)
    clone.git("checkout", "--quiet", "--detach")
    assert agrees(clone)


def test_sha256(directory: Project):
    """A sha256 repository has hashes of 64 digits."""
    made = directory.call("git", "init", "--quiet", "--object-format=sha256")
    if made.returncode:
        pytest.skip("this git knows no sha256")
    directory.commit()
    assert agrees(directory)
    assert len(head(directory).sha or "") == 64
    directory.git("pack-refs", "--all")
    assert agrees(directory)


def test_symbolic_branch(repository: Project):
    """A branch that stands for another one has the commit of that one."""
    repository.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    repository.git("symbolic-ref", "HEAD", "refs/heads/alias")
    assert agrees(repository)


def test_reftable(directory: Project):
    """The reftable format is not taken for a repository without a commit."""
    made = directory.call("git", "init", "--quiet", "--ref-format=reftable")
    if made.returncode:  # what such a git leaves for older readers
        directory.git("init", "--quiet")
        directory.write(".git/HEAD", "ref: refs/heads/.invalid\n")
    state, fault = read_head(str(directory.root))
    assert state is None
    assert fault is not None
    assert "reftable" in fault


BROKEN = {
    "empty": b"",
    "newline": b"\n",
    "binary": bytes(range(256)),
    "half a hash": b"0123456789abcdef",
    "not hex": b"g" * 40,
    "a word": b"main\n",
    "conflict": b"<<<<<<< HEAD\nref: refs/heads/a\n",
    "outside": b"ref: refs/heads/../../../../../etc/passwd\n",
    "absolute": b"ref: /etc/hostname\n",
    "null": b"ref: refs/heads/a\0b\n",
    "nothing named": b"ref: \n",
    "huge": b"x" * 1_000_000,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("file", [".git/HEAD", ".git/refs/heads/main", ".git"])
def test_broken(repository: Project, file: str, content: bytes):
    """A broken HEAD, branch or ``.git`` file gives no commit, and a short reason with the path."""
    if file == ".git":
        (repository.root / ".git").rename(repository.root / "away")
    repository.write(file, content)
    state, fault = read_head(str(repository.root))
    assert state is None
    assert fault is not None
    assert str(repository.root / ".git") in fault
    assert len(fault) < 1000
    assert fault.isprintable()


@pytest.mark.parametrize("file", [".git/HEAD", ".git/refs/heads/main", ".git"])
@pytest.mark.parametrize("kind", ["directory", "loop", "dangling"])
def test_unreadable(repository: Project, file: str, kind: str):
    """What cannot be opened is named or has no commit: nothing is raised or made up."""
    path = repository.root / file
    path.rename(repository.root / "away")
    if kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(path.name if kind == "loop" else "nowhere")
    state, fault = read_head(str(repository.root))
    assert (state is None) == (fault is not None)
    assert state is None or state.sha is None


def test_broken_packed_refs(repository: Project):
    """A line that is no reference is passed over; the others still count."""
    sha = repository.git("rev-parse", "HEAD")
    repository.git("pack-refs", "--all")
    repository.write(".git/packed-refs", f"# pack\nzz refs/heads/main\n\xff\n{sha} refs/heads/main")
    assert head(repository).sha == sha


def test_endless_references(repository: Project):
    """References that name each other have no end, and that is said."""
    repository.write(".git/refs/heads/main", "ref: refs/heads/other\n")
    repository.write(".git/refs/heads/other", "ref: refs/heads/main\n")
    state, fault = read_head(str(repository.root))
    assert state is None
    assert "without an end" in (fault or "")


def test_no_git_process(repository: Project, monkeypatch: pytest.MonkeyPatch):
    """HEAD is read without a git binary; ``describe`` then knows nothing."""
    sha = repository.git("rev-parse", "HEAD")
    repository.git("tag", "v1")
    assert describe(str(repository.root), sha) == "v1"
    sha = repository.commit("one that git was not asked about")
    monkeypatch.setenv("PATH", str(repository.root))
    assert head(repository).sha == sha
    assert describe(str(repository.root), sha) is None


@pytest.mark.parametrize(
    ("remotes", "upstream"),
    [
        ([], None),
        (["origin"], None),
        (["upstream"], None),
        (["upstream", "origin"], None),
        (["origin", "fork"], "fork"),
        (["a", "b"], "b"),
        (["origin", "with space"], "with space"),
        (["Origin", "origin"], "Origin"),
    ],
)
def test_remote(repository: Project, remotes: list[str], upstream: str | None):
    """The remote of the branch, else origin, else the only one there is."""
    for name in remotes:
        repository.git("config", "--add", f"remote.{name}.url", f"https://example.org/{name}.git")
        repository.git("config", "--add", f"remote.{name}.url", "https://second.example.org/x.git")
    if upstream:
        repository.git("config", "branch.main.remote", upstream)
    chosen = upstream or ("origin" if "origin" in remotes else remotes[0] if remotes else None)
    url = repository.git("config", "--get-all", f"remote.{chosen}.url") if chosen else None
    assert head(repository).remote_url == (url.splitlines()[0] if url else None)


@pytest.mark.parametrize(
    "value",
    [
        "https://example.org/a b.git",
        "https://example.org/r.git#frag",
        "https://example.org/r;x.git",
        'https://example.org/"quoted".git',
        "..\\local\\path",
        "../relative",
        "https://example.org/ümlaut.git",
    ],
)
def test_remote_as_git_writes_it(repository: Project, value: str):
    """A URL that git had to quote in its configuration reads as it was given."""
    repository.git("config", "remote.origin.url", value)
    assert repository.git("config", "remote.origin.url") == value
    assert head(repository).remote_url == public_url(value)


def test_config_by_hand(repository: Project):
    """Comments, case and settings on the line of their section mean what they mean to git."""
    config = repository.root / ".git/config"
    config.write_text(
        config.read_text()
        + '[REMOTE "origin"] URL = https://example.org/one.git ; a comment\n'
        + '# [remote "origin"]\n\t; url = https://example.org/two.git\n'
        + '[remote "Origin"]\n\turl = https://example.org/three.git\n'
    )
    assert head(repository).remote_url == repository.git("config", "remote.origin.url")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe[remote", b"[[[\n=\n", bytes(range(256))])
def test_broken_config(repository: Project, content: bytes):
    """A configuration that makes no sense costs the URL, not the commit."""
    sha = repository.git("rev-parse", "HEAD")
    repository.write(".git/config", content)
    assert head(repository).sha == sha
    assert head(repository).remote_url is None


def test_credentials_of_remote(repository: Project):
    """The URL in a record is one without credentials."""
    repository.git("remote", "add", "origin", "https://me:secret@example.org/r.git")
    assert head(repository).remote_url == "https://example.org/r.git"


def test_describe(repository: Project):
    """The nearest tag, annotated or not, with the distance to it; None before the first."""
    first = repository.git("rev-parse", "HEAD")
    assert describe(str(repository.root), first) is None
    repository.git("tag", "dataset-v2.3")
    assert describe(str(repository.root), first) == "dataset-v2.3"
    second = repository.commit("second")
    assert describe(str(repository.root), second) == f"dataset-v2.3-1-g{second[:7]}"
    repository.git("tag", "--annotate", "release/1", "--message", "one")
    assert describe(str(repository.root), second) == "release/1"
    assert describe(str(repository.root), "0" * 40) is None


def test_describe_leaves_the_index_alone(repository: Project):
    """Asking for the tag does not rewrite git's index."""
    repository.write("file", "content")
    repository.commit()
    os.utime(repository.root / "file", (1, 1))
    before = (repository.root / ".git/index").read_bytes()
    describe(str(repository.root), repository.git("rev-parse", "HEAD"))
    assert (repository.root / ".git/index").read_bytes() == before


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR"])
def test_in_a_hook_of_another_repository(
    repository: Project, make_project: Callable[..., Project], name: str, monkeypatch
):
    """What git exports to the hooks of a linked work tree leads none of our questions astray."""
    repository.git("tag", "v1")
    other = make_project("other", dvc=False)
    values = {"GIT_WORK_TREE": other.root, "GIT_INDEX_FILE": other.root / ".git/index"}
    monkeypatch.setenv(name, str(values.get(name, other.root / ".git")))
    sha = read_head(str(repository.root))[0].sha
    assert describe(str(repository.root), sha) == "v1"
    assert Repository(str(repository.root)).has(sha)
    assert GitInspection(str(repository.root)).commits_among([sha]) == {sha}
    with GitHistory(str(repository.root), 20) as history:
        assert history.has(sha)
