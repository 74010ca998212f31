"""The user's machine, with secrets and programs that must stay quiet; and the attacker's server."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from conftest import PYTHON, Project, environment, lay_out, make_home

from attacks.listener import Listener

# None of these may be seen in a request to the attacker. What has to look real begins as it would.
SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIACANARY0000000000",
    "AWS_SECRET_ACCESS_KEY": "canary-aws-secret",
    "AWS_SESSION_TOKEN": "canary-aws-session",
    "AZURE_STORAGE_CONNECTION_STRING": "AccountName=user;AccountKey=Y2FuYXJ5LWF6dXJl",
    "AZURE_STORAGE_KEY": "Y2FuYXJ5LWF6dXJl",
    "GITHUB_TOKEN": "ghp_canarycanarycanarycanarycanary0000",
    "MLFLOW_TRACKING_TOKEN": "canary-mlflow-token",
}
MARKS = tuple(part.encode() for part in ("canary", "CANARY", "Y2FuYXJ5"))
PASSWORD = "canary-password"
PROGRAMS = ("fsmonitor", "hook", "filter", "helper", "ssh", "stage", "setting", "askpass")
STORAGE = "storage"  # the DVC remote of which the user has the password in the global settings


@dataclass(frozen=True)
class Laboratory:
    """Everything lies below ``root``. ``attacker`` is a clone that the attacker's server serves."""

    root: Path
    listener: Listener
    own: Listener

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def project(self) -> Project:
        return Project(self.root / "project", self.environment)

    @property
    def attacker(self) -> Project:
        quiet = environment(self.root / "attacker-home")
        return Project(self.root / "served/evil", quiet | {"GIT_CONFIG_GLOBAL": "/dev/null"})

    @property
    def elsewhere(self) -> Path:
        """A working directory in no project."""
        return self.root / "elsewhere"

    @property
    def targets(self) -> Path:
        """The folder of everything that may be written."""
        return self.root / "targets"

    @property
    def canary(self) -> Path:
        """A folder beside the targets in which nothing may change."""
        return self.root / "canary"

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def git_url(self) -> str:
        return f"{self.listener.address}/git/evil"

    def program(self, name: str) -> str:
        """The path of a program that leaves a trace when it runs."""
        return str(self.root / "programs" / name)

    def ran(self) -> list[str]:
        return sorted(os.listdir(self.root / "ran"))

    @property
    def environment(self) -> dict[str, str]:
        return {
            **environment(self.home),
            **SECRETS,
            "AWS_DEFAULT_REGION": "us-east-1",
            "MLFLOW_TRACKING_URI": self.uri,
            "TMPDIR": str(self.root / "scratch"),
            "GIT_SSH_COMMAND": self.program("user-ssh"),
            "GIT_TERMINAL_PROMPT": "0",
        }

    def commit(self, files: Mapping[str, str | bytes | Path | None]) -> str:
        """A commit of the attacker's, which the user fetched. A Path is a link, None no file."""
        for path, content in files.items():
            where = self.attacker.root / path
            if content is None:
                where.unlink()
            elif isinstance(content, Path):
                where.parent.mkdir(parents=True, exist_ok=True)
                where.unlink(missing_ok=True)
                where.symlink_to(content)
            else:
                self.attacker.write(path, content)
        self.attacker.git("add", "--all", "--force", "--", *files)
        self.attacker.git("commit", "--quiet", "--allow-empty", "--message", "harmless")
        return self.fetched(self.attacker.git("rev-parse", "HEAD"))

    def commit_objects(self, rows: Mapping[str, tuple[str, bytes]]) -> str:
        """A commit with files of names that git itself would refuse: name to (mode, content)."""
        listed = self.attacker.run("git", "ls-tree", "-z", "HEAD")
        parts = [row.partition("\t") for row in listed.split("\0") if row]
        trees = [(name, head.split()[0], head.split()[2]) for head, _, name in parts]
        for name, (mode, content) in rows.items():
            sha = content.decode() if mode in ("40000", "160000") else self.object("blob", content)
            trees.append((name, mode, sha))
        text = b"".join(
            f"{mode.lstrip('0')} {name}".encode() + b"\0" + bytes.fromhex(sha)
            for name, mode, sha in sorted(trees)
        )
        tree = self.object("tree", text)
        made = self.attacker.git("commit-tree", tree, "-p", "HEAD", "-m", "harmless")
        self.attacker.git("update-ref", "refs/heads/main", made)
        return self.fetched(made)

    def object(self, kind: str, content: bytes) -> str:
        done = subprocess.run(
            ["git", "hash-object", "-t", kind, "-w", "--literally", "--stdin"],
            cwd=self.attacker.root, input=content, capture_output=True, check=True,
        )  # fmt: skip
        return done.stdout.decode().strip()

    def fetched(self, sha: str) -> str:
        source = str(self.attacker.root)
        self.project.git("fetch", "--quiet", source, f"+{sha}:refs/remotes/colleague/evil")
        return sha


def prepare(folder: Path, database: Path, started: Path) -> None:
    """Once for all tests: a project with one recorded run, its origin and its DVC remote."""
    home = folder / "home"
    make_home(home)
    shutil.copy(database, folder)
    told = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    project = Project(folder / "project", environment(home) | told)
    shutil.copytree(started, project.root)
    lay_out(project)
    make = "import mlflow; mlflow.create_experiment('honest', 'file://{}')".format(
        folder / "artifacts"
    )
    experiment = {"MLFLOW_EXPERIMENT_NAME": "honest"}
    project.run(PYTHON, "-c", make, MLFLOW_DVC_ENABLED="0")
    project.dvc("remote", "add", "--quiet", "--default", "folder", "../remote")
    project.dvc("repro", "prepare")
    project.commit("prepared")
    project.dvc("repro", "train", **experiment)
    project.commit("reproduced")
    project.dvc("push", "--quiet")
    project.git("clone", "--quiet", "--bare", str(project.root), str(folder / "origin.git"))
    project.git("remote", "add", "origin", "../origin.git")
    project.git("fetch", "--quiet", "origin")


def build(root: Path, prepared: Path, listener: Listener, own: Listener) -> Laboratory:
    """A machine of its own for one record."""
    lab = Laboratory(root, listener, own)
    shutil.copytree(prepared, root, symlinks=True)
    move_store(root, prepared)
    for name in ("elsewhere", "targets", "canary", "programs", "ran", "scratch", "served"):
        (root / name).mkdir()
    (lab.canary / "file").write_text("as it was\n")
    make_home(root / "attacker-home")
    listener.folder = root / "served"
    for name in PROGRAMS:
        write_program(lab, name, f"touch {root}/ran/{name}")
    write_program(lab, "user-ssh", f'echo "$@" >> {root}/home/ssh.log; exit 1')
    write_program(lab, "git-credential-user", f"touch {root}/ran/credential-helper; echo "
                  f"username=canary; echo password={PASSWORD}")  # fmt: skip
    config_home(lab)
    source = lab.project.root
    words = ("git", "clone", "--quiet", "--no-hardlinks", str(source), str(lab.attacker.root))
    lab.project.run(*words, cwd=root)
    lab.attacker.git("config", "user.name", "Mallory")
    lab.attacker.git("config", "user.email", "mallory@localhost")
    return lab


def move_store(root: Path, prepared: Path) -> None:
    """Let the server know its artifacts where they are now: `sync` writes them anew."""
    moved = (prepared.as_uri(), root.as_uri())
    with closing(sqlite3.connect(root / "mlflow.db")) as database, database:
        database.execute("UPDATE runs SET artifact_uri = replace(artifact_uri, ?, ?)", moved)
        database.execute(
            "UPDATE experiments SET artifact_location = replace(artifact_location, ?, ?)", moved
        )


def write_program(lab: Laboratory, name: str, script: str) -> None:
    path = Path(lab.program(name))
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def config_home(lab: Laboratory) -> None:
    """The user's own settings of git, DVC, AWS and curl, with a password in each."""
    helper = f"\n[credential]\n\thelper = {lab.program('git-credential-user')}\n"
    with (lab.home / ".gitconfig").open("a") as config:
        config.write(helper)
    (lab.home / ".netrc").write_text(f"machine localhost login canary password {PASSWORD}\n")
    (lab.home / ".netrc").chmod(0o600)
    dvc = lab.home / ".config/dvc/config"
    dvc.parent.mkdir(parents=True, exist_ok=True)
    # Not by the environment, which would hide what a project says of it.
    dvc.write_text(
        f"[core]\n    site_cache_dir = {lab.home}/dvc-site\n"
        f"['remote \"{STORAGE}\"']\n    url = {lab.own.address}/\n    auth = basic\n"
        f"    user = canary\n    password = {PASSWORD}\n"
    )
    aws = lab.home / ".aws/credentials"
    aws.parent.mkdir(exist_ok=True)
    aws.write_text(
        "[other]\naws_access_key_id = AKIACANARY1111111111\naws_secret_access_key = canary\n"
        f"[program]\ncredential_process = {lab.program('helper')}\n"
    )
