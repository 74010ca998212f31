"""What spoils a record is found, each by its own rule; a sound project has no finding."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import PYTHON, Project, both_stores
from defects import LOCAL, SERVER, Defect, edit, found_in, log, object_of, publish, rules_of

import mlflow_dvc
from mlflow_dvc.recall.doctor import diagnose, undeclared
from mlflow_dvc.recall.doctor.environment import SUPPORTED_VERSIONS
from mlflow_dvc.recall.doctor.rules import RULES

ROOT = Path(__file__).parents[2]
BY_NAME = {rule.name: rule for rule in RULES}


@pytest.mark.hosts
def test_sound_project(sound: Project, tracking_uri: str):
    """In a sound project nothing is found, by whatever rule, and nothing is written."""
    before = sound.git("status", "--porcelain", "--ignored")
    examined = diagnose(str(sound.root), tracking_uri=tracking_uri)
    assert examined.findings == ()
    assert examined.checked == tuple(BY_NAME)
    assert sound.git("status", "--porcelain", "--ignored") == before


def test_subfolder(sound: Project):
    """From a folder below, the project around it is examined."""
    sound.write(".dvc/config", "")
    publish(sound)
    [finding] = mlflow_dvc.doctor(str(sound.root / "src"), local=True)
    assert (finding.rule, finding.where) == ("no-remote", ".dvc/config")


# --- defects that are seen without asking anybody ----------------------------------------------


@pytest.mark.parametrize(
    ("rule", "where", "spoil"), [pytest.param(*row, id=row[2].__name__) for row in LOCAL]
)
def test_defect(
    rule: str, where: str, spoil: Defect, sound: Project, monkeypatch: pytest.MonkeyPatch
):
    """A defect is told by its own rule alone, with the place, the reason and the fix."""
    spoil(sound, monkeypatch)
    [finding] = found_in(sound, local=True)
    assert (finding.rule, finding.level) == (rule, BY_NAME[rule].level)
    assert finding.where in (where, str(sound.root) if where == "." else where)
    assert finding.what
    assert finding.why
    assert finding.fix


# --- what is no defect -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "stage"),
    [
        ("open('params.yaml')", "params: [lr]"),
        ("open('params.yaml')", "params: [{other.yaml: [lr]}]"),
        ("open('params.yaml')", "deps: [src/x.py, params.yaml]"),
        ("open('conf/params.yaml')", "deps: [src/x.py, conf]"),
        ("print('params.yaml')", ""),
        ("def broken(:\n    open('params.yaml')", ""),
        ("'\\d'; open('data.yaml')", ""),
    ],
)
def test_params_are_declared(sound: Project, script: str, stage: str):
    """A script whose stage declares params, or the file, or that opens none, is no finding."""
    sound.write("src/x.py", script + "\n")
    sound.write("params.yaml", "lr: 0.1\n")
    deps = "" if stage.startswith("deps") else "    deps: [src/x.py]\n"
    text = (sound.root / "dvc.yaml").read_text()
    sound.write("dvc.yaml", f"{text}  x:\n    cmd: python src/x.py\n{deps}    {stage}\n")
    publish(sound)
    assert rules_of(found_in(sound, local=True)) == ["never-run"]


@pytest.mark.parametrize(
    ("command", "is_found"),
    [
        ("python src/x.py", True),
        ("python3 -u ./src/x.py --rate 1 && echo done", True),
        ("[mkdir -p a, python src/x.py]", True),
        ("FOO=1 python -m src.x", True),
        ("(python src/x.py)", True),
        ("'python src/x.py; true'", True),
        ("cd src && python x.py", False),
        ("python /usr/lib/x.py", False),
        ("python -m pytest", False),
        ("'echo \"no end'", False),
    ],
)
def test_script_in_a_command(sound: Project, command: str, is_found: bool):
    """The script of a stage is the first in its command that lies in the project."""
    sound.write("src/x.py", "")
    text = (sound.root / "dvc.yaml").read_text()
    sound.write("dvc.yaml", f"{text}  x:\n    cmd: {command}\n    deps: [params.yaml]\n")
    publish(sound)
    found = rules_of(found_in(sound, local=True))
    assert found == (["script-not-declared"] if is_found else []) + ["never-run"]


@pytest.mark.hosts
def test_templates(sound: Project):
    """Stages of a template are judged as DVC fills it in."""
    each = "  e:\n    foreach: [a]\n    do:\n      cmd: python src/${item}.py\n      deps: [src]\n"
    text = (sound.root / "dvc.yaml").read_text()
    sound.write("src/a.py", "open('params.yaml')\n")
    sound.write("dvc.yaml", text + each)
    publish(sound)
    [first, second] = found_in(sound, local=True)
    assert (first.rule, first.where) == ("params-not-declared", "e@a")
    assert second.rule == "never-run"
    assert "e@a" in second.what


def test_many_at_once(sound: Project):
    """Stages that were never run are told in one line for each dvc.yaml."""
    text = (sound.root / "dvc.yaml").read_text()
    more = "".join(f"  s{number}:\n    cmd: echo\n" for number in range(9))
    sound.write("dvc.yaml", text + more)
    publish(sound)
    [finding] = found_in(sound, local=True)
    assert finding.what == "dvc.lock has no entry of s0, s1, s2 and 6 more"


def test_remote_of_the_user(sound: Project):
    """A default remote in the user's own settings of DVC is one."""
    sound.write(".dvc/config", "")
    publish(sound)
    assert rules_of(found_in(sound, local=True)) == ["no-remote"]
    sound.dvc("remote", "add", "--quiet", "--global", "-d", "mine", "../storage")
    assert found_in(sound, local=True) == []


def test_server_in_the_script(sound: Project, monkeypatch: pytest.MonkeyPatch):
    """Where a stage's script names the server, the variable is not missed."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    edit(
        sound,
        "src/train.py",
        "import mlflow\n",
        f"import mlflow\nmlflow.set_tracking_uri('{SERVER}')\n",
    )
    assert found_in(sound, local=True) == []


def test_no_server_to_ask(sound: Project, monkeypatch: pytest.MonkeyPatch):
    """What needs a server is not said to be looked at where none is named."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    examined = diagnose(str(sound.root))
    assert examined.passed_over == ("server-unreachable", "unsealed")
    assert not set(examined.passed_over) & set(examined.checked)
    assert diagnose(str(sound.root), local=True).passed_over == ()
    done = sound.cli("doctor", "--skip", "no-server", MLFLOW_TRACKING_URI="")
    assert "names no server: server-unreachable, unsealed" in done.stderr


def test_without_dvc(make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch):
    """In a git repository without DVC only the code and the environment are judged."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", SERVER)
    project = make_project(dvc=False)
    assert rules_of(found_in(project, local=True)) == ["no-git-remote"]


def test_other_projects_files(sound: Project):
    """Files of a project below, of an environment and of MLflow's store are none of this one's."""
    for folder in ("below/.dvc", "env/pkg", "store/1/artifacts/dvc"):
        (sound.root / folder).mkdir(parents=True)
        sound.write(f"{folder.removesuffix('/.dvc')}/dvc.yaml", "stages: {}\n")
    sound.write("env/pyvenv.cfg", "")
    edit(sound, ".gitignore", "/mlruns/", "/mlruns/\n/below/\n/env/\n/store/")
    assert found_in(sound, local=True) == []


# --- this environment --------------------------------------------------------------------------


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``packages(mlflow="2.13.2")``: what seems to be installed, beside the plugin or alone."""
    mlflow_dvc.doctor(str(ROOT), local=True)  # every module of ours is imported by now

    def install(*, plugin: bool = True, **versions: str) -> None:
        site = tmp_path / "site"
        for name, version in versions.items():
            folder = site / f"{name}-{version}.dist-info"
            folder.mkdir(parents=True)
            (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
        if plugin:
            folder = site / "mlflow_dvc-1.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text("Name: mlflow-dvc\nVersion: 1\n")
            (folder / "entry_points.txt").write_text(
                "[mlflow.run_context_provider]\ndvc = mlflow_dvc.record.run_context:DvcRunContext\n"
            )
        monkeypatch.setattr(sys, "path", [sysconfig.get_path("stdlib"), str(site)])

    return install


@pytest.mark.hosts
@pytest.mark.parametrize(
    ("rule", "where", "versions"),
    [
        ("host-too-old", "MLflow", {"mlflow": "2.13.2", "dvc": "3.50.0"}),
        ("host-too-old", "DVC", {"mlflow": "2.14.0", "dvc": "3.49.0"}),
        ("host-too-old", "DVC", {"mlflow": "3.17.2"}),
        ("host-untested", "MLflow", {"mlflow": "4.0.0rc1", "dvc": "3.67.1"}),
        ("host-untested", "DVC", {"mlflow_skinny": "3.1", "dvc": "4.1"}),
        (None, "", {"mlflow": "2.14.0", "dvc": "3.50.0"}),
        (None, "", {"mlflow": "3.99.dev0", "dvc": "3.99"}),
    ],
)
def test_versions(sound: Project, packages: Callable[..., None], rule, where, versions):
    """A host that is missing, too old or newer than any that was tested is told."""
    packages(**versions)
    found = [(finding.rule, finding.where) for finding in found_in(sound, local=True)]
    assert found == ([(rule, where)] if rule else [])


@pytest.mark.hosts
def test_not_installed(sound: Project, packages: Callable[..., None]):
    """Where MLflow finds no entry point of ours, runs get no record."""
    packages(plugin=False, mlflow="3.1", dvc="3.60")
    [finding] = found_in(sound, local=True)
    assert (finding.rule, finding.where) == ("plugin-not-loaded", sys.executable)
    assert "pip install mlflow-dvc" in finding.fix


def test_another_python(sound: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A stage that runs in an environment without the plugin is found, whoever asks."""
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    other = tmp_path / "venv" / "bin"
    monkeypatch.setenv("PATH", os.pathsep.join([str(other), os.environ["PATH"]]))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert found_in(sound, local=True) == [], "without MLflow nothing starts runs there"
    [site] = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "mlflow-3.1.dist-info").mkdir()
    (site / "mlflow-3.1.dist-info/METADATA").write_text("Name: mlflow\nVersion: 3.1\n")
    [finding] = found_in(sound, local=True)
    assert (finding.rule, finding.where) == ("plugin-not-loaded", str(other / "python"))


def test_supported_range_is_documented():
    """The range that is judged by is what setup.py asks for and the README says."""
    setup = (ROOT / "setup.py").read_text("utf-8")
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    for name, (floor, ceiling) in SUPPORTED_VERSIONS.items():
        least = ".".join(map(str, floor))
        newest = "3.13" if name == "Python" else "3.x"
        assert f"{name} {least} to {newest}" in readme
        assert ceiling == ((3, 14) if name == "Python" else (4,))
        asked = (
            f'python_requires=">={least}"' if name == "Python" else f'"{name.lower()}>={least}.0"'
        )
        assert asked in setup


# --- what a server or a remote must be asked ---------------------------------------------------


@pytest.mark.hosts
def test_not_pushed(at_server: Project):
    """Data that is in the cache and not on the default remote is told, by its path."""
    value = at_server.lock()["models/model.txt"]
    object_of(at_server.root.parent / "storage", value).unlink()
    [finding] = found_in(at_server)
    assert (finding.rule, finding.where, finding.fix) == (
        "not-pushed", "models/model.txt", "dvc push",
    )  # fmt: skip
    assert finding.what == f"{value[:8]} is not on remote storage"
    assert found_in(at_server, local=True) == []


@pytest.mark.hosts
def test_not_pushed_in_a_folder(at_server: Project):
    """A folder is told where one of its files is not on the remote, though its listing is."""
    listing = object_of(at_server.root / ".dvc/cache", at_server.lock()["data/parts"])
    value = json.loads(listing.read_text())[0]["md5"]
    object_of(at_server.root.parent / "storage", value).unlink()
    [finding] = found_in(at_server)
    assert (finding.rule, finding.where) == ("not-pushed", "data/parts")
    assert "1 of the 3 objects" in finding.what


@pytest.mark.hosts
def test_lost(at_server: Project):
    """Data that neither the remote nor the cache has is told as lost, and not twice."""
    value = at_server.lock()["models/model.txt"]
    for store in (at_server.root.parent / "storage", at_server.root / ".dvc/cache"):
        object_of(store, value).unlink()
    [finding] = found_in(at_server)
    assert (finding.rule, finding.where) == ("lost", "models/model.txt")


@pytest.mark.parametrize("flag", ["push: false", "cache: false"])
def test_not_meant_to_be_pushed(at_server: Project, flag: str):
    """An output that DVC does not push is not missed on the remote."""
    object_of(at_server.root.parent / "storage", at_server.lock()["report.txt"]).unlink()
    assert rules_of(found_in(at_server)) == ["not-pushed"]
    edit(at_server, "dvc.yaml", "outs: [report.txt]", f"outs: [{{report.txt: {{{flag}}}}}]")
    assert found_in(at_server) == []


def test_remote_of_an_output(at_server: Project):
    """An output with a remote of its own is looked for there."""
    at_server.dvc("remote", "add", "--quiet", "other", "../other")
    edit(at_server, "dvc.yaml", "outs: [report.txt]", "outs: [{report.txt: {remote: other}}]")
    [finding] = found_in(at_server)
    assert (finding.rule, finding.where) == ("not-pushed", "report.txt")
    assert "remote other" in finding.what
    at_server.dvc("push", "--quiet")
    assert found_in(at_server) == []


def test_nothing_is_touched(at_server: Project):
    """What lies damaged in a cache or on a remote is left there: looking writes nothing."""
    value = at_server.lock()["models/model.txt"]
    for store in (at_server.root.parent / "storage", at_server.root / ".dvc/cache"):
        where = object_of(store, value)
        where.chmod(0o644)
        where.write_text("damaged")
    found_in(at_server)
    for store in (at_server.root.parent / "storage", at_server.root / ".dvc/cache"):
        assert object_of(store, value).read_text() == "damaged"


def test_unreachable_remote(at_server: Project):
    """A remote that does not answer is a finding, not a crash."""
    edit(at_server, ".dvc/config", "url = ../../storage", "url = nothing://of/the/kind")
    [finding] = found_in(at_server)
    assert finding.rule == "remote-unreachable"
    assert "storage" in finding.what


@pytest.mark.hosts
@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "postgresql://127.0.0.1:9/x", "odd://x"])
def test_unreachable_server(sound: Project, uri: str):
    """A tracking server that does not answer is a finding, not a crash."""
    [finding] = found_in(sound, tracking_uri=uri)
    assert (finding.rule, finding.where) == ("server-unreachable", uri)


def test_no_password_is_told(sound: Project):
    """What is told of a server that does not answer has no password in it."""
    [finding] = found_in(sound, tracking_uri="http://me:secret@127.0.0.1:9")
    assert finding.where == "http://127.0.0.1:9"
    assert "secret" not in finding.what


def test_store_not_made_yet(sound: Project, tmp_path: Path):
    """A database that the first run will make has no runs; it is not made by looking."""
    path = tmp_path / "later.db"
    assert found_in(sound, tracking_uri=f"sqlite:///{path}") == []
    assert not path.exists()


@pytest.mark.hosts
@both_stores
def test_unsealed_runs(at_server: Project):
    """Finished runs of a stage that were not held against the lock yet are counted."""
    log(at_server, "train", "none")
    log(at_server, "train", "confirmed")
    log(at_server, "train", "provisional")
    [finding] = found_in(at_server)
    assert (finding.rule, finding.where, finding.fix) == ("unsealed", "train", "mlflow-dvc sync")
    assert "2 finished runs" in finding.what
    assert found_in(at_server, local=True) == []


def test_undeclared_reads(at_server: Project):
    """What the newest run of a stage read and the stage does not declare yet is named."""
    log(at_server, "train", "confirmed", reads="data/old.csv")
    log(at_server, "train", "confirmed", reads="labels.json\nsrc/train.py\nand 3 more")
    [finding] = found_in(at_server)
    assert (finding.rule, finding.where) == ("undeclared-read", "train")
    assert "read labels.json, which" in finding.what
    assert finding.fix == "Under its deps in dvc.yaml: - labels.json"
    assert found_in(at_server, local=True) == []


PIPELINES = {
    "stages:\n  train:\n    cmd: a\n    deps: [x, y]  # two\n": (
        "    deps: [x, y, 'a b: c']  # two\n"
    ),
    "stages:\n  train:\n    cmd: a\n    deps:\n      - x\n      # last\n    outs: [m]\n": (
        "      - x\n      - 'a b: c'\n      # last\n"
    ),
    "stages:\n  train:\n    cmd: a\n    deps:\n    - x": "    - x\n    - 'a b: c'\n",
    "stages:\n  train:\n    cmd: a\n": "    deps:\n      - 'a b: c'\n    cmd: a\n",
}
NOT_TOLD = [
    "stages:\n  train:\n    foreach: [1]\n    do: {cmd: a}\n",
    "stages: {train: {cmd: a}}\n",
    "stages:\n  other: {cmd: a}\n",
    "stages:\n  train:\n    cmd: a\n    deps: ${all}\n",
    "stages: [\n",
]


@pytest.mark.parametrize("text", PIPELINES)
def test_one_dep_more(text: str):
    """A dependency is added in the style of the file, and nothing else is changed."""
    after = undeclared._with_dep(text, "train", "a b: c")
    assert after is not None
    assert PIPELINES[text] in after
    deps = yaml.safe_load(text)["stages"]["train"].get("deps", [])
    assert yaml.safe_load(after)["stages"]["train"]["deps"] == [*deps, "a b: c"]


@pytest.mark.parametrize("text", NOT_TOLD)
def test_nowhere_to_add_it(text: str):
    """Where the text does not show where it belongs, nothing is changed."""
    assert undeclared._with_dep(text, "train", "x") is None


def test_runs_that_are_none_of_it(at_server: Project):
    """Failed runs, runs of other projects, and older ones below a confirmed run are no finding."""
    log(at_server, "train", "none", status="FAILED")
    log(at_server, "train", "none", sha="0" * 40)
    log(at_server, "train", "none", sha="--all")
    log(at_server, "of-another-project", "none")
    log(at_server, "prepare", "provisional")
    log(at_server, "prepare", "confirmed")
    assert found_in(at_server) == []


# --- the command -------------------------------------------------------------------------------


def test_every_rule_is_tested():
    """Each rule has a defect in a test, and a name, a reason and a subject of its own."""
    tests = [Path(__file__), ROOT / "tests/defects.py", ROOT / "tests/test_host_api.py"]
    text = "".join(path.read_text("utf-8") for path in tests)
    assert len(BY_NAME) == len(RULES)
    for name in BY_NAME:
        assert f'"{name}"' in text


@pytest.mark.hosts
def test_command(sound: Project, monkeypatch: pytest.MonkeyPatch):
    """``doctor`` exits with 0 where nothing is wrong, else with 1, and tells what and the fix."""
    done = sound.cli("doctor", "--local")
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing wrong" in done.stderr
    sound.write(".dvc/config", "")
    publish(sound)
    done = sound.cli("doctor", "--local")
    assert done.returncode == 1
    [heading, *lines] = done.stdout.splitlines()
    assert heading == "error  no-remote"
    assert [line.split()[0] for line in lines if line] == ["where", "why", "fix"]
    assert "1 error, 0 notes" in done.stderr


@pytest.mark.hosts
def test_json(sound: Project):
    """``--json`` has every finding with its fields, and the rules that were looked at."""
    sound.write(".dvc/config", "")
    publish(sound)
    done = sound.cli("doctor", "--local", "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert list(answer) == ["schema", "findings", "checked"]
    assert answer["schema"] == 1
    assert answer["checked"] == [rule.name for rule in RULES if not rule.asks]
    [finding] = answer["findings"]
    assert list(finding) == ["rule", "level", "where", "what", "why", "fix"]


def test_no_project(directory: Project):
    """With neither git nor DVC there is no answer: exit code 2."""
    done = directory.cli("doctor")
    assert done.returncode == 2
    assert "neither a git repository nor a DVC project" in done.stderr
    with pytest.raises(mlflow_dvc.MlflowDvcError):
        found_in(directory)


def test_hostile_names(sound: Project, monkeypatch: pytest.MonkeyPatch):
    """What a project's files are called neither steers the terminal nor becomes a command."""
    name = "\x1b[31m[bold]$(touch owned)\n.csv"
    sound.write(f"data/{name}.dvc", "outs: []\n")
    done = sound.cli("doctor", "--local")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr
    assert "[bold]" in done.stdout
    [finding] = found_in(sound, local=True)
    assert finding.rule == "dvc-file-uncommitted"
    sound.run("sh", "-c", f"{finding.fix} --quiet --message data")
    assert not (sound.root / "owned").exists()
    assert rules_of(found_in(sound, local=True)) == ["head-not-pushed"]


def test_skip(sound: Project):
    """A rule that is skipped is not looked at; one that there is not is named, with the nearest."""
    sound.commit("not pushed")
    skipped = mlflow_dvc.doctor(str(sound.root), local=True, skip=["head-not-pushed"])
    assert skipped == []
    done = sound.cli("doctor", "--local", "--skip", "head-not-pushd")
    assert (done.returncode, "Is it head-not-pushed?" in done.stderr) == (2, True), done.stderr


def test_narrow_terminal(sound: Project, monkeypatch: pytest.MonkeyPatch):
    """On a terminal of 80 columns every line fits, but for a longer path, which stands in one
    piece; and colour is not all that tells."""
    path = "data/" + "long/" * 30 + "x.dvc"
    sound.write(path, "outs: []\n")
    monkeypatch.setenv("COLUMNS", "80")
    text = on_a_terminal(sound, "doctor", "--local")
    assert "\x1b[" in text
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text).replace("\r", "\n")
    assert "note  dvc-file-uncommitted" in plain
    assert all(len(line) <= 80 or path in line for line in plain.splitlines())
    assert plain.count("long/long") == 15 * plain.count(path) > 0


def on_a_terminal(project: Project, *words: str) -> str:
    """What the command prints on one."""
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mlflow_dvc", *words]
    env = os.environ | {"TERM": "xterm"}
    subprocess.run(command, cwd=project.root, env=env, stdout=theirs, stderr=theirs, check=False)
    os.close(theirs)
    text = b""
    try:
        while block := os.read(ours, 1 << 16):
            text += block
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    return text.decode()


# --- a store that DVC tracks -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "out"),
    [
        ("file:./mlruns", "mlruns"),
        ("mlruns", "mlruns"),
        ("file:./store/mlruns", "store"),
        ("file:./mlruns", "mlruns/0"),
        ("sqlite:///mlflow.db", "./mlflow.db"),
        ("sqlite:///{root}/store/mlflow.db", "store"),
        ("", "mlruns"),
        ("", "mlflow.db"),
    ],
)
def test_store_is_an_output(sound: Project, monkeypatch: pytest.MonkeyPatch, uri: str, out: str):
    """A store that is, holds or lies in an output of a stage is an error, server or not."""
    if uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(root=sound.root))
    else:
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(sound.root)
    edit(sound, "dvc.yaml", "outs: [report.txt]", f"outs: [report.txt, {out}]")
    [finding] = [one for one in found_in(sound, local=True) if one.rule == "store-is-output"]
    assert (finding.where, finding.level) == (out.removeprefix("./"), "error")
    assert "output of report" in finding.what
    assert "dvc repro" in finding.why
    assert "MLFLOW_TRACKING_URI" in finding.fix


def test_store_in_the_directory_of_a_stage(sound: Project, monkeypatch: pytest.MonkeyPatch):
    """A relative store lies where the stage runs: naive is to look in one directory alone."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:./mlruns")
    sound.write(
        "sub/dvc.yaml", "stages:\n  s: {cmd: python ../run.py, deps: [../run.py], outs: [mlruns]}\n"
    )
    publish(sound)
    found = [one for one in found_in(sound, local=True) if one.rule == "store-is-output"]
    assert [one.where for one in found] == ["sub/mlruns"]


def test_store_with_a_dvc_file(sound: Project, monkeypatch: pytest.MonkeyPatch):
    """A store that a ``.dvc`` file tracks is one as well, and so is a link to one."""
    sound.write("kept/mlflow.db", "1")
    sound.dvc("add", "--quiet", "kept")
    (sound.root / "link").symlink_to("kept")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{sound.root}/link/mlflow.db")
    [finding] = [one for one in found_in(sound, local=True) if one.rule == "store-is-output"]
    assert finding.where == "kept"
    assert "dvc remove kept.dvc" in finding.fix


@pytest.mark.parametrize("uri", ["file:./mlruns", "sqlite:///mlflow.db", "file:.", SERVER])
def test_store_beside_outputs(sound: Project, monkeypatch: pytest.MonkeyPatch, uri: str):
    """A store beside the outputs, or around the whole project, is no such finding."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(sound.root)
    assert "store-is-output" not in rules_of(found_in(sound, local=True))


def test_artifacts_are_an_output(at_server: Project):
    """Artifacts of an experiment that lie in an output are an error, wherever its runs are."""
    assert "artifacts-are-output" not in rules_of(found_in(at_server))
    import mlflow

    place = (at_server.root / "kept/art").as_uri()
    mlflow.MlflowClient().create_experiment("kept", artifact_location=place)
    edit(at_server, "dvc.yaml", "outs: [report.txt]", "outs: [report.txt, kept]")
    [finding] = [one for one in found_in(at_server) if one.rule == "artifacts-are-output"]
    assert finding.where == "kept"


@pytest.mark.parametrize(
    ("section", "found"),
    [
        ("['remote \"more\"']\n    url = ../store/remote\n", ["store"]),
        ("['remote \"more\"']\n    url = ../store\n", ["store"]),
        ("[cache]\n    dir = ../store/cache\n", ["store"]),
        ("['remote \"more\"']\n    url = ../..\n", []),
        ("['remote \"more\"']\n    url = s3://store/x\n", []),
        ("[cache]\n    dir = ../stored\n", []),
    ],
)
def test_storage_is_an_output(sound: Project, section: str, found: list[str]):
    """The cache or the folder of a remote that is, or lies in, an output is an error; not one
    around the project, or beside the outputs."""
    config = (sound.root / ".dvc/config").read_text()
    sound.write(".dvc/config", f"{config}\n{section}")
    edit(sound, "dvc.yaml", "outs: [report.txt]", "outs: [report.txt, store]")
    findings = [one for one in found_in(sound, local=True) if one.rule == "storage-is-output"]
    assert [one.where for one in findings] == found
    assert all("output of report" in one.what for one in findings)
