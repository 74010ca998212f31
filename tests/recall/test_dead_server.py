"""A tracking server that is not there, or does not answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from conftest import Project
from proxies import Deaf

from mlflow_dvc import TrackingUnavailableError, search

RUN = "a" * 32
COMMANDS = {
    "search": ("search", "d41d8cd98f"),
    "show": ("show", RUN),
    "diff": ("diff", RUN, "b" * 32),
    "lineage": ("lineage", RUN),
    "verify": ("verify", RUN),
    "verify-all": ("verify", "--all"),
    "restore": ("restore", RUN),
    "reproduce": ("reproduce", RUN, "--yes"),
    "sync": ("sync",),
}


@pytest.fixture(params=["hangs", "hangs up"])
def deaf(request: pytest.FixtureRequest) -> Iterator[Deaf]:
    found = Deaf(hangs_up=request.param == "hangs up")
    yield found
    found.close()


@pytest.mark.parametrize("name", COMMANDS)
def test_told_at_once(pipeline: Project, name: str):
    """Where nobody listens every command says so, with the address, and tries no second time."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    done = pipeline.cli(*COMMANDS[name], MLFLOW_TRACKING_URI=url)
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"the tracking server at {url} could not be asked" in done.stderr


def test_database(pipeline: Project):
    """A database that is not there is told at once as well, and its password is not."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = f"127.0.0.1:{free.getsockname()[1]}/mlflow"
    uri = f"postgresql+psycopg2://me:secret@{place}"
    done = pipeline.cli("search", "d41d8cd98f", MLFLOW_TRACKING_URI=uri)
    assert done.returncode == 2
    assert place in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize("name", ["search", "verify-all", "sync"])
def test_asked_once(pipeline: Project, deaf: Deaf, name: str):
    """A server that does not answer is asked once, and not with MLflow's patience of minutes."""
    done = pipeline.cli(*COMMANDS[name], MLFLOW_TRACKING_URI=deaf.url)
    assert done.returncode == 2
    assert f"the tracking server at {deaf.url} could not be asked" in done.stderr
    assert len(deaf.connections) == 1


def test_python_says_the_same(pipeline: Project, deaf: Deaf):
    """A function raises, and tries again when it is called again."""
    for calls in (1, 2):
        with pytest.raises(TrackingUnavailableError, match=deaf.url):
            search("d41d8cd98f", tracking_uri=deaf.url)
        assert len(deaf.connections) == calls
