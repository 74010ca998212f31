"""Where the code and the data of a process live."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PYTHON, Project

import mlflow_dvc
from mlflow_dvc.capture import workspace
from mlflow_dvc.errors import NoProjectError
from mlflow_dvc.project import find_project

SHOW = """\
import json
from mlflow_dvc.project import find_project, running_script
script = running_script()
found = find_project(script=script)
print(json.dumps([script, found.git_root, found.dvc_root, found.code_source, found.dvc_stage]))
"""
SHOW_RUNNING = """\
import json
from mlflow_dvc.project import find_running_project
found = find_running_project()
print(json.dumps([found.script, found.git_root, found.dvc_root]))
"""


def test_both(make_project: Callable[..., Project]):
    """Git and DVC in one directory: the DVC root seen from the git root is ``.``."""
    project = make_project()
    found = find_project(str(project.root))
    assert found.git_root == found.dvc_root == str(project.root)
    assert found.relative_root == "."
    assert (found.script, found.code_source) == (None, "working directory")
    assert (found.dvc_stage, found.experiment) == (None, None)


def test_subdirectory(make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch):
    """From a directory deep inside, both roots are found above it, by default the working one."""
    project = make_project()
    deep = project.root / "a/b c/d"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    found = find_project()
    assert found.directory == str(deep)
    assert found.git_root == found.dvc_root == str(project.root)


def test_dvc_below_git(make_project: Callable[..., Project]):
    """With ``dvc init --subdir`` the DVC root is named relative to the git root."""
    project = make_project(dvc=False)
    (project.root / "models/a").mkdir(parents=True)
    project.run("dvc", "init", "--quiet", "--subdir", cwd=project.root / "models/a")
    found = find_project(str(project.root / "models/a"))
    assert found.git_root == str(project.root)
    assert found.dvc_root == str(project.root / "models/a")
    assert found.relative_root == "models/a"
    assert find_project(str(project.root)).dvc_root is None


def test_git_below_dvc(make_project: Callable[..., Project]):
    """A git repository inside a DVC project that has none is no home of the DVC root."""
    outer = make_project(git=False)
    inner = Project(outer.root / "code")
    inner.root.mkdir()
    inner.git("init", "--quiet")
    found = find_project(str(inner.root))
    assert (found.git_root, found.dvc_root) == (str(inner.root), str(outer.root))
    assert found.relative_root == "."


def test_git_only(make_project: Callable[..., Project]):
    """Git without DVC: there is a code root and nothing else."""
    project = make_project(dvc=False)
    found, snapshot = workspace.inspect(str(project.root))
    assert (found.git_root, found.dvc_root, found.relative_root) == (str(project.root), None, None)
    assert snapshot.git is not None
    assert snapshot.git.sha == project.git("rev-parse", "HEAD")
    assert (snapshot.root, snapshot.data, snapshot.data_status) == (None, (), None)


def test_dvc_only(make_project: Callable[..., Project]):
    """After ``dvc init --no-scm`` there is data without a commit."""
    project = make_project(git=False)
    project.write("raw.csv", "a\n")
    project.dvc("add", "--quiet", "raw.csv")
    found, snapshot = workspace.inspect(str(project.root))
    assert (found.git_root, found.dvc_root) == (None, str(project.root))
    assert (snapshot.git, snapshot.root, snapshot.warnings) == (None, ".", ())
    assert [entry.path for entry in snapshot.data] == ["raw.csv"]


def test_neither(directory: Project):
    """Where there is neither, asking is an error, and a run has an empty record."""
    with pytest.raises(NoProjectError):
        workspace.inspect(str(directory.root))
    snapshot = workspace.capture_run().snapshot
    assert not snapshot
    assert snapshot.warnings == ()


def test_script_elsewhere(make_project: Callable[..., Project], tmp_path: Path):
    """Code is the script's repository wherever it is called from; data is the working one's."""
    code = make_project("code", dvc=False)
    data = make_project("data")
    script = code.write("src/train.py", SHOW)
    outside = tmp_path / "outside"
    outside.mkdir()
    expected = [str(script), str(code.root), None, "script", None]
    assert json.loads(code.python(str(script), cwd=outside)) == expected
    expected[2] = str(data.root)
    assert json.loads(code.python(str(script), cwd=data.root)) == expected


def test_data_above_the_script(make_project: Callable[..., Project], tmp_path: Path):
    """Called from outside any project, a script's data root is the one that it lies in."""
    project = make_project()
    script = project.write("src/train.py", SHOW)
    outside = tmp_path / "outside"
    outside.mkdir()
    shown = json.loads(project.python(str(script), cwd=outside))
    assert shown == [str(script), str(project.root), str(project.root), "script", None]


def test_function_elsewhere(make_project: Callable[..., Project], tmp_path: Path):
    """In a process that is no script of the user's and works in no project, code and data are
    those of the user's function that is running; those of an installed one are nobody's."""
    project = make_project()
    module = project.write("tool.py", "def show():\n" + textwrap.indent(SHOW_RUNNING, "    "))
    for call, expected in (
        ("import tool; tool.show()", [str(module), str(project.root), str(project.root)]),
        (f"import timeit; timeit.repeat({SHOW_RUNNING!r}, number=1, repeat=1)", [None] * 3),
    ):
        shown = project.run(PYTHON, "-c", call, cwd=tmp_path, PYTHONPATH=str(project.root))
        assert json.loads(shown) == expected


def test_linked_script(make_project: Callable[..., Project], tmp_path: Path):
    """A script that is a link belongs to the repository of the file that it names."""
    project = make_project(dvc=False)
    project.write("train.py", SHOW)
    link = tmp_path / "link.py"
    link.symlink_to(project.root / "train.py")
    assert find_project(str(tmp_path), script=str(link)).git_root == str(project.root)


def test_script_without_repository(make_project: Callable[..., Project], tmp_path: Path):
    """A script that lies in no repository leaves the code root to the working directory."""
    project = make_project()
    script = tmp_path / "train.py"
    script.write_text(SHOW)
    found = find_project(str(project.root), script=str(script))
    assert (found.git_root, found.code_source) == (str(project.root), "working directory")


@pytest.mark.parametrize("how", ["-c", "-m module", "-m installed", "stdin"])
def test_which_script(make_project: Callable[..., Project], how: str):
    """``python -c``, stdin and installed modules are no script of the user's; his modules are."""
    project = make_project(dvc=False)
    module = project.write("package/tool.py", SHOW)
    project.write("package/__init__.py", "")
    words = {
        "-c": ["-c", SHOW],
        "-m module": ["-m", "package.tool"],
        "-m installed": ["-m", "timeit", "-n1", "-r1", *SHOW.splitlines()],
        "stdin": ["-"],
    }[how]
    shown = project.run("python", *words, PYTHONPATH=str(project.root))
    if how == "stdin":
        assert shown == ""
        return
    script, root, *_ = json.loads(shown.splitlines()[0])
    assert script == (str(module) if how == "-m module" else None)
    assert root == str(project.root)


def test_worktree(make_project: Callable[..., Project], tmp_path: Path):
    """In a worktree both roots are the worktree's, not those of the repository it belongs to."""
    project = make_project()
    project.git("worktree", "add", "--quiet", str(tmp_path / "side"))
    found = find_project(str(tmp_path / "side"))
    assert found.git_root == found.dvc_root == str(tmp_path / "side")
    assert found.relative_root == "."


def test_nearest_dvc(make_project: Callable[..., Project]):
    """In a sub-project its own root counts, not the one above."""
    make_project()
    inner = make_project("project/sub", git=False)
    assert find_project(str(inner.root)).dvc_root == str(inner.root)


def test_dvc_root_of_another(
    make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """DVC_ROOT comes last, and DVC_STAGE of another project's DVC is not ours."""
    here, there = make_project("here"), make_project("there")
    monkeypatch.setenv("DVC_ROOT", str(there.root))
    monkeypatch.setenv("DVC_STAGE", "train")
    found = find_project(str(here.root))
    assert (found.dvc_root, found.dvc_stage) == (str(here.root), None)
    outside = find_project(str(tmp_path))
    assert (outside.dvc_root, outside.dvc_stage) == (str(there.root), "train")


def test_copy_of_an_experiment(
    make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
):
    """In the copy that ``dvc exp run --temp`` makes, data is the copy's and the stage is ours."""
    parent = make_project()
    copy = make_project("project/.dvc/tmp/exps/tmpabc")
    monkeypatch.setenv("DVC_ROOT", str(parent.root))
    monkeypatch.setenv("DVC_STAGE", "train")
    monkeypatch.setenv("DVC_EXP_NAME", "furry-cat")
    found = find_project(str(copy.root))
    assert found.git_root == found.dvc_root == str(copy.root)
    assert (found.dvc_stage, found.experiment) == ("train", "furry-cat")


def test_exp_run_temp(make_project: Callable[..., Project]):
    """A real ``dvc exp run --temp`` runs the script in a copy, whose roots are found."""
    project = make_project()
    project.write("src/show.py", SHOW)
    project.write(
        "dvc.yaml", "stages:\n  show:\n    cmd: python src/show.py > out.json\n    outs: [out.json]"
    )
    project.commit()
    project.dvc("exp", "run", "--temp", "--quiet")
    project.dvc("exp", "apply", project.dvc("exp", "list", "--name-only").strip())
    script, git_root, dvc_root, source, stage = json.loads((project.root / "out.json").read_text())
    assert git_root == dvc_root
    assert git_root.startswith(str(project.root / ".dvc/tmp/exps"))
    assert script == f"{git_root}/src/show.py"
    assert (source, stage) == ("script", "show")


def test_chosen_root(make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch):
    """MLFLOW_DVC_ROOT wins over every other root; where it is no DVC project, there is no data."""
    here, there = make_project("here"), make_project("there")
    monkeypatch.setenv("MLFLOW_DVC_ROOT", str(there.root))
    assert find_project(str(here.root)).dvc_root == str(there.root)
    monkeypatch.setenv("MLFLOW_DVC_ROOT", str(there.root / "nowhere"))
    assert find_project(str(here.root)).dvc_root is None


def test_linked_directory(make_project: Callable[..., Project], tmp_path: Path):
    """A project reached through a link is the project itself."""
    project = make_project()
    (project.root / "deep").mkdir()
    (tmp_path / "link").symlink_to(project.root / "deep")
    assert find_project(str(tmp_path / "link")).dvc_root == str(project.root)


def test_working_directory_is_gone(
    make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
):
    """A working directory that was removed under the process is still looked upwards from."""
    project = make_project()
    gone = project.root / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.setenv("PWD", str(gone))
    gone.rmdir()
    try:
        assert find_project().dvc_root == str(project.root)
    finally:
        os.chdir(project.root)


def test_dot_dvc_file(make_project: Callable[..., Project]):
    """A file called ``.dvc`` is no DVC root."""
    project = make_project(dvc=False)
    project.write(".dvc", "")
    assert find_project(str(project.root)).dvc_root is None


# A project's own build backend: ``pip install`` needs no network for it, nor any other package.
BACKEND = """\
import base64, hashlib, os, zipfile

SCRIPTS = "[console_scripts]\\nmytrain = pkg.train:main\\nmytool = pkg:tool.main\\n"
META = "Metadata-Version: 2.1\\nName: pkg\\nVersion: 1\\n"
WHEEL = "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"

def build(folder, files):
    info = "pkg-1.dist-info/"
    files |= {info + "METADATA": META, info + "WHEEL": WHEEL, info + "entry_points.txt": SCRIPTS}
    with zipfile.ZipFile(os.path.join(folder, "pkg-1-py3-none-any.whl"), "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        wheel.writestr(info + "RECORD", "".join(f"{name},,\\n" for name in files))
    return "pkg-1-py3-none-any.whl"

def sources():
    here = os.path.abspath("src/pkg")
    return {"pkg/" + name: open(os.path.join(here, name)).read()
            for name in os.listdir(here) if name.endswith(".py")}

def build_wheel(folder, config=None, metadata=None):
    return build(folder, sources())

def build_editable(folder, config=None, metadata=None):
    return build(folder, {"__editable__pkg.pth": os.path.abspath("src") + "\\n"})
"""
PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


@pytest.fixture
def packaged(make_project: Callable[..., Project]) -> Project:
    """A project with a package that has two console scripts, and an environment of its own."""
    project = make_project()
    project.write("pyproject.toml", PYPROJECT)
    project.write("backend.py", BACKEND)
    main = "def main():\n" + "".join(f"    {line}\n" for line in SHOW.splitlines())
    project.write("src/pkg/__init__.py", "from pkg import tool\n")
    project.write("src/pkg/train.py", f"{main}\nif __name__ == '__main__':\n    main()\n")
    project.write("src/pkg/tool.py", main)
    project.write(".gitignore", "/env\n")
    return project


def install(project: Project, where: Path, *how: str) -> Path:
    """The folder of commands of a new environment that has the package, and ours."""
    project.run(PYTHON, "-m", "venv", "--without-pip", str(where))
    [packages] = where.glob("lib/python*/site-packages")
    (packages / "ours.pth").write_text(str(Path(mlflow_dvc.__file__).parents[1]))
    pip = [PYTHON, "-m", "pip", "--python", str(where / "bin/python"), "install", "--quiet"]
    project.run(*pip, "--no-index", "--no-deps", *how)
    return where / "bin"


COMMANDS = {
    "console script": ["mytrain"],
    "of a submodule": ["mytool"],
    "-m": ["python", "-m", "pkg.train"],
}


@pytest.mark.fresh
@pytest.mark.parametrize("inside", [False, True], ids=["env elsewhere", "env in the project"])
def test_editable_install(packaged: Project, tmp_path: Path, inside: bool):
    """Called from elsewhere, a command of an editable install is of the project that its module
    lies in: naive is to take every console script for somebody else's program."""
    outside = tmp_path / "outside"
    outside.mkdir()
    commands = install(
        packaged, (packaged.root if inside else tmp_path) / "env", "-e", str(packaged.root)
    )
    root = str(packaged.root)
    for name, words in COMMANDS.items():
        module = "tool" if name == "of a submodule" else "train"
        shown = json.loads(packaged.run(str(commands / words[0]), *words[1:], cwd=outside))
        script = str(packaged.root / "src/pkg" / f"{module}.py")
        assert shown == [script, root, root, "script", None], name


@pytest.mark.fresh
@pytest.mark.parametrize("inside", [False, True], ids=["env elsewhere", "env in the project"])
def test_plain_install(packaged: Project, tmp_path: Path, inside: bool):
    """A package that is installed for good is nobody's project, wherever its environment lies."""
    outside = tmp_path / "outside"
    outside.mkdir()
    commands = install(
        packaged, (packaged.root if inside else tmp_path) / "env", str(packaged.root)
    )
    for words in COMMANDS.values():
        shown = json.loads(packaged.run(str(commands / words[0]), *words[1:], cwd=outside))
        assert shown == [None, None, None, "working directory", None], words


# What ``setup.py develop`` writes, shortened; and a program that is no entry point.
LEGACY = """\
# EASY-INSTALL-ENTRY-SCRIPT: 'pkg','console_scripts','mytrain'
import sys
from importlib.metadata import distribution

def importlib_load_entry_point(spec, group, name):
    points = distribution(spec.partition("==")[0]).entry_points
    return next(one for one in points if (one.group, one.name) == (group, name)).load()

globals().setdefault("load_entry_point", importlib_load_entry_point)

if __name__ == "__main__":
    sys.exit(load_entry_point("pkg==1", "console_scripts", "mytrain")())
"""
PROGRAM = "import sys\nfrom pkg import train\nfrom pkg.train import main\nmain()\nsys.exit(0)\n"


@pytest.mark.fresh
@pytest.mark.parametrize(("text", "is_entry"), [(LEGACY, True), (PROGRAM, False)])
def test_other_scripts(packaged: Project, tmp_path: Path, text: str, is_entry: bool):
    """The console script of an old editable install counts as well; a program that just uses the
    package is not taken for it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    commands = install(packaged, tmp_path / "env", "-e", str(packaged.root))
    (commands / "other").write_text(text)
    shown = json.loads(packaged.run(str(commands / "python"), str(commands / "other"), cwd=outside))
    assert shown[:2] == ([str(packaged.root / "src/pkg/train.py"), str(packaged.root)]
                         if is_entry else [None, None])  # fmt: skip
