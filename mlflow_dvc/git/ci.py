"""The commit that a continuous integration service names, where there is no repository."""

from __future__ import annotations

import os
from typing import NamedTuple

from mlflow_dvc.git.head import is_sha
from mlflow_dvc.secrets.urls import public_url
from mlflow_dvc.snapshot import GitState


class _Service(NamedTuple):
    """The variables that hold the commit, the branch (the first that is set) and the URL."""

    commit: str
    branch: tuple[str, ...]
    url: str


_SERVICES = (
    _Service("GITHUB_SHA", ("GITHUB_HEAD_REF", "GITHUB_REF_NAME"), "GITHUB_REPOSITORY"),
    _Service("CI_COMMIT_SHA", ("CI_COMMIT_BRANCH",), "CI_PROJECT_URL"),  # GitLab
    _Service("GIT_COMMIT", ("GIT_BRANCH",), "GIT_URL"),  # Jenkins
    _Service("BUILDKITE_COMMIT", ("BUILDKITE_BRANCH",), "BUILDKITE_REPO"),
    _Service("CIRCLE_SHA1", ("CIRCLE_BRANCH",), "CIRCLE_REPOSITORY_URL"),
    _Service("BITBUCKET_COMMIT", ("BITBUCKET_BRANCH",), "BITBUCKET_GIT_HTTP_ORIGIN"),
    _Service("BUILD_SOURCEVERSION", ("BUILD_SOURCEBRANCHNAME",), "BUILD_REPOSITORY_URI"),  # Azure
    _Service("DRONE_COMMIT_SHA", ("DRONE_BRANCH",), "DRONE_REMOTE_URL"),
    _Service("TRAVIS_COMMIT", ("TRAVIS_BRANCH",), ""),
    _Service("CODEBUILD_RESOLVED_SOURCE_VERSION", (), "CODEBUILD_SOURCE_REPO_URL"),
)


def commit_from_env() -> GitState | None:
    """None where no service names a commit. ``source`` is the name of the variable."""
    for service in _SERVICES:
        sha = os.environ.get(service.commit, "").strip().lower()
        if is_sha(sha):
            branches = (os.environ.get(name) for name in service.branch)
            branch = next(filter(None, branches), None)
            return GitState(sha, branch, remote_url=_url(service.url), source=service.commit)
    return None


def _url(name: str) -> str | None:
    url = os.environ.get(name)
    if url and name == "GITHUB_REPOSITORY":  # OWNER/NAME
        url = f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{url}"
    return public_url(url) if url else None
