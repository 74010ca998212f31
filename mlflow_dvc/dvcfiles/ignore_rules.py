"""Which paths ``.gitignore`` and ``.dvcignore`` files hide, by the rules of git."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache

import pathspec

from mlflow_dvc.fingerprint import UnreadableError, read_bytes
from mlflow_dvc.git import head
from mlflow_dvc.git.config import last_value
from mlflow_dvc.paths import parents
from mlflow_dvc.project import relative

# A name or a path, or an ending behind a star; of directories alone with a slash at the end.
_PLAIN = r"[^*?\[\]\\!#\s/]"
_SIMPLE = re.compile(
    rf"(?:(?P<rooted>/)?(?P<name>{_PLAIN}(?:{_PLAIN}|[ /](?={_PLAIN}))*)"
    rf"|\*(?P<ending>{_PLAIN}+))(?P<only_dirs>/)?"
)
# `!dir/**` includes the content of dir again; pathspec includes dir as well, git does not.
_CONTENT = re.compile(r"^(!.*[^/*])/\*\*(?= *$)")

_DIR_MARK = "ps_d"  # the group of pathspec's expressions that is the slash behind a directory


@dataclass(frozen=True)
class _Inside:
    """A rule that names what a directory holds: ``data/*`` is about ``data``.

    ``depth`` is how deep that directory lies, None for any depth.
    """

    spec: pathspec.GitIgnoreSpec
    depth: int | None
    hides: bool

    def is_about(self, directory: str) -> bool:
        at_depth = self.depth is None or directory.count("/") == self.depth
        return at_depth and self.spec.match_file(directory + "/")


class _Rules:
    """The rules of one file.

    To compile an expression takes longer than to read a small project. Most lines are a name, or an
    ending such as ``*.log``, which need none.
    """

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._names: set[tuple[str, bool]] = set()
        self._endings: list[tuple[str, bool]] = []
        self._others: list[str] = []
        # Where a line shows again what another one hides, their order counts.
        self._is_ordered = any(line.startswith("!") for line in lines)
        for line in lines:
            simple = None if self._is_ordered else _SIMPLE.fullmatch(line)
            if simple is None:
                self._others.append(_CONTENT.sub(r"\1/**/*", line))
                continue
            kinds = (True,) if simple["only_dirs"] else (True, False)
            if name := simple["name"]:
                start = "/" if simple["rooted"] or "/" in name else ""
                self._names |= {(start + name, is_dir) for is_dir in kinds}
            else:
                self._endings += [(simple["ending"], is_dir) for is_dir in kinds]

    def by_git(self, path: str, *, is_dir: bool) -> bool | None:
        name = posixpath.basename(path)
        if (name, is_dir) in self._names or (f"/{path}", is_dir) in self._names:
            return True
        if any(is_dir == kind and name.endswith(ending) for ending, kind in self._endings):
            return True
        if is_dir and self._is_ordered:
            about = (one for text, one in self._last_first if _is_about(text, one, path))
            return next((one.include for one in about if one.include is not None), None)
        spec = self._other_spec
        return spec.check_file(path + "/" if is_dir else path).include if spec else None

    def by_dvc(self, name: str, *, is_dir: bool) -> bool | None:
        """By the regular expressions alone: to DVC, ``data/*`` hides ``data`` itself as well."""
        names = (name, name + "/") if is_dir else (name,)
        for pattern in reversed(list(self._whole_spec.patterns) if self._whole_spec else []):
            regex = getattr(pattern, "regex", None)
            if regex is None or pattern.include is None:
                continue
            only_dirs = str(getattr(pattern, "pattern", "")).endswith("/")
            if (is_dir or not only_dirs) and any(regex.match(name) for name in names):
                return pattern.include
        return None

    @cached_property
    def inside(self) -> tuple[_Inside, ...]:
        """Those about what a directory holds, the last ones first."""
        return tuple(rule for rule in map(_inside, reversed(self._lines)) if rule)

    @cached_property
    def _whole_spec(self) -> pathspec.GitIgnoreSpec | None:
        return _spec(self._lines)

    @cached_property
    def _other_spec(self) -> pathspec.GitIgnoreSpec | None:
        return _spec(self._others)

    @cached_property
    def _last_first(self) -> list[tuple[str, pathspec.Pattern]]:
        """Each line with its pattern, which itself does not tell it in pathspec 0.12."""
        specs = [(line, _spec([line])) for line in reversed(self._others)]
        return [(line, one) for line, spec in specs if spec for one in spec.patterns]


class IgnoreRules:
    """The ignore files named ``name`` at and below ``root``, and the patterns in ``extra`` files.

    Ask only about paths whose parents are not ignored: what lies in an ignored directory is never
    looked at.
    """

    def __init__(self, root: str, name: str, extra: Iterable[str] = ()) -> None:
        self.root = root
        self._is_git = name == ".gitignore"
        self._name = name
        self.extra_files = tuple(extra)
        self._extra = [rules for rules in map(_rules, self.extra_files) if rules]

    def ignores(self, path: str, *, is_dir: bool) -> bool:
        """Whether the absolute ``path`` is hidden; the file nearest to it has the last word."""
        for rules, base in self._near(path):
            decide = rules.by_git if self._is_git else rules.by_dvc
            verdict = decide(relative(path, base), is_dir=is_dir)
            if verdict is not None:
                return verdict
        return False

    def ignores_content(self, directory: str) -> bool:
        """Whether a rule of git's hides whatever lies in ``directory``.

        DVC does not enter such a directory even where a later rule shows some of it again.
        """
        for rules, base in self._near(directory) if self._is_git else ():
            for rule in rules.inside:
                if rule.is_about(relative(directory, base)):
                    return rule.hides
        return False

    def _near(self, path: str) -> Iterator[tuple[_Rules, str]]:
        """The rules that speak of ``path``, nearest first, and where each of them lies."""
        directory = os.path.dirname(path)
        while True:
            if rules := _rules(os.path.join(directory, self._name)):
                yield rules, directory
            if len(directory) <= len(self.root):
                break
            directory = os.path.dirname(directory)
        for rules in self._extra:
            yield rules, self.root

    def ignores_any_parent(self, directory: str) -> bool:
        """Whether ``directory`` or one above it, up to the root, is hidden."""
        parts = relative(directory, self.root).split("/")
        steps = [os.path.join(self.root, *parts[: i + 1]) for i in range(len(parts))]
        return parts != ["."] and any(self.ignores(step, is_dir=True) for step in steps)


def git_rules(git_root: str) -> IgnoreRules:
    """``.gitignore`` files, then ``.git/info/exclude``, then the user's own excludes file."""
    extra = [_user_excludes(git_root)]
    with suppress(OSError, ValueError):  # a broken .git has none; reading HEAD names the fault
        extra.insert(0, os.path.join(head.find_git_dir(git_root), "info", "exclude"))
    return IgnoreRules(git_root, ".gitignore", extra)


def dvc_rules(dvc_root: str) -> IgnoreRules:
    return IgnoreRules(dvc_root, ".dvcignore")


def has_rules(path: str) -> bool:
    """Whether the file at ``path`` is there and says anything."""
    return _rules(path) is not None


def user_configs() -> tuple[str, ...]:
    """The files in which git looks for the user's settings, the first that counts first."""
    if own := os.environ.get("GIT_CONFIG_GLOBAL"):
        return (own,)
    return (os.path.expanduser("~/.gitconfig"), os.path.join(_user_directory(), "config"))


def repository_config(git_root: str) -> str:
    """Where a repository keeps its own settings; there may be no such file."""
    try:
        return os.path.join(head.common_dir(head.find_git_dir(git_root)), "config")
    except (OSError, ValueError):  # a broken .git
        return os.path.join(git_root, ".git", "config")


def _user_excludes(git_root: str) -> str:
    """What ``core.excludesFile`` names in git's settings, else git's own default."""
    for config in (repository_config(git_root), *user_configs()):
        if chosen := last_value(config, "core", "excludesfile"):
            return os.path.expanduser(chosen.value)
    return os.path.join(_user_directory(), "ignore")


def _user_directory() -> str:
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(home, "git")


def _rules(path: str) -> _Rules | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return _parsed(path, status.st_mtime_ns, status.st_size, status.st_ino)


@lru_cache(maxsize=4096)
def _parsed(path: str, mtime_ns: int, size: int, inode: int) -> _Rules | None:
    """None for a file without rules, or one that cannot be read: git passes over it as well."""
    try:
        text = read_bytes(path).decode("utf-8", "surrogateescape")
    except (OSError, UnreadableError):
        return None
    lines = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]
    # To git only spaces at the end do not count.
    lines = [re.sub(r"([\t\v\f\xa0])$", r"[\1]", line) for line in lines]
    # And those at the beginning do; not to an older pathspec.
    lines = [re.sub(r"^(!?)( )", r"\1[\2]", line) for line in lines]
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    return _Rules(lines) if lines else None


def _is_about(text: str, pattern: pathspec.Pattern, directory: str) -> bool:
    """Whether a pattern, which was written as ``text``, matches the directory itself.

    pathspec asks about files: to it ``*`` counts more than a later ``!*/``, and ``data/**`` is
    about ``data/`` as well.
    """
    regex = getattr(pattern, "regex", None)
    if regex is None:
        return False
    is_of_folders = text.rstrip(" ").endswith("/")
    if is_of_folders and text.rstrip("/ ").endswith("/**"):  # every directory below another
        return any(regex.search(f"{folder}/") for folder in parents(directory))
    if _DIR_MARK not in regex.groupindex:
        return regex.search(directory) is not None
    name = f"{directory}/" if is_of_folders else directory
    marks = [found.start(_DIR_MARK) for found in regex.finditer(name)]
    return any(mark in (-1, len(directory)) for mark in marks)


def _inside(line: str) -> _Inside | None:
    pattern = line.removeprefix("!").rstrip("/ ")
    directory, slash, rest = pattern.rpartition("/")
    directory = directory.lstrip("/")
    if not slash or rest not in ("*", "**") or not directory:
        return None
    spec = _spec([f"/{directory}/"])
    depth = None if "**" in directory else directory.count("/")
    return _Inside(spec, depth, not line.startswith("!")) if spec else None


def _spec(lines: list[str]) -> pathspec.GitIgnoreSpec | None:
    """Less the patterns that make no sense; git passes over those."""
    try:
        return pathspec.GitIgnoreSpec.from_lines(lines) if lines else None
    except (ValueError, re.error):
        return _spec(list(filter(_is_sound, lines)))


def _is_sound(line: str) -> bool:
    try:
        pathspec.GitIgnoreSpec.from_lines([line])
    except (ValueError, re.error):
        return False
    return True
