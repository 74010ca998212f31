"""What is code, and what is not: by what ran, by git, by suffix, not by what came meanwhile."""

from __future__ import annotations

import json
import os
import re
import time
from typing import Any

import pytest
from conftest import Project
from notebooks import PLAIN, by_papermill, code, notebook
from test_patch import patched, rebuilt, tree

from mlflow_dvc.git.changed_code import ChangedCode
from mlflow_dvc.git.commit_files import files_not_in_commit

FILES = {
    "train.py": "print('a')\n",
    "src/model.py": "class Model:\n    pass\n",
    "conf/config.yaml": "lr: 0.1\n",
    "in.ipynb": PLAIN,
    "notes.txt": "x\n",
}


@pytest.fixture
def repository(directory: Project) -> Project:
    directory.git("init", "--quiet", "--initial-branch=main")
    for path, content in FILES.items():
        directory.write(path, content)
    directory.commit("code")
    return directory


def named(project: Project, **options: Any) -> set[str]:
    """The paths in the patch, and those that are said to be missing there."""
    found = patched(project, **options)
    text = found.files.get("code.patch", b"").decode("utf-8", "replace")
    paths = re.findall(r"^diff --git a/(.+) b/\1$", text, re.MULTILINE)
    return {*paths, *(line.partition(": ")[0] for line in found.omitted)}


RUN_ID = "0123456789abcdef" * 2
# What a tool leaves behind, by the files of its first run.
LEFT: dict[str, list[str]] = {
    "hydra": ["outputs/d/t/.hydra/config.yaml", "outputs/d/t/hydra.yaml", "outputs/d/t/t.log"],
    "hydra, elsewhere": ["exp/a/.hydra/config.yaml", "exp/a/.hydra/overrides.yaml"],
    "hydra, in src": ["src/outputs/d/t/.hydra/config.yaml"],
    "hydra, multirun": ["multirun/d/t/multirun.yaml", "multirun/d/t/0/.hydra/config.yaml"],
    "hydra, multirun elsewhere": ["exp/a/multirun.yaml", "exp/a/0/.hydra/config.yaml"],
    "hydra, here": [".hydra/config.yaml", "multirun.yaml", "train.log"],
    "hydra, without a folder": ["exp/b/hydra.yaml", "exp/b/config.yaml", "exp/b/train.log"],
    "lightning": ["lightning_logs/version_0/hparams.yaml", "lightning_logs/version_0/m.csv"],
    "lightning, alone": ["lightning_logs/version_0/hparams.yaml"],
    "lightning, elsewhere": ["logs/a/version_0/hparams.yaml", "logs/a/version_0/ckpt/a.ckpt"],
    "lightning, command line": ["logs/a/config.yaml", "logs/a/events.out.tfevents.1.host.2.0"],
    "yolo": ["runs/detect/train/args.yaml", "runs/detect/train/weights/best.pt"],
    "yolo, elsewhere": ["yolo/first/args.yaml", "yolo/first/results.csv"],
    "yolo, broken off": ["yolo/first/args.yaml", "yolo/first/weights/last.pt"],
    "wandb": ["wandb/run-1-a/files/config.yaml", "wandb/run-1-a/files/requirements.txt",
              "wandb/run-1-a/files/code/train.py", "wandb/debug.log"],
    "mlflow": ["mlruns/0/meta.yaml", "mlruns/0/a/artifacts/m/train.py", "mlartifacts/0/m/x.py"],
    "mlflow, elsewhere": ["store/0/meta.yaml", f"store/0/{RUN_ID}/artifacts/dvc/code/train.py",
                          f"store/0/models/m-{RUN_ID}/artifacts/python_env.yaml"],
    "model of mlflow": ["model/MLmodel", "model/conda.yaml", "model/code/train.py"],
    "dvclive": ["dvclive/metrics.json", "dvclive/params.yaml", "dvclive/dvc.yaml",
                "dvclive/report.ipynb", "dvclive/report.md"],
    "dvclive, elsewhere": ["res/metrics.json", "res/params.yaml", "res/plots/metrics/a.tsv"],
    "of one's own": ["exp/a/config.yaml", "exp/a/results.json", "exp/b/c.yaml", "exp/b/log.txt"],
    "ray": ["ray_results/a/params.json", "ray_results/a/x.py"],
    "nbconvert": ["in.nbconvert.ipynb"],
    "jupyter": [".ipynb_checkpoints/in-checkpoint.ipynb", "src/.ipynb_checkpoints/m-check.py"],
    "python": ["__pycache__/train.cpython-311.pyc", "src/a.egg-info/requires.txt", "build/m.py"],
    "environment": ["myenv/pyvenv.cfg", "myenv/bin/Activate.ps1", "myenv/bin/activate_this.py"],
}  # fmt: skip


@pytest.mark.parametrize("files", LEFT.values(), ids=LEFT.keys())
def test_left_by_runs(repository: Project, files: list[str]):
    """What tools write is no code, for a process that begins after they have run as well."""
    for path in files:
        repository.write(path, PLAIN if path.endswith(".ipynb") else "x: 1\n")
    assert named(repository) == set()


NEW: dict[str, list[str]] = {
    "a module": ["helper.py"],
    "a module in a new folder": ["lib/deep/helper.py"],
    "settings in a new folder": ["conf2/config.yaml"],
    "groups of settings": ["conf2/config.yaml", "conf2/model/big.yaml", "conf2/README.md"],
    "settings beside data": ["conf3/config.yaml", "conf3/schema.json", "conf3/classes.txt"],
    "settings beside settings": ["conf/other.yaml"],
    "an experiment": ["new/train.py", "new/config.yaml", "new/data.csv"],
    "an experiment with logs": ["new/train.sh", "new/conf/config.yaml", "new/train.log"],
    "scripts": ["run.sh", "Makefile", "query.sql", "a.ipynb"],
    "odd names": ["a b.py", "é/ü.py", "conf 2/a.yaml"],
}


@pytest.mark.parametrize("files", NEW.values(), ids=NEW.keys())
def test_new_code(repository: Project, files: list[str]):
    """Programs that git does not know, and their settings, are code, in new folders as well."""
    for path in files:
        repository.write(path, PLAIN if path.endswith(".ipynb") else "x: 1\n")
    suffixes = (".csv", ".log", ".md", ".json", "classes.txt")
    assert named(repository) == {path for path in files if not path.endswith(suffixes)}


@pytest.mark.parametrize(
    "path",
    [
        '"q".py',
        "a\nb.py",
        "tab\t.py",
        "back\\slash.py",
        "é\n'x'.yaml",
        os.fsdecode(b"\xff\t.py"),
        os.fsdecode(b"\xe9.py"),
    ],
)
def test_odd_names(repository: Project, path: str):
    """Whatever its name is, a new program is in the patch."""
    repository.write(path, "x: 1\n")
    found = patched(repository)
    assert found.omitted == ()
    assert rebuilt(repository, found) == tree(repository)


TRACKED = [
    "notes.txt", "src/model.py", "data.csv", "wandb/log.py", "src/wandb/x.py", "conf/wandb/on.yaml",
    "outputs/kept.md", "runs/a.yaml", "lightning_logs/callback.py", "dvclive/run.py", "noname",
]  # fmt: skip


@pytest.mark.parametrize("path", TRACKED)
def test_tracked(repository: Project, path: str):
    """What git tracks is code whatever its suffix is, in folders of a tool's name too."""
    repository.write(path, "one\n")
    repository.commit("tracked")
    repository.write(path, "two\n")
    assert named(repository) == {path}
    (repository.root / path).unlink()
    assert named(repository) == {path}


@pytest.mark.parametrize(
    "path",
    ["wandb/run-1-a/files/config.yaml", "wandb/latest-run/files/output.log", "dvclive/metrics.json",
     "lightning_logs/version_0/hparams.yaml", "dvclive/plots/metrics/a.tsv", "exp/.hydra/x.yaml",
     "mlruns/0/meta.yaml", "dvclive/dvc.yaml"],
)  # fmt: skip
def test_tracked_results(repository: Project, path: str):
    """What a tool writes is no code where somebody has committed it either."""
    repository.write(path, "one\n")
    repository.commit("tracked")
    repository.write(path, "two\n")
    assert named(repository) == set()


def test_loaded(repository: Project):
    """What the process has imported is code wherever it lies, whenever it was put there."""
    began = time.time() - 60
    for path in ("outputs/made.py", "runs/x.py", "lib/new.py", "native.so", "command"):
        repository.write(path, "x = 1\n")
    assert named(repository, began=began) == set()
    loaded = {str(repository.root / path) for path in ("outputs/made.py", "native.so", "command")}
    assert named(repository, began=began, loaded=loaded) == {
        "outputs/made.py", "native.so", "command"
    }  # fmt: skip


def test_there_before(repository: Project):
    """Of new files those count which were there when the process began."""
    repository.write("conf2/config.yaml", "a: 1\n")
    began = os.stat(repository.root / "conf2/config.yaml").st_ctime + 0.05
    while time.time() < began + 0.05:
        time.sleep(0.05)  # that a later change shows in the time stamp
    repository.write("conf3/config.yaml", "a: 1\n")
    repository.write("train.py", "print('b')\n")
    assert named(repository, began=began) == {"conf2/config.yaml", "train.py"}


def test_file_becomes_a_link(repository: Project):
    """A file that became a link, and a link that became a file, come back as they are."""
    (repository.root / "link.py").symlink_to("train.py")
    repository.commit("link")
    (repository.root / "link.py").unlink()
    repository.write("link.py", "x\n")
    (repository.root / "src/model.py").unlink()
    (repository.root / "src/model.py").symlink_to("../train.py")
    (repository.root / "in.ipynb").unlink()
    (repository.root / "in.ipynb").symlink_to("notes.txt")
    found = patched(repository)
    assert found.omitted == ()
    assert rebuilt(repository, found) == tree(repository)


# --- notebooks -----------------------------------------------------------------------------------


def test_notebook_that_ran(repository: Project):
    """A committed notebook of which outputs and counts changed is no changed code."""
    repository.write("in.ipynb", notebook(code("lr = 0.1", 1), code("train(lr)", 2)))
    assert named(repository) == set()
    repository.write("in.ipynb", by_papermill(PLAIN, "in.ipynb", lr=3))
    assert named(repository) == set()


def test_changed_cell(repository: Project):
    """The patch of a notebook gives the new sources, on top of the outputs of the commit."""
    repository.write("in.ipynb", notebook(code("lr = 0.1", 1), code("plot()", 2)))
    repository.commit("ran")
    picture = code("plot(2)", 3, outputs=[{"output_type": "display_data", "data": "A" * 9000}])
    repository.write("in.ipynb", notebook(code("lr = 0.1", 8), picture))
    found = patched(repository)
    assert found.omitted == ()
    assert len(found.files["code.patch"]) < 3000
    cells = json.loads(rebuilt(repository, found)["in.ipynb"][0])["cells"]
    assert [cell["source"] for cell in cells] == ["lr = 0.1", "plot(2)"]
    assert cells[0]["execution_count"] == 1
    assert cells[1]["outputs"] == []


def test_execution_of_papermill(repository: Project):
    """What papermill makes of a notebook is no code, whether git knows it or not."""
    repository.write("out/a.ipynb", by_papermill(PLAIN, "out/a.ipynb", lr=1))
    assert named(repository) == set()
    repository.commit("results")
    repository.write("in.ipynb", notebook(code("lr = 0.1"), code("train(lr, 2)")))
    repository.commit("edited")
    other = (repository.root / "in.ipynb").read_bytes()
    repository.write("out/a.ipynb", by_papermill(other, "out/a.ipynb", lr=2))
    assert named(repository) == set()


def test_edited_execution(repository: Project):
    """A committed result of papermill that somebody has edited is changed code."""
    repository.write("out/a.ipynb", by_papermill(PLAIN, "out/a.ipynb", lr=1))
    repository.commit("results")
    edited = notebook(code("lr = 0.1"), code("train(lr, 99)"))
    repository.write("out/a.ipynb", by_papermill(edited, "out/a.ipynb", lr=1))
    assert named(repository) == {"out/a.ipynb"}


@pytest.mark.parametrize("tracked", [True, False])
@pytest.mark.parametrize("output", ["in.ipynb", "./in.ipynb", "{root}/in.ipynb", "src/../in.ipynb"])
def test_in_place(repository: Project, output: str, tracked: bool):
    """A notebook that papermill ran in place is code, however it was named."""
    if not tracked:
        repository.git("rm", "--quiet", "--cached", "in.ipynb")
        repository.git("commit", "--quiet", "--message", "without")
    edited = notebook(code("lr = 0.1"), code("train(lr, 99)"))
    output = output.format(root=repository.root)
    repository.write("in.ipynb", by_papermill(edited, output, lr=1))
    assert named(repository) == {"in.ipynb"}


def test_execution_from_a_folder(repository: Project):
    """Results of papermill are known where it was called in a folder, and if named like theirs."""
    repository.write("src/in.ipynb", PLAIN)
    repository.commit("another")
    for output in ("out/in.ipynb", "../out2/in.ipynb"):
        where = os.path.normpath(f"src/{output}")
        repository.write(where, by_papermill(PLAIN, output, lr=1))
    assert named(repository) == set()
    repository.commit("results")
    repository.write("src/out/in.ipynb", by_papermill(PLAIN, "out/in.ipynb", lr=2))
    assert named(repository) == set()


def test_execution_that_goes_on(repository: Project):
    """A result of papermill's in which somebody works on, as the kernel says, is code."""
    where = repository.write("out/a.ipynb", by_papermill(PLAIN, "out/a.ipynb", lr=1))
    assert named(repository, loaded={str(where)}) == {"out/a.ipynb"}


def test_ignored_script(repository: Project):
    """The script that runs is code though git is told to ignore it; not if DVC tracks it."""
    repository.write(".gitignore", "/scratch/\n")
    repository.commit("ignored")
    script = str(repository.write("scratch/run.py", "x = 1\n"))
    repository.write("scratch/other.py", "x = 1\n")
    assert named(repository) == set()
    assert named(repository, script=script, loaded={script}) == {"scratch/run.py"}
    elsewhere = str(repository.root.parent / "run.py")
    assert named(repository, script=elsewhere, loaded={elsewhere}) == set()
    assert named(repository, outs={"scratch"}, script=script, loaded={script}) == set()


def test_notebook_alone(repository: Project):
    """A new notebook is code without its pictures; a broken one as it lies there."""
    picture = code("plot()", 1, outputs=[{"output_type": "display_data", "data": "A" * 50_000}])
    repository.write("new.ipynb", notebook(picture))
    repository.write("broken.ipynb", "{")
    found = patched(repository)
    assert named(repository) == {"new.ipynb", "broken.ipynb"}
    assert len(found.files["code.patch"]) < 3000


# --- where there is little room ------------------------------------------------------------------


@pytest.mark.parametrize("filler", [".ipynb", ".py"])
def test_what_runs_comes_first(repository: Project, filler: str):
    """What runs, then what git tracks, is attached where other new programs fill the patch."""
    for number in range(4):
        text = os.urandom(30_000).hex()
        content = notebook(code(text)) if filler == ".ipynb" else f"x = {text!r}\n".encode()
        repository.write(f"a{number}{filler}", content)
    for path in ("zz/run.py", "zz/helper.py"):
        repository.write(path, f"# {os.urandom(10_000).hex()}\n")
    repository.write("src/model.py", "changed = 1\n")
    loaded = {str(repository.root / path) for path in ("zz/run.py", "zz/helper.py")}
    found = patched(repository, limit=110_000, loaded=loaded)
    text = found.files["code.patch"].decode()
    for path in ("zz/run.py", "zz/helper.py", "src/model.py"):
        assert f"b/{path}\n" in text
    left = {line.partition(": ")[0] for line in found.omitted}
    assert left == {f"a{number}{filler}" for number in range(4) if f"b/a{number}" not in text}
    assert 0 < len(left) < 4


@pytest.mark.parametrize("how", ["closed", "gone"])
def test_notebook_that_cannot_be_read(
    repository: Project, monkeypatch: pytest.MonkeyPatch, how: str
):
    """A notebook that may not be read, or goes meanwhile, is named, and costs nothing else."""
    where = repository.write("in.ipynb", notebook(code("other()")))
    repository.write("train.py", "print('b')\n")
    if how == "closed":
        if not os.geteuid():
            pytest.skip("root may read everything")
        where.chmod(0)
    is_file, asked = ChangedCode.is_file, []

    def then_gone(changed: ChangedCode, path: str) -> bool:
        there = is_file(changed, path)
        asked.append(path)
        if how == "gone" and asked.count("in.ipynb") == 3:  # right before it is opened
            where.unlink(missing_ok=True)
        return there

    monkeypatch.setattr(ChangedCode, "is_file", then_gone)
    found = patched(repository)
    assert b"print('b')" in found.files["code.patch"]
    assert "in.ipynb" in [line.partition(": ")[0] for line in found.omitted]


def test_files_in_a_commit(repository: Project):
    """Whether files are as a commit has them is told of any name and of many at once."""
    odd = {":(top)a.txt": b"1", "*.txt": b"2", "a b/[c].txt": b"3"}
    files = odd | {f"many/{number}.txt": b"m" for number in range(450)}
    for path, content in files.items():
        repository.write(path, content)
    sha = repository.commit("many")
    root = str(repository.root)
    assert files_not_in_commit(root, sha, files, 20) == []
    asked = files | {"*.txt": b"x", "none.txt": b"", "src": b"", "../a.txt": b""}
    missing = ["*.txt", "none.txt", "src", "../a.txt"]
    assert files_not_in_commit(root, sha, asked, 20) == missing
    assert files_not_in_commit(root, sha, {}, 20) == []
