"""Which paths of a project its ignore rules hide; decided anew only when a rule changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from mlflow_dvc.dvcfiles import ignore_rules
from mlflow_dvc.dvcfiles.ignore_rules import IgnoreRules
from mlflow_dvc.dvcfiles.remotes import config_paths
from mlflow_dvc.fingerprint import Fingerprint, small_file_md5
from mlflow_dvc.git.config import last_value
from mlflow_dvc.paths import parents
from mlflow_dvc.project import find_git_root, relative

IGNORE_FILES = frozenset({".gitignore", ".dvcignore"})


class IgnoreChecker:
    """Matching costs a hundred times what a look at a file's time stamp does.

    Call :meth:`refresh` before a walk, and :meth:`watch` with each ignore file that it meets,
    before asking about anything beside or below that file.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._verdicts: dict[tuple[str, str], bool] = {}
        self._earlier = False  # whether some of them are of an earlier walk
        self._watched: dict[str, Fingerprint] = {}
        self._where: tuple[str | None, ...] = ()
        self._dvc: list[IgnoreRules] = []
        self._git: list[IgnoreRules] = []

    def refresh(self) -> None:
        """Forget every verdict if a file of rules, or of settings about them, has changed."""
        where = self.config_locations()
        git_root = where[0]
        if where == self._where and not self._has_changed():
            self._earlier = True
            return
        self._earlier = False
        self._where = where
        self._verdicts.clear()
        self._dvc = [ignore_rules.dvc_rules(self.root)]
        self._git = (
            [ignore_rules.git_rules(git_root)] if git_root and not self._without_git() else []
        )
        self._watched = {path: Fingerprint.with_content(path) for path in self._elsewhere()}

    def config_locations(self) -> tuple[str | None, ...]:
        """Where rules come from beside the tree: the repository, the settings of git and DVC."""
        return (
            find_git_root(self.root),
            *ignore_rules.user_configs(),
            *config_paths(self.root),
        )

    def fingerprints(self) -> Iterator[tuple[str, Fingerprint]]:
        """Every file that has a say in what is hidden, as it was when it was looked at."""
        yield from self._watched.items()

    def watch(self, path: str) -> None:
        """An ignore file of the tree; one that was not there before changes what lies below it."""
        if path in self._watched:
            return
        self._watched[path] = Fingerprint.with_content(path)
        if not self._earlier:
            return
        below = os.path.dirname(path) + os.sep
        self._verdicts = {
            key: verdict for key, verdict in self._verdicts.items() if not key[1].startswith(below)
        }

    def hides_project(self) -> bool:
        """Whether the project itself lies in a hidden directory."""
        return self._once("tree", self.root, lambda rules: rules.ignores_any_parent(self.root))

    def hides_file(self, path: str) -> bool:
        return self._once("file", path, lambda rules: rules.ignores(path, is_dir=False))

    def hides_directory(self, path: str) -> bool:
        """Whether the directory is hidden, or everything in it."""
        return self._once(
            "directory",
            path,
            lambda rules: rules.ignores(path, is_dir=True) or rules.ignores_content(path),
        )

    def hiding_folder(self, path: str) -> str | None:
        """The topmost folder below the root, of those above ``path``, that DVC does not enter."""
        inside = relative(path, self.root)
        folders = (os.path.join(self.root, folder) for folder in reversed([*parents(inside)]))
        return next(filter(self.hides_directory, folders), None)

    def hidden_by_git(self, path: str) -> bool:
        """Whether git's rules alone hide the file."""
        key = ("git", path)
        if key not in self._verdicts:
            self._verdicts[key] = any(rule.ignores(path, is_dir=False) for rule in self._git)
        return self._verdicts[key]

    def hidden_by_dvc(self, path: str) -> bool:
        """Whether ``.dvcignore`` files hide ``path``, or a folder that it lies in."""
        path = os.path.normpath(path)
        if not path.startswith(self.root.rstrip(os.sep) + os.sep):
            return False
        is_dir, folder = os.path.isdir(path), os.path.dirname(path)
        return any(
            rules.ignores_any_parent(folder) or rules.ignores(path, is_dir=is_dir)
            for rules in self._dvc
        )

    def folders_with_dvc_rules(self) -> set[str]:
        """Those with a ``.dvcignore`` that says anything; DVC makes an empty one."""
        found = (path for path in self._watched if path.endswith(".dvcignore"))
        return {os.path.dirname(path) for path in found if ignore_rules.has_rules(path)}

    def _once(self, kind: str, path: str, hides: Callable[[IgnoreRules], bool]) -> bool:
        verdict = self._verdicts.get((kind, path))
        if verdict is None:
            verdict = any(hides(rules) for rules in (*self._dvc, *self._git))
            self._verdicts[kind, path] = verdict
        return verdict

    def _has_changed(self) -> bool:
        return not all(seen.fits(path, small_file_md5) for path, seen in self._watched.items())

    def _without_git(self) -> bool:
        """As ``dvc init --no-scm`` leaves it: DVC then looks at no rule of git's."""
        chosen = None
        for path in config_paths(self.root):
            chosen = last_value(path, "core", "no_scm") or chosen
        return chosen is not None and chosen.is_true

    def _elsewhere(self) -> Iterator[str]:
        """Files outside the tree that have a say in it."""
        yield from config_paths(self.root)
        yield from ignore_rules.user_configs()
        for rules in self._git:
            yield ignore_rules.repository_config(rules.root)
            yield from rules.extra_files
            directory = self.root
            while len(directory) > len(rules.root):
                directory = os.path.dirname(directory)
                yield os.path.join(directory, ".gitignore")
