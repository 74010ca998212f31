"""The code of real runs: what they have run is in the record, what tools wrote is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from conftest import FIVE_LINES, Project
from notebooks import PLAIN, by_papermill, code, notebook

Runs = Callable[[], list[Any]]
Attached = Callable[[str], dict[str, bytes]]
HYDRA = """\
import hydra, mlflow

@hydra.main(version_base="1.3", config_path="../conf", config_name="config")
def train(config):
    with mlflow.start_run():
        mlflow.log_metric("lr", config.lr)

train()
"""


def dirt(runs: Runs) -> list[str | None]:
    return [run.data.tags.get("git_dirty") for run in runs()]


def last_patch(runs: Runs, attached: Attached) -> str:
    return attached(runs()[-1].info.run_id).get("code.patch", b"").decode("utf-8", "replace")


def test_hydra(pipeline: Project, runs: Runs):
    """A committed Hydra project is clean in every job, wherever the jobs before have written."""
    pipeline.write("conf/config.yaml", "lr: 0.1\n")
    pipeline.write("src/app.py", HYDRA)
    pipeline.commit("hydra")
    pipeline.python("src/app.py")
    pipeline.python("src/app.py", "hydra.run.dir=exp/first", "hydra.job.chdir=true")
    pipeline.python("src/app.py", "hydra.run.dir=exp/second")
    pipeline.python("app.py", cwd=pipeline.root / "src")
    pipeline.python("src/app.py", "-m", "lr=1,2", "hydra.sweep.dir=exp/sweep")
    pipeline.python("src/app.py", "-m", "lr=1,2")
    pipeline.python("src/app.py", "hydra.run.dir=.")
    pipeline.python("src/app.py")
    assert dirt(runs) == ["false"] * 10
    assert json.loads(pipeline.cli("status", "--json").stdout)["git"]["dirty"] is False


TOOLS = """\
import json, mlflow, os, pathlib, sys
import yaml

def write(path, text):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)

with mlflow.start_run():
    write("lightning_logs/version_0/hparams.yaml", "lr: 0.1")
    write("runs/detect/train/args.yaml", "lr: 0.1")
    write("wandb/run-1-a/files/config.yaml", "lr: 0.1")
    write("mlruns/0/meta.yaml", "a: 1")
    write("results/a/args.yaml", "a: 1")
    write("results/a/weights/best.pt", "a")
    write("dvclive/metrics.json", "{}")
    write("dvclive/plots/metrics/a.tsv", "step\\ta\\n")
    write("scores/metrics.json", json.dumps({"run": os.getpid()}))
    write("scores/roc.csv", str(os.getpid()))
    raw = yaml.safe_load(open("dvc.yaml"))
    raw["metrics"] = ["dvclive/metrics.json", "scores/metrics.json"]
    raw["plots"] = [{"scores": {"x": "step"}}, {"roc": {"y": {"scores/roc.csv": "a"}}}]
    raw["params"] = ["dvclive/params.yaml"]
    raw["artifacts"] = {"best": {"path": "best.txt", "type": "model"}}
    yaml.safe_dump(raw, open("dvc.yaml", "w"), sort_keys=False)
    write("best.txt", str(os.getpid()))
"""


def test_tools(pipeline: Project, runs: Runs):
    """What tools write is no code, in the run itself, in the next, and after it was committed."""
    pipeline.write("tools.py", TOOLS)
    pipeline.commit("tools")
    for _ in range(2):
        pipeline.python("tools.py")
    pipeline.commit("with results")
    for _ in range(2):
        pipeline.python("tools.py")
    assert dirt(runs) == ["false"] * 4


SHOWN = """\
metrics: [live/metrics.json]
plots:
- live/plots/metrics: {x: step}
"""


def test_pipeline_of_a_tool(make_project: Callable[..., Project], runs: Runs):
    """A dvc.yaml that DVCLive makes, with nothing to run in it, is no code."""
    project = make_project()
    project.write("run.py", FIVE_LINES)
    project.commit("run")
    project.write("dvc.yaml", SHOWN)
    project.python("run.py")
    project.write("dvc.yaml", f"stages: {{a: {{cmd: python run.py}}}}\n{SHOWN}")
    project.python("run.py")
    assert dirt(runs) == ["false", "true"]


def test_shown_files(pipeline: Project, runs: Runs, attached: Attached):
    """Programs stay code, whatever a dvc.yaml shows."""
    text = (pipeline.root / "dvc.yaml").read_text()
    pipeline.write("dvc.yaml", f"{text}plots: [run.py, src]\n")
    pipeline.commit("plots")
    pipeline.write("run.py", FIVE_LINES + "# changed\n")
    pipeline.python("run.py")
    assert dirt(runs) == ["true"]
    assert "b/run.py" in last_patch(runs, attached)


PAPERMILL = """\
import json, mlflow, sys

with mlflow.start_run():
    pass
ran = open("made").read()
open(sys.argv[1], "w").write(ran)
"""


def test_papermill(pipeline: Project, runs: Runs, attached: Attached):
    """A project whose notebooks papermill runs, beside them or in place, stays clean."""
    pipeline.write("in.ipynb", PLAIN)
    pipeline.write("run.py", PAPERMILL)
    pipeline.write(".gitignore", "/mlflow.db\n/made\n")
    pipeline.commit("notebook")
    for output in ("out.ipynb", "reports/a/out.ipynb", "in.ipynb"):
        (pipeline.root / output).parent.mkdir(parents=True, exist_ok=True)
        pipeline.write("made", by_papermill(PLAIN, output, lr=2))
        pipeline.python("run.py", output)
    pipeline.python("run.py", "in.ipynb")
    assert dirt(runs) == ["false"] * 4
    pipeline.write("in.ipynb", notebook(code("lr = 0.1", 1), code("train(2)", 2)))
    pipeline.python("run.py", "out.ipynb")
    assert dirt(runs)[-1] == "true"
    assert "+" in last_patch(runs, attached)


NEW = """\
import pathlib, sys, time
import mlflow
from lib.deep import helper
sys.path.insert(0, "plugins")
import plugin

time.sleep(0.2)  # that is not told from the start
pathlib.Path("made.py").write_text("made = 1")
pathlib.Path("unused.py").write_text("unused = 1")
pathlib.Path("conf3").mkdir(exist_ok=True)
pathlib.Path("conf3/config.yaml").write_text("a: 1")
import made

with mlflow.start_run():
    pass
"""


def test_new_code(pipeline: Project, runs: Runs, attached: Attached):
    """A new script, what it imports, wherever that lies, and settings beside it are attached."""
    for path in ("lib/deep/helper.py", "plugins/plugin.py", "é ü/x.py"):
        pipeline.write(path, "x = 1\n")
    pipeline.write("conf2/config.yaml", "a: 1\n")
    pipeline.write("new script", NEW)
    pipeline.python("new script")
    patch = last_patch(runs, attached)
    for path in ("lib/deep/helper.py", "plugins/plugin.py", "conf2/config.yaml", "made.py"):
        assert f"b/{path}\n" in patch
    for path in ("new script", "é ü/x.py"):
        assert f"b/{path}" in patch
    assert "b/unused.py" not in patch
    assert "b/conf3/config.yaml" not in patch


def test_notebook_of_a_kernel(pipeline: Project, runs: Runs, attached: Attached):
    """The notebook of a running kernel is attached, though it was saved since the kernel began."""
    save = f"import pathlib\npathlib.Path('new.ipynb').write_text({PLAIN.decode()!r})\n"
    pipeline.write(
        "run.py",
        f"import time\ntime.sleep(0.2)\n{save}{FIVE_LINES}",  # saved after the process began
    )  # saved while it runs
    pipeline.commit("kernel")
    pipeline.python("run.py")
    assert dirt(runs) == ["false"]
    (pipeline.root / "new.ipynb").unlink()
    pipeline.python("run.py", JPY_SESSION_NAME=str(pipeline.root / "new.ipynb"))
    assert dirt(runs) == ["false", "true"]
    assert "b/new.ipynb" in last_patch(runs, attached)


@pytest.mark.hosts
def test_experiments(pipeline: Project, runs: Runs, attached: Attached):
    """``-S`` sets parameters: no code. A change of code is seen, in the copies of DVC as well."""
    pipeline.dvc("exp", "run", "-S", "lr=0.5", "train")
    pipeline.git("checkout", "--quiet", "--force", ".")
    pipeline.dvc("exp", "run", "--temp", "-S", "lr=0.6", "train")
    text = (pipeline.root / "src/train.py").read_text()
    pipeline.write("src/train.py", text.replace('"x", 1)', '"x", 7)'))  # of the same size
    pipeline.dvc("exp", "run", "--temp", "-S", "lr=0.7", "train")
    assert dirt(runs) == ["false", "false", "true"]
    found = [attached(run.info.run_id) for run in runs()]
    assert [one["params.yaml"] for one in found] == [b"lr: 0.5\n", b"lr: 0.6\n", b"lr: 0.7\n"]
    assert all(
        "params.yaml" in json.loads(one["snapshot.json"])["git"]["uncommitted"] for one in found
    )
    patch = found[-1]["code.patch"].decode()
    assert '+    mlflow.log_metric("x", 7)' in patch
    assert "params.yaml" not in patch
