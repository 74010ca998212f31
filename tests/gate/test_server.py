"""The gate of a server: whoever asks, and however, no model that breaks the policy gets through."""

from __future__ import annotations

import base64
import json
import random
import shutil
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import mlflow
import pytest
from conftest import SECONDS, Project, environment, make_home
from mlflow.exceptions import MlflowException
from servers import MLFLOW

pytestmark = pytest.mark.servers

POLICY = "committed: true\nclean: true\nmetrics: {accuracy: '>= 0.8'}\n"
CLIENTS, ROUNDS = 8, 3


@dataclass(frozen=True)
class Gated:
    """A server behind the policy, the folder of its stores, and the ids of runs, by their names."""

    address: str
    folder: Path
    runs: dict[str, str]

    @property
    def store(self) -> mlflow.MlflowClient:
        """Past the server, as whoever keeps it may go."""
        return mlflow.MlflowClient(f"sqlite:///{self.folder}/mlflow.db")

    def source(self, run: str) -> str:
        return f"{self.store.get_run(self.runs[run]).info.artifact_uri}/model"

    def post(self, path: str, user: str = "", **body: Any) -> tuple[int, dict[str, Any]]:
        """Status and answer of a request, as the pages of MLflow send it."""
        headers = {"Content-Type": "application/json"}
        if user:
            headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
        asked = Request(f"{self.address}/{path}", json.dumps(body).encode(), headers, method="POST")
        try:
            with urlopen(asked, timeout=SECONDS) as answer:
                return answer.status, json.loads(answer.read())
        except HTTPError as error:
            text = error.read()
            return error.code, json.loads(text) if text.startswith(b"{") else {"text": str(text)}


@pytest.fixture(scope="session")
def make_gated(
    serve: Callable[..., str], shared: Callable[..., Path], told: Project, empty_database: Path
) -> Callable[..., Gated]:
    """``make_gated("name", "--app-name", ...)``: a server with a policy, and runs on it."""

    def make(name: str, *words: str, policy: str = POLICY, user: str = "", **env: str) -> Gated:
        def prepare(folder: Path) -> None:
            make_home(folder)
            shutil.copy(empty_database, folder)
            (folder / "policy.yaml").write_text(policy)
            shutil.copytree(told.root, folder / "project", symlinks=True)
            if user:
                (folder / "auth.ini").write_text(
                    "[mlflow]\ndefault_permission = READ\nadmin_username = admin\n"
                    f"database_uri = sqlite:///{folder}/auth.db\nadmin_password = of the admin\n"
                    "authorization_function = "
                    "mlflow.server.auth:authenticate_request_basic_auth\n"
                )

        # Where `serve` has its folders.
        folder = shared("policy", lambda _: None).with_name(f"server-{name}")
        more = {
            "MLFLOW_DVC_POLICY": "policy.yaml",
            "MLFLOW_DVC_POLICY_WAIT": str(SECONDS),
            "MLFLOW_DVC_ROOT": str(folder / "project"),
        }
        address = serve(name, MLFLOW, *words, prepare=prepare, **more | env)

        def log(runs: Path) -> None:
            project = Project(folder / "project", environment(folder / "home"))
            make_home(folder / "home")
            login = dict(zip(("USERNAME", "PASSWORD"), user.split(":"), strict=False))
            client = {f"MLFLOW_TRACKING_{key}": value for key, value in login.items()}
            client["MLFLOW_TRACKING_URI"] = address
            client["MLFLOW_EXPERIMENT_NAME"] = "gated"  # whose artifacts the server keeps
            project.git("checkout", "--quiet", "origin/main")  # all of it was pushed
            project.dvc("checkout", "--quiet", "--force", "data/raw.csv.dvc", "prepare")
            project.python("src/train.py", "good", **client)
            project.write("src/train.py", (project.root / "src/train.py").read_text() + "# more\n")
            project.python("src/train.py", "dirty", **client)
            project.git("checkout", "--quiet", "src/train.py")
            store = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
            ids = [one.experiment_id for one in store.search_experiments()]
            found = {run.info.run_name: run.info.run_id for run in store.search_runs(ids)}
            (runs / "runs.json").write_text(json.dumps(found))

        runs = json.loads((shared(f"runs-{name}", log) / "runs.json").read_text())
        return Gated(address, folder, runs)

    return make


@pytest.fixture
def gated(make_gated: Callable[..., Gated]) -> Gated:
    return make_gated("policy", "--app-name", "dvc-policy", WORKERS="2")


def fresh_model(gated: Gated, request: pytest.FixtureRequest) -> str:
    name = f"{request.node.name}-{random.randrange(10**9)}"
    gated.store.create_registered_model(name)
    return name


@pytest.mark.hosts
def test_every_way_in(gated: Gated, request: pytest.FixtureRequest):
    """By the API or the UI's own calls: what breaks the policy gets a 403 that says why."""
    name = fresh_model(gated, request)
    good, dirty = gated.runs["good"], gated.runs["dirty"]
    before = gated.store.create_model_version(name, gated.source("dirty"), dirty)
    api, ui = "api/2.0/mlflow", "ajax-api/2.0/mlflow"
    forged = {"name": name, "source": gated.source("dirty"), "run_id": good}
    alias = {"name": name, "alias": "champion", "version": str(before.version)}
    stage = {"name": name, "stage": "Production", "version": str(before.version)}
    ways = [
        (f"{api}/model-versions/create", forged | {"run_id": dirty}),
        (f"{api}/model-versions/create", forged),
        (f"{ui}/model-versions/create", forged | {"source": gated.source("good"), "run_id": dirty}),
        (f"{ui}/model-versions/create", {"name": name, "source": f"models:/{name}/1"}),
        (f"{ui}/model-versions/create", {"name": name, "source": "dummy-source"}),
        (f"{api}/registered-models/alias", alias),
        (f"{ui}/registered-models/alias", alias),
        (f"{ui}/model-versions/transition-stage", stage),
    ]
    with ThreadPoolExecutor(len(ways)) as pool:
        refused = list(pool.map(lambda way: gated.post(way[0], **way[1]), ways))
    assert [status for status, _ in refused] == [403] * len(refused), refused
    assert {answer["error_code"] for _, answer in refused} == {"PERMISSION_DENIED"}
    assert "committed is not met" in refused[0][1]["message"]
    assert "no artifact of run" in refused[1][1]["message"]
    right = {"name": name, "source": gated.source("good"), "run_id": good}
    status, made = gated.post(f"{ui}/model-versions/create", **right)
    assert status == 200, made
    assert gated.store.get_registered_model(name).aliases == {}
    versions = gated.store.search_model_versions(f"name = '{name}'")
    assert sorted(one.run_id == good for one in versions) == [False, True]
    assert {one.current_stage for one in versions} == {"None"}


def test_client(gated: Gated, request: pytest.FixtureRequest):
    """MlflowClient is told the rule and what to do; what meets the policy works as ever."""
    name = fresh_model(gated, request)
    client = mlflow.MlflowClient(gated.address)
    with pytest.raises(MlflowException, match="committed: commit the code") as raised:
        client.create_model_version(name, gated.source("dirty"), gated.runs["dirty"])
    assert raised.value.error_code == "PERMISSION_DENIED"
    made = client.create_model_version(name, gated.source("good"), gated.runs["good"])
    client.set_registered_model_alias(name, "champion", made.version)
    copy = client.copy_model_version(f"models:/{name}@champion", f"{name}-copy")
    assert copy.run_id == gated.runs["good"]
    prompt = f"{name}-prompt"
    client.register_prompt(prompt, "Say {{what}}")
    client.set_prompt_alias(prompt, "champion", 1)
    with pytest.raises(MlflowException) as missing:
        client.set_registered_model_alias(name, "champion", "99")
    assert missing.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_names_that_moved(gated: Gated, request: pytest.FixtureRequest):
    """A version is judged by where its files are, whatever stands today where they came from."""
    name, store = fresh_model(gated, request), gated.store
    bad, good = f"{name}-bad", f"{name}-good"
    for one, run in ((bad, "dirty"), (good, "good")):
        store.create_registered_model(one)
        store.create_model_version(one, gated.source(run), gated.runs[run])
        store.create_model_version(name, f"models:/{one}/1", gated.runs[run])
    for old, new in ((bad, f"{name}-aside"), (good, bad), (f"{name}-aside", good)):
        store.rename_registered_model(old, new)
    client = mlflow.MlflowClient(gated.address)
    with pytest.raises(MlflowException, match="committed is not met"):
        client.set_registered_model_alias(name, "champion", "1")
    client.set_registered_model_alias(name, "champion", "2")
    store.delete_registered_model(bad)
    client.set_registered_model_alias(name, "still", "2")
    with pytest.raises(MlflowException, match="committed is not met"):
        client.copy_model_version(f"models:/{name}/1", f"{name}-copy")
    assert client.copy_model_version(f"models:/{name}/2", f"{name}-copy").run_id


def test_race(gated: Gated, request: pytest.FixtureRequest):
    """Eight clients race registrations, copies, aliases and renames: no champion is a bad one."""
    name = fresh_model(gated, request)
    bad = [f"{name}-before-{number}" for number in range(CLIENTS)]
    for one in bad:
        gated.store.create_registered_model(one)
        gated.store.create_model_version(one, gated.source("dirty"), gated.runs["dirty"])
    first = gated.store.create_model_version(name, gated.source("good"), gated.runs["good"])
    done = threading.Event()
    seen: list[str] = []
    passed: list[str] = []

    def watch() -> None:
        while not done.is_set():
            seen.extend(champions(gated, request.node.name))

    def work(number: int) -> None:
        chosen = random.Random(number)
        client = mlflow.MlflowClient(gated.address)
        ways: dict[str, Callable[[], Any]] = {
            "api": lambda: client.create_model_version(
                name, gated.source("dirty"), gated.runs[chosen.choice(["good", "dirty"])]
            ),
            "ui": lambda: gated.post(
                "ajax-api/2.0/mlflow/model-versions/create",
                name=name, source=gated.source("dirty"), run_id=gated.runs["good"],
            ),
            "copy": lambda: client.copy_model_version(f"models:/{bad[number]}/1", name),
            "alias": lambda: client.set_registered_model_alias(bad[number], "champion", "1"),
            "swap": lambda: swap(client, name, bad[number]),
            "good": lambda: client.set_registered_model_alias(name, "champion", str(first.version)),
        }  # fmt: skip
        for _ in range(ROUNDS):
            way = chosen.choice(list(ways))
            with suppress(MlflowException):
                ways[way]()
                passed.append(way)

    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        watching = pool.submit(watch)
        for working in [pool.submit(work, number) for number in range(CLIENTS)]:
            working.result()
        done.set()
        watching.result()
    seen += champions(gated, request.node.name)
    assert set(seen) <= {gated.runs["good"]}
    for version in gated.store.search_model_versions(f"name = '{name}'"):
        assert version.run_id == gated.runs["good"] or str(version.version) == "1"
    assert passed


def swap(client: mlflow.MlflowClient, name: str, bad: str) -> None:
    """Put a bad model where a good one stands, while its alias is being judged."""
    aside = f"{name}-aside"
    alias = threading.Thread(target=champion, args=(client, name))
    alias.start()
    with suppress(MlflowException):
        client.rename_registered_model(name, aside)
        client.rename_registered_model(bad, name)
    alias.join()
    with suppress(MlflowException):
        client.rename_registered_model(name, bad)
    with suppress(MlflowException):
        client.rename_registered_model(aside, name)


def champion(client: mlflow.MlflowClient, name: str) -> None:
    with suppress(MlflowException):
        client.set_registered_model_alias(name, "champion", "1")


def champions(gated: Gated, beginning: str) -> list[str]:
    """The runs of all versions that have the alias now."""
    found = []
    for model in gated.store.search_registered_models(f"name LIKE '{beginning}%'"):
        if "champion" in model.aliases:
            with suppress(MlflowException):  # renamed meanwhile
                one = gated.store.get_model_version(model.name, str(model.aliases["champion"]))
                found.append(str(one.run_id))
    return found


def test_users(make_gated: Callable[..., Gated], request: pytest.FixtureRequest):
    """Behind MLflow's users: rights are looked at first, and are what they were; then the policy,
    here the default one, with git, DVC and the artifacts that the server keeps."""
    gated = make_gated(
        "policy-users", "--app-name", "dvc-policy-basic-auth", user="admin:of the admin",
        MLFLOW_AUTH_CONFIG_PATH="auth.ini", MLFLOW_FLASK_SERVER_SECRET_KEY="secret",
        MLFLOW_DVC_POLICY="default",
    )  # fmt: skip
    admin, reader = "admin:of the admin", "reader:of the reader"
    name = fresh_model(gated, request)
    user = dict(zip(("username", "password"), reader.split(":"), strict=True))
    gated.post("api/2.0/mlflow/users/create", admin, **user)
    good = {"name": name, "source": gated.source("good"), "run_id": gated.runs["good"]}
    bad = {"name": name, "source": gated.source("dirty"), "run_id": gated.runs["dirty"]}
    create = "api/2.0/mlflow/model-versions/create"
    assert gated.post(create, **good)[0] == 401
    for body in (good, bad):
        status, answer = gated.post(create, reader, **body)
        assert status == 403
        assert "policy" not in str(answer), "nobody without the right learns of the policy"
    status, answer = gated.post(create, admin, **bad)
    assert (status, "committed is not met" in answer["message"]) == (403, True), answer
    status, answer = gated.post(create, admin, **good)
    assert status == 200, answer
    alias = {"name": name, "alias": "champion", "version": "1"}
    assert gated.post("api/2.0/mlflow/registered-models/alias", reader, **alias)[0] == 403
    assert gated.post("api/2.0/mlflow/registered-models/alias", admin, **alias)[0] == 200
    assert list(gated.store.get_registered_model(name).aliases) == ["champion"]
    # Who may change a model, and not read the run behind it.
    before = gated.store.create_model_version(name, gated.source("dirty"), gated.runs["dirty"])
    experiment = gated.store.get_run(gated.runs["dirty"]).info.experiment_id
    for kind, which, right in (
        ("registered_model", name, "EDIT"),
        ("experiment", experiment, "DENY"),
    ):
        what = {"username": "reader", "resource_type": kind, "resource_id": which}
        grant = "api/3.0/mlflow/users/permissions/grant"
        status, said = gated.post(grant, admin, permission=right, **what)
        assert status == 200, said
    alias = {"name": name, "alias": "other", "version": str(before.version)}
    status, answer = gated.post("api/2.0/mlflow/registered-models/alias", reader, **alias)
    assert (status, "not for you to read" in answer["message"]) == (403, True), answer
    assert not any(word in answer["message"] for word in ("committed", gated.runs["dirty"]))
    status, answer = gated.post("api/2.0/mlflow/registered-models/alias", admin, **alias)
    assert (status, "committed" in answer["message"]) == (403, True), answer


def test_many_at_once(make_gated: Callable[..., Gated], request: pytest.FixtureRequest):
    """More than a worker judges or lets wait at once are told to ask again; the server answers."""
    gated = make_gated("policy", "--app-name", "dvc-policy", WORKERS="2")
    name = fresh_model(gated, request)
    good = {"name": name, "source": gated.source("good"), "run_id": gated.runs["good"]}
    create = "api/2.0/mlflow/model-versions/create"
    with ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(gated.post, create, **good) for _ in range(40)]
        assert mlflow.MlflowClient(gated.address).get_registered_model(name).name == name
        found = [one.result() for one in asked]
    assert {status for status, _ in found} == {200, 503}, found
    busy = [answer for status, answer in found if status == 503]
    assert all("is not judged now" in answer["message"] for answer in busy)
    versions = gated.store.search_model_versions(f"name = '{name}'")
    assert len(versions) == len(found) - len(busy)


def test_slow_store(make_gated: Callable[..., Gated], request: pytest.FixtureRequest):
    """A store that does not answer in time refuses, and says so; a policy that is none, too."""
    gated = make_gated("policy-slow", "--app-name", "dvc-policy", MLFLOW_DVC_POLICY_WAIT="15")
    name = fresh_model(gated, request)
    good = {"name": name, "source": gated.source("good"), "run_id": gated.runs["good"]}
    create = "api/2.0/mlflow/model-versions/create"
    database = sqlite3.connect(gated.folder / "mlflow.db", isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    try:
        status, answer = gated.post(create, **good)
    finally:
        database.execute("ROLLBACK")
        database.close()
    assert status == 403, answer
    assert "is refused" in answer["message"]
    policy = gated.folder / "policy.yaml"
    for text, reason in (("commited: true", "no rule is called 'commited'"), (None, "be read")):
        policy.unlink()
        if text:
            policy.write_text(text)
        status, answer = gated.post(create, **good)
        assert (status, reason in answer["message"]) == (403, True), answer
        policy.write_text(POLICY)
    assert gated.store.search_model_versions(f"name = '{name}'") == []
