"""What is private of MLflow and DVC: named in one table each, looked for, and done without."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import Project

from mlflow_dvc import mlflow_api
from mlflow_dvc.dvc_backend import api
from mlflow_dvc.recall.doctor import diagnose

pytestmark = pytest.mark.hosts

NEEDS = sorted({need for _, needs in api.FEATURES.values() for need in needs})

# In a new process: take one thing away, as a newer DVC may, and tell who misses it.
TAKE_AWAY = """
import sys, types
from importlib import import_module
from mlflow_dvc.dvc_backend import api

def without(function, name):
    code = function.__code__
    names = tuple("gone" if one == name else one for one in code.co_names)
    consts = tuple("gone" if one == name else one for one in code.co_consts)
    code = code.replace(co_names=names, co_consts=consts)
    return types.FunctionType(code, function.__globals__, "other", None, function.__closure__)

def take(owner, name, parameters):
    if parameters:
        setattr(owner, name, lambda self=None: None)
    elif name in vars(owner):
        delattr(owner, name)
    else:
        owner.__init__ = without(owner.__init__, name)

need = sys.argv[1]
name, _, parameters = need.removesuffix(")").partition("(")
top, _, key = name.removesuffix("]").partition("[")
top, _, member = top.partition(".")
module, _, attribute = api._OBJECTS[top].partition(":")
owner = import_module(module)
if key:
    owner = getattr(owner, attribute)
    owner.__init__ = without(owner.__init__, key)
elif member or isinstance(getattr(owner, attribute, None), type):
    owner = getattr(owner, attribute) if attribute else owner
    take(owner, member or "__init__", parameters)
else:
    take(owner, attribute, parameters)
print([feature for feature in api.FEATURES if need in list(api.find_missing(feature))])
"""


def test_this_dvc_has_all_of_it():
    """The installed DVC, oldest or newest, lacks nothing that is used of it."""
    assert api.list_missing() == []


def test_this_mlflow_has_all_of_it():
    """The installed MLflow, oldest or newest, lacks nothing that is used of it."""
    assert list(mlflow_api.find_missing()) == []


@pytest.mark.parametrize("need", NEEDS)
def test_each_need_of_dvc_is_missed(need: str, tmp_path: Path):
    """Whatever a feature needs of DVC is missed where it is gone, by every such feature."""
    (tmp_path / "take_away.py").write_text(TAKE_AWAY)
    done = subprocess.run(
        ["python", "take_away.py", need], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == str(
        [feature for feature, (_, needs) in api.FEATURES.items() if need in needs]
    ), done.stderr


@pytest.mark.parametrize("need", mlflow_api.NEEDS, ids=lambda need: need.name)
def test_each_need_of_mlflow_is_missed(need: mlflow_api.Need, monkeypatch: pytest.MonkeyPatch):
    """Whatever is used of MLflow is missed where it is gone, or takes other parameters."""
    found = need.find()
    if found is None:
        assert not mlflow_api.is_expected(need)
        return
    owner, _ = found
    name = need.name.rpartition(".")[2]
    monkeypatch.delattr(owner, name)
    assert list(mlflow_api.find_missing()) == [need]
    monkeypatch.setattr(owner, name, lambda something_else: None, raising=False)
    assert list(mlflow_api.find_missing()) == ([need] if need.parameters else [])


# What a newer host may look like: the name is gone as soon as its module was imported.
BROKEN = """
import sys, importlib.abc, importlib.machinery
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != {module!r}:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            {take}
        spec.loader.exec_module = exec_module
        return spec
sys.meta_path.insert(0, Finder())
"""


def broken(project: Project, module: str, take: str) -> dict[str, str]:
    project.write("broken/sitecustomize.py", BROKEN.format(module=module, take=take))
    return {"PYTHONPATH": str(project.root / "broken")}


def test_without_a_part_of_dvc(pipeline: Project, runs, monkeypatch: pytest.MonkeyPatch):
    """Where DVC lacks what a part needs, that part is off with one line, and the run is as ever."""
    changed = broken(pipeline, "dvc.repo", "del module.Repo._ignore")
    before = {path.name for path in (pipeline.root / ".dvc").rglob("*")}
    done = pipeline.call("python", "run.py", **changed)
    assert done.returncode == 0
    [run] = runs()
    assert run.info.status == "FINISHED"
    assert run.data.tags["dvc.data_status"] == "unverified"
    [line] = [line for line in done.stderr.splitlines() if "mlflow-dvc" in line]
    assert "this DVC has no Repo._ignore" in line
    assert {path.name for path in (pipeline.root / ".dvc").rglob("*")} == before
    done = pipeline.cli("doctor", **changed)
    assert "host-changed" in done.stdout
    assert "this DVC has no Repo._ignore" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "take", "said"),
    [
        ("mlflow.tracking.fluent",
         "module.ActiveRun = type('ActiveRun', (module.Run,), {})", "ActiveRun.__init__"),
        ("mlflow.tracking._tracking_service.client",
         "del module.TrackingServiceClient.set_terminated", "set_terminated"),
    ],
)  # fmt: skip
def test_without_a_part_of_mlflow(pipeline: Project, module: str, take: str, said: str):
    """Where MLflow lacks what a part needs, one line says so, and ``doctor`` too."""
    changed = broken(pipeline, module, take)
    code = "import mlflow\nmlflow.MlflowClient()\n"
    pipeline.write("client.py", code)
    done = pipeline.call("python", "client.py", **changed)
    assert done.returncode == 0
    [line] = [line for line in done.stderr.splitlines() if "mlflow-dvc" in line]
    assert said in line


def test_doctor_tells(pipeline: Project, monkeypatch: pytest.MonkeyPatch):
    """``doctor`` has a finding for what a host lacks, and asks no host with ``--local``."""
    monkeypatch.chdir(pipeline.root)
    found = mlflow_api.SET_TERMINATED.find()
    assert found is not None
    monkeypatch.delattr(found[0], "set_terminated")
    told = [finding for finding in diagnose().findings if finding.rule == "host-changed"]
    assert [(finding.where, finding.level) for finding in told] == [("MLflow", "error")]
    assert "host-changed" not in diagnose(local=True).checked
