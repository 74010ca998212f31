"""Everything that data is fetched from, each opened once: projects, remotes, repositories."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from mlflow_dvc.dvc_backend.readonly_repo import open_read_only
from mlflow_dvc.dvc_backend.storage.by_url import open_remote_url
from mlflow_dvc.dvc_backend.storage.repositories import open_repository, own_repositories
from mlflow_dvc.dvc_backend.storage.stores import open_stores
from mlflow_dvc.dvc_backend.trust import trust_only


class OpenStores(ExitStack):
    """Projects, remotes and repositories, each opened once.

    ``own`` is the project whose settings are the user's; of another one the settings are
    ``config``.
    """

    def __init__(self, own: str | None, config: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._own = own
        self._config = config
        self._stores: dict[tuple[int, str], _Stores] = {}
        self._opened: dict[tuple[str | None, ...], Any] = {}

    def project(self, root: str) -> Any:
        is_foreign = root != self._own
        config = self._config if is_foreign else None

        def opened() -> Any:
            return self.enter_context(open_read_only(root, foreign=is_foreign, config=config))

        return self._once((root,), opened)

    def remote(self, url: str, algorithm: str, endpoint: str | None) -> Any:
        return self._once(
            (url, algorithm, endpoint), lambda: open_remote_url(url, algorithm, endpoint)
        )

    def repository(self, url: str, rev: str | None) -> Any:
        def opened() -> Any:
            return self.enter_context(open_repository(url, rev, own_repositories(self._own)))

        return self._once((url, rev), opened)

    def stores(self, repo: Any, algorithm: str, tried: list[str]) -> Iterator[tuple[str, Any]]:
        """The cache of a project and all its remotes, the default one first."""
        known = self._stores.setdefault((id(repo), algorithm), _Stores(repo, algorithm))
        yield from known.opened()
        tried += known.faults

    def _once(self, key: tuple[str | None, ...], open_it: Callable[[], Any]) -> Any:
        """What could not be opened is not tried again: its error is raised each time."""
        if key not in self._opened:
            trust_only(self._own)
            try:
                self._opened[key] = open_it()
            except Exception as error:
                self._opened[key] = error
        found = self._opened[key]
        if isinstance(found, Exception):
            raise found
        return found


class _Stores:
    """Those of one project, each opened when it is first needed, and once."""

    def __init__(self, repo: Any, algorithm: str) -> None:
        self.faults: list[str] = []
        self._known: list[tuple[str, Any]] = []
        self._rest = open_stores(repo, algorithm, self.faults.append)

    def opened(self) -> Iterator[tuple[str, Any]]:
        yield from self._known
        for one in self._rest:
            self._known.append(one)
            yield one
