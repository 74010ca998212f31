"""Uncommitted code: the commit and what is attached give it again, and give nothing away."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import PYTHON, Project, examples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlflow_dvc.git import patch
from mlflow_dvc.git.changed_code import PatchOptions
from mlflow_dvc.git.patch import make_patch
from mlflow_dvc.git.uncommitted import Patch

CODE = {
    "train.py": "import mlflow\n\nprint('a')\nprint('b')\nprint('c')\n",
    "src/model.py": "class Model:\n    pass\n",
    "src/été.py": "x = 1\n",
    "run.sh": "#!/bin/sh\necho hi\n",
    "params.yaml": "lr: 0.1\n",
    "logo.bin": bytes(range(256)),
    "crlf.py": b"a = 1\r\nb = 2\r\n",
    "empty.py": "",
}


@pytest.fixture
def repository(directory: Project) -> Project:
    directory.git("init", "--quiet", "--initial-branch=main")
    for path, content in CODE.items():
        directory.write(path, content)
    directory.commit("code")
    return directory


def patched(project: Project, outs: set[str] | None = None, **options: Any) -> Patch:
    sha = project.git("rev-parse", "HEAD")
    where = {str(project.root / path) for path in outs or ()}
    return make_patch(str(project.root), sha, PatchOptions(where, **options))


def rebuilt(project: Project, found: Patch, sha: str = "HEAD") -> dict[str, Any]:
    """The code that somebody else gets from the commit and what is attached."""
    target = project.root.parent / "rebuilt"
    shutil.rmtree(target, ignore_errors=True)
    project.git("clone", "--quiet", "--no-checkout", str(project.root), str(target))
    other = Project(target)
    other.git("checkout", "--quiet", project.git("rev-parse", sha))
    apply(other, target, found.files, "")
    return tree(other)


def apply(project: Project, where: Path, files: Any, folder: str) -> None:
    if content := files.get(f"{folder}code.patch"):
        (where / ".git/change").write_bytes(content)
        project.run("git", "apply", "--binary", ".git/change", cwd=where)
    for path, content in files.items():
        if path.startswith(f"{folder}code/"):
            target = where / path[len(folder) + 5 :]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def tree(project: Project) -> dict[str, Any]:
    """Every file outside ``.git``: its bytes and whether it is a program, or where it points."""
    found: dict[str, Any] = {}
    for path in sorted(project.root.rglob("*")):
        name = path.relative_to(project.root).as_posix()
        if ".git" in name.split("/") or (path.is_dir() and not path.is_symlink()):
            continue
        if path.is_symlink():
            found[name] = os.readlink(path)
        else:
            found[name] = (path.read_bytes(), bool(path.stat().st_mode & stat.S_IXUSR))
    return found


def state(project: Project) -> tuple[Any, ...]:
    """What a user could notice of us in their repository."""
    git = project.root / ".git"
    objects = sorted(str(path) for path in (git / "objects").rglob("*"))
    index = git / "index"
    return (index.read_bytes(), index.stat().st_mtime_ns, objects, sorted(os.listdir(git)))


def test_clean(repository: Project):
    """A work tree as it was committed has no patch."""
    assert patched(repository) == Patch()
    assert not patched(repository).is_dirty


def test_removed_from_git_alone(repository: Project):
    """A file that git is to forget, and that lies there as it was, is as it was."""
    repository.git("rm", "--quiet", "--cached", "src/model.py")
    assert not patched(repository).is_dirty


def link(project: Project) -> None:
    (project.root / "link.py").symlink_to("train.py")


def replaced(project: Project) -> None:
    (project.root / "train.py").unlink()
    project.write("train.py/main.py", "x\n")


EDITS: dict[str, Callable[[Project], Any]] = {
    "edit": lambda p: p.write("train.py", "print('z')\n"),
    "same size": lambda p: p.write("train.py", str(CODE["train.py"]).replace("'a'", "'q'")),
    "no newline at the end": lambda p: p.write("src/model.py", "class Model:\n    x = 1"),
    "staged": lambda p: (p.write("train.py", "staged\n"), p.git("add", "train.py")),
    "staged and edited": lambda p: (
        p.write("train.py", "staged\n"), p.git("add", "train.py"), p.write("train.py", "more\n"),
    ),
    "new": lambda p: p.write("src/new file.py", "y = 2\n"),
    "new, empty": lambda p: p.write("src/nothing.py", ""),
    "new, added": lambda p: (p.write("notes.txt", "x\n"), p.git("add", "notes.txt")),
    "deleted": lambda p: (p.root / "src/model.py").unlink(),
    "moved": lambda p: p.git("mv", "src/model.py", "model2.py"),
    "binary": lambda p: p.write("logo.bin", bytes(reversed(range(256))) * 3),
    "mode": lambda p: (p.root / "run.sh").chmod(0o755),
    "link": link,
    "file becomes a folder": replaced,
    "odd names": lambda p: (p.write("src/été.py", "x = 2\n"), p.write('a "b"\\c.py', "x\n")),
    "new line in the name": lambda p: p.write("a\nb.py", "x\n"),
    "line ends": lambda p: p.write("crlf.py", b"a = 1\nb = 2\r\n"),
    "many": lambda p: [p.write(f"gen/m{n}.py", f"x = {n}\n") for n in range(700)],
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_rebuilt(repository: Project, edit: Callable[[Project], Any]):
    """The commit and the patch give the work tree byte for byte; git does not notice us."""
    edit(repository)
    before, status = state(repository), repository.git("--no-optional-locks", "status", "-s")
    found = patched(repository)
    assert state(repository) == before
    assert repository.git("--no-optional-locks", "status", "-s") == status
    assert found.is_dirty
    assert found.omitted == ()
    assert rebuilt(repository, found) == tree(repository)


NAMES = st.sampled_from([*CODE, "new.py", "src/deep/é x.py", "a.sh", "conf/b.toml"])
CONTENTS = st.one_of(
    st.binary(max_size=40),
    st.text(alphabet="ab \n\r+-@é", max_size=60).map(str.encode),
    st.sampled_from([b"", b"\n", b"x", b"-- \n", b"diff --git a/x b/x\n", b"\0\1"]),
)


@pytest.mark.fuzz
@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.dictionaries(NAMES, st.none() | CONTENTS, max_size=5),
    st.sets(NAMES, max_size=2),
    st.booleans(),
)
@example({"train.py": b"\x80 "}, set(), False)
def test_any_edits(repository: Project, edits: dict[str, Any], modes: set[str], add: bool):
    """Whatever is edited, the commit and what is attached give it again."""
    repository.git("reset", "--quiet", "--hard")
    repository.git("clean", "-qfd")
    for path, content in edits.items():
        if content is not None:
            repository.write(path, content)
        else:
            (repository.root / path).unlink(missing_ok=True)
    for path in modes:
        if (repository.root / path).exists():
            (repository.root / path).chmod(0o755)
    if add:
        repository.git("add", "--all")
    found = patched(repository)
    assert found.omitted == ()
    assert rebuilt(repository, found) == tree(repository)
    changed = repository.git("--no-optional-locks", "status", "-s", "--untracked-files=all")
    assert found.is_dirty == bool(changed)


@pytest.mark.parametrize("attributes", ["*.py text eol=crlf\n", "*.py text\n"])
def test_filters(repository: Project, attributes: str):
    """Files whose ends of lines git changes on the way are attached as they are."""
    repository.write(".gitattributes", attributes)
    repository.git("add", "--renormalize", ".")
    repository.commit("attributes")
    repository.write("train.py", b"one\r\ntwo\nthree\r\n")
    repository.write("new.py", b"four\r\n")
    found = patched(repository)
    result = rebuilt(repository, found)
    for path in ("train.py", "new.py"):
        assert result[path] == tree(repository)[path]


@pytest.mark.parametrize(
    "config",
    [
        "diff.noprefix=true", "diff.mnemonicPrefix=true", "diff.external=false", "color.ui=always",
        "diff.renames=copies", "diff.context=0", "diff.submodule=log", "diff.orderFile=nowhere",
        "core.quotePath=true", "diff.relative=true", "core.pager=false", "diff.algorithm=patience",
        "core.fsmonitor=no-such-hook", "diff.ignoreSubmodules=all", "diff.wsErrorHighlight=all",
        "diff.interHunkContext=9", "diff.srcPrefix=x/", "apply.whitespace=fix",
        "diff.suppressBlankEmpty=true",
    ],
)  # fmt: skip
def test_settings_of_the_user(repository: Project, config: str):
    """No setting of git's changes the patch."""
    repository.write("src/été.py", "x = 2\n\n")
    repository.write("train.py", "print('z')\n")
    plain = patched(repository)
    repository.git("config", *config.split("=", 1))
    assert patched(repository) == plain


SECRETS = {
    ".env": "TOKEN=planted-1\n",
    ".env.local.py": "planted-2\n",
    "keys/id_rsa": "planted-3\n",
    "server.pem": "planted-4\n",
    "secrets.yaml": "token: planted-5\n",
    "aws_credentials.py": "planted-6\n",
    "mlflow.db": "planted-7\n",
    "mlruns/0/run/artifacts/model.py": "planted-8\n",
    ".venv/lib/x.py": "planted-9\n",
    "ignored.py": "planted-10\n",
    "data.csv": "planted-11\n",
    "key.py": "K = '''-----BEGIN RSA PRIVATE KEY-----\nplanted-12\n'''\n",
    "url.py": "U = 'https://me:planted-13@host/x'\n",
    "token.py": "T = 'ghp_planted14planted14planted14plant'\n",
    ".dvc/config.py": "planted-15\n",
    "notes.txt": "planted-16\n",
}


@pytest.mark.parametrize("tracked", [False, True], ids=["untracked", "tracked"])
def test_nothing_is_given_away(repository: Project, tracked: bool):
    """No key, token or store is in anything that is attached, tracked by git or not."""
    repository.write(".gitignore", "ignored.py\n")
    if tracked:
        for path in SECRETS:
            repository.write(path, "harmless\n")
        repository.git("add", "--force", "--all")
    repository.commit("start")
    repository.write("good.py", "x = 1\n")
    for path, text in SECRETS.items():
        repository.write(path, text)
    found = patched(repository, {"data.csv"})
    everything = b"".join(found.files.values())
    leaks = {path for path, text in SECRETS.items() if b"planted" in everything}
    shown = [line for line in everything.splitlines() if b"planted" in line]
    if tracked:  # what git tracks and no rule names is code
        code = (b"planted-9", b"planted-10", b"planted-16")
        shown = [line for line in shown if not any(name in line for name in code)]
    assert shown == [], leaks
    assert b"good.py" in everything
    assert b"https://***@host/x" in everything
    assert any("url.py" in line for line in found.omitted)
    assert any("key.py" in line for line in found.omitted)


def test_a_filter_hides(repository: Project):
    """What a filter of git's keeps from the repository is kept from the record, and named."""
    repository.git("config", "filter.crypt.clean", "base64")
    repository.git("config", "filter.crypt.smudge", "base64 -d")
    repository.write(".gitattributes", "conf/* filter=crypt\n")
    repository.write("conf/prod.yaml", "a: 1\n")
    repository.commit("encrypted")
    repository.write("conf/prod.yaml", "word: planted\n")
    found = patched(repository)
    assert b"planted" not in b"".join(found.files.values())
    assert set(found.files) == {"code.patch"}
    assert found.omitted == ("conf/prod.yaml: attached as the filter 'crypt' stores it",)


def test_links_are_not_followed(repository: Project):
    """A link is attached as a link, wherever it points."""
    repository.write(".gitattributes", "* text=auto\n")
    repository.write(".gitignore", ".env\n")
    repository.commit("attributes")
    repository.write(".env", b"A=1\r\nTOKEN=planted\r\n")
    (repository.root / "conf.py").symlink_to(".env")
    found = patched(repository)
    assert set(found.files) == {"code.patch"}
    assert b"planted" not in found.files["code.patch"]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_binary_secrets(repository: Project, encoding: str):
    """Text that git takes for binary is looked through as well."""
    text = "$U = 'https://me:planted@host'\0\n"
    repository.write("run.ps1", text.encode(encoding))
    found = patched(repository)
    assert found.files == {}
    assert "run.ps1: it holds credentials" in found.omitted


def test_noise_is_no_secret(repository: Project):
    """Random bytes are attached, whatever their encoding in a patch looks like."""
    for number in range(20):
        repository.write(f"m{number}.py", b"\0" + os.urandom(200_000))
    assert patched(repository).omitted == ()


ODD: dict[str, tuple[Callable[[Project], Any], str]] = {
    "a quote in the name": (lambda p: p.write('"a".py', "x\n"), ""),
    "mixed ends of lines": (
        lambda p: (p.git("config", "core.safecrlf", "true"),
                   p.git("config", "core.autocrlf", "input"),
                   p.write("mixed.py", b"a\r\nb\n")), "",
    ),
    "a filter that is missing": (
        lambda p: (p.git("config", "filter.gone.clean", "no-such-program"),
                   p.git("config", "filter.gone.required", "true"),
                   p.write(".gitattributes", "src/model.py filter=gone\n"),
                   p.write("src/model.py", "y\n")), "src/model.py",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_one_odd_file(repository: Project, name: str):
    """A file that git stumbles over is named, and does not cost the others."""
    edit, named = ODD[name]
    edit(repository)
    repository.write("train.py", "print('z')\n")
    found = patched(repository)
    assert b"print('z')" in found.files["code.patch"]
    assert {line.partition(":")[0] for line in found.omitted} == ({named} if named else set())


def test_tracked_is_code(repository: Project):
    """What git tracks is code, in whatever folder; so is what git was told not to look at."""
    repository.write("src/wandb/log.py", "x\n")
    repository.write("local.yaml", "x\n")
    repository.commit("more")
    repository.git("update-index", "--assume-unchanged", "local.yaml")
    repository.git("update-index", "--skip-worktree", "train.py")
    for path in ("src/wandb/log.py", "local.yaml", "train.py"):
        repository.write(path, "changed\n")
    before = state(repository)
    found = patched(repository)
    assert state(repository) == before
    assert found.files["code.patch"].count(b"+changed") == 3


def test_embedded_repository(repository: Project):
    """A repository inside, which nobody declared as a submodule, has a patch of its own as well."""
    inner = Project(repository.root / "vendor")
    inner.root.mkdir()
    inner.git("init", "--quiet")
    inner.write("lib.py", "a\n")
    inner.commit("inner")
    repository.git("-c", "advice.addEmbeddedRepo=false", "add", "vendor")
    repository.commit("embedded")
    inner.write("lib.py", "b\n")
    assert set(patched(repository).files) == {"submodules/vendor/code.patch"}


def test_split_index_and_hooks(repository: Project):
    """No file is left in ``.git``, and no hook of the user's is run."""
    repository.git("config", "core.splitIndex", "true")
    hook = repository.write(".git/hooks/post-index-change", "#!/bin/sh\ntouch ran\n")
    hook.chmod(0o755)
    for number in range(60):
        repository.write(f"t{number}.py", "x\n")
    repository.commit("split")
    (repository.root / "ran").unlink(missing_ok=True)
    for number in range(30):
        repository.write(f"new{number}.py", "x\n")
    before = state(repository)
    found = patched(repository)
    assert state(repository) == before
    assert not (repository.root / "ran").exists()
    assert found.files["code.patch"].count(b"new file mode") == 30


def test_many_large_new_files(repository: Project):
    """New files that are too large altogether are named, and not read."""
    for number in range(8):
        repository.write(f"n{number}.yaml", (b"x: " + b"1" * 96 + b"\n") * 500)
    repository.write("train.py", "print('z')\n")
    found = patched(repository, limit=160_000)
    assert b"print('z')" in found.files["code.patch"]
    assert len([line for line in found.omitted if "new files" in line]) == 5


def test_changed_meanwhile(repository: Project):
    """Code that changed after the run began is attached as it is now, and named."""
    repository.write("train.py", "print('z')\n")
    at = os.stat(repository.root / "train.py").st_mtime
    assert patched(repository, since=at + 1).omitted == ()
    assert patched(repository, since=at - 1).omitted == ("train.py: changed after the run began",)


def test_secret_in_the_commit(repository: Project):
    """Where a patch would show a secret that is committed already, that file is left out, named."""
    repository.write("url.py", "U = 'https://me:planted@host/x'\nx = 1\n")
    repository.commit("oops")
    repository.write("url.py", "U = 'https://me:planted@host/x'\nx = 2\n")
    found = patched(repository)
    assert found.files == {}
    assert "url.py" in found.omitted[0]
    assert found.is_dirty


def test_data_is_no_dirt(repository: Project):
    """What DVC writes does not make the code dirty; a line of the user's beside it does."""
    repository.write("dvc.lock", "a\n")
    repository.write("x.dvc", "a\n")
    repository.write("metrics.json", "{}\n")
    repository.write("sub/.gitignore", "/kept\n")
    repository.write("sub/out.py", "x")
    repository.commit("data")
    for path in ("dvc.lock", "x.dvc", "metrics.json", "sub/out.py"):
        repository.write(path, "changed\n")
    repository.write("sub/.gitignore", "/kept\n/out.py\n")
    repository.write("folder/part.py", "of an output\n")
    outs = {"metrics.json", "sub/out.py", "folder"}
    assert not patched(repository, outs).is_dirty
    repository.write("sub/.gitignore", "/kept\n/out.py\n*.log\n")
    assert b"*.log" in patched(repository, outs).files["code.patch"]


def test_too_large(repository: Project):
    """A file that is too large is named; where all is too large, the small come first."""
    repository.write("big.py", os.urandom(300_000))
    repository.write("train.py", "x\n")
    found = patched(repository, limit=100_000)
    assert [line.partition(":")[0] for line in found.omitted] == ["big.py"]
    assert b"train.py" in found.files["code.patch"]
    for number in range(5):
        repository.write(f"m{number}.py", os.urandom(50_000))
    found = patched(repository, limit=100_000)
    assert {line.partition(":")[0] for line in found.omitted} == {
        *("big.py", "m1.py", "m2.py", "m3.py", "m4.py")
    }
    assert b"b/train.py" in found.files["code.patch"]


def test_a_large_file_deleted(repository: Project):
    """A patch that would hold a large file, because it is gone, does not."""
    repository.write("big.bin", os.urandom(300_000))
    repository.commit("big")
    (repository.root / "big.bin").unlink()
    found = patched(repository, limit=100_000)
    assert found.files == {}
    assert "big.bin" in found.omitted[0]


def test_not_in_time(repository: Project, monkeypatch: pytest.MonkeyPatch):
    """Where git takes too long, that is said."""
    repository.git("config", "filter.slow.clean", "sleep 60")
    repository.write(".gitattributes", "*.py filter=slow\n")
    repository.write("train.py", "x\n")
    monkeypatch.setattr(patch, "MAX_PATCH_SECONDS", 0.3)
    with pytest.raises(OSError, match=r"more than 0\.3 s"):
        patched(repository)


def test_submodule(repository: Project, make_project: Callable[..., Project]):
    """A submodule with changes has a patch of its own; one not checked out is no trouble."""
    library = make_project("library", dvc=False)
    library.write("lib.py", "a = 1\n")
    library.commit("library")
    allow = ("-c", "protocol.file.allow=always")
    for path in ("vendor/lib", "absent"):
        repository.git(*allow, "submodule", "--quiet", "add", str(library.root), path)
    repository.commit("submodules")
    repository.git("submodule", "--quiet", "deinit", "--force", "absent")
    assert not patched(repository).is_dirty
    repository.write("vendor/lib/lib.py", "a = 2\n")
    found = patched(repository)
    assert set(found.files) == {"submodules/vendor/lib/code.patch"}
    inner = Project(repository.root / "vendor/lib")
    changed = inner.git("diff", "--no-color")
    inner.git("checkout", "--quiet", ".")
    (repository.root / "change").write_bytes(found.files["submodules/vendor/lib/code.patch"])
    inner.run("git", "apply", str(repository.root / "change"))
    assert inner.git("diff", "--no-color") == changed


def test_worktree(repository: Project):
    """A linked work tree has an index of its own."""
    other = repository.root.parent / "worktree"
    repository.git("worktree", "add", "--quiet", str(other))
    linked = Project(other)
    linked.write("train.py", "x\n")
    assert not patched(repository).is_dirty
    assert rebuilt(linked, patched(linked)) == tree(linked)


# --- in a run ------------------------------------------------------------------------------------


def recorded(runs: Callable[[], list[Any]], attached: Any) -> list[tuple[dict[str, str], Any]]:
    return [(run.data.tags, attached(run.info.run_id)) for run in runs()]


def test_run(pipeline: Project, runs: Callable[[], list[Any]], attached: Any):
    """A run on changed code is dirty and has the patch; one on the commit is clean and has none."""
    pipeline.python("run.py")
    pipeline.write("run.py", (pipeline.root / "run.py").read_text() + "# changed\n")
    pipeline.write("src/new.py", "x = 1\n")
    pipeline.python("run.py")
    (clean, nothing), (dirty, files) = recorded(runs, attached)
    assert clean["git_dirty"] == "false"
    assert "code.patch" not in nothing
    assert dirty["git_dirty"] == "true"
    found = Patch({path: files[path] for path in files if path.startswith("code")})
    result = rebuilt(pipeline, found, dirty["git_sha"])
    assert result["run.py"] == tree(pipeline)["run.py"]
    assert result["src/new.py"] == tree(pipeline)["src/new.py"]


def test_repro_is_clean(pipeline: Project, runs: Callable[[], list[Any]]):
    """Under ``dvc repro``, which rewrites dvc.lock and deletes outputs, committed code is clean."""
    pipeline.dvc("config", "core.autostage", "true")
    pipeline.commit("configured")
    pipeline.write("data/raw.csv", "a,b\n3,4\n")
    pipeline.dvc("repro")
    assert [run.data.tags["git_dirty"] for run in runs()] == ["false"]


@pytest.mark.parametrize(("mode", "expected"), [("off", set()), ("tracked", {"run.py"})])
def test_setting(
    pipeline: Project, runs: Callable[[], list[Any]], attached: Any, mode: str, expected: set[str]
):
    """MLFLOW_DVC_PATCH says what is attached; ``git_dirty`` is told all the same."""
    pipeline.write("run.py", (pipeline.root / "run.py").read_text() + "# changed\n")
    pipeline.write("src/new.py", "x = 1\n")
    pipeline.python("run.py", MLFLOW_DVC_PATCH=mode)
    ((tags, files),) = recorded(runs, attached)
    assert tags["git_dirty"] == "true"
    text = files.get("code.patch", b"").decode()
    assert {name for name in ("run.py", "src/new.py") if name in text} == expected


def test_unknown_script(pipeline: Project, runs: Callable[[], list[Any]], attached: Any):
    """A script that git does not know is no committed code, though such files are left out."""
    pipeline.write("scratch.py", (pipeline.root / "run.py").read_text())
    done = pipeline.call(PYTHON, "scratch.py", MLFLOW_DVC_PATCH="tracked")
    assert "scratch.py: git does not know it" in done.stderr
    ((tags, files),) = recorded(runs, attached)
    assert tags["git_dirty"] == "true"
    assert "code.patch" not in files


def test_sweep(pipeline: Project, attached: Any, monkeypatch: pytest.MonkeyPatch):
    """Child runs on their parent's uncommitted code carry no second copy of it."""
    pipeline.write("run.py", "# changed\n")
    monkeypatch.chdir(pipeline.root)
    with mlflow.start_run() as parent:
        children = []
        for _ in range(3):
            with mlflow.start_run(nested=True) as child:
                children.append(child.info.run_id)
    assert "code.patch" in attached(parent.info.run_id)
    assert [attached(child) for child in children] == [{}, {}, {}]
    pipeline.write("run.py", "# changed again\n")
    with mlflow.start_run(run_id=parent.info.run_id), mlflow.start_run(nested=True) as child:
        pass
    assert b"changed again" in attached(parent.info.run_id)["resume-1/code.patch"]
    assert attached(child.info.run_id) == {}


def test_status(pipeline: Project):
    """``status`` tells dirty code, and what of it would not be attached."""
    pipeline.write("run.py", "x = 1\n")
    pipeline.write("key.py", "-----BEGIN PRIVATE KEY-----\n")
    done = pipeline.cli("status")
    assert "uncommitted" in done.stdout
    assert "key.py" in done.stderr + done.stdout


def test_every_run_its_own_code(
    pipeline: Project, runs: Callable[[], list[Any]], attached: Any, monkeypatch: pytest.MonkeyPatch
):
    """A loop that edits the code and starts a run has each run's own code recorded."""
    monkeypatch.chdir(pipeline.root)
    for number in range(3):
        pipeline.write("run.py", f"lr = 1{number}\n")
        with mlflow.start_run():
            pass
    texts = [attached(run.info.run_id)["code.patch"] for run in runs()]
    assert [b"+lr = 1%d" % number in text for number, text in enumerate(texts)] == [True] * 3


@pytest.mark.swallows
def test_git_refuses(pipeline: Project, runs: Callable[[], list[Any]]):
    """Where git will not tell, the run says nothing of dirt, and one line says why."""
    (pipeline.root / ".git/index").write_bytes(b"broken")
    done = subprocess.run(
        ["python", "run.py"], cwd=pipeline.root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "uncommitted could not be told" in done.stderr
    (run,) = runs()
    assert "git_dirty" not in run.data.tags
    assert run.data.tags["git_sha"]
