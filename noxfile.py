"""The steps of .ci/run by the names of nox, each in an environment that nox keeps.

Every command stands in .ci/run alone. What follows ``--`` goes to pytest:
``nox -s tests-3.12 -- -k tags``.
"""

import shlex

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.default_venv_backend = "venv"
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]


def steps(session: nox.Session, *names: str) -> None:
    """Run steps of .ci/run in the session's environment."""
    session.install("-e", ".[test]")
    env = {"VENV": session.virtualenv.location}
    if session.posargs:
        env["PYTEST_ADDOPTS"] = shlex.join(session.posargs)
    session.run("bash", ".ci/run", *names, env=env, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format."""
    steps(session, "lint")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict."""
    steps(session, "types")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The fast suite."""
    steps(session, "fast")


@nox.session
def suites(session: nox.Session) -> None:
    """Servers, clients, browser, attacks and faults."""
    steps(session, "programs", "suites")


@nox.session
def coverage(session: nox.Session) -> None:
    """The lines and branches that all suites run; `coverage html` then shows them."""
    steps(session, "programs", "coverage")


@nox.session(venv_backend="none")
def oldest(session: nox.Session) -> None:
    """What can differ on the oldest supported hosts, in an environment of its own."""
    session.run("bash", ".ci/run", "oldest", external=True)


@nox.session
def versions(session: nox.Session) -> None:
    """A client and a server with MLflow of two versions."""
    steps(session, "versions")


@nox.session
def tools(session: nox.Session) -> None:
    """A catalogue reads our runs, and a program moves them to another server."""
    steps(session, "tools")


@nox.session
def libraries(session: nox.Session) -> None:
    """Programs of scikit-learn, Lightning, Ray and others, unchanged."""
    steps(session, "libraries")


@nox.session
def slim(session: nox.Session) -> None:
    """Runs and commands where neither DVC nor all of MLflow is installed."""
    steps(session, "slim")


@nox.session(venv_backend="none")
def demo(session: nox.Session) -> None:
    """The README's first command, in a fresh clone."""
    session.run("bash", ".ci/run", "demo", external=True)


@nox.session(venv_backend="none")
def build(session: nox.Session) -> None:
    """What is uploaded to PyPI, in dist/."""
    session.run("bash", ".ci/run", "build", external=True)


@nox.session
def audit(session: nox.Session) -> None:
    """Known faults of what is installed; it asks a service."""
    steps(session, "audit")


@nox.session(name="all", venv_backend="none")
def everything(session: nox.Session) -> None:
    """What continuous integration does; it makes .venv anew."""
    session.run("bash", ".ci/run", external=True)
