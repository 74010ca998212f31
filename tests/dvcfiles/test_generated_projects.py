"""Generated DVC projects, read by DVC and by us: whatever is in them, both find the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import PYTHON, examples
from dvc_reading import ASK_DVC, FIELDS, hashed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlflow_dvc.capture import workspace
from mlflow_dvc.dvcfiles import yaml12, yaml_block

ANSWER_ALL = (
    ASK_DVC.replace("sys.argv[1]", "root")
    .replace("print(", "return (")
    .replace("sorted(rows)", "sorted(rows, key=str)")
)
SERVER = f"""\
import json, sys
def answer(root):
{"".join("    " + line + chr(10) for line in ANSWER_ALL.splitlines())}
for line in sys.stdin:
    print("DVC", answer(json.loads(line)), flush=True)
"""


class Dvc:
    """One DVC process for all examples: to import it takes longer than to read a project."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [PYTHON, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def read(self, root: Path) -> tuple[list[list[Any]], dict[str, str]]:
        """DVC's entries, and the files that it refuses."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(str(root)) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("DVC "):
                return tuple(json.loads(line[4:]))
        raise AssertionError(self.process.stderr.read() if self.process.stderr else "")


@pytest.fixture(scope="module")
def dvc() -> Iterator[Dvc]:
    server = Dvc()
    yield server
    with server.process as process:
        process.kill()


# What a project is made of. Few names, so that things meet; odd ones, so that nothing is plain.
FOLDERS = st.sampled_from(["", "sub", "sub/deep", "b c", "дані", "with.dot", "UP-per", "é+x"])
NAMES = st.sampled_from(
    ["x", "data", "a.csv", "b c.txt", "модель.pkl", "täin", "1e5", "no", "0x1f", "q'uote", "p=1,2"]
)
STAGES = st.sampled_from(["train", "prep-1", "x_y", "Ünï", "on", "7"])
HEX = st.sampled_from("0123456789abcdef")
MD5 = st.one_of(
    st.integers(0, 2**128 - 1).map(lambda number: f"{number:032x}"),
    st.sampled_from(["0" * 32, "1" * 32, "0e" + "1" * 30, "12e" + "3" * 29, "0b" + "1" * 30]),
)
WHERE = st.sampled_from(["", "./", "../", "deep/", "./a/../", "deep//"])
FLAGS = st.sampled_from([None, None, {"cache": False}, {"persist": True}, {"desc": "one: two #3"}])
ITEMS = st.one_of(
    st.lists(
        st.sampled_from(["a", "b", "c d", 1, 2.5, True, "é"]), min_size=1, max_size=3, unique=True
    ),
    st.dictionaries(
        st.sampled_from(["k1", "k-2", "k_3"]), st.just({"v": "w"}), min_size=1, max_size=2
    ),
)


@st.composite
def hash_info(draw: st.DrawFn) -> dict[str, Any]:
    info: dict[str, Any] = {"md5": draw(MD5)}
    if draw(st.booleans()):
        info["hash"] = "md5"
    if draw(st.booleans()):
        info["size"] = draw(st.integers(0, 10**12))
    if draw(st.booleans()):
        info["md5"] += ".dir"
        info["nfiles"] = draw(st.integers(0, 9))
    if draw(st.integers(0, 5)) == 0:
        info["isexec"] = True
    return info


@st.composite
def out_paths(draw: st.DrawFn, count: int) -> list[str]:
    number = iter(range(100))
    return [
        draw(WHERE) + f"{draw(NAMES)}{next(number)}{draw(st.sampled_from(['', '', '.pkl']))}"
        for _ in range(count)
    ]


@st.composite
def pipeline(draw: st.DrawFn, *, templates: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """A dvc.yaml and its lock: with outputs that were never made, and dead ones."""
    stages: dict[str, Any] = {}
    locked: dict[str, Any] = {}
    for name in draw(st.lists(STAGES, min_size=1, max_size=4, unique=True)):
        stage: dict[str, Any] = {
            "cmd": draw(st.sampled_from(["python x.py", ["a", "b # c"], "a: b"]))
        }
        if draw(st.booleans()):
            stage["wdir"] = draw(st.sampled_from([".", "wd", "../wd", "./wd/"]))
        paths = draw(out_paths(draw(st.integers(0, 4))))
        keys = [""]
        if templates and draw(st.booleans()):
            items = draw(ITEMS)
            keys = [f"@{key}" for key in (items if isinstance(items, list) else list(items))]
            paths = [
                f"{path}-${{item}}" if isinstance(items, list) else f"{path}-${{key}}"
                for path in paths
            ]
        outs: dict[str, list[Any]] = {}
        for path in paths:
            flags = draw(FLAGS)
            section = draw(st.sampled_from(["outs", "outs", "metrics", "plots"]))
            outs.setdefault(section, []).append({path: flags} if flags else path)
        stage |= outs
        if draw(st.booleans()):
            stage["deps"] = draw(st.lists(NAMES.map(lambda n: f"in/{n}"), max_size=2, unique=True))
        stages[name] = stage if keys == [""] else {"foreach": items, "do": stage}
        for key in keys:
            if draw(st.integers(0, 4)):
                known = [path.split("-${")[0] + (f"-{key[1:]}" if key else "") for path in paths]
                known = [path for path in known if draw(st.integers(0, 4))]
                dead = draw(st.lists(NAMES.map(lambda n: f"dead/{n}"), max_size=1))
                locked[name + key] = {
                    "cmd": "x",
                    "outs": [{"path": path, **draw(hash_info())} for path in known + dead],
                }
    if draw(st.booleans()):
        locked["gone"] = {"cmd": "x", "outs": [{"path": "gone", **draw(hash_info())}]}
    return {"stages": stages}, {"schema": "2.0", "stages": locked}


@st.composite
def single(draw: st.DrawFn) -> dict[str, Any]:
    """A ``.dvc`` file: added, imported, or of a cloud-versioned remote."""
    out: dict[str, Any] = {"path": draw(NAMES), **draw(hash_info())}
    raw: dict[str, Any] = {"outs": [out]}
    kind = draw(st.sampled_from(["plain", "plain", "url", "repo", "cloud"]))
    if kind == "url":
        raw |= {"md5": draw(MD5), "frozen": True}
        raw["deps"] = [{"path": "https://host/x y", "checksum": '"1-2"', "size": 3, "hash": "md5"}]
    elif kind == "repo":
        raw["deps"] = [
            {"path": "d", "repo": {"url": "https://u:p@host/r.git", "rev_lock": "a" * 40}}
        ]
    elif kind == "cloud":
        rows = [
            {
                "relpath": name,
                "md5": draw(MD5),
                "size": 1,
                "cloud": {"s3": {"etag": "e", "version_id": "v"}},
            }
            for name in draw(st.lists(NAMES, min_size=1, max_size=2, unique=True))
        ]
        raw["outs"] = [{"path": out["path"], "hash": "md5", "files": rows}]
    if draw(st.booleans()):
        raw["wdir"] = draw(st.sampled_from([".", "wd", ".."]))
    return raw


RULES = st.lists(
    st.sampled_from(
        ["/sub", "deep/", "*.txt.dvc", "!b c.txt.dvc", "b c/*", "# no", "x*", "**/wd", "data.dvc"]
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def projects(draw: st.DrawFn) -> dict[str, str]:
    """The files of a project, by path."""
    files: dict[str, str] = {}
    templates = draw(st.integers(0, 4)) == 0
    for folder in draw(st.lists(FOLDERS, max_size=3, unique=True)):
        declared, locked = draw(pipeline(templates=templates))
        files[os.path.join(folder, "dvc.yaml")] = draw(written(declared))
        files[os.path.join(folder, "dvc.lock")] = draw(written(locked))
    for folder in draw(st.lists(FOLDERS, max_size=4)):
        files[os.path.join(folder, draw(NAMES) + ".dvc")] = draw(written(draw(single())))
    for folder in draw(st.lists(FOLDERS, max_size=2)):
        kind = draw(st.sampled_from([".gitignore", ".dvcignore"]))
        files[os.path.join(folder, kind)] = "\n".join(draw(RULES)) + "\n"
    if draw(st.integers(0, 5)) == 0:
        files["sub/.dvc/config"] = ""
    return files


@st.composite
def written(draw: st.DrawFn, raw: Any) -> str:
    """As DVC writes YAML, as people do, and as JSON."""
    style = draw(st.sampled_from(["dvc", "dvc", "indented", "flow", "json", "crlf", "ascii"]))
    if style == "json":
        return json.dumps(raw)
    if style == "indented":
        text = yaml.dump(raw, Dumper=Indented, sort_keys=False, allow_unicode=True)
        return "---\n# by hand\n\n" + text
    flow = style == "flow"
    text = yaml.dump(
        raw,
        Dumper=Yaml12,
        sort_keys=False,
        allow_unicode=style != "ascii",
        default_flow_style=flow,
        width=40,
    )
    return text.replace("\n", "\r\n") if style == "crlf" else text


class Yaml12(yaml.SafeDumper):
    """Puts quotes around what would be a number, and so on, to DVC."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        try:
            plain = isinstance(yaml12.scalar(text), str) if text else True
        except (yaml_block.UnsupportedYamlError, ValueError):
            plain = False
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else "'")


Yaml12.add_representer(str, Yaml12.represent_text)


class Indented(Yaml12):
    """With sequences deeper than their key, as most people write them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


@pytest.mark.fuzz
@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(files=projects())
def test_as_dvc_reads(initialised: Path, dvc: Dvc, files: dict[str, str]):
    """Every entry of any project is as in DVC's own index, and what DVC refuses is named."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory, "project").resolve()
        shutil.copytree(initialised, root, symlinks=True)
        for path, text in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode())
        snapshot = workspace.inspect(str(root))[1]
        ours = [[getattr(entry, field) for field in FIELDS] for entry in snapshot.data]
        theirs, refused = dvc.read(root)
        for file in refused:
            names = (file, file.replace("dvc.yaml", "dvc.lock"))
            assert any(name in text for name in names for text in snapshot.warnings), file
        # An output that is claimed twice is shown once, and named: DVC gives up on the project.
        paths = [row[0] for row in theirs]
        twice = {path for path in paths if paths.count(path) > 1}
        for path in twice:
            assert any(path in text for text in snapshot.warnings), path

        def agreed(rows: list[list[Any]]) -> list[list[Any]]:
            known = [row for row in rows if row[0] not in twice and of(row) not in refused]
            return sorted(hashed(known), key=str)

        def of(row: list[Any]) -> str:
            """The file that an entry comes from."""
            stage = row[-1]
            return stage if stage.endswith(".dvc") else stage.rpartition(":")[0] or "dvc.yaml"

        assert agreed(ours) == agreed(theirs)
