"""Names that lead out of the tree, or that a program reads: ``.git`` in every spelling."""

from __future__ import annotations

import json
from functools import partial

from attacks.forgery import Forgery, md5
from attacks.kinds import hostile

CONFIG = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tfsmonitor = {program}\n"
HEAD = b"ref: refs/heads/main\n"
NAMES = {
    "git": "data/.git",
    "upper": "data/.GIT",
    "space": "data/.git ",
    "dot": "data/.git.",
    "stream": "data/.git::$INDEX_ALLOCATION",
    "ntfs": "data/git~1",
    "joiner": "data/.g\u200cit",
    "backslash": "data\\.git",
    "long-s": ".git\u017f",
    "dvc": ".dvc/config.local",
    "parent": "../canary/file",
    "absolute": "/tmp/mlflow-dvc-attack",
    "device": "data/CON",
    "empty": "",
    "itself": ".",
    "nul": "data/x\0y",
    "surrogate": "data/\udcff",
}


def repository(run: Forgery) -> str:
    """The hash of a folder that is a git repository with a program in its settings."""
    config = CONFIG.format(program=run.lab.program("fsmonitor")).encode()
    hook = f"#!/bin/sh\n{run.lab.program('hook')}\n".encode()
    files = {
        "config": config,
        "HEAD": HEAD,
        "objects/x": b"",
        "refs/heads/x": b"",
        "hooks/post-checkout": hook,
    }
    rows = [{"md5": run.object(text), "relpath": path} for path, text in files.items()]
    return run.listing(*rows)


def data_at(path: str, run: Forgery) -> None:
    run.add_data(path, repository(run), nfiles=5)


for _name, _path in NAMES.items():
    hostile(f"names-data-{_name}", fast=_name in ("git", "joiner"))(partial(data_at, _path))


def listed_at(path: str, run: Forgery) -> None:
    content = run.object(b"of the attacker\n")
    rows = [{"md5": content, "relpath": path}]
    run.add_data("data/folder", run.listing(*rows), nfiles=1)


for _name in (
    "git",
    "upper",
    "space",
    "ntfs",
    "joiner",
    "parent",
    "absolute",
    "backslash",
    "nul",
    "surrogate",
):
    _path = NAMES[_name]
    hostile(f"names-listing-{_name}", fast=_name == "parent")(partial(listed_at, _path))


@hostile("names-listing-repository")
def listed_repository(run: Forgery) -> None:
    config = CONFIG.format(program=run.lab.program("fsmonitor")).encode()
    files = {".git/config": config, ".git/HEAD": HEAD, ".git/objects/x": b"", ".git/refs/x": b""}
    rows = [{"md5": run.object(text), "relpath": path} for path, text in files.items()]
    run.add_data("data/folder", run.listing(*rows), nfiles=4)


@hostile("names-listing-twice")
def listed_twice(run: Forgery) -> None:
    """A file and a folder of one name."""
    content = run.object(b"x")
    rows = [{"md5": content, "relpath": "a"}, {"md5": content, "relpath": "a/b"}]
    run.add_data("data/folder", run.listing(*rows), nfiles=2)


def attached_at(path: str, run: Forgery) -> None:
    run.files[path] = b"of the attacker\n"


for _name in ("git", "upper", "space", "ntfs", "joiner", "dvc", "backslash", "device"):
    _path = NAMES[_name]
    hostile(f"names-attached-{_name}")(partial(attached_at, f"{_path}/config"))


def raw_code_at(path: str, run: Forgery) -> None:
    run.add_patch(b"")
    run.files[f"code/{path}"] = b"of the attacker\n"


for _name, _path in {
    "git": ".git/hooks/post-checkout",
    "upper": ".GIT/config",
    "joiner": ".g\u200cit/config",
    "ntfs": "git~1/config",
    "dvc": ".dvc/config",
}.items():
    hostile(f"names-code-{_name}")(partial(raw_code_at, _path))

PATCH = """\
diff --git a/{path} b/{path}
new file mode {mode}
index 0000000000000000000000000000000000000000..{sha}
--- /dev/null
+++ b/{path}
@@ -0,0 +1 @@
+{text}
"""


def patched(path: str, mode: str, text: str, run: Forgery) -> None:
    text = text.format(lab=run.lab.root)
    patch = PATCH.format(path=path, mode=mode, text=text, sha=md5(b"x") + "0" * 8)
    if mode == "120000":
        patch += "\\ No newline at end of file\n"
    run.add_patch(patch.encode())


for _name, (_path, _mode, _text) in {
    "hook": (".git/hooks/post-checkout", "100755", "#!/bin/sh"),
    "upper": (".GIT/config", "100644", "x"),
    "joiner": (".g\u200cit/config", "100644", "x"),
    "ntfs": ("git~1/config", "100644", "x"),
    "parent": ("../canary/file", "100644", "x"),
    "absolute": ("/tmp/mlflow-dvc-attack", "100644", "x"),
    "link-out": ("data/link", "120000", "{lab}/canary"),
    "link-dvc": (".dvc/tmp", "120000", "{lab}/canary"),
}.items():
    hostile(f"names-patch-{_name}", fast=_name == "link-dvc")(partial(patched, _path, _mode, _text))


@hostile("names-patch-through-link")
def through_link(run: Forgery) -> None:
    """A link in the patch, and data, a file and code that would go through it."""
    patched("linked", "120000", "{lab}/canary", run)
    run.add_data("linked/data.csv")
    run.files["linked/params.yaml"] = b"x: 1\n"
    run.files["code/linked/code.py"] = b"x\n"


@hostile("names-import-git", fast=True)
def import_git(run: Forgery) -> None:
    """An imported folder that is to lie at ``data/.git``, of a repository that git tracks."""
    files = {
        "repo/config": CONFIG.format(program=run.lab.program("fsmonitor")),
        "repo/HEAD": HEAD,
        "repo/objects/x": "x",
        "repo/refs/heads/x": "x",
    }
    sha = run.lab.commit(files)
    rows = [
        {"md5": md5(text.encode() if isinstance(text, str) else text), "relpath": path[5:]}
        for path, text in sorted(files.items())
    ]
    digest = run.listing(*rows)
    run.add_import("data/.git", run.lab.git_url, "repo", digest)
    own = run.said["git"]["sha"].encode()
    run.files["data/imported.dvc"] = run.files["data/imported.dvc"].replace(own, sha.encode())


def rows_of(files: dict[str, bytes]) -> list[dict[str, str]]:
    return [{"md5": md5(text), "relpath": path} for path, text in sorted(files.items())]


def inner_repository(run: Forgery) -> dict[str, bytes]:
    config = CONFIG.format(program=run.lab.program("fsmonitor")).encode()
    return {".git/HEAD": HEAD, ".git/config": config, ".git/objects/x": b"x", ".git/refs/x": b"x"}


def import_from(run: Forgery, sha: str, digest: str) -> None:
    run.add_import("data/folder", run.lab.git_url, "payload", digest)
    own = run.said["git"]["sha"].encode()
    run.files["data/imported.dvc"] = run.files["data/imported.dvc"].replace(own, sha.encode())
    where = {"repo": run.lab.git_url, "rev": sha}
    run.sources.append({"path": "payload", "algorithm": "md5", "hash": digest} | where)


@hostile("names-import-listing", fast=True)
def import_listing(run: Forgery) -> None:
    """The attacker's DVC remote has a folder that is a git repository inside."""
    files = inner_repository(run)
    text = json.dumps(rows_of(files)).encode()
    for content, end in [(text, ".dir"), *((one, "") for one in files.values())]:
        name = md5(content)
        where = run.lab.root / "served/store/files/md5" / name[:2] / f"{name[2:]}{end}"
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(content)
    digest = f"{md5(text)}.dir"
    url = f"{run.lab.listener.address}/store"
    config = f"[core]\n    remote = s\n['remote \"s\"']\n    url = {url}\n"
    outs = f"outs:\n- md5: {digest}\n  size: 9\n  nfiles: 4\n  hash: md5\n  path: payload\n"
    import_from(run, run.lab.commit({".dvc/config": config, "payload.dvc": outs}), digest)


@hostile("names-import-tree", fast=True)
def import_tree(run: Forgery) -> None:
    """A commit has a folder with a ``.git`` in it, which git would never check out."""
    files = inner_repository(run)
    config, head = files[".git/config"], files[".git/HEAD"]
    kept = {".git/HEAD": head, ".git/config": config}
    rows = sorted((name.partition("/")[2], run.lab.object("blob", kept[name])) for name in kept)
    inner = b"".join(f"100644 {name}\0".encode() + bytes.fromhex(sha) for name, sha in rows)
    git = run.lab.object("tree", inner)
    payload = run.lab.object("tree", b"40000 .git\0" + bytes.fromhex(git))
    sha = run.lab.commit_objects({"payload": ("40000", payload.encode())})
    import_from(run, sha, f"{md5(json.dumps(rows_of(kept)).encode())}.dir")


def import_at(path: str, run: Forgery) -> None:
    sha = run.lab.commit({"payload/config": CONFIG.format(program="x"), "payload/HEAD": HEAD})
    run.add_import(path, str(run.lab.attacker.root), "payload")
    name = next(name for name in run.files if name.endswith("imported.dvc"))
    run.files[name] = run.files[name].replace(run.said["git"]["sha"].encode(), sha.encode())


for _name in ("upper", "ntfs", "parent"):
    hostile(f"names-import-{_name}")(partial(import_at, NAMES[_name]))


def sourced(path: str, run: Forgery) -> None:
    run.sources.append({"path": path, "algorithm": "md5", "hash": repository(run)})


for _name in ("git", "joiner", "parent", "absolute", "nul", "surrogate", "empty"):
    hostile(f"names-source-{_name}")(partial(sourced, NAMES[_name]))


@hostile("names-root-out")
def root_out(run: Forgery) -> None:
    run.said["root"] = "../.."


@hostile("names-stage-option")
def stage_option(run: Forgery) -> None:
    run.said["stage"] = "--pull"
