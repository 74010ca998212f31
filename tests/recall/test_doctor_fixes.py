"""What `doctor` prints as a fix mends what it has found, done word by word."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable

import pytest
import yaml
from conftest import Project
from defects import LOCAL, Defect, found_in, log, object_of, publish, rules_of

from mlflow_dvc.recall.doctor import Finding

# What a person puts in place of a word in capitals.
WORDS = {"URL": "../fixed.git", "NAME": "fixed", "BRANCH": "fixed", "https://...": "https://x.org"}


def commands(fix: str) -> str:
    """The first of the commands that are named, as they would be typed."""
    command = re.split(r", (?:or|once|then|the|where) ", fix)[0]
    for word, meant in WORDS.items():
        command = command.replace(word, meant)
    return command


def run_in_shell(project: Project, fix: str) -> None:
    """With what a person would write into the editor that git opens."""
    project.run("git", "init", "--quiet", "--bare", "../fixed.git")
    env = {"GIT_EDITOR": "printf fixed >", "GIT_ALLOW_PROTOCOL": "file"}
    project.run("sh", "-c", commands(fix), **env)


def change_variable(project: Project, fix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    verb, _, rest = commands(fix).partition(" ")
    if verb == "unset":
        monkeypatch.delenv(rest)
    else:
        name, _, value = rest.partition("=")
        monkeypatch.setenv(name, value)


def edit_rules(project: Project, fix: str, *, remove: bool = False) -> None:
    """Add the lines that are named below a line of an ignore file, or remove that one."""
    found = re.match(r"In (.+), (?:remove|add below) line (\d+) \((.+?)\)(?:: (!.+);)?", fix)
    assert found is not None, fix
    path = project.root / found[1]
    lines = path.read_text().splitlines()
    at = int(found[2]) - 1
    assert lines[at] == found[3]
    lines[at : at + 1] = [lines[at], *found[4].split()] if found[4] and not remove else []
    path.write_text("".join(f"{line}\n" for line in lines))


def edit_dvc_rules(project: Project, fix: str) -> None:
    """Remove the line that the command in the fix names."""
    [command] = re.findall(r"`dvc (.+)`", fix)
    file, number, _ = project.dvc(*shlex.split(command)).splitlines()[-1].split(":")
    path = project.root / file
    lines = path.read_text().splitlines(keepends=True)
    del lines[int(number) - 1]
    path.write_text("".join(lines))


def edit_pipeline(project: Project, fix: str, stage: str) -> None:
    """What a person does in dvc.yaml."""
    path = project.root / "dvc.yaml"
    raw = yaml.safe_load(path.read_text())
    told = raw["stages"][stage]
    dep = re.compile(r"Add (.+) to its deps in dvc.yaml|Under its deps in dvc.yaml: - (.+)")
    if found := dep.fullmatch(fix):
        told["deps"].append(found[1] or found[2])
    elif re.fullmatch(r"List the keys that it reads as its params in dvc.yaml", fix):
        told["params"] = ["lr"]
    elif found := re.fullmatch(r"In dvc.yaml, under its metrics: `- (.+)`", fix):
        told["metrics"] = [yaml.safe_load(found[1])]
    else:
        pytest.fail(f"nobody knows how to do this: {fix}")
    path.write_text(yaml.safe_dump(raw, sort_keys=False))


def edit_lock(project: Project, fix: str) -> None:
    assert fix == "Remove what dvc.lock says of it, and commit"
    stages = yaml.safe_load((project.root / "dvc.yaml").read_text())["stages"]
    path = project.root / "dvc.lock"
    raw = yaml.safe_load(path.read_text())
    raw["stages"] = {name: one for name, one in raw["stages"].items() if name in stages}
    path.write_text(yaml.safe_dump(raw, sort_keys=False))


def apply(project: Project, finding: Finding, monkeypatch: pytest.MonkeyPatch) -> None:
    fix = finding.fix
    if fix.startswith(("unset ", "export ")):
        change_variable(project, fix, monkeypatch)
    elif fix.startswith(("git ", "dvc ", "rm ", "mlflow-dvc ")):
        run_in_shell(project, fix)
    elif found := re.fullmatch(r"Remove (.+) from remote storage, which .+, then: (.+)", fix):
        (project.root.parent / "storage" / found[1]).unlink()
        run_in_shell(project, found[2])
    elif finding.rule in HIDES:
        apply_rule(project, finding)
    elif finding.rule == "dead-lock-entry":
        edit_lock(project, fix)
    else:
        edit_pipeline(project, fix, finding.where)


# What no fix can be done for here: something is to be installed, written anew or decided.
BY_HAND = {
    "no_git_binary", "no_yaml", "merge_conflict", "one_output_of_two_stages", "dataset_unknown",
}  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "spoil"),
    [pytest.param(row[0], row[2], id=row[2].__name__)
     for row in LOCAL if row[2].__name__ not in BY_HAND],
)  # fmt: skip
def test_fix(rule: str, spoil: Defect, sound: Project, monkeypatch: pytest.MonkeyPatch):
    """The fix that is printed, done as it stands, mends what was found; git and DVC agree."""
    spoil(sound, monkeypatch)
    monkeypatch.chdir(sound.root)
    [finding] = found_in(sound, local=True)
    apply(sound, finding, monkeypatch)
    assert rule not in rules_of(found_in(sound, local=True)), finding.fix
    shows_no_data(sound)


def shows_no_data(project: Project) -> None:
    """Neither git nor DVC is upset: data is not shown to git, and DVC reads the project."""
    shown = project.run("git", "ls-files", "--others", "--exclude-standard").split("\n")
    assert not {"data/raw.csv", "data/prepared.csv", "models/model.txt", "report.txt"} & set(shown)
    project.dvc("status", "--quiet") if shown == [] else project.dvc("status")


# --- rules that hide files ---------------------------------------------------------------------

RULES: dict[str, tuple[str, str]] = {
    "ending": (".gitignore", "*.dvc"),
    "folder": (".gitignore", "/data/"),
    "content": (".gitignore", "/data/*"),
    "content, shown again": (".gitignore", "/data/*\n!/data/*.dvc"),
    "folder, shown again": (".gitignore", "/data/\n!/data/raw.csv.dvc"),
    "deep content, shown again": (".gitignore", "/data/**\n!/data/**/*.dvc"),
    "allowed alone": (".gitignore", "*\n!*.dvc\n!dvc.*\n!.gitignore\n!src/*"),
    "allowed folders": (".gitignore", "*\n!*/\n!dvc.yaml\n!dvc.lock\n!.gitignore"),
    "allowed but the lock": (".gitignore", "*\n!*/\n!*.dvc\n!dvc.yaml\n!.gitignore"),
    "allowed in the root": (".gitignore", "/*\n!/dvc.*\n!/.gitignore\n!/.dvc\n!/src"),
    "in a shown folder": (".gitignore", "/*\n!/data/\n!/dvc.*\n/data/*\n!/data/.gitignore"),
    "shown too early": (".gitignore", "!dvc.lock\n*.lock"),
    "shown for others": (".gitignore", "*.lock\n!poetry.lock"),
    "two rules": (".gitignore", "*.dvc\n/data/*.dvc"),
    "nearer": ("data/.gitignore", "*.dvc"),
    "exclude": (".git/info/exclude", "*.dvc"),
    "exclude, the lock": (".git/info/exclude", "dvc.lock"),
    "of the user": ("{home}/excludes", "*.lock"),
    "dvcignore": (".dvcignore", "data"),
    "dvcignore, shown again": (".dvcignore", "data\n!data/raw.csv.dvc"),
    "dvcignore, ending": (".dvcignore", "*.dvc\n!other.dvc"),
}  # fmt: skip


HIDES = ("dvc-file-hidden", "lock-ignored")


@pytest.mark.parametrize("name", RULES)
def test_ignore_rule(name: str, sound: Project):
    """What a fix says of a line in an ignore file shows the file again, and nothing that it should
    not. Naive is to name the line that git names last: a ``!`` line is often without effect."""
    file, text = RULES[name]
    write_rules(sound, file, text)
    found = hidden_in(sound)
    assert found
    while found:
        apply_rule(sound, found[0])
        left = hidden_in(sound)
        assert found[0] not in left, found[0].fix
        assert len(left) < len(found)
        found = left
    shows_no_data(sound)


@pytest.mark.parametrize("name", ["ending", "exclude", "two rules", "shown for others"])
def test_ignore_rule_removed(name: str, sound: Project):
    """To remove the line that a fix names, in place of adding one, is as good; of two, each."""
    write_rules(sound, *RULES[name])
    for _ in range(2 if name == "two rules" else 1):
        [finding] = hidden_in(sound)
        assert finding.fix.endswith("; or remove that line")
        edit_rules(sound, finding.fix, remove=True)
    assert hidden_in(sound) == []
    shows_no_data(sound)


def write_rules(project: Project, file: str, text: str) -> None:
    path = project.root / file.format(home=os.environ["HOME"])
    if not path.is_relative_to(project.root):
        project.git("config", "core.excludesFile", str(path))
    before = path.read_text() if path.exists() else ""
    path.write_text(f"{before.rstrip()}\n{text}\n".lstrip("\n"))
    publish(project)


def hidden_in(project: Project) -> list[Finding]:
    return [one for one in found_in(project, local=True) if one.rule in HIDES]


def apply_rule(project: Project, finding: Finding) -> None:
    if finding.fix.startswith("Remove the rule that `dvc"):
        edit_dvc_rules(project, finding.fix)
    else:
        edit_rules(project, finding.fix)


# --- what a server or a remote must be asked ---------------------------------------------------


def not_pushed(project: Project) -> None:
    object_of(project.root.parent / "storage", project.lock()["models/model.txt"]).unlink()


def not_pushed_in_a_folder(project: Project) -> None:
    listing = object_of(project.root / ".dvc/cache", project.lock()["data/parts"])
    value = json.loads(listing.read_text())[0]["md5"]
    object_of(project.root.parent / "storage", value).unlink()


def lost(project: Project) -> None:
    for store in (project.root.parent / "storage", project.root / ".dvc/cache"):
        object_of(store, project.lock()["models/model.txt"]).unlink()


def lost_data(project: Project) -> None:
    for store in (project.root.parent / "storage", project.root / ".dvc/cache"):
        object_of(store, hash_of_raw(project)).unlink()


def hash_of_raw(project: Project) -> str:
    [out] = yaml.safe_load((project.root / "data/raw.csv.dvc").read_text())["outs"]
    return str(out["md5"])


def undeclared(project: Project) -> None:
    log(project, "train", "confirmed", reads="labels.json")


def unsealed(project: Project) -> None:
    project.dvc("repro", "--quiet", "--force", "--single-item", "train")
    publish(project)


def artifacts_in_an_output(project: Project) -> None:
    import mlflow

    place = (project.root / "kept/art").as_uri()
    mlflow.MlflowClient().create_experiment("kept", artifact_location=place)
    project.write("kept/art/x", "x")
    project.dvc("add", "--quiet", "kept")
    project.dvc("push", "--quiet")
    publish(project)


def storage_in_an_output(project: Project) -> None:
    project.write("kept/x", "x")
    project.dvc("add", "--quiet", "kept")
    project.dvc("push", "--quiet")
    project.dvc("remote", "add", "--quiet", "more", "kept/remote")
    publish(project)


ASKING = {
    "not-pushed": [not_pushed, not_pushed_in_a_folder],
    "lost": [lost, lost_data],
    "undeclared-read": [undeclared],
    "unsealed": [unsealed],
    "artifacts-are-output": [artifacts_in_an_output],
    "storage-is-output": [storage_in_an_output],
}


@pytest.mark.parametrize(
    ("rule", "spoil"),
    [pytest.param(rule, one, id=one.__name__) for rule, rows in ASKING.items() for one in rows],
)
def test_fix_at_a_server(
    rule: str, spoil: Callable[[Project], None], at_server: Project, monkeypatch: pytest.MonkeyPatch
):
    """So it is with what a server, a remote or real runs tell."""
    spoil(at_server)
    monkeypatch.chdir(at_server.root)
    [finding] = found_in(at_server)
    assert finding.rule == rule
    apply(at_server, finding, monkeypatch)
    assert rule not in rules_of(found_in(at_server)), finding.fix
    shows_no_data(at_server)
    assert "kept/" not in at_server.git("status", "--porcelain")
