"""The cut of the package: who may import whom, and what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import mlflow_dvc

pytestmark = pytest.mark.hosts

PACKAGE = Path(mlflow_dvc.__file__).parent
# Lowest first; what stands on one line may import one another only within the same package.
LAYERS = [
    ["visible_text"],
    [
        "_version",
        "settings",
        "user_cache",
        "enumeration",
        "fingerprint",
        "paths",
        "mlflow_api",
        "module_finder",
        "entry_script",
        "limits",
        "program",
        "progress",
        "scratch_folder",
        "thread_pool",
    ],
    ["hidden_shell", "wrapped_methods"],
    ["process"],
    ["secrets"],
    ["errors", "guard", "project", "addresses", "foreign_values"],
    ["snapshot", "snapshot_file", "observe"],
    ["tags"],
    ["git"],
    ["dvc_backend"],
    ["dvcfiles"],
    ["capture"],
    ["tracking"],
    ["datasets", "report"],
    ["record", "recall"],
    ["cli", "gate"],
]
SLOW = {
    "dvc",
    "dvc_data",
    "pandas",
    "rich",
    "git",
    "pygit2",
    "dulwich",
    "scmrepo",
    "mlflow",
    "detect_secrets",
}
MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if "demo" not in path.relative_to(PACKAGE).parts
)


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


TREES = {name_of(path): ast.parse(path.read_text("utf-8")) for path in MODULES}


def level(module: str) -> int:
    top = module.split(".")[1]
    return next(number for number, names in enumerate(LAYERS) if top in names)


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def modules_in(tree: ast.AST) -> Iterator[str]:
    """Each module that is imported, as ``from package import module`` too."""
    for name in imported(tree):
        yield name if name in TREES else name.rpartition(".")[0]


def at_module_level(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(node)


def test_imports_go_down():
    """A module imports only from layers below its own; record and recall not from one another."""
    wrong = []
    for name, tree in TREES.items():
        if name in ("mlflow_dvc", "mlflow_dvc.__main__"):
            continue
        for other in imported(tree):
            if not other.startswith("mlflow_dvc."):
                continue
            same = name.split(".")[1] == other.split(".")[1]
            if not same and level(other) >= level(name):
                wrong.append(f"{name} imports {other}")
    assert wrong == []


def test_no_circles():
    """No module needs itself, by whatever way round, even inside functions."""
    needs = {name: set(modules_in(tree)) & TREES.keys() - {name} for name, tree in TREES.items()}
    assert list(TopologicalSorter(needs).static_order())


def test_nothing_slow_at_module_level():
    """Hosts and slow libraries are imported where they are used; MLflow only by its entry point."""
    allowed = {
        "mlflow_dvc.record": {"mlflow"},
        "mlflow_dvc.record.run_context": {
            "mlflow.tracking.context.abstract_context.RunContextProvider"
        },
        "mlflow_dvc.gate": {"mlflow"},
        "mlflow_dvc.gate.run_context": {
            "mlflow.tracking.context.abstract_context.RunContextProvider"
        },
        "mlflow_dvc.datasets": {"mlflow"},
        "mlflow_dvc.datasets.source": {"mlflow.data.dataset_source.DatasetSource"},
        "mlflow_dvc.datasets.dataset": {"mlflow.data.dataset.Dataset"},
    }
    found = {
        name: {other for other in at_module_level(tree) if other.split(".")[0] in SLOW}
        for name, tree in TREES.items()
    }
    assert {name: others for name, others in found.items() if others} == allowed


def test_one_seam_per_host():
    """DVC is imported in ``dvc_backend`` alone; tag names are spelt in ``tags`` alone."""
    names = {"git_sha", "git_branch", "dvc.out.", "dvc.hashes", "dvc.data_version"}
    for name, tree in TREES.items():
        if not name.startswith("mlflow_dvc.dvc_backend"):
            hosts = {other.split(".")[0] for other in imported(tree)}
            assert not hosts & {"dvc", "dvc_data"}, name
        if name != "mlflow_dvc.tags":
            words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
            assert not words & names, name


def test_every_module_can_be_imported():
    """No module needs a Python or a library that the oldest supported environment lacks."""
    for name in TREES:
        if not name.endswith("__main__"):
            assert import_module(name)


def test_scripts_follow():
    """What benchmarks, examples and the scripts of the documents import of the package is there."""
    for folder in ("benchmarks", "docs", "examples"):
        for path in (PACKAGE.parent / folder).rglob("*.py"):
            for name in imported(ast.parse(path.read_text("utf-8"))):
                if name.startswith("mlflow_dvc."):
                    module, _, last = name.rpartition(".")
                    assert name in TREES or hasattr(import_module(module), last), (path, name)


@pytest.mark.fresh
@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import mlflow_dvc", {"mlflow", "dvc", "yaml", "click"}),
        ("import mlflow_dvc; dir(mlflow_dvc); mlflow_dvc.Snapshot", {"mlflow", "dvc", "yaml"}),
        ("from mlflow_dvc.cli.main import cli; cli(['--help'], standalone_mode=False)",
         {"mlflow", "dvc", "yaml", "rich"}),
        ("from mlflow_dvc.cli.main import cli; cli(['status', '--json'], standalone_mode=False)",
         {"mlflow", "dvc", "dvc_data", "git", "rich"}),
        ("from mlflow_dvc.cli.main import cli; cli(['status'], standalone_mode=False)",
         {"mlflow", "dvc", "dvc_data", "git"}),
        ("from mlflow_dvc.cli.main import cli; cli(['doctor', '--local'], standalone_mode=False)",
         {"mlflow", "dvc", "dvc_data", "git"}),
    ],
)  # fmt: skip
def test_light_imports(code: str, absent: set[str], make_project):
    """``import mlflow_dvc``, ``--help``, ``status`` and ``doctor --local`` import no host."""
    project = make_project()
    check = f"""
import sys
try:
    exec({code!r})
except SystemExit:
    pass
print(sorted({absent!r} & set(sys.modules)))
"""
    assert project.run(sys.executable, "-c", check).splitlines()[-1] == "[]"


@pytest.mark.fresh
@pytest.mark.parametrize(
    "first",
    [
        "import mlflow",
        "import mlflow_dvc; import mlflow",
        "import mlflow_dvc.record.run_context",
        "import mlflow_dvc.record.hooks",
        "import mlflow_dvc.record.write_record",
        "from mlflow_dvc.record.run_context import DvcRunContext",
        "from mlflow_dvc import search, show, status",
    ],
)
def test_any_order_of_imports(first: str, tmp_path: Path):
    """Whatever is imported first, MLflow has the plugin and warns of nothing."""
    code = f"""
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    {first}
    import mlflow
from mlflow.tracking.context.registry import _run_context_provider_registry as registry
print([type(provider).__name__ for provider in registry].count("DvcRunContext"))
print([str(w.message) for w in caught if "context provider" in str(w.message)])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-2:] == ["1", "[]"]


def test_public_names():
    """Every public name can be had from the package, and no other."""
    for name in mlflow_dvc.__all__:
        assert getattr(mlflow_dvc, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mlflow_dvc.nothing


# Where no code of the user's runs beside ours: the command line, and what it asks for.
STARTS = {
    "process": {"Popen"},
    "git.run": {"Popen"},  # waited for at once, where nobody else can
    "recall.doctor.environment": {"run"},
    "recall.reproduce": {"run"},
    "cli.demo_story": {"Popen", "run"},
    "scratch_folder": {"mkdtemp"},
    "dvc_backend.storage.unfinished": {"mkdtemp"},  # it stays: the user gets its path
}


def test_what_the_host_could_see():
    """What ``os.wait`` or a forked child would meet is made in the modules that know of it."""
    found: dict[str, set[str]] = {}
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if is_call and isinstance(node.func.value, ast.Name):
                owner, made = node.func.value.id, node.func.attr
                if (owner, made) in {
                    ("subprocess", "Popen"),
                    ("subprocess", "run"),
                    ("tempfile", "mkdtemp"),
                    ("tempfile", "TemporaryDirectory"),
                }:
                    found.setdefault(name.removeprefix("mlflow_dvc."), set()).add(made)
    assert found == STARTS
