"""Every test works on real git, DVC and MLflow, in a directory and a home of its own."""

from __future__ import annotations

import fcntl
import importlib.metadata
import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import forkserver.measured
import pytest

pytest_plugins = ["servers", "remotes", "hunting", "policies", "defects"]

HOST_PREFIXES = ("MLFLOW_", "DVC_", "GIT_", "CI_", "GITHUB_", "AWS_")
HOSTS = ("mlflow", "dvc", "dvc-data", "PyYAML", "pathspec")
SERVERS = frozenset({
    "s3_server", "http_server", "mlflow_server", "team_server", "guarded_server",
})  # fmt: skip
# The Python that a new process would be, where ``sys.executable`` is a command of the fork server.
PYTHON = sys.executable
SECONDS = 600  # until a command is taken for hanging; no test is to depend on how busy a machine is


def pytest_configure(config: pytest.Config) -> None:
    """The process that collects has the fork server; those that test have its commands."""
    is_worker = hasattr(config, "workerinput")
    if not is_worker and not config.option.collectonly:
        server = forkserver.running(without_hosts(os.environ))
        os.environ["TEST_COMMANDS"] = str(server.__enter__())
        config.add_cleanup(lambda: server.__exit__(None, None, None))
    if "TEST_COMMANDS" in os.environ and (is_worker or not config.getoption("numprocesses", 0)):
        sys.executable = os.path.join(os.environ["TEST_COMMANDS"], "python")


def pytest_sessionfinish() -> None:
    """A worker that has said that it finished has ten seconds to end: too few on a busy machine."""
    forkserver.measured.keep()


def pytest_report_header() -> str:
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in HOSTS)


def without_hosts(environment: Mapping[str, str]) -> dict[str, str]:
    """Less what the developer tells MLflow, DVC, git and a cloud."""
    return {k: v for k, v in environment.items() if not k.startswith(HOST_PREFIXES)}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs a server, and no browser, is of that suite, without a word at the test; and
    all parameters of a test but the first are marked, as no host makes a difference among them."""
    seen = set()
    for item in items:
        test = item.nodeid.partition("[")[0]
        if test in seen:
            item.add_marker("again")
        seen.add(test)
        needs = SERVERS.intersection(getattr(item, "fixturenames", ()))
        if needs and not item.get_closest_marker("browser"):
            item.add_marker("servers")


def examples(number: int) -> int:
    """How many inputs to make up: this ``number`` in the fast suite, EXAMPLES in the long one."""
    return int(os.environ.get("EXAMPLES", number))


def few(*chosen: Any, of: Iterable[Any]) -> list[Any]:
    """Parameters, of which only those that are ``chosen`` are of the fast suite."""
    return [
        pytest.param(
            *(one if isinstance(one, tuple) else [one]),
            marks=() if one in chosen else pytest.mark.long,
        )
        for one in of
    ]


def missing(what: str) -> NoReturn:
    """Skip on a developer's machine; in CI a test that does not run is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}: CI must run every test")
    pytest.skip(what)


def environment(home: Path) -> dict[str, str]:
    """What the developer's home, git configuration, MLflow server, DVC remotes and cloud are hidden
    by, and what makes nothing depend on how busy the machine is."""
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "DVC_NO_ANALYTICS": "1",
        "DVC_TEST": "true",  # no process that asks for news of DVC, in every new home
        "DVC_SITE_CACHE_DIR": str(home / "dvc-site"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_DVC_WAIT": "120",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PATH": commands(),
    }


def commands(*, fresh: bool = False) -> str:
    """PATH: with the commands of the fork server first, or (``fresh``) without them."""
    folders = [os.path.dirname(PYTHON), os.environ["PATH"]]
    return os.pathsep.join(folders if fresh else [os.environ["TEST_COMMANDS"], *folders])


def make_home(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / ".gitconfig").write_text("[user]\nname=Test\nemail=test@localhost\n")


@pytest.fixture(autouse=True)
def isolated(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No test sees the developer's home, git configuration, MLflow server, DVC remotes or cloud."""
    for name in os.environ.keys() - without_hosts(os.environ).keys():
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    make_home(home)
    for name, value in environment(home).items():
        monkeypatch.setenv(name, value)
    if request.node.get_closest_marker("fresh"):
        monkeypatch.setenv("PATH", commands(fresh=True))
        monkeypatch.setattr(sys, "executable", PYTHON)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``shared(name, make)``: a folder made by the first worker process that needs it, for all."""
    top = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        top = top.parent

    def get(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = top / "shared" / name, top / "shared" / f"{name}.done"
        folder.parent.mkdir(exist_ok=True)
        with open(folder.with_name(f"{name}.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of one that did not succeed
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return get


@pytest.fixture(autouse=True)
def nothing_swallowed(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str]]:
    """What the guard swallowed fails the test, unless it is marked ``swallows``. What a process
    remembers of projects and causes is of this test alone, in whatever order they run."""
    from mlflow_dvc import guard
    from mlflow_dvc.dvc_backend import templates

    caught: list[str] = []
    real = guard.log_swallowed

    def swallowed(doing: str, error: Exception) -> None:
        caught.append(f"{doing}: {error!r}")
        real(doing, error)

    monkeypatch.setattr(guard, "log_swallowed", swallowed)
    monkeypatch.setattr(guard, "_said", set())
    monkeypatch.setattr(templates, "_asked", {})
    yield caught
    if observing := sys.modules.get("mlflow_dvc.record.observing"):
        observing.end()
    if not request.node.get_closest_marker("swallows"):
        assert caught == [], "swallowed on the automatic path"


@dataclass
class Project:
    """A directory that is a git repository, a DVC project, both or neither."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    def run(self, *command: str, cwd: Path | None = None, ok: bool = True, **env: str) -> str:
        """Run a command; its stdout. Fails the test on another exit code than 0 (with ``ok``)."""
        done = self.call(*command, cwd=cwd, **env)
        if ok:
            assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def call(
        self, *command: str, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=cwd or self.root,
            env=os.environ | self.env | env,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",  # git quotes what it warns of as it is
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=SECONDS,
        )

    def git(self, *words: str) -> str:
        return self.run("git", *words).strip()

    def dvc(self, *words: str, **env: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *words, **env)

    def python(self, script: str, *words: str, cwd: Path | None = None, **env: str) -> str:
        """Run a Python file; anything our plugin logs fails the test."""
        done = self.call(sys.executable, script, *words, cwd=cwd, **env)
        assert done.returncode == 0, done.stderr
        assert "mlflow-dvc" not in done.stderr, done.stderr
        return done.stdout

    def cli(
        self, *words: str, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return self.call(sys.executable, "-m", "mlflow_dvc", *words, cwd=cwd, **env)

    def write(self, path: str, content: str | bytes) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            target.write_text(content, encoding="utf-8")
        return target

    def commit(self, message: str = "change") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def lock(self, path: str = "dvc.lock") -> dict[str, str]:
        """Path and hash of every output in a lock file, by the plainest reading there is."""
        import yaml

        raw = yaml.safe_load((self.root / path).read_text(encoding="utf-8"))
        outs = [out for stage in raw["stages"].values() for out in stage.get("outs", [])]
        return {out["path"]: out["md5"] for out in outs}


@pytest.fixture
def directory(tmp_path: Path) -> Project:
    """An empty directory that is nothing yet."""
    root = tmp_path / "project"
    root.mkdir()
    return Project(root)


@pytest.fixture
def make_project(tmp_path: Path, started: Path) -> Callable[..., Project]:
    """``make_project("name", git=True, dvc=True)``: a fresh project in the test's directory."""

    def make(name: str = "project", *, git: bool = True, dvc: bool = True) -> Project:
        project = Project(tmp_path / name)
        if git and dvc:
            shutil.copytree(started, project.root, dirs_exist_ok=True)
            return project
        project.root.mkdir(parents=True, exist_ok=True)
        if dvc:
            project.dvc("init", "--quiet", "--no-scm")
        if git:
            project.git("init", "--quiet", "--initial-branch=main")
            project.commit("start")
        return project

    return make


@pytest.fixture(scope="session")
def initialised(shared: Callable[..., Path]) -> Path:
    """A git and DVC project without a commit, to be copied."""

    def make(folder: Path) -> None:
        make_home(folder / "home")
        project = Project(folder / "project", environment(folder / "home"))
        project.root.mkdir()
        project.git("init", "--quiet", "--initial-branch=main")
        project.dvc("init", "--quiet")

    return shared("initialised", make) / "project"


@pytest.fixture(scope="session")
def started(shared: Callable[..., Path], initialised: Path) -> Path:
    """The same with a first commit."""

    def make(folder: Path) -> None:
        make_home(folder / "home")
        shutil.copytree(initialised, folder / "project")
        Project(folder / "project", environment(folder / "home")).commit("start")

    return shared("started", make) / "project"


PIPELINE = """\
stages:
  prepare:
    cmd: python src/prepare.py
    deps: [data/raw.csv, src/prepare.py]
    outs: [data/prepared.csv, data/parts]
  train:
    cmd: python src/train.py
    deps: [data/prepared.csv, src/train.py]
    params: [lr]
    outs: [models/model.txt]
    metrics: [{metrics.json: {cache: false}}]
  report:
    cmd: python src/report.py
    deps: [models/model.txt]
    outs: [report.txt]
"""
PREPARE = """\
from pathlib import Path

text = Path("data/raw.csv").read_text()
Path("data/prepared.csv").write_text(text * 2)
Path("data/parts").mkdir()
for number, line in enumerate(text.splitlines()):
    Path(f"data/parts/{number}.csv").write_text(line)
"""
TRAIN = """\
import mlflow
from pathlib import Path

with mlflow.start_run() as run:
    mlflow.log_metric("x", 1)
Path("models").mkdir(exist_ok=True)
Path("models/model.txt").write_text("model of " + Path("data/prepared.csv").read_text())
Path("metrics.json").write_text('{"x": 1}')
"""
REPORT = """\
from pathlib import Path

Path("report.txt").write_text("report on " + Path("models/model.txt").read_text())
"""
FIVE_LINES = """\
import mlflow

with mlflow.start_run():
    mlflow.log_metric("x", 1)
"""


def lay_out(project: Project) -> None:
    """A pipeline of three stages, not run yet: raw.csv, prepare, train (which logs), report."""
    project.write("dvc.yaml", PIPELINE)
    project.write("params.yaml", "lr: 0.1\n")
    project.write("src/prepare.py", PREPARE)
    project.write("src/train.py", TRAIN)
    project.write("src/report.py", REPORT)
    project.write("run.py", FIVE_LINES)
    project.write("data/raw.csv", "a,b\n1,2\n")
    project.write(".gitignore", "/mlflow.db\n/mlruns/\n")
    project.dvc("add", "--quiet", "data/raw.csv")
    project.commit("pipeline")


@pytest.fixture(scope="session")
def reproduced_once(shared: Callable[..., Path], started: Path) -> Path:
    """The pipeline after one ``dvc repro`` in which nothing was recorded; tests take a copy."""

    def make(folder: Path) -> None:
        home = folder / "home"
        make_home(home)
        nothing = {"MLFLOW_DVC_ENABLED": "0", "MLFLOW_TRACKING_URI": f"file:{home}/mlruns"}
        project = Project(folder / "project", environment(home) | nothing)
        shutil.copytree(started, project.root)
        lay_out(project)
        project.dvc("repro")
        project.commit("reproduced")

    return shared("reproduced", make) / "project"


@pytest.fixture
def pipeline(reproduced_once: Path, tmp_path: Path, tracking_uri: str) -> Project:
    """The three-stage pipeline, reproduced and committed, with an MLflow store of its own."""
    root = tmp_path / "project"
    shutil.copytree(reproduced_once, root, symlinks=True)
    project = Project(root)
    project.git("update-index", "-q", "--refresh")
    return project


@pytest.fixture(scope="session")
def empty_database(shared: Callable[..., Path]) -> Path:
    """An MLflow database without runs: making one takes MLflow seconds."""

    def make(folder: Path) -> None:
        uri = f"sqlite:///{folder}/mlflow.db"
        project = Project(folder, environment(folder) | {"MLFLOW_TRACKING_URI": uri})
        code = "import mlflow; mlflow.MlflowClient().search_experiments()"
        project.python(str(project.write("make.py", code)))

    return shared("database", make) / "mlflow.db"


@pytest.fixture(params=["sqlite"])
def tracking_uri(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    empty_database: Path,
) -> Iterator[str]:
    """An empty MLflow store, chosen for this process and its children; ``both_stores`` for both."""
    import mlflow

    if request.param == "sqlite":
        shutil.copy(empty_database, tmp_path / "mlflow.db")
        uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    else:
        uri = (tmp_path / "mlruns").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    name = "tests"
    artifacts = (tmp_path / "artifacts").as_uri()
    experiment = mlflow.MlflowClient().create_experiment(name, artifact_location=artifacts)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    yield uri
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(None)


both_stores = pytest.mark.parametrize("tracking_uri", ["sqlite", "file"], indirect=True)


@pytest.fixture
def project(initialised: Path, tmp_path: Path) -> Project:
    """A new project of git and DVC without a commit."""
    shutil.copytree(initialised, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


@pytest.fixture
def runs(tracking_uri: str) -> Callable[[], list[object]]:
    """``runs()``: every run of the store, oldest first."""
    import mlflow

    def read() -> list[object]:
        client = mlflow.MlflowClient(tracking_uri)
        experiments = [found.experiment_id for found in client.search_experiments()]
        return list(client.search_runs(experiments, order_by=["attributes.start_time ASC"]))

    return read


@pytest.fixture
def attached(tracking_uri: str, tmp_path: Path) -> Callable[[str], dict[str, bytes]]:
    """``attached(run_id)``: every file of the record, by its path below ``dvc/``."""
    import mlflow

    def read(run_id: str) -> dict[str, bytes]:
        client = mlflow.MlflowClient(tracking_uri)
        if not any(entry.path == "dvc" for entry in client.list_artifacts(run_id)):
            return {}
        target = tmp_path / "downloaded" / run_id
        target.mkdir(parents=True, exist_ok=True)
        root = Path(client.download_artifacts(run_id, "dvc", str(target)))
        return files_of_record(root)

    return read


def files_of_record(root: Path) -> dict[str, bytes]:
    """What lies below ``root``, by its path there, with what lies in its archives."""
    apart = {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
    found: dict[Path, bytes] = {}
    for path in [path for path in apart if path.name == "project.zip"]:
        with zipfile.ZipFile(io.BytesIO(apart.pop(path))) as archive:
            found |= {path.parent / name: archive.read(name) for name in archive.namelist()}
    found |= apart
    return {path.relative_to(root).as_posix(): found[path] for path in found}
