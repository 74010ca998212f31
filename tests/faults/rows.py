"""Everything that may be wrong with a program, its project and its machine: a row for each."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from conftest import Project
from mounts import fill_disk, make_read_only

# {before}, {inside} and {after} are what a row says; what it prints is compared as well.
PROGRAM = """\
import os, signal, sys, threading, time
import mlflow

def main():
    with mlflow.start_run() as run:
        mlflow.log_param("p", "1")
{inside}
        mlflow.log_metric("m", 2)
        mlflow.log_text("hello", "note.txt")
    print("done", flush=True)
{after}

if __name__ == "__main__":
{before}
    main()
"""
SHORT = "import mlflow\nwith mlflow.start_run():\n    mlflow.log_metric('m', 1)\n"
UNTRACKED = 200_000


@dataclass(frozen=True)
class Fault:
    """``lay`` spoils the project, ``env`` and ``words`` (of the interpreter) how it is run.

    ``program`` takes the place of the one above. ``wait`` is MLFLOW_DVC_WAIT, where something hangs
    that we ask. Not every one ends with its run recorded; that is not what is asked.
    """

    name: str
    before: str = ""
    inside: str = ""
    after: str = ""
    lay: Callable[[Project], object] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    program: str = ""
    wait: str = "20"

    @property
    def script(self) -> str:
        if self.program:
            return self.program
        parts = {"before": (self.before, 4), "inside": (self.inside, 8), "after": (self.after, 4)}
        return PROGRAM.format(**{key: _indent(*value) for key, value in parts.items()})


def _indent(code: str, width: int) -> str:
    return "\n".join(" " * width + line for line in (code or "pass").splitlines())


def writes(path: str, content: str | bytes) -> Callable[[Project], object]:
    return lambda project: project.write(path, content)


def makes(call: Callable[[Path], object], path: str) -> Callable[[Project], None]:
    """``call`` makes something else at ``path``."""

    def lay(project: Project) -> None:
        target = project.root / path
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        call(target)

    return lay


def removes(path: str) -> Callable[[Project], None]:
    return makes(lambda target: None, path)


def links_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def listens(path: Path) -> None:
    """A socket; its name must be short."""
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


def is_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**12)


def git_is(script: str) -> Callable[[Project], None]:
    """Another program of that name stands first on PATH; see ``GIT_FIRST``."""

    def lay(project: Project) -> None:
        project.write("../bin/git", "#!/bin/sh\n" + script).chmod(0o755)

    return lay


def many_files(project: Project) -> None:
    for number in range(UNTRACKED):
        if number % 1000 == 0:
            folder = project.root / "results" / str(number // 1000)
            folder.mkdir(parents=True)
        os.close(os.open(folder / f"{number}.txt", os.O_CREAT | os.O_WRONLY))


def other_owner(project: Project) -> None:
    for path in (project.root, *(project.root / ".git").rglob("*"), project.root / ".git"):
        os.chown(path, 12345, 12345)


GIT_FIRST = {"PATH": "../bin:{PATH}"}
NOT_OF_MLFLOW = "sys.modules['git'] = None"  # MLflow itself waits for git as long as that takes
DEEP = "[" * 100_000

GIT = [
    Fault("git is missing", before=NOT_OF_MLFLOW, env={"PATH": "../bin"}),
    Fault("git hangs", before=NOT_OF_MLFLOW, lay=git_is("sleep 1000\n"), env=GIT_FIRST, wait="2"),
    Fault("git fails", before=NOT_OF_MLFLOW, lay=git_is("echo no >&2\nexit 128\n"), env=GIT_FIRST),
    Fault("git says anything", before=NOT_OF_MLFLOW, lay=git_is("head -c 100000 /dev/urandom\n"), env=GIT_FIRST),
    Fault("git is killed", before=NOT_OF_MLFLOW, lay=git_is("kill -9 $$\n"), env=GIT_FIRST),
    Fault("git says too much", before=NOT_OF_MLFLOW, lay=git_is("yes | head -c 5000000\n"), env=GIT_FIRST),
    Fault("HEAD is broken", lay=writes(".git/HEAD", b"\xff\0garbage")),
    Fault("HEAD is empty", lay=writes(".git/HEAD", "")),
    Fault("HEAD is missing", lay=removes(".git/HEAD")),
    Fault("HEAD names no commit", lay=writes(".git/HEAD", "a" * 40 + "\n")),
    Fault("HEAD names a branch outside", lay=writes(".git/HEAD", "ref: ../../../etc/passwd\n")),
    Fault("the index is broken", lay=writes(".git/index", os.urandom(5000))),
    Fault("the index is locked", lay=writes(".git/index.lock", "")),
    Fault("git's objects are gone", lay=removes(".git/objects")),
    Fault("git's references are broken", lay=writes(".git/packed-refs", DEEP)),
    Fault("git's settings are broken", lay=writes(".git/config", "[core\nbare = maybe")),
    Fault(".git names nothing", lay=makes(lambda at: at.write_text("gitdir: /nowhere\n"), ".git")),
    Fault(".git is a pipe", lay=makes(os.mkfifo, ".git")),
    Fault(".gitignore is a pipe", lay=makes(os.mkfifo, ".gitignore"), wait="2"),
    Fault(".gitattributes is broken", lay=writes(".gitattributes", b"*.py filter=\xff\0 diff\n")),
    Fault("a filter hangs", lay=lambda project: (
        project.git("config", "filter.x.clean", "sleep 1000"),
        project.write(".gitattributes", "*.py filter=x\n"),
        project.write("run.py", project.root.joinpath("run.py").read_text() + "\n"),
    ), wait="2"),
    Fault("the repository is another's", lay=other_owner),
    Fault("GIT_DIR is wrong", env={"GIT_DIR": "/nowhere"}),
    Fault("GIT_INDEX_FILE is wrong", env={"GIT_INDEX_FILE": "/proc/self/mem"}),
    Fault("a submodule is broken", lay=writes(".gitmodules", "[submodule \"x\"\npath = ../..\n")),
]  # fmt: skip
DVC = [
    Fault("DVC's settings are broken", lay=writes(".dvc/config", "[core\nremote = ''")),
    Fault("DVC's settings are binary", lay=writes(".dvc/config", os.urandom(1000))),
    Fault(".dvc is a file", lay=makes(lambda at: at.write_text("x"), ".dvc")),
    Fault("dvc.yaml is no YAML", lay=writes("dvc.yaml", "stages: [}")),
    Fault("dvc.yaml is binary", lay=writes("dvc.yaml", os.urandom(10_000))),
    Fault("dvc.yaml is deep", lay=writes("dvc.yaml", DEEP)),
    Fault("dvc.yaml is a bomb", lay=writes("dvc.yaml", "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
    ))),
    Fault("dvc.yaml is a pipe", lay=makes(os.mkfifo, "dvc.yaml")),
    Fault("dvc.yaml is a directory", lay=makes(os.mkdir, "dvc.yaml")),
    Fault("dvc.yaml is a link to itself", lay=makes(links_to("dvc.yaml"), "dvc.yaml")),
    Fault("dvc.lock is in conflict", lay=writes("dvc.lock", "<<<<<<< HEAD\nschema: '2.0'\n=====\n")),
    Fault("dvc.lock is empty", lay=writes("dvc.lock", "")),
    Fault("dvc.lock is a number", lay=writes("dvc.lock", "7")),
    Fault("dvc.lock is a directory", lay=makes(os.mkdir, "dvc.lock")),
    Fault("dvc.lock is a device", lay=makes(links_to("/dev/zero"), "dvc.lock")),
    Fault("a .dvc file is deep", lay=writes("deep.dvc", DEEP)),
    Fault("a .dvc file has odd hashes", lay=writes("odd.dvc", "outs:\n- {md5: [1], path: {}}\n")),
    Fault("a .dvc file has NUL", lay=writes("nul.dvc", b"outs:\n- path: a\0b\n  md5: \xff\n")),
    Fault(".dvcignore is binary", lay=writes(".dvcignore", os.urandom(1000))),
    Fault(".dvcignore is a pipe", lay=makes(os.mkfifo, ".dvcignore"), wait="2"),
]  # fmt: skip
DATA = [
    Fault("data is a pipe", lay=makes(os.mkfifo, "data/raw.csv"), wait="2"),
    Fault("data is a socket", lay=makes(listens, "data/raw.csv")),
    Fault("data is a device", lay=makes(links_to("/dev/zero"), "data/raw.csv"), wait="2"),
    Fault("data is a terabyte", lay=makes(is_huge, "data/raw.csv"), wait="2"),
    Fault("data is a loop of links", lay=makes(links_to("raw.csv"), "data/raw.csv")),
    Fault("a folder links to itself", lay=lambda project: os.symlink(".", project.root / "data/parts/up")),
    Fault("the project is read-only", lay=lambda project: make_read_only(project.root)),
    Fault("the artifacts are read-only", lay=lambda project: (
        (project.root.parent / "artifacts").mkdir(),
        make_read_only(project.root.parent / "artifacts"),
    ), program=SHORT),
    Fault("no temporary file can be written", lay=lambda project: fill_disk(project.root.parent / "full"), env={"TMPDIR": "../full"},
          program=SHORT),
    Fault("the home is full", lay=lambda project: fill_disk(project.root.parent / "full"), env={"HOME": "../full", "DVC_SITE_CACHE_DIR": "../full/dvc"}),
    Fault("a pipe is among the data", lay=makes(os.mkfifo, "data/parts/pipe"), wait="2"),
    Fault("data is gone", lay=removes("data")),
    Fault("names are no text", lay=lambda project: os.close(os.open(
        os.fsencode(project.root) + b"/data/parts/\xff\n\x1b[31m", os.O_CREAT))),
    Fault("files lie about", lay=many_files, wait="60"),
    Fault("data changes meanwhile", inside="open('data/raw.csv', 'a').write('more')"),
    Fault("data goes meanwhile", inside="import shutil; shutil.rmtree('data')"),
    Fault("the lock changes meanwhile", inside="open('dvc.lock', 'a').write('#')"),
    Fault("the lock goes meanwhile", inside="os.unlink('dvc.lock')"),
    Fault("HEAD changes meanwhile", inside="os.system('git commit -q --allow-empty -m x')"),
    Fault("git goes meanwhile", inside="import shutil; shutil.rmtree('.git')"),
    Fault("the directory goes", inside="import shutil; shutil.rmtree(os.getcwd())"),
    Fault("the directory has gone", before="os.mkdir('x'); os.chdir('x'); os.rmdir('../x')"),
]  # fmt: skip
MACHINE = [
    Fault("no HOME", before="del os.environ['HOME']"),
    Fault("HOME is nowhere", env={"HOME": "/nowhere"}),
    Fault("HOME is a file", env={"HOME": "/etc/passwd"}),
    Fault("no folder to keep things", env={"XDG_CACHE_HOME": "/proc/x", "DVC_SITE_CACHE_DIR": "/proc/y"}),
    Fault("TMPDIR is nowhere", env={"TMPDIR": "/nowhere"}),
    Fault("PATH is empty", env={"PATH": "", "GIT_PYTHON_REFRESH": "quiet"}),
    Fault("the locale is C", env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}, lay=writes("dvc.yaml",
          "stages:\n  größe: {cmd: c, outs: [ä.csv]}\n")),
    Fault("another user", before="os.setgid(65534); os.setuid(65534)"),
    Fault("few files", before="import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))"),
    Fault("small files", inside=(
        "import resource; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 10**6,) * 2)")),
    Fault("little memory", before=(
        "import resource; now = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (now + 150_000_000,) * 2)")),
    Fault("little stack", before="import resource; resource.setrlimit(resource.RLIMIT_STACK, (2**20, 2**20))"),
    Fault("few processes", before=(
        "import resource; os.setgid(65534); os.setuid(65534)\n"
        "resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))")),
    Fault("time goes back", before=(
        "real = time.time; begun = real()\ntime.time = lambda: 2 * begun - real() - 3600")),
    Fault("time stands still", before="time.time = lambda: 1_700_000_000.0"),
    Fault("stdout is closed", before="os.close(1)"),
    Fault("stderr is closed", before="os.close(2)"),
    Fault("no stdin", before="os.close(0)"),
    Fault("a small recursion limit", before="sys.setrecursionlimit(250)"),
]  # fmt: skip

_MOMENTS = ("before", "inside", "after")
_ENDS = {
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM)",
    "SIGINT": "os.kill(os.getpid(), signal.SIGINT)",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "SIGHUP": "os.kill(os.getpid(), signal.SIGHUP)",
    "SIGSEGV": "os.kill(os.getpid(), signal.SIGSEGV)",
    "os._exit": "os._exit(5)",
    "os.abort": "os.abort()",
    "sys.exit": "sys.exit(3)",
    "an exit with words": "sys.exit('no more')",
    "an exception": "raise RuntimeError('broken')",
    "Ctrl-C": "raise KeyboardInterrupt",
    "an end of memory": "raise MemoryError",
    "exec": "sys.stdout.flush(); os.execv('/bin/echo', ['echo', 'other'])",
}
ENDS = [
    Fault(f"{name} {moment}", **{moment: code})
    for name, code in _ENDS.items()
    for moment in _MOMENTS
]

_POOL = """\
import sys, multiprocessing
import mlflow

def work(number):
    with mlflow.start_run(run_name=f"r{{number}}"):
        mlflow.log_metric("m", number)
    return number

if __name__ == "__main__":
    with mlflow.start_run(run_name="main"), multiprocessing.get_context("{method}").Pool(2) as pool:
        print(sorted(pool.map(work, range(4))))
"""
_WORK = """\
def work(number):
    with mlflow.start_run(run_name=f"r{number}", nested=True):
        mlflow.log_metric("m", number)
"""
PROCESSES = [
    Fault("a fork that exits", inside="if not os.fork(): sys.exit(3)\nprint(os.wait()[1])"),
    Fault("a fork that ends at once", inside="if not os.fork(): os._exit(3)\nprint(os.wait()[1])"),
    Fault("a fork that fails", inside="if not os.fork(): raise RuntimeError\nprint(os.wait()[1])"),
    Fault("forks all along", inside=(
        "for _ in range(20):\n    if not os.fork(): os._exit(0)\n    os.wait()")),
    Fault("forked workers", program=_POOL.format(method="fork")),
    Fault("spawned workers", program=_POOL.format(method="spawn")),
    Fault("workers of a fork server", program=_POOL.format(method="forkserver")),
    Fault("os.wait", inside="try: os.wait()\nexcept ChildProcessError: print('none')"),
    Fault("a handler of SIGCHLD", before=(
        "def reap(*_):\n    while True:\n        try:\n"
        "            if os.waitpid(-1, os.WNOHANG) == (0, 0): return\n"
        "        except ChildProcessError: return\nsignal.signal(signal.SIGCHLD, reap)")),
    Fault("SIGCHLD is ignored", before="signal.signal(signal.SIGCHLD, signal.SIG_IGN)"),
    Fault("a process group that is ended", inside=(
        "import subprocess; print(subprocess.run(['false']).returncode)\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('told'))\nos.killpg(os.getpgid(0), 0)")),
    Fault("threads", inside=(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as pool: print(sorted(pool.map(abs, range(20))))")),
    Fault("runs of threads", before=_WORK, inside=(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "work = __import__('__main__').work\n"
        "with ThreadPoolExecutor(4) as pool: list(pool.map(work, range(8)))")),
    Fault("a daemon thread", inside="threading.Thread(target=time.sleep, args=(100,), daemon=True).start()"),
    Fault("a thread that goes on", after=(
        "def late():\n    time.sleep(1); print('late', flush=True)\n"  # the thread outlives the main one
        "threading.Thread(target=late).start()")),
    Fault("a run that goes on in a thread", after=(
        "def late():\n    time.sleep(0.5)\n    with mlflow.start_run(run_name='late'): pass\n"  # the same
        "threading.Thread(target=late).start()")),
    Fault("asyncio", inside=(
        "import asyncio\nasync def nap(): await asyncio.sleep(0.05)\n"  # work of the loop
        "async def all_(): await asyncio.gather(*(nap() for _ in range(50)))\nasyncio.run(all_())")),
    Fault("a program of asyncio", inside=(
        "import asyncio\nasync def call():\n"
        "    one = await asyncio.create_subprocess_exec('sh', '-c', 'exit 7')\n"
        "    print(await one.wait())\nasyncio.run(call())")),
    Fault("an alarm", before="signal.signal(signal.SIGALRM, lambda *_: print('told', flush=True))",
          inside="signal.alarm(1); time.sleep(2)"),  # until the alarm
    Fault("alarms all along", before=(
        "signal.signal(signal.SIGALRM, lambda *_: None)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)"), after="signal.setitimer(0, 0)"),
    Fault("a handler of SIGTERM", before="signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))",
          inside="os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)"),  # until the signal
]  # fmt: skip
PYTHON = [
    Fault("sys.exit is replaced", before="sys.exit = lambda code=0: print('no', code)", after="sys.exit(3)"),
    Fault("excepthook is replaced", before="sys.excepthook = lambda *_: print('mine')", after="1 / 0"),
    Fault("atexit fails", before="import atexit; atexit.register(lambda: 1 / 0)"),
    Fault("atexit starts a run", before="import atexit\natexit.register(lambda: mlflow.start_run().__exit__(None, None, None))"),
    Fault("print at exit", before="import atexit; atexit.register(print, 'bye')"),
    Fault("traced", before="sys.settrace(lambda *_: None)"),
    Fault("profiled", before="sys.setprofile(lambda *_: None)"),
    Fault("audited", before="sys.addaudithook(lambda *_: None)"),
    Fault("no collector", before="import gc; gc.disable()"),
    Fault("memory is traced", before="import tracemalloc; tracemalloc.start()"),
    Fault("logging is off", before="import logging; logging.disable(logging.CRITICAL)"),
    Fault("logging fails", before=(
        "import logging\nclass Bad(logging.Handler):\n    def emit(self, record): raise ValueError\n"
        "logging.getLogger('mlflow_dvc').addHandler(Bad())")),
    Fault("warnings are errors here", before="import warnings; warnings.simplefilter('error')"),
    Fault("warnings are errors", words=("-W", "error::UserWarning")),
    Fault("-O", words=("-O",)),
    Fault("-I", words=("-I",)),
    Fault("-X dev", words=("-X", "dev", "-W", "ignore")),
    Fault("from a string", words=("-c",)),
    Fault("as a module", words=("-m", "run")),
    Fault("as a zip", words=("zip",)),
    Fault("from exec", program="exec(compile(open('other.py').read(), 'other.py', 'exec'))\n",
          lay=writes("other.py", "import mlflow\nwith mlflow.start_run(): pass\nprint('done')\n")),
    Fault("from runpy", program="import runpy; runpy.run_path('other.py', run_name='__main__')\n",
          lay=writes("other.py", "import mlflow\nwith mlflow.start_run(): pass\nraise SystemExit(4)\n")),
]  # fmt: skip
_PROVIDES = """\
from mlflow.tracking.context import registry
from mlflow.tracking.context.abstract_context import RunContextProvider
class Other(RunContextProvider):
    def in_context(self): {0}
    def tags(self): {1}
registry._run_context_provider_registry.register(Other)"""
MLFLOW = [
    Fault("MLflow is loaded again", before=(
        "import importlib\nfor name in ('mlflow.tracking.fluent', 'mlflow'): importlib.reload(sys.modules[name])")),
    Fault("another provider fails", before=_PROVIDES.format("raise ValueError('theirs')", "return {}")),
    Fault("another provider's tags fail", before=_PROVIDES.format("return True", "raise ValueError('t')")),
    Fault("another provider is slow", before=_PROVIDES.format("time.sleep(1); return True", "return {'a': 'b'}")),  # slow
    Fault("another provider says the same", before=_PROVIDES.format("return True", "return {'git_sha': 'x', 'dvc.lock': 'y'}")),
    Fault("another provider has no tags", before=_PROVIDES.format("return True", "return None")),
    Fault("nested runs", inside="with mlflow.start_run(nested=True): mlflow.log_metric('n', 1)"),
    Fault("a run in a run", inside="mlflow.start_run()"),
    Fault("a run is ended twice", inside="mlflow.end_run()", after="mlflow.end_run()"),
    Fault("a run is deleted", inside="mlflow.delete_run(run.info.run_id)"),
    Fault("a run is resumed", after=(
        "last = mlflow.last_active_run().info.run_id\nwith mlflow.start_run(last): mlflow.log_metric('n', 1)")),
    Fault("a run fails", after="mlflow.start_run(); mlflow.end_run('FAILED')"),
    Fault("a run is left open", after="mlflow.start_run(); mlflow.log_metric('n', 1)"),
    Fault("no such run", after="mlflow.start_run('0' * 32)"),
    Fault("no such experiment", before="mlflow.set_experiment(experiment_id='99')"),
    Fault("many tags", inside="mlflow.set_tags({f't{n}': 'x' * 1000 for n in range(100)})"),
    Fault("our tags", inside="mlflow.set_tags({'git_sha': 'mine', 'dvc.lock': 'mine'})"),
    Fault("artifacts like ours", inside="mlflow.log_text('mine', 'dvc/snapshot.json')"),
    Fault("an unknown store", before="mlflow.set_tracking_uri('nosuch://x')"),
    Fault("another store meanwhile", inside="mlflow.set_tracking_uri(os.environ['MLFLOW_TRACKING_URI'])"),
    Fault("no artifacts can be stored", program=(
        "import mlflow\nclient = mlflow.MlflowClient()\n"
        "made = client.create_experiment('x', 'nosuch://y')\n"
        "with mlflow.start_run(experiment_id=made): mlflow.log_metric('m', 1)\nprint('done')\n")),
    Fault("the client alone", program=(
        "import mlflow\nclient = mlflow.MlflowClient()\n"
        "run = client.create_run('0')\nclient.log_metric(run.info.run_id, 'm', 1)\n"
        "client.set_terminated(run.info.run_id)\nprint('done')\n")),
]  # fmt: skip
FAULTS = [*GIT, *DVC, *DATA, *MACHINE, *ENDS, *PROCESSES, *PYTHON, *MLFLOW]
