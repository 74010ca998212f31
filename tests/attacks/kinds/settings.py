"""Settings that name a path or a program, in a commit, in a patch, or attached."""

from __future__ import annotations

from functools import partial

from attacks.forgery import Forgery
from attacks.kinds import hostile
from attacks.kinds.credentials import ABSENT

CONFIGS = {
    "site-cache": "[core]\n    site_cache_dir = {lab}/canary/site\n",
    "cache-dir": "[cache]\n    dir = {lab}/canary/cache\n",
    "cache-type": "[cache]\n    type = symlink\n"
    "    dir = {lab}/project/.dvc/cache\n    shared = group\n",
    "autostage": "[core]\n    autostage = true\n    check_update = true\n",
    "hydra": "[hydra]\n    enabled = true\n"
    "    config_dir = {lab}/canary\n    plugins_path = {lab}/canary\n",
    "keys": "[core]\n    remote = s\n['remote \"s\"']\n    url = s3://bucket/x\n"
    "    endpointurl = {at}\n    credentialpath = {lab}/home/.aws/credentials\n"
    "    configpath = {lab}/canary/file\n    profile = program\n",
    "ssh": "[core]\n    remote = s\n['remote \"s\"']\n    url = ssh://127.0.0.1:1/x\n"
    "    keyfile = {lab}/canary/file\n    ask_password = true\n    gss_auth = true\n",
    "gdrive": "[core]\n    remote = s\n['remote \"s\"']\n    url = gdrive://root/x\n"
    "    gdrive_user_credentials_file = {lab}/canary/token.json\n",
    "exec": "[core]\n    remote = s\n['remote \"s\"']\n    url = exec:{lab}/programs/setting\n",
    "custom-auth": "[core]\n    remote = s\n['remote \"s\"']\n    url = {at}/wants/store\n"
    "    auth = custom\n    custom_auth_header = X\n    ask_password = true\n",
    "endless-remote": "[core]\n    remote = s\n['remote \"s\"']\n    url = {at}/endless\n",
    "local-remote": "[core]\n    remote = s\n['remote \"s\"']\n    url = {lab}/home\n",
    "state": "[state]\n    dir = {lab}/canary/state\n    row_limit = -1\n"
    "[index]\n    dir = {lab}/canary/index\n",
    "db": "[exp]\n    code = {lab}/canary\n    auto_push = true\n    git_remote = {at}/git/evil\n",
    "plots": "[plots]\n    html_template = {lab}/canary/file\n    auto_open = true\n",
    "invalid": "[core\nno = config\n",
    "wrong-kind": "[core]\n    autostage = maybe\n[nonsense]\n    x = y\n",
    "binary": "\0\1\2\xff",
}  # fmt: skip


def of_commit(text: str, run: Forgery) -> None:
    run.commit({".dvc/config": text.format(lab=run.lab.root, at=run.lab.listener.address)})
    run.add_data("data/x.csv", ABSENT)


for _name, _text in CONFIGS.items():
    hostile(f"settings-{_name}", fast=_name in ("site-cache", "invalid"))(partial(of_commit, _text))


@hostile("settings-local-in-commit")
def local_in_commit(run: Forgery) -> None:
    text = CONFIGS["site-cache"].format(lab=run.lab.root)
    run.commit({".dvc/config.local": text, ".dvc/.gitignore": "/tmp\n"})


@hostile("settings-temporary-is-a-link")
def temporary_is_a_link(run: Forgery) -> None:
    run.commit({".dvc/tmp": run.lab.canary, ".dvc/cache": run.lab.canary})


@hostile("settings-folder-is-a-link")
def folder_is_a_link(run: Forgery) -> None:
    names = run.lab.attacker.git("ls-files", ".dvc", ".dvcignore").split()
    run.commit(dict.fromkeys(name for name in names if name.startswith(".dvc/")))
    (run.lab.attacker.root / ".dvc").exists() and run.lab.attacker.run("rm", "-r", ".dvc")
    run.commit({".dvc": run.lab.project.root / ".dvc"})


@hostile("settings-config-is-a-link")
def config_is_a_link(run: Forgery) -> None:
    run.commit({".dvc/config": run.lab.canary / "file"})


@hostile("settings-attached")
def attached(run: Forgery) -> None:
    run.files[".dvc/config"] = CONFIGS["site-cache"].format(lab=run.lab.root).encode()


@hostile("settings-raw-code")
def raw_code(run: Forgery) -> None:
    run.add_patch(b"")
    text = CONFIGS["site-cache"].format(lab=run.lab.root).encode()
    run.files["code/.dvc/config"] = text
    run.files["code/.dvc/config.local"] = text
